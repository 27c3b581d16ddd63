//! A campaign: one system, many seeds, and what must hold in each of them.
//!
//! ```text
//! seed --Setting--> Plan --World--> faults --> heal --> progress --> agreement --> judges
//!                    ^                 |          |          |            |           |
//!                    |                 +----------+----------+---- Violation ---------+
//!                    +--- shrink, as long as the fingerprint stays ------+
//! ```

mod judge;
mod report;
mod runner;

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use quorate_core::NodeId;

pub use self::judge::Judge;
pub use self::report::Failure;
use crate::client::Draw;
use crate::decision::mix;
use crate::law::{Law, ViolationKind};
use crate::mistake::Mistake;
use crate::plan::{Faults, Plan, Setting};
use crate::shrink::Failed;
use crate::system::System;
use crate::traps::{Trap, planted};
use crate::violation::Violation;
use crate::world::{Workload, World};

/// What a system promises, and under which faults.
///
/// # Examples
///
/// See the [crate's front page](crate).
pub struct Suite<S: System> {
    name: &'static str,
    system: Arc<S>,
    setting: Setting,
    seeds: Range<u64>,
    workload: Option<Workload<S::Operation>>,
    laws: Vec<MakeLaw<S>>,
    judges: Vec<Box<dyn Judge<S::Operation, S::Return>>>,
    within: Duration,
    agrees: Option<Agrees<S>>,
    adjust: Option<Adjust>,
    must_see: Vec<&'static str>,
    mistake: Mistake,
    max_shrink_runs: u32,
}

/// Makes the law of one run.
type MakeLaw<S> = Box<dyn Fn() -> Box<dyn Law<S>> + Send + Sync>;
/// Says whether the nodes of a world that was healed agree.
type Agrees<S> = Box<dyn Fn(&World<S>) -> Result<(), String> + Send + Sync>;
/// Changes a plan that was drawn.
type Adjust = Box<dyn Fn(&mut Plan) + Send + Sync>;

impl<S: System + Send> Suite<S> {
    /// Makes a suite of three nodes without clients: 100 seeds, 20 seconds, [`Faults::all`].
    ///
    /// `name` is the name of the test function: it is part of the line that replays a failure.
    #[must_use]
    pub fn new(name: &'static str, system: S) -> Self {
        Self {
            name,
            system: Arc::new(system),
            setting: Setting::new(3..=3),
            seeds: 0..100,
            workload: None,
            laws: Vec::new(),
            judges: Vec::new(),
            within: Duration::from_secs(60),
            agrees: None,
            adjust: None,
            must_see: Vec::new(),
            mistake: Mistake::None,
            max_shrink_runs: SHRINK_RUNS_MAX,
        }
    }

    /// Sets how many nodes there may be.
    #[must_use]
    pub fn nodes(mut self, nodes: RangeInclusive<usize>) -> Self {
        self.setting.nodes = nodes;
        self
    }

