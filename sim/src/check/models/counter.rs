//! A counter.

use std::fmt;

use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// A counter, 0 at first.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Counter;

/// What a counter is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum CounterOp {
    /// It shall be more by this, or less.
    Add(i64),
    /// How much is it?
    Read,
}

/// What a counter answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum CounterReturn {
    /// It was changed.
    Done,
    /// How much it is.
    Found(i64),
}

impl Model for Counter {
    /// Wider than what is added, so that no file overflows it.
    type State = i128;
    type Operation = CounterOp;
    type Return = CounterReturn;

    fn initial(&self) -> i128 {
        0
    }

    fn step(
        &self,
        state: &i128,
        operation: &CounterOp,
        returned: Option<&CounterReturn>,
    ) -> Option<i128> {
        match (operation, returned) {
            (CounterOp::Add(by), None | Some(CounterReturn::Done)) => Some(state + i128::from(*by)),
            (CounterOp::Read, None) => Some(*state),
            (CounterOp::Read, Some(CounterReturn::Found(found))) => {
                (i128::from(*found) == *state).then_some(*state)
            }
            _ => None,
        }
    }

    fn is_read(&self, operation: &CounterOp, _returned: Option<&CounterReturn>) -> bool {
        matches!(operation, CounterOp::Read | CounterOp::Add(0))
    }

    fn describe(&self, state: &i128) -> String {
        format!("is {state}")
    }
}

impl Vocabulary for Counter {
    type Operation = CounterOp;
    type Return = CounterReturn;

    fn operation(&self, words: Words) -> Result<CounterOp, &'static str> {
        match (&*words.f, words.value.as_integer()) {
            ("add", Some(by)) => Ok(CounterOp::Add(by)),
            ("add", None) => Err("add with a number"),
            ("read", _) => Ok(CounterOp::Read),
            _ => Err("add or read"),
        }
    }

    fn returned(&self, operation: &CounterOp, value: Value) -> Result<CounterReturn, &'static str> {
        match (operation, value.as_integer()) {
            (CounterOp::Add(_), _) => Ok(CounterReturn::Done),
            (CounterOp::Read, Some(found)) => Ok(CounterReturn::Found(found)),
            (CounterOp::Read, None) => Err("a number"),
        }
    }

    fn words(&self, operation: &CounterOp) -> Words {
        match operation {
            CounterOp::Add(by) => Words::new("add", Value::Integer(*by)),
            CounterOp::Read => Words::new("read", Value::Null),
        }
    }

    fn value(&self, _operation: &CounterOp, returned: &CounterReturn) -> Value {
        match returned {
            CounterReturn::Done => Value::Null,
            CounterReturn::Found(found) => Value::Integer(*found),
        }
    }
}

impl fmt::Display for CounterOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(by) => write!(f, "add {by}"),
            Self::Read => f.write_str("read"),
        }
    }
}

impl fmt::Display for CounterReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Found(found) => write!(f, "{found}"),
        }
    }
}
