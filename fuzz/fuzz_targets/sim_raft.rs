//! Raft in a world whose faults the fuzzer steers: no law may break.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use quorate_consensus::raft::Raft;
use quorate_sim::{Plan, Records, Setting};

// The world of the simulation, as it is: a fuzzer needs only one way into it.
#[expect(dead_code, reason = "the rest is for tests")]
#[path = "../../consensus/tests/simulation/raft.rs"]
mod raft;

fuzz_target!(|bytes: &[u8]| {
    let mut setting = Setting::new(3..=5);
    setting.clients = 4;
    setting.time = Duration::from_secs(5);
    let plan = Plan::from_bytes(bytes, &setting);
    let suite = raft::suite::<Records<Raft>>("sim_raft");
    if let Err(violation) = suite.play(plan) {
        panic!("{violation}");
    }
});