    /// Sets how many clients there are.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.setting.clients = clients;
        self
    }

    /// Sets how many operations each client starts, at most, while there are faults.
    #[must_use]
    pub fn operations(mut self, operations: u64) -> Self {
        self.setting.operations = operations;
        self
    }

    /// Sets how long there are faults.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.setting.time = time;
        self
    }

    /// Sets which faults the system promises to bear.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.setting.faults = faults;
        self
    }

    /// Sets how many of so many nodes the system can do without at a time: the budget.
    #[must_use]
    pub fn spare(mut self, spare: fn(usize) -> usize) -> Self {
        self.setting.spare = spare;
        self
    }

    /// Sets which seeds run, if the environment does not say otherwise.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Changes each plan after it was drawn.
    #[must_use]
    pub fn adjust(mut self, adjust: impl Fn(&mut Plan) + Send + Sync + 'static) -> Self {
        self.adjust = Some(Box::new(adjust));
        self
    }

    /// Lets clients ask for what `workload` draws.
    #[must_use]
    pub fn workload(
        mut self,
        workload: impl Fn(&mut Draw) -> S::Operation + Send + Sync + 'static,
    ) -> Self {
        self.workload = Some(Arc::new(workload));
        self
    }

    /// Checks one more law. Each run starts with a clone of it.
    #[must_use]
    pub fn law(mut self, law: impl Law<S> + Clone + Send + Sync) -> Self {
        self.laws.push(Box::new(move || Box::new(law.clone())));
        self
    }

    /// Judges the history of each run.
    #[must_use]
    pub fn judge(mut self, judge: impl Judge<S::Operation, S::Return> + 'static) -> Self {
        self.judges.push(Box::new(judge));
        self
    }

    /// Sets how soon after the faults end clients must make progress, and nodes agree, as `agrees`
    /// says.
    #[must_use]
    pub fn converges(
        mut self,
        within: Duration,
        agrees: impl Fn(&World<S>) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.within = within;
        self.agrees = Some(Box::new(agrees));
        self
    }

    /// Names what must occur somewhere in the campaign: else its success means nothing.
    ///
    /// See [`Law::seen`] and [`World::seen`]. It is not asked for when fewer than 50 seeds run.
    #[must_use]
    pub fn must_see(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.must_see.extend(names);
        self
    }

    /// Makes every world a careless driver.
    #[must_use]
    pub fn mistake(mut self, mistake: Mistake) -> Self {
        self.mistake = mistake;
        self
    }

    /// Sets how many runs a failure may be shrunk in: 2,000 if nobody says otherwise, and never
    /// more than take 30 s. Fewer find a longer plan, sooner.
    #[must_use]
    pub fn max_shrink_runs(mut self, runs: u32) -> Self {
        self.max_shrink_runs = runs;
        self
    }

    /// Returns the plan of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan::draw(seed, &self.setting);
        if let Some(adjust) = &self.adjust {
            adjust(&mut plan);
        }
        plan
    }

    /// Returns the world of a plan, before anything happened.
    #[must_use]
    pub fn world(&self, plan: Plan) -> World<S> {
        let mut world = World::new(Arc::clone(&self.system), plan).with_mistake(self.mistake);
        if let Some(workload) = &self.workload {
            world = world.with_shared_workload(Arc::clone(workload));
        }
        self.laws.iter().fold(world, |world, make| world.with_boxed_law(make()))
    }

    /// Plays the run of a plan. Returns the world at its end.
    ///
    /// # Errors
    ///
    /// The law that is broken.
    pub fn play(&self, plan: Plan) -> Result<World<S>, Violation> {
        self.play_with(self.world(plan)).map_err(|failed| failed.violation)
    }

    fn play_with(&self, mut world: World<S>) -> Result<World<S>, Box<Failed>> {
        match self.act_out(&mut world) {
            Ok(()) => Ok(world),
            Err(violation) => Err(Box::new(Failed {
                plan: world.plan().clone(),
                operations: world.operations(),
                events: world.stats().events,
                recording: world.trace().is_on().then(|| {
                    Box::new(world.trace().record(self.name, world.plan(), Some(&violation)))
                }),
                violation,
            })),
        }
    }

    fn act_out(&self, world: &mut World<S>) -> Result<(), Violation> {
        world.run_for(world.plan().time)?;
        let seed = world.plan().seed;
        // Half of the runs heal everything, the other half no more than is needed.
        if mix(seed, HEAL, 0).is_multiple_of(2) {
            world.heal_all()?;
        } else {
            let core = self.core(world);
            world.heal_core(&core)?;
        }
        if self.workload.is_some() && 0 < world.plan().clients {
            let before = world.stats().completed;
            let why = "no operation succeeded after the faults ended";
            self.wait(world, ViolationKind::Progress, "progress", |world| {
                if before < world.stats().completed { Ok(()) } else { Err(why.into()) }
            })?;
        }
        world.stop_clients();
        self.wait(world, ViolationKind::Progress, "clients end", |world| {
            match world.open_operations() {
                0 => Ok(()),
                count => Err(format!("{count} operations never end")),
            }
        })?;
        if let Some(agrees) = &self.agrees {
            self.wait(world, ViolationKind::Convergence, "agreement", agrees)?;
        }
        for judge in &self.judges {
            if let Err(why) = judge.judge(world.history()) {
                return Err(world.violation(ViolationKind::Judge, judge.name(), why));
            }
        }
        Ok(())
    }

    /// Returns the nodes that the system must do with: those that are well, if there are enough.
    fn core(&self, world: &World<S>) -> Vec<NodeId> {
        let mut ids = world.nodes().ids().to_vec();
        let plan = world.plan();
        ids.sort_by_key(|id| (world.is_spoiled(*id), mix(plan.seed, HEAL, id.0)));
        ids.truncate((plan.nodes - (self.setting.spare)(plan.nodes)).max(1));
        ids
    }

    /// Runs until `check` is content.
    fn wait(
        &self,
        world: &mut World<S>,
        kind: ViolationKind,
        law: &str,
        check: impl Fn(&World<S>) -> Result<(), String>,
    ) -> Result<(), Violation> {
        if planted(Trap::AsksNoLiveness) {
            return Ok(());
        }
        let end = world.now() + self.within;
        loop {
            match check(world) {
                Ok(()) => return Ok(()),
                Err(why) if end <= world.now() => return Err(world.violation(kind, law, why)),
                Err(_) => world.run_for(STEP)?,
            }
        }
    }
}

impl<S: System> fmt::Debug for Suite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite")
            .field("name", &self.name)
            .field("setting", &self.setting)
            .finish_non_exhaustive()
    }
}

/// In so many runs most plans become as short as they can.
const SHRINK_RUNS_MAX: u32 = 2_000;

/// The stream that decides what is healed.
const HEAL: u64 = 0x6865_616c;

/// How often a wait looks.
const STEP: Duration = Duration::from_millis(100);
