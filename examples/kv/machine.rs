//! The replicated state: keys with their values, and which changes were applied.
//!
//! Every node applies the same changes in the same order, so all of them hold the same. A change
//! that a client repeats, because it never heard an answer, is known by its number and answered
//! from memory: Idempotent Receiver (Raft thesis, section 6.3).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::wire::{Operation, Outcome, Stored};

/// The replicated state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    values: BTreeMap<Bytes, Bytes>,
    sessions: BTreeMap<u64, Session>,
    /// The clients in the order of their last changes, oldest first.
    order: BTreeMap<u64, u64>,
    /// Counts changes.
    applied: u64,
}

/// What is remembered of a client.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    /// Its last change, and how that ended.
    number: u64,
    outcome: Outcome,
    /// Its key in `order`.
    at: u64,
}

impl Machine {
    /// Applies `stored`, unless it was applied before, and returns how it ended the first time.
    ///
    /// `None` if it is older than the client's last change: nobody waits for it any more.
    pub fn apply(&mut self, stored: Stored) -> Option<Outcome> {
        let Stored { client, number, operation } = stored;
        self.applied += 1;
        if let Some(session) = self.sessions.get(&client) {
            if number < session.number {
                return None;
            }
            if number == session.number {
                return Some(session.outcome.clone());
            }
            self.order.remove(&session.at);
        }
        let outcome = self.change(operation);
        let session = Session { number, outcome: outcome.clone(), at: self.applied };
        self.sessions.insert(client, session);
        self.order.insert(self.applied, client);
        self.forget();
        Some(outcome)
    }

    /// Returns the value of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.values.get(key).cloned()
    }

    /// Returns how many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn change(&mut self, operation: Operation) -> Outcome {
        match operation {
            Operation::Put { key, value } => {
                self.values.insert(key, value);
            }
            Operation::Delete { key } => {
                self.values.remove(&key);
            }
            Operation::Cas { key, old, new } => match self.values.get_mut(&key) {
                Some(value) if *value == old => *value = new,
                found => return Outcome::Differs(found.cloned()),
            },
        }
        Outcome::Done
    }

    /// Forgets the client that has been silent the longest. All nodes forget the same one.
    fn forget(&mut self) {
        if SESSIONS_MAX < self.sessions.len()
            && let Some((_, client)) = self.order.pop_first()
        {
            self.sessions.remove(&client);
        }
    }
}

/// Clients that are remembered. One that is forgotten, and repeats a change after so many others
/// came, would have it applied twice.
const SESSIONS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(client: u64, number: u64, value: &'static str) -> Stored {
        let operation = Operation::Put { key: "k".into(), value: value.into() };
        Stored { client, number, operation }
    }

    #[test]
    fn a_repeat_is_answered_and_not_applied() {
        let mut machine = Machine::default();
        assert_eq!(machine.apply(put(1, 1, "a")), Some(Outcome::Done));
        assert_eq!(machine.apply(put(2, 1, "b")), Some(Outcome::Done));
        assert_eq!(machine.apply(put(1, 1, "a")), Some(Outcome::Done));
        assert_eq!(machine.get(b"k"), Some("b".into()));
        assert_eq!(machine.apply(put(1, 2, "c")), Some(Outcome::Done));
        assert_eq!(machine.apply(put(1, 1, "a")), None);
        assert_eq!(machine.get(b"k"), Some("c".into()));
    }

    #[test]
    fn a_repeated_cas_hears_how_the_first_ended() {
        let mut machine = Machine::default();
        let cas = |number, old: &'static str, new: &'static str| {
            let operation = Operation::Cas { key: "k".into(), old: old.into(), new: new.into() };
            Stored { client: 7, number, operation }
        };
        assert_eq!(machine.apply(cas(1, "a", "b")), Some(Outcome::Differs(None)));
        machine.apply(put(1, 1, "a"));
        assert_eq!(machine.apply(cas(1, "a", "b")), Some(Outcome::Differs(None)));
        assert_eq!(machine.apply(cas(2, "a", "b")), Some(Outcome::Done));
        assert_eq!(machine.apply(cas(2, "a", "b")), Some(Outcome::Done));
        assert_eq!(machine.get(b"k"), Some("b".into()));
    }

    #[test]
    fn the_client_that_is_silent_the_longest_is_forgotten() {
        let mut machine = Machine::default();
        for client in 0..=SESSIONS_MAX as u64 {
            machine.apply(put(client, 1, "a"));
            machine.apply(put(0, client + 1, "a"));
        }
        assert_eq!(machine.sessions.len(), SESSIONS_MAX);
        assert_eq!(machine.order.len(), SESSIONS_MAX);
        assert!(machine.sessions.contains_key(&0) && !machine.sessions.contains_key(&1));
    }
}
