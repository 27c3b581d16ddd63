//! Histories of others, whose verdicts are known. They are read from the folder that
//! `QUORATE_VECTORS` names, and are no part of this repository; without them nothing is tested.

use std::env;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use quorate_sim::History;
use quorate_sim::check::models::{Kv, KvOp, KvReturn, Register};
use quorate_sim::check::{At, Each, Linearizable, Verdict, Whole};
use quorate_sim::history::{Outcome, Value, jepsen, kv};
use quorate_sim::mix;

/// Returns the folder `name` of the vectors, if it is there.
#[expect(clippy::print_stdout, reason = "who runs it should know what was left out")]
fn folder(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let vectors = env::var_os("QUORATE_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let folder = root.join(vectors).join(name);
    if !folder.is_dir() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

fn open(path: &Path) -> BufReader<File> {
    BufReader::new(File::open(path).unwrap_or_else(|why| panic!("{}: {why}", path.display())))
}

#[test]
fn jepsen_logs_of_etcd_have_the_known_verdicts() {
    let Some(folder) = folder("jepsen") else { return };
    for number in 0..50 {
        let path = folder.join(format!("etcd_{number:03}.log"));
        let history = jepsen::read(&Each(Register), open(&path)).expect("a sound log");
        let verdict = Linearizable::by_key(Each(Register)).check(&history);
        let expected = LINEARIZABLE.contains(&number);
        assert!(!matches!(verdict, Verdict::Unknown { .. }), "{number}: {verdict}");
        assert_eq!(verdict.is_linearizable(), expected, "{number}: {verdict:#}");
    }
}

fn read_kv(folder: &Path, name: &str) -> History<At<KvOp>, KvReturn> {
    kv::read(&Each(Kv), open(&folder.join(name))).expect("a sound log")
}

#[test]
fn key_value_logs_have_the_verdict_of_their_names() {
    let Some(folder) = folder("kv") else { return };
    for clients in ["c01", "c10", "c50"] {
        for expected in ["ok", "bad"] {
            let history = read_kv(&folder, &format!("{clients}-{expected}.txt"));
            let verdict = Linearizable::by_key(Each(Kv)).check(&history);
            let found = if verdict.is_linearizable() { "ok" } else { "bad" };
            assert!(!matches!(verdict, Verdict::Unknown { .. }), "{clients}: {verdict}");
            assert_eq!(found, expected, "{clients}: {verdict:#}");
        }
    }
}

#[test]
fn no_order_of_the_keys_hides_a_violation() {
    let Some(folder) = folder("kv") else { return };
    let history = read_kv(&folder, "c50-bad.txt");
    for seed in 0..100 {
        let shuffled = renamed(&history, |key| {
            let Value::Text(text) = key else { panic!("{key} is a text") };
            let number = text.bytes().fold(0, |sum, byte| sum * 256 + u64::from(byte));
            format!("{:016x}", mix(seed, 0, number))
        });
        let verdict = Linearizable::by_key(Each(Kv)).max_steps(2_000_000).check(&shuffled);
        assert!(verdict.is_violation(), "seed {seed}: {verdict}");
    }
}

/// Returns the history with other keys.
fn renamed(
    history: &History<At<KvOp>, KvReturn>,
    name: impl Fn(&Value) -> String,
) -> History<At<KvOp>, KvReturn> {
    let mut renamed = History::new();
    let (mut idle, mut open) = (Vec::new(), Vec::new());
    for event in history.events() {
        let span = event.span;
        if !event.is_return {
            let process = idle.pop().unwrap_or_else(|| renamed.start());
            let at = At::new(&*name(&span.operation.key), span.operation.operation.clone());
            open.push((event.index, renamed.invoke(process, event.at, at)));
            continue;
        }
        let place = open.iter().position(|(index, _)| *index == event.index).expect("it is open");
        let (_, call) = open.swap_remove(place);
        let Outcome::Ok { at, returned } = &span.outcome else { panic!("all is ok in these") };
        idle.push(renamed.ok(call, *at, returned.clone()));
    }
    renamed
}

#[test]
fn a_history_that_is_not_split_ends_within_the_budget() {
    let Some(folder) = folder("kv") else { return };
    for name in ["c10-ok.txt", "c50-ok.txt", "c50-bad.txt"] {
        let history = read_kv(&folder, name);
        let checker = Linearizable::whole(Whole(Each(Kv))).max_steps(200_000).max_bytes(64 << 20);
        let verdict = checker.check(&history);
        println!("{name}: {verdict}");
        assert!(!verdict.is_violation() || name.contains("bad"), "{name}: {verdict:#}");
        assert!(!verdict.is_linearizable() || name.contains("ok"), "{name}");
    }
}

/// Of the logs 0 to 49.
const LINEARIZABLE: [u32; 10] = [2, 5, 7, 18, 25, 31, 38, 45, 48, 49];
