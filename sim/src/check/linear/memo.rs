//! What was entered before: sets of operations, each with the state that they led to.
//!
//! ```text
//! slots   | key, state, at | ..                         at: where the set is in the arena, plus 1
//! arena   | first word and count | words of known | words of unknown | ..
//! ```
//!
//! The words of the known operations leave out those in front that are full and those behind that
//! are empty, so that a set takes as much as what is concurrent. Equal keys are compared in full:
//! a hash alone never decides. Where all sets are one word, the word is the key.

use std::cmp::Ordering;

use super::super::traps::{Trap, planted};

/// How many bytes are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    /// Takes `bytes`, or returns `false` if there are fewer.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }

    pub(super) const fn give(&mut self, bytes: usize) {
        self.left += bytes;
    }
}

/// A set of operations that were taken, as words of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// The known operations before this word are all in the set.
    pub(super) first_word: u32,
    pub(super) known: &'a [u64],
    /// As many words for every set of a memory.
    pub(super) unknown: &'a [u64],
}

/// Whether a pair may be entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    New,
    /// It was entered before, or one like it that needed less of what may not have happened.
    Before,
    /// There is no memory left to remember it.
    Full,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    state: u32,
    at: u32,
}

/// # Invariants
///
/// - The number of slots is a power of 2, and one of them is free.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    /// Whether a set is one word: then it is its own key, and the arena stays empty.
    is_single: bool,
    slots: Vec<Slot>,
    count: usize,
    arena: Vec<u64>,
    bytes: usize,
}

impl Memo {
    /// Makes a memory for sets of so many known operations, and of the rest.
    pub(super) const fn new(known: u32, unknown: u32) -> Self {
        let is_single = known <= 64 && unknown == 0;
        Self { is_single, slots: Vec::new(), count: 0, arena: Vec::new(), bytes: 0 }
    }

    /// Remembers that `taken` led to `state`. `hash` is of the known operations in `taken`.
    pub(super) fn enter(
        &mut self,
        hash: u64,
        state: u32,
        taken: Taken<'_>,
        budget: &mut Budget,
    ) -> Entry {
        if self.slots.len() * 3 <= self.count * 4 && !self.grow(budget) {
            return Entry::Full;
        }
        let mut key =
            if self.is_single { taken.known.first().map_or(u64::MAX, |word| *word) } else { hash };
        if planted(Trap::TrustsHash) {
            key &= 0xff;
        }
        let mask = self.slots.len() - 1;
        let mut at = self.place(key, state) & mask;
        loop {
            let slot = self.slots[at];
            if slot.at == 0 {
                break;
            }
            if slot.key == key && slot.state == state && self.covers(slot.at - 1, taken) {
                return Entry::Before;
            }
            at = (at + 1) & mask;
        }
        let place = if self.is_single { Some(1) } else { self.store(taken, budget) };
        let Some(place) = place else { return Entry::Full };
        self.slots[at] = Slot { key, state, at: place };
        self.count += 1;
        Entry::New
    }

    /// Returns where a pair would be in a table without an end.
    fn place(&self, key: u64, state: u32) -> usize {
        let key = if self.is_single { spread(key) } else { key };
        low_bits(key ^ spread(u64::from(state) + 1))
    }

    /// Returns whether the set at `at` has the same known operations, and no others of the rest.
    fn covers(&self, at: u32, taken: Taken<'_>) -> bool {
        if self.is_single || planted(Trap::TrustsHash) {
            return true;
        }
        let at = at as usize;
        let known = taken.known.len();
        if self.arena[at] != header(taken) {
            return false;
        }
        let (stored, rest) = self.arena[at + 1..].split_at(known);
        stored.cmp(taken.known) == Ordering::Equal
            && rest.iter().zip(taken.unknown).all(|(stored, taken)| stored & !taken == 0)
    }

    /// Stores a set and returns where it is, plus 1.
    fn store(&mut self, taken: Taken<'_>, budget: &mut Budget) -> Option<u32> {
        let place = u32::try_from(self.arena.len() + 1).ok()?;
        let end = self.arena.len() + 1 + taken.known.len() + taken.unknown.len();
        if self.arena.capacity() < end {
            // The old one is there until the new one is filled.
            let before = self.arena.capacity() * size_of::<u64>();
            let capacity = (self.arena.capacity() * 2).max(end).max(ARENA_WORDS);
            let after = capacity * size_of::<u64>();
            if !budget.take(after) {
                return None;
            }
            self.arena.reserve_exact(capacity - self.arena.len());
            budget.give(before);
            self.bytes = self.bytes - before + after;
        }
        self.arena.push(header(taken));
        self.arena.extend_from_slice(taken.known);
        self.arena.extend_from_slice(taken.unknown);
        Some(place)
    }

