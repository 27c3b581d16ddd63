//! A process that writes is killed, again and again: what it was told is durable is there.
//!
//! The child is this program itself, started with the name of one test and a folder in its
//! environment. It says each index that was acknowledged on its standard output. A kill takes
//! nothing that the system was given, so this finds what a process kept to itself; `simulation`
//! takes the power away.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use quorate_core::SplitMix64;
use quorate_wal::{Config, Index, OpenError, Preallocate, Wal};

/// How often it is killed.
const KILLS: u64 = 30;

/// Threads of the child that write.
const WRITERS: u64 = 3;

/// How many records each of them writes at most, if nobody kills it.
const RECORDS_MAX: u64 = 5_000;

/// Where the child finds its folder, and the number of its run.
const FOLDER: &str = "QUORATE_PROCESS_TEST_FOLDER";
const RUN: &str = "QUORATE_PROCESS_TEST_RUN";

/// Nothing is expected to take so long: a child that hangs must not hang the test.
const PATIENCE: Duration = Duration::from_secs(120);

fn config(run: u64) -> Config {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 16 << 10;
    // Both kinds of files, one after the other in one log.
    config.preallocate = match run % 3 {
        0 => Preallocate::None,
        _ => Preallocate::ZeroAhead { step: 4 << 10 },
    };
    config
}

/// Who wrote a record: the run, the thread in it, and its how many-th it is.
type Author = (u64, u64, u64);

/// Returns the record of `author`, of a length that nobody else has so often.
fn record((run, writer, number): Author) -> Vec<u8> {
    let mut record = format!("{run} {writer} {number} ").into_bytes();
    let mut entropy = SplitMix64::new(run << 40 | writer << 32 | number);
    let filling = usize::try_from(entropy.next_u64() % 300).expect("it is small");
    record.extend((0..filling).map(|_| entropy.next_u64().to_le_bytes()[0]));
    record
}

/// Returns who says to have written `record`.
fn author(record: &[u8]) -> Option<Author> {
    let mut words = record.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    Some((number()?, number()?, number()?))
}

/// The child. Without a folder in its environment it is no child, and does nothing.
#[test]
fn a_child_writes() {
    let (Ok(folder), Ok(run)) = (env::var(FOLDER), env::var(RUN)) else { return };
    let run = run.parse().expect("the parent sets it");
    let (wal, _) = Wal::open(folder, config(run)).expect("a kill closes no log");
    say("open");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let wal = wal.clone();
            scope.spawn(move || {
                for number in 0..RECORDS_MAX {
                    let ack = wal.append(record((run, writer, number))).expect("within limits");
                    let index = ack.indexes().start;
                    ack.wait().expect("there is room");
                    say(&format!("ack {index} {writer} {number}"));
                }
            });
        }
    });
}

/// Says a line, at once and in one piece. Panics where the parent is gone: then nobody listens.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// A child that ends with its owner, whatever happens to that.
struct Writing {
    child: Child,
    lines: Receiver<String>,
}

impl Writing {
    fn start(folder: &Path, run: u64) -> Self {
        let program = env::current_exe().expect("it runs");
        let mut command = Command::new(program);
        command.args(["--exact", "a_child_writes", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, folder).env(RUN, run.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (said, lines) = channel();
        // Ends with the child. The runner says lines of its own: they begin otherwise.
        thread::Builder::new()
            .spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| said.send(line)))
            .expect("there are threads");
        Self { child, lines }
    }

    /// Returns the next line. `None`: the child has ended.
    fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the child hangs"),
        }
    }

    fn kill(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        _ = self.child.kill();
        self.child.wait().expect("it was started");
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads `ack INDEX WRITER NUMBER`.
fn acknowledged(line: &str, run: u64) -> Option<(u64, Author)> {
    let mut words = line.strip_prefix("ack ")?.split(' ').map(|word| word.parse().ok());
    let mut number = || words.next()?;
    Some((number()?, (run, number()?, number()?)))
}

#[test]
fn a_kill_takes_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let mut entropy = SplitMix64::new(7);
    // What must be there, by index, and what was there when the log was last opened.
    let mut promised: BTreeMap<u64, Author> = BTreeMap::new();
    let mut before: Vec<Author> = Vec::new();
    let mut lost_unheard = 0;
    for run in 0..KILLS {
        let mut writing = Writing::start(folder.path(), run);
        // Some are killed before they open or once they have, others have rolled several times.
        let kind = entropy.next_u64() % 6;
        let acks_until_kill = if kind < 2 { 0 } else { 1 + entropy.next_u64() % 200 };
        let (mut heard, mut is_open) = (0, kind == 0);
        while !is_open || heard < acks_until_kill {
            let line = writing.next().expect("it writes until it is killed");
            // The runner may have begun the line.
            is_open |= line.ends_with("open");
            if let Some((index, author)) = acknowledged(&line, run) {
                assert_eq!(promised.insert(index, author), None, "{index} was given twice");
                heard += 1;
            }
        }
        if 0 < kind {
            let second = Wal::open(folder.path(), config(run)).map(drop);
            assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
        }
        writing.kill();
        // What it said before it died counts.
        while let Some(line) = writing.next() {
            if let Some((index, author)) = acknowledged(&line, run) {
                assert_eq!(promised.insert(index, author), None, "{index} was given twice");
            }
        }
        drop(writing);

        // Its lock died with it.
        let (wal, recovered) = Wal::open(folder.path(), config(run)).expect("a kill closes no log");
        let found: Vec<Author> = wal
            .records(..)
            .map(|item| {
                let (index, bytes) = item.expect("nothing is rotten");
                let author = author(&bytes).unwrap_or_else(|| panic!("{index} was invented"));
                assert_eq!(bytes, record(author), "{index} is not what was written");
                author
            })
            .collect();
        assert_eq!(recovered.range, Index(1)..Index(1 + found.len() as u64));
        for (index, author) in &promised {
            let at = usize::try_from(index - 1).expect("it is small");
            assert_eq!(found.get(at), Some(author), "run {run}: record {index} is lost");
        }
        assert!(found.starts_with(&before), "run {run}: what was read once is there for good");
        check_rows(&found);
        lost_unheard += found.len() - promised.len();
        for (at, author) in found.iter().enumerate() {
            promised.insert(1 + at as u64, *author);
        }
        before = found;
    }
    println!("{} records, {lost_unheard} of them unheard of when a kill came", before.len());
}

/// Checks that of each thread there is what it wrote, from its first on, once and without a gap:
/// it waited for each before it wrote the next.
fn check_rows(found: &[Author]) {
    let mut next: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for (run, writer, number) in found {
        let expected = next.entry((*run, *writer)).or_default();
        assert_eq!(number, expected, "run {run}, writer {writer}");
        *expected += 1;
    }
}
