//! JSON lines: what any client in any language can write.
//!
//! ```text
//! {"process":3,"op":17,"type":"invoke","f":"cas","key":"a","value":[1,2],"time":123}
//! {"process":3,"op":17,"type":"ok","f":"cas","key":"a","value":null,"time":456}
//! ```
//!
//! The type is `invoke`, `ok`, `fail` or `info`. `op`, `key`, `value` and `time` may be left out;
//! without times, the order of the lines is that of time. Other fields are ignored. A line that
//! returns needs no `f`, `key` or `value` of its own but what was read; its `f` and its `op`, if it
//! has them, are those of its call.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::Deserialize;

use super::ledger::{Ledger, Step, each_line, malformed};
use super::{History, Outcome, ReadError, Value, Vocabulary, Words};
use crate::wording;

/// Reads a history. Memory is that of the history and one line.
///
/// # Errors
///
/// What is wrong with the first line that is.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::models::Register;
/// use quorate_sim::history::lines;
///
/// let text = r#"{"process":0,"type":"invoke","f":"write","value":1}
/// {"process":0,"type":"ok","f":"write","value":1}"#;
/// let history = lines::read(&Register, text.as_bytes())?;
/// assert_eq!(history.spans().len(), 1);
/// # Ok::<(), quorate_sim::history::ReadError>(())
/// ```
pub fn read<V: Vocabulary>(
    vocabulary: &V,
    input: impl BufRead,
) -> Result<History<V::Operation, V::Return>, ReadError> {
    let mut ledger = Ledger::new(vocabulary);
    // The `op` and the `f` of what each process called last.
    let (mut calls, mut has_time) = (BTreeMap::new(), None);
    each_line(input, |at, text| {
        let line: Line = serde_json::from_str(text).map_err(|error| bad_json(at, &error))?;
        let time = line.time.unwrap_or(at);
        let is_timed = line.time.is_some();
        if *has_time.get_or_insert(is_timed) != is_timed {
            return Err(malformed(at, "a `time` in every line or in none", text));
        }
        let step = match line.kind {
            Kind::Invoke => {
                let Some(f) = line.f else { return Err(malformed(at, "an `f`", text)) };
                let words = Words { f: f.clone(), key: line.key, value: line.value };
                ledger.add(at, line.process, time, Step::Invoke(words))?;
                calls.insert(line.process, (line.op, f));
                return Ok(());
            }
            Kind::Ok => Step::Ok(line.value),
            Kind::Fail => Step::Fail,
            Kind::Info => Step::Info,
        };
        if let Some((called_op, called)) = calls.remove(&line.process) {
            if let (Some(called), Some(op)) = (called_op, line.op)
                && called != op
            {
                return Err(malformed(at, "the `op` of the open call", &op.to_string()));
            }
            if let Some(returned) = line.f.filter(|it| *it != called) {
                let (called, returned) = (wording::visible(&called), wording::visible(&returned));
                return Err(ReadError::OtherReturn { line: at, called, returned });
            }
        }
        ledger.add(at, line.process, time, step)
    })?;
    Ok(ledger.finish())
}

/// Writes a history, such that [`read`] makes an equal one if it was recorded in the order of time.
///
/// # Errors
///
/// Those of `output`.
pub fn write<V: Vocabulary>(
    vocabulary: &V,
    history: &History<V::Operation, V::Return>,
    mut output: impl Write,
) -> io::Result<()> {
    for event in history.events() {
        let (kind, value) = kind_and_value(vocabulary, &event);
        let Words { f, key, .. } = vocabulary.words(&event.span.operation);
        let f = Value::from(f.as_str());
        let (process, op, at) = (event.span.process, event.index, event.at.as_nanos());
        write!(output, "{{\"process\":{process},\"op\":{op},\"type\":\"{kind}\",\"f\":{f}")?;
        if let Some(key) = key {
            write!(output, ",\"key\":{key}")?;
        }
        writeln!(output, ",\"value\":{value},\"time\":{at}}}")?;
    }
    output.flush()
}

/// Returns the type of a line, and its value.
pub(super) fn kind_and_value<V: Vocabulary>(
    vocabulary: &V,
    event: &super::Event<'_, V::Operation, V::Return>,
) -> (&'static str, Value) {
    let operation = &event.span.operation;
    let called = || vocabulary.words(operation).value;
    match &event.span.outcome {
        _ if !event.is_return => ("invoke", called()),
        Outcome::Ok { returned, .. } => ("ok", vocabulary.value(operation, returned)),
        Outcome::Fail { .. } => ("fail", called()),
        Outcome::Info { .. } => ("info", called()),
    }
}

/// Makes the error for a line that is not the JSON of its format.
pub(super) fn bad_json(line: u64, error: &serde_json::Error) -> ReadError {
    let mut reason = wording::reason(error);
    if !error.is_data() {
        // Of its place only the column is right: it was given one line.
        reason = format!("no JSON from column {} on, {reason}", error.column());
    }
    ReadError::Json { line, reason }
}

#[derive(Deserialize)]
struct Line {
    process: u64,
    #[serde(default)]
    op: Option<u64>,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    f: Option<String>,
    #[serde(default)]
    key: Option<Value>,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    time: Option<u64>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}
