//! Laws under faults, from seeds.
//!
//! `SEED=17 cargo test -p quorate-consensus --test simulation -- --nocapture` replays one run and
//! prints its story. `src/traps.rs` shows that these laws can be broken.

use std::cell::RefCell;

use quorate_consensus::raft::Raft;
use quorate_sim::{Mistake, Records, World, check_seeds, count_caught};

#[path = "simulation/raft.rs"]
mod raft;

/// The storage of protocol tests; `examples` runs the same worlds over a real log.
type Memory = Records<Raft>;

const SEEDS: u64 = 200;

#[test]
fn raft_keeps_its_laws() {
    let saw: RefCell<Vec<raft::Saw>> = RefCell::default();
    check_seeds(env!("CARGO_PKG_NAME"), "raft_keeps_its_laws", 0..SEEDS, |seed| {
        let world = raft::run_with::<Memory>(seed, Mistake::None)?;
        saw.borrow_mut().push(world.system().saw);
        Ok(World::into_trace(world))
    });
    // A run in which nothing happens breaks no law.
    let saw = saw.into_inner();
    let all = |count: fn(&raft::Saw) -> u64| saw.iter().map(count).sum::<u64>();
    let counts = [
        ("proposals done", all(|it| it.done)),
        ("proposals lost", all(|it| it.lost)),
        ("reads", all(|it| it.reads)),
        ("reads refused", all(|it| it.refused_reads)),
        ("leaders", all(|it| it.leaders)),
        ("truncations", all(|it| it.truncations)),
    ];
    println!("{counts:?}");
    assert!(counts.iter().all(|(_, count)| 0 < *count) || saw.len() < 50, "{counts:?}");
}

#[test]
fn raft_keeps_its_laws_while_power_fails() {
    check_seeds(env!("CARGO_PKG_NAME"), "raft_keeps_its_laws_while_power_fails", 0..40, |seed| {
        raft::run_shaky::<Memory>(seed).map(World::into_trace)
    });
}

#[test]
fn raft_keeps_its_laws_while_leaders_crash() {
    check_seeds(env!("CARGO_PKG_NAME"), "raft_keeps_its_laws_while_leaders_crash", 0..20, |seed| {
        raft::run_hunt::<Memory>(seed).map(World::into_trace)
    });
}

#[test]
fn every_mistake_of_a_driver_is_caught() {
    for mistake in [Mistake::Hasty, Mistake::ForgetsDeadlines, Mistake::ReordersDeliveries] {
        let caught = count_caught(0..SEEDS, |seed| raft::run_with::<Memory>(seed, mistake));
        println!("{mistake:?}: {caught}");
        assert!(caught.runs <= caught.count * 100, "{mistake:?} is hardly ever caught: {caught}");
    }
}
