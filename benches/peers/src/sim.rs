//! Checkers of histories: the same histories, parsed before the clock starts.

mod list_append;

use std::env;
use std::fmt::Display;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Instant;

use quorate_sim::History;
use quorate_sim::check::models::{Kv, Register, RegisterOp, RegisterReturn};
use quorate_sim::check::{Each, Keyed, Linearizable, Model, Verdict};
use quorate_sim::history::{jepsen, kv};
use stateright::semantics::register::{
    Register as TheirRegister, RegisterOp as TheirOp, RegisterRet,
};
use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};
use todc_utils::linearizability::WGLChecker;
use todc_utils::specifications::etcd::{EtcdSpecification, history_from_log};

use crate::report::{Found, Row};
use crate::worlds;

/// Runs all rows.
pub fn run(is_quick: bool) -> io::Result<Found> {
    let rounds = if is_quick { 3 } else { 15 };
    let mut rows = worlds::run(is_quick)?;
    match vectors() {
        Some(folder) => {
            rows.push(jepsen_logs(&folder.join("jepsen"), rounds)?);
            for name in ["c10-ok", "c10-bad", "c50-ok", "c50-bad"] {
                rows.push(kv_log(&folder.join("kv"), name, rounds)?);
            }
        }
        None => eprintln!("sim: no QUORATE_VECTORS, so no rows for logs of others"),
    }
    rows.push(small(rounds, "6 operations", [2, 2, 2]));
    rows.push(small(rounds, "6 operations, no order", [2, 2, 3]));
    rows.push(list_append::row(rounds));
    Ok(Found { rows, ..Found::default() })
}

/// Returns the folder of logs that are not ours, if it is there.
fn vectors() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let name = env::var_os("QUORATE_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    Some(root.join(name)).filter(|it| it.is_dir())
}

/// All register logs, one after the other.
fn jepsen_logs(folder: &Path, rounds: usize) -> io::Result<Row> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|it| it == "log"));
    paths.sort();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for path in &paths {
        let input = BufReader::new(fs::File::open(path)?);
        ours.push(jepsen::read(&Each(Register), input).map_err(io::Error::other)?);
        theirs.push(history_from_log(path.to_string_lossy().into_owned()));
    }
    let checker = Linearizable::by_key(Each(Register));
    let expected: Vec<bool> = ours.iter().map(|it| checker.check(it).is_linearizable()).collect();
    let check_ours = || {
        let start = Instant::now();
        for (history, expected) in ours.iter().zip(&expected) {
            assert_eq!(black_box(checker.check(history)).is_linearizable(), *expected);
        }
        start.elapsed().as_secs_f64() * 1e3
    };
    let check_theirs = || {
        // It takes a history away: the copies are made before the clock starts.
        let copies = theirs.clone();
        let start = Instant::now();
        for (history, expected) in copies.into_iter().zip(&expected) {
            assert_eq!(WGLChecker::<EtcdSpecification>::is_linearizable(history), *expected);
        }
        start.elapsed().as_secs_f64() * 1e3
    };
    let (ours, peer_value) = in_turns(rounds, check_ours, check_theirs);
    Ok(Row {
        family: "sim",
        row: format!("linearizable: {} jepsen logs", paths.len()),
        peer: "todc-utils",
        version: "0.1.1",
        unit: "ms/all",
        ours,
        peer_value,
        target: None,
        note: "WGLChecker, clone outside".into(),
    })
}

/// A log of a key-value store, key by key. No Rust crate here splits by key, so there is no peer.
fn kv_log(folder: &Path, name: &str, rounds: usize) -> io::Result<Row> {
    let input = BufReader::new(fs::File::open(folder.join(format!("{name}.txt")))?);
    let history = kv::read(&Each(Kv), input).map_err(io::Error::other)?;
    let is_ok = name.ends_with("ok");
    let ours = (0..rounds).map(|_| check_once(&Each(Kv), &history, is_ok)).collect();
    Ok(Row {
        family: "sim",
        row: format!("linearizable: kv {name}"),
        peer: "none",
        version: "",
        unit: "ms",
        ours: median(ours),
        peer_value: f64::NAN,
        target: None,
        note: format!("{} operations", history.spans().len()),
    })
}

