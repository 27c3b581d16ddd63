//! Mistakes to plant in the checkers, so that a test can show that their own tests see them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

// The laws that the integration tests check.
#[cfg(test)]
#[path = "../../tests/linear/laws.rs"]
mod laws;

/// A way to make a checker wrong, or so slow that it never answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trap {
    /// What may have happened counts as what did not.
    UnknownIsFailed,
    /// What leaves the state as it is happens at once, also if it could do so later.
    GreedyTrivial,
    /// An unknown compare-and-set counts as a read.
    UnknownCasIsRead,
    /// One partition after the other.
    OneAfterAnother,
    /// Steps that leave the state as it is are not remembered.
    ForgetsTrivial,
    /// Intervals are open: equal stamps are in order.
    OpenIntervals,
    /// Equal hashes count as equal sets.
    TrustsHash,
}

/// Returns whether `trap` is planted.
#[cfg(not(test))]
pub(crate) const fn planted(_trap: Trap) -> bool {
    false
}

/// Returns whether `trap` is planted.
#[cfg(test)]
pub(crate) fn planted(trap: Trap) -> bool {
    tests::PLANTED.get() == Some(trap)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::laws::{LAWS, Law};
    use super::*;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Trap>> = const { Cell::new(None) };
    }

    #[test]
    fn every_trap_is_caught() {
        for (trap, law) in [
            (Trap::UnknownIsFailed, "what_may_have_happened_explains_a_read"),
            (Trap::GreedyTrivial, "a_write_of_what_is_there_may_come_later"),
            (Trap::UnknownCasIsRead, "an_unknown_cas_explains_a_read"),
            (Trap::OneAfterAnother, "a_hard_key_hides_no_other"),
            (Trap::ForgetsTrivial, "equal_writes_are_tried_once_for_each_set"),
            (Trap::OpenIntervals, "equal_stamps_are_concurrent"),
            (Trap::TrustsHash, "equal_hashes_are_no_equal_sets"),
        ] {
            let broken = broken(trap);
            println!("{trap:?}: caught by {broken:?}");
            assert!(broken.contains(&law), "{trap:?} must break {law}, but breaks {broken:?}");
        }
    }

    fn broken(trap: Trap) -> Vec<&'static str> {
        PLANTED.set(Some(trap));
        let holds = |law: Law| catch_unwind(AssertUnwindSafe(law)).is_ok_and(|it| it.is_ok());
        let broken = LAWS.iter().filter(|(_, law)| !holds(*law)).map(|(name, _)| *name).collect();
        PLANTED.set(None);
        broken
    }
}
