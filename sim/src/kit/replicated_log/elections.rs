//! Elections: one leader where there is a majority, and none elsewhere.

use std::time::Duration;

use super::bench::Bench;
use super::{Checked, LogCase, Network, ReplicatedLog, case};
use crate::kit::{ensure, expect};

pub(super) fn cases<L: ReplicatedLog>() -> Vec<LogCase<L>> {
    vec![
        case("one_leader_is_elected", 3, Network::Reliable, one_leader),
        case("a_leader_stays_while_nothing_fails", 5, Network::Reliable, a_leader_stays),
        case("a_lost_leader_is_replaced", 3, Network::Reliable, a_lost_leader),
        case("nobody_leads_without_a_quorum", 5, Network::Reliable, nobody_leads),
        case("many_elections_have_one_leader_each", 7, Network::Reliable, many_elections),
        case("one_leader_is_elected_on_a_bad_network", 5, Network::Unreliable, one_leader),
    ]
}

fn one_leader<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.leader()?;
    // Two in one term would have been seen.
    bench.run_for(Duration::from_secs(2))?;
    bench.leader().map(drop)
}

fn a_leader_stays<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let leader = bench.leader()?;
    bench.run_for(Duration::from_secs(1))?;
    let term = bench.term(leader);
    bench.run_for(Duration::from_secs(10))?;
    expect("the leader after 10 s in which nothing failed", bench.leader()?, leader)?;
    expect("its term", bench.term(leader), term)
}

fn a_lost_leader<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let first = bench.leader()?;
    bench.cut(first);
    let second = bench.leader()?;
    ensure(first != second, || format!("{first} leads, and is cut off"))?;
    // One that comes back knows of the new one, soon or late.
    bench.join(first);
    bench.run_for(Duration::from_secs(1))?;
    let third = bench.leader()?;
    bench.crash(third)?;
    let fourth = bench.leader()?;
    ensure(third != fourth, || format!("{third} leads, and is down"))?;
    bench.restart(third)?;
    bench.agree(bench.nodes.len()).map(drop)
}

fn nobody_leads<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let leader = bench.leader()?;
    for steps in 0..3 {
        bench.cut(bench.after(leader, steps));
    }
    bench.nobody_leads_for(Duration::from_secs(5))?;
    bench.join(bench.after(leader, 1));
    bench.leader()?;
    bench.join_all();
    bench.leader().map(drop)
}

fn many_elections<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.leader()?;
    for _ in 0..10 {
        for _ in 0..3 {
            let node = bench.pick(&bench.nodes.clone());
            bench.cut(node);
        }
        // Either the leader is among the four or more that are left, or they elect one.
        bench.leader()?;
        bench.run_for_up_to(500)?;
        bench.join_all();
    }
    bench.leader().map(drop)
}
