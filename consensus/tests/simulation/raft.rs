//! A cluster of Raft nodes, and clients that propose and read.

mod laws;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate_consensus::raft::{
    Answer, Config, Delivery, Message, Query, Raft, ReadId, Record, Role,
};
use quorate_consensus::{Entry, Index, LogId, Majority, NodeId, Outcome, Proposals};
use quorate_core::{SplitMix64, Storage, Wire as _};
use quorate_sim::{
    Badge, Boot, Delay, Done, Invoked, Node, OpId, Plan, Ratio, Records, Refused, Suite, System,
    Violation, World, damage,
};

pub(crate) use self::laws::RaftLaws;

/// Three or five nodes under every fault, with limits as tight or as wide as the seed says.
pub(crate) fn suite<S: RaftStorage>(name: &'static str) -> Suite<Cluster<S>> {
    Suite::new(name, Cluster::new(Power::Good))
        .nodes(3..=5)
        .clients(8)
        .time(FAULTY)
        .workload(
            |draw| if draw.kind(4) < 3 { Operation::propose(draw.id()) } else { Operation::Read },
        )
        .law(RaftLaws::default())
        .converges(WITHIN, agree)
        .must_see(["done", "lost", "read", "refused read", "leader", "truncation", "crash", "loss"])
}

/// As [`suite`], but power fails in the middle of elections, again and again, and is back at once.
pub(crate) fn shaky<S: RaftStorage>(name: &'static str) -> Suite<Cluster<S>> {
    Suite::new(name, Cluster::new(Power::Shaky))
        .nodes(3..=5)
        .clients(8)
        .time(FAULTY)
        .workload(|draw| Operation::propose(draw.id()))
        .law(RaftLaws::default())
        .converges(WITHIN, agree)
        .adjust(|plan| {
            let mean =
                |millis: u64| Delay::Exponential { min_nanos: 0, mean_nanos: millis * 1_000_000 };
            // Nothing else takes nodes away: whoever is up may lose power, and is soon back.
            plan.faults.clear();
            plan.max_down = plan.nodes;
            let knobs = &mut plan.knobs;
            knobs.is_tuned = true;
            knobs.think = Duration::from_millis(3);
            knobs.power_cut = Ratio::percent(1);
            knobs.sync_cut = Ratio::percent(40);
            // Slow messages part votes, slow disks part leaders from what they sent.
            let (sync, delay) = if plan.seed.is_multiple_of(2) { (8, 8) } else { (12, 3) };
            (knobs.sync_latency, knobs.down_for, knobs.delay) = (mean(sync), mean(8), mean(delay));
        })
}

/// Plays one run in which whoever leads soon crashes, and only as many come back as a quorum needs:
/// the way to figure 8 of the paper, where entries of old terms are on a majority and yet not safe.
pub(crate) fn run_hunt<S: RaftStorage>(seed: u64) -> Result<World<Cluster<S>>, Violation> {
    let mut plan = Plan::calm(5).with_seed(seed);
    plan.knobs.loss = Ratio::percent(40);
    plan.knobs.sync_latency = Delay::Exponential { min_nanos: 0, mean_nanos: 2_000_000 };
    plan.max_down = 5;
    let mut world =
        World::new(Cluster::<S>::new(Power::Hunted), plan).with_law(RaftLaws::default());
    let mut random = SplitMix64::new(seed);
    for _ in 0..HUNTS {
        world.run_for(Duration::from_micros(random.below(60_000)))?;
        hunt(&mut world, &mut random)?;
    }
    world.heal_all()?;
    world.run_for(Duration::from_secs(5))?;
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

/// Once nobody proposes any more, all nodes that are up have all that any client was told of.
fn agree<S: RaftStorage>(world: &World<Cluster<S>>) -> Result<(), String> {
    let laws = world.law::<RaftLaws>().ok_or("the laws are off")?;
    let needed = laws.acknowledged();
    let quorum = world.nodes().ids().len() / 2 + 1;
    let is_there = |node: &&Node<Cluster<S>>| needed <= node.core.status().last_delivered;
    let there = world.nodes().iter().filter(is_there).count();
    if there < quorum {
        return Err(format!("{there} nodes have delivered {needed}, which was acknowledged"));
    }
    Ok(())
}

/// What a node of Raft is, over the storage `S`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cluster<S> {
    power: Power,
    storage: PhantomData<fn() -> S>,
}

/// Which limits nodes get.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Power {
    Good,
    Shaky,
    Hunted,
}

