//! A cluster of Raft nodes, what its clients were told, and the laws of Raft's figure 3.

mod laws;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use quorate_consensus::raft::{Answer, Config, Delivery, Event, Query, Raft, ReadId, Record, Role};
use quorate_consensus::{Entry, Index, LogId, Majority, NodeId, Payload, Proposals, Term};
use quorate_core::{SplitMix64, Storage};
use quorate_sim::{
    Boot, Delay, Faults, Mistake, Node, Nodes, Plan, Ratio, Records, System, Violation, World, mix,
};

/// Plays one run. Returns the world at its end, or the law that was broken and the story so far.
pub(crate) fn run_with<S: RaftStorage>(
    seed: u64,
    mistake: Mistake,
) -> Result<World<Cluster<S>>, Violation> {
    let power = if mix(seed, KNOBS, 9).is_multiple_of(4) { Power::Shaky } else { Power::Good };
    play(world(seed, power).with_mistake(mistake))
}

/// Plays one run in which power fails in the middle of elections, again and again, and is back at
/// once.
pub(crate) fn run_shaky<S: RaftStorage>(seed: u64) -> Result<World<Cluster<S>>, Violation> {
    play(world(seed, Power::Shaky))
}

fn play<S: RaftStorage>(mut world: World<Cluster<S>>) -> Result<World<Cluster<S>>, Violation> {
    world.run_for(FAULTY)?;
    calm_down(&mut world)?;
    let committed = world.system().committed.len();
    run_until(&mut world, |world| check_progress(world, committed))?;
    world.system_mut().is_quiet = true;
    run_until(&mut world, check_agreement)?;
    Ok(world)
}

/// Plays one run in which whoever leads soon crashes, and only as many come back as a quorum needs:
/// the way to figure 8 of the paper, where entries of old terms are on a majority and yet not safe.
pub(crate) fn run_hunt<S: RaftStorage>(seed: u64) -> Result<World<Cluster<S>>, Violation> {
    let mut plan = Plan::calm();
    plan.act_every = None;
    plan.loss = Ratio::percent(40);
    plan.sync_latency = Delay::Exponential { min_nanos: 0, mean_nanos: 2_000_000 };
    plan.max_down = Some(5);
    let mut world = five(seed, plan, |number| mix(seed, KNOBS, number));
    let config = &mut world.system_mut().config;
    config.max_append_bytes = 1;
    config.election_timeout = Duration::from_millis(20)..Duration::from_millis(40);
    config.heartbeat_interval = Duration::from_millis(5);
    let mut random = SplitMix64::new(seed);
    for _ in 0..HUNTS {
        world.run_for(Duration::from_micros(random.below(60_000)))?;
        hunt(&mut world, &mut random)?;
    }
    calm_down(&mut world)?;
    world.run_for(STEP)?;
    Ok(world)
}

