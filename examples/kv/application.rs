//! What a node does with what its log delivers: it applies changes, and answers who waits.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::channel::oneshot;
use quorate_consensus::raft::{Delivery, Event, ProposeError, Raft, ReadError, ReadId, Role};
use quorate_consensus::{Entry, LogId, NodeId, Payload, Proposals};
use quorate_core::{Instant, Wire as _};
use quorate_transport::Application;

use super::machine::Machine;
use super::wire::{Response, Stored};

/// Where an answer goes.
pub(super) type Reply = oneshot::Sender<Response>;

/// The replicated state of one node, and who waits for it.
pub(super) struct Store {
    machine: Machine,
    proposals: Proposals<Reply>,
    reads: BTreeMap<ReadId, (Bytes, Reply)>,
    is_full: bool,
    pub(super) delivered: u64,
    pub(super) undecodable: u64,
    /// Changes of leader that this node saw.
    pub(super) leader_changes: u64,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            machine: Machine::default(),
            proposals: Proposals::new(WAITING_MAX),
            reads: BTreeMap::new(),
            is_full: false,
            delivered: 0,
            undecodable: 0,
            leader_changes: 0,
        }
    }

    pub(super) fn key_count(&self) -> usize {
        self.machine.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Proposes a change, whose bytes are `data`, and lets `reply` wait for it.
    pub(super) fn propose(&mut self, raft: &mut Raft, now: Instant, data: Bytes, reply: Reply) {
        let status = raft.status();
        let refused = if status.role != Role::Leader {
            not_leader(status.leader)
        } else if self.is_full {
            Response::Busy("the disk of the leader is full".into())
        } else if self.proposals.is_full() {
            Response::Busy("too many changes wait already".into())
        } else {
            match raft.propose(now, data) {
                Ok(index) => {
                    let id = LogId { term: status.term, index };
                    self.proposals.insert(id, reply).expect("there was room");
                    return;
                }
                Err(ProposeError::NotLeader { leader }) => not_leader(leader),
                Err(error @ ProposeError::TooLarge { .. }) => Response::Refused(error.to_string()),
                Err(error) => Response::Busy(error.to_string()),
            }
        };
        // Who asked may have gone.
        _ = reply.send(refused);
    }

    /// Lets `reply` wait until what this node holds is as new as now.
    pub(super) fn read(&mut self, raft: &mut Raft, now: Instant, key: Bytes, reply: Reply) {
        let refused = match raft.read(now) {
            Ok(read) => {
                self.reads.insert(read, (key, reply));
                return;
            }
            Err(ReadError::NotLeader { leader }) => not_leader(leader),
            Err(error) => Response::Busy(error.to_string()),
        };
        _ = reply.send(refused);
    }

    fn apply(&mut self, entry: &Entry) {
        self.delivered += 1;
        let outcome = match &entry.payload {
            Payload::Data(data) => {
                // A node proposes only what it could decode; a peer may be of another mind.
                let stored = Stored::decode(&mut data.clone()).ok();
                self.undecodable += u64::from(stored.is_none());
                stored.and_then(|stored| self.machine.apply(stored))
            }
            _ => None,
        };
        for (reply, settled) in self.proposals.settle(entry) {
            let response = match (settled, &outcome) {
                (quorate_consensus::Outcome::Done, Some(outcome)) => outcome.clone().into(),
                (quorate_consensus::Outcome::Done, None) => {
                    Response::Refused("a later change of this client came first".into())
                }
                (quorate_consensus::Outcome::Lost, _) => Response::NotLeader(None),
            };
            _ = reply.send(response);
        }
    }
}

fn not_leader(leader: Option<NodeId>) -> Response {
    Response::NotLeader(leader.map(|leader| leader.0))
}

impl Application<Raft> for Store {
    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Committed(entries) => entries.iter().for_each(|entry| self.apply(entry)),
            Delivery::Read { read, outcome } => {
                let Some((key, reply)) = self.reads.remove(&read) else { return };
                _ = reply.send(match outcome {
                    Ok(_) => Response::Value(self.machine.get(&key)),
                    Err(ReadError::NotLeader { leader }) => not_leader(leader),
                    Err(error) => Response::Busy(error.to_string()),
                });
            }
        }
    }

    fn event(&mut self, event: Event) {
        if matches!(event, Event::LeaderChanged { leader: Some(_), .. }) {
            self.leader_changes += 1;
        }
    }

    fn storage_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    fn undecodable(&mut self, _from: NodeId) {
        self.undecodable += 1;
    }
}

/// Changes of clients that may wait at one node.
const WAITING_MAX: usize = 65_536;
