//! A plan from a seed: a random subset of the faults, each as strong as chance says.

use std::ops::RangeInclusive;
use std::time::Duration;

use quorate_core::NodeId;

use super::{Family, Fault, FaultKind, Faults, Plan};
use crate::clock::Wander;
use crate::decision::{Delay, Ratio, mix, nanos, scale};
use crate::stream::Purpose;
use crate::traps::{Trap, planted};

/// What plans are drawn for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// How many nodes there may be.
    pub nodes: RangeInclusive<usize>,
    /// How many clients there are.
    pub clients: usize,
    /// How many operations each client starts, at most, while there are faults.
    pub operations: u64,
    /// How long there are faults.
    pub time: Duration,
    /// What the system promises to bear.
    pub faults: Faults,
    /// Of so many nodes, how many the system can do without at a time.
    pub spare: fn(usize) -> usize,
}

impl Setting {
    /// Returns a setting of so many nodes: no clients, 20 seconds, [`Faults::all`], and the largest
    /// minority to spare.
    #[must_use]
    pub fn new(nodes: RangeInclusive<usize>) -> Self {
        Self {
            nodes,
            clients: 0,
            operations: u64::MAX,
            time: Duration::from_secs(20),
            faults: Faults::all(),
            spare: |nodes| nodes.saturating_sub(1) / 2,
        }
    }
}

impl Plan {
    /// Draws a plan: each fault of the setting is on with a chance of one in two, and as strong as
    /// chance says. What one fault gets does not depend on which others there are.
    ///
    /// # Panics
    ///
    /// If the range of nodes is empty.
    #[must_use]
    pub fn draw(seed: u64, setting: &Setting) -> Self {
        let (least, most) = (*setting.nodes.start(), *setting.nodes.end());
        assert!(0 < least && least <= most, "a world needs a node");
        let more = scale(mix(seed, Purpose::Nodes as u64, 0), (most - least + 1) as u64);
        let nodes = least + usize::try_from(more).expect("below a count");
        let mut plan = Self {
            clients: setting.clients,
            operations: setting.operations,
            time: setting.time,
            max_down: (setting.spare)(nodes),
            ..Self::calm(nodes).with_seed(seed)
        };
        for family in Family::ALL {
            let number = mix(seed, Purpose::Family as u64, family as u64);
            let is_on = number >> 63 == 0 || planted(Trap::AlwaysOn);
            if setting.faults.contains(family) && is_on {
                plan.families = plan.families.with(family);
                let draw = Draw { number: mix(seed, Purpose::Knob as u64, family as u64) };
                plan.turn_on(family, draw);
                draw.add_faults(family, &mut plan);
            }
        }
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }

