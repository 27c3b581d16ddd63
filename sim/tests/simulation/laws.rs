//! What the simulator promises, each as a function that says how it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use quorate_core::{
    Disk as _, FetchId, File as _, Instant, NodeId, OutputOf, Outputs, Protocol, Storage, WriteId,
};
use quorate_sim::{
    Boot, Delay, Disk, Done, Family, Faults, Invoked, Node, Op, OpId, Plan, Ratio, Records,
    Refused, Setting, System, World,
};

use super::copies::{self, Bug, Copies, PRIMARY};

pub(crate) type Law = fn() -> Result<(), String>;

pub(crate) const LAWS: &[(&str, Law)] = &[
    ("a_loss_moves_no_other_message", a_loss_moves_no_other_message),
    ("a_plan_without_a_family_is_else_the_same", a_plan_without_a_family_is_else_the_same),
    ("every_family_is_off_in_half_of_the_seeds", every_family_is_off_in_half_of_the_seeds),
    ("power_fails_between_two_outputs", power_fails_between_two_outputs),
    ("a_bug_shrinks_to_itself", a_bug_shrinks_to_itself),
    ("a_core_that_drops_everything_fails", a_core_that_drops_everything_fails),
    ("a_history_has_the_time_of_the_world", a_history_has_the_time_of_the_world),
    ("a_failed_sync_loses_data", a_failed_sync_loses_data),
    ("a_new_file_is_lost_without_its_folder", a_new_file_is_lost_without_its_folder),
    ("a_length_survives_without_data", a_length_survives_without_data),
    ("a_clock_that_drifts_wakes_early_or_late", a_clock_that_drifts_wakes_early_or_late),
    ("no_answer_reaches_the_next_incarnation", no_answer_reaches_the_next_incarnation),
    ("a_sync_covers_what_came_before_it", a_sync_covers_what_came_before_it),
];

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A node that tells everybody, once per 10 ms, and writes down who told what.
struct Beacon {
    ids: Vec<NodeId>,
    count: u64,
    deadline: Instant,
    outputs: Outputs<OutputOf<Self>>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Signal {
    from: NodeId,
    number: u64,
}

impl Protocol for Beacon {
    type Message = u64;
    type Record = u64;
    type Query = Infallible;
    type Answer = Infallible;
    type Delivery = Signal;
    type Event = Infallible;

    fn handle_message(&mut self, _now: Instant, from: NodeId, number: u64) {
        self.outputs.deliver(Signal { from, number });
    }

    fn handle_persisted(&mut self, _now: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
    }

