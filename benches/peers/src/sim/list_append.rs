//! A history of lists, as a serializable store would have made it. No Rust crate here judges one.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use quorate_sim::check::transactions::{ListAppend, ListHistory, ListOp};
use quorate_sim::{History, mix};

use super::median;
use crate::report::Row;

/// Returns microseconds for each transaction.
pub(super) fn row(rounds: usize) -> Row {
    let history = store();
    let times = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let verdict = black_box(ListAppend.check(&history)).expect("appended once");
            let elapsed = start.elapsed().as_secs_f64() * 1e6 / TRANSACTIONS as f64;
            assert_eq!(verdict.to_string(), "valid");
            elapsed
        })
        .collect();
    Row {
        family: "sim",
        row: "list_append: 100,000 transactions of 5".into(),
        peer: "none",
        version: "",
        unit: "us/transaction",
        ours: median(times),
        peer_value: f64::NAN,
        target: None,
        note: "10 keys open, 100 appends each; parse outside".into(),
    }
}

/// Ten clients, whose transactions overlap and happen one after the other.
fn store() -> ListHistory {
    let at = quorate_sim::Instant::from_nanos;
    let mut history = History::new();
    let mut lists: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut open: Vec<i64> = (0..10).collect();
    let mut next_key = 10;
    let mut pending = Vec::new();
    for number in 0..TRANSACTIONS {
        if pending.len() == CLIENTS {
            let (call, returned) = pending.remove(0);
            _ = history.ok(call, at(2 * number), returned);
        }
        let (mut operation, mut returned) = (Vec::new(), Vec::new());
        for place in 0..5 {
            let draw = mix(1, 0, 5 * number + place);
            let slot = (draw % 10) as usize;
            let key = open[slot];
            let list = lists.entry(key).or_default();
            if draw >> 32 & 1 == 0 {
                operation.push(ListOp::Read { key: key.into() });
                returned.push(list.clone());
                continue;
            }
            let element = list.len() as i64 + 1;
            list.push(element);
            operation.push(ListOp::Append { key: key.into(), element });
            if element == APPENDS {
                open[slot] = next_key;
                next_key += 1;
            }
        }
        let process = history.start();
        pending.push((history.invoke(process, at(2 * number + 1), operation), returned));
    }
    for (call, returned) in pending {
        _ = history.ok(call, at(2 * TRANSACTIONS), returned);
    }
    history
}

const TRANSACTIONS: u64 = 100_000;
const CLIENTS: usize = 10;
/// After so many a list is left, and another one opened.
const APPENDS: i64 = 100;
