//! Logs of a key-value store as porcupine's tests have them.
//!
//! ```text
//! {:process 3, :type :invoke, :f :append, :key "9", :value "x 3 0 y"}
//! {:process 3, :type :ok, :f :append, :key "9", :value "x 3 0 y"}
//! ```
//!
//! Lines are in the order of time and have no stamps; stamps are the numbers of the lines. A key
//! without a value reads as `""`: the empty text counts as nothing.

use std::io::BufRead;

use super::ledger::{Ledger, Step, each_line, malformed};
use super::{History, ReadError, Value, Vocabulary, Words};

/// Reads a history. Memory is that of the history and one line.
///
/// # Errors
///
/// What is wrong with the first line that is.
pub fn read<V: Vocabulary>(
    vocabulary: &V,
    input: impl BufRead,
) -> Result<History<V::Operation, V::Return>, ReadError> {
    let mut ledger = Ledger::new(vocabulary);
    each_line(input, |line, text| {
        let found = parse(text).ok_or_else(|| malformed(line, LINE, text))?;
        let step = match (found.kind, found.f) {
            ("invoke", f) => {
                Step::Invoke(Words { f: f.to_owned(), key: Some(found.key), value: found.value })
            }
            ("ok", "get") => Step::Ok(found.value),
            ("ok", _) => Step::Ok(Value::Null),
            ("fail", _) => Step::Fail,
            ("info", _) => Step::Info,
            (kind, _) => return Err(malformed(line, ":invoke, :ok, :fail or :info", kind)),
        };
        ledger.add(line, found.process, line, step)
    })?;
    Ok(ledger.finish())
}

struct Line<'a> {
    process: u64,
    kind: &'a str,
    f: &'a str,
    key: Value,
    value: Value,
}

fn parse(text: &str) -> Option<Line<'_>> {
    let rest = text.trim().strip_prefix("{:process ")?.strip_suffix('}')?;
    let (process, rest) = rest.split_once(", :type :")?;
    let (kind, rest) = rest.split_once(", :f :")?;
    let (f, rest) = rest.split_once(", :key ")?;
    let (key, value) = rest.split_once(", :value ")?;
    let key = quoted(key)?;
    let value = if value == "nil" { Value::Null } else { quoted(value)? };
    Some(Line { process: process.parse().ok()?, kind, f, key, value })
}

fn quoted(text: &str) -> Option<Value> {
    let text: String = serde_json::from_str(text).ok()?;
    Some(if text.is_empty() { Value::Null } else { Value::from(&*text) })
}

const LINE: &str = "{:process 1, :type :ok, :f :get, :key \"k\", :value \"v\"}";
