//! The replicated state: keys with their values, and which changes were applied.
//!
//! Every node applies the same changes in the same order, so all of them hold the same. A change
//! that a client repeats, because it never heard an answer, is known by its number and answered
//! from memory: Idempotent Receiver (Raft thesis, section 6.3).

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::DecodeError;

use super::wire::{Operation, Outcome, Stored, put_field, take_field};

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

    /// Writes all of it, a piece at a time, so that it need not be twice in memory.
    ///
    /// ```text
    /// applied u64, count u64, then per key: key, value
    /// count u64, then per client, silent longest first: client u64, number u64, at u64,
    ///     outcome u8: 0 done, 1 differs from nothing, 2 differs, and from what
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `take`.
    pub fn encode<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut out = BytesMut::new();
        let mut flush = |out: &mut BytesMut, is_over: bool| {
            if is_over || PIECE_BYTES < out.len() {
                take(out)?;
                out.clear();
            }
            Ok(())
        };
        out.put_u64_le(self.applied);
        out.put_u64_le(self.values.len() as u64);
        for (key, value) in &self.values {
            put_field(key, &mut out);
            put_field(value, &mut out);
            flush(&mut out, false)?;
        }
        out.put_u64_le(self.order.len() as u64);
        for client in self.order.values() {
            let Session { number, outcome, at } = &self.sessions[client];
            [*client, *number, *at].iter().for_each(|it| out.put_u64_le(*it));
            match outcome {
                Outcome::Done => out.put_u8(0),
                Outcome::Differs(None) => out.put_u8(1),
                Outcome::Differs(Some(value)) => {
                    out.put_u8(2);
                    put_field(value, &mut out);
                }
            }
            flush(&mut out, false)?;
        }
        flush(&mut out, true)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: it is something else.
    pub fn decode(mut input: Bytes) -> Result<Self, DecodeError> {
        let mut machine = Self { applied: input.try_get_u64_le()?, ..Self::default() };
        for _ in 0..input.try_get_u64_le()? {
            let key = take_field(&mut input)?;
            machine.values.insert(key, take_field(&mut input)?);
        }
        for _ in 0..input.try_get_u64_le()? {
            let client = input.try_get_u64_le()?;
            let (number, at) = (input.try_get_u64_le()?, input.try_get_u64_le()?);
            let outcome = match input.try_get_u8()? {
                0 => Outcome::Done,
                1 => Outcome::Differs(None),
                2 => Outcome::Differs(Some(take_field(&mut input)?)),
                found => return Err(DecodeError::UnknownKind { field: "outcome", found }),
            };
            machine.sessions.insert(client, Session { number, outcome, at });
            machine.order.insert(at, client);
        }
        if input.is_empty() {
            return Ok(machine);
        }
        Err(DecodeError::OutOfRange { field: "bytes behind", found: input.len() as u64 })
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

/// About how much of a snapshot is handed over at once.
const PIECE_BYTES: usize = 64 << 10;

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
    fn a_snapshot_holds_all_of_it() {
        let mut machine = Machine::default();
        for client in 0..3_000 {
            machine.apply(put(client, client % 3 + 1, "a"));
        }
        let cas = |old: &'static str| Operation::Cas {
            key: "k".into(),
            old: old.into(),
            new: "b".into(),
        };
        machine.apply(Stored { client: 7, number: 9, operation: cas("z") });
        machine.apply(Stored { client: 8, number: 9, operation: cas("a") });
        let mut bytes = Vec::new();
        let taken = machine.encode(|piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, DecodeError>(())
        });
        assert_eq!(taken, Ok(()));
        assert_eq!(Machine::decode(bytes.clone().into()), Ok(machine));
        for len in [0, 15, 40, bytes.len() - 1] {
            assert!(Machine::decode(bytes[..len].to_vec().into()).is_err(), "cut at {len}");
        }
        bytes.push(0);
        assert!(Machine::decode(bytes.into()).is_err());
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