/// Returns how many milliseconds it took.
fn check_once<M>(model: &M, history: &History<M::Operation, M::Return>, is_ok: bool) -> f64
where
    M: Keyed + Copy + Model<Operation: Display, Return: Display>,
{
    let start = Instant::now();
    let verdict = Linearizable::by_key(*model).check(history);
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    assert!(!matches!(verdict, Verdict::Unknown { .. }), "the budget is enough");
    assert_eq!(verdict.is_linearizable(), is_ok);
    elapsed
}

/// Six operations of three clients of a register, recorded and judged: all write at the same time,
/// then all read. Where they read the same there is an order.
fn small(rounds: usize, name: &str, reads: [i64; 3]) -> Row {
    let checker = Linearizable::whole(Register);
    let is_sound = reads.iter().all(|it| *it == reads[0]);
    let ours = || {
        let start = Instant::now();
        for _ in 0..SMALL_COUNT {
            let verdict = checker.check(&record(black_box(reads)));
            assert_eq!(verdict.is_linearizable(), is_sound);
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(SMALL_COUNT)
    };
    let theirs = || {
        let start = Instant::now();
        for _ in 0..SMALL_COUNT {
            assert_eq!(record_theirs(black_box(reads)).is_consistent(), is_sound);
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(SMALL_COUNT)
    };
    let (ours, peer_value) = in_turns(rounds, ours, theirs);
    Row {
        family: "sim",
        row: format!("linearizable: {name}"),
        peer: "stateright",
        version: "0.31.0",
        unit: "us",
        ours,
        peer_value,
        target: None,
        note: "recording included".into(),
    }
}

fn record(reads: [i64; 3]) -> History<RegisterOp, RegisterReturn> {
    let (mut history, at) = (History::new(), quorate_sim::Instant::from_nanos);
    let processes = [history.start(), history.start(), history.start()];
    let mut value = 0;
    let calls = processes.map(|process| {
        value += 1;
        history.invoke(process, at(1), RegisterOp::Write(value.into()))
    });
    let processes = calls.map(|call| history.ok(call, at(2), RegisterReturn::Done));
    let calls = processes.map(|process| history.invoke(process, at(3), RegisterOp::Read));
    for (call, value) in calls.into_iter().zip(reads) {
        _ = history.ok(call, at(4), RegisterReturn::Found(value.into()));
    }
    history
}

fn record_theirs(reads: [i64; 3]) -> LinearizabilityTester<usize, TheirRegister<i64>> {
    let mut tester = LinearizabilityTester::new(TheirRegister(0));
    let sound = "it is well formed";
    for (client, value) in [1, 2, 3].into_iter().enumerate() {
        tester.on_invoke(client, TheirOp::Write(value)).expect(sound);
    }
    for client in 0..3 {
        tester.on_return(client, RegisterRet::WriteOk).expect(sound);
    }
    for client in 0..3 {
        tester.on_invoke(client, TheirOp::Read).expect(sound);
    }
    for (client, value) in reads.into_iter().enumerate() {
        tester.on_return(client, RegisterRet::ReadOk(value)).expect(sound);
    }
    tester
}

/// Measures both in turns and returns the medians.
fn in_turns(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut theirs: impl FnMut() -> f64,
) -> (f64, f64) {
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            our_times.push(ours());
            their_times.push(theirs());
        } else {
            their_times.push(theirs());
            our_times.push(ours());
        }
    }
    (median(our_times), median(their_times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// So many that the clock's own cost is none.
const SMALL_COUNT: u32 = 10_000;
