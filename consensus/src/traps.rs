//! Mistakes to plant in the cores, so that a test can show that the simulations see them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

// The worlds that the simulations run in. Integration tests cannot plant anything: for them this
// crate is built as for users.
#[cfg(test)]
#[path = "../tests/kit/log.rs"]
mod log;
#[cfg(test)]
#[path = "../tests/simulation/raft.rs"]
mod raft;

/// A mistake that a reader of the papers might make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trap {
    /// A vote leaves before it is durable.
    VotesBeforeDurable,
    /// A vote is granted to whoever asks last.
    VotesTwice,
    /// An entry of an older term is committed by counting replicas (Raft, figure 8).
    CommitsOldTerms,
    /// An append that repeats what is there truncates what follows.
    TruncatesOnStaleAppend,
    /// An append is acknowledged before it is durable.
    AcknowledgesBeforeSync,
    /// A leader counts its own log before it is durable.
    CountsItsUnsyncedLog,
    /// A read is served by whoever believes that it leads.
    ReadsWithoutARound,
    /// A new leader serves reads before it knows what is committed.
    ReadsBeforeItsTermCommits,
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

    use quorate_sim::kit::replicated_log;
    use quorate_sim::{Records, count_caught};

    use super::{Trap, log, raft};
    use crate::raft::Raft;

    type Memory = Records<Raft>;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Trap>> = const { Cell::new(None) };
    }

    const SEEDS: u64 = 200;

    #[test]
    fn every_trap_is_caught() {
        let traps = [
            Trap::VotesBeforeDurable,
            Trap::VotesTwice,
            Trap::CommitsOldTerms,
            Trap::TruncatesOnStaleAppend,
            Trap::AcknowledgesBeforeSync,
            Trap::CountsItsUnsyncedLog,
            Trap::ReadsWithoutARound,
            Trap::ReadsBeforeItsTermCommits,
        ];
        let survivors: Vec<Trap> = traps.into_iter().filter(|trap| !is_caught(*trap)).collect();
        assert!(survivors.is_empty(), "the world is too kind for {survivors:?}");
    }

    #[test]
    fn the_kit_names_what_each_trap_breaks() {
        let traps = [
            (Trap::VotesBeforeDurable, "a_vote_is_not_forgotten"),
            (Trap::VotesTwice, "one_leader_is_elected"),
            (Trap::CommitsOldTerms, "figure_8"),
            (Trap::TruncatesOnStaleAppend, "values_are_agreed_on_over_a_bad_network"),
            (Trap::AcknowledgesBeforeSync, "what_is_applied_is_not_forgotten"),
            (Trap::CountsItsUnsyncedLog, "what_is_applied_is_not_forgotten"),
        ];
        for (trap, case) in traps {
            PLANTED.set(Some(trap));
            let report = replicated_log::check_only(case, log::cluster);
            PLANTED.set(None);
            assert!(report.failed().any(|failed| failed == case), "{trap:?} passes {case}");
        }
    }

    /// Prints in how many seeds the trap is seen. Fewer than one in a hundred is as good as none.
    fn is_caught(trap: Trap) -> bool {
        PLANTED.set(Some(trap));
        let caught = match trap {
            Trap::CommitsOldTerms => count_caught(0..SEEDS, raft::run_hunt::<Memory>),
            Trap::VotesBeforeDurable | Trap::CountsItsUnsyncedLog => {
                raft::shaky::<Memory>("trap").count_caught(0..SEEDS)
            }
            _ => raft::suite::<Memory>("trap").count_caught(0..SEEDS),
        };
        PLANTED.set(None);
        println!("{trap:?}: {caught}");
        caught.runs <= caught.count * 100
    }
}
