//! A set.

use std::collections::BTreeSet;
use std::fmt;

use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// A set, empty at first.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Set;

/// What a set is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum SetOp {
    /// It shall have this.
    Add(Value),
    /// It shall not have this.
    Remove(Value),
    /// Does it have this?
    Contains(Value),
    /// What does it have?
    Read,
}

/// What a set answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum SetReturn {
    /// It was changed, or was so already.
    Done,
    /// Whether it has what was asked for.
    Contains(bool),
    /// What it has.
    Elements(BTreeSet<Value>),
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Operation = SetOp;
    type Return = SetReturn;

    fn initial(&self) -> BTreeSet<Value> {
        BTreeSet::new()
    }

    fn step(
        &self,
        state: &BTreeSet<Value>,
        operation: &SetOp,
        returned: Option<&SetReturn>,
    ) -> Option<BTreeSet<Value>> {
        let fits = match (operation, returned) {
            (_, None) | (SetOp::Add(_) | SetOp::Remove(_), Some(SetReturn::Done)) => true,
            (SetOp::Contains(value), Some(SetReturn::Contains(has))) => {
                state.contains(value) == *has
            }
            (SetOp::Read, Some(SetReturn::Elements(elements))) => elements == state,
            _ => false,
        };
        fits.then(|| {
            let mut next = state.clone();
            match operation {
                SetOp::Add(value) => _ = next.insert(value.clone()),
                SetOp::Remove(value) => _ = next.remove(value),
                SetOp::Contains(_) | SetOp::Read => {}
            }
            next
        })
    }

    fn is_read(&self, operation: &SetOp, _returned: Option<&SetReturn>) -> bool {
        matches!(operation, SetOp::Contains(_) | SetOp::Read)
    }

    fn state_bytes(&self, state: &BTreeSet<Value>) -> usize {
        size_of::<BTreeSet<Value>>() + state.iter().map(|it| 8 + it.bytes()).sum::<usize>()
    }

    fn describe(&self, state: &BTreeSet<Value>) -> String {
        super::holds(&Value::list(state.iter().cloned()))
    }
}

impl Vocabulary for Set {
    type Operation = SetOp;
    type Return = SetReturn;

    fn operation(&self, words: Words) -> Result<SetOp, &'static str> {
        match &*words.f {
            "add" => Ok(SetOp::Add(words.value)),
            "remove" => Ok(SetOp::Remove(words.value)),
            "contains" => Ok(SetOp::Contains(words.value)),
            "read" => Ok(SetOp::Read),
            _ => Err("add, remove, contains or read"),
        }
    }

    fn returned(&self, operation: &SetOp, value: Value) -> Result<SetReturn, &'static str> {
        match (operation, value) {
            (SetOp::Add(_) | SetOp::Remove(_), _) => Ok(SetReturn::Done),
            (SetOp::Contains(_), Value::Bool(has)) => Ok(SetReturn::Contains(has)),
            (SetOp::Contains(_), _) => Err("true or false"),
            (SetOp::Read, Value::List(values)) => {
                Ok(SetReturn::Elements(values.iter().cloned().collect()))
            }
            (SetOp::Read, _) => Err("a list of elements"),
        }
    }

    fn words(&self, operation: &SetOp) -> Words {
        match operation {
            SetOp::Add(value) => Words::new("add", value.clone()),
            SetOp::Remove(value) => Words::new("remove", value.clone()),
            SetOp::Contains(value) => Words::new("contains", value.clone()),
            SetOp::Read => Words::new("read", Value::Null),
        }
    }

    fn value(&self, _operation: &SetOp, returned: &SetReturn) -> Value {
        match returned {
            SetReturn::Done => Value::Null,
            SetReturn::Contains(has) => Value::Bool(*has),
            SetReturn::Elements(elements) => Value::list(elements.iter().cloned()),
        }
    }
}

impl fmt::Display for SetOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(value) => write!(f, "add {value}"),
            Self::Remove(value) => write!(f, "remove {value}"),
            Self::Contains(value) => write!(f, "contains {value}"),
            Self::Read => f.write_str("read"),
        }
    }
}

impl fmt::Display for SetReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Contains(has) => write!(f, "{has}"),
            Self::Elements(elements) => {
                write!(f, "{}", Value::list(elements.iter().cloned()))
            }
        }
    }
}
