//! A register: one value, empty at first.

use std::fmt;

use super::{CAS, NOT_CAS, holds};
use crate::check::Model;
use crate::check::traps::{Trap, planted};
use crate::history::{Value, Vocabulary, Words};

/// A register with compare-and-set. It is [`Value::Null`] at first.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Register;

/// What a register is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum RegisterOp {
    /// What does it hold?
    Read,
    /// It shall hold this.
    Write(Value),
    /// It shall hold `new` if it holds `old`.
    Cas {
        /// What it must hold.
        old: Value,
        /// What it holds then.
        new: Value,
    },
}

/// What a register answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum RegisterReturn {
    /// It was written, or compared and set.
    Done,
    /// A compare-and-set found something else.
    Differs,
    /// What was read.
    Found(Value),
}

impl Model for Register {
    type State = Value;
    type Operation = RegisterOp;
    type Return = RegisterReturn;

    fn initial(&self) -> Value {
        Value::Null
    }

    fn step(
        &self,
        state: &Value,
        operation: &RegisterOp,
        returned: Option<&RegisterReturn>,
    ) -> Option<Value> {
        use RegisterReturn::{Differs, Done, Found};
        match (operation, returned) {
            (RegisterOp::Read, None) => Some(state.clone()),
            (RegisterOp::Read, Some(Found(found))) => (found == state).then(|| state.clone()),
            (RegisterOp::Write(value), None | Some(Done)) => Some(value.clone()),
            (RegisterOp::Cas { old, new }, None | Some(Done)) => {
                (old == state).then(|| new.clone())
            }
            (RegisterOp::Cas { old, .. }, Some(Differs)) => (old != state).then(|| state.clone()),
            _ => None,
        }
    }

    fn is_read(&self, operation: &RegisterOp, returned: Option<&RegisterReturn>) -> bool {
        let is_unknown_cas = matches!(operation, RegisterOp::Cas { .. }) && returned.is_none();
        matches!(operation, RegisterOp::Read)
            || returned == Some(&RegisterReturn::Differs)
            || is_unknown_cas && planted(Trap::UnknownCasIsRead)
    }

    fn state_bytes(&self, state: &Value) -> usize {
        state.bytes()
    }

    fn describe(&self, state: &Value) -> String {
        holds(state)
    }
}

impl Vocabulary for Register {
    type Operation = RegisterOp;
    type Return = RegisterReturn;

    fn operation(&self, words: Words) -> Result<RegisterOp, &'static str> {
        match &*words.f {
            "read" | "get" => Ok(RegisterOp::Read),
            "write" | "put" => Ok(RegisterOp::Write(words.value)),
            "cas" => {
                let (old, new) = words.value.as_pair().ok_or(CAS)?;
                Ok(RegisterOp::Cas { old: old.clone(), new: new.clone() })
            }
            _ => Err("read, write or cas"),
        }
    }

    fn returned(
        &self,
        operation: &RegisterOp,
        value: Value,
    ) -> Result<RegisterReturn, &'static str> {
        match (operation, value) {
            (RegisterOp::Read, value) => Ok(RegisterReturn::Found(value)),
            (RegisterOp::Write(_), _) => Ok(RegisterReturn::Done),
            (RegisterOp::Cas { .. }, Value::Bool(false)) => Ok(RegisterReturn::Differs),
            (RegisterOp::Cas { .. }, Value::Null | Value::Bool(true) | Value::List(_)) => {
                Ok(RegisterReturn::Done)
            }
            (RegisterOp::Cas { .. }, _) => Err(NOT_CAS),
        }
    }

    fn words(&self, operation: &RegisterOp) -> Words {
        match operation {
            RegisterOp::Read => Words::new("read", Value::Null),
            RegisterOp::Write(value) => Words::new("write", value.clone()),
            RegisterOp::Cas { old, new } => {
                Words::new("cas", Value::list([old.clone(), new.clone()]))
            }
        }
    }

    fn value(&self, _operation: &RegisterOp, returned: &RegisterReturn) -> Value {
        match returned {
            RegisterReturn::Done => Value::Null,
            RegisterReturn::Differs => Value::Bool(false),
            RegisterReturn::Found(value) => value.clone(),
        }
    }
}

impl fmt::Display for RegisterOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Write(value) => write!(f, "write {value}"),
            Self::Cas { old, new } => write!(f, "cas {old} {new}"),
        }
    }
}

impl fmt::Display for RegisterReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Differs => f.write_str("differs"),
            Self::Found(value) => write!(f, "{value}"),
        }
    }
}
