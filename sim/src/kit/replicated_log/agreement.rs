//! Agreement: what a majority has is applied, by all in the end, and nothing else is.

use std::time::Duration;

use quorate_core::NodeId;

use super::bench::Bench;
use super::{Applied, Checked, LogCase, Network, ReplicatedLog, case};
use crate::kit::{Stop, ensure};

pub(super) fn cases<L: ReplicatedLog>() -> Vec<LogCase<L>> {
    use Network::{Reliable, Unreliable};
    vec![
        case("a_value_is_applied_by_all", 3, Reliable, a_value_is_applied_by_all),
        case("a_lost_follower_holds_up_nobody", 3, Reliable, a_lost_follower),
        case("lost_leaders_hold_up_nobody", 5, Reliable, lost_leaders),
        case("nothing_is_applied_without_a_quorum", 5, Reliable, nothing_without_a_quorum),
        case("concurrent_proposals_are_all_applied", 3, Reliable, concurrent_proposals),
        case("a_cut_off_leader_rejoins", 3, Reliable, a_cut_off_leader_rejoins),
        case("a_log_that_went_astray_is_soon_replaced", 5, Reliable, a_log_that_went_astray),
        case("values_are_agreed_on_over_a_bad_network", 5, Unreliable, a_bad_network),
    ]
}

fn a_value_is_applied_by_all<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let leader = bench.leader()?;
    let mut last = 0;
    for _ in 0..3 {
        let entry = must_take(bench, leader)?;
        ensure(last < entry.index, || format!("index {} follows {last}", entry.index))?;
        last = entry.index;
        let is_applied = bench.is_applied_in_time(entry, bench.nodes.len())?;
        ensure(is_applied, || format!("not all applied value {} in time", entry.value))?;
    }
    Ok(())
}

fn a_lost_follower<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(3)?;
    let leader = bench.leader()?;
    let lost = bench.after(leader, 1);
    bench.cut(lost);
    for _ in 0..3 {
        bench.agree(2)?;
        bench.run_for(Duration::from_millis(500))?;
    }
    bench.join(lost);
    bench.agree(3)?;
    bench.run_for(Duration::from_secs(1))?;
    bench.agree(3).map(drop)
}

fn lost_leaders<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(5)?;
    let first = bench.leader()?;
    bench.cut(first);
    bench.agree(4)?;
    let second = bench.leader()?;
    bench.cut(second);
    bench.agree(3)?;
    // Of what a third one has, nobody is to hear.
    let third = bench.leader()?;
    bench.cut(third);
    for leader in [first, second, third] {
        _ = bench.propose(leader);
    }
    bench.nobody_applies_for(Duration::from_secs(3))?;
    bench.settle()
}

fn nothing_without_a_quorum<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(5)?;
    let leader = bench.leader()?;
    for steps in 1..=3 {
        bench.cut(bench.after(leader, steps));
    }
    for _ in 0..3 {
        // It may know that it lost its quorum, later.
        _ = bench.propose(leader);
        bench.nobody_applies_for(Duration::from_secs(1))?;
    }
    bench.settle()
}

fn concurrent_proposals<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    for _ in 0..TRIES {
        let leader = bench.leader()?;
        let term = bench.term(leader);
        let entries: Vec<Applied> = (0..5).filter_map(|_| bench.propose(leader)).collect();
        let is_same = |other: &Applied, entry: &Applied| other.index == entry.index;
        for (at, entry) in entries.iter().enumerate() {
            let is_new = !entries[..at].iter().any(|other| is_same(other, entry));
            ensure(is_new, || format!("index {} is promised twice", entry.index))?;
        }
        for entry in &entries {
            if !bench.is_applied_in_time(*entry, 3)? && bench.term(leader) == term {
                let Applied { index, value } = entry;
                return Err(bench.broken(&format!("not all applied {value} at {index}")));
            }
        }
        if bench.term(leader) == term && entries.len() == 5 {
            return Ok(());
        }
    }
    Err(bench.broken("five proposals at once are never all taken"))
}

fn a_cut_off_leader_rejoins<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(3)?;
    let first = bench.leader()?;
    bench.cut(first);
    for _ in 0..3 {
        _ = bench.propose(first);
    }
    bench.agree(2)?;
    let second = bench.leader()?;
    bench.cut(second);
    bench.join(first);
    bench.agree(2)?;
    bench.join(second);
    bench.agree(3).map(drop)
}

/// Two leaders in turn are cut off with one follower each, and gather what nobody else has.
fn a_log_that_went_astray<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.agree(5)?;
    let first = bench.leader()?;
    let with_first = bench.after(first, 1);
    let rest: Vec<NodeId> = (2..5).map(|steps| bench.after(first, steps)).collect();
    rest.iter().for_each(|node| bench.cut(*node));
    propose_many(bench, first)?;
    [first, with_first].into_iter().for_each(|node| bench.cut(node));
    rest.iter().for_each(|node| bench.join(*node));
    agree_on_many(bench, 3)?;
    // The same again, among those three.
    let second = bench.leader()?;
    let others: Vec<NodeId> = rest.iter().copied().filter(|node| *node != second).collect();
    bench.cut(others[0]);
    propose_many(bench, second)?;
    rest.iter().for_each(|node| bench.cut(*node));
    for node in [first, with_first, others[0]] {
        bench.join(node);
    }
    agree_on_many(bench, 3)?;
    bench.settle()
}

/// Has `leader` take many values, and whoever hears it as well.
fn propose_many<L: ReplicatedLog>(bench: &mut Bench<L>, leader: NodeId) -> Checked {
    for _ in 0..MANY {
        _ = bench.propose(leader);
    }
    bench.nobody_applies_for(Duration::from_millis(500))
}

fn agree_on_many<L: ReplicatedLog>(bench: &mut Bench<L>, count: usize) -> Checked {
    bench.agree(count)?;
    for _ in 0..MANY {
        _ = bench.propose_anywhere();
    }
    bench.agree(count).map(drop)
}

fn a_bad_network<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    bench.leader()?;
    for _ in 0..ROUNDS {
        for _ in 0..4 {
            _ = bench.propose_anywhere();
        }
        bench.agree(1)?;
    }
    bench.agree(5).map(drop)
}

/// Has `leader` take a value.
fn must_take<L: ReplicatedLog>(bench: &mut Bench<L>, leader: NodeId) -> Checked<Applied> {
    bench.propose(leader).ok_or_else(|| Stop::broken(format!("{leader} leads, and takes no value")))
}

/// How often a leader may change when it should not.
const TRIES: u32 = 5;

/// More than fit a message or two of an implementation that sends a few at a time.
const MANY: u32 = 50;

const ROUNDS: u32 = 20;
