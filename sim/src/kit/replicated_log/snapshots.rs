//! Snapshots: nodes forget what they applied, and whoever missed it learns it all the same.

use std::collections::BTreeMap;

use quorate_core::NodeId;

use super::bench::Bench;
use super::{Checked, LogCase, Network, ReplicatedLog, case};
use crate::kit::ensure;

pub(super) fn cases<L: ReplicatedLog>() -> Vec<LogCase<L>> {
    use Network::{Reliable, Unreliable};
    vec![
        case("a_compacted_log_goes_on", 3, Reliable, |bench| lag(bench, Lost::Nobody)),
        case("a_cut_off_node_is_sent_a_snapshot", 3, Reliable, |bench| lag(bench, Lost::Cut)),
        case("a_snapshot_arrives_over_a_bad_network", 3, Unreliable, |bench| lag(bench, Lost::Cut)),
        case("a_crashed_node_is_sent_a_snapshot", 3, Reliable, |bench| lag(bench, Lost::Crashed)),
        case("a_crashed_node_is_sent_a_snapshot_over_a_bad_network", 3, Unreliable, |bench| {
            lag(bench, Lost::Crashed)
        }),
        case("compact_keeps_what_follows", 3, Reliable, compact_keeps_what_follows),
        case("all_restart_from_snapshots", 3, Reliable, all_restart),
        case("a_second_restart_keeps_the_snapshot", 3, Reliable, a_second_restart),
    ]
}

/// What becomes of one node while the others go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lost {
    Nobody,
    Cut,
    Crashed,
}

/// One node after the other misses more than the others keep.
fn lag<L: ReplicatedLog>(bench: &mut Bench<L>, lost: Lost) -> Checked {
    let mut compacted = BTreeMap::new();
    bench.agree(3)?;
    for round in 0..ROUNDS {
        let leader = bench.leader()?;
        // Every third time it is the leader itself.
        let victim = if round % 3 == 2 { leader } else { bench.after(leader, 1) };
        match lost {
            Lost::Nobody => {}
            Lost::Cut => bench.cut(victim),
            Lost::Crashed => bench.crash(victim)?,
        }
        let needed = if lost == Lost::Nobody { 3 } else { 2 };
        for _ in 0..BATCHES {
            for _ in 0..COMPACT_AFTER {
                _ = bench.propose_anywhere();
            }
            bench.agree(needed)?;
            bench.compact(&mut compacted, COMPACT_AFTER)?;
        }
        bench.join(victim);
        bench.restart(victim)?;
        bench.agree(3)?;
        bench.compact(&mut compacted, COMPACT_AFTER)?;
    }
    bench.settle()
}

/// A value that only the leader knows to be committed is behind what the others compact.
fn compact_keeps_what_follows<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let mut compacted = BTreeMap::new();
    bench.watch_closely();
    for _ in 0..ROUNDS {
        bench.agree(3)?;
        let leader = bench.leader()?;
        if let Some(entry) = bench.propose(leader) {
            bench.is_applied_in_time(entry, 1)?;
        }
        // Nor does anything arrive that it has sent.
        bench.cut(leader);
        bench.compact(&mut compacted, 1)?;
        bench.agree(2)?;
        bench.join(leader);
    }
    bench.settle()
}

fn all_restart<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let mut compacted = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut last = 0;
        for _ in 0..=bench.random.below(8) {
            last = bench.agree(3)?;
            bench.compact(&mut compacted, 3)?;
        }
        bench.crash_all()?;
        bench.restart_all()?;
        let index = bench.agree(3)?;
        ensure(last < index, || format!("after a restart, index {index} follows {last}"))?;
    }
    bench.settle()
}

/// Whoever starts from a snapshot and writes something else must not forget the snapshot.
fn a_second_restart<L: ReplicatedLog>(bench: &mut Bench<L>) -> Checked {
    let mut compacted: BTreeMap<NodeId, usize> = BTreeMap::new();
    (0..COMPACT_AFTER).try_for_each(|_| bench.agree(3).map(drop))?;
    bench.compact(&mut compacted, 1)?;
    for _ in 0..3 {
        bench.crash_all()?;
        bench.restart_all()?;
        bench.agree(3)?;
    }
    bench.crash_all()?;
    bench.restart_all()?;
    bench.settle()
}

const ROUNDS: u32 = 9;

/// How often the others compact while one node misses it.
const BATCHES: u32 = 2;

/// After so many values.
const COMPACT_AFTER: usize = 10;
