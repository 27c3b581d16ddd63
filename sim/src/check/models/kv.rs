//! One key of a key-value store.

use std::fmt;

use super::{CAS, NOT_CAS, holds};
use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// One key of a store, without a value ([`Value::Null`]) at first.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Kv;

/// What a store is asked about a key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum KvOp {
    /// Which value does it have?
    Get,
    /// It shall have this value.
    Put(Value),
    /// This text shall be added to its value; a key without a value has it alone.
    Append(Box<str>),
    /// It shall have no value.
    Delete,
    /// It shall have the value `new` if it has `old`.
    Cas {
        /// What it must have.
        old: Value,
        /// What it has then.
        new: Value,
    },
}

/// What a store answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum KvReturn {
    /// It was changed.
    Done,
    /// A compare-and-set found another value.
    Differs,
    /// The value, [`Value::Null`] if there is none.
    Found(Value),
}

impl Model for Kv {
    type State = Value;
    type Operation = KvOp;
    type Return = KvReturn;

    fn initial(&self) -> Value {
        Value::Null
    }

    fn step(&self, state: &Value, operation: &KvOp, returned: Option<&KvReturn>) -> Option<Value> {
        use KvReturn::{Differs, Done, Found};
        match (operation, returned) {
            (KvOp::Get, None) => Some(state.clone()),
            (KvOp::Get, Some(Found(found))) => (found == state).then(|| state.clone()),
            (KvOp::Put(value), None | Some(Done)) => Some(value.clone()),
            (KvOp::Append(text), None | Some(Done)) => append(state, text),
            (KvOp::Delete, None | Some(Done)) => Some(Value::Null),
            (KvOp::Cas { old, new }, None | Some(Done)) => (old == state).then(|| new.clone()),
            (KvOp::Cas { old, .. }, Some(Differs)) => (old != state).then(|| state.clone()),
            _ => None,
        }
    }

    fn is_read(&self, operation: &KvOp, returned: Option<&KvReturn>) -> bool {
        matches!(operation, KvOp::Get) || returned == Some(&KvReturn::Differs)
    }

    fn state_bytes(&self, state: &Value) -> usize {
        state.bytes()
    }

    fn describe(&self, state: &Value) -> String {
        holds(state)
    }
}

fn append(state: &Value, text: &str) -> Option<Value> {
    match state {
        state if text.is_empty() => Some(state.clone()),
        Value::Null => Some(Value::from(text)),
        Value::Text(before) => {
            let mut both = String::with_capacity(before.len() + text.len());
            both.push_str(before);
            both.push_str(text);
            Some(Value::Text(both.into()))
        }
        Value::Bool(_) | Value::Integer(_) | Value::List(_) => None,
    }
}

impl Vocabulary for Kv {
    type Operation = KvOp;
    type Return = KvReturn;

    fn operation(&self, words: Words) -> Result<KvOp, &'static str> {
        match (&*words.f, words.value) {
            ("get" | "read", _) => Ok(KvOp::Get),
            ("put" | "write", value) => Ok(KvOp::Put(value)),
            ("append", Value::Null) => Ok(KvOp::Append("".into())),
            ("append", Value::Text(text)) => Ok(KvOp::Append((&*text).into())),
            ("append", _) => Err("append with a text"),
            ("delete", _) => Ok(KvOp::Delete),
            ("cas", value) => {
                let (old, new) = value.as_pair().ok_or(CAS)?;
                Ok(KvOp::Cas { old: old.clone(), new: new.clone() })
            }
            _ => Err("get, put, append, delete or cas"),
        }
    }

    fn returned(&self, operation: &KvOp, value: Value) -> Result<KvReturn, &'static str> {
        match (operation, value) {
            (KvOp::Get, value) => Ok(KvReturn::Found(value)),
            (KvOp::Put(_) | KvOp::Append(_) | KvOp::Delete, _) => Ok(KvReturn::Done),
            (KvOp::Cas { .. }, Value::Bool(false)) => Ok(KvReturn::Differs),
            (KvOp::Cas { .. }, Value::Null | Value::Bool(true) | Value::List(_)) => {
                Ok(KvReturn::Done)
            }
            (KvOp::Cas { .. }, _) => Err(NOT_CAS),
        }
    }

    fn words(&self, operation: &KvOp) -> Words {
        match operation {
            KvOp::Get => Words::new("get", Value::Null),
            KvOp::Put(value) => Words::new("put", value.clone()),
            KvOp::Append(text) => Words::new("append", Value::from(&**text)),
            KvOp::Delete => Words::new("delete", Value::Null),
            KvOp::Cas { old, new } => Words::new("cas", Value::list([old.clone(), new.clone()])),
        }
    }

    fn value(&self, _operation: &KvOp, returned: &KvReturn) -> Value {
        match returned {
            KvReturn::Done => Value::Null,
            KvReturn::Differs => Value::Bool(false),
            KvReturn::Found(value) => value.clone(),
        }
    }
}

impl fmt::Display for KvOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Get => f.write_str("get"),
            Self::Put(value) => write!(f, "put {value}"),
            Self::Append(text) => write!(f, "append {text:?}"),
            Self::Delete => f.write_str("delete"),
            Self::Cas { old, new } => write!(f, "cas {old} {new}"),
        }
    }
}

impl fmt::Display for KvReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Differs => f.write_str("differs"),
            Self::Found(value) => write!(f, "{value}"),
        }
    }
}
