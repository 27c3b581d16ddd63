//! A queue and a stack: what is put in comes out, in the same order or in the opposite one.

use std::collections::VecDeque;
use std::fmt;

use crate::check::Model;
use crate::history::{Value, Vocabulary, Words};

/// A queue, empty at first: first in, first out.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Queue;

/// A stack, empty at first: last in, first out.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to configure")]
pub struct Stack;

/// What a queue is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum QueueOp {
    /// This shall be the last.
    Enqueue(Value),
    /// What is the first? It is taken out.
    Dequeue,
    /// How many are there?
    Len,
}

/// What a stack is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum StackOp {
    /// This shall be on top.
    Push(Value),
    /// What is on top? It is taken out.
    Pop,
    /// How many are there?
    Len,
}

/// What a queue or a stack answers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum SequenceReturn {
    /// It was put in.
    Done,
    /// It was taken out.
    Taken(Value),
    /// There was nothing to take.
    Empty,
    /// How many there are.
    Len(u64),
}

/// What both do, but for the end at which they take.
enum Do<'a> {
    Put(&'a Value),
    Take { is_last: bool },
    Len,
}

impl QueueOp {
    const fn kind(&self) -> Do<'_> {
        match self {
            Self::Enqueue(value) => Do::Put(value),
            Self::Dequeue => Do::Take { is_last: false },
            Self::Len => Do::Len,
        }
    }
}

impl StackOp {
    const fn kind(&self) -> Do<'_> {
        match self {
            Self::Push(value) => Do::Put(value),
            Self::Pop => Do::Take { is_last: true },
            Self::Len => Do::Len,
        }
    }
}

fn step(
    state: &VecDeque<Value>,
    kind: &Do<'_>,
    returned: Option<&SequenceReturn>,
) -> Option<VecDeque<Value>> {
    use SequenceReturn::{Done, Empty, Len, Taken};
    let first = match kind {
        Do::Take { is_last: false } => state.front(),
        Do::Take { is_last: true } => state.back(),
        Do::Put(_) | Do::Len => None,
    };
    let fits = match (kind, returned) {
        (_, None) | (Do::Put(_), Some(Done)) => true,
        (Do::Take { .. }, Some(Taken(value))) => first == Some(value),
        (Do::Take { .. }, Some(Empty)) => first.is_none(),
        (Do::Len, Some(Len(count))) => state.len() as u64 == *count,
        _ => false,
    };
    fits.then(|| {
        let mut next = state.clone();
        match kind {
            Do::Put(value) => next.push_back(Value::clone(value)),
            Do::Take { is_last: false } => _ = next.pop_front(),
            Do::Take { is_last: true } => _ = next.pop_back(),
            Do::Len => {}
        }
        next
    })
}

/// Nothing was there, or only the count was asked for: no state is changed.
fn is_read(kind: &Do<'_>, returned: Option<&SequenceReturn>) -> bool {
    matches!(kind, Do::Len) || returned == Some(&SequenceReturn::Empty)
}

fn state_bytes(state: &VecDeque<Value>) -> usize {
    size_of::<VecDeque<Value>>() + state.iter().map(Value::bytes).sum::<usize>()
}

fn returned(kind: &Do<'_>, value: Value) -> Result<SequenceReturn, &'static str> {
    match (kind, value) {
        (Do::Put(_), _) => Ok(SequenceReturn::Done),
        (Do::Take { .. }, Value::Null) => Ok(SequenceReturn::Empty),
        (Do::Take { .. }, value) => Ok(SequenceReturn::Taken(value)),
        (Do::Len, value) => {
            value.as_natural().map(SequenceReturn::Len).ok_or("how many there are, a number")
        }
    }
}

fn value(returned: &SequenceReturn) -> Value {
    match returned {
        SequenceReturn::Done | SequenceReturn::Empty => Value::Null,
        SequenceReturn::Taken(value) => value.clone(),
        SequenceReturn::Len(count) => Value::Integer(i64::try_from(*count).unwrap_or(i64::MAX)),
    }
}

impl Model for Queue {
    type State = VecDeque<Value>;
    type Operation = QueueOp;
    type Return = SequenceReturn;

    fn initial(&self) -> VecDeque<Value> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<Value>,
        operation: &QueueOp,
        returned: Option<&SequenceReturn>,
    ) -> Option<VecDeque<Value>> {
        step(state, &operation.kind(), returned)
    }

    fn is_read(&self, operation: &QueueOp, returned: Option<&SequenceReturn>) -> bool {
        is_read(&operation.kind(), returned)
    }

    fn state_bytes(&self, state: &VecDeque<Value>) -> usize {
        state_bytes(state)
    }

    fn describe(&self, state: &VecDeque<Value>) -> String {
        super::holds(&Value::list(state.iter().cloned()))
    }
}

