//! A register that counts its changes, as a key of etcd does.
//!
//! Source: the register workload of Jepsen's etcd test: `[version value]`, version 0 at first.

use std::fmt;

use super::NOT_CAS;
use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// A register with compare-and-set whose answers carry a version. Each change adds 1.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Versioned;

/// What it holds, and how often that was changed.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests make them")]
pub struct VersionedState {
    /// How often it was changed.
    pub version: u64,
    /// What it holds.
    pub value: Value,
}

/// What a register is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum VersionedOp {
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

/// What a register answers. A version is that after the operation; `None` if the client did not
/// learn it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum VersionedReturn {
    /// It was written, or compared and set.
    Done {
        /// After it.
        version: Option<u64>,
    },
    /// A compare-and-set found something else.
    Differs,
    /// What was read.
    Found {
        /// Of what was read.
        version: Option<u64>,
        /// What was read.
        value: Value,
    },
}

impl Model for Versioned {
    type State = VersionedState;
    type Operation = VersionedOp;
    type Return = VersionedReturn;

    fn initial(&self) -> VersionedState {
        VersionedState::default()
    }

    fn step(
        &self,
        state: &VersionedState,
        operation: &VersionedOp,
        returned: Option<&VersionedReturn>,
    ) -> Option<VersionedState> {
        use VersionedReturn::{Differs, Done, Found};
        let is = |version: &Option<u64>, at: u64| version.is_none_or(|it| it == at);
        let same = || state.clone();
        let next = state.version + 1;
        let set = |value: &Value| VersionedState { version: next, value: value.clone() };
        match (operation, returned) {
            (VersionedOp::Read, None) => Some(same()),
            (VersionedOp::Read, Some(Found { version, value })) => {
                (is(version, state.version) && *value == state.value).then(same)
            }
            (VersionedOp::Write(value), None) => Some(set(value)),
            (VersionedOp::Write(value), Some(Done { version })) => {
                is(version, next).then(|| set(value))
            }
            (VersionedOp::Cas { old, new }, None) => (*old == state.value).then(|| set(new)),
            (VersionedOp::Cas { old, new }, Some(Done { version })) => {
                (*old == state.value && is(version, next)).then(|| set(new))
            }
            (VersionedOp::Cas { old, .. }, Some(Differs)) => (*old != state.value).then(same),
            _ => None,
        }
    }

    fn is_read(&self, operation: &VersionedOp, returned: Option<&VersionedReturn>) -> bool {
        matches!(operation, VersionedOp::Read) || returned == Some(&VersionedReturn::Differs)
    }

    fn state_bytes(&self, state: &VersionedState) -> usize {
        size_of::<u64>() + state.value.bytes()
    }

    fn describe(&self, state: &VersionedState) -> String {
        format!("holds {} in version {}", state.value, state.version)
    }
}

impl Vocabulary for Versioned {
    type Operation = VersionedOp;
    type Return = VersionedReturn;

    fn operation(&self, words: Words) -> Result<VersionedOp, &'static str> {
        let second = || Some(words.value.as_pair()?.1);
        match &*words.f {
            "read" | "get" => Ok(VersionedOp::Read),
            "write" | "put" => {
                Ok(VersionedOp::Write(second().ok_or("write with [version, value]")?.clone()))
            }
            "cas" => {
                let (old, new) = second().and_then(Value::as_pair).ok_or(VERSIONED_CAS)?;
                Ok(VersionedOp::Cas { old: old.clone(), new: new.clone() })
            }
            _ => Err("read, write or cas"),
        }
    }

    fn returned(
        &self,
        operation: &VersionedOp,
        value: Value,
    ) -> Result<VersionedReturn, &'static str> {
        if value == Value::Bool(false) {
            let is_cas = matches!(operation, VersionedOp::Cas { .. });
            return if is_cas { Ok(VersionedReturn::Differs) } else { Err("[version, value]") };
        }
        let pair = value.as_pair();
        let version = match pair.map(|it| it.0) {
            None | Some(Value::Null) => None,
            Some(version) => Some(version.as_natural().ok_or("a version that is a number")?),
        };
        match (operation, pair) {
            (VersionedOp::Read, Some((_, value))) => {
                Ok(VersionedReturn::Found { version, value: value.clone() })
            }
            (VersionedOp::Read, None) => Err("[version, value]"),
            (_, None) if value != Value::Null => Err(NOT_CAS),
            _ => Ok(VersionedReturn::Done { version }),
        }
    }

    fn words(&self, operation: &VersionedOp) -> Words {
        let without = |value: Value| Value::list([Value::Null, value]);
        match operation {
            VersionedOp::Read => Words::new("read", Value::Null),
            VersionedOp::Write(value) => Words::new("write", without(value.clone())),
            VersionedOp::Cas { old, new } => {
                Words::new("cas", without(Value::list([old.clone(), new.clone()])))
            }
        }
    }

    fn value(&self, operation: &VersionedOp, returned: &VersionedReturn) -> Value {
        let number = |version: &Option<u64>| {
            version.and_then(|it| i64::try_from(it).ok()).map_or(Value::Null, Value::Integer)
        };
        match (returned, operation) {
            (VersionedReturn::Differs, _) => Value::Bool(false),
            (VersionedReturn::Found { version, value }, _) => {
                Value::list([number(version), value.clone()])
            }
            (VersionedReturn::Done { version }, operation) => {
                let words = self.words(operation);
                let value = words.value.as_pair().map_or(Value::Null, |it| it.1.clone());
                Value::list([number(version), value])
            }
        }
    }
}

impl fmt::Display for VersionedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Write(value) => write!(f, "write {value}"),
            Self::Cas { old, new } => write!(f, "cas {old} {new}"),
        }
    }
}

impl fmt::Display for VersionedReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self {
            Self::Done { version } | Self::Found { version, .. } => *version,
            Self::Differs => None,
        };
        match self {
            Self::Done { .. } => f.write_str("done")?,
            Self::Differs => f.write_str("differs")?,
            Self::Found { value, .. } => write!(f, "{value}")?,
        }
        version.map_or(Ok(()), |version| write!(f, " v{version}"))
    }
}

const VERSIONED_CAS: &str = "cas with [version, [old, new]]";
