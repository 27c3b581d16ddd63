//! Mistakes to plant in the judges, so that a test can show that their own tests see them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

/// A way to make a judge wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Slip {
    /// What may have happened counts as what did not.
    UnknownIsFailed,
    /// A read that did not see a write comes before nothing.
    IgnoresMisses,
    /// Reads of a list need not be starts of one order.
    TrustsReads,
}

/// Returns whether `slip` is planted.
#[cfg(not(test))]
pub(crate) const fn is_planted(_slip: Slip) -> bool {
    false
}

/// Returns whether `slip` is planted.
#[cfg(test)]
pub(crate) fn is_planted(slip: Slip) -> bool {
    tests::PLANTED.get() == Some(slip)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Slip>> = const { Cell::new(None) };
    }
}
