//! A file of any bytes in each of the formats: it is a history or is refused, what is a history is
//! written and read again as it was, and the checker judges it within its budget.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_sim::check::models::{Kv, Lock, Queue, Register, Set, Versioned};
use quorate_sim::check::{Each, Linearizable};
use quorate_sim::history::{edn, jepsen, kv, lines, load};

fuzz_target!(|input: (u8, &[u8])| {
    let (format, bytes) = input;
    macro_rules! check {
        ($model:expr) => {
            let history = match format % 4 {
                0 => lines::read(&Each($model), bytes),
                1 => jepsen::read(&Each($model), bytes),
                2 => kv::read(&Each($model), bytes),
                _ => load::read(&Each($model), bytes),
            };
            if let Ok(history) = history {
                let mut text = Vec::new();
                lines::write(&Each($model), &history, &mut text).unwrap();
                let again = lines::read(&Each($model), &*text).expect("what we write is sound");
                assert_eq!(again.spans().len(), history.spans().len());
                edn::write(&Each($model), &history, std::io::sink()).unwrap();
                let checker = Linearizable::by_key(Each($model)).max_bytes(1 << 20);
                let verdict = checker.max_steps(10_000).check(&history);
                assert!(format!("{verdict:#}").len() < 1 << 20);
            }
        };
    }
    match format / 4 % 6 {
        0 => {
            check!(Register);
        }
        1 => {
            check!(Kv);
        }
        2 => {
            check!(Lock);
        }
        3 => {
            check!(Queue);
        }
        4 => {
            check!(Set);
        }
        _ => {
            check!(Versioned);
        }
    }
});
