//! Mistakes to plant in the judges, so that a test can show that their own tests see them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

// The laws that the integration tests check.
#[cfg(test)]
#[path = "../../tests/transactions/laws.rs"]
mod isolation;
#[cfg(test)]
#[path = "../../tests/judges/laws.rs"]
mod judges;

/// A way to make a judge wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Slip {
    /// What may have happened counts as what did not.
    UnknownIsFailed,
    /// A read that did not see a write comes before nothing.
    IgnoresMisses,
    /// Reads of a list need not be starts of one order.
    TrustsReads,
    /// A session need not see what others did before what it saw of them.
    SessionsAreAlone,
    /// An element that is gone in the end is only late.
    LosesAreStale,
    /// What is between two messages that were polled does not matter.
    SkipsAreFine,
    /// An event that comes later than one of a later revision is in order.
    AnyOrder,
    /// A copy that says nothing agrees.
    SilenceAgrees,
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
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Slip>> = const { Cell::new(None) };
    }

    #[test]
    fn every_slip_is_caught() {
        for (slip, law) in [
            (Slip::UnknownIsFailed, "what_nobody_knows_may_have_happened"),
            (Slip::UnknownIsFailed, "what_nobody_knows_may_be_counted"),
            (Slip::IgnoresMisses, "what_was_not_seen_comes_later"),
            (Slip::TrustsReads, "reads_of_a_list_fit_one_order"),
            (Slip::SessionsAreAlone, "who_sees_a_write_sees_what_was_before_it"),
            (Slip::LosesAreStale, "what_was_acknowledged_is_there_in_the_end"),
            (Slip::SkipsAreFine, "a_poll_leaves_nothing_out"),
            (Slip::AnyOrder, "events_come_in_the_order_of_revisions"),
            (Slip::SilenceAgrees, "a_copy_that_says_nothing_does_not_agree"),
        ] {
            let broken = broken(slip);
            println!("{slip:?}: caught by {broken:?}");
            assert!(broken.contains(&law), "{slip:?} must break {law}, but breaks {broken:?}");
        }
    }

    fn broken(slip: Slip) -> Vec<&'static str> {
        PLANTED.set(Some(slip));
        let all = isolation::LAWS.iter().chain(judges::LAWS);
        let holds =
            |law: isolation::Law| catch_unwind(AssertUnwindSafe(law)).is_ok_and(|it| it.is_ok());
        let broken = all.filter(|(_, law)| !holds(*law)).map(|(name, _)| *name).collect();
        PLANTED.set(None);
        broken
    }
}
