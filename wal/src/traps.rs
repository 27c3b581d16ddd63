//! Mistakes to plant in the log, so that a test can show that the simulation sees them.
//!
//! Outside of this crate's unit tests none is ever planted, and the branch is compiled away.

// The world that the simulation runs in. Integration tests cannot plant anything: for them this
// crate is built as for users.
#[cfg(test)]
#[path = "../tests/simulation/log.rs"]
mod log;

/// A mistake that someone who writes a log might make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trap {
    /// Recovery leaves what it cuts in the file.
    TailNotZeroed,
    /// A group is acknowledged once it is written.
    AckBeforeSync,
    /// A group is acknowledged though its sync failed.
    AckAfterFailedSync,
    /// A failed sync is tried again, and believed.
    RetryFailedSync,
    /// The old segment is not synced when the next one is begun.
    RollWithoutSync,
    /// A new segment has its name before its header is durable.
    NameBeforeHeader,
    /// What a batch truncates is a batch of its own.
    BatchInTwo,
    /// The promise of a group is what was durable when its first record was encoded.
    PromiseAtEncoding,
    /// A new segment's name is not made durable.
    RollWithoutSyncDir,
    /// A bad frame in the last segment is a torn write, whatever was promised behind it.
    PromiseIgnored,
    /// What recovery found is served before it is made durable.
    ServedBeforeSync,
    /// Segments are removed before the new low-water mark is durable.
    UnlinkBeforeMark,
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
    use std::panic;

    use super::*;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Trap>> = const { Cell::new(None) };
    }

    const SEEDS: u64 = 200;

    #[test]
    fn one_seed_is_one_story() {
        for seed in 0..20 {
            let story = log::run(seed).expect("the laws are kept");
            assert_eq!(log::run(seed).expect("the laws are kept"), story);
        }
    }

    #[test]
    fn every_trap_is_caught() {
        check(Trap::TailNotZeroed);
        check(Trap::AckBeforeSync);
        check(Trap::AckAfterFailedSync);
        check(Trap::RetryFailedSync);
        check(Trap::RollWithoutSync);
        check(Trap::NameBeforeHeader);
        check(Trap::BatchInTwo);
        check(Trap::PromiseAtEncoding);
        check(Trap::RollWithoutSyncDir);
        check(Trap::PromiseIgnored);
        check(Trap::ServedBeforeSync);
        check(Trap::UnlinkBeforeMark);
    }

    /// Prints in how many seeds the simulation sees the trap, and asserts that it does in some.
    fn check(trap: Trap) {
        PLANTED.set(Some(trap));
        let violations: Vec<(u64, String)> =
            (0..SEEDS).filter_map(|seed| Some((seed, violation(seed)?))).collect();
        PLANTED.set(None);
        let first = violations.first().unwrap_or_else(|| panic!("{trap:?} was not caught"));
        let (seed, law) = (first.0, first.1.lines().next().unwrap_or_default());
        let count = violations.len();
        println!("{trap:?}: caught in {count} of {SEEDS} seeds, first in {seed} as: {law}");
    }

    /// Returns the law that `seed` breaks. An assertion of the log itself is one.
    fn violation(seed: u64) -> Option<String> {
        panic::catch_unwind(|| log::run(seed).err())
            .unwrap_or_else(|_| Some("an assertion of the log failed".to_owned()))
    }
}
