//! Transactions as JSON lines: those of [`lines`](super::lines), but without a name, because there
//! is only one thing to call.
//!
//! ```text
//! {"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]],"time":1}
//! {"process":0,"type":"ok","value":[["append","x",1],["r","y",[3,4]]],"time":2}
//! ```
//!
//! The type is `invoke`, `ok`, `fail` or `info`. An `ok` repeats the operations of its call, with
//! what each read found; what a register or a list has at first is `null`. `time` may be left out:
//! then the order of the lines is that of time. Other fields are ignored, so that what
//! [`lines::write`](super::lines::write) makes can be read, too.

use std::io::BufRead;

use serde::Deserialize;

use super::ledger::{Ledger, Step, each_line, malformed};
use super::lines::bad_json;
use super::{History, ReadError, Value, Vocabulary, Words};

/// Reads a history. Memory is that of the history and one line.
///
/// # Errors
///
/// What is wrong with the first line that is.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::transactions::ListAppend;
/// use quorate_sim::history::transactions;
///
/// let text = r#"{"process":0,"type":"invoke","value":[["append","x",1]]}
/// {"process":0,"type":"info","value":[["append","x",1]]}"#;
/// let history = transactions::read(&ListAppend, text.as_bytes())?;
/// assert_eq!(history.spans().len(), 1);
/// # Ok::<(), quorate_sim::history::ReadError>(())
/// ```
pub fn read<V: Vocabulary>(
    vocabulary: &V,
    input: impl BufRead,
) -> Result<History<V::Operation, V::Return>, ReadError> {
    let mut ledger = Ledger::new(vocabulary);
    let mut has_time = None;
    each_line(input, |at, text| {
        let line: Line = serde_json::from_str(text).map_err(|error| bad_json(at, &error))?;
        let is_timed = line.time.is_some();
        if *has_time.get_or_insert(is_timed) != is_timed {
            return Err(malformed(at, "a `time` in every line or in none", text));
        }
        let step = match line.kind {
            Kind::Invoke => Step::Invoke(Words::new("txn", line.value)),
            Kind::Ok => Step::Ok(line.value),
            Kind::Fail => Step::Fail,
            Kind::Info => Step::Info,
        };
        ledger.add(at, line.process, line.time.unwrap_or(at), step)
    })?;
    Ok(ledger.finish())
}

#[derive(Deserialize)]
struct Line {
    process: u64,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    time: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}
