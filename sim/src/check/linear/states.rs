//! The states that were reached, each with a number, and what operations made of them.

use std::hash::{Hash, Hasher};

use super::memo::{Budget, low_bits, spread};

/// # Invariants
///
/// - No two states are equal. The number of slots is 0 or a power of 2, and half of them are free.
#[derive(Clone, Debug)]
pub(super) struct States<S> {
    states: Vec<S>,
    /// The number of a state plus 1, where its hash says. Empty while there are few.
    slots: Vec<u32>,
    /// Some of the steps that were taken lately. It forgets: an operation of a model can be asked
    /// again, it costs more.
    steps: Vec<Step>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    state: u32,
    op: u32,
    next: u32,
}

impl<S: Eq + Hash> States<S> {
    /// Makes a table for a history of `count` operations.
    pub(super) fn new(count: usize) -> Self {
        let steps = if count < FEW { 0 } else { (4 * count).next_power_of_two().min(STEPS_MAX) };
        let steps = vec![Step { state: u32::MAX, op: u32::MAX, next: 0 }; steps];
        Self { states: Vec::new(), slots: Vec::new(), steps, bytes: 0 }
    }

    pub(super) fn state(&self, number: u32) -> &S {
        &self.states[number as usize]
    }

    /// Returns the number of `state`, which takes `bytes`; `None` if the budget is spent.
    pub(super) fn number(&mut self, state: S, bytes: usize, budget: &mut Budget) -> Option<u32> {
        let mut at = 0;
        if self.slots.is_empty() {
            if let Some(number) = (0..).zip(&self.states).find(|(_, it)| **it == state) {
                return Some(number.0);
            }
        } else {
            let mask = self.slots.len() - 1;
            at = low_bits(hash(&state)) & mask;
            while let Some(number) = self.slots[at].checked_sub(1) {
                if self.states[number as usize] == state {
                    return Some(number);
                }
                at = (at + 1) & mask;
            }
        }
        // A slot or two, and a place in a list that may be half empty.
        let bytes = bytes + size_of::<S>() + 4 * size_of::<u32>();
        if !budget.take(bytes) {
            return None;
        }
        self.bytes += bytes;
        let number = u32::try_from(self.states.len()).ok().filter(|it| *it < IMPOSSIBLE)?;
        self.states.push(state);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number + 1;
        }
        if (FEW / 2).max(self.slots.len() / 2) < self.states.len() {
            self.grow();
        }
        Some(number)
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(2 * FEW);
        self.slots = vec![0; length];
        for (number, state) in (1..).zip(&self.states) {
            let mut at = low_bits(hash(state)) & (length - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (length - 1);
            }
            self.slots[at] = number;
        }
    }

    /// Returns what is remembered of `op` at `state`: the next state or [`IMPOSSIBLE`].
    pub(super) fn known_step(&self, state: u32, op: u32) -> Option<u32> {
        let step = self.steps.get(self.place(state, op))?;
        (step.state == state && step.op == op).then_some(step.next)
    }

    pub(super) fn remember_step(&mut self, state: u32, op: u32, next: u32) {
        let place = self.place(state, op);
        if let Some(step) = self.steps.get_mut(place) {
            *step = Step { state, op, next };
        }
    }

    fn place(&self, state: u32, op: u32) -> usize {
        let both = u64::from(state).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(op));
        low_bits(both ^ (both >> 32)) & self.steps.len().wrapping_sub(1)
    }

    /// Returns how much of the budget it holds.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn hash(state: &impl Hash) -> u64 {
    let mut fold = Fold(0);
    state.hash(&mut fold);
    fold.finish()
}

/// A hasher without a seed: runs must be equal.
struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(word));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        spread(self.0)
    }
}

/// Stands for the state after an operation that is impossible.
pub(super) const IMPOSSIBLE: u32 = u32::MAX;

/// As few operations, or half as many states, are asked for one by one.
const FEW: usize = 16;

/// The most steps that are remembered: as much as a second cache of a processor holds.
const STEPS_MAX: usize = 1 << 14;
