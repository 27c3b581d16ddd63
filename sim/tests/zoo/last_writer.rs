//! Last-writer registers: three copies that take every write, and agree later.
//!
//! They promise that what was acknowledged is there in the end, or what was written later; that who
//! writes after an answer of a copy wins over what the answer had; that what was deleted does not
//! come back; and that tombstones go away.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_sim::quorate_core::Storage as _;
use quorate_sim::{
    Boot, Done, Draw, Invoked, Law, Mistake, Node, NodeId, OpId, Records, Refused, Suite, System,
    World,
};

use crate::cases::{Case, Zoo};
use crate::copy::{Answer, Cell, Copy, Event, Timestamp};

/// A mistake in a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A tombstone is dropped once one other copy has it.
    DropsEarly,
    /// What is for or from an older run is taken in.
    TakesOldRuns,
    /// A timestamp is the time, even if a later one was seen.
    ClockGoesBack,
    /// What arrives last wins, whenever it was written.
    LastArrivalWins,
    /// Of two writes of one time that wins which arrives last.
    TiesByArrival,
    /// What was sent counts as acknowledged.
    CountsSentAsAcked,
    /// A copy tells the others what is not durable.
    AcksBeforeSync,
    /// A copy tells a client what is not durable.
    AnswersBeforeSync,
    /// The others are told nothing.
    Idles,
}

/// Returns the suite, its bugs, and the mistakes of a driver that it must notice.
pub(crate) fn cases() -> Vec<Case> {
    Zoo::new("last-writer register", suite)
        .sound("last_writer_register", Bug::None)
        .bug("last_writer_drops_early", Bug::DropsEarly, &["agreement"])
        .bug("last_writer_takes_old_runs", Bug::TakesOldRuns, &["agreement"])
        .bug("last_writer_clock_goes_back", Bug::ClockGoesBack, &["agreement", "later timestamps"])
        .bug("last_writer_last_arrival_wins", Bug::LastArrivalWins, &["agreement"])
        .bug("last_writer_ties_by_arrival", Bug::TiesByArrival, &["agreement"])
        .bug("last_writer_sent_is_acked", Bug::CountsSentAsAcked, &["agreement"])
        .bug("last_writer_acks_before_sync", Bug::AcksBeforeSync, &["agreement"])
        .bug(
            "last_writer_answers_early",
            Bug::AnswersBeforeSync,
            &["agreement", "later timestamps"],
        )
        .bug("last_writer_idles", Bug::Idles, &["agreement"])
        .mistake("last_writer_hasty", Bug::None, Mistake::Hasty, &["later timestamps"])
        .mistake(
            "last_writer_forgets_deadlines",
            Bug::None,
            Mistake::ForgetsDeadlines,
            &["agreement"],
        )
        .cases()
}

fn suite(name: &'static str, bug: Bug) -> Suite<Copies> {
    Suite::new(name, Copies { bug })
        .clients(4)
        .operations(30)
        .time(Duration::from_secs(8))
        .workload(draw)
        .law(Ledger::default())
        // To agree all of them are needed: one may fail, but none is to spare in the end.
        .spare(|_| 0)
        .adjust(|plan| plan.max_down = 1)
        .converges(Duration::from_secs(20), agree)
        .must_see(["crash", "power cut", "partition", "tombstone dropped", "old run refused"])
}

/// What clients ask for: to read a register, or to give it a value or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operation {
    Read { key: u64 },
    Write { key: u64, value: Option<u64> },
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found(Option<u64>);

fn draw(draw: &mut Draw) -> Operation {
    let (key, value) = (draw.key(4), draw.id().unique());
    match draw.kind(3) {
        0 => Operation::Read { key },
        1 => Operation::Write { key, value: Some(value) },
        _ => Operation::Write { key, value: None },
    }
}

/// The system: copies with a bug or without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copies {
    bug: Bug,
}

impl System for Copies {
    type Core = Copy;
    type Storage = Records<Copy>;
    type Application = ();
    type Operation = Operation;
    type Return = Found;