    fn grow(&mut self, budget: &mut Budget) -> bool {
        let before = size_of_val(&*self.slots);
        let length = (self.slots.len() * 2).max(SLOTS);
        let after = length * size_of::<Slot>();
        if !budget.take(after) {
            return false;
        }
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); length]);
        for slot in old.into_iter().filter(|it| it.at != 0) {
            let mut at = self.place(slot.key, slot.state) & (length - 1);
            while self.slots[at].at != 0 {
                at = (at + 1) & (length - 1);
            }
            self.slots[at] = slot;
        }
        budget.give(before);
        self.bytes = self.bytes - before + after;
        true
    }

    /// Returns how much of the budget it holds.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn header(taken: Taken<'_>) -> u64 {
    (u64::from(taken.first_word) << 32) | taken.known.len() as u64
}

/// Returns the bits that choose a slot.
#[expect(clippy::cast_possible_truncation, reason = "any of its bits are as good")]
pub(super) const fn low_bits(hash: u64) -> usize {
    hash as usize
}

/// Returns a number whose every bit depends on all of `number`: the key of an operation in the hash
/// of a set, which is the exclusive or of those of its members.
///
/// Source: Zobrist, "A new hashing method" (1970); the finalizer of `SplitMix64`.
pub(super) const fn spread(number: u64) -> u64 {
    let it = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

/// The first table: most small histories need no other.
const SLOTS: usize = 16;

/// The first arena.
const ARENA_WORDS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn set<'a>(first_word: u32, known: &'a [u64], unknown: &'a [u64]) -> Taken<'a> {
        Taken { first_word, known, unknown }
    }

    #[test]
    fn equal_hashes_of_other_sets_are_new() {
        let (mut memo, mut budget) = (Memo::new(100, 3), Budget::new(1 << 20));
        let mut enter = |state, taken| memo.enter(7, state, taken, &mut budget);
        assert_eq!(enter(1, set(0, &[1], &[])), Entry::New);
        assert_eq!(enter(1, set(0, &[1], &[])), Entry::Before);
        assert_eq!(enter(2, set(0, &[1], &[])), Entry::New);
        assert_eq!(enter(1, set(0, &[2], &[])), Entry::New);
        assert_eq!(enter(1, set(1, &[1], &[])), Entry::New);
        assert_eq!(enter(1, set(0, &[1, 1], &[])), Entry::New);
        assert_eq!(enter(1, set(0, &[1, 1], &[])), Entry::Before);
    }

    #[test]
    fn a_set_of_one_word_is_its_own_key() {
        let (mut memo, mut budget) = (Memo::new(64, 0), Budget::new(1 << 20));
        let mut enter =
            |state, known: &[u64]| memo.enter(7, state, set(0, known, &[]), &mut budget);
        for word in 1..1_000 {
            assert_eq!([enter(1, &[word]), enter(2, &[word])], [Entry::New; 2]);
        }
        assert_eq!(enter(1, &[7]), Entry::Before);
        assert_eq!([enter(1, &[]), enter(1, &[])], [Entry::New, Entry::Before]);
        assert!(memo.arena.is_empty());
    }

    #[test]
    fn what_needed_less_of_the_unknown_covers_what_needs_more() {
        let (mut memo, mut budget) = (Memo::new(100, 3), Budget::new(1 << 20));
        let mut enter = |unknown: &[u64]| memo.enter(7, 1, set(0, &[1], unknown), &mut budget);
        assert_eq!(enter(&[0b010]), Entry::New);
        assert_eq!(enter(&[0b011]), Entry::Before);
        assert_eq!(enter(&[0b001]), Entry::New);
        assert_eq!(enter(&[0b000]), Entry::New);
        assert_eq!(enter(&[0b100]), Entry::Before);
    }

    #[test]
    fn a_memory_never_takes_more_than_the_budget() {
        let bytes = 1 << 16;
        let (mut memo, mut budget) = (Memo::new(100, 3), Budget::new(bytes));
        let mut count = 0_u64;
        while memo.enter(spread(count), 1, set(0, &[count], &[]), &mut budget) == Entry::New {
            count += 1;
        }
        assert!(500 < count && memo.bytes() <= bytes, "{count} sets in {} bytes", memo.bytes());
        assert_eq!(memo.bytes() + budget.left, bytes);
    }
}
