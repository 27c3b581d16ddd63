//! One register: what is certain about the order of its values, and what follows from it.

use super::anomaly::AnomalyKind;
use super::explain::{Maybe, Name};
use super::list_append::Act;
use super::register::{RegisterAct, RegisterHistory};
use super::times::{Barriers, Moment, moments};
use super::verdict::Findings;
use super::{Status, WrittenTwice};
use crate::check::cycles::{Edges, Kinds};
use crate::check::slips::{Slip, is_planted};
use crate::history::Value;

/// All that was done to a register.
pub(super) struct RegisterKey<'a> {
    key: &'a Value,
    id: u32,
    acts: &'a [Act<RegisterAct>],
    statuses: &'a [Status],
    /// In the order of values.
    writes: Vec<Write>,
}

#[derive(Clone, Copy, Debug)]
struct Write {
    value: i64,
    transaction: u32,
    /// Whether its transaction writes nothing there afterwards.
    is_last: bool,
    /// Whether a transaction read it.
    is_seen: bool,
}

/// What one transaction did to a register.
struct Run<'a> {
    transaction: u32,
    acts: &'a [Act<RegisterAct>],
    /// What it read before it wrote.
    read: Option<Option<i64>>,
    /// Whether it wrote.
    writes: bool,
}

impl<'a> RegisterKey<'a> {
    pub(super) fn new(
        key: &'a Value,
        id: u32,
        acts: &'a [Act<RegisterAct>],
        statuses: &'a [Status],
    ) -> Result<Self, WrittenTwice> {
        let mut writes: Vec<Write> = Vec::new();
        for act in acts {
            let RegisterAct::Write(value) = act.what else { continue };
            let transaction = act.transaction;
            if let Some(before) = writes.last_mut()
                && before.transaction == transaction
            {
                before.is_last = false;
            }
            writes.push(Write { value, transaction, is_last: true, is_seen: false });
        }
        writes.sort_by_key(|write| write.value);
        if let Some(pair) = writes.windows(2).find(|pair| pair[0].value == pair[1].value) {
            let (first, second) = (pair[0].transaction as usize, pair[1].transaction as usize);
            return Err(WrittenTwice { key: key.clone(), value: pair[0].value, first, second });
        }
        let mut register = Self { key, id, acts, statuses, writes };
        for act in acts {
            if let RegisterAct::Read(Some(value)) = act.what
                && let Some(place) = register.place(value)
            {
                register.writes[place].is_seen = true;
            }
        }
        Ok(register)
    }

    fn place(&self, value: i64) -> Option<usize> {
        self.writes.binary_search_by_key(&value, |write| write.value).ok()
    }

    /// Returns who wrote `value`, if that happened.
    fn writer(&self, value: i64) -> Option<u32> {
        let transaction = self.writes[self.place(value)?].transaction;
        (self.statuses[transaction as usize] != Status::Fail).then_some(transaction)
    }

