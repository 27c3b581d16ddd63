//! Isolation of transactions: what they saw of each other, and which models that excludes.
//!
//! ```text
//! T1  append x 1, read y -> [1]          T1 -ww-> T2   in x, 2 follows 1
//! T2  append x 2, append y 1             T2 -wr-> T1   T1 read what T2 appended to y
//! T3  read x -> [1,2]                    a cycle of ww and wr: G1c, not even read committed
//! ```
//!
//! Elements of a list say in which order they were appended, so that a read of a list tells what
//! came before it: [`ListAppend`] finds whatever can be found. Registers tell less, and
//! [`RwRegister`] uses only what is certain. Neither blames a history that a serializable store
//! made: what may have happened counts as done if someone saw it, and as nothing if nobody did.
//!
//! Real time needs no edge for each pair: after the last of several ends there is one node, to
//! which all of them lead, and which leads to what begins next and to the next such node.
//!
//! Left out: predicates, and what a scan does not find.
//!
//! Source: Adya, "Weak consistency" (1999); Kingsbury and Alvaro, "Elle: inferring isolation
//! anomalies from experimental observations" (2020).

mod anomaly;
mod explain;
mod list_append;
mod list_key;
mod model;
mod register;
mod register_key;
mod times;
mod verdict;

pub use self::anomaly::{Anomaly, AnomalyKind, Dependency, Step};
pub use self::list_append::{ListAppend, ListHistory, ListOp};
pub use self::model::{ConsistencyModel, Level, Time, UnknownModel};
pub use self::register::{RegisterHistory, RwOp, RwRegister};
pub use self::verdict::Verdict;

use super::slips::{Slip, is_planted};
use crate::history::{Outcome, Span, Value};

/// A history that cannot be judged: the clients wrote the same twice, so nobody can tell which of
/// the two was read. Nothing was judged; give each write a value of its own.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "expected each value to be written once to a key, found {value} of {key} in T{first} and \
     T{second}"
)]
#[non_exhaustive]
pub struct WrittenTwice {
    /// Where.
    pub key: Value,
    /// What.
    pub value: i64,
    /// Who, as a position in the history.
    pub first: usize,
    /// Who else, or the same.
    pub second: usize,
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    /// It happened.
    Ok,
    /// It did not.
    Fail,
    /// Nobody knows.
    Info,
}

impl Status {
    fn of<O, R>(span: &Span<O, R>) -> Self {
        match span.outcome {
            Outcome::Ok { .. } => Self::Ok,
            Outcome::Fail { .. } => Self::Fail,
            Outcome::Info { .. } if is_planted(Slip::UnknownIsFailed) => Self::Fail,
            Outcome::Info { .. } => Self::Info,
        }
    }
}
