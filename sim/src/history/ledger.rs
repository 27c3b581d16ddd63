//! The rules that every file must keep, whatever its format, and what a reader says if it does not.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use quorate_core::Instant;

use super::{History, Outcome, Value, Vocabulary, Words};
use crate::wording;

/// Why a file is no history. All name the line, from 1.
///
/// Nothing of the file is kept: half a history judges nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A line is not what the format says. Correct the line, or choose another format.
    #[error("line {line}: expected {expected}, found {found}")]
    Malformed {
        /// Which line.
        line: u64,
        /// What should be there.
        expected: &'static str,
        /// What is there, shortened.
        found: String,
    },
    /// A line is no JSON, or has not the fields of the format. Correct the line, or choose another
    /// format.
    #[error("line {line}: expected a JSON object with the fields of the format: {reason}")]
    Json {
        /// Which line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A call returns as another operation. Lines are missing, or two files were mixed.
    #[error("line {line}: expected `{called}` to return, as it was called, found `{returned}`")]
    OtherReturn {
        /// Which line.
        line: u64,
        /// Which operation was called.
        called: String,
        /// Which one returns.
        returned: String,
    },
    /// A process returns that calls nothing. Lines are missing, or two files were mixed.
    #[error("line {line}: expected a call of process {process} before its return")]
    ReturnWithoutCall {
        /// Which line.
        line: u64,
        /// Whose return.
        process: u64,
    },
    /// A process calls while it waits for another call. Give each client a number of its own.
    #[error(
        "line {line}: expected process {process} to wait until its call of line {open} returns"
    )]
    TwoCalls {
        /// Which line.
        line: u64,
        /// Who.
        process: u64,
        /// The line of the call that has not returned.
        open: u64,
    },
    /// A process calls after an operation of which nobody knows how it ended. That one may still
    /// happen, so the client must go on under a new number.
    #[error(
        "line {line}: expected a new number after the `info` of line {info}, not process {process}"
    )]
    UsedAfterInfo {
        /// Which line.
        line: u64,
        /// Who.
        process: u64,
        /// The line of its `info`.
        info: u64,
    },
    /// A stamp is before one that must not be later. Stamps must be of one clock.
    #[error("line {line}: expected a time not before {latest}, found {time}")]
    TimeGoesBack {
        /// Which line.
        line: u64,
        /// Its stamp.
        time: u64,
        /// The stamp before it.
        latest: u64,
    },
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("line {line}: expected at most {MAX_LINE_BYTES} bytes")]
    LineTooLong {
        /// Which line.
        line: u64,
    },
    /// The file cannot be read on.
    #[error("line {line} cannot be read")]
    Io {
        /// Which line.
        line: u64,
        /// Why.
        source: io::Error,
    },
}

/// How a line of a log says that an operation began or ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Invoke(Words),
    Ok(Value),
    Fail,
    Info,
}

/// A history under construction.
pub(super) struct Ledger<'a, V: Vocabulary> {
    vocabulary: &'a V,
    history: History<V::Operation, V::Return>,
    processes: BTreeMap<u64, Status>,
    latest: u64,
}

/// What a process is at.
#[derive(Clone, Copy, Debug)]
enum Status {
    Idle { since: u64 },
    Waits { index: usize, line: u64 },
    Gone { line: u64 },
}

impl<'a, V: Vocabulary> Ledger<'a, V> {
    pub(super) const fn new(vocabulary: &'a V) -> Self {
        Self { vocabulary, history: History::new(), processes: BTreeMap::new(), latest: 0 }
    }

    /// Returns the index of the operation that `process` waits for.
    pub(super) fn open_index(&self, process: u64) -> Option<usize> {
        match self.processes.get(&process) {
            Some(Status::Waits { index, .. }) => Some(*index),
            _ => None,
        }
    }

    /// Adds a line of a log whose lines are in the order of time.
    pub(super) fn add(
        &mut self,
        line: u64,
        process: u64,
        time: u64,
        step: Step,
    ) -> Result<(), ReadError> {
        if time < self.latest {
            return Err(ReadError::TimeGoesBack { line, time, latest: self.latest });
        }
        self.latest = time;
        match step {
            Step::Invoke(words) => self.invoke(line, process, time, words).map(drop),
            Step::Ok(value) => self.ok(line, process, time, value),
            Step::Fail => {
                let outcome = Outcome::Fail { at: Instant::from_nanos(time) };
                self.end(line, process, outcome, Status::Idle { since: time })
            }
            Step::Info => {
                let outcome = Outcome::Info { at: Some(Instant::from_nanos(time)) };
                self.end(line, process, outcome, Status::Gone { line })
            }
        }
    }

