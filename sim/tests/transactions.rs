//! Isolation: each anomaly under its name, what excludes it, and what is no history.

use quorate_sim::check::transactions::{
    AnomalyKind, ConsistencyModel, Dependency, Level, ListAppend, ListOp, RwRegister, Time,
};
use quorate_sim::history::{ReadError, lines, transactions};
use quorate_sim::{History, Instant};

#[path = "transactions/laws.rs"]
mod laws;

use laws::{check_lists, check_registers, expect, lists, registers};

#[test]
fn a_judge_keeps_its_promises() {
    for (name, law) in laws::LAWS {
        assert_eq!(law(), Ok(()), "{name}");
    }
}

#[test]
fn each_cycle_of_lists_has_its_name() {
    for (text, names) in [
        ("ax1ay1 | ax2ay2 | rx12ry21", "G0"),
        ("ax1ry1 | ax2ay1 | rx12ry1", "G1c"),
        ("ax1ay1 | ax2ry- | rx12", "G-single"),
        ("ax1 | ay1 | rx1ry- | rx-ry1", "G-nonadjacent"),
        ("ax1ry- | ay1rx-", "G2-item"),
        ("3: ax1 ; 3: ax2 ; rx21", "G0-process"),
        ("3: rx1 ; 3: ax1", "G1c-process"),
        ("3: ax1 ; 3: rx-", "G-single-process"),
        ("ax1 ; ax2 ; rx21", "G0-realtime"),
        ("rx1 ; ax1", "G1c-realtime"),
        ("ax1 ; rx-", "G-single-realtime"),
    ] {
        assert_eq!(expect(&check_lists(text), names), Ok(()), "{text}");
    }
}

#[test]
fn each_scan_of_lists_has_its_name() {
    for (text, names) in [
        ("!ax1 | rx1", "G1a"),
        ("ax1ax2 | rx1", "G1b"),
        ("!ax1 | ax2 | rx12", "G1a dirty-update"),
        ("ax1 | ax2 | rx1 | rx2", "incompatible-order"),
        ("ax1ax2 | rx21", "incompatible-order G1b"),
        ("ax1 | rx11", "duplicate-elements"),
        ("rx1", "garbage-read"),
        ("ax1rx-", "internal"),
        ("ax1 | ax2 | rx1rx12", "G-single internal"),
        ("rx1ax1", "future-read"),
        ("rx-ax1 | rx-ax2", "lost-update G2-item"),
    ] {
        let mut found: Vec<String> =
            check_lists(text).anomalies().iter().map(|it| it.kind.to_string()).collect();
        let mut names: Vec<&str> = names.split(' ').collect();
        found.sort_unstable();
        names.sort_unstable();
        assert_eq!(found, names, "{text}: {:#}", check_lists(text));
    }
}

#[test]
fn each_anomaly_of_registers_has_its_name() {
    for (text, names) in [
        ("rx1wx2ry4wy3 | wx1wy4 | rx2ry3wx5 | rx5", "valid"),
        ("wx1ry1 | wy1rx1", "G1c"),
        ("wx1wy1 | rx1ry-", "G-single"),
        ("wx1 | wy1 | rx1ry- | rx-ry1", "G-nonadjacent"),
        ("wx1ry- | wy1rx-", "G2-item"),
        ("3: rx1 ; 3: wx1", "G1c-process"),
        ("3: wx1 ; 3: rx-", "G-single-process"),
        ("wx1 ; rx-", "G-single-realtime"),
        ("!wx1 | rx1", "G1a"),
        ("wx1wx2 | rx1", "G1b"),
        ("rx1", "garbage-read"),
        ("wx1rx-", "internal"),
        ("rx1wx1", "future-read"),
        ("rx-wx1 | rx-wx2", "lost-update G2-item"),
        // Nobody can tell which of the two was first.
        ("wx1 ; wx2 ; rx1", "valid"),
    ] {
        assert_eq!(expect(&check_registers(text), names), Ok(()), "{text}");
    }
}

