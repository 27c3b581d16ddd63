//! Log with fsync: two nodes that know nothing of each other, each with a log on a disk that fails.
//!
//! Each promises that an entry that was acknowledged is at its index for ever, and that whoever
//! reads finds all that was acknowledged before. If one sector of what is durable rots, and it was
//! acknowledged, the node does not start.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_sim::{
    Boot, Done, Draw, Family, FaultKind, Faults, Invoked, Law, Mistake, Node, NodeId, Nodes, OpId,
    Plan, Refused, Reply, Suite, System,
};

use crate::appender::{Appender, Applies, Cut, Entry};
use crate::cases::{Case, Zoo};
use crate::segments::Segments;

/// A mistake in the storage or the core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// What was written counts as durable without a sync.
    SkipsSync,
    /// After a failed sync it goes on.
    IgnoresFailedSync,
    /// New files are not made durable with their folder.
    NoDirectorySync,
    /// A frame is good if its length is.
    LengthWithoutChecksum,
    /// What is behind a torn tail is written behind it.
    KeepsTornTail,
    /// Whatever is not whole is cut, be it acknowledged or not.
    RotIsTorn,
    /// Reads are answered before all is applied again that was acknowledged.
    AnswersWhileReplaying,
    /// Nothing is written.
    Idles,
}

/// Returns the suite, its bugs, and the mistakes of a driver that it must notice.
pub(crate) fn cases() -> Vec<Case> {
    Zoo::new("log with fsync", suite)
        .sound("log_with_fsync", Bug::None)
        .bug("log_skips_sync", Bug::SkipsSync, &["start"])
        .bug("log_ignores_failed_sync", Bug::IgnoresFailedSync, &["start"])
        .bug("log_no_directory_sync", Bug::NoDirectorySync, &["kept", "start"])
        .bug("log_length_without_checksum", Bug::LengthWithoutChecksum, &["kept"])
        .bug("log_keeps_torn_tail", Bug::KeepsTornTail, &["start"])
        .bug("log_rot_is_torn", Bug::RotIsTorn, &["kept"])
        .bug("log_answers_while_replaying", Bug::AnswersWhileReplaying, &["kept"])
        .bug("log_idles", Bug::Idles, &["progress"])
        .mistake("log_hasty", Bug::None, Mistake::Hasty, &["panicked: what is durable can be read"])
        .mistake("log_reorders_deliveries", Bug::None, Mistake::ReordersDeliveries, &["kept"])
        .mistake("log_drops_fetches", Bug::None, Mistake::DropsFetches, &["progress"])
        .cases()
}

fn suite(name: &'static str, bug: Bug) -> Suite<Logs> {
    Suite::new(name, Logs { bug })
        .nodes(2..=2)
        .clients(4)
        .operations(30)
        .time(Duration::from_secs(8))
        .faults(Faults::all().with(Family::Rot))
        .spare(|_| 1)
        .adjust(rot_once)
        .workload(draw)
        .law(Kept::default())
        .converges(Duration::from_secs(20), |_| Ok(()))
        .must_see(["crash", "power cut", "refused start"])
        .must_see(["append", "read", "second segment", "torn tail cut"])
}

/// Lets no more rot than the log promises to bear.
fn rot_once(plan: &mut Plan) {
    let mut is_first = true;
    plan.faults.retain(|fault| match fault.kind {
        FaultKind::Rot { .. } => std::mem::take(&mut is_first),
        _ => true,
    });
}

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operation {
    Append(u64),
    /// How many entries are there?
    Count,
}

/// Which node has so many entries; after an append it is the last of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    node: NodeId,
    count: u64,
}

fn draw(draw: &mut Draw) -> Operation {
    match draw.kind(3) {
        0 => Operation::Count,
        _ => Operation::Append(draw.id().unique() + 1),
    }
}

/// The system: two logs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logs {
    bug: Bug,
}

/// What a node applied, and whom it has to tell.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    count: u64,
    waiting: BTreeMap<u64, OpId>,
}

impl System for Logs {
    type Core = Appender;
    type Storage = Segments;
    type Application = Applied;
    type Operation = Operation;
    type Return = Counted;

