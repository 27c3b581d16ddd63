//! What will happen, soonest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::decision::mix;

/// A heap of small keys over a slab of what they stand for: no allocation once both are large
/// enough.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    pushed: u64,
    /// Orders what happens at the same time; `None`: as it was pushed.
    shuffle: Option<u64>,
}

/// A time, and below it the tie in the upper 40 bits, the slot in the lower 24.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    at: u64,
    tie_and_slot: u64,
}

impl<T> Queue<T> {
    pub(crate) const fn new(shuffle: Option<u64>) -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), pushed: 0, shuffle }
    }

    pub(crate) fn push(&mut self, at: u64, item: T) {
        self.pushed += 1;
        let tie = match self.shuffle {
            None => self.pushed,
            Some(seed) => mix(seed, 0, self.pushed),
        };
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(item);
            slot
        } else {
            assert!(self.slots.len() < 1 << SLOT_BITS, "16 million events are under way");
            self.slots.push(Some(item));
            self.slots.len() - 1
        };
        self.heap.push(Reverse(Key { at, tie_and_slot: (tie << SLOT_BITS) | slot as u64 }));
    }

    pub(crate) fn peek(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(key)| key.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let Reverse(key) = self.heap.pop()?;
        let slot = usize::try_from(key.tie_and_slot & ((1 << SLOT_BITS) - 1)).expect("24 bits");
        let item = self.slots[slot].take().expect("a key stands for something");
        self.free.push(slot);
        Some((key.at, item))
    }
}

const SLOT_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_ties_in_order() {
        let mut queue = Queue::new(None);
        for (at, item) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            queue.push(at, item);
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!(order, "abcd");
    }
}