#[test]
fn a_register_that_is_linearizable_tells_more() {
    let check =
        |text| RwRegister::with_linearizable_keys().check(&registers(text)).expect("written once");
    for (text, names) in [
        ("wx1 ; wx2 ; rx1", "G-single-realtime"),
        ("wx1 ; wx2wy1 | ry1rx1", "G-single"),
        ("wx1 ; wx2 ; rx1wx3", "G-single"),
        ("wx1 ; rx1wx2 ; rx2wx3 ; rx3", "valid"),
        ("wx1 | wx2 ; rx1 | rx2", "valid"),
    ] {
        assert_eq!(expect(&check(text), names), Ok(()), "{text}");
    }
}

#[test]
fn what_is_serializable_is_valid() {
    for text in [
        "ax1 ; ax2 ; rx12 ; ax3ry- ; ay1rx123",
        "ax1ax2 | rx12ax3 | rx123",
        "rx-ax1rx1ax2rx12",
        "ax1 | ax2 | ax3 | rx-",
        "?ax1ay1 ; rx- | ry- ; rx1ry1",
        "ax1 | ax2 ; rx21",
    ] {
        assert_eq!(expect(&check_lists(text), "valid"), Ok(()), "{text}");
    }
}

#[test]
fn a_verdict_names_the_weakest_models_that_are_out() {
    let names = |text: &str| {
        let verdict = check_lists(text);
        let join = |models: Vec<ConsistencyModel>| {
            models.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        (join(verdict.weakest_excluded()), join(verdict.strongest_possible()))
    };
    let (out, possible) = names("ax1ry- | ay1rx-");
    assert_eq!((&*out, &*possible), ("repeatable-read", "strong-snapshot"));
    let (out, possible) = names("ax1 ; rx-");
    assert_eq!(out, "strong-consistent-view");
    assert_eq!(possible, "strong-session-serializable strong-read-committed");
    let (out, possible) = names("ax1ay1 | ax2ay2 | rx12ry21");
    assert_eq!((&*out, &*possible), ("read-uncommitted", ""));
    let (out, possible) = names("ax1 ; rx1");
    assert_eq!((&*out, &*possible), ("", "strict-serializable"));
}

#[test]
fn stronger_models_exclude_more() {
    let kinds = [
        AnomalyKind::G0(Time::Any),
        AnomalyKind::G1a,
        AnomalyKind::G1c(Time::Session),
        AnomalyKind::GSingle(Time::RealTime),
        AnomalyKind::GNonadjacent(Time::Any),
        AnomalyKind::G2Item(Time::Any),
        AnomalyKind::LostUpdate,
    ];
    for model in ConsistencyModel::all() {
        assert_eq!(model.to_string().parse(), Ok(model));
        assert!(ConsistencyModel::STRICT_SERIALIZABLE.is_at_least(model));
        for other in ConsistencyModel::all().filter(|it| it.is_at_least(model)) {
            for kind in kinds.iter().filter(|it| it.is_excluded_by(model)) {
                assert!(kind.is_excluded_by(other), "{kind}: {model}, {other}");
            }
        }
    }
    let repeatable = ConsistencyModel::new(Level::RepeatableRead, Time::Any);
    assert!(!repeatable.is_at_least(ConsistencyModel::SNAPSHOT));
    assert!("strictly".parse::<ConsistencyModel>().is_err());
}

#[test]
fn a_cycle_is_explained_in_words() {
    let verdict = check_lists("ax1ry1 | ax2ay1 | rx12ry1");
    let text = verdict.to_string_alternate();
    assert_eq!(
        text,
        "G1c: T1 appended 1 to y, which T0 read; T0 appended 1 to x, T1 appended 2 after it
  T1 (process 11): append x 2, append y 1
  T0 (process 10): append x 1, read y -> [1]
not read-committed
at most strong-read-uncommitted
"
    );
    let steps: Vec<Dependency> =
        verdict.anomalies()[0].cycle.iter().map(|step| step.dependency).collect();
    assert_eq!(steps, [Dependency::Read, Dependency::Write]);
}

trait Alternate {
    fn to_string_alternate(&self) -> String;
}

impl<T: std::fmt::Display> Alternate for T {
    fn to_string_alternate(&self) -> String {
        format!("{self:#}")
    }
}

#[test]
fn equal_stamps_are_concurrent() {
    let at = Instant::from_nanos;
    for (read_at, names) in [(2, "valid"), (3, "G-single-realtime")] {
        let mut history = History::new();
        let (writer, reader) = (history.start(), history.start());
        let append = ListOp::Append { key: "x".into(), element: 1 };
        let call = history.invoke(writer, at(1), vec![append]);
        _ = history.ok(call, at(2), Vec::new());
        let call = history.invoke(reader, at(read_at), vec![ListOp::Read { key: "x".into() }]);
        _ = history.ok(call, at(4), vec![Vec::new()]);
        let verdict = ListAppend.check(&history).expect("appended once");
        assert_eq!(verdict.to_string(), names, "{read_at}");
    }
}

#[test]
fn what_was_written_twice_cannot_be_judged() {
    let error = ListAppend.check(&lists("ax1 | ax2 | ax1")).expect_err("it is there twice");
    assert_eq!((error.first, error.second, error.value), (0, 2, 1));
    assert!(RwRegister::default().check(&registers("wx1wx1")).is_err());
    assert!(ListAppend.check(&lists("ax1 | ay1")).is_ok());
}

/// T0 before T1 before .. before T0, each by another list.
fn ring(count: i64) -> quorate_sim::check::transactions::ListHistory {
    let at = Instant::from_nanos;
    let mut history = History::new();
    for number in 0..count {
        let (this, next) = (number, (number + 1) % count);
        let append = |key: i64, element| ListOp::Append { key: key.into(), element };
        let ops = vec![append(this, 2), append(next, 1), ListOp::Read { key: this.into() }];
        let process = history.start();
        let call = history.invoke(process, at(1), ops);
        _ = history.ok(call, at(2), vec![vec![1, 2]]);
    }
    history
}

#[test]
fn a_component_of_100_000_needs_no_deep_stack() {
    let verdict = ListAppend.check(&ring(100_000)).expect("appended once");
    assert_eq!(verdict.to_string(), "G0");
    let anomaly = &verdict.anomalies()[0];
    assert_eq!(anomaly.cycle.len(), 100_000);
    assert!(anomaly.to_string().len() < 4_000, "the rest is left out");
}

#[test]
fn a_line_that_is_none_is_named_with_what_was_expected() {
    let read = |text: &str| transactions::read(&ListAppend, text.as_bytes());
    let error = |text: &str| read(text).expect_err("it is no history").to_string();
    let call = r#"{"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]]}"#;
    let with = |more: &str| error(&format!("{call}\n\n{more}"));
    assert!(with(r#"{"process":0,"type":"ok","value":[["append","x",1]]}"#).starts_with(
        "line 3: expected the operations of the call, with what each read found, found [[\"append"
    ));
    assert!(
        with(r#"{"process":0,"type":"ok","value":[["append","x",1],["r","y",["a"]]]}"#)
            .starts_with("line 3: expected a list of [\"append\", key, number] and")
    );
    assert!(with(r#"{"process":1,"type":"ok","value":[]}"#).contains("call of process 1"));
    assert!(with(r#"{"process":0,"type":"ok","time":1}"#).contains("in every line or in none"));
    assert!(error(r#"{"process":0,"type":"invoke"}"#).contains("found txn null"));
    assert!(matches!(read("{}"), Err(ReadError::Json { line: 1, .. })));
}

#[test]
fn what_is_written_is_read_again() {
    let history = lists("3: ax1ry- ; 3: rx1 | 4: ay2 ; !ax3 | ?ax4 | rx1ry2");
    let mut text = Vec::new();
    lines::write(&ListAppend, &history, &mut text).expect("memory does not fail");
    let read = transactions::read(&ListAppend, &*text).expect("what we write is sound");
    assert_eq!(read.spans(), history.spans());
    let history = registers("3: wx1ry- ; 3: rx1 | 4: wy2 ; !wx3 | ?wx4 | rx1ry2");
    let mut text = Vec::new();
    lines::write(&RwRegister::default(), &history, &mut text).expect("memory does not fail");
    let read = transactions::read(&RwRegister::default(), &*text).expect("it is sound");
    assert_eq!(read.spans(), history.spans());
}
