//! The loop: one event at a time, in virtual time, and all its consequences before the next.
//!
//! ```text
//!   queue --pop--> handle_message, handle_persisted, handle_fetched, handle_timeout, act
//!     ^                                   |
//!     |                             poll_output, one by one; the power may fail before each
//!     |                                   |
//!     +--- Send: network      Persist: storage, sync      Fetch: later, in any order
//!                             Deliver, Event: System      then: System::check
//! ```
//!
//! Source: Zhou et al., "`FoundationDB`" (SIGMOD 2021), section 4, for simulation as the way to
//! develop; decisions are keyed instead of drawn from one stream, see [`mix`](crate::mix).

mod drain;
mod faults;
mod queue;
mod site;
mod story;

pub use self::drain::ready;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quorate_core::{Instant, NodeId, Protocol as _, SplitMix64};

use self::faults::Chaos;
use self::queue::Queue;
use self::site::{Happening, NEVER, Site};
use crate::decision::{Delay, nanos};
use crate::mistake::Mistake;
use crate::network::Network;
use crate::plan::Plan;
use crate::stream::Purpose;
use crate::system::{Boot, Node, Nodes, System};
use crate::trace::{Noted, Trace, What};
use crate::traps::{Trap, planted};
use crate::violation::{Violation, panic_message};

/// A few nodes of a [`System`], and everything around them.
///
/// Nodes start with the first call that runs anything. After a [`Violation`] the world stands as
/// it was found, and is not to be run on.
///
/// # Determinism
///
/// Equal systems, nodes, seeds, plans and calls give equal runs: [`Trace::digest`] tells.
pub struct World<S: System> {
    system: S,
    nodes: Nodes<S>,
    sites: Vec<Site<S::Core>>,
    network: Network,
    queue: Queue<Happening<S::Core>>,
    chaos: Chaos,
    /// Nanoseconds since the start.
    now: u64,
    seed: u64,
    plan: Plan,
    mistake: Mistake,
    is_started: bool,
    trace: Trace<S::Core>,
    stats: Stats,
}

/// How much of what happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Everything that was taken from the queue and was not out of date.
    pub events: u64,
    /// Messages that were handed to the network.
    pub sent: u64,
    /// Messages that reached a core, repeats included.
    pub delivered: u64,
    /// Messages lost: by chance, to a cut, to a node that was down.
    pub lost: u64,
    /// Messages that were to arrive twice.
    pub repeated: u64,
    /// Deadlines that were run.
    pub timeouts: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Fetches that were answered.
    pub fetches: u64,
    /// Deliveries to the application.
    pub applied: u64,
    /// Client actions that did something.
    pub acts: u64,
    /// Starts, the first ones included.
    pub boots: u64,
    /// Crashes, of whatever cause.
    pub crashes: u64,
    /// Of the crashes, those between two outputs of one drain.
    pub power_cuts: u64,
    /// Pauses.
    pub pauses: u64,
    /// Partitions.
    pub partitions: u64,
}

impl<S: System> World<S> {
    /// Makes a world in which nothing happened yet.
    ///
    /// # Panics
    ///
    /// If an id is there twice.
    #[must_use]
    pub fn new(system: S, ids: &[NodeId], seed: u64, plan: Plan) -> Self {
        let ids = ids.to_vec();
        let is_new = |(index, id): (usize, &NodeId)| !ids[..index].contains(id);
        assert!(ids.iter().enumerate().all(is_new), "a node is there twice: {ids:?}");
        let slots = ids.iter().map(|_| None).collect();
        Self {
            system,
            sites: (0..ids.len()).map(|node| Site::new(seed, node, &plan)).collect(),
            network: Network::new(seed, ids.len(), &plan),
            queue: Queue::new(plan.shuffle_ties.then_some(seed)),
            chaos: Chaos::new(seed),
            nodes: Nodes { ids, slots },
            now: 0,
            seed,
            plan,
            mistake: Mistake::None,
            is_started: false,
            trace: Trace::new(),
            stats: Stats::default(),
        }
    }

    /// Makes the world a careless driver.
    #[must_use]
    pub fn with_mistake(mut self, mistake: Mistake) -> Self {
        self.mistake = mistake;
        self
    }