    fn boot(&self, boot: &Boot<'_, Appender>) -> Result<(Appender, Segments), Refused> {
        let segments = Segments::open(boot.disk(), self.bug).map_err(Refused::new)?;
        Ok((Appender::new(segments.count(), segments.is_cut(), self.bug), segments))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &Operation,
        done: &mut Done<Counted>,
    ) -> Invoked {
        if !node.core.is_caught_up(node.application.count) {
            return Invoked::BUSY;
        }
        match operation {
            Operation::Append(value) => {
                let index = node.core.append(Entry(*value));
                node.application.waiting.insert(index, id);
            }
            Operation::Count => {
                done.ok(id, Counted { node: node.id, count: node.application.count });
            }
        }
        Invoked::Started
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Applies, done: &mut Done<Counted>) {
        node.application.count = delivery.index;
        if let Some(id) = node.application.waiting.remove(&delivery.index) {
            done.ok(id, Counted { node: node.id, count: delivery.index });
        }
    }
}

/// What a node applied once is there, and is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    applied: BTreeMap<NodeId, Vec<u64>>,
    /// What each node had acknowledged when an operation was called.
    called: BTreeMap<OpId, BTreeMap<NodeId, u64>>,
    acknowledged: BTreeMap<NodeId, u64>,
    is_read: bool,
    is_cut: bool,
}

impl Law<Logs> for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    fn invoked(&mut self, id: OpId, _: &Operation) {
        self.called.insert(id, self.acknowledged.clone());
    }

    fn completed(
        &mut self,
        id: OpId,
        operation: &Operation,
        reply: &Reply<Counted>,
    ) -> Result<(), String> {
        let called = self.called.remove(&id).unwrap_or_default();
        let Reply::Ok(Counted { node, count }) = reply else { return Ok(()) };
        let before = called.get(node).copied().unwrap_or_default();
        let acknowledged = self.acknowledged.entry(*node).or_default();
        *acknowledged = (*acknowledged).max(*count);
        self.is_read |= *operation == Operation::Count && 0 < *count;
        if *count < before {
            return Err(format!("{node} has {count} entries, and had acknowledged {before}"));
        }
        let applied = self.applied.get(node).map(Vec::as_slice).unwrap_or_default();
        match operation {
            Operation::Append(value) if applied.get(offset(*count)) != Some(value) => {
                Err(format!("{value} is not at {count} of {node}"))
            }
            _ => Ok(()),
        }
    }

    fn delivered(&mut self, node: &Node<Logs>, applies: &Applies) -> Result<(), String> {
        let Applies { index, entry } = *applies;
        if index != node.application.count + 1 {
            return Err(format!("{} applies {index} after {}", node.id, node.application.count));
        }
        let applied = self.applied.entry(node.id).or_default();
        match applied.get(offset(index)) {
            None => applied.push(entry.0),
            Some(before) if *before == entry.0 => {}
            Some(before) => return Err(format!("{} had {before}, not {applies}", node.id)),
        }
        Ok(())
    }

    fn told(&mut self, _: &Node<Logs>, _: &Cut) -> Result<(), String> {
        self.is_cut = true;
        Ok(())
    }

    fn check(&mut self, _: &Nodes<Logs>, node: &Node<Logs>) -> Result<(), String> {
        let applied = self.applied.get(&node.id).map_or(0, Vec::len) as u64;
        if node.core.count() < applied {
            return Err(format!("{} has {} entries of {applied}", node.id, node.core.count()));
        }
        Ok(())
    }

    fn seen(&self) -> Vec<&'static str> {
        let has = |count: usize| self.applied.values().any(|applied| count <= applied.len());
        let seen = [
            (has(1), "append"),
            (has(20), "second segment"),
            (self.is_read, "read"),
            (self.is_cut, "torn tail cut"),
        ];
        seen.into_iter().filter(|(is_seen, _)| *is_seen).map(|(_, name)| name).collect()
    }
}

/// Returns where the entry of an index is.
fn offset(index: u64) -> usize {
    usize::try_from(index - 1).expect("small")
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(value) => write!(f, "append {value}"),
            Self::Count => f.write_str("count"),
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.count, self.node)
    }
}
