//! The laws of Raft's figure 3, and what clients may expect of it.

use quorate_consensus::raft::{Raft, ReadId, Role, Status};
use quorate_consensus::{Entry, Index, LogId, Outcome, Payload};

use super::{Application, Cluster, Committed, RaftStorage, offset};

impl<S: RaftStorage> Cluster<S> {
    /// State machine safety: no two applications are handed different entries at an index.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        application: &mut Application,
    ) -> Result<(), String> {
        if entry.index != application.last_applied.next() {
            return Err(format!("{entry} after {}", application.last_applied));
        }
        application.last_applied = entry.index;
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
        for (value, outcome) in application.proposals.settle(entry) {
            match outcome {
                Outcome::Done if Payload::Data(value.clone()) == entry.payload => {
                    self.saw.done += 1;
                    self.acknowledged = self.acknowledged.max(entry.index);
                }
                Outcome::Done => return Err(format!("{value:?} is done, but not {entry}")),
                Outcome::Lost if self.delivered.contains(&Payload::Data(value.clone())) => {
                    return Err(format!("{value:?} is lost, but was delivered"));
                }
                Outcome::Lost => {
                    self.saw.lost += 1;
                    self.lost.insert(value);
                }
            }
        }
        Ok(())
    }

    /// A read sees at least what any client knew of when it was asked for.
    pub(super) fn answer(
        &mut self,
        application: &mut Application,
        id: ReadId,
        at: Index,
    ) -> Result<(), String> {
        let known = application.reads.remove(&id).ok_or("an answer to no read, or the second")?;
        if at < known {
            return Err(format!("read {id} is answered at {at}, but {known} was acknowledged"));
        }
        if application.last_applied < at {
            return Err(format!("read {id} is answered before {at} is delivered"));
        }
        self.saw.reads += 1;
        Ok(())
    }

    /// Election safety: a term has one leader. Leader completeness: it has all that was committed
    /// in the terms before.
    pub(super) fn check_leader(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
        if status.role != Role::Leader {
            return Ok(());
        }
        let term = status.term;
        match self.leaders.insert(term, status.id) {
            Some(leader) if leader == status.id => return Ok(()),
            Some(leader) => return Err(format!("{} and {leader} lead in term {term}", status.id)),
            None => self.saw.leaders += 1,
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
    pub(super) fn check_log(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
        let seen = &mut self.logs.entry(status.id).or_default().terms;
        let last = usize::try_from(status.last_index.0).expect("a log fits memory");
        let last_term = raft.term_at(status.last_index);
        if seen.len() == last && seen.last().copied() == last_term {
            return Ok(());
        }
        let mut kept = seen.len().min(last);
        self.saw.truncations += u64::from(kept < seen.len());
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
    pub(super) fn check_commit(&mut self, raft: &Raft, status: &Status) -> Result<(), String> {
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
