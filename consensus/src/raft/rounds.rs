//! Rounds: one mechanism for `ReadIndex` and for stepping down without a quorum.
//!
//! A leader numbers rounds within its term. It starts one with a `Beat` to everybody, and each
//! answer names the newest round its sender has seen. Once a quorum has answered a round, the
//! leader knows that it led when the round started.

use std::collections::VecDeque;

use quorate_core::Instant;

/// The rounds of one leader in one term.
///
/// # Invariants
///
/// - `started` is in order, and holds the rounds after `confirmed`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rounds {
    /// The newest round started. 0 before the first.
    newest: u64,
    /// The newest round that a quorum answered.
    confirmed: u64,
    /// When that round started; when the term did, before the first.
    confirmed_at: Instant,
    /// What was started and is not confirmed.
    started: VecDeque<(u64, Instant)>,
}

impl Rounds {
    /// The leader was elected `now`: a quorum followed it then.
    pub(super) const fn new(now: Instant) -> Self {
        Self { newest: 0, confirmed: 0, confirmed_at: now, started: VecDeque::new() }
    }

    /// Starts the next round.
    pub(super) fn start(&mut self, now: Instant) -> u64 {
        self.newest += 1;
        self.started.push_back((self.newest, now));
        self.newest
    }

    /// Takes in that a quorum has answered `round`. Returns whether that is news.
    pub(super) fn confirm(&mut self, round: u64) -> bool {
        let is_news = self.confirmed < round;
        while let Some(&(started, at)) = self.started.front()
            && started <= round
        {
            (self.confirmed, self.confirmed_at) = (started, at);
            self.started.pop_front();
        }
        is_news
    }

    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) const fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Returns since when nobody has confirmed that this node leads.
    pub(super) const fn confirmed_at(&self) -> Instant {
        self.confirmed_at
    }
}