    /// Turns the knobs of `family`.
    fn turn_on(&mut self, family: Family, draw: Draw) {
        let knobs = &mut self.knobs;
        match family {
            Family::Delay => {
                knobs.delay = match draw.choose(9, 4) {
                    0 => Delay::Bimodal {
                        fast_nanos: draw.knob(0, MILLI / 10, 10 * MILLI),
                        slow_nanos: draw.knob(1, 10 * MILLI, SECOND),
                        slow: draw.ratio(2, 1_000, 300_000),
                    },
                    1 => Delay::Pareto { min_nanos: draw.knob(0, MILLI / 10, 20 * MILLI) },
                    _ => Delay::Exponential {
                        min_nanos: draw.knob(0, MILLI / 10, 30 * MILLI),
                        mean_nanos: draw.knob(1, MILLI, 100 * MILLI),
                    },
                };
                if draw.choose(8, 2) == 0 {
                    let most = draw.knob(7, MILLI / 10, 50 * MILLI);
                    knobs.max_extra = Duration::from_nanos(most);
                }
            }
            Family::Loss => knobs.loss = draw.ratio(0, 1_000, 300_000),
            Family::Repeat => knobs.repeat = draw.ratio(0, 1_000, 500_000),
            Family::Reorder => knobs.reorder = draw.ratio(0, 1_000, 1_000_000),
            Family::Corrupt => knobs.corrupt = draw.ratio(0, 100, 50_000),
            // Half of the seeds would be too many: most protocols meet datagrams.
            Family::Stream => knobs.is_stream = draw.choose(0, 2) == 0,
            Family::SlowLink => {
                knobs.queue = Some(low(draw.knob(0, 8, 128)));
                knobs.rate = Some(draw.knob(1, 20_000, 2_000_000));
            }
            Family::Crash => {
                knobs.down_for = draw.mean(1, MILLI, 2 * SECOND);
                knobs.power_cut = draw.ratio(2, 10, 5_000);
                knobs.sync_cut = draw.ratio(3, 100, 20_000);
            }
            Family::DiskSlow => {
                knobs.sync_latency = draw.mean(0, MILLI, 300 * MILLI);
                knobs.fetch_latency = draw.mean(1, MILLI, 300 * MILLI);
            }
            Family::Skew => knobs.max_clock_offset = Duration::from_secs(10),
            Family::Drift => knobs.max_drift_ppm = low(draw.knob(0, 10, 500)),
            Family::Wander => {
                let swing_nanos = draw.knob(1, MILLI / 10, 10 * SECOND);
                let nanos = draw.knob(2, 100 * MILLI, 60 * SECOND);
                knobs.wander = match draw.choose(9, 3) {
                    0 => Wander::Linear { ppb: low(draw.knob(0, 1_000, 500_000)) },
                    1 => Wander::Periodic { swing_nanos, period_nanos: nanos },
                    _ => Wander::Irregular { swing_nanos, every_nanos: nanos },
                };
            }
            Family::Wake => {
                knobs.early_wake = draw.ratio(0, 10_000, 1_000_000);
                knobs.late_wake = draw.ratio(1, 1_000, 200_000);
            }
            Family::Tie => knobs.shuffle_ties = true,
            Family::Interleave => knobs.interleave = draw.ratio(0, 1_000, 200_000),
            Family::Tuning => knobs.is_tuned = true,
            _ => {}
        }
    }
}

/// The numbers of one family.
#[derive(Clone, Copy, Debug)]
struct Draw {
    number: u64,
}

impl Draw {
    /// Returns a number from `from` to `to` such that each power of two in between is as likely.
    fn knob(self, index: u64, from: u64, to: u64) -> u64 {
        let number = mix(self.number, 0, index);
        let doublings = u64::from((to / from).ilog2()) + 1;
        let least = from << scale(number, doublings);
        (least + scale(mix(number, 0, 0), least)).min(to)
    }

    fn ratio(self, index: u64, from: u64, to: u64) -> Ratio {
        Ratio::per_million(low(self.knob(index, from, to)))
    }

    fn mean(self, index: u64, from: u64, to: u64) -> Delay {
        Delay::Exponential { min_nanos: 0, mean_nanos: self.knob(index, from, to) }
    }

    /// Returns a number below `end`.
    fn choose(self, index: u64, end: u64) -> u64 {
        scale(mix(self.number, 1, index), end)
    }

    /// Adds what begins and ends: a few long faults, or many short ones.
    fn add_faults(self, family: Family, plan: &mut Plan) {
        let Some((most_per_minute, longest)) = frequency(family) else { return };
        let time = nanos(plan.time);
        let most =
            (u128::from(most_per_minute) * u128::from(time) / u128::from(60 * SECOND)).max(1);
        let most = u64::try_from(most).unwrap_or(u64::MAX).min(FAULTS_MAX);
        let is_few = self.choose(0, 2) == 0;
        let (count, mean) = if is_few {
            (1 + self.choose(1, most.min(3)), self.knob(2, longest.div_ceil(8), longest))
        } else {
            (self.knob(1, 1, most.max(1)), self.knob(2, longest.div_ceil(128), longest.div_ceil(8)))
        };
        let lasts = Delay::Exponential { min_nanos: MILLI, mean_nanos: mean };
        for index in 0..count {
            let one = Self { number: mix(self.number, 2, index) };
            let at = Duration::from_nanos(one.choose(0, time));
            let lasts = Duration::from_nanos(lasts.draw(mix(one.number, 3, 0)));
            if let Some(kind) = one.kind(family, plan) {
                plan.faults.push(Fault { at, lasts, kind });
            }
        }
    }

    fn node(self, index: u64, plan: &Plan) -> NodeId {
        NodeId(1 + self.choose(index, plan.nodes as u64))
    }