    fn handle_fetched(&mut self, _now: Instant, _fetch: FetchId, _answer: Infallible) {}

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.count += 1;
        self.deadline = self.deadline + Duration::from_millis(10);
        self.outputs.persist(self.count);
        for id in &self.ids {
            self.outputs.send(*id, self.count);
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// Three beacons, and nobody who asks for anything.
struct Shore;

/// When which signal arrived where.
#[derive(Default)]
struct Arrivals(BTreeMap<(NodeId, Signal), Instant>);

impl System for Shore {
    type Core = Beacon;
    type Storage = Records<Beacon>;
    type Application = ();
    type Operation = u64;
    type Return = u64;

    fn boot(&self, boot: &Boot<'_, Beacon>) -> Result<(Beacon, Records<Beacon>), Refused> {
        let ids = boot.ids().to_vec();
        let deadline = boot.now() + Duration::from_millis(10);
        let beacon = Beacon { ids, count: 0, deadline, outputs: Outputs::default() };
        Ok((beacon, boot.records_without_fetch()))
    }

    fn invoke(&self, _: &mut Node<Self>, _: OpId, _: &u64, _: &mut Done<u64>) -> Invoked {
        Invoked::BUSY
    }

    fn deliver(&self, _: &mut Node<Self>, _: Signal, _: &mut Done<u64>) {}
}

impl quorate_sim::Law<Shore> for Arrivals {
    fn name(&self) -> &'static str {
        "arrivals"
    }

    fn delivered(&mut self, node: &Node<Shore>, signal: &Signal) -> Result<(), String> {
        self.0.insert((node.id, signal.clone()), node.now());
        Ok(())
    }
}

fn shore(plan: Plan, time: Duration) -> Result<World<Shore>, String> {
    let mut world = World::new(Shore, plan).with_law(Arrivals::default());
    world.run_for(time).map_err(|violation| violation.to_string())?;
    Ok(world)
}

fn arrivals(world: &World<Shore>) -> BTreeMap<(NodeId, Signal), Instant> {
    world.law::<Arrivals>().map(|arrivals| arrivals.0.clone()).unwrap_or_default()
}

/// Returns what the plan of `seed` is made from.
fn setting() -> Setting {
    let mut setting = Setting::new(3..=5);
    setting.clients = 2;
    setting
}

fn a_loss_moves_no_other_message() -> Result<(), String> {
    let mut plan = Plan::calm(3).with_seed(7);
    plan.knobs.reorder = Ratio::ALWAYS;
    let all = shore(plan.clone(), Duration::from_secs(2))?;
    plan.knobs.loss = Ratio::percent(30);
    let some = shore(plan, Duration::from_secs(2))?;
    let (all, some) = (arrivals(&all), arrivals(&some));
    require(some.len() * 10 < all.len() * 8, || "nothing is lost".to_owned())?;
    let moved = some.iter().filter(|(signal, at)| all.get(signal) != Some(at)).count();
    require(moved == 0, || format!("{moved} of {} arrive at other times", some.len()))
}

fn a_plan_without_a_family_is_else_the_same() -> Result<(), String> {
    for (seed, family) in (0..50).flat_map(|seed| Family::ALL.map(|family| (seed, family))) {
        let mut setting = setting();
        let mut all = Plan::draw(seed, &setting);
        setting.faults = setting.faults.without(family);
        let less = Plan::draw(seed, &setting);
        all.families = all.families.without(family);
        all.faults.retain(|fault| fault.kind.family() != family);
        // The knobs of the family are as in a calm run.
        let mut without = less.clone();
        without.knobs = all.knobs.clone();
        require(all == without, || format!("seed {seed} without {family}: {all} is not {less}"))?;
    }
    Ok(())
}

fn every_family_is_off_in_half_of_the_seeds() -> Result<(), String> {
    for family in Family::ALL {
        let mut setting = setting();
        setting.faults = setting.faults.with(family);
        let is_on = |seed: &u64| Plan::draw(*seed, &setting).families.contains(family);
        let count = (0..1_000).filter(is_on).count();
        require((400..600).contains(&count), || format!("{family} is on in {count} of 1000"))?;
    }
    Ok(())
}

/// With a disk that takes no time, only a crash in the middle of a drain comes between an
/// acknowledgement and the write that was handed out after it.
fn power_fails_between_two_outputs() -> Result<(), String> {
    let run = |bug| {
        let suite = copies::suite::<Records<Copies>>("power", bug).faults(Faults::none());
        let suite = suite.adjust(|plan| {
            plan.max_down = 1;
            plan.knobs.sync_latency = Delay::ZERO;
            plan.knobs.power_cut = Ratio::percent(1);
        });
        suite.count_caught(0..20)
    };
    let caught = run(Bug::AcksBeforePersist);
    require(0 < caught.count, || "a core that speaks before it writes is not caught".to_owned())?;
    let caught = run(Bug::None);
    require(caught.count == 0, || format!("a sound core is {caught}"))
}

/// A bug is found, shrunk, and the shortest plan has the same law.
fn a_bug_shrinks_to_itself() -> Result<(), String> {
    let suite = copies::suite::<Records<Copies>>("shrinks", Bug::AcksBeforeDurable);
    let failure = suite.first_failure(0..200).ok_or("the bug is not found")?;
    let again = suite.plan(failure.seed);
    let first = suite.play(again).err().ok_or("the seed fails no more")?;
    let (before, after) = (first.fingerprint(), failure.violation.fingerprint());
    require(before == after, || format!("{before} became {after}"))?;
    require(failure.after.faults <= 3, || format!("it shrinks to {}", failure.after))?;
    let shorter = failure.violation.plan.as_ref().clone();
    require(suite.play(shorter).is_err(), || "the shortest plan does not fail".to_owned())
}

fn a_core_that_drops_everything_fails() -> Result<(), String> {
    let suite = copies::suite::<Records<Copies>>("idle", Bug::Idles);
    let passed = (0..10).find(|seed| suite.play(suite.plan(*seed)).is_ok());
    require(passed.is_none(), || format!("it passes with seed {passed:?}"))
}

/// Whatever nodes take for the time: what one client saw before another called came before.
fn a_history_has_the_time_of_the_world() -> Result<(), String> {
    let mut plan = Plan::calm(3).with_seed(1).with_clients(4);
    plan.knobs.max_clock_offset = Duration::from_secs(10);
    let mut world = copies::world::<Records<Copies>>(plan, Bug::None);
    world.run_for(Duration::from_millis(500)).map_err(|violation| violation.headline())?;
    let spans = world.history().spans();
    let last = spans.iter().map(|span| span.called).max();
    require(10 < spans.len(), || format!("only {} calls", spans.len()))?;
    require(last <= Some(world.now()), || format!("a call at {last:?}, before it happens"))?;
    let is_in_order = spans.is_sorted_by_key(|span| span.called);
    require(is_in_order, || "calls are not in the order of their times".to_owned())
}

fn a_failed_sync_loses_data() -> Result<(), String> {
    let disk = Disk::new();
    disk.install("log", b"");
    let lose = || {
        let file = disk.open("log")?;
        file.write_all_at(0, b"lost")?;
        disk.fail(Op::Sync, 1, ErrorKind::Other);
        let is_failed = file.sync_data().is_err();
        file.sync_data().map(|()| is_failed)
    };
    require(lose().is_ok_and(|is_failed| is_failed), || "the first sync must fail".to_owned())?;
    disk.crash_keeping_unsynced();
    require(disk.content("log").as_deref() != Some(b"lost"), || "the data is there".to_owned())
}

fn a_new_file_is_lost_without_its_folder() -> Result<(), String> {
    let disk = Disk::new();
    let created = disk.create_new("log").and_then(|file| file.sync_data());
    require(created.is_ok(), || "nothing may fail".to_owned())?;
    disk.crash_losing_unsynced();
    require(disk.content("log").is_none(), || "the file is there".to_owned())
}

fn a_length_survives_without_data() -> Result<(), String> {
    let survives = |entropy: u64| {
        let disk = Disk::new();
        disk.install("log", b"");
        let written = disk.open("log").and_then(|file| file.write_all_at(0, &[1; 512]));
        disk.crash(entropy);
        written.is_ok() && disk.content("log").is_some_and(|bytes| bytes == [0; 512])
    };
    require((0..200).any(survives), || "it never does".to_owned())
}

fn a_clock_that_drifts_wakes_early_or_late() -> Result<(), String> {
    let mut plan = Plan::calm(3).with_seed(3);
    plan.knobs.max_drift_ppm = 100_000;
    let world = shore(plan, Duration::from_secs(10))?;
    let counts: BTreeSet<u64> = world.nodes().iter().map(|node| node.core.count).collect();
    require(counts.len() == 3, || format!("in 10 s they wake {counts:?} times"))
}

/// A core panics when it is given an answer that it has no question for.
fn no_answer_reaches_the_next_incarnation() -> Result<(), String> {
    for seed in 0..20 {
        let mut plan = Plan::calm(3).with_seed(seed).with_clients(8);
        plan.knobs.loss = Ratio::percent(20);
        plan.knobs.fetch_latency = Delay::constant(Duration::from_millis(200));
        plan.knobs.sync_latency = Delay::constant(Duration::from_millis(20));
        let mut world = copies::world::<Records<Copies>>(plan, Bug::None);
        for _ in 0..20 {
            let lived = world
                .run_for(Duration::from_millis(150))
                .and_then(|()| world.crash(PRIMARY))
                .and_then(|()| world.restart(PRIMARY));
            lived.map_err(|violation| violation.headline())?;
        }
    }
    Ok(())
}

/// A write that was appended during a sync is not durable after it.
fn a_sync_covers_what_came_before_it() -> Result<(), String> {
    let mut plan = Plan::calm(3);
    plan.knobs.sync_latency = Delay::constant(Duration::from_millis(15));
    // Signals are written at 10, 20 and 30 ms; syncs last from 10 to 25, and from there to 40.
    let mut counts = BTreeSet::new();
    for seed in 0..20 {
        let mut world = shore(plan.clone().with_seed(seed), Duration::from_millis(28))?;
        let id = NodeId(1);
        let lived = world.crash(id).and_then(|()| world.restart(id));
        lived.map_err(|violation| violation.headline())?;
        let count = world.node(id).map_or(0, |node| node.storage.replay().count());
        counts.insert(count);
    }
    require(counts == BTreeSet::from([1, 2]), || format!("crashes leave {counts:?} records"))
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signal {} of {}", self.number, self.from)
    }
}
