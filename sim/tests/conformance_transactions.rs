//! Schedules of others, whose reads are known for each isolation: what a snapshot store or a
//! serializable one shows is judged to be that. They are read from the folder that
//! `QUORATE_VECTORS` names, and are no part of this repository; without them nothing is tested.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;

use quorate_sim::check::transactions::{
    ConsistencyModel, RegisterHistory, RwOp, RwRegister, Verdict,
};
use quorate_sim::{History, Instant};
use serde_json::Value;

/// Returns the schedules by name, if they are there.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn schedules() -> Option<BTreeMap<String, Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let vectors = env::var_os("QUORATE_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let path = root.join(vectors).join("transactions.json");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return None;
    };
    let mut all: Value = serde_json::from_str(&text).expect("it is JSON");
    serde_json::from_value(all["isolation"].take()).expect("schedules by name")
}

/// A transaction that went on to commit.
#[derive(Default)]
struct Done {
    begin: u64,
    end: u64,
    ops: Vec<RwOp>,
    found: Vec<Option<i64>>,
}

fn number(text: &str) -> i64 {
    text.trim().parse().expect("a number")
}

/// Returns what clients saw if these transactions were refused. Rows are there before.
fn history(schedule: &str, reads: &[&str], refused: &[&str]) -> RegisterHistory {
    let mut done: BTreeMap<&str, Done> = BTreeMap::new();
    let mut reads = reads.iter();
    for (place, step) in (10..).zip(schedule.split(';')) {
        let words: Vec<&str> = step.split_whitespace().collect();
        let (who, verb) = (words[0], words[1]);
        let it = done.entry(who).or_default();
        match verb {
            "begin" => it.begin = place,
            "commit" if !refused.contains(&who) => it.end = place,
            "put" if !refused.contains(&who) => {
                let (key, value) = words[2].split_once('=').expect("a row");
                it.ops.push(RwOp::Write { key: number(key).into(), value: number(value) });
            }
            "get" | "scan" if !refused.contains(&who) => {
                let read = reads.next().expect("each read is listed");
                let (asked, found) = read.split_once("->").expect("a read");
                assert_eq!(asked.split_whitespace().collect::<Vec<_>>(), words, "{read}");
                let found = found.replace(" = ", "=");
                let rows: BTreeMap<i64, i64> = found
                    .split_whitespace()
                    .filter_map(|row| row.split_once('='))
                    .map(|(key, value)| (number(key), number(value)))
                    .collect();
                let asked: Vec<i64> =
                    if verb == "get" { vec![number(words[2])] } else { vec![1, 2, 3] };
                for key in asked {
                    it.ops.push(RwOp::Read { key: key.into() });
                    it.found.push(rows.get(&key).copied());
                }
            }
            _ => {}
        }
    }
    let at = Instant::from_nanos;
    let mut history = History::new();
    let first = [(1, 10), (2, 20)].map(|(key, value)| RwOp::Write { key: key.into(), value });
    let process = history.start();
    let call = history.invoke(process, at(1), first.to_vec());
    _ = history.ok(call, at(2), Vec::new());
    for it in done.into_values().filter(|it| it.end != 0) {
        let process = history.start();
        let call = history.invoke(process, at(it.begin), it.ops);
        _ = history.ok(call, at(it.end), it.found);
    }
    history
}

/// Judges the schedule for each choice of who was refused, where the reads fit it.
fn verdicts(schedule: &str, shown: &Value) -> Vec<Verdict> {
    let strings = |value: &Value| -> Vec<String> {
        serde_json::from_value(value.clone()).expect("a list of texts")
    };
    let (reads, asked) = (strings(&shown["reads"]), strings(&shown["asked_to_commit"]));
    let choices: Vec<Vec<&str>> = match shown["refused"].as_u64() {
        Some(0) => vec![Vec::new()],
        Some(1) => asked.iter().map(|it| vec![&**it]).collect(),
        other => panic!("{other:?} are refused"),
    };
    let judge = |refused: &Vec<&str>| {
        // The reads of the one that is refused do not count, and may be listed all the same.
        let counts = |read: &&str| !refused.contains(&read.split(' ').next().unwrap_or_default());
        let reads: Vec<&str> = reads.iter().map(|it| &**it).filter(counts).collect();
        let history = history(schedule, &reads, refused);
        RwRegister::default().check(&history).expect("each is written once")
    };
    choices.iter().map(judge).collect()
}

#[test]
fn what_a_store_may_show_is_judged_to_be_so() {
    for (name, it) in schedules().unwrap_or_default() {
        let schedule = it["schedule"].as_str().expect("a text");
        for kind in ["both", "serializable"] {
            if it[kind].is_object() {
                let verdicts = verdicts(schedule, &it[kind]);
                let is_fine = |it: &Verdict| it.permits(ConsistencyModel::SERIALIZABLE);
                assert!(verdicts.iter().any(is_fine), "{name}: {verdicts:#?}");
            }
        }
        if it["snapshot"].is_object() {
            for verdict in verdicts(schedule, &it["snapshot"]) {
                assert!(verdict.permits(ConsistencyModel::SNAPSHOT), "{name}: {verdict:#}");
                assert_eq!(verdict.to_string(), "G2-item", "{name}: {verdict:#}");
            }
        }
    }
}
