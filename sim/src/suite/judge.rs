//! What is said about a history when its run is over.

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
