//! Replicated logs that break one promise each. They are of one small Raft on links of its own.

#[path = "replicated_log/cluster.rs"]
mod cluster;
#[path = "replicated_log/node.rs"]
mod node;

use quorate_sim::kit::{self, replicated_log};

use self::cluster::Cluster;
use super::expect_failed;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    ForgetsItsVote,
    ForgetsItsLog,
    ForgetsItsSnapshot,
    VotesForAnybody,
    LeadsWithoutAMajority,
    CountsOldTerms,
    AppliesBeforeItIsCommitted,
    AppliesTwice,
    PromisesTheNextIndex,
    NeverBacksUp,
    BelievesAnyLog,
    LosesTheTail,
    InstallsWhatIsOld,
    SendsNoSnapshot,
    MakesUpValues,
}

#[test]
fn a_small_raft_passes() {
    let report = replicated_log::check(|conditions| Cluster::new(conditions, Fault::None));
    report.expect_passed();
    let is_passed = |case: &kit::Case| case.outcome == kit::Outcome::Passed;
    assert!(report.cases.iter().all(is_passed), "{report}");
}

#[test]
fn each_fault_of_a_log_is_named() {
    let faults: [(Fault, &[&str]); 15] = [
        (Fault::ForgetsItsVote, &["a_vote_is_not_forgotten"]),
        (Fault::ForgetsItsLog, &["a_restart_forgets_nothing", "a_quorum_that_was_down_knows_all"]),
        (Fault::ForgetsItsSnapshot, &["all_restart_from_snapshots"]),
        (Fault::VotesForAnybody, &["a_lost_follower_holds_up_nobody", "figure_8"]),
        (Fault::LeadsWithoutAMajority, &["nobody_leads_without_a_quorum"]),
        (Fault::CountsOldTerms, &["figure_8"]),
        (Fault::AppliesBeforeItIsCommitted, &["nothing_is_applied_without_a_quorum"]),
        (Fault::AppliesTwice, &["a_value_is_applied_by_all"]),
        (Fault::PromisesTheNextIndex, &["a_value_is_applied_by_all"]),
        (Fault::NeverBacksUp, &["a_log_that_went_astray_is_soon_replaced"]),
        (Fault::BelievesAnyLog, &["a_cut_off_leader_rejoins"]),
        (Fault::LosesTheTail, &["compact_keeps_what_follows"]),
        (Fault::InstallsWhatIsOld, &["a_snapshot_arrives_over_a_bad_network"]),
        (Fault::SendsNoSnapshot, &["a_cut_off_node_is_sent_a_snapshot"]),
        (Fault::MakesUpValues, &["a_value_is_applied_by_all"]),
    ];
    for (fault, names) in faults {
        for name in names {
            let make = |conditions: &_| Cluster::new(conditions, fault);
            expect_failed(&replicated_log::check_only(name, make), &[name]);
        }
    }
}

#[test]
fn a_failure_repeats() {
    let check =
        || replicated_log::check_only("figure_8", |it| Cluster::new(it, Fault::CountsOldTerms));
    let report = check();
    expect_failed(&report, &["figure_8"]);
    assert_eq!(report, check());
}
