//! Under what a case runs: how many nodes, what links, which seed.

use std::time::Duration;

use quorate_core::{NodeId, SplitMix64};

use crate::decision::{Delay, Ratio};
use crate::plan::Plan;

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// How many nodes there are.
    pub nodes: usize,
    /// How good their links are.
    pub network: Network,
    /// What all chance is to be a function of.
    pub seed: u64,
}

impl Conditions {
    /// Makes the conditions of a case, to look at what it did with one seed, or for another test.
    #[must_use]
    pub const fn new(nodes: usize, network: Network, seed: u64) -> Self {
        Self { nodes, network, seed }
    }

    /// Returns the nodes.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.nodes as u64).map(NodeId)
    }

    /// Returns a plan for a [`World`](crate::World) of these conditions.
    ///
    /// A world does not know which messages are answers: of [`Network::LongReordering`] a third of
    /// all is late, instead of two thirds of the answers.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::calm(self.nodes).with_seed(self.seed);
        plan.max_down = self.nodes;
        let knobs = &mut plan.knobs;
        if self.network != Network::Reliable {
            // What may be overtaken takes two delays, so each is half of one.
            knobs.delay = Delay::Uniform { min_nanos: 0, end_nanos: nanos(DELAY_END) / 2 };
            (knobs.loss, knobs.reorder) = (LOSS, Ratio::ALWAYS);
        }
        if self.network == Network::LongReordering {
            knobs.delay = Delay::Late {
                end_nanos: nanos(DELAY_END) / 2,
                late: LATE_OF_TWO,
                late_min_nanos: nanos(LATE_MIN),
                late_end_nanos: nanos(LATE_END),
            };
        }
        plan
    }
}

/// How good links are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Network {
    /// A message takes a millisecond or so, and arrives.
    Reliable,
    /// Of the messages 10 % are lost. The others take up to 26 ms, each its own time.
    Unreliable,
    /// As unreliable, and of the answers two thirds take at least 200 ms more, and up to 2.2 s.
    LongReordering,
}

impl Network {
    /// Returns after which time a message arrives, or `None` if it is lost.
    pub fn fate(self, random: &mut SplitMix64, is_answer: bool) -> Option<Duration> {
        if self == Self::Reliable {
            return Some(Duration::from_micros(500 + random.below(1_000)));
        }
        if LOSS.is_hit(random.next_u64()) {
            return None;
        }
        let delay = draw(random, DELAY_END);
        if self == Self::Unreliable || !is_answer || 0 == random.below(3) {
            return Some(delay);
        }
        let most = draw(random, LATE_END);
        Some(delay + LATE_MIN + draw(random, most))
    }
}

/// Returns any time before `end`, with equal chance.
fn draw(random: &mut SplitMix64, end: Duration) -> Duration {
    Duration::from_nanos(random.below(nanos(end).max(1)))
}

const fn nanos(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000 + time.subsec_nanos() as u64
}

/// Each way, so that an answer comes to 81 % of the questions.
const LOSS: Ratio = Ratio::percent(10);

const DELAY_END: Duration = Duration::from_millis(27);

const LATE_MIN: Duration = Duration::from_millis(200);

/// The end of the uniform time of which another one is drawn.
const LATE_END: Duration = Duration::from_secs(2);

/// `1 - (1 - 0.1835)^2` is a third.
const LATE_OF_TWO: Ratio = Ratio::per_million(183_500);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of 10,000 messages are lost, how many late, and the longest times of both
    /// kinds.
    fn fates(network: Network, is_answer: bool) -> (usize, usize, Duration, Duration) {
        let mut random = SplitMix64::new(7);
        let fates = (0..10_000).map(|_| network.fate(&mut random, is_answer));
        let (mut lost, mut late, mut usual_max, mut late_max) = (0, 0, Duration::ZERO, LATE_MIN);
        for fate in fates {
            match fate {
                None => lost += 1,
                Some(time) if time < LATE_MIN => usual_max = usual_max.max(time),
                Some(time) => (late, late_max) = (late + 1, late_max.max(time)),
            }
        }
        (lost, late, usual_max, late_max)
    }

    #[test]
    fn networks_are_as_bad_as_they_say() {
        let millis = Duration::from_millis;
        for is_answer in [false, true] {
            let (lost, late, usual, _) = fates(Network::Reliable, is_answer);
            assert_eq!((lost, late), (0, 0));
            assert!(usual < millis(2), "{usual:?}");
            let (lost, late, usual, _) = fates(Network::Unreliable, is_answer);
            assert!((900..1_100).contains(&lost) && late == 0, "{lost} {late}");
            assert!((millis(26)..DELAY_END).contains(&usual), "{usual:?}");
        }
        let (_, late, _, _) = fates(Network::LongReordering, false);
        assert_eq!(late, 0, "no answers");
        let (lost, late, _, longest) = fates(Network::LongReordering, true);
        assert!((900..1_100).contains(&lost) && (5_800..6_200).contains(&late), "{lost} {late}");
        assert!((millis(1_900)..millis(2_230)).contains(&longest), "{longest:?}");
    }
}