    fn runs(&self) -> impl Iterator<Item = Run<'a>> {
        self.acts.chunk_by(|one, two| one.transaction == two.transaction).map(|acts| Run {
            transaction: acts[0].transaction,
            acts,
            read: match acts[0].what {
                RegisterAct::Read(value) => Some(value),
                RegisterAct::Write(_) => None,
            },
            writes: acts.iter().any(|act| matches!(act.what, RegisterAct::Write(_))),
        })
    }

    /// Notes what is wrong here, and adds the edges that follow.
    pub(super) fn scan(&self, edges: &mut Edges, findings: &mut Findings) {
        // By the value that was read first: who read it, and who overwrote it.
        let mut readers: Vec<(Option<i64>, u32)> = Vec::new();
        let mut updates: Vec<(Option<i64>, u32)> = Vec::new();
        for run in self.runs() {
            self.internal(&run, findings);
            for act in run.acts {
                let RegisterAct::Read(value) = act.what else { break };
                self.look_at(value, run.transaction, findings);
                readers.push((value, run.transaction));
                if let Some(writer) = value.and_then(|value| self.writer(value)) {
                    edges.add(writer, run.transaction, Kinds::WR, self.id);
                }
            }
            if let (Some(value), true) = (run.read, run.writes) {
                updates.push((value, run.transaction));
            }
        }
        readers.sort_unstable();
        readers.dedup();
        updates.sort_unstable();
        for pair in updates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (one, two) = (pair[0].1, pair[1].1);
            findings.note(AnomalyKind::LostUpdate, &[one, two], || {
                let (name, value) = (Name(self.key), Maybe(pair[0].0));
                format!("T{one} and T{two} read {name} = {value}, and both overwrote it")
            });
        }
        self.add_edges(&readers, &updates, edges);
    }

    fn add_edges(
        &self,
        readers: &[(Option<i64>, u32)],
        updates: &[(Option<i64>, u32)],
        edges: &mut Edges,
    ) {
        let with = |list: &[(Option<i64>, u32)], value| -> Vec<u32> {
            let start = list.partition_point(|(of, _)| *of < value);
            let here = list[start..].iter().take_while(|(of, _)| *of == value);
            here.map(|(_, transaction)| *transaction).collect()
        };
        for group in updates.chunk_by(|one, two| one.0 == two.0) {
            let Some(value) = group[0].0 else { continue };
            let later = with(updates, Some(value));
            if let Some(writer) = self.writer(value) {
                edges.fan(&[writer], &later, Kinds::WW, self.id);
            }
            if !is_planted(Slip::IgnoresMisses) {
                edges.fan(&with(readers, Some(value)), &later, Kinds::RW, self.id);
            }
        }
        // All that was written came after nothing.
        let is_there = |write: &&Write| match self.statuses[write.transaction as usize] {
            Status::Ok => true,
            Status::Info => write.is_seen,
            Status::Fail => false,
        };
        let mut written: Vec<u32> =
            self.writes.iter().filter(is_there).map(|write| write.transaction).collect();
        written.sort_unstable();
        written.dedup();
        if !is_planted(Slip::IgnoresMisses) {
            edges.fan(&with(readers, None), &written, Kinds::RW, self.id);
        }
    }

    fn look_at(&self, value: Option<i64>, reader: u32, findings: &mut Findings) {
        let (name, Some(value)) = (Name(self.key), value) else { return };
        let Some(write) = self.place(value).map(|place| self.writes[place]) else {
            findings.note(AnomalyKind::GarbageRead, &[reader], || {
                format!("T{reader} read {name} = {value}, which nobody wrote")
            });
            return;
        };
        let writer = write.transaction;
        if self.statuses[writer as usize] == Status::Fail {
            findings.note(AnomalyKind::G1a, &[reader, writer], || {
                format!("T{reader} read {name} = {value}, which T{writer} wrote and failed")
            });
        }
        if !write.is_last && writer != reader {
            findings.note(AnomalyKind::G1b, &[reader, writer], || {
                format!("T{reader} read {name} = {value}, which T{writer} then overwrote itself")
            });
        }
    }

    /// Looks for reads that do not fit what their own transaction read and wrote.
    fn internal(&self, run: &Run<'_>, findings: &mut Findings) {
        let (reader, name) = (run.transaction, Name(self.key));
        let mut current: Option<Option<i64>> = None;
        for act in run.acts {
            let found = match act.what {
                RegisterAct::Write(value) => {
                    current = Some(Some(value));
                    continue;
                }
                RegisterAct::Read(found) => found,
            };
            let own = found.and_then(|value| self.place(value));
            let is_own = own.is_some_and(|place| self.writes[place].transaction == reader);
            if is_own && !wrote_before(run.acts, act, found) {
                findings.note(AnomalyKind::FutureRead, &[reader], || {
                    format!("T{reader} read {name} = {}, and wrote it later", Maybe(found))
                });
            } else if current.is_some_and(|current| current != found) {
                findings.note(AnomalyKind::Internal, &[reader], || {
                    let current = Maybe(current.flatten());
                    format!("T{reader} had {name} = {current}, and read {}", Maybe(found))
                });
            }
            current = Some(found);
        }
    }

    /// Adds the order of values that follows if the register alone is linearizable: what was over
    /// came before what began afterwards.
    pub(super) fn add_times(&self, history: &RegisterHistory, edges: &mut Edges) {
        let writers = self.runs().filter(|run| run.writes).map(|run| run.transaction);
        let is_there = |index: &u32| self.statuses[*index as usize] == Status::Ok;
        let writers: Vec<u32> = writers.filter(is_there).collect();
        let mut barriers = Barriers::default();
        let mut after: Vec<(u32, Option<u32>)> = Vec::new();
        let mut returned = Vec::new();
        let mut calls = Vec::new();
        for moment in moments(history, writers.into_iter()) {
            match moment {
                Moment::Returned(index) => {
                    barriers.waits.push((index, self.id));
                    returned.push((index, calls.len()));
                }
                Moment::Called(index) => {
                    if let Some(barrier) = barriers.before_call(edges, Kinds::WW) {
                        edges.add(barrier, index, Kinds::REST, self.id);
                        for (writer, _) in returned.iter().skip(after.len()) {
                            after.push((*writer, Some(barrier)));
                        }
                    }
                    calls.push(index);
                }
            }
        }
        after.sort_unstable();
        returned.sort_unstable();
        let place_of = |writer: u32| {
            after.binary_search_by_key(&writer, |(writer, _)| *writer).ok().map(|it| after[it].1)
        };
        for run in self.runs() {
            let Some(writer) = run.read.flatten().and_then(|value| self.writer(value)) else {
                continue;
            };
            if !run.writes {
                if let Some(Some(barrier)) = place_of(writer) {
                    edges.add(run.transaction, barrier, Kinds::RW, self.id);
                }
                continue;
            }
            // It is one of the writers itself, so it must not reach all of them.
            if let Ok(place) = returned.binary_search_by_key(&writer, |(writer, _)| *writer) {
                for later in calls.iter().skip(returned[place].1).take(WRITERS_MISSED) {
                    edges.add(run.transaction, *later, Kinds::RW, self.id);
                }
            }
        }
    }
}

/// Whether `value` was written before `act`.
fn wrote_before(acts: &[Act<RegisterAct>], act: &Act<RegisterAct>, value: Option<i64>) -> bool {
    acts.iter()
        .take_while(|it| !std::ptr::eq(*it, act))
        .any(|it| matches!(it.what, RegisterAct::Write(written) if Some(written) == value))
}

/// How many writers after the one that was read are looked at for a transaction that writes, too.
const WRITERS_MISSED: usize = 8;
