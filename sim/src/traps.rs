//! Mistakes to plant in the simulator, so that a test can show that its own tests see them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

// The laws that the integration tests check. They cannot plant anything: for them this crate is
// built as for users.
#[cfg(test)]
#[path = "../tests/simulation/copies.rs"]
mod copies;
#[cfg(test)]
#[path = "../tests/simulation/laws.rs"]
mod laws;

/// A way to make a simulator too kind, or one that cannot be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trap {
    /// All decisions come from one stream, so that each moves all others.
    SharedStream,
    /// Every fault is on in every run.
    AlwaysOn,
    /// The power fails between two events, and never between two outputs.
    CrashBetweenEvents,
    /// After a failed sync the next one writes what the first did not.
    ForgivesFailedSync,
    /// A new file survives without a sync of its folder.
    KeepsNewFiles,
    /// A length survives only with its data.
    NoLengthWithoutData,
    /// Timers run in true time, whatever the node's clock says.
    TrueTimers,
    /// What was under way for a node that crashed reaches the one that starts.
    OldAnswers,
    /// A sync makes durable what was appended while it was under way.
    SyncCoversLater,
    /// Nobody asks whether anything happens after the faults.
    AsksNoLiveness,
    /// A history has the times of the clocks of nodes.
    NodeStamps,
    /// A plan shrinks to any failure, not to the one it had.
    ShrinksToAnyBug,
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

/// Returns the next number of the one stream of [`Trap::SharedStream`].
#[cfg(test)]
pub(crate) fn shared_number() -> u64 {
    tests::SHARED.set(tests::SHARED.get() + 1);
    crate::mix(0, 0, tests::SHARED.get())
}

/// Returns the next number of the one stream of [`Trap::SharedStream`], of which there is none.
#[cfg(not(test))]
pub(crate) const fn shared_number() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::laws::{LAWS, Law};
    use super::*;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Trap>> = const { Cell::new(None) };
        pub(super) static SHARED: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn every_trap_is_caught() {
        for (trap, law) in [
            (Trap::SharedStream, "a_loss_moves_no_other_message"),
            (Trap::AlwaysOn, "every_family_is_off_in_half_of_the_seeds"),
            (Trap::CrashBetweenEvents, "power_fails_between_two_outputs"),
            (Trap::ForgivesFailedSync, "a_failed_sync_loses_data"),
            (Trap::KeepsNewFiles, "a_new_file_is_lost_without_its_folder"),
            (Trap::NoLengthWithoutData, "a_length_survives_without_data"),
            (Trap::TrueTimers, "a_clock_that_drifts_wakes_early_or_late"),
            (Trap::OldAnswers, "no_answer_reaches_the_next_incarnation"),
            (Trap::SyncCoversLater, "a_sync_covers_what_came_before_it"),
            (Trap::AsksNoLiveness, "a_core_that_drops_everything_fails"),
            (Trap::NodeStamps, "a_history_has_the_time_of_the_world"),
            (Trap::ShrinksToAnyBug, "a_bug_shrinks_to_itself"),
        ] {
            let broken = broken(trap);
            println!("{trap:?}: caught by {broken:?}");
            assert!(broken.contains(&law), "{trap:?} must break {law}, but breaks {broken:?}");
        }
    }

    fn broken(trap: Trap) -> Vec<&'static str> {
        PLANTED.set(Some(trap));
        SHARED.set(0);
        let holds = |law: Law| catch_unwind(AssertUnwindSafe(law)).is_ok_and(|it| it.is_ok());
        let broken = LAWS.iter().filter(|(_, law)| !holds(*law)).map(|(name, _)| *name).collect();
        PLANTED.set(None);
        broken
    }
}
