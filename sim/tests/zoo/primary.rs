//! Primary and backup: a register on three to five replicas, and what they must never do.
//!
//! It promises that the register is linearizable, and that each write happens once, whatever
//! happens to messages and to a minority of the nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::check::models::{RegisterOp, RegisterReturn};
use quorate_sim::quorate_core::Storage as _;
use quorate_sim::{
    Badge, Boot, Delay, Done, Family, Faults, Invoked, Law, Mistake, Node, NodeId, Nodes, OpId,
    Plan, Ratio, Records, Refused, Suite, System, World,
};

use crate::cases::{Case, Zoo};
use crate::entries::{Answer, Delivery, Elected, Entry, Operation, Request};
use crate::registers;
use crate::replica::Replica;

/// A mistake in the replicas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A vote is sent before it is durable.
    VotesBeforeSync,
    /// A vote is not among what is made durable, only its view is.
    VoteForgotten,
    /// A candidate does not make its view durable: it is used again after a restart.
    ViewReused,
    /// A backup acknowledges entries before they are durable.
    AcksBeforeSync,
    /// A backup acknowledges its whole log, of which the end may be of an older view.
    StaleMatchIndex,
    /// The primary applies what it appends.
    AppliesBeforeCommit,
    /// The primary answers reads without asking whether it still is one.
    ReadsWithoutRound,
    /// A snapshot does not have what clients were answered.
    AnswersNotInSnapshot,
    /// A request that comes again is applied again.
    AppliesTwice,
    /// Nothing is done.
    Idles,
}

/// Returns the suite, its bugs, and the mistakes of a driver that it must notice.
pub(crate) fn cases() -> Vec<Case> {
    Zoo::new("primary and backup", suite)
        .sound("primary_and_backup", Bug::None)
        .bug("primary_votes_before_sync", Bug::VotesBeforeSync, &["one log"])
        .bug("primary_vote_forgotten", Bug::VoteForgotten, &["one log"])
        .bug("primary_view_reused", Bug::ViewReused, &["one log"])
        .bug("primary_acks_before_sync", Bug::AcksBeforeSync, &["one log"])
        .bug("primary_stale_match_index", Bug::StaleMatchIndex, &["one log"])
        .bug("primary_applies_before_commit", Bug::AppliesBeforeCommit, &["one log"])
        .bug("primary_reads_without_round", Bug::ReadsWithoutRound, &["linearizable"])
        .bug("primary_answers_not_in_snapshot", Bug::AnswersNotInSnapshot, &["one log"])
        .bug("primary_applies_twice", Bug::AppliesTwice, &["one log"])
        .bug("primary_idles", Bug::Idles, &["progress"])
        .mistake("primary_hasty", Bug::None, Mistake::Hasty, &["one log"])
        .mistake(
            "primary_forgets_deadlines",
            Bug::None,
            Mistake::ForgetsDeadlines,
            &["agreement", "progress"],
        )
        .mistake(
            "primary_reorders_deliveries",
            Bug::None,
            Mistake::ReordersDeliveries,
            &["agreement", "one log"],
        )
        .cases()
}

fn suite(name: &'static str, bug: Bug) -> Suite<Primaries> {
    Suite::new(name, Primaries { bug })
        .nodes(3..=5)
        .clients(3)
        .operations(20)
        .faults(Faults::all().without(Family::Tuning))
        .time(Duration::from_secs(10))
        .workload(registers::draw)
        .adjust(shake)
        .law(Laws::default())
        .judge(("linearizable", registers::linearizable))
        .converges(Duration::from_secs(20), agree)
        .must_see(["crash", "power cut", "partition", "restored", "repeated request", "read"])
}

