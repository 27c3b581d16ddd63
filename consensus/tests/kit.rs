//! Raft passes the kit for replicated logs. `src/traps.rs` shows that it can fail it.

use quorate_sim::Mistake;
use quorate_sim::kit::replicated_log::{self, InWorld};

#[path = "kit/log.rs"]
mod log;
#[path = "kit/register.rs"]
mod register;

#[test]
fn raft_is_a_replicated_log() {
    replicated_log::check(log::cluster).expect_passed();
}

#[test]
fn the_kit_names_what_a_careless_driver_breaks() {
    let mistakes = [
        (Mistake::Hasty, "what_is_applied_is_not_forgotten"),
        (Mistake::ForgetsDeadlines, "a_leader_stays_while_nothing_fails"),
        (Mistake::ReordersDeliveries, "a_value_is_applied_by_all"),
    ];
    for (mistake, case) in mistakes {
        let make = |conditions: &_| InWorld::of(log::world(conditions).with_mistake(mistake));
        let report = replicated_log::check(make);
        println!("{mistake:?} {:?}", report.failed().collect::<Vec<_>>());
        assert!(report.failed().any(|failed| failed == case), "{mistake:?} passes {case}");
    }
}
