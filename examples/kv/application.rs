//! What a node does with what its log delivers: it applies changes, and answers who waits.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures::channel::oneshot;
use quorate_consensus::raft::{Delivery, Event, ProposeError, Raft, ReadError, ReadId, Role};
use quorate_consensus::{Entry, LogId, NodeId, Payload, Proposals};
use quorate_core::{Instant, Wire as _};
use quorate_transport::Application;

use super::machine::Machine;
use super::snapshot::Snapshotter;
use super::wire::{Command, Response};

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
    snapshots: Option<Snapshotter>,
    /// The last entry that a leader here said may go.
    proposed_to: u64,
}

impl Store {
    /// Makes a node's part of what `machine` holds already.
    pub(super) fn new(machine: Machine, snapshots: Option<Snapshotter>) -> Self {
        Self {
            machine,
            snapshots,
            proposed_to: 0,
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

    /// Returns the entry of the newest snapshot, 0 if there is none.
    pub(super) fn snapshot_index(&self) -> u64 {
        self.snapshots.as_ref().map_or(0, Snapshotter::newest)
    }

    /// Lets all nodes forget the log that they all have, if it is long enough: half as long as
    /// there are keys, so that snapshots cost a few times what the writes before them did.
    pub(super) fn propose_to_forget(&mut self, raft: &mut Raft, now: Instant) {
        let status = raft.status();
        let to = status.replicated_index.min(status.last_delivered).0;
        let before = self.proposed_to.max(status.start_index.0);
        let is_long = FORGET_AFTER.max(self.machine.len() as u64 / 2) <= to.saturating_sub(before);
        if status.role == Role::Leader && is_long {
            let mut command = BytesMut::new();
            Command::Forget { to }.encode(&mut command);
            if raft.propose(now, command.freeze()).is_ok() {
                self.proposed_to = to;
            }
        }
    }

    fn apply(&mut self, entry: &Entry) {
        self.delivered += 1;
        let outcome = match &entry.payload {
            // A node proposes only what it could decode; a peer may be of another mind.
            Payload::Data(data) => match Command::decode(&mut data.clone()) {
                Ok(Command::Change(stored)) => self.machine.apply(stored),
                Ok(Command::Forget { to }) => {
                    if let Some(snapshots) = &self.snapshots {
                        snapshots.take(&self.machine, entry.index.0, to);
                    }
                    None
                }
                Err(_) => {
                    self.undecodable += 1;
                    None
                }
            },
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

/// How much longer the log must be before some of it goes.
const FORGET_AFTER: u64 = 500;

/// Changes of clients that may wait at one node.
const WAITING_MAX: usize = 65_536;
