//! Starting, for the first time or again.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::{Instant, Outputs, SplitMix64, WriteId};
use thiserror::Error;

use super::log::Log;
use super::read::ConfirmedReads;
use super::{Config, ConfigError, HardState, Raft, ReadId, Record, State, Stats};
use crate::{Entry, Index, LogId, Term};

/// Why a node cannot start from its records.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Entries are missing: the storage lost records in the middle.
    #[error("the log goes on at {found} after {last}")]
    Gap {
        /// The last entry before.
        last: Index,
        /// What came next.
        found: Index,
    },
    /// The application is ahead of the log of a cluster of one, where nobody else has the rest: the
    /// storage lost records.
    #[error("the application is at {applied}, the log of the only voter ends at {last}")]
    AppliedBeyondLog {
        /// Where the application is.
        applied: Index,
        /// The last entry.
        last: Index,
    },
    /// The application is behind where the log begins: what it lacks is gone. Its snapshot is lost.
    #[error("the application is at {applied}, the log begins after {start}")]
    AppliedBeforeLog {
        /// Where the application is.
        applied: Index,
        /// The last entry that is gone.
        start: Index,
    },
    /// A term falls, or is above the hard state's: the storage lost records, or has another
    /// node's.
    #[error("a record of term {found} came after term {latest}")]
    TermFell {
        /// The latest term before.
        latest: Term,
        /// What came next.
        found: Term,
    },
}

impl Raft {
    /// Makes a node that has nothing, as a follower.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn new(config: Config, seed: u64, now: Instant) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self::start(config, HardState::default(), Log::default(), seed, now))
    }

    /// Makes the node that wrote `records`, in their order, as a follower.
    ///
    /// Deliveries go on after `applied`: 0 if the application starts empty. It may be beyond the
    /// end of the log: what is committed may be applied here before it is durable here. Give each
    /// start and each node another `seed`, or nodes may campaign at the same moments for ever.
    ///
    /// O(n) time for n entries, of which the newest stay in memory.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]: these are not all records of one node. Do not start it with others: a
    /// node that forgot its vote can elect a second leader.
    pub fn restore(
        config: Config,
        records: impl IntoIterator<Item = Record>,
        applied: Index,
        seed: u64,
        now: Instant,
    ) -> Result<Self, RestoreError> {
        Self::restore_after(config, LogId::default(), records, applied, seed, now)
    }

    /// As [`restore`](Self::restore), of a node whose storage let go of the entries up to `start`,
    /// with it. All of them must be committed, replicated to every voter, and in the application:
    /// see [`Status::replicated_index`](super::Status::replicated_index). `records` begin with a
    /// hard state, the last one that came before them, and their entries with the one behind
    /// `start`.
    ///
    /// A follower that needs an entry that is gone, because it lost its own log, waits for ever.
    ///
    /// # Errors
    ///
    /// Those of [`restore`](Self::restore).
    pub fn restore_after(
        config: Config,
        start: LogId,
        records: impl IntoIterator<Item = Record>,
        applied: Index,
        seed: u64,
        now: Instant,
    ) -> Result<Self, RestoreError> {
        config.check()?;
        if applied < start.index {
            return Err(RestoreError::AppliedBeforeLog { applied, start: start.index });
        }
        let (mut hard_state, mut log) = (HardState::default(), Log::after(start));
        for record in records {
            match record {
                Record::HardState(state) if state.term < hard_state.term => {
                    let (latest, found) = (hard_state.term, state.term);
                    return Err(RestoreError::TermFell { latest, found });
                }
                Record::HardState(state) => hard_state = state,
                Record::Entries(entries) => {
                    replay(&mut log, entries, hard_state.term)?;
                    log.handle_durable(log.last_index());
                    log.evict(log.last_index(), config.max_cached_bytes);
                }
            }
        }
        let last = log.last_index();
        if last < applied && config.voters.voters().len() == 1 {
            return Err(RestoreError::AppliedBeyondLog { applied, last });
        }
        if hard_state.term < start.term {
            let (latest, found) = (start.term, hard_state.term);
            return Err(RestoreError::TermFell { latest, found });
        }
        let mut raft = Self::start(config, hard_state, log, seed, now);
        raft.last_delivered = applied;
        raft.commit_index = start.index;
        Ok(raft)
    }

    fn start(config: Config, hard_state: HardState, log: Log, seed: u64, now: Instant) -> Self {
        let mut raft = Self {
            config,
            random: SplitMix64::new(seed),
            now,
            hard_state,
            hard_state_write: WriteId::default(),
            state: State::Follower,
            leader: None,
            heard_at: None,
            received: Index::ZERO,
            election_at: now,
            log,
            unsaved_from: None,
            unpersisted: VecDeque::new(),
            unpersisted_bytes: 0,
            commit_index: Index::ZERO,
            last_delivered: Index::ZERO,
            last_read: ReadId::default(),
            confirmed_reads: ConfirmedReads::default(),
            fetches: BTreeMap::new(),
            is_fetching_deliveries: false,
            fetch_again_at: None,
            is_flush_due: false,
            stats: Stats::default(),
            outputs: Outputs::default(),
        };
        raft.draw_election_at();
        raft
    }
}

/// Replaces everything in `log` from the first of `entries` on.
fn replay(log: &mut Log, entries: Vec<Entry>, term: Term) -> Result<(), RestoreError> {
    let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(()) };
    if first <= log.start().index || log.last_index().next() < first {
        return Err(RestoreError::Gap { last: log.last_index(), found: first });
    }
    log.truncate_suffix(first);
    for entry in entries {
        let last = log.last();
        if entry.index != last.index.next() {
            return Err(RestoreError::Gap { last: last.index, found: entry.index });
        }
        if entry.term < last.term {
            return Err(RestoreError::TermFell { latest: last.term, found: entry.term });
        }
        if term < entry.term {
            return Err(RestoreError::TermFell { latest: entry.term, found: term });
        }
        log.push(entry);
    }
    Ok(())
}
