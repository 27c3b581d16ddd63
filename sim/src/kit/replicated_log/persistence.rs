//! Persistence: what a node said it still means after its power failed.

use std::time::Duration;

use super::bench::Bench;
use super::{Checked, LogCase, Network, ReplicatedLog, case};

pub(super) fn cases<L: ReplicatedLog>() -> Vec<LogCase<L>> {
    use Network::{Reliable, Unreliable};
    vec![
        case("a_restart_forgets_nothing", 3, Reliable, a_restart_forgets_nothing),
        case("a_quorum_that_was_down_knows_all", 3, Reliable, a_quorum_that_was_down),
        case("minorities_come_and_go", 5, Reliable, minorities_come_and_go),
        case("a_restarted_leader_learns_what_it_missed", 3, Reliable, a_restarted_leader),
        case("a_vote_is_not_forgotten", 3, Unreliable, a_vote_is_not_forgotten),
        case("what_is_applied_is_not_forgotten", 3, Reliable, what_is_applied_is_not_forgotten),
        case(
            "what_is_applied_over_a_bad_network_is_not_forgotten",
            5,
            Unreliable,
            what_is_applied_is_not_forgotten,
        ),
    ]
}

fn a_restart_forgets_nothing<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(3)?;
    bench.crash_all()?;
    bench.restart_all()?;
    bench.agree(3)?;
    for steps in 0..3 {
        let leader = bench.leader()?;
        let node = bench.after(leader, steps);
        bench.crash(node)?;
        bench.agree(2)?;
        bench.restart(node)?;
        bench.agree(3)?;
    }
    bench.crash_all()?;
    bench.restart_all()?;
    bench.settle()
}

/// Two that have a value lose their power, and must bring it to the third, who never heard of it.
fn a_quorum_that_was_down<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    for _ in 0..3 {
        bench.agree(3)?;
        let leader = bench.leader()?;
        let (with, without) = (bench.after(leader, 1), bench.after(leader, 2));
        bench.cut(without);
        bench.agree(2)?;
        for node in [leader, with] {
            bench.crash(node)?;
        }
        bench.join(without);
        bench.restart(with)?;
        // Whichever of these two leads, it is with the value.
        bench.agree(2)?;
        bench.restart(leader)?;
    }
    bench.settle()
}

fn minorities_come_and_go<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    for _ in 0..3 {
        bench.agree(5)?;
        let leader = bench.leader()?;
        let node = |steps| bench.after(leader, steps);
        let (one, two, rest) = (node(1), node(2), [node(3), node(4), leader]);
        for lost in [one, two] {
            bench.crash(lost)?;
        }
        bench.agree(3)?;
        for lost in rest {
            bench.crash(lost)?;
        }
        for back in [one, two] {
            bench.restart(back)?;
        }
        bench.nobody_applies_for(Duration::from_secs(1))?;
        bench.restart(rest[0])?;
        bench.agree(3)?;
        bench.restart_all()?;
    }
    bench.settle()
}

fn a_restarted_leader<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(3)?;
    let leader = bench.leader()?;
    let (one, two) = (bench.after(leader, 1), bench.after(leader, 2));
    bench.cut(two);
    bench.agree(2)?;
    bench.crash(leader)?;
    bench.crash(one)?;
    bench.join(two);
    bench.restart(leader)?;
    bench.agree(2)?;
    bench.restart(one)?;
    bench.settle()
}

/// Nodes lose their power just after they entered a term, and are back before its election ends:
/// whoever does not remember its vote gives another one.
fn a_vote_is_not_forgotten<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.watch_closely();
    for _ in 0..ELECTIONS {
        let leader = bench.leader()?;
        bench.crash(leader)?;
        bench.restart(leader)?;
        let voters = bench.active();
        let mut terms: Vec<u64> = voters.iter().map(|node| bench.term(*node)).collect();
        for _ in 0..ELECTION_MILLIS {
            bench.run_for(Duration::from_millis(1))?;
            for (node, term) in voters.iter().zip(&mut terms) {
                let before = std::mem::replace(term, bench.term(*node));
                if before < *term && bench.random.below(2) == 0 {
                    bench.crash(*node)?;
                    bench.restart(*node)?;
                }
            }
        }
    }
    bench.settle()
}

/// All lose their power at the moment when the first one applies a value, and any majority of them
/// goes on: one of it must have the value.
fn what_is_applied_is_not_forgotten<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.watch_closely();
    for _ in 0..POWER_FAILURES {
        let leader = bench.leader()?;
        if let Some(entry) = bench.propose(leader) {
            bench.is_applied_in_time(entry, 1)?;
        }
        bench.crash_all()?;
        while bench.active().len() <= bench.nodes.len() / 2 {
            let absent = bench.absent();
            let back = bench.pick(&absent);
            bench.restart(back)?;
        }
        bench.agree(bench.active().len())?;
        bench.restart_all()?;
    }
    bench.settle()
}

/// Rarely do two ask one node for its vote in the same moment.
const ELECTIONS: u32 = 100;

/// How long the crashes of an election last: longer than a timeout.
const ELECTION_MILLIS: u32 = 500;

const POWER_FAILURES: u32 = 50;
