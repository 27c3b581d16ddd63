//! A shorter plan that fails for the same reason.
//!
//! ```text
//! cut the time after the failure -> whole families -> faults -> sooner -> clients, operations
//!        ^                                                                        |
//!        |  until nothing helps any more, or the budget is spent                  v
//!        +------------------------------------- delays to constants, halves <- nodes
//! ```
//!
//! A candidate counts only if its [`Fingerprint`] is the same: else a bug would shrink to another
//! one. Decisions are keyed, so that what is taken away changes little of the rest; where that
//! little is what the failure needs, another seed may have it.
//!
//! Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002), for
//! the removal of ever smaller parts.

use std::time::Duration;

use quorate_core::NodeId;

use crate::client::OpId;
use crate::decision::{Delay, mix, nanos};
use crate::plan::{Family, Plan};
use crate::recording::Recording;
use crate::traps::{Trap, planted};
use crate::violation::{Fingerprint, Phase, Violation};

/// A run that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) plan: Plan,
    pub(crate) violation: Violation,
    /// The operations that were started.
    pub(crate) operations: Vec<OpId>,
    pub(crate) events: u64,
    /// What happened, if that was kept.
    pub(crate) recording: Option<Box<Recording>>,
}

/// How large a failure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Size {
    /// Faults with a time, and families among the knobs.
    pub faults: usize,
    /// Operations of clients.
    pub operations: usize,
    /// Nodes.
    pub nodes: usize,
    /// Events until the failure.
    pub events: u64,
}

impl Failed {
    pub(crate) fn size(&self) -> Size {
        Size {
            faults: self.plan.count_faults(),
            operations: self.operations.len(),
            nodes: self.plan.nodes,
            events: self.events,
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { faults, operations, nodes, events } = self;
        write!(f, "{faults} faults, {operations} operations, {nodes} nodes, {events} events")
    }
}

/// Returns the shortest plan that was found to fail for the same reason, and how many runs that
/// took, at most `max_runs`. `run` returns `None` if a plan does not fail; `may_go_on` ends it
/// early.
pub(crate) fn shrink(
    failed: Failed,
    (least_nodes, max_runs): (usize, u32),
    run: &mut dyn FnMut(&Plan) -> Option<Failed>,
    may_go_on: &dyn Fn() -> bool,
) -> (Failed, u32) {
    let fingerprint = failed.violation.fingerprint();
    let best = failed;
    let mut shrinker =
        Shrinker { best, fingerprint, least_nodes, max_runs, runs: 0, run, may_go_on };
    shrinker.shrink();
    (shrinker.best, shrinker.runs)
}

struct Shrinker<'a> {
    best: Failed,
    fingerprint: Fingerprint,
    least_nodes: usize,
    max_runs: u32,
    runs: u32,
    run: &'a mut dyn FnMut(&Plan) -> Option<Failed>,
    may_go_on: &'a dyn Fn() -> bool,
}

