//! The laws of Raft's figure 3, and what clients may expect of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_consensus::raft::{Delivery, Raft, Role, Status};
use quorate_consensus::{Entry, Index, LogId, NodeId, Payload, Term};
use quorate_sim::{Law, Node, Nodes, OpId, Reply};

use super::{Application, At, Cluster, Operation, RaftStorage, offset};

/// What nobody in the cluster could know.
#[derive(Clone, Debug, Default)]
pub(crate) struct RaftLaws {
    leaders: BTreeMap<Term, NodeId>,
    /// The term before each entry that was ever in a log: equal entries have equal pasts.
    pasts: BTreeMap<LogId, Term>,
    /// The log of each node when it was last looked at.
    logs: BTreeMap<NodeId, Seen>,
    /// What some node knew to be committed.
    committed: Vec<Committed>,
    /// What some application was handed.
    delivered: Vec<Payload>,
    /// What clients were told never happens.
    lost: BTreeSet<Bytes>,
    /// The newest index that a client knows of.
    acknowledged: Index,
    /// The newest index that any client knew of when a read was asked for.
    known: BTreeMap<OpId, Index>,
    seen: BTreeSet<&'static str>,
}

/// An entry that is committed.
#[derive(Clone, Copy, Debug)]
struct Committed {
    term: Term,
    /// In which term it was.
    within: Term,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    terms: Vec<Term>,
    commit_index: Index,
}

impl RaftLaws {
    /// Returns the newest index that a client knows of.
    pub(crate) fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// State machine safety: no two applications are handed different entries at an index.
    fn apply(&mut self, entry: &Entry, before: Index) -> Result<(), String> {
        if entry.index != before.next() {
            return Err(format!("{entry} after {before}"));
        }
        match self.delivered.get(offset(entry.index)) {
            Some(payload) if *payload != entry.payload => {
                return Err(format!("another application has {payload:?} at {entry}"));
            }
            Some(_) => {}
            None => self.delivered.push(entry.payload.clone()),
        }
        if let Payload::Data(data) = &entry.payload
            && self.lost.contains(data)
        {
            return Err(format!("a client was told that this was lost: {entry}"));
        }
        Ok(())
    }

    fn told_of_proposal(&mut self, value: &Bytes, reply: &Reply<At>) -> Result<(), String> {
        let data = Payload::Data(value.clone());
        match reply {
            Reply::Ok(At(index)) => {
                self.seen.insert("done");
                self.acknowledged = self.acknowledged.max(*index);
                match self.delivered.get(offset(*index)) {
                    Some(payload) if *payload == data => Ok(()),
                    other => Err(format!("{value:?} is done at {index}, but there is {other:?}")),
                }
            }
            Reply::Fail if self.delivered.contains(&data) => {
                Err(format!("{value:?} is lost, but was delivered"))
            }
            Reply::Fail => {
                self.seen.insert("lost");
                self.lost.insert(value.clone());
                Ok(())
            }
            Reply::Info => Ok(()),
        }
    }

    /// A read sees at least what any client knew of when it was asked for.
    fn told_of_read(&mut self, id: OpId, reply: &Reply<At>) -> Result<(), String> {
        let known = self.known.remove(&id).unwrap_or_default();
        match reply {
            Reply::Ok(At(at)) if *at < known => {
                Err(format!("read {id} is answered at {at}, but {known} was acknowledged"))
            }
            Reply::Ok(At(at)) => {
                self.seen.insert("read");
                self.acknowledged = self.acknowledged.max(*at);
                Ok(())
            }
            Reply::Fail | Reply::Info => {
                self.seen.insert("refused read");
                Ok(())
            }
        }
    }

    /// Election safety: a term has one leader. Leader completeness: it has all that was committed
    /// in the terms before.
    fn check_leader(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
        if status.role != Role::Leader {
            return Ok(());
        }
        let term = status.term;
        match self.leaders.insert(term, status.id) {
            Some(leader) if leader == status.id => return Ok(()),
            Some(leader) => return Err(format!("{} and {leader} lead in term {term}", status.id)),
            None => {
                self.seen.insert("leader");
            }
        }
        for (index, committed) in (1..).map(Index).zip(&self.committed) {
            if committed.within < term && raft.term_at(index) != Some(committed.term) {
                let id = LogId { term: committed.term, index };
                return Err(format!("{} leads in term {term} without {id}", status.id));
            }
        }
        Ok(())
    }

