//! The loop: one event at a time, in virtual time, and all its consequences before the next.
//!
//! ```text
//!   queue --pop--> handle_message, handle_persisted, handle_fetched, handle_timeout, invoke
//!     ^                                   |
//!     |                             poll_output, one by one; the power may fail before each
//!     |                                   |
//!     +--- Send: network      Persist: storage, sync      Fetch: later, in any order
//!                             Deliver, Event: System      then: Law::check
//! ```
//!
//! Source: Zhou et al., "`FoundationDB`" (SIGMOD 2021), section 4, for simulation as the way to
//! develop; decisions are keyed instead of drawn from one stream, see [`mix`](crate::mix).

mod clients;
mod drain;
mod faults;
mod hand;
mod queue;
mod site;
mod start;
mod stats;

pub(crate) use self::clients::Workload;
pub use self::drain::ready;
pub use self::stats::Stats;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_core::{Instant, NodeId, Protocol as _};

use self::clients::Clients;
use self::faults::Chaos;
use self::queue::Queue;
use self::site::{Happening, NEVER, Site};
use crate::client::{Done, OpId};
use crate::history::History;
use crate::law::{Broken, Law, ViolationKind};
use crate::links::Links;
use crate::mistake::Mistake;
use crate::plan::Plan;
use crate::system::{Node, Nodes, System};
use crate::trace::{Noted, Trace, What};
use crate::traps::{Trap, planted};
use crate::violation::{Phase, Violation, panic_message};

/// A few nodes of a [`System`], and everything around them.
///
/// Nodes start with the first call that runs anything. After a [`Violation`] the world stands as
/// it was found, and is not to be run on.
///
/// # Determinism
///
/// Equal systems, plans and calls give equal runs: [`Trace::digest`] tells.
pub struct World<S: System> {
    system: Arc<S>,
    laws: Vec<Box<dyn Law<S>>>,
    nodes: Nodes<S>,
    sites: Vec<Site<S::Core, S::Return>>,
    clients: Clients<S>,
    done: Done<S::Return>,
    links: Links,
    queue: Queue<Happening<S::Core, S::Return>>,
    chaos: Chaos,
    /// Nanoseconds since the start.
    now: u64,
    /// The same, for the clocks on the walls.
    elapsed: Arc<AtomicU64>,
    plan: Plan,
    mistake: Mistake,
    is_started: bool,
    phase: Phase,
    /// What happened without that time passed.
    at_this_instant: u64,
    trace: Trace<S>,
    stats: Stats,
}

impl<S: System> World<S> {
    /// Makes a world in which nothing happened yet.
    ///
    /// # Panics
    ///
    /// If the plan breaks an invariant of [`Plan`].
    #[must_use]
    pub fn new(system: impl Into<Arc<S>>, plan: Plan) -> Self {
        plan.validate().unwrap_or_else(|error| panic!("{error}"));
        let ids: Vec<NodeId> = plan.ids().collect();
        let slots = ids.iter().map(|_| None).collect();
        let elapsed = Arc::default();
        let site = |node| Site::new(plan.seed, node, &plan.knobs, &elapsed);
        Self {
            system: system.into(),
            laws: Vec::new(),
            sites: (0..ids.len()).map(site).collect(),
            clients: Clients::new(&plan),
            done: Done::new(),
            links: Links::new(plan.seed, ids.len(), &plan.knobs),
            queue: Queue::new(plan.knobs.shuffle_ties.then_some(plan.seed)),
            chaos: Chaos::new(plan.faults.len()),
            nodes: Nodes { ids, slots },
            now: 0,
            elapsed,
            plan,
            mistake: Mistake::None,
            is_started: false,
            phase: Phase::Faulty,
            at_this_instant: 0,
            trace: Trace::new(),
            stats: Stats::default(),
        }
    }

    /// Checks one more law.
    #[must_use]
    pub fn with_law(mut self, law: impl Law<S>) -> Self {
        self.laws.push(Box::new(law));
        self
    }