/// Proposes to whoever leads, lets it go on for a moment, and crashes it.
fn hunt<S: RaftStorage>(
    world: &mut World<Cluster<S>>,
    random: &mut SplitMix64,
) -> Result<(), Violation> {
    let up: Vec<NodeId> = world.nodes().iter().map(|node| node.id).collect();
    let leads =
        |id: &NodeId| world.node(*id).is_some_and(|it| it.core.status().role == Role::Leader);
    let leaders: Vec<NodeId> = up.iter().copied().filter(leads).collect();
    let is_small = up.len() <= 3;
    for leader in leaders {
        let now =
            |node: &mut Node<Cluster<S>>| node.core.propose(node.now(), Bytes::from_static(b"x"));
        _ = world.with(leader, now)?;
        world.run_for(Duration::from_micros(random.below(8_000)))?;
        world.crash(leader)?;
    }
    if is_small {
        let down = world.nodes().ids().iter().copied().filter(|id| world.node(*id).is_none());
        let down: Vec<NodeId> = down.collect();
        if !down.is_empty() {
            let picked = random.below(down.len() as u64);
            world.restart(down[offset(Index(picked + 1))])?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Power {
    Good,
    Shaky,
}

/// Three or five nodes whose limits are as tight or as wide as the seed says.
fn world<S: RaftStorage>(seed: u64, power: Power) -> World<Cluster<S>> {
    let mut plan = Plan::draw(seed, &Faults::all());
    let knob = |number| mix(seed, KNOBS, number);
    if power == Power::Shaky {
        let mean =
            |millis: u64| Delay::Exponential { min_nanos: 0, mean_nanos: millis * 1_000_000 };
        plan.power_cut = Ratio::percent(1);
        plan.sync_cut = Ratio::percent(40);
        // Slow messages part votes, slow disks part leaders from what they sent.
        let (sync, delay) = if knob(10).is_multiple_of(2) { (8, 8) } else { (12, 3) };
        (plan.sync_latency, plan.down_for, plan.delay) = (mean(sync), mean(8), mean(delay));
    }
    let count = if knob(0).is_multiple_of(2) { 3 } else { 5 };
    let ids: Vec<NodeId> = (1..=count).map(NodeId).collect();
    let cluster = Cluster::new(&ids, knob, power);
    if cluster.config.max_append_bytes < 1000 {
        // Thousands of entries that are read back, and sent, one by one would take hours.
        plan.fetch_latency = Plan::calm().fetch_latency;
        plan.act_every = Some(Duration::from_millis(200));
    }
    World::new(cluster, &ids, seed, plan)
}

/// Runs until `check` is content. A cluster that sends, or reads back, one entry per round trip
/// needs its time.
fn run_until<S: RaftStorage>(
    world: &mut World<Cluster<S>>,
    check: impl Fn(&World<Cluster<S>>) -> Result<(), String>,
) -> Result<(), Violation> {
    for _ in 0..STEPS_MAX {
        world.run_for(STEP)?;
        if check(world).is_ok() {
            return Ok(());
        }
    }
    check(world).map_err(|law| world.violation(law))
}

/// Five nodes whose limits `knob` draws: 3 of each gives those of [`Config::new`].
pub(crate) fn five<S: RaftStorage>(
    seed: u64,
    plan: Plan,
    knob: impl Fn(u64) -> u64,
) -> World<Cluster<S>> {
    let ids: Vec<NodeId> = (1..=5).map(NodeId).collect();
    World::new(Cluster::new(&ids, knob, Power::Good), &ids, seed, plan)
}

/// Ends the faults. Nodes whose timeouts are too short for this network to keep a leader get others
/// with a restart; the rest must find its way out of whatever state it is in.
fn calm_down<S: RaftStorage>(world: &mut World<Cluster<S>>) -> Result<(), Violation> {
    let calm = Config::new(NodeId(1), world.system().config.voters.clone());
    let config = &mut world.system_mut().config;
    let is_hasty = config.election_timeout != calm.election_timeout;
    config.election_timeout = calm.election_timeout;
    config.heartbeat_interval = calm.heartbeat_interval;
    if is_hasty {
        let ids = world.nodes().ids().to_vec();
        ids.into_iter().try_for_each(|id| world.crash(id))?;
    }
    world.heal_all()
}

/// Once nothing fails any more, proposals are committed.
fn check_progress<S: RaftStorage>(world: &World<Cluster<S>>, before: usize) -> Result<(), String> {
    let now = world.system().committed.len();
    if now <= before {
        return Err(format!("nothing was committed after the faults ended, beyond {before}"));
    }
    Ok(())
}

/// Once nobody proposes any more, all nodes agree.
fn check_agreement<S: RaftStorage>(world: &World<Cluster<S>>) -> Result<(), String> {
    let now = world.system().committed.len();
    for node in world.nodes().iter() {
        let delivered = node.core.status().last_delivered;
        if delivered.0 != now as u64 {
            return Err(format!("{} still lacks entries: it has {delivered} of {now}", node.id));
        }
        if !node.application.proposals.is_empty() || !node.application.reads.is_empty() {
            return Err(format!("a client of {} still waits", node.id));
        }
    }
    Ok(())
}

/// What nobody in the cluster could know.
pub(crate) struct Cluster<S = Records<Raft>> {
    config: Config,
    leaders: BTreeMap<Term, NodeId>,
    /// The term before each entry that was ever in a log: equal entries have equal pasts.
    pasts: BTreeMap<LogId, Term>,
    /// The log of each node when it was last looked at.
    logs: BTreeMap<NodeId, Seen>,
    /// What some node knew to be committed.
    committed: Vec<Committed>,
    /// What some application was handed.
    delivered: Vec<Payload>,
    /// What clients were told is done, and what never will be.
    lost: BTreeSet<Bytes>,
    /// The newest index that a client knows of.
    acknowledged: Index,
    last_value: u64,
    /// Whether clients are done.
    is_quiet: bool,
    /// What came to pass.
    pub(crate) saw: Saw,
    storage: PhantomData<S>,
}

/// How a node of a world comes to its storage.
pub(crate) trait RaftStorage:
    Storage<Record, Query = Query, Answer = Answer> + Sized
{
    /// Opens it on what survived.
    fn open(boot: &Boot<'_, Raft>) -> Result<Self, String>;
}

impl RaftStorage for Records<Raft> {
    fn open(boot: &Boot<'_, Raft>) -> Result<Self, String> {
        Ok(boot.records(answer))
    }
}

/// How often things came to pass that a run should show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Saw {
    pub(crate) done: u64,
    pub(crate) lost: u64,
    pub(crate) reads: u64,
    pub(crate) refused_reads: u64,
    pub(crate) leaders: u64,
    pub(crate) truncations: u64,
}

/// An entry that is committed.
#[derive(Clone, Copy)]
struct Committed {
    term: Term,
    /// In which term it was.
    within: Term,
}

#[derive(Default)]
struct Seen {
    terms: Vec<Term>,
    commit_index: Index,
}

/// What one node's application knows.
pub(crate) struct Application {
    last_applied: Index,
    proposals: Proposals<Bytes>,
    /// The newest index any client knew of when the read was asked for.
    reads: BTreeMap<ReadId, Index>,
}

impl Default for Application {
    fn default() -> Self {
        let proposals = Proposals::new(100_000);
        Self { last_applied: Index::ZERO, proposals, reads: BTreeMap::new() }
    }
}

impl<S: RaftStorage> Cluster<S> {
    fn new(ids: &[NodeId], knob: impl Fn(u64) -> u64, power: Power) -> Self {
        let voters = Majority::new(ids.iter().copied()).expect("there are nodes");
        let mut config = Config::new(ids[0], voters);
        let pick = |number, choices: [usize; 4]| {
            choices[usize::try_from(knob(number) % 4).expect("one of four")]
        };
        config.max_append_bytes = pick(1, [1, 100, 1000, 1 << 20]);
        if power == Power::Shaky {
            config.max_append_bytes = 1;
        }
        config.max_inflight_appends = pick(2, [1, 2, 8, 256]);
        config.max_inflight_bytes = pick(3, [1, 200, 2000, 4 << 20]);
        config.max_cached_bytes = pick(4, [0, 200, 2000, 64 << 20]);
        config.max_unpersisted_bytes = pick(5, [200, 2000, 64 << 20, 64 << 20]);
        config.max_uncommitted_bytes = pick(6, [200, 2000, 64 << 20, 64 << 20]);
        if power == Power::Shaky || knob(7).is_multiple_of(2) {
            let start = Duration::from_millis([20, 40, 80, 200][offset(Index(1 + knob(8) % 4))]);
            config.election_timeout = start..start * 2;
            config.heartbeat_interval = start / 4;
        }
        Self {
            config,
            leaders: BTreeMap::new(),
            pasts: BTreeMap::new(),
            logs: BTreeMap::new(),
            committed: Vec::new(),
            delivered: Vec::new(),
            lost: BTreeSet::new(),
            acknowledged: Index::ZERO,
            last_value: 0,
            is_quiet: false,
            saw: Saw::default(),
            storage: PhantomData,
        }
    }

    fn propose(&mut self, node: &mut Node<Self>) -> Option<String> {
        self.last_value += 1;
        let value = Bytes::from(format!("v{}", self.last_value));
        let now = node.now();
        let index = node.core.propose(now, value.clone()).ok()?;
        let id = LogId { term: node.core.status().term, index };
        node.application.proposals.insert(id, value).expect("the table is large");
        Some(format!("proposes {id}"))
    }

    fn read(&self, node: &mut Node<Self>) -> Option<String> {
        let now = node.now();
        let read = node.core.read(now).ok()?;
        node.application.reads.insert(read, self.acknowledged);
        Some(format!("reads {read}, of what is at least at {}", self.acknowledged))
    }
}

impl<S: RaftStorage> System for Cluster<S> {
    type Core = Raft;
    type Storage = S;
    type Application = Application;

    fn boot(&mut self, boot: &Boot<'_, Raft>) -> Result<(Raft, S), String> {
        let mut config = self.config.clone();
        config.id = boot.id();
        self.logs.entry(boot.id()).or_default().commit_index = Index::ZERO;
        let storage = S::open(boot)?;
        let records: Result<Vec<Record>, _> = storage.replay().collect();
        let records = records.map_err(|error| error.to_string())?;
        let raft = Raft::restore(config, records, Index::ZERO, boot.seed(), boot.now())
            .map_err(|error| error.to_string())?;
        Ok((raft, storage))
    }

    fn deliver(&mut self, node: &mut Node<Self>, delivery: Delivery) -> Result<(), String> {
        match delivery {
            Delivery::Committed(entries) => {
                entries.iter().try_for_each(|entry| self.apply(entry, &mut node.application))
            }
            Delivery::Read { read, outcome: Ok(index) } => {
                self.answer(&mut node.application, read, index)
            }
            Delivery::Read { read, outcome: Err(_) } => {
                self.saw.refused_reads += 1;
                node.application.reads.remove(&read).map(|_| ()).ok_or_else(|| "two answers".into())
            }
        }
    }

    fn act(&mut self, node: &mut Node<Self>, random: &mut SplitMix64) -> Option<String> {
        match random.below(10) {
            _ if self.is_quiet => None,
            0..6 => self.propose(node),
            6..8 => self.read(node),
            _ => {
                let several: Vec<String> =
                    (0..random.below(8)).filter_map(|_| self.propose(node)).collect();
                (!several.is_empty()).then(|| several.join(", "))
            }
        }
    }

    fn event(&mut self, _node: &mut Node<Self>, _event: Event) -> Result<(), String> {
        Ok(())
    }

    fn check(&mut self, nodes: &Nodes<Self>, changed: NodeId) -> Result<(), String> {
        let Some(node) = nodes.get(changed) else { return Ok(()) };
        let status = node.core.status();
        self.check_log(&node.core, &status)?;
        self.check_commit(&node.core, &status)?;
        self.check_leader(&node.core, &status)
    }
}

/// Answers from the fold of the records, and now and then with less than was asked for.
fn answer(records: &[Record], query: Query) -> Answer {
    let Query::Entries { range, max_bytes } = query;
    let mut log: Vec<&Entry> = Vec::new();
    for record in records {
        if let Record::Entries(entries) = record {
            let first = entries.first().map_or(Index::ZERO, |first| first.index);
            log.truncate(offset(first));
            log.extend(entries);
        }
    }
    let mut left = max_bytes;
    let mut entries = Vec::new();
    for entry in log.into_iter().filter(|entry| range.contains(&entry.index)) {
        if left < entry.payload_bytes() && !entries.is_empty() {
            break;
        }
        left = left.saturating_sub(entry.payload_bytes());
        entries.push(entry.clone());
    }
    if entries.is_empty() { Answer::Unavailable } else { Answer::Entries(entries) }
}

fn offset(index: Index) -> usize {
    usize::try_from(index.0 - 1).expect("a log fits memory")
}

/// The stream that the knobs of a world are drawn from.
const KNOBS: u64 = 0x6b6e_6f62;

/// How many leaders are hunted in a run.
const HUNTS: u32 = 1000;

/// How long a run lasts with faults; and, in steps, until it has settled.
const FAULTY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(5);
const STEPS_MAX: usize = 400;
