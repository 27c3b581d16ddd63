//! Turmoil: leaders that come and go faster than they can finish anything.

use std::time::Duration;

use quorate_core::NodeId;

use super::bench::Bench;
use super::{Checked, LogCase, Network, ReplicatedLog, case};

pub(super) fn cases<L: ReplicatedLog>() -> Vec<LogCase<L>> {
    use Network::{LongReordering, Reliable, Unreliable};
    vec![
        case("figure_8", 5, Unreliable, figure_8),
        case("leaders_that_crash_at_once", 5, Reliable, leaders_that_crash_at_once),
        case("leaders_that_come_back", 5, LongReordering, leaders_that_come_back),
        case("churn", 5, Reliable, churn),
        case("churn_on_a_bad_network", 5, Unreliable, churn),
    ]
}

/// Figure 8 of the paper. An entry of an old term that a majority has is not safe for all that:
///
/// ```text
///            term 2     term 3        term 4                   term 5
/// one    X   leads X  |             | leads, brings X to three |          one applied X, counting
/// two    .         X  |             |       X                  |          who has it
/// three  .            |             |       X                  |       Y  ends with Y instead: the
/// four   .            |             |                          |       Y  last entry of five is of
/// five   .            | leads Y     |                          | leads Y  a later term than X
/// ```
fn figure_8<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    for _ in 0..FIGURES {
        let one = bench.leader()?;
        let two = bench.after(one, 1);
        let rest: Vec<NodeId> = (2..5).map(|steps| bench.after(one, steps)).collect();
        rest.iter().for_each(|node| bench.cut(*node));
        _ = bench.propose(one);
        bench.run_for_up_to(200)?;
        [one, two].into_iter().for_each(|node| bench.cut(node));
        rest.iter().for_each(|node| bench.join(*node));
        // The tick is short: nobody heard of what the new leader takes.
        bench.watch_closely();
        let five = bench.leader()?;
        _ = bench.propose(five);
        bench.cut(five);
        [one, two].into_iter().for_each(|node| bench.join(node));
        let leader = bench.leader()?;
        bench.run_until_news(ELECTION)?;
        // Those who can know better are away.
        [one, two, leader].into_iter().for_each(|node| bench.cut(node));
        bench.join(five);
        if leader != one && leader != two {
            bench.join(two);
        }
        bench.run_for(ELECTION)?;
        bench.watch_loosely();
        bench.join_all();
        bench.agree(5)?;
    }
    bench.settle()
}

/// Leaders crash a moment after they took a value, and only as many nodes are up as are needed.
fn leaders_that_crash_at_once<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(1)?;
    for _ in 0..LEADERS {
        let leader = propose_to_all(bench);
        run_a_moment(bench)?;
        if let Some(leader) = leader {
            bench.crash(leader)?;
        }
        if bench.active().len() < 3 {
            let absent = bench.absent();
            let back = bench.pick(&absent);
            bench.restart(back)?;
        }
    }
    bench.settle()
}

/// Leaders are cut off a moment after they took a value. They come back as leaders, and what they
/// sent may arrive even later.
fn leaders_that_come_back<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(1)?;
    for _ in 0..LEADERS {
        let leader = propose_to_all(bench);
        run_a_moment(bench)?;
        if let Some(leader) = leader.filter(|_| bench.random.below(2) == 0) {
            bench.cut(leader);
        }
        if bench.active().len() < 3 {
            let absent = bench.absent();
            let back = bench.pick(&absent);
            bench.join(back);
        }
    }
    bench.settle()
}

/// Returns the last one that took a value.
fn propose_to_all<L: ReplicatedLog>(bench: &mut Bench<L>) -> Option<NodeId> {
    let nodes = bench.active();
    nodes.into_iter().filter(|node| bench.propose(*node).is_some()).last()
}

/// Mostly not long enough for an agreement, now and then for an election.
fn run_a_moment<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let is_long = bench.random.below(10) == 0;
    bench.run_for_up_to(if is_long { 500 } else { 13 })
}

/// Values are proposed everywhere while nodes are cut off, crash, and come back.
fn churn<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    for _ in 0..CHURN_ROUNDS {
        let mut hit = |percent: u64| {
            let nodes = bench.nodes.clone();
            let node = bench.pick(&nodes);
            (bench.random.below(100) < percent).then_some(node)
        };
        let (cut, crashed, back) = (hit(20), hit(20), hit(50));
        let joined = hit(50);
        cut.into_iter().for_each(|node| bench.cut(node));
        crashed.map_or(Ok(()), |node| bench.crash(node))?;
        back.map_or(Ok(()), |node| bench.restart(node))?;
        joined.into_iter().for_each(|node| bench.join(node));
        for _ in 0..3 {
            _ = bench.propose_anywhere();
            bench.run_for_up_to(100)?;
        }
        bench.run_for(Duration::from_millis(300))?;
    }
    bench.settle()
}

/// How often the figure is tried: chance must be on its side in three places.
const FIGURES: u32 = 30;

/// How long most elections take.
const ELECTION: Duration = Duration::from_millis(500);

/// How many leaders are lost.
const LEADERS: u32 = 1_000;

const CHURN_ROUNDS: u32 = 40;
