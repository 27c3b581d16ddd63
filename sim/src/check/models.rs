//! Models of the usual objects. All hold [`Value`]s, and all have a
//! [`Vocabulary`](crate::history::Vocabulary), so that their histories can be read from files.
//!
//! | model | operations in a file: `f`, `value` of the call -> `value` of the return |
//! |---|---|
//! | [`Register`] | `read` -> v; `write` v; `cas` \[old, new\] -> null, or false if it differs |
//! | [`Versioned`] | the same with \[version, v\] in place of v; null where nobody knows |
//! | [`Kv`] | `get` -> v; `put` v; `append` text; `delete`; `cas` \[old, new\] |
//! | [`Set`] | `add` v; `remove` v; `contains` v -> truth; `read` -> \[v, ..\] |
//! | [`Queue`] | `enqueue` v; `dequeue` -> v, or null if empty; `len` -> number |
//! | [`Stack`] | `push` v; `pop` -> v, or null if empty; `len` -> number |
//! | [`Counter`] | `add` number; `read` -> number |
//! | [`Lock`] | `acquire` who -> token, or null if another holds it; `release` who |

mod counter;
mod kv;
mod lock;
mod register;
mod sequence;
mod set;
mod versioned;

pub use self::counter::{Counter, CounterOp, CounterReturn};
pub use self::kv::{Kv, KvOp, KvReturn};
pub use self::lock::{Lock, LockOp, LockReturn, LockState};
pub use self::register::{Register, RegisterOp, RegisterReturn};
pub use self::sequence::{Queue, QueueOp, SequenceReturn, Stack, StackOp};
pub use self::set::{Set, SetOp, SetReturn};
pub use self::versioned::{Versioned, VersionedOp, VersionedReturn, VersionedState};

use crate::history::Value;

/// Says what a state of one value is.
fn holds(value: &Value) -> String {
    format!("holds {value}")
}

const CAS: &str = "cas with [old, new]";
const NOT_CAS: &str = "null, false or what the cas was called with";
