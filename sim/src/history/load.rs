//! What `kv load --history` writes: one line for each operation, from call to return.
//!
//! ```text
//! {"client":1,"op":"cas","key":"k","value":["a","b"],"start_ns":12,"end_ns":34,"outcome":"ok"}
//! ```
//!
//! The value is what was written or, of a `get`, what was read. The outcome is `ok`, `fail`
//! (definitely not done; also a `cas` that found something else) or `unknown`. Lines come in any
//! order, but those of one client in its own.

use std::io::BufRead;

use serde::Deserialize;

use super::ledger::{Ledger, Step, each_line};
use super::lines::bad_json;
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
    each_line(input, |at, text| {
        let line: Line = serde_json::from_str(text).map_err(|error| bad_json(at, &error))?;
        let is_read = matches!(&*line.op, "get" | "read");
        let (called, found) =
            if is_read { (Value::Null, line.value) } else { (line.value, Value::Null) };
        let step = match line.outcome {
            End::Ok => Step::Ok(found),
            End::Fail => Step::Fail,
            End::Unknown => Step::Info,
        };
        let words = Words { f: line.op, key: Some(line.key), value: called };
        ledger.add_whole(at, line.client, (line.start_ns, line.end_ns), (words, step))
    })?;
    Ok(ledger.finish())
}

#[derive(Deserialize)]
struct Line {
    client: u64,
    op: String,
    key: Value,
    #[serde(default)]
    value: Value,
    start_ns: u64,
    end_ns: u64,
    outcome: End,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Ok,
    Fail,
    Unknown,
}
