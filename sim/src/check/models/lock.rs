//! A lock that gives a fencing token to who acquires it.
//!
//! Source: Burrows, "The Chubby lock service" (2006), 2.4: a sequencer grows with each holder.

use std::fmt;

use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// A lock, free at first. Each holder has a token that is larger than all before; tokens start
/// at 1 or above, and may leave numbers out.
///
/// Of an acquisition whose token nobody knows, only the least that it can have been counts.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Lock;

/// Who holds a lock, and which token was the last.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests make them")]
pub struct LockState {
    /// Who holds it.
    pub holder: Option<Value>,
    /// The last token is at least this.
    pub token: u64,
}

/// What a lock is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum LockOp {
    /// It shall be held by this client.
    Acquire(Value),
    /// It shall not be held by this client any more.
    Release(Value),
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum LockReturn {
    /// It is held, with this token.
    Token(u64),
    /// Somebody holds it already.
    Held,
    /// It was released.
    Released,
}

impl Model for Lock {
    type State = LockState;
    type Operation = LockOp;
    type Return = LockReturn;

    fn initial(&self) -> LockState {
        LockState::default()
    }

    fn step(
        &self,
        state: &LockState,
        operation: &LockOp,
        returned: Option<&LockReturn>,
    ) -> Option<LockState> {
        match (operation, returned) {
            (LockOp::Acquire(_), Some(LockReturn::Held)) => {
                state.holder.is_some().then(|| state.clone())
            }
            (LockOp::Acquire(client), None | Some(LockReturn::Token(_))) => {
                let token = match returned {
                    Some(LockReturn::Token(token)) => *token,
                    _ => state.token.checked_add(1)?,
                };
                let is_free = state.holder.is_none() && state.token < token;
                is_free.then(|| LockState { holder: Some(client.clone()), token })
            }
            (LockOp::Release(client), None | Some(LockReturn::Released)) => {
                let is_held = state.holder.as_ref() == Some(client);
                is_held.then_some(LockState { holder: None, token: state.token })
            }
            _ => None,
        }
    }

    fn is_read(&self, _operation: &LockOp, returned: Option<&LockReturn>) -> bool {
        returned == Some(&LockReturn::Held)
    }

    fn state_bytes(&self, state: &LockState) -> usize {
        size_of::<LockState>() + state.holder.as_ref().map_or(0, Value::bytes)
    }

    fn describe(&self, state: &LockState) -> String {
        match &state.holder {
            Some(holder) => format!("is held by {holder}, token {}", state.token),
            None => format!("is free, last token {}", state.token),
        }
    }
}

impl Vocabulary for Lock {
    type Operation = LockOp;
    type Return = LockReturn;

    fn operation(&self, words: Words) -> Result<LockOp, &'static str> {
        match &*words.f {
            "acquire" => Ok(LockOp::Acquire(words.value)),
            "release" => Ok(LockOp::Release(words.value)),
            _ => Err("acquire or release"),
        }
    }

    fn returned(&self, operation: &LockOp, value: Value) -> Result<LockReturn, &'static str> {
        match (operation, value) {
            (LockOp::Release(_), _) => Ok(LockReturn::Released),
            (LockOp::Acquire(_), Value::Null) => Ok(LockReturn::Held),
            (LockOp::Acquire(_), value) => {
                value.as_natural().map(LockReturn::Token).ok_or("a token, or null if it is held")
            }
        }
    }

    fn words(&self, operation: &LockOp) -> Words {
        match operation {
            LockOp::Acquire(client) => Words::new("acquire", client.clone()),
            LockOp::Release(client) => Words::new("release", client.clone()),
        }
    }

    fn value(&self, _operation: &LockOp, returned: &LockReturn) -> Value {
        match returned {
            LockReturn::Token(token) => Value::Integer(i64::try_from(*token).unwrap_or(i64::MAX)),
            LockReturn::Held | LockReturn::Released => Value::Null,
        }
    }
}

impl fmt::Display for LockOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquire(client) => write!(f, "acquire by {client}"),
            Self::Release(client) => write!(f, "release by {client}"),
        }
    }
}

impl fmt::Display for LockReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token {token}"),
            Self::Held => f.write_str("held"),
            Self::Released => f.write_str("released"),
        }
    }
}
