//! A cluster of Raft nodes whose entries are numbers, for the kit of `quorate-sim`.

use std::fmt;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use quorate_consensus::raft::{Answer, Config, Delivery, Raft, Record, Role};
use quorate_consensus::{Index, Majority, Payload};
use quorate_core::Storage as _;
use quorate_sim::kit::replicated_log::{Applied, Conditions, InWorld, LogSystem};
use quorate_sim::{
    Boot, Delay, Done, Invoked, Node, OpId, Records, Refused, System, World, kit::replicated_log,
};

/// Makes a cluster of these conditions.
pub(crate) fn cluster(conditions: &Conditions) -> InWorld<Numbers> {
    InWorld::of(world(conditions))
}

/// Makes a world of these conditions. With every other seed each message has one
/// entry, disks are slow, and timeouts as short as messages take.
pub(crate) fn world(conditions: &Conditions) -> World<Numbers> {
    let is_hard = !conditions.seed.is_multiple_of(2);
    let sync = Duration::from_millis(if is_hard { 10 } else { 1 });
    let mut plan = conditions.plan();
    plan.knobs.sync_latency = Delay::exponential(Duration::ZERO, sync);
    World::new(Numbers { is_hard }, plan).without_story()
}

/// Raft with numbers for entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    is_hard: bool,
}

/// What clients ask for: there are none, the kit proposes by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nothing {}

impl System for Numbers {
    type Core = Raft;
    type Storage = Records<Raft>;
    type Application = Vec<Applied>;
    type Operation = Nothing;
    type Return = Nothing;

    fn boot(&self, boot: &Boot<'_, Raft>) -> Result<(Raft, Records<Raft>), Refused> {
        // All entries fit the memory of a node, so that it never asks for one.
        let storage = boot.records(|_, _| Answer::Unavailable);
        let records: Result<Vec<Record>, _> = storage.replay().collect();
        let voters = Majority::new(boot.ids().iter().copied()).map_err(Refused::new)?;
        let mut config = Config::new(boot.id(), voters);
        let timeout = Duration::from_millis(if self.is_hard { 50 } else { 150 });
        config.election_timeout = timeout..2 * timeout;
        config.heartbeat_interval = timeout / 4;
        if self.is_hard {
            config.max_append_bytes = 1;
        }
        let records = records.map_err(Refused::new)?;
        let raft = Raft::restore(config, records, Index::ZERO, boot.seed(), boot.now());
        Ok((raft.map_err(Refused::new)?, storage))
    }

    fn invoke(
        &self,
        _node: &mut Node<Self>,
        _id: OpId,
        operation: &Nothing,
        _done: &mut Done<Nothing>,
    ) -> Invoked {
        match *operation {}
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Delivery, _done: &mut Done<Nothing>) {
        let Delivery::Committed(entries) = delivery else { return };
        node.application.extend(entries.into_iter().filter_map(|entry| match entry.payload {
            Payload::Data(mut value) => {
                Some(Applied { index: entry.index.0, value: value.get_u64() })
            }
            _ => None,
        }));
    }
}

impl LogSystem for Numbers {
    fn propose(&self, node: &mut Node<Self>, value: u64) -> Option<u64> {
        let now = node.now();
        let value = Bytes::copy_from_slice(&value.to_be_bytes());
        node.core.propose(now, value).ok().map(|index| index.0)
    }

    fn role(&self, node: &Node<Self>) -> replicated_log::Role {
        let status = node.core.status();
        replicated_log::Role { term: status.term.0, is_leader: status.role == Role::Leader }
    }

    fn applied(&self, node: &Node<Self>) -> Vec<Applied> {
        node.application.clone()
    }
}

impl fmt::Display for Nothing {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}