    /// Log matching: entries that are equal have equal pasts.
    fn check_log(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
        let seen = &mut self.logs.entry(status.id).or_default().terms;
        let last = usize::try_from(status.last_index.0).expect("a log fits memory");
        let last_term = raft.term_at(status.last_index);
        if seen.len() == last && seen.last().copied() == last_term {
            return Ok(());
        }
        let mut kept = seen.len().min(last);
        if kept < seen.len() {
            self.seen.insert("truncation");
        }
        while 0 < kept && raft.term_at(Index(kept as u64)) != Some(seen[kept - 1]) {
            kept -= 1;
        }
        seen.truncate(kept);
        for index in (kept as u64 + 1..=status.last_index.0).map(Index) {
            let term = raft.term_at(index).ok_or("a log has a hole")?;
            let past = seen.last().copied().unwrap_or_default();
            let id = LogId { term, index };
            if *self.pasts.entry(id).or_insert(past) != past {
                return Err(format!("{} has {id} after another entry", status.id));
            }
            seen.push(term);
        }
        Ok(())
    }

    /// What is committed stays, and is the same everywhere.
    fn check_commit(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
        let seen = self.logs.entry(status.id).or_default();
        let before = seen.commit_index;
        if status.last_index < status.commit_index {
            return Err(format!("{} lost a committed entry", status.id));
        }
        seen.commit_index = status.commit_index;
        for index in (before.0 + 1..=status.commit_index.0).map(Index) {
            let term = raft.term_at(index).ok_or("a log has a hole")?;
            match self.committed.get(offset(index)) {
                Some(committed) if committed.term != term => {
                    let other = committed.term;
                    return Err(format!("{index} is committed as of term {other} and of {term}"));
                }
                Some(_) => {}
                None => self.committed.push(Committed { term, within: status.term }),
            }
        }
        Ok(())
    }
}

impl<S: RaftStorage> Law<Cluster<S>> for RaftLaws {
    fn name(&self) -> &'static str {
        "raft"
    }

    fn booted(&mut self, node: &Node<Cluster<S>>) {
        self.logs.entry(node.id).or_default().commit_index = Index::ZERO;
    }

    fn invoked(&mut self, id: OpId, operation: &Operation) {
        if *operation == Operation::Read {
            self.known.insert(id, self.acknowledged);
        }
    }

    fn completed(
        &mut self,
        id: OpId,
        operation: &Operation,
        reply: &Reply<At>,
    ) -> Result<(), String> {
        match operation {
            Operation::Propose(value) => self.told_of_proposal(value, reply),
            Operation::Read => self.told_of_read(id, reply),
        }
    }

    fn delivered(&mut self, node: &Node<Cluster<S>>, delivery: &Delivery) -> Result<(), String> {
        let Application { last_applied, reads, .. } = &node.application;
        match delivery {
            Delivery::Committed(entries) => {
                let mut before = *last_applied;
                entries.iter().try_for_each(|entry| {
                    self.apply(entry, before)?;
                    before = entry.index;
                    Ok(())
                })
            }
            Delivery::Read { read, .. } if !reads.contains_key(read) => {
                Err("an answer to no read, or the second".into())
            }
            Delivery::Read { read, outcome: Ok(at) } if last_applied < at => {
                Err(format!("read {read} is answered before {at} is delivered"))
            }
            Delivery::Read { .. } => Ok(()),
        }
    }

    fn check(&mut self, _: &Nodes<Cluster<S>>, changed: &Node<Cluster<S>>) -> Result<(), String> {
        let status = changed.core.status();
        self.check_log(&changed.core, &status)?;
        self.check_commit(&changed.core, &status)?;
        self.check_leader(&changed.core, &status)
    }

    fn seen(&self) -> Vec<&'static str> {
        self.seen.iter().copied().collect()
    }
}