/// How a node of a world comes to its storage.
pub(crate) trait RaftStorage:
    Storage<Record, Query = Query, Answer = Answer> + Sized + 'static
{
    /// Opens it on what survived.
    fn open(boot: &Boot<'_, Raft>) -> Result<Self, String>;
}

impl RaftStorage for Records<Raft> {
    fn open(boot: &Boot<'_, Raft>) -> Result<Self, String> {
        Ok(boot.records(answer))
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Propose(Bytes),
    Read,
}

/// What a client is told: where its entry is, or up to where a read sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct At(Index);

/// What one node's application knows.
pub(crate) struct Application {
    last_applied: Index,
    proposals: Proposals<(OpId, Bytes)>,
    reads: BTreeMap<ReadId, OpId>,
}

impl Default for Application {
    fn default() -> Self {
        let proposals = Proposals::new(100_000);
        Self { last_applied: Index::ZERO, proposals, reads: BTreeMap::new() }
    }
}

impl Operation {
    fn propose(id: OpId) -> Self {
        Self::Propose(Bytes::from(format!("v{id}")))
    }
}

impl<S: RaftStorage> Cluster<S> {
    const fn new(power: Power) -> Self {
        Self { power, storage: PhantomData }
    }

    fn config(&self, boot: &Boot<'_, Raft>) -> Config {
        let voters = Majority::new(boot.ids().iter().copied()).expect("there are nodes");
        let mut config = Config::new(boot.id(), voters);
        if let Some(random) = boot.tuning() {
            tighten(&mut config, random);
        }
        match self.power {
            Power::Good => {}
            Power::Shaky => {
                config.max_append_bytes = 1;
                let start = Duration::from_millis(20 << (boot.tuning_number() % 4));
                config.election_timeout = start..start * 2;
                config.heartbeat_interval = start / 4;
            }
            Power::Hunted => {
                config.max_append_bytes = 1;
                config.election_timeout = Duration::from_millis(20)..Duration::from_millis(40);
                config.heartbeat_interval = Duration::from_millis(5);
            }
        }
        config
    }
}

/// Draws limits that are reached all the time, and some that never are.
fn tighten(config: &mut Config, mut random: SplitMix64) {
    let mut pick = |choices: [usize; 4]| choices[offset(Index(1 + random.below(4)))];
    config.max_append_bytes = pick([1, 100, 1000, 1 << 20]);
    config.max_inflight_appends = pick([1, 2, 8, 256]);
    config.max_inflight_bytes = pick([1, 200, 2000, 4 << 20]);
    config.max_cached_bytes = pick([0, 200, 2000, 64 << 20]);
    config.max_unpersisted_bytes = pick([200, 2000, 64 << 20, 64 << 20]);
    config.max_uncommitted_bytes = pick([200, 2000, 64 << 20, 64 << 20]);
    let start = Duration::from_millis(pick([40, 80, 150, 200]) as u64);
    config.election_timeout = start..start * 2;
    config.heartbeat_interval = start / 4;
}

impl<S: RaftStorage> System for Cluster<S> {
    type Core = Raft;
    type Storage = S;
    type Application = Application;
    type Operation = Operation;
    type Return = At;

    fn boot(&self, boot: &Boot<'_, Raft>) -> Result<(Raft, S), Refused> {
        let storage = S::open(boot).map_err(Refused)?;
        let records: Result<Vec<Record>, _> = storage.replay().collect();
        let records = records.map_err(Refused::new)?;
        let config = self.config(boot);
        let raft = Raft::restore(config, records, Index::ZERO, boot.seed(), boot.now());
        Ok((raft.map_err(Refused::new)?, storage))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &Operation,
        _done: &mut Done<At>,
    ) -> Invoked {
        let now = node.now();
        let started = match operation {
            Operation::Propose(value) => node.core.propose(now, value.clone()).ok().map(|index| {
                let at = LogId { term: node.core.status().term, index };
                let waiting = (id, value.clone());
                node.application.proposals.insert(at, waiting).expect("the table is large");
            }),
            Operation::Read => node.core.read(now).ok().map(|read| {
                node.application.reads.insert(read, id);
            }),
        };
        match started {
            Some(()) => Invoked::Started,
            None => Invoked::redirect(node.core.status().leader),
        }
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Delivery, done: &mut Done<At>) {
        let application = &mut node.application;
        match delivery {
            Delivery::Committed(entries) => {
                for entry in &entries {
                    application.last_applied = entry.index;
                    for ((id, _), outcome) in application.proposals.settle(entry) {
                        match outcome {
                            Outcome::Done => done.ok(id, At(entry.index)),
                            Outcome::Lost => done.fail(id),
                        }
                    }
                }
            }
            Delivery::Read { read, outcome } => {
                let Some(id) = application.reads.remove(&read) else { return };
                match outcome {
                    Ok(index) => done.ok(id, At(index)),
                    Err(_) => done.fail(id),
                }
            }
        }
    }

    fn bytes(&self, message: &Message) -> u64 {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        bytes.len() as u64
    }

    fn damage(&self, message: &Message, random: &mut SplitMix64) -> Option<Message> {
        damage(message, crc32fast::hash, random)
    }

    fn badge(&self, core: &Raft) -> Badge {
        let status = core.status();
        let role = match status.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
            _ => "candidate",
        };
        Badge { role, number: status.term.0 }
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

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose(value) => write!(f, "propose {}", String::from_utf8_lossy(value)),
            Self::Read => f.write_str("read"),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}", self.0)
    }
}

/// How many leaders are hunted in a run.
const HUNTS: u32 = 1000;

/// How long a run lasts with faults; and, at most, until it has settled.
const FAULTY: Duration = Duration::from_secs(20);
/// A leader may be a node that is not healed, and its application must catch up before it takes
/// more: with the tightest limits one entry for each read of a slow disk, of a thousand and more.
const WITHIN: Duration = Duration::from_secs(1_000);
