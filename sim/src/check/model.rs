//! What an object does when its operations come one after the other.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;

use crate::history::{Value, Vocabulary, Words};

/// An object as it should be: its states, and what operations make of them.
///
/// # Examples
///
/// A flag that can be set once:
///
/// ```
/// use quorate_sim::check::Model;
///
/// struct Flag;
///
/// impl Model for Flag {
///     type State = bool;
///     type Operation = &'static str; // "set", "is set"
///     type Return = bool;
///
///     fn initial(&self) -> bool {
///         false
///     }
///     fn step(&self, state: &bool, operation: &&str, returned: Option<&bool>) -> Option<bool> {
///         let (next, result) = match *operation {
///             "set" => (true, !state),
///             _ => (*state, *state),
///         };
///         returned.is_none_or(|it| *it == result).then_some(next)
///     }
/// }
/// ```
pub trait Model {
    /// What is remembered between operations.
    type State: Clone + Eq + Hash;
    /// What is called.
    type Operation;
    /// What comes back.
    type Return;

    /// Returns the state before the first operation.
    fn initial(&self) -> Self::State;

    /// Returns the state after `operation` happened at `state` and returned `returned`.
    ///
    /// `None` if it cannot return that here. `returned` is `None` if nobody knows what it returned:
    /// then the state after it happened, or `None` if it cannot happen here. It must be a function
    /// of its arguments.
    fn step(
        &self,
        state: &Self::State,
        operation: &Self::Operation,
        returned: Option<&Self::Return>,
    ) -> Option<Self::State>;

    /// Returns whether `operation` changes no state at all if it returned `returned`.
    ///
    /// It must hold for every state, not only for some: a write of what is there already is no
    /// read. `false` is always right; `true` spares the checker from trying when it happened.
    fn is_read(&self, _operation: &Self::Operation, _returned: Option<&Self::Return>) -> bool {
        false
    }

    /// Returns about how many bytes `state` takes, for the budget of a checker.
    fn state_bytes(&self, _state: &Self::State) -> usize {
        size_of::<Self::State>()
    }

    /// Returns `state` for people, as in `holds 3`; empty if there is nothing to say.
    fn describe(&self, _state: &Self::State) -> String {
        String::new()
    }
}

/// A model of one of many objects, each with a key: they are judged one by one.
///
/// Source: Herlihy and Wing, "Linearizability" (1990), theorem 1: a history is linearizable if and
/// only if those of its objects are.
pub trait Keyed: Model {
    /// What names an object.
    type Key: Ord + Clone + Hash;

    /// Returns the object that `operation` is about.
    fn key<'a>(&self, operation: &'a Self::Operation) -> &'a Self::Key;

    /// Returns `key` for people; empty if there is only one.
    fn describe_key(&self, _key: &Self::Key) -> String {
        String::new()
    }
}

/// An operation on the object `key`. Where there is one object, its key is [`Value::Null`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a pair")]
pub struct At<O> {
    /// Which object.
    pub key: Value,
    /// What is called.
    pub operation: O,
}

impl<O> At<O> {
    /// Makes an operation on the object `key`.
    pub fn new(key: impl Into<Value>, operation: O) -> Self {
        Self { key: key.into(), operation }
    }
}

impl<O: fmt::Display> fmt::Display for At<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key != Value::Null {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.operation)
    }
}

/// One object of the model `M` for each key.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it says how many objects there are, and no more")]
pub struct Each<M>(pub M);

impl<M: Model> Model for Each<M> {
    type State = M::State;
    type Operation = At<M::Operation>;
    type Return = M::Return;

    fn initial(&self) -> M::State {
        self.0.initial()
    }

    fn step(
        &self,
        state: &M::State,
        operation: &At<M::Operation>,
        returned: Option<&M::Return>,
    ) -> Option<M::State> {
        self.0.step(state, &operation.operation, returned)
    }

    fn is_read(&self, operation: &At<M::Operation>, returned: Option<&M::Return>) -> bool {
        self.0.is_read(&operation.operation, returned)
    }

    fn state_bytes(&self, state: &M::State) -> usize {
        self.0.state_bytes(state)
    }

    fn describe(&self, state: &M::State) -> String {
        self.0.describe(state)
    }
}

impl<M: Model> Keyed for Each<M> {
    type Key = Value;

    fn key<'a>(&self, operation: &'a At<M::Operation>) -> &'a Value {
        &operation.key
    }

    fn describe_key(&self, key: &Value) -> String {
        if *key == Value::Null { String::new() } else { key.to_string() }
    }
}

impl<M: Vocabulary> Vocabulary for Each<M> {
    type Operation = At<M::Operation>;
    type Return = M::Return;

    fn operation(&self, mut words: Words) -> Result<Self::Operation, &'static str> {
        let key = words.key.take().unwrap_or_default();
        Ok(At { key, operation: self.0.operation(words)? })
    }

    fn returned(
        &self,
        operation: &Self::Operation,
        value: Value,
    ) -> Result<M::Return, &'static str> {
        self.0.returned(&operation.operation, value)
    }

    fn words(&self, operation: &Self::Operation) -> Words {
        let key = Some(operation.key.clone()).filter(|it| *it != Value::Null);
        Words { key, ..self.0.words(&operation.operation) }
    }

    fn value(&self, operation: &Self::Operation, returned: &M::Return) -> Value {
        self.0.value(&operation.operation, returned)
    }
}

/// All objects of a keyed model as one, for those who doubt that they can be judged one by one.
///
/// A state holds the states of all objects, so that each step copies them.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it says how a model is used, and no more")]
pub struct Whole<M>(pub M);

impl<M: Keyed> Model for Whole<M> {
    /// The states of those objects that are not as in the beginning.
    type State = BTreeMap<M::Key, M::State>;
    type Operation = M::Operation;
    type Return = M::Return;

    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &Self::State,
        operation: &M::Operation,
        returned: Option<&M::Return>,
    ) -> Option<Self::State> {
        let key = self.0.key(operation);
        let initial = self.0.initial();
        let one = self.0.step(state.get(key).unwrap_or(&initial), operation, returned)?;
        let mut next = state.clone();
        if one == initial {
            next.remove(key);
        } else {
            next.insert(key.clone(), one);
        }
        Some(next)
    }

    fn is_read(&self, operation: &M::Operation, returned: Option<&M::Return>) -> bool {
        self.0.is_read(operation, returned)
    }

    fn state_bytes(&self, state: &Self::State) -> usize {
        let entry = size_of::<M::Key>() + 2 * size_of::<usize>();
        size_of::<Self::State>()
            + state.values().map(|it| entry + self.0.state_bytes(it)).sum::<usize>()
    }

    fn describe(&self, state: &Self::State) -> String {
        let one = |(key, state)| {
            format!("{} {}", self.0.describe_key(key), self.0.describe(state)).trim().to_owned()
        };
        state.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
