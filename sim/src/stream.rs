//! Sequences of decisions, each about one thing.

use crate::decision::{GAMMA, Ratio, finalize, mix};
use crate::traps::{Trap, planted, shared_number};

/// A sequence of decisions about one thing. A draw costs one finalizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// Makes the stream for `purpose` about `a` and `b`, whose numbers are below 2^28.
    pub(crate) const fn new(seed: u64, purpose: Purpose, a: u64, b: u64) -> Self {
        Self { key: mix(seed, ((purpose as u64) << 56) ^ (a << 28) ^ b, 0), counter: 0 }
    }

    /// Goes to the next occasion.
    pub(crate) const fn advance(&mut self) {
        self.counter += 1;
    }

    /// Returns what this occasion has for `purpose`, the same each time.
    pub(crate) fn number(self, purpose: Purpose) -> u64 {
        if planted(Trap::SharedStream) {
            return shared_number();
        }
        // Not `mix`, which costs three finalizers: the key is as good as random already.
        let offset = (purpose as u64) << 56;
        finalize((self.key ^ offset).wrapping_add(self.counter.wrapping_mul(GAMMA)))
    }

    /// Goes to the next occasion, and returns its number.
    pub(crate) fn next(&mut self) -> u64 {
        self.advance();
        self.number(Purpose::Next)
    }

    /// Returns whether the next number hits `ratio`. Counts even if `ratio` is zero.
    pub(crate) fn is_hit(&mut self, ratio: Ratio) -> bool {
        let number = self.next();
        ratio.is_hit(number)
    }
}

/// What a [`Stream`] decides. The numbers are part of what a seed means: append only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Next = 0,
    Link,
    Loss,
    Repeat,
    Again,
    Delay,
    Reorder,
    Overtaken,
    Sync,
    Fetch,
    Offset,
    Drift,
    Boot,
    PowerCut,
    Disk,
    Knob,
    Family,
    Wake,
    Mistake,
    Down,
    Records,
    SyncCut,
    Nodes,
    Client,
    Workload,
    Request,
    Reply,
    Target,
    Corrupt,
    Damage,
    Reset,
    Late,
    Interleave,
    Fault,
    Extra,
    Tuning,
    Kinds,
    Wander,
    Piece,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_of_one_stream_moves_no_other() {
        let mut first = Stream::new(1, Purpose::Loss, 1, 2);
        let mut other = Stream::new(1, Purpose::Loss, 2, 1);
        let alone = other.next();
        let mut other = Stream::new(1, Purpose::Loss, 2, 1);
        _ = first.next();
        assert_eq!(other.next(), alone);
        assert_ne!(first.next(), other.next());
    }
}