    pub(crate) fn with_boxed_law(mut self, law: Box<dyn Law<S>>) -> Self {
        self.laws.push(law);
        self
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
            world.pass_to(at)?;
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
                world.pass_to(now)?;
                world.perform(happening)?;
            }
            let end = world.now.max(at.as_nanos());
            world.pass_to(end)
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

    /// Returns the system.
    #[must_use]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// Returns the system, to be kept while the world goes on.
    pub(crate) const fn shared_system(&self) -> &Arc<S> {
        &self.system
    }

    /// Returns a law, with what it saw, or `None` if there is none of this type.
    #[must_use]
    pub fn law<L: Law<S>>(&self) -> Option<&L> {
        self.laws.iter().find_map(|law| (law.as_ref() as &dyn Any).downcast_ref())
    }

    /// Returns a law, to be told something.
    #[must_use]
    pub fn law_mut<L: Law<S>>(&mut self) -> Option<&mut L> {
        self.laws.iter_mut().find_map(|law| (law.as_mut() as &mut dyn Any).downcast_mut())
    }

    /// Returns what clients did and were told so far.
    #[must_use]
    pub const fn history(&self) -> &History<S::Operation, S::Return> {
        self.clients.history()
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
    pub const fn trace(&self) -> &Trace<S> {
        &self.trace
    }

    /// Returns what happened, without the world.
    #[must_use]
    pub fn into_trace(self) -> Trace<S> {
        self.trace
    }

    /// Returns the operations that clients started.
    #[must_use]
    pub fn operations(&self) -> Vec<OpId> {
        let is_done = |id: &OpId| !self.plan.skipped.contains(id);
        self.clients.started().filter(is_done).collect()
    }

    /// Returns whether something was done to what is durable at `id`.
    #[must_use]
    pub fn is_spoiled(&self, id: NodeId) -> bool {
        self.nodes.index(id).is_some_and(|node| self.sites[node].is_spoiled)
    }

    /// Returns what the laws saw, and the faults of which there was at least one.
    #[must_use]
    pub fn seen(&self) -> Vec<&'static str> {
        let stats = &self.stats;
        let counts = [
            ("loss", stats.lost),
            ("repeat", stats.repeated),
            ("crash", stats.crashes),
            ("power cut", stats.power_cuts),
            ("pause", stats.pauses),
            ("partition", stats.partitions),
            ("refused start", stats.refused),
            ("completed", stats.completed),
        ];
        let counted = counts.into_iter().filter(|(_, count)| 0 < *count).map(|(name, _)| name);
        counted.chain(self.laws.iter().flat_map(|law| law.seen())).collect()
    }

    /// Makes a violation of a law that the caller found broken, with the story of this world.
    #[must_use]
    pub fn violation(
        &self,
        kind: ViolationKind,
        law: impl Into<String>,
        why: impl Into<String>,
    ) -> Violation {
        self.report(Broken::new(kind, law, why))
    }

    fn report(&self, broken: Broken) -> Violation {
        let story = self.trace.to_string();
        Violation::new(broken, self.phase, self.now(), &self.plan, story)
    }

    /// Makes what goes wrong in `run`, a panic as well, a violation with the story so far.
    fn guard<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<T, Violation> {
        let result = catch_unwind(AssertUnwindSafe(|| run(self))).unwrap_or_else(|panic| {
            Err(Broken::new(ViolationKind::Panic, "panicked", panic_message(&*panic)))
        });
        result.map_err(|broken| self.report(broken))
    }

    /// Lets time pass until `at`.
    #[inline]
    fn pass_to(&mut self, at: u64) -> Result<(), Broken> {
        if self.now < at {
            self.now = at;
            self.elapsed.store(at, Ordering::Relaxed);
            self.at_this_instant = 0;
        }
        self.count_at_this_instant()
    }