    /// Returns from one to half of the nodes, or none if there is only one.
    fn some(self, plan: &Plan) -> Vec<NodeId> {
        let half = plan.nodes as u64 / 2;
        let mut nodes: Vec<NodeId> = plan.ids().collect();
        nodes.sort_by_key(|node| mix(self.number, 4, node.0));
        nodes
            .truncate(usize::try_from(self.choose(5, half) + 1).expect("a count").min(nodes.len()));
        nodes.sort();
        nodes
    }

    fn kind(self, family: Family, plan: &Plan) -> Option<FaultKind> {
        let node = self.node(1, plan);
        let to = NodeId(1 + (node.0 + self.choose(2, plan.nodes as u64 - 1)) % plan.nodes as u64);
        let magnitude = self.knob(3, MILLI, 3_600 * SECOND).cast_signed();
        let by = if self.choose(4, 2) == 0 { magnitude } else { -magnitude };
        let is_alone = plan.nodes == 1;
        Some(match family {
            Family::Crash => FaultKind::Crash { node },
            Family::CrashStorm => FaultKind::CrashStorm,
            Family::Wipe => FaultKind::Wipe { node },
            Family::Pause => FaultKind::Pause { node },
            Family::Isolate => FaultKind::Isolate { node },
            Family::Split if !is_alone => FaultKind::Split { nodes: self.some(plan) },
            Family::OneWay if !is_alone => match self.choose(6, 4) {
                0 => FaultKind::OneWay { from: Some(node), to: None },
                1 => FaultKind::OneWay { from: None, to: Some(node) },
                _ => FaultKind::OneWay { from: Some(node), to: Some(to) },
            },
            Family::Bridge if 2 < plan.nodes => {
                let mut rest: Vec<NodeId> = plan.ids().filter(|id| *id != node).collect();
                rest.sort_by_key(|node| mix(self.number, 7, node.0));
                rest.truncate(rest.len() / 2);
                rest.sort();
                FaultKind::Bridge { node, half: rest }
            }
            Family::Ring if 4 < plan.nodes => FaultKind::Ring,
            Family::Clog if !is_alone => FaultKind::Clog { from: node, to },
            Family::Reset if !is_alone => FaultKind::Reset { from: node, to },
            Family::DiskStall => FaultKind::DiskStall { node },
            Family::ReadError => FaultKind::ReadError { node },
            Family::Misread => FaultKind::Misread { node },
            Family::SyncError if self.choose(6, 3) == 0 => FaultKind::ShortWrite { node },
            Family::SyncError => FaultKind::SyncError { node, reverts: self.choose(7, 2) == 0 },
            Family::Full => FaultKind::Full { node },
            Family::Rot => FaultKind::Rot { node },
            Family::Misdirect => FaultKind::Misdirect { node },
            Family::LostWrite => FaultKind::LostWrite { node },
            Family::Step => FaultKind::Step { node, by },
            Family::BrokenBound => FaultKind::BrokenBound { node, by },
            Family::Reconfigure => FaultKind::Reconfigure { node },
            _ => return None,
        })
    }
}

/// Returns how many faults of a family there may be in a minute, and how long the longest may be
/// in the mean; `None` for those that are knobs.
const fn frequency(family: Family) -> Option<(u64, u64)> {
    Some(match family {
        Family::Crash | Family::Pause => (120, 2 * SECOND),
        Family::Split | Family::Isolate | Family::OneWay => (60, 5 * SECOND),
        Family::Bridge | Family::Ring => (30, 5 * SECOND),
        Family::CrashStorm => (12, SECOND),
        Family::Clog => (60, 3 * SECOND),
        Family::Reset => (60, 128),
        Family::DiskStall => (30, 3 * SECOND),
        Family::Full => (12, 5 * SECOND),
        Family::ReadError | Family::Misread | Family::SyncError | Family::Step => (12, 128),
        Family::Rot | Family::Misdirect | Family::LostWrite | Family::Wipe => (6, 128),
        Family::BrokenBound => (12, 10 * SECOND),
        Family::Reconfigure => (20, 128),
        _ => return None,
    })
}

fn low(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a plan has of one family, at most.
const FAULTS_MAX: u64 = 200;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