    /// Adds a line of a log whose lines are whole operations, in any order but that of a process.
    pub(super) fn add_whole(
        &mut self,
        line: u64,
        process: u64,
        (start, end): (u64, u64),
        (words, step): (Words, Step),
    ) -> Result<(), ReadError> {
        if end < start {
            return Err(ReadError::TimeGoesBack { line, time: end, latest: start });
        }
        if let Some(Status::Idle { since }) = self.processes.get(&process)
            && start < *since
        {
            return Err(ReadError::TimeGoesBack { line, time: start, latest: *since });
        }
        self.invoke(line, process, start, words)?;
        self.latest = end;
        self.add(line, process, end, step)
    }

    fn invoke(
        &mut self,
        line: u64,
        process: u64,
        time: u64,
        words: Words,
    ) -> Result<(), ReadError> {
        match self.processes.get(&process) {
            Some(Status::Waits { line: open, .. }) => {
                return Err(ReadError::TwoCalls { line, process, open: *open });
            }
            Some(Status::Gone { line: info }) => {
                return Err(ReadError::UsedAfterInfo { line, process, info: *info });
            }
            Some(Status::Idle { .. }) | None => {}
        }
        let text = || format!("{} {}", words.f, words.value);
        let operation = self.vocabulary.operation(words.clone());
        let operation = operation.map_err(|expected| malformed(line, expected, &text()))?;
        let index = self.history.push(process, Instant::from_nanos(time), operation);
        self.processes.insert(process, Status::Waits { index, line });
        Ok(())
    }

    fn ok(&mut self, line: u64, process: u64, time: u64, value: Value) -> Result<(), ReadError> {
        let at = Instant::from_nanos(time);
        let index = self.open_index(process);
        let index = index.ok_or(ReadError::ReturnWithoutCall { line, process })?;
        let operation = &self.history.spans[index].operation;
        let text = value.to_string();
        let returned = self.vocabulary.returned(operation, value);
        let returned = returned.map_err(|expected| malformed(line, expected, &text))?;
        self.end(line, process, Outcome::Ok { at, returned }, Status::Idle { since: time })
    }

    fn end(
        &mut self,
        line: u64,
        process: u64,
        outcome: Outcome<V::Return>,
        status: Status,
    ) -> Result<(), ReadError> {
        let index = self.open_index(process);
        let index = index.ok_or(ReadError::ReturnWithoutCall { line, process })?;
        self.history.spans[index].outcome = outcome;
        self.processes.insert(process, status);
        Ok(())
    }

    /// Ends the file: what is open now is never known.
    pub(super) fn finish(self) -> History<V::Operation, V::Return> {
        self.history
    }
}

/// Makes the error for a line that is not what the format says.
pub(super) fn malformed(line: u64, expected: &'static str, found: &str) -> ReadError {
    let mut found: String = found.chars().take(FOUND_CHARS_MAX + 1).collect();
    if let Some((cut, _)) = found.char_indices().nth(FOUND_CHARS_MAX) {
        found.truncate(cut);
        found.push_str("..");
    }
    if found.is_empty() {
        found.push_str("nothing");
    }
    ReadError::Malformed { line, expected, found: wording::visible(&found) }
}

/// Calls `each` with the number and the content of each line that is not blank.
pub(super) fn each_line(
    mut input: impl BufRead,
    mut each: impl FnMut(u64, &str) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let mut limited = (&mut input).take(MAX_LINE_BYTES + 1);
        let count = limited.read_until(b'\n', &mut bytes);
        if count.map_err(|source| ReadError::Io { line, source })? == 0 {
            break;
        }
        let content = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if MAX_LINE_BYTES < content.len() as u64 {
            return Err(ReadError::LineTooLong { line });
        }
        let text = std::str::from_utf8(content)
            .map_err(|_| malformed(line, "UTF-8", &String::from_utf8_lossy(content)))?;
        if !text.trim().is_empty() {
            each(line, text)?;
        }
    }
    Ok(())
}

/// The longest line that is read, without its end. A line of a history is a few hundred bytes; a
/// file without line ends must not fill the memory.
pub const MAX_LINE_BYTES: u64 = 1 << 20;

/// How much of a line an error shows.
const FOUND_CHARS_MAX: usize = 120;
