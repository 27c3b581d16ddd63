//! What a leader knows of one follower's log.
//!
//! ```text
//!            rejected, or a loss seen            matched
//!   +-------+ <----------------------- +-----------+
//!   | Probe |                          | Replicate |
//!   +-------+ -----------------------> +-----------+
//!   one append at a time,  matched     many at a time
//!   at most one a heartbeat
//! ```

use std::collections::VecDeque;

use super::Config;
use crate::Index;

/// What a leader knows of one follower's log.
///
/// # Invariants
///
/// - `match_index < next_index`.
/// - `inflight` is in order, and empty in `Probe`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    /// The follower holds the leader's log up to here, durably.
    pub(super) match_index: Index,
    /// The first entry to send.
    pub(super) next_index: Index,
    /// The newest round the follower answered.
    pub(super) echoed_round: u64,
    /// Whether storage is asked for entries to send to it.
    pub(super) is_fetching: bool,
    mode: Mode,
    /// The heartbeats that were not answered: their rounds, and what was to be sent next then.
    /// Several are under way where a round trip takes longer than the interval.
    beats: VecDeque<(u64, Index)>,
    /// The last index and the bytes of each append under way.
    inflight: VecDeque<(Index, usize)>,
    inflight_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Where the logs part is not known.
    Probe { is_waiting: bool },
    /// It is: appends follow each other without waiting.
    Replicate,
}

impl Progress {
    /// Knows nothing, and begins at `next_index`.
    pub(super) const fn new(next_index: Index) -> Self {
        Self {
            match_index: Index::ZERO,
            next_index,
            echoed_round: 0,
            is_fetching: false,
            mode: Mode::Probe { is_waiting: false },
            beats: VecDeque::new(),
            inflight: VecDeque::new(),
            inflight_bytes: 0,
        }
    }

    /// Returns whether an append may leave now.
    pub(super) fn is_ready(&self, config: &Config) -> bool {
        match self.mode {
            Mode::Probe { is_waiting } => !is_waiting,
            Mode::Replicate => {
                self.inflight.len() < config.max_inflight_appends
                    && self.inflight_bytes < config.max_inflight_bytes
            }
        }
    }

    /// Returns whether it is not known where the logs part.
    pub(super) const fn is_probing(&self) -> bool {
        matches!(self.mode, Mode::Probe { .. })
    }

    /// Takes in that an append with `bytes` of payload, whose last entry is at `last`, leaves.
    pub(super) fn handle_sent(&mut self, last: Index, bytes: usize) {
        match &mut self.mode {
            Mode::Probe { is_waiting } => *is_waiting = true,
            Mode::Replicate => {
                self.next_index = last.next();
                self.inflight.push_back((last, bytes));
                self.inflight_bytes += bytes;
            }
        }
    }

    /// Takes in that the logs agree up to `index`.
    pub(super) fn handle_matched(&mut self, index: Index) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(index.next());
        self.mode = Mode::Replicate;
        while let Some(&(last, bytes)) = self.inflight.front()
            && last <= index
        {
            self.inflight.pop_front();
            self.inflight_bytes -= bytes;
        }
    }

    /// Takes in that nothing after `index` arrived, and goes on from there, one at a time.
    pub(super) fn probe_after(&mut self, index: Index) {
        self.mode = Mode::Probe { is_waiting: false };
        self.next_index = index.max(self.match_index).next();
        self.inflight.clear();
        self.inflight_bytes = 0;
    }

    /// Sends nothing before the next beat.
    pub(super) fn pause(&mut self) {
        self.probe_after(self.next_index.previous());
        self.mode = Mode::Probe { is_waiting: true };
    }

    /// Takes in that a heartbeat, of `round`, leaves. A probe that got no answer may leave again.
    pub(super) fn handle_heartbeat(&mut self, round: u64) {
        if self.beats.len() == BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back((round, self.next_index));
        if let Mode::Probe { is_waiting } = &mut self.mode {
            *is_waiting = false;
        }
    }

    /// Takes in an answer to `round`. Returns whether `received` is less than was sent before it.
    pub(super) fn shows_loss(&mut self, round: u64, received: Index) -> bool {
        let mut sent = None;
        while let Some(&(beat, next_index)) = self.beats.front()
            && beat <= round
        {
            sent = Some(next_index).filter(|_| beat == round);
            self.beats.pop_front();
        }
        // What was sent again since the round began is not known to be lost.
        let is_behind = sent.is_some_and(|sent| received.next() < sent.min(self.next_index));
        self.mode == Mode::Replicate && is_behind
    }

    /// Returns whether a rejection of what follows `previous` is news.
    pub(super) fn is_answer(&self, previous: Index) -> bool {
        match self.mode {
            Mode::Probe { .. } => previous == self.next_index.previous(),
            Mode::Replicate => self.match_index < previous,
        }
    }
}

/// Heartbeats that are remembered: a follower that is further behind with its answers is as good as
/// absent.
const BEATS_MAX: usize = 64;
