//! A file of any bytes as transactions, or for one of the other judges: it is a history or is
//! refused, what is a history is written and read again as it was, and a judge ends.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use quorate_sim::check::counter::Counters;
use quorate_sim::check::log::Logs;
use quorate_sim::check::models::{Counter, Set};
use quorate_sim::check::session::Sessions;
use quorate_sim::check::set::Sets;
use quorate_sim::check::transactions::{ListAppend, RwRegister};
use quorate_sim::check::{converge, watch};
use quorate_sim::history::{lines, transactions};

fuzz_target!(|input: (u8, &[u8])| {
    let (judge, bytes) = input;
    macro_rules! check {
        ($read:expr, $vocabulary:expr, $check:expr) => {
            if let Ok(history) = $read(&$vocabulary, bytes) {
                let mut text = Vec::new();
                lines::write(&$vocabulary, &history, &mut text).unwrap();
                let again = $read(&$vocabulary, &*text).expect("what we write is sound");
                assert_eq!(again.spans().len(), history.spans().len());
                let _: String = $check(&history);
            }
        };
    }
    match judge % 9 {
        0 => check!(transactions::read, ListAppend, |it| format!("{:#?}", ListAppend.check(it))),
        1 => {
            let judge = RwRegister::default();
            check!(transactions::read, judge, |it| format!("{:#?}", judge.check(it)));
        }
        2 => {
            let judge = RwRegister::with_linearizable_keys();
            check!(transactions::read, judge, |it| format!("{:#?}", judge.check(it)));
        }
        3 => check!(lines::read, Sessions, |it| format!("{:#}", Sessions.check(it))),
        4 => {
            let logs = Logs::default();
            check!(lines::read, logs, |it| format!("{:#?}", logs.check(it)));
        }
        5 => check!(lines::read, Set, |it| format!("{:#}", Sets::linearizable().check(it))),
        6 => check!(lines::read, Counter, |it| format!("{:#}", Counters.check(it))),
        7 => {
            if let Ok((changes, watches)) = watch::read(bytes) {
                let _ = format!("{:#}", watch::check(&changes, &watches));
            }
        }
        _ => {
            if let Ok(copies) = converge::read(bytes) {
                let _ = copies.check(Duration::from_secs(1)).to_string();
            }
        }
    }
});