    /// Keeps no story, only its digest: for benches, and for runs that are done again on failure.
    #[must_use]
    pub fn without_story(mut self) -> Self {
        self.trace.turn_off();
        self
    }

    /// Lets the next thing happen. Returns `false` if nothing ever will.
    ///
    /// # Errors
    ///
    /// The law that it broke.
    pub fn step(&mut self) -> Result<bool, Violation> {
        self.guard(|world| {
            world.start()?;
            let Some((at, happening)) = world.queue.pop() else { return Ok(false) };
            world.now = at;
            world.perform(happening).map(|()| true)
        })
    }

    /// Runs for `time`.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        self.run_until(Instant::from_nanos(self.now) + time)
    }

    /// Runs until the world's clock shows `at`, and everything due then has happened.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    pub fn run_until(&mut self, at: Instant) -> Result<(), Violation> {
        self.guard(|world| {
            world.start()?;
            while world.queue.peek().is_some_and(|next| next <= at.as_nanos()) {
                let Some((now, happening)) = world.queue.pop() else { break };
                world.now = now;
                world.perform(happening)?;
            }
            world.now = world.now.max(at.as_nanos());
            Ok(())
        })
    }

    /// Returns the true time, which no node knows.
    #[must_use]
    pub const fn now(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    /// Returns the node, or `None` if it is down or not of this world.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node<S>> {
        self.nodes.get(id)
    }

    /// Returns the nodes.
    #[must_use]
    pub const fn nodes(&self) -> &Nodes<S> {
        &self.nodes
    }

    /// Returns the system, with what it saw.
    #[must_use]
    pub const fn system(&self) -> &S {
        &self.system
    }

    /// Returns the system, to be told something.
    #[must_use]
    pub const fn system_mut(&mut self) -> &mut S {
        &mut self.system
    }

    /// Returns the plan.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns how much happened.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns what happened.
    #[must_use]
    pub const fn trace(&self) -> &Trace<S::Core> {
        &self.trace
    }

    /// Returns what happened, without the world.
    #[must_use]
    pub fn into_trace(self) -> Trace<S::Core> {
        self.trace
    }

    /// Makes a violation of a law that the caller found broken, with the story of this world.
    #[must_use]
    pub fn violation(&self, law: impl Into<String>) -> Violation {
        Violation {
            law: law.into(),
            seed: self.seed,
            at: self.now(),
            plan: self.plan.to_string().into(),
            story: self.trace.to_string().into(),
        }
    }

    /// Makes what goes wrong in `run`, a panic as well, a violation with the story so far.
    fn guard<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, Violation> {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)))
            .unwrap_or_else(|panic| Err(format!("panicked: {}", panic_message(&*panic))));
        result.map_err(|law| self.violation(law))
    }

    /// Starts every node, once.
    fn start(&mut self) -> Result<(), String> {
        if self.is_started {
            return Ok(());
        }
        self.is_started = true;
        self.expect_trouble();
        for node in 0..self.sites.len() {
            self.boot(node)?;
            self.expect_act(node);
        }
        Ok(())
    }

    fn boot(&mut self, node: usize) -> Result<(), String> {
        self.note(Kind::Boot, node, || What::World("starts"));
        let site = &mut self.sites[node];
        let seed = site.begin(&self.plan);
        let id = self.nodes.ids[node];
        let incarnation = u64::from(site.epoch) + 1;
        let now = site.clock.local(self.now);
        let boot = Boot {
            id,
            ids: &self.nodes.ids,
            now,
            seed,
            incarnation,
            disk: &site.disk,
            log: &site.log,
        };
        self.stats.boots += 1;
        let (core, storage) =
            self.system.boot(&boot).map_err(|why| format!("{id} cannot start: {why}"))?;
        let application = S::Application::default();
        self.nodes.slots[node] = Some(Node { id, core, storage, application, now, incarnation });
        self.settle(node)
    }

    /// Lets one thing happen, with all that follows from it at once.
    fn perform(&mut self, happening: Happening<S::Core>) -> Result<(), String> {
        let Some(happening) = self.wait_for_resume(happening) else { return Ok(()) };
        match happening {
            Happening::Arrival { from, to, message } => self.arrive(from, to, message),
            Happening::Timer { node, number } => self.wake(node, number),
            Happening::Synced { node, epoch } if self.is_current(node, epoch) => self.synced(node),
            Happening::Fetched { node, epoch, fetch, query } if self.is_current(node, epoch) => {
                self.fetched(node, fetch, query)
            }
            Happening::Synced { .. } | Happening::Fetched { .. } => Ok(()),
            Happening::Act { node } => self.act(node),
            Happening::Restart { node, epoch } => {
                let is_due = self.nodes.slots[node].is_none() && self.sites[node].epoch == epoch;
                if is_due { self.boot(node) } else { Ok(()) }
            }
            Happening::Resume { node, pause } => {
                if self.sites[node].pause == Some(pause) {
                    self.resume_node(node);
                }
                Ok(())
            }
            Happening::Trouble(trouble) => {
                self.make_trouble(trouble);
                Ok(())
            }
            Happening::Heal { partition } => {
                self.end_partition(partition);
                Ok(())
            }
        }
    }

    /// Keeps what a paused node would take in until it goes on.
    #[inline]
    fn wait_for_resume(&mut self, happening: Happening<S::Core>) -> Option<Happening<S::Core>> {
        let node = match happening {
            Happening::Arrival { to, .. } => to,
            Happening::Timer { node, .. }
            | Happening::Synced { node, .. }
            | Happening::Fetched { node, .. } => node,
            _ => return Some(happening),
        };
        let site = &mut self.sites[node];
        if site.pause.is_none() {
            return Some(happening);
        }
        site.waiting.push_back(happening);
        None
    }

    fn is_current(&self, node: usize, epoch: u32) -> bool {
        (self.sites[node].epoch == epoch || planted(Trap::OldAnswers))
            && self.nodes.slots[node].is_some()
    }

    fn wake(&mut self, node: usize, number: u32) -> Result<(), String> {
        let site = &mut self.sites[node];
        if site.timer.number != number {
            return Ok(());
        }
        site.timer.at = NEVER;
        let (Some(deadline), Some(live)) = (site.timer.deadline, &mut self.nodes.slots[node])
        else {
            return Ok(());
        };
        if site.timer.is_forgotten {
            return Ok(());
        }
        live.now = site.clock.local(self.now);
        let is_early = live.now < deadline;
        let is_told = self.chaos.is_on && site.chance.wake.is_hit(self.plan.early_wake);
        if is_early && !is_told {
            self.set_timer(node);
            return Ok(());
        }
        live.core.handle_timeout(live.now);
        if live.core.poll_timeout().is_some_and(|deadline| deadline <= live.now) {
            let id = live.id;
            return Err(format!("{id} leaves a deadline that has passed after handle_timeout"));
        }
        self.stats.timeouts += 1;
        self.stats.events += 1;
        self.note(Kind::Timeout, node, || What::TimedOut);
        self.settle(node)
    }

    fn act(&mut self, node: usize) -> Result<(), String> {
        self.expect_act(node);
        let site = &mut self.sites[node];
        let Some(live) = self.nodes.slots[node].as_mut().filter(|_| site.pause.is_none()) else {
            return Ok(());
        };
        live.now = site.clock.local(self.now);
        let mut random = SplitMix64::new(site.chance.act.number(Purpose::Act));
        self.stats.events += 1;
        if let Some(what) = self.system.act(live, &mut random) {
            self.stats.acts += 1;
            self.note(Kind::Act, node, || What::Acted(what));
        }
        self.settle(node)
    }

    fn expect_act(&mut self, node: usize) {
        let Some(every) = self.plan.act_every else { return };
        let stream = &mut self.sites[node].chance.act;
        let delay = Delay::Exponential { min_nanos: 1, mean_nanos: nanos(every) };
        let at = self.now.saturating_add(delay.draw(stream.next()));
        self.queue.push(at, Happening::Act { node });
    }

    /// Takes down what happened at `node`.
    #[inline]
    fn note(&mut self, kind: Kind, node: usize, what: impl FnOnce() -> What<S::Core>) {
        let id = self.nodes.ids[node];
        self.trace
            .push(self.now, kind as u64, node as u64, || -> Noted<S::Core> { (Some(id), what()) });
    }
}

/// What a digest knows of an event. Append only.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Boot = 1,
    Heard,
    Lost,
    Output,
    Persisted,
    Fetched,
    Timeout,
    Act,
    Crash,
    Pause,
    Resume,
    Network,
}

impl<S: System> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
