//! What a suite does with a system that is out of order, and what runs cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate_core::NodeId;
use quorate_sim::{Delay, FaultKind, Plan, PlanError, Ratio, Setting, Suite, ViolationKind, World};

#[path = "promises/pulse.rs"]
mod pulse;

use pulse::{Habit, Pulse, Pulses};

const SECOND: Duration = Duration::from_secs(1);

fn world(habit: Habit) -> World<Pulses> {
    let mut plan = Plan::calm(3);
    if habit == Habit::PingPongs {
        plan.knobs.delay = Delay::ZERO;
    }
    World::new(Pulses::new(habit), plan)
}

#[test]
fn a_core_that_never_comes_to_rest_is_a_livelock() {
    for habit in [Habit::Chatters, Habit::PingPongs] {
        let violation = world(habit).run_for(SECOND).expect_err("it never ends");
        assert_eq!(violation.kind, ViolationKind::Livelock, "{violation}");
    }
}

#[test]
fn a_core_that_leaves_a_deadline_behind_breaks_the_contract() {
    let violation = world(Habit::LeavesDeadlines).run_for(SECOND).expect_err("it is late");
    assert_eq!(violation.kind, ViolationKind::Contract, "{violation}");
}

#[test]
fn a_core_that_panics_fails_with_plan_and_story() {
    let suite = Suite::new("panics", Pulses::new(Habit::Panics)).nodes(1..=3);
    let failure = suite.first_failure(0..1).expect("it panics");
    assert_eq!(failure.violation.kind, ViolationKind::Panic);
    assert_eq!(failure.after.nodes, 1, "{failure}");
    let told = failure.to_string();
    assert!(told.contains("panicked: at the 7th pulse"), "{told}");
    let line = "PLAN=";
    assert!(told.lines().any(|it| it.starts_with(line) && it.contains("panics-0.json")), "{told}");
    let page = failure.page_path.expect("the target folder can be written to");
    let page = std::fs::read_to_string(page).expect("it was written");
    assert!(page.contains("at the 7th pulse"));
}

#[test]
#[should_panic(expected = "is not deterministic, the first line that differs")]
fn a_system_that_draws_entropy_is_told_where() {
    Suite::new("entropy", Pulses::new(Habit::Draws)).seeds(0..1).run();
}

/// A client may be asked for its first request between two outputs of a node that starts, which is
/// before it would start one itself.
#[test]
fn a_client_that_asks_while_nodes_start_gives_up() {
    let mut plan = Plan::calm(3).with_clients(2);
    plan.knobs.interleave = Ratio::percent(100);
    let mut world = World::new(Pulses::new(Habit::GreetsAndForgets), plan).with_workload(|_| 0);
    world.run_for(Duration::ZERO).expect("nothing is wrong");
    assert_eq!(world.open_operations(), 2);
    world.stop_clients();
    world.run_for(3 * SECOND).expect("nothing is wrong");
    assert_eq!(world.open_operations(), 0);
}

/// Each use is another number: what a clock or a hash map would give.
pub(crate) fn entropy() -> u64 {
    static USES: AtomicU64 = AtomicU64::new(0);
    USES.fetch_add(1, Ordering::Relaxed)
}

#[test]
#[should_panic(expected = "[\"the moon\"] never occurred")]
fn what_must_be_seen_and_is_not_is_a_failure() {
    let suite = Suite::new("moon", Pulses::new(Habit::None)).time(SECOND);
    suite.seeds(0..50).must_see(["crash", "the moon"]).run();
}

#[test]
fn a_plan_that_cannot_be_run_is_refused_with_its_place() {
    let plan = |change: &dyn Fn(&str) -> String| {
        let mut plan = Plan::calm(3);
        let (at, lasts) = (SECOND, SECOND);
        let kind = FaultKind::Crash { node: NodeId(2) };
        plan.faults.push(quorate_sim::Fault { at, lasts, kind });
        Plan::from_json(&change(&plan.to_json())).expect_err("it is wrong").to_string()
    };
    let replaced = |from: &str, to: &str| plan(&|text| text.replace(from, to));
    // Which line it is counts in the plan of today.
    let error = replaced("\"version\": 1", "\"version\": 2");
    assert_eq!(error, "line 2, version: expected 1, which alone can be read, found 2");
    let error = replaced("\"nodes\": 3", "\"nodes\": 0");
    assert_eq!(error, "line 5, plan.nodes: from 1 to 512");
    let error = replaced("\"clients\": 0", "\"clients\": 9999999");
    assert_eq!(error, "line 6, plan.clients: at most 1048576");
    let text = Plan::calm(3).to_json();
    let time = format!("\"time\": {}", 20 * SECOND.as_nanos());
    assert!(text.contains(&time), "{text}");
    let error = replaced(&time, "\"time\": -1");
    let line = 1 + text[..text.find(&time).expect("it is there")].matches('\n').count();
    let expected = "invalid value: integer `-1`, expected u64";
    assert_eq!(error, format!("line {line}, plan.time: {expected}"));
    let lines = text.lines().collect::<Vec<_>>();
    // The first fault begins a line behind its list.
    let fault = lines.iter().position(|it| it.contains("\"faults\"")).expect("it is there") + 2;
    let error = replaced("\"at\": 1000000000", "\"at\": -1");
    assert_eq!(error, format!("line {}, plan.faults[0].at: {expected}", fault + 1));
    let error = replaced("\"crash\"", "\"meteor\"");
    let start = format!("line {}, plan.faults[0].kind: unknown variant `meteor`", fault + 4);
    assert!(error.starts_with(&start), "{error}");
    let error = replaced("\"node\": 2", "\"node\": 4");
    let expected = format!("line {}, plan.faults[0].kind: a node from 1 to 3, not 4", fault + 5);
    assert_eq!(error, expected);
    let error = replaced("\"families\": []", "\"families\": [\n\"\\u001b[31m\"]");
    let start = "plan.families[0]: unknown variant `\\u{1b}[31m`, expected one of";
    assert!(error.starts_with("line ") && error.contains(start), "{error}");
    let error = replaced("\"seed\"", "\"sead\"");
    assert!(error.starts_with("line 4, plan.sead: unknown field `sead`"), "{error}");
    assert!(!error.contains(" at line "), "{error}");
    assert!(matches!(Plan::from_json(""), Err(PlanError::Malformed { line: 0 | 1, .. })));
}

#[test]
fn a_plan_that_was_drawn_again_is_the_same() {
    let suite = Suite::new("again", Pulses::new(Habit::None)).time(SECOND);
    for seed in 0..20 {
        let plan = suite.plan(seed);
        let again = Plan::from_json(&plan.to_json()).expect("it was just written");
        let digest = |plan| suite.play(plan).map(|world| world.trace().digest());
        assert_eq!(digest(plan).ok(), digest(again).ok());
    }
    assert_eq!(Plan::draw(1, &Setting::new(3..=3)), Plan::draw(1, &Setting::new(3..=3)));
}

#[test]
fn a_node_that_is_far_away_hears_later_and_pulses_all_the_same() {
    let mut world = world(Habit::None);
    world.after(SECOND, SECOND, FaultKind::Isolate { node: NodeId(2) });
    let heard = |world: &World<Pulses>| world.node(NodeId(2)).map_or(0, Pulse::heard);
    world.run_for(SECOND).expect("nothing can go wrong");
    let before = heard(&world);
    world.run_for(SECOND).expect("nothing can go wrong");
    assert!(heard(&world) - before < 5, "what was under way may arrive");
    world.run_for(SECOND).expect("nothing can go wrong");
    assert!(before + 100 < heard(&world));
}
