//! What a transport has carried.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a [`Tcp`](super::Tcp) has carried and dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames handed to a socket.
    pub sent: u64,
    /// Frames taken from a socket.
    pub received: u64,
    /// Frames that were dropped because too many waited for a peer, or too long, or for nobody.
    pub dropped: u64,
    /// Times a peer was dialed.
    pub dials: u64,
    /// Connections that got as far as both hellos.
    pub sessions: u64,
    /// Connections closed because of a [`FrameError`](crate::FrameError).
    pub bad_frames: u64,
    /// Connections closed because of a [`HelloError`](crate::HelloError), or too many.
    pub refused: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    dials: AtomicU64,
    sessions: AtomicU64,
    bad_frames: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    pub(super) fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn dialed(&self) {
        self.dials.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn began(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bad_frame(&self) {
        self.bad_frames.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            sent: get(&self.sent),
            received: get(&self.received),
            dropped: get(&self.dropped),
            dials: get(&self.dials),
            sessions: get(&self.sessions),
            bad_frames: get(&self.bad_frames),
            refused: get(&self.refused),
        }
    }
}
