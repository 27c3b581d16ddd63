//! Raft passes the kit for replicated logs. `src/traps.rs` shows that it can fail it.

use quorate_sim::kit::replicated_log;

#[path = "kit/log.rs"]
mod log;

#[test]
fn raft_is_a_replicated_log() {
    let report = replicated_log::check(log::cluster);
    println!("{report}");
    report.expect_passed();
}