    /// Counts something that takes no time.
    #[inline]
    fn count_at_this_instant(&mut self) -> Result<(), Broken> {
        self.at_this_instant += 1;
        if self.at_this_instant <= EVENTS_PER_INSTANT_MAX {
            return Ok(());
        }
        let why = format!("{EVENTS_PER_INSTANT_MAX} events at {}, and no end", self.now());
        Err(Broken::new(ViolationKind::Livelock, "livelock", why))
    }

    /// Lets one thing happen, with all that follows from it at once.
    fn perform(&mut self, happening: Happening<S::Core, S::Return>) -> Result<(), Broken> {
        let Some(happening) = self.wait_for_resume(happening) else { return Ok(()) };
        match happening {
            Happening::Arrival { from, to, message, id, connection } => {
                self.arrive(from, to, message, id, connection)
            }
            Happening::Timer { node, number } => self.wake(node, number),
            Happening::Synced { node, epoch } if self.is_current(node, epoch) => self.synced(node),
            Happening::Fetched { node, epoch, fetch, query } if self.is_current(node, epoch) => {
                self.fetched(node, fetch, query)
            }
            Happening::Synced { .. } | Happening::Fetched { .. } => Ok(()),
            Happening::Restart { node, epoch } => self.restart_if_due(node, epoch),
            Happening::Fault { index } => self.begin_fault(index),
            Happening::FaultEnds { index } => self.end_fault(index),
            Happening::Client { client, step } => self.run_client(client, step),
        }
    }

    /// Keeps what a paused node would take in until it goes on.
    #[inline]
    fn wait_for_resume(
        &mut self,
        happening: Happening<S::Core, S::Return>,
    ) -> Option<Happening<S::Core, S::Return>> {
        let node = match happening {
            Happening::Arrival { to, .. } => to,
            Happening::Timer { node, .. }
            | Happening::Synced { node, .. }
            | Happening::Fetched { node, .. }
            | Happening::Client { step: site::ClientStep::Asks { node, .. }, .. } => node,
            _ => return Some(happening),
        };
        let site = &mut self.sites[node];
        if site.pauses == 0 {
            return Some(happening);
        }
        site.waiting.push_back(happening);
        None
    }

    fn is_current(&self, node: usize, epoch: u32) -> bool {
        (self.sites[node].epoch == epoch || planted(Trap::OldAnswers))
            && self.nodes.slots[node].is_some()
    }

    fn wake(&mut self, node: usize, number: u32) -> Result<(), Broken> {
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
        let is_told = self.chaos.is_on && site.chance.wake.is_hit(self.plan.knobs.early_wake);
        if is_early && !is_told {
            self.set_timer(node);
            return Ok(());
        }
        live.core.handle_timeout(live.now);
        if live.core.poll_timeout().is_some_and(|deadline| deadline <= live.now) {
            let why = format!("{} leaves a deadline that has passed after handle_timeout", live.id);
            return Err(Broken::new(ViolationKind::Contract, "contract", why));
        }
        self.stats.timeouts += 1;
        self.stats.events += 1;
        self.note(Kind::Timeout, node, || What::TimedOut);
        self.settle(node)
    }

    /// Takes down what happened at `node`.
    #[inline]
    fn note(&mut self, kind: Kind, node: usize, what: impl FnOnce() -> What<S>) {
        let id = self.nodes.ids[node];
        self.trace.push(self.now, kind as u64, node as u64, || -> Noted<S> { (Some(id), what()) });
    }

    /// Takes down what happened at no node.
    fn note_all(&mut self, kind: Kind, what: impl FnOnce() -> What<S>) {
        self.trace.push(self.now, kind as u64, u64::from(u16::MAX), || (None, what()));
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
    Client,
    Crash,
    Pause,
    Resume,
    Fault,
    Command,
}

impl<S: System> fmt::Debug for World<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("seed", &self.plan.seed)
            .field("now", &self.now())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// More than any burst, and soon reached by what has no end.
const EVENTS_PER_INSTANT_MAX: u64 = 1_000_000;
