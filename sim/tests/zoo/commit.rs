//! Two-phase commit: three lists, and transactions that append to two of them.
//!
//! It promises that transactions are strictly serializable, and that all lists of one decide alike,
//! whatever happens to messages and nodes. While a coordinator is down, lists may be locked.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_sim::check::transactions::{ConsistencyModel, ListAppend, ListOp};
use quorate_sim::history::{Outcome, Span, Value};
use quorate_sim::quorate_core::Storage as _;
use quorate_sim::{
    Boot, Done, Draw, History, Invoked, Law, Mistake, Node, NodeId, OpId, Records, Refused, Reply,
    Suite, System, World,
};

use crate::cases::{Case, Zoo};
use crate::shard::{Delivery, Shard, Transaction};

/// A mistake in a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A coordinator tells a commit, and does not make it durable.
    CommitNotLogged,
    /// A coordinator tells a commit before it is durable.
    CommitToldBeforeSync,
    /// A participant that voted yes, and hears nothing, aborts.
    AbortsAlone,
    /// A participant votes yes before it is durable.
    VotesBeforeSync,
    /// A participant forgets what it decided, and prepares it again.
    AppliesTwice,
    /// A coordinator says that a commit on its way to the disk was aborted.
    PresumesTooEarly,
    /// A coordinator says that what it does not know was committed.
    PresumesCommit,
    /// A coordinator counts its transactions from 1 at each start.
    NumberReused,
    /// A participant commits when it votes.
    CommitsAtVote,
    /// That a transaction is committed, and what it appends, are two records.
    CommitsInTwoRecords,
    /// Nothing is done.
    Idles,
}

/// Returns the suite, its bugs, and the mistakes of a driver that it must notice.
pub(crate) fn cases() -> Vec<Case> {
    Zoo::new("two-phase commit", suite)
        .sound("two_phase_commit", Bug::None)
        .bug("commit_not_logged", Bug::CommitNotLogged, &["agreement", "all decide alike"])
        .bug(
            "commit_told_before_sync",
            Bug::CommitToldBeforeSync,
            &["agreement", "all decide alike"],
        )
        .bug("commit_aborts_alone", Bug::AbortsAlone, &["agreement", "all decide alike"])
        .bug("commit_votes_before_sync", Bug::VotesBeforeSync, &["agreement", "all decide alike"])
        .bug("commit_applies_twice", Bug::AppliesTwice, &["agreement", "all decide alike"])
        .bug("commit_presumes_too_early", Bug::PresumesTooEarly, &["agreement", "all decide alike"])
        .bug("commit_presumes_commit", Bug::PresumesCommit, &["agreement", "all decide alike"])
        .bug("commit_number_reused", Bug::NumberReused, &["agreement", "all decide alike"])
        .bug(
            "commit_at_vote",
            Bug::CommitsAtVote,
            &["agreement", "all decide alike", "serializable"],
        )
        .bug("commit_in_two_records", Bug::CommitsInTwoRecords, &["agreement", "all decide alike"])
        .bug("commit_idles", Bug::Idles, &["progress"])
        .mistake("commit_hasty", Bug::None, Mistake::Hasty, &["agreement", "all decide alike"])
        .mistake(
            "commit_forgets_deadlines",
            Bug::None,
            Mistake::ForgetsDeadlines,
            &["agreement", "all decide alike", "progress"],
        )
        .cases()
}

fn suite(name: &'static str, bug: Bug) -> Suite<Shards> {
    Suite::new(name, Shards { bug })
        .nodes(NODES..=NODES)
        .clients(4)
        .operations(20)
        .time(Duration::from_secs(8))
        .workload(draw)
        .law(Alike::default())
        .judge(("serializable", serializable))
        // Each of them is needed: one may fail, but none is to spare in the end.
        .spare(|_| 0)
        .adjust(|plan| plan.max_down = 1)
        .converges(Duration::from_secs(20), agree)
        .must_see(["crash", "power cut", "pause", "commit", "abort"])
}

/// What a client asks for: to append a value to two lists, and to be told what they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Append {
    value: u64,
    lists: [NodeId; 2],
}

/// What lists were before a transaction that was committed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found(BTreeMap<NodeId, Vec<u64>>);

fn draw(draw: &mut Draw) -> Append {
    let nodes = NODES as u64;
    let first = draw.below(nodes);
    let second = (first + 1 + draw.below(nodes - 1)) % nodes;
    Append { value: draw.id().unique() + 1, lists: [first, second].map(|list| NodeId(1 + list)) }
}

/// The system: nodes that coordinate and take part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shards {
    bug: Bug,
}