impl Shrinker<'_> {
    fn shrink(&mut self) {
        loop {
            let before = self.best.plan.clone();
            self.cut_time();
            self.drop_families();
            self.drop_faults();
            self.hasten();
            self.drop_clients();
            self.drop_operations();
            self.drop_nodes();
            self.simplify();
            if self.best.plan == before || !self.has_budget() {
                break;
            }
        }
        // One more run: the rest of the time is of no interest to anybody.
        (self.runs, self.may_go_on) = (self.runs.min(self.max_runs.saturating_sub(1)), &|| true);
        self.cut_time();
    }

    fn has_budget(&self) -> bool {
        self.runs < self.max_runs && (self.may_go_on)()
    }

    /// Runs the plan with a change, with its seed and a few others, and keeps it if it fails for
    /// the same reason.
    ///
    /// Most failures need something to happen at the right moment. What is taken away moves all
    /// that follows from it, and with another seed another moment may be the right one.
    fn attempt_with(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        if plan == self.best.plan {
            return false;
        }
        let seed = plan.seed;
        (0..SEEDS_TRIED).any(|number| {
            plan.seed = if number == 0 { seed } else { mix(seed, SHRINK, number) };
            self.fails_likewise(&plan)
        })
    }

    fn fails_likewise(&mut self, plan: &Plan) -> bool {
        if !self.has_budget() {
            return false;
        }
        self.runs += 1;
        let Some(failed) = (self.run)(plan) else { return false };
        let is_same = failed.violation.fingerprint() == self.fingerprint;
        if is_same || planted(Trap::ShrinksToAnyBug) {
            self.best = failed;
        }
        is_same
    }

    /// Ends the faults soon after the failure; of a failure after the faults, sooner and sooner.
    fn cut_time(&mut self) {
        if self.best.violation.phase == Phase::Faulty {
            let at = Duration::from_nanos(self.best.violation.at.as_nanos());
            self.attempt_with(|plan| {
                plan.time = plan.time.min(at + Duration::from_nanos(1));
                plan.faults.retain(|fault| fault.at <= at);
            });
            return;
        }
        for _ in 0..HALVES_MAX {
            let is_shorter = self.attempt_with(|plan| {
                plan.time /= 2;
                let time = plan.time;
                plan.faults.retain(|fault| fault.at <= time);
            });
            if !is_shorter {
                break;
            }
        }
    }

    fn drop_families(&mut self) {
        for family in Family::ALL {
            self.attempt_with(|plan| {
                plan.knobs.turn_off(family);
                plan.faults.retain(|fault| fault.kind.family() != family);
            });
        }
        let plan = &mut self.best.plan;
        let left = plan.faults.iter().map(|fault| fault.kind.family());
        let left: Vec<Family> = left.chain(plan.knobs.families()).collect();
        plan.families = left.into();
    }

    fn drop_faults(&mut self) {
        let count = self.best.plan.faults.len();
        self.drop_parts(count, |plan, range| {
            plan.faults.drain(range);
        });
    }

    /// Takes away parts of what there are `count` of: halves first, single ones last.
    fn drop_parts(
        &mut self,
        count: usize,
        mut take: impl FnMut(&mut Plan, std::ops::Range<usize>),
    ) {
        let mut left = count;
        let mut size = count;
        while 0 < size && self.has_budget() {
            let mut start = 0;
            while start < left {
                let range = start..left.min(start + size);
                let taken = range.len();
                if self.attempt_with(|plan| take(plan, range)) {
                    left -= taken;
                } else {
                    start += size;
                }
            }
            size /= 2;
        }
    }

    /// Lets everything go wrong sooner.
    fn hasten(&mut self) {
        for _ in 0..HALVES_MAX {
            let is_sooner = self.attempt_with(|plan| {
                plan.time /= 2;
                plan.faults.iter_mut().for_each(|fault| fault.at /= 2);
            });
            if !is_sooner {
                break;
            }
        }
    }

    fn drop_clients(&mut self) {
        while 1 < self.best.plan.clients {
            let half = self.best.plan.clients / 2;
            let less = self.best.plan.clients - 1;
            let is_less = self.attempt_with(|plan| plan.clients = half)
                || self.attempt_with(|plan| plan.clients = less);
            if !is_less {
                break;
            }
        }
    }

    fn drop_operations(&mut self) {
        let most = self.best.operations.iter().map(|id| id.number() + 1).max().unwrap_or(0);
        if self.best.plan.operations != most {
            self.attempt_with(|plan| plan.operations = most);
        }
        // What is skipped stays in the list, so that the rest of the client's operations keep
        // their numbers. Those that are beyond the plan or of no client are forgotten at the end.
        let all = self.best.operations.clone();
        let mut kept = all.clone();
        let mut size = all.len();
        while 0 < size && self.has_budget() {
            let mut start = 0;
            while start < kept.len() {
                let range = start..kept.len().min(start + size);
                let part: Vec<OpId> = kept[range.clone()].to_vec();
                if self.attempt_with(|plan| plan.skipped.extend(part)) {
                    kept.drain(range);
                } else {
                    start += size;
                }
            }
            size /= 2;
        }
        let plan = &mut self.best.plan;
        let (clients, operations) = (plan.clients as u64, plan.operations);
        plan.skipped.retain(|id| u64::from(id.client()) < clients && id.number() < operations);
        plan.skipped.sort();
        plan.skipped.dedup();
    }

    fn drop_nodes(&mut self) {
        while self.least_nodes < self.best.plan.nodes {
            let is_less = self.attempt_with(|plan| {
                plan.nodes -= 1;
                plan.max_down = plan.max_down.min((plan.nodes - 1) / 2);
                let last = NodeId(plan.nodes as u64);
                plan.faults.retain(|fault| fault.kind.nodes().iter().all(|node| *node <= last));
            });
            if !is_less {
                break;
            }
        }
    }

    /// Makes delays constant and durations shorter.
    fn simplify(&mut self) {
        let delays: [fn(&mut Plan) -> &mut Delay; 5] = [
            |plan| &mut plan.knobs.delay,
            |plan| &mut plan.knobs.sync_latency,
            |plan| &mut plan.knobs.fetch_latency,
            |plan| &mut plan.knobs.client_delay,
            |plan| &mut plan.knobs.down_for,
        ];
        let mut calm = Plan::calm(1);
        for delay in delays {
            // What is as in a calm run is simple enough.
            if *delay(&mut self.best.plan) == *delay(&mut calm) {
                continue;
            }
            self.attempt_with(|plan| {
                let delay = delay(plan);
                *delay = Delay::Const { nanos: delay.mean() };
            });
        }
        for index in 0..self.best.plan.faults.len() {
            for _ in 0..HALVES_MAX {
                let is_shorter = self.attempt_with(|plan| {
                    if let Some(fault) = plan.faults.get_mut(index) {
                        fault.lasts = Duration::from_nanos(nanos(fault.lasts) / 2);
                    }
                });
                if !is_shorter {
                    break;
                }
            }
        }
    }
}

/// How many seeds a candidate is run with.
const SEEDS_TRIED: u64 = 6;

/// The stream that other seeds are drawn from.
const SHRINK: u64 = 0x7368_7269;

/// How often a time is halved in one go.
const HALVES_MAX: u32 = 8;