impl Model for Stack {
    type State = VecDeque<Value>;
    type Operation = StackOp;
    type Return = SequenceReturn;

    fn initial(&self) -> VecDeque<Value> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<Value>,
        operation: &StackOp,
        returned: Option<&SequenceReturn>,
    ) -> Option<VecDeque<Value>> {
        step(state, &operation.kind(), returned)
    }

    fn is_read(&self, operation: &StackOp, returned: Option<&SequenceReturn>) -> bool {
        is_read(&operation.kind(), returned)
    }

    fn state_bytes(&self, state: &VecDeque<Value>) -> usize {
        state_bytes(state)
    }

    fn describe(&self, state: &VecDeque<Value>) -> String {
        super::holds(&Value::list(state.iter().cloned()))
    }
}

impl Vocabulary for Queue {
    type Operation = QueueOp;
    type Return = SequenceReturn;

    fn operation(&self, words: Words) -> Result<QueueOp, &'static str> {
        match &*words.f {
            "enqueue" => Ok(QueueOp::Enqueue(words.value)),
            "dequeue" => Ok(QueueOp::Dequeue),
            "len" => Ok(QueueOp::Len),
            _ => Err("enqueue, dequeue or len"),
        }
    }

    fn returned(&self, operation: &QueueOp, value: Value) -> Result<SequenceReturn, &'static str> {
        returned(&operation.kind(), value)
    }

    fn words(&self, operation: &QueueOp) -> Words {
        match operation {
            QueueOp::Enqueue(value) => Words::new("enqueue", value.clone()),
            QueueOp::Dequeue => Words::new("dequeue", Value::Null),
            QueueOp::Len => Words::new("len", Value::Null),
        }
    }

    fn value(&self, _operation: &QueueOp, returned: &SequenceReturn) -> Value {
        value(returned)
    }
}

impl Vocabulary for Stack {
    type Operation = StackOp;
    type Return = SequenceReturn;

    fn operation(&self, words: Words) -> Result<StackOp, &'static str> {
        match &*words.f {
            "push" => Ok(StackOp::Push(words.value)),
            "pop" => Ok(StackOp::Pop),
            "len" => Ok(StackOp::Len),
            _ => Err("push, pop or len"),
        }
    }

    fn returned(&self, operation: &StackOp, value: Value) -> Result<SequenceReturn, &'static str> {
        returned(&operation.kind(), value)
    }

    fn words(&self, operation: &StackOp) -> Words {
        match operation {
            StackOp::Push(value) => Words::new("push", value.clone()),
            StackOp::Pop => Words::new("pop", Value::Null),
            StackOp::Len => Words::new("len", Value::Null),
        }
    }

    fn value(&self, _operation: &StackOp, returned: &SequenceReturn) -> Value {
        value(returned)
    }
}

impl fmt::Display for QueueOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enqueue(value) => write!(f, "enqueue {value}"),
            Self::Dequeue => f.write_str("dequeue"),
            Self::Len => f.write_str("len"),
        }
    }
}

impl fmt::Display for StackOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Push(value) => write!(f, "push {value}"),
            Self::Pop => f.write_str("pop"),
            Self::Len => f.write_str("len"),
        }
    }
}

impl fmt::Display for SequenceReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Taken(value) => write!(f, "{value}"),
            Self::Empty => f.write_str("none"),
            Self::Len(count) => write!(f, "{count}"),
        }
    }
}