impl System for Shards {
    type Core = Shard;
    type Storage = Records<Shard>;
    type Application = ();
    type Operation = Append;
    type Return = Found;

    fn boot(&self, boot: &Boot<'_, Shard>) -> Result<(Shard, Records<Shard>), Refused> {
        let records = boot.records_without_fetch();
        let kept: Result<Vec<_>, _> = records.replay().collect();
        let kept = kept.map_err(Refused::new)?;
        Ok((Shard::new(boot.id(), kept, (boot.now(), boot.seed()), self.bug), records))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        append: &Append,
        _: &mut Done<Found>,
    ) -> Invoked {
        let now = node.now();
        node.core.begin(now, id, append.value, &append.lists);
        Invoked::Started
    }

    fn deliver(&self, _: &mut Node<Self>, delivery: Delivery, done: &mut Done<Found>) {
        match delivery {
            Delivery::Answer { id, found: Some(found) } => done.ok(id, Found(found)),
            Delivery::Answer { id, found: None } => done.fail(id),
            Delivery::Decided { .. } => {}
        }
    }
}

/// All participants of a transaction decide alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alike {
    decided: BTreeMap<Transaction, bool>,
    is_aborted: bool,
    is_committed: bool,
}

impl Law<Shards> for Alike {
    fn name(&self) -> &'static str {
        "all decide alike"
    }

    fn delivered(&mut self, node: &Node<Shards>, delivery: &Delivery) -> Result<(), String> {
        let Delivery::Decided { transaction, is_commit } = *delivery else { return Ok(()) };
        let before = *self.decided.entry(transaction).or_insert(is_commit);
        if before == is_commit {
            return Ok(());
        }
        Err(format!("{} decides {is_commit} on {transaction:?}, and another {before}", node.id))
    }

    fn completed(&mut self, _: OpId, _: &Append, reply: &Reply<Found>) -> Result<(), String> {
        self.is_committed |= matches!(reply, Reply::Ok(_));
        self.is_aborted |= matches!(reply, Reply::Fail);
        Ok(())
    }

    fn seen(&self) -> Vec<&'static str> {
        let seen = [(self.is_committed, "commit"), (self.is_aborted, "abort")];
        seen.into_iter().filter(|(is_seen, _)| *is_seen).map(|(_, name)| name).collect()
    }
}

/// No list is locked, and what clients were told of is in both lists, once.
fn agree(world: &World<Shards>) -> Result<(), String> {
    if let Some(node) = world.nodes().iter().find(|node| !node.core.is_idle()) {
        return Err(format!("{} is locked, or waits", node.id));
    }
    for span in world.history().spans() {
        let count = |id: &NodeId| {
            let list = world.node(*id).map(|node| node.core.list()).unwrap_or_default();
            list.iter().filter(|value| **value == span.operation.value).count()
        };
        let counts = span.operation.lists.each_ref().map(count);
        let is_right = match span.outcome {
            Outcome::Ok { .. } => counts == [1, 1],
            Outcome::Fail { .. } => counts == [0, 0],
            Outcome::Info { .. } => [[0, 0], [1, 1]].contains(&counts),
        };
        if !is_right {
            return Err(format!("{} is there {counts:?} times", span.operation));
        }
    }
    Ok(())
}

/// Judges what transactions saw of each other.
fn serializable(history: &History<Append, Found>) -> Result<(), String> {
    let mut lists = History::new();
    for Span { called, operation, outcome, .. } in history.spans() {
        let element = operation.value.cast_signed();
        let keys = operation.lists.map(|list| Value::from(list.0.cast_signed()));
        let asked = keys
            .into_iter()
            .flat_map(|key| [ListOp::Read { key: key.clone() }, ListOp::Append { key, element }]);
        let process = lists.start();
        let call = lists.invoke(process, *called, asked.collect());
        match outcome {
            Outcome::Ok { at, returned: Found(found) } => {
                let of = |list: &NodeId| found.get(list).cloned().unwrap_or_default();
                let found = operation.lists.iter().map(of);
                let found = found.map(|it| it.into_iter().map(u64::cast_signed).collect());
                _ = lists.ok(call, *at, found.collect());
            }
            Outcome::Fail { at } => _ = lists.fail(call, *at),
            Outcome::Info { at } => _ = at.map(|at| lists.info(call, at)),
        }
    }
    let verdict = ListAppend.check(&lists).map_err(|error| error.to_string())?;
    if verdict.permits(ConsistencyModel::STRICT_SERIALIZABLE) {
        return Ok(());
    }
    Err(format!("{verdict:#}"))
}

impl fmt::Display for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "append {} to {:?}", self.value, self.lists)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

const NODES: usize = 3;
