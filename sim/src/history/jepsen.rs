//! Logs of a register that Jepsen wrote.
//!
//! ```text
//! INFO  jepsen.util - 2    :invoke    :cas    [2 4]
//! INFO  jepsen.util - 2    :info      :cas    :timed-out
//! ```
//!
//! Lines are in the order of time and have no stamps; stamps are the numbers of the lines. Lines
//! of the nemesis, and all that is no line of `jepsen.util`, are left out. `:fail :cas` means that
//! the register held something else, which is more than that nothing happened: it is read as a
//! `cas` that returned `false`.

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
        let Some((_, rest)) = text.split_once("jepsen.util - ") else { return Ok(()) };
        let mut parts = rest.splitn(4, char::is_whitespace);
        let mut next = || parts.next().unwrap_or_default().trim();
        let (process, kind, f, value) = (next(), next(), next(), next());
        if process == ":nemesis" {
            return Ok(());
        }
        let process = process.parse().map_err(|_| malformed(line, "a process", process))?;
        let f = f.strip_prefix(':').ok_or_else(|| malformed(line, "an :operation", f))?;
        let parsed = || parse(value).ok_or_else(|| malformed(line, VALUE, value));
        let step = match (kind, f) {
            (":invoke", _) => Step::Invoke(Words { f: f.to_owned(), key: None, value: parsed()? }),
            (":ok", "read") => Step::Ok(parsed()?),
            (":ok", _) => Step::Ok(Value::Null),
            (":fail", "cas") => Step::Ok(Value::Bool(false)),
            (":fail", _) => Step::Fail,
            (":info", _) => Step::Info,
            _ => return Err(malformed(line, ":invoke, :ok, :fail or :info", kind)),
        };
        ledger.add(line, process, line, step)
    })?;
    Ok(ledger.finish())
}

/// Parses `nil`, a number, or numbers in brackets.
fn parse(value: &str) -> Option<Value> {
    if value == "nil" {
        return Some(Value::Null);
    }
    if let Some(inner) = value.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        let values: Option<Vec<Value>> = inner.split_whitespace().map(number).collect();
        return values.map(Value::list);
    }
    number(value)
}

fn number(text: &str) -> Option<Value> {
    text.parse().ok().map(Value::Integer)
}

const VALUE: &str = "nil, a number or [old new]";