    fn boot(&self, boot: &Boot<'_, Copy>) -> Result<(Copy, Records<Copy>), Refused> {
        let records = boot.records_without_fetch();
        let kept: Result<Vec<_>, _> = records.replay().collect();
        let kept = kept.map_err(Refused::new)?;
        Ok((Copy::new(boot.id(), boot.ids(), kept, boot.now(), self.bug), records))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &Operation,
        _: &mut Done<Found>,
    ) -> Invoked {
        let now = node.now();
        match *operation {
            Operation::Read { key } => node.core.read(id, key),
            Operation::Write { key, value } => node.core.write(now, id, key, value),
        }
        Invoked::Started
    }

    fn deliver(&self, _: &mut Node<Self>, answer: Answer, done: &mut Done<Found>) {
        done.ok(answer.id, Found(answer.cell.and_then(|cell| cell.value)));
    }
}

/// What was written, and what clients were told of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// By node, the latest timestamp that it answered with.
    answered: BTreeMap<NodeId, Timestamp>,
    /// By register, all that was ever written, durable or not.
    written: BTreeMap<u64, Vec<Cell>>,
    /// By register, the latest write that was acknowledged.
    acknowledged: BTreeMap<u64, Cell>,
    is_dropped: bool,
    is_refused: bool,
}

impl Ledger {
    /// Says whether a register may hold this in the end.
    fn judge(&self, key: u64, held: Option<Cell>) -> Result<(), String> {
        let written = self.written.get(&key).map(Vec::as_slice).unwrap_or_default();
        let Some(last) = self.acknowledged.get(&key) else { return Ok(()) };
        let is_right = match held {
            Some(held) => last.at <= held.at && written.contains(&held),
            None => written.iter().any(|it| it.value.is_none() && last.at <= it.at),
        };
        if is_right {
            return Ok(());
        }
        Err(format!("register {key} holds {held:?}, but {last:?} was acknowledged"))
    }
}

impl Law<Copies> for Ledger {
    fn name(&self) -> &'static str {
        "later timestamps"
    }

    fn delivered(&mut self, node: &Node<Copies>, answer: &Answer) -> Result<(), String> {
        let Some(cell) = answer.cell else { return Ok(()) };
        let before = self.answered.entry(node.id).or_default();
        if answer.is_write && cell.at <= *before {
            return Err(format!("{} writes at {:?} after {before:?}", node.id, cell.at));
        }
        *before = cell.at.max(*before);
        if answer.is_write {
            let last = self.acknowledged.entry(answer.key).or_insert(cell);
            if last.at < cell.at {
                *last = cell;
            }
        }
        Ok(())
    }

    fn told(&mut self, _: &Node<Copies>, event: &Event) -> Result<(), String> {
        match event {
            Event::Writes { key, cell } => self.written.entry(*key).or_default().push(*cell),
            Event::Drops => self.is_dropped = true,
            Event::Refuses => self.is_refused = true,
        }
        Ok(())
    }

    fn seen(&self) -> Vec<&'static str> {
        let seen = [(self.is_dropped, "tombstone dropped"), (self.is_refused, "old run refused")];
        seen.into_iter().filter(|(is_seen, _)| *is_seen).map(|(_, name)| name).collect()
    }
}

/// All copies hold the same, it is what it must be, and no tombstone is left.
fn agree(world: &World<Copies>) -> Result<(), String> {
    let ledger = world.law::<Ledger>().ok_or("the law is off")?;
    let mut values = None;
    for node in world.nodes().iter() {
        let held = node.core.values();
        for key in ledger.acknowledged.keys() {
            ledger.judge(*key, held.get(key).copied())?;
        }
        if *values.get_or_insert_with(|| held.clone()) != held {
            return Err(format!("{} holds {held:?}, and others do not", node.id));
        }
        if node.core.has_tombstones() {
            return Err(format!("{} has tombstones", node.id));
        }
    }
    Ok(())
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { key } => write!(f, "read {key}"),
            Self::Write { key, value: Some(value) } => write!(f, "write {value} to {key}"),
            Self::Write { key, value: None } => write!(f, "delete {key}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
