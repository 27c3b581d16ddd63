//! How operations of logs are written in a file.

use super::{LogOp, LogReturn, Logs, Polled};
use crate::history::{Value, Vocabulary, Words};

impl Vocabulary for Logs {
    type Operation = LogOp;
    type Return = LogReturn;

    fn operation(&self, words: Words) -> Result<LogOp, &'static str> {
        let Words { f, key, value } = words;
        match &*f {
            "send" => Ok(LogOp::Send { log: key.unwrap_or_default(), message: value }),
            "poll" => Ok(LogOp::Poll),
            "assign" => Ok(LogOp::Assign(list(&value, LOGS)?.to_vec())),
            "commit" => Ok(LogOp::Commit(offsets(&value)?)),
            "committed" => Ok(LogOp::Committed(list(&value, LOGS)?.to_vec())),
            _ => Err("send, poll, assign, commit or committed"),
        }
    }

    fn returned(&self, operation: &LogOp, value: Value) -> Result<LogReturn, &'static str> {
        match operation {
            LogOp::Send { .. } => value.as_natural().map(LogReturn::Offset).ok_or("an offset"),
            LogOp::Poll => messages(&value).map(LogReturn::Messages),
            LogOp::Assign(_) | LogOp::Commit(_) => Ok(LogReturn::Done),
            LogOp::Committed(_) => offsets(&value).map(LogReturn::Offsets),
        }
    }

    fn words(&self, operation: &LogOp) -> Words {
        match operation {
            LogOp::Send { log, message } => {
                Words { key: Some(log.clone()), ..Words::new("send", message.clone()) }
            }
            LogOp::Poll => Words::new("poll", Value::Null),
            LogOp::Assign(logs) => Words::new("assign", Value::list(logs.iter().cloned())),
            LogOp::Commit(offsets) => Words::new("commit", pairs(offsets)),
            LogOp::Committed(logs) => Words::new("committed", Value::list(logs.iter().cloned())),
        }
    }

    fn value(&self, _operation: &LogOp, returned: &LogReturn) -> Value {
        match returned {
            LogReturn::Done => Value::Null,
            LogReturn::Offset(offset) => natural(*offset),
            LogReturn::Offsets(offsets) => pairs(offsets),
            LogReturn::Messages(logs) => Value::list(logs.iter().map(|(log, messages)| {
                let messages = messages
                    .iter()
                    .map(|(offset, message)| Value::list([natural(*offset), message.clone()]));
                Value::list([log.clone(), Value::list(messages)])
            })),
        }
    }
}

fn list<'a>(value: &'a Value, expected: &'static str) -> Result<&'a [Value], &'static str> {
    match value {
        Value::List(values) => Ok(values),
        _ => Err(expected),
    }
}

fn offsets(value: &Value) -> Result<Vec<(Value, u64)>, &'static str> {
    list(value, OFFSETS)?
        .iter()
        .map(|pair| {
            let (log, offset) = pair.as_pair().ok_or(OFFSETS)?;
            Ok((log.clone(), offset.as_natural().ok_or(OFFSETS)?))
        })
        .collect()
}

fn messages(value: &Value) -> Result<Vec<Polled>, &'static str> {
    let one = |pair: &Value| {
        let (offset, message) = pair.as_pair().ok_or(MESSAGES)?;
        Ok((offset.as_natural().ok_or(MESSAGES)?, message.clone()))
    };
    list(value, MESSAGES)?
        .iter()
        .map(|pair| {
            let (log, messages) = pair.as_pair().ok_or(MESSAGES)?;
            let messages: Result<Vec<_>, &'static str> =
                list(messages, MESSAGES)?.iter().map(one).collect();
            Ok((log.clone(), messages?))
        })
        .collect()
}

fn pairs(offsets: &[(Value, u64)]) -> Value {
    Value::list(offsets.iter().map(|(log, offset)| Value::list([log.clone(), natural(*offset)])))
}

fn natural(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

const LOGS: &str = "a list of logs";
const OFFSETS: &str = "a list of [log, offset]";
const MESSAGES: &str = "a list of [log, list of [offset, message]]";
