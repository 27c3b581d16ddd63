//! What is said about a history when its run is over.

use std::fmt;

use crate::check::{Linearizable, Model, Verdict};
use crate::history::History;

/// Somebody who looks at what clients saw, and at nothing else.
///
/// A function of a name and a closure is one as well: `("no news", |history| ..)`.
pub trait Judge<O, R>: Send + Sync {
    /// Returns the name of the law: what two failures have in common.
    fn name(&self) -> &str;

    /// Judges a history.
    ///
    /// # Errors
    ///
    /// Why no correct system has this history.
    fn judge(&self, history: &History<O, R>) -> Result<(), String>;
}

/// A verdict that is [`Unknown`](Verdict::Unknown) is a failure too: a budget that is too small for
/// the history shows nothing.
impl<M> Judge<M::Operation, M::Return> for Linearizable<M>
where
    M: Model<Operation: fmt::Display, Return: fmt::Display> + Send + Sync,
{
    fn name(&self) -> &str {
        "linearizable"
    }

    fn judge(&self, history: &History<M::Operation, M::Return>) -> Result<(), String> {
        match self.check(history) {
            Verdict::Linearizable => Ok(()),
            Verdict::Violation(why) => Err(why.to_string()),
            Verdict::Unknown { spent } => Err(format!("undecided after {spent} steps")),
        }
    }
}

impl<O, R, F> Judge<O, R> for (&'static str, F)
where
    F: Fn(&History<O, R>) -> Result<(), String> + Send + Sync,
{
    fn name(&self) -> &str {
        self.0
    }

    fn judge(&self, history: &History<O, R>) -> Result<(), String> {
        (self.1)(history)
    }
}