/// In half of the runs power fails all the time and is soon back, wherever it is.
fn shake(plan: &mut Plan) {
    if plan.seed.is_multiple_of(2) {
        return;
    }
    plan.faults.clear();
    plan.operations = 100;
    plan.max_down = plan.nodes;
    let mean = |millis: u64| Delay::Exponential { min_nanos: 0, mean_nanos: millis * 1_000_000 };
    let knobs = &mut plan.knobs;
    knobs.is_tuned = true;
    (knobs.power_cut, knobs.sync_cut) = (Ratio::percent(1), Ratio::percent(5));
    (knobs.sync_latency, knobs.delay, knobs.down_for) = (mean(3), mean(3), mean(60));
    if plan.seed % 4 == 1 {
        knobs.loss = Ratio::percent(40);
    }
}

/// A majority has everything.
fn agree(world: &World<Primaries>) -> Result<(), String> {
    let end = world.law::<Laws>().map_or(0, |laws| laws.states.len()) as u64;
    let count = world.nodes().iter().filter(|node| node.application.index == end).count();
    if world.nodes().ids().len() / 2 < count {
        return Ok(());
    }
    Err(format!("{count} nodes have all {end} entries"))
}

/// The system: replicas with a bug or without one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Primaries {
    bug: Bug,
}

/// The register, and which request of each client was the last that it did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) value: Option<u64>,
    /// How many writes there were.
    pub(crate) writes: u64,
    pub(crate) answers: BTreeMap<u32, u64>,
}

impl State {
    /// Applies a write, if it is new. Returns whether its client is to be answered.
    fn apply(&mut self, request: &Request, bug: Bug) -> bool {
        let last = self.answers.get(&request.id.client()).copied();
        if last.is_none_or(|last| last < request.id.number()) || bug == Bug::AppliesTwice {
            self.answers.insert(request.id.client(), request.id.number());
            self.value = Some(request.value);
            self.writes += 1;
            return true;
        }
        last == Some(request.id.number())
    }
}

/// What a replica applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    pub(crate) index: u64,
    pub(crate) state: State,
    is_restored: bool,
}

impl System for Primaries {
    type Core = Replica;
    type Storage = Records<Replica>;
    type Application = Applied;
    type Operation = RegisterOp;
    type Return = RegisterReturn;

    fn boot(&self, boot: &Boot<'_, Replica>) -> Result<(Replica, Records<Replica>), Refused> {
        let records = boot.records_without_fetch();
        let kept: Result<Vec<_>, _> = records.replay().collect();
        let kept = kept.map_err(Refused::new)?;
        let ids = (boot.id(), boot.ids());
        let start = (boot.now(), boot.seed());
        Ok((Replica::new(ids, kept, start, boot.tuning().is_some(), self.bug), records))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &RegisterOp,
        _: &mut Done<RegisterReturn>,
    ) -> Invoked {
        let now = node.now();
        let operation = match operation {
            RegisterOp::Write(_) => Operation::Write(id.unique()),
            _ => Operation::Read,
        };
        node.core.request(now, id, operation);
        Invoked::Started
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Delivery, done: &mut Done<RegisterReturn>) {
        let Node { core, application, .. } = node;
        match delivery {
            Delivery::Restore(snapshot) => {
                application.is_restored |= application.index != snapshot.at.index;
                (application.index, application.state) = (snapshot.at.index, snapshot.state);
            }
            Delivery::Apply { index, entry } => {
                application.index = index;
                if let Some(request) = entry.request
                    && application.state.apply(&request, self.bug)
                {
                    core.reply(request.gateway, request.id, Answer::Written);
                }
                core.compact(index, application.state.clone());
            }
            Delivery::Read { id, gateway } => {
                core.reply(gateway, id, Answer::Found(application.state.value));
            }
            Delivery::Reply { id, answer: Answer::Written } => done.ok(id, RegisterReturn::Done),
            Delivery::Reply { id, answer: Answer::Found(value) } => {
                done.ok(id, registers::found(value));
            }
        }
    }

    fn badge(&self, core: &Replica) -> Badge {
        let role = if core.is_primary() { "primary" } else { "backup" };
        Badge { role, number: core.view() }
    }
}

