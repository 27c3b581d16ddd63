//! Laws under faults, from seeds.
//!
//! `SEED=17 cargo test -p quorate-consensus --test simulation -- --nocapture` replays one run and
//! prints its story. `src/traps.rs` shows that these laws can be broken.

use quorate_consensus::raft::Raft;
use quorate_sim::{Mistake, Records, World, check_seeds};

#[path = "simulation/raft.rs"]
mod raft;

/// The storage of protocol tests; `examples` runs the same worlds over a real log.
type Memory = Records<Raft>;

const SEEDS: u64 = 200;

#[test]
fn raft_keeps_its_laws() {
    raft::suite::<Memory>("raft_keeps_its_laws").seeds(0..SEEDS).run();
}

#[test]
fn raft_keeps_its_laws_while_power_fails() {
    raft::shaky::<Memory>("raft_keeps_its_laws_while_power_fails").seeds(0..40).run();
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
        let caught = raft::suite::<Memory>("mistake").mistake(mistake).count_caught(0..SEEDS);
        println!("{mistake:?}: {caught}");
        assert!(caught.runs <= caught.count * 100, "{mistake:?} is hardly ever caught: {caught}");
    }
}
