//! Node programs that are good and bad, each a role of this program itself, and what a run says of
//! them.
//!
//! The harness is its own because a node must be alone on its standard output: with `ROLE` in the
//! environment this is a node, else it runs the tests, or those whose names contain an argument.

#![expect(clippy::print_stdout, reason = "it has a harness of its own")]

#[path = "maelstrom/roles.rs"]
mod roles;

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use quorate_sim::Recording;
use quorate_sim::check::transactions::{ConsistencyModel, Level, Time};
use quorate_sim::maelstrom::{MisdeedKind, Report, Runner, Topology, Verdict, Workload};
use quorate_sim::recording::Kind;

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        return roles::run(&role);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let is_chosen =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let chosen = TESTS.iter().filter(|(name, _)| is_chosen(name));
    if arguments.iter().any(|it| it == "--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    // They mostly wait: all at once, but for those that count on the processor.
    let (calm, busy): (Vec<_>, Vec<_>) = chosen.partition(|(name, _)| !name.starts_with("busy_"));
    let mut failed = run_all(&calm);
    failed += busy.into_iter().map(|test| run_all(&[test])).sum::<usize>();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

type Test = (&'static str, fn());

#[expect(clippy::disallowed_methods, reason = "processes live in real time")]
fn run_all(tests: &[&'static Test]) -> usize {
    let (done, results) = channel();
    for (name, test) in tests.iter().copied() {
        let done = done.clone();
        thread::spawn(move || {
            let began = Instant::now();
            let is_good = std::panic::catch_unwind(test).is_ok();
            done.send((name, is_good, began.elapsed())).expect("the tests are waited for");
        });
    }
    drop(done);
    let mut failed = 0;
    for (name, is_good, took) in results {
        let mark = if is_good { "ok" } else { "FAILED" };
        println!("test {name} ... {mark} ({:.1} s)", took.as_secs_f64());
        failed += usize::from(!is_good);
    }
    failed
}

const TESTS: &[Test] = &[
    ("a_good_node_is_valid_in_every_workload", a_good_node_is_valid_in_every_workload),
    ("the_history_is_written", the_history_is_written),
    ("messages_are_recorded", messages_are_recorded),
    ("a_log_with_faults_is_invalid", a_log_with_faults_is_invalid),
    ("transactions_that_are_wrong", transactions_that_are_not_what_they_must_be_are_invalid),
    ("a_register_that_forgets_is_invalid", a_register_that_forgets_is_invalid),
    ("an_echo_of_something_else_is_invalid", an_echo_of_something_else_is_invalid),
    ("ids_that_come_twice_are_invalid", ids_that_come_twice_are_invalid),
    ("a_lost_broadcast_is_invalid", a_lost_broadcast_is_invalid),
    ("an_addition_that_counts_twice_is_invalid", an_addition_that_counts_twice_is_invalid),
    ("garbage_is_reported", garbage_is_reported),
    ("a_line_without_end_is_reported", a_line_without_end_is_reported),
    ("a_node_that_dies_is_reported", a_node_that_dies_is_reported),
    ("a_flood_is_reported", a_flood_is_reported),
    ("a_node_that_reads_nothing_is_reported", a_node_that_reads_nothing_is_reported),
    ("a_node_that_never_starts_is_reported", a_node_that_never_starts_is_reported),
    ("a_node_that_answers_nobody_is_reported", a_node_that_answers_nobody_is_reported),
    ("a_message_to_nobody_is_reported", a_message_to_nobody_is_reported),
    ("a_wrong_answer_is_reported", a_wrong_answer_is_reported),
    ("a_wrong_answer_to_a_first_read_is_reported", a_wrong_answer_to_a_first_read_is_reported),
    ("a_log_without_end_is_reported", a_log_without_end_is_reported),
    ("what_a_script_starts_is_killed", what_a_script_starts_is_killed),
    ("a_node_that_never_ends_is_killed", a_node_that_never_ends_is_killed),
    ("a_program_that_is_not_there_is_an_error", a_program_that_is_not_there_is_an_error),
    ("services_answer_nodes", services_answer_nodes),
    ("busy_broadcast_costs_what_it_must", busy_broadcast_costs_what_it_must),
];

/// A run of nodes that play `role`, short and with little patience.
fn runner(workload: Workload, role: &str) -> Runner {
    let program = std::env::current_exe().expect("this program has a path");
    Runner::new(workload, program)
        .environment(ROLE, role)
        .environment(WORKLOAD, workload.name())
        .nodes(3)
        .rate(50.0)
        .time(Duration::from_millis(600))
        .timeout(Duration::from_millis(500))
        .seed(7)
}

fn run(runner: &Runner) -> Report {
    runner.run().expect("the program starts")
}

/// Runs a bad node alone, and returns what is said of it.
fn misdeed(role: &str) -> (String, MisdeedKind) {
    misdeed_within(role, 200)
}

/// The same, with so many messages that may wait.
fn misdeed_within(role: &str, max_queue: usize) -> (String, MisdeedKind) {
    let runner = runner(Workload::Echo, role).nodes(1).start_timeout(Duration::from_secs(2));
    let mut report = run(&runner.max_per_second(5_000).max_queue(max_queue));
    let text = report.to_string();
    assert!(matches!(report.verdict, Verdict::Invalid(_)), "{text}");
    let misdeed = report.misdeeds.remove(0);
    assert_eq!(misdeed.node, "n1", "{text}");
    assert!(text.ends_with(&format!("invalid: {misdeed}")), "{text}");
    (text, misdeed.kind)
}

fn why(report: &Report) -> &str {
    match &report.verdict {
        Verdict::Invalid(why) | Verdict::Unjudged(why) => why,
        Verdict::Valid => panic!("it is valid: {report}"),
    }
}

fn a_good_node_is_valid_in_every_workload() {
    for workload in Workload::ALL {
        // Alone, so that nothing has to be agreed on.
        let report = run(&runner(workload, "good").nodes(1));
        assert_eq!(report.verdict, Verdict::Valid, "{report}");
        assert_eq!(report.operations.ok, report.operations.count(), "{report}");
        assert!(20 < report.operations.ok && report.misdeeds.is_empty(), "{report}");
    }
}

fn the_history_is_written() {
    let folder = tempfile::tempdir().expect("there is a place for a folder");
    let path = folder.path().join("history.jsonl");
    let report = run(&runner(Workload::Kafka, "good").nodes(1).history(&path));
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    let text = std::fs::read_to_string(&path).expect("the history is written");
    assert!(2 * report.operations.ok <= text.lines().count() as u64, "{report}");
}

fn messages_are_recorded() {
    let folder = tempfile::tempdir().expect("there is a place for a folder");
    let path = folder.path().join("trace.jsonl");
    let runner = runner(Workload::Broadcast, "floods neighbors").topology(Topology::Total);
    let runner = runner.latency(Duration::from_millis(5)).partitions(true).trace(&path);
    let report = run(&runner.recovery(Duration::from_millis(10)));
    assert!(report.to_string().contains("trace.jsonl"), "{report}");
    let file = std::fs::read(&path).expect("the trace is written");
    let recording = Recording::read(&*file).expect("it is a recording");
    let count = |is: fn(&Kind) -> bool| {
        recording.events.iter().filter(|event| is(&event.kind)).count() as u64
    };
    assert_eq!(count(|kind| matches!(kind, Kind::Send { .. })), report.messages.between_nodes);
    assert_eq!(count(|kind| matches!(kind, Kind::Lost { .. })), report.messages.dropped);
    let operations = report.operations.count() + report.nodes as u64;
    assert_eq!(count(|kind| matches!(kind, Kind::Invoke { .. })), operations);
    assert_eq!(count(|kind| matches!(kind, Kind::Fault { until: Some(_), .. })), 2, "{report}");
    assert!(0 < report.messages.dropped && recording.to_html().contains("n3"), "{report}");
}

fn a_log_with_faults_is_invalid() {
    let said = |role| why(&run(&runner(Workload::Kafka, role).nodes(1))).to_owned();
    assert!(said("loses messages").contains("lost"), "{}", said("loses messages"));
    assert!(said("forgets the last").contains("unseen"), "{}", said("forgets the last"));
    assert!(said("forgets commits").contains("commit-lost"), "{}", said("forgets commits"));
}

fn transactions_that_are_not_what_they_must_be_are_invalid() {
    use Workload::{TxnListAppend, TxnRwRegister};
    for workload in [TxnListAppend, TxnRwRegister] {
        let runner = runner(workload, "reads the past").nodes(1);
        let report = run(&runner);
        assert!(why(&report).starts_with("not strict-serializable: "), "{report}");
        let uncommitted = ConsistencyModel::new(Level::ReadUncommitted, Time::Any);
        assert_eq!(run(&runner.model(uncommitted)).verdict, Verdict::Valid);
    }
}

fn a_register_that_forgets_is_invalid() {
    let report = run(&runner(Workload::LinKv, "forgets").nodes(1));
    assert!(why(&report).starts_with("not linearizable"), "{report}");
}

fn an_echo_of_something_else_is_invalid() {
    let report = run(&runner(Workload::Echo, "mishears"));
    assert!(why(&report).contains("said"), "{report}");
}

fn ids_that_come_twice_are_invalid() {
    let report = run(&runner(Workload::UniqueIds, "repeats ids"));
    assert!(why(&report).contains("ids were given again"), "{report}");
}

fn a_lost_broadcast_is_invalid() {
    let report = run(&runner(Workload::Broadcast, "loses").topology(Topology::Line));
    assert!(why(&report).contains("acknowledged elements are lost"), "{report}");
    let report = run(&runner(Workload::Broadcast, "floods neighbors").topology(Topology::Line));
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    assert!(report.stable_latency.is_some(), "{report}");
}

fn an_addition_that_counts_twice_is_invalid() {
    for workload in [Workload::GCounter, Workload::PnCounter] {
        let report = run(&runner(workload, "counts twice").nodes(1));
        assert!(why(&report).contains("acceptable"), "{report}");
    }
}

fn garbage_is_reported() {
    let (text, kind) = misdeed("garbage");
    assert!(matches!(kind, MisdeedKind::Garbage(_)) && text.contains("what is this"), "{text}");
    assert!(text.contains("n1 wrote: this goes to standard error"), "{text}");
}

fn a_line_without_end_is_reported() {
    let (text, kind) = misdeed("endless line");
    assert!(matches!(kind, MisdeedKind::Garbage(_)) && text.contains("longer than"), "{text}");
}

fn a_node_that_dies_is_reported() {
    let (text, kind) = misdeed("dies");
    assert!(matches!(kind, MisdeedKind::Ended(Some(it)) if it.code() == Some(3)), "{text}");
}

fn a_flood_is_reported() {
    // What it says to itself must not fill its queue before it is too much in a second.
    let (text, kind) = misdeed_within("floods", 100_000);
    assert!(matches!(kind, MisdeedKind::Flood { .. }), "{text}");
}

fn a_node_that_reads_nothing_is_reported() {
    let (text, kind) = misdeed("deaf");
    assert!(matches!(kind, MisdeedKind::Deaf { messages: 200 }), "{text}");
}

fn a_node_that_never_starts_is_reported() {
    let (text, kind) = misdeed("never starts");
    assert!(matches!(kind, MisdeedKind::Silent { request, .. } if request == "init"), "{text}");
}

fn a_node_that_answers_nobody_is_reported() {
    let (text, kind) = misdeed("answers nobody");
    assert!(matches!(kind, MisdeedKind::AnswersNobody { .. }), "{text}");
}

fn a_message_to_nobody_is_reported() {
    let (text, kind) = misdeed("talks to nobody");
    assert!(matches!(kind, MisdeedKind::Undeliverable(_)) && text.contains("`n7`"), "{text}");
    let (text, kind) = misdeed("forges");
    assert!(matches!(kind, MisdeedKind::Undeliverable(_)) && text.contains("calls itself"));
}

fn a_wrong_answer_is_reported() {
    let (text, kind) = misdeed("answers wrongly");
    assert!(matches!(kind, MisdeedKind::WrongAnswer { .. }), "{text}");
    assert!(text.contains("expected `echo_ok`, found `echoes`"), "{text}");
}

/// The run ends while the read is under way: what is told of it must not count it.
fn a_wrong_answer_to_a_first_read_is_reported() {
    use Workload::{GCounter, GSet, PnCounter};
    for workload in [GSet, GCounter, PnCounter] {
        for seed in 0..3 {
            let report = run(&runner(workload, "reads wrongly").nodes(1).seed(seed));
            assert!(why(&report).contains("expected `read_ok`, found `reads`"), "{report}");
            let operations = report.operations;
            assert_eq!((operations.reads, operations.updates()), (0, operations.count()));
            assert!(report.messages_per_update() < 0.1, "{report}");
        }
    }
}

fn a_log_without_end_is_reported() {
    for (role, nodes) in [("always has more", 1), ("always has one more", 2)] {
        let report = run(&runner(Workload::Kafka, role).nodes(nodes));
        let is_endless = matches!(report.misdeeds[0].kind, MisdeedKind::Endless { .. });
        assert!(is_endless && why(&report).contains("ever sent"), "{report}");
    }
}

#[expect(clippy::disallowed_methods, reason = "processes live in real time")]
fn what_a_script_starts_is_killed() {
    if !std::path::Path::new("/proc/self/stat").exists() {
        return;
    }
    // One shell waits for its child, the other one ends before it.
    for end in ["cat > /dev/null", "exit 0"] {
        let folder = tempfile::tempdir().expect("there is a place for a folder");
        let file = folder.path().join("id");
        let script = format!("sleep 1000 & echo $! > '{}'; {end}", file.display());
        let runner = Runner::new(Workload::Echo, "/bin/sh").arguments(["-c", &script]);
        let report = run(&runner.start_timeout(Duration::from_millis(300)));
        assert!(matches!(report.verdict, Verdict::Invalid(_)), "{report}");
        let id = std::fs::read_to_string(&file).expect("the script ran");
        // Who is dead may wait for a parent to take notice.
        let is_there = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
            stat.is_ok_and(|it| it.contains("(sleep)") && !it.contains(") Z "))
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while is_there() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!is_there(), "process {id} is left behind after `{end}`");
    }
}

fn a_node_that_never_ends_is_killed() {
    let report = run(&runner(Workload::Echo, "never ends").nodes(2));
    let lingers = |it: &&quorate_sim::maelstrom::Misdeed| matches!(it.kind, MisdeedKind::Lingers);
    assert_eq!(report.misdeeds.iter().filter(lingers).count(), 2, "{report}");
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
}

fn a_program_that_is_not_there_is_an_error() {
    let error = Runner::new(Workload::Echo, "no/such/program").run().expect_err("it is not there");
    assert_eq!(error.to_string(), "node program no/such/program cannot be started");
    let error = runner(Workload::Echo, "good").history("no/such/folder/file").run();
    let error = error.expect_err("there is no place for the history");
    assert_eq!(error.to_string(), "no/such/folder/file cannot be written");
}

fn services_answer_nodes() {
    for service in ["lin-kv", "seq-kv", "lww-kv"] {
        let runner = runner(Workload::Echo, service).latency(Duration::from_millis(5));
        let report = run(&runner);
        assert_eq!(report.verdict, Verdict::Valid, "{report}");
        assert_eq!(report.messages.with_services, 2 * report.operations.count(), "{report}");
    }
}

/// Each broadcast crosses each link once or twice: the sum of all neighbors but those from whom it
/// came. Half of the operations are reads. The figures are those of Maelstrom, whose mix is drawn.
fn busy_broadcast_costs_what_it_must() {
    use Topology::{Grid, Line, Total, Tree4};
    for (topology, expected) in [(Line, 12.0), (Tree4, 12.0), (Grid, 27.8), (Total, 290.6)] {
        let runner = runner(Workload::Broadcast, "floods neighbors").topology(topology);
        let runner = runner.nodes(25).rate(100.0).time(Duration::from_secs(1));
        let report = run(&runner.timeout(Duration::from_secs(5)));
        assert_eq!(report.verdict, Verdict::Valid, "{topology:?}: {report}");
        let (found, updates) = (report.messages_per_operation(), report.messages_per_update());
        println!("{topology:?}: {found:.2} messages per operation, {updates:.2} without reads");
        assert!((found / expected - 1.0).abs() < 0.01, "{topology:?}: {report}");
        assert!((updates / found - 2.0).abs() < 0.03, "{topology:?}: {report}");
    }
}

/// Which node to be.
const ROLE: &str = "QUORATE_MAELSTROM_ROLE";
/// What its clients will do.
const WORKLOAD: &str = "QUORATE_MAELSTROM_WORKLOAD";