/// One primary in each view, one log, and one state for each index of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laws {
    /// By view: which node, in which of its incarnations.
    primaries: BTreeMap<u64, (u64, u64)>,
    /// What each node has on disk, also while it is down.
    durable: BTreeMap<NodeId, (u64, Vec<u64>)>,
    entries: Vec<Entry>,
    /// What each entry makes of the state.
    states: Vec<State>,
    /// So many entries were looked for on disks.
    checked: u64,
    is_repeated: bool,
    is_restored: bool,
    is_read: bool,
}

impl Laws {
    /// Returns whether a majority may have the entry at `index` on disk. Nobody knows what a node
    /// that is down wrote at last.
    fn is_safe(&self, nodes: &Nodes<Primaries>, index: u64) -> bool {
        let offset = |index: u64| usize::try_from(index).expect("small");
        let view = self.entries[offset(index - 1)].view;
        let has = |id: &&NodeId| match (nodes.get(**id), self.durable.get(id)) {
            (Some(_), Some((start, views))) => {
                index.checked_sub(start + 1).is_none_or(|at| views.get(offset(at)) == Some(&view))
            }
            _ => true,
        };
        nodes.ids().len() / 2 < nodes.ids().iter().filter(has).count()
    }

    /// Takes in that `entry` was applied at `index`, by whoever is the first to do so.
    fn extend(&mut self, entry: Entry) {
        let mut state = self.states.last().cloned().unwrap_or_default();
        let writes = state.writes;
        if let Some(request) = entry.request {
            let is_answered = state.apply(&request, Bug::None);
            self.is_repeated |= is_answered && state.writes == writes;
        }
        self.entries.push(entry);
        self.states.push(state);
    }
}

impl Law<Primaries> for Laws {
    fn name(&self) -> &'static str {
        "one log"
    }

    fn told(&mut self, node: &Node<Primaries>, elected: &Elected) -> Result<(), String> {
        let now = (node.id.0, node.incarnation());
        match self.primaries.insert(elected.view, now) {
            Some(before) if before != now => Err(format!(
                "view {} has two primaries, n{} and {}",
                elected.view, before.0, node.id
            )),
            _ => Ok(()),
        }
    }

    fn delivered(&mut self, node: &Node<Primaries>, delivery: &Delivery) -> Result<(), String> {
        self.is_read |= matches!(delivery, Delivery::Read { .. });
        let Delivery::Apply { index, entry } = delivery else { return Ok(()) };
        if *index != node.application.index + 1 {
            return Err(format!("{} applies {index} after {}", node.id, node.application.index));
        }
        match self.entries.get(usize::try_from(index - 1).expect("small")) {
            None => self.extend(*entry),
            Some(same) if same == entry => {}
            Some(_) => return Err(format!("{} applies another entry at {index}", node.id)),
        }
        Ok(())
    }

    fn check(&mut self, nodes: &Nodes<Primaries>, node: &Node<Primaries>) -> Result<(), String> {
        self.durable.insert(node.id, node.core.durable());
        while self.checked < self.entries.len() as u64 {
            self.checked += 1;
            if !self.is_safe(nodes, self.checked) {
                return Err(format!("{} is applied, which no majority has", self.checked));
            }
        }
        let Applied { index, state, is_restored } = &node.application;
        self.is_restored |= is_restored;
        let none = State::default();
        let expected = match index.checked_sub(1) {
            None => Some(&none),
            Some(before) => self.states.get(usize::try_from(before).expect("small")),
        };
        match expected {
            Some(expected) if (expected.value, expected.writes) == (state.value, state.writes) => {
                Ok(())
            }
            _ => Err(format!("{} has {} writes at {index}, and should not", node.id, state.writes)),
        }
    }

    fn seen(&self) -> Vec<&'static str> {
        let seen = [
            (self.is_restored, "restored"),
            (self.is_repeated, "repeated request"),
            (self.is_read, "read"),
        ];
        seen.into_iter().filter(|(is_seen, _)| *is_seen).map(|(_, name)| name).collect()
    }
}
