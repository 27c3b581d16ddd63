//! What a judge of transactions promises, each as a function that says how it does not.

use quorate_sim::check::transactions::{
    ListAppend, ListHistory, ListOp, RegisterHistory, RwOp, RwRegister, Verdict,
};
use quorate_sim::{History, Instant};

pub(crate) type Law = fn() -> Result<(), String>;

pub(crate) const LAWS: &[(&str, Law)] = &[
    ("what_nobody_knows_may_have_happened", what_nobody_knows_may_have_happened),
    ("what_was_not_seen_comes_later", what_was_not_seen_comes_later),
    ("reads_of_a_list_fit_one_order", reads_of_a_list_fit_one_order),
];

/// Transactions in short: `ax1` appends 1 to x, `rx12` reads `[1,2]`, `rx-` reads nothing; `|`
/// between those at the same time, `;` between those of which the first is over before. `!` says
/// that it failed, `?` that nobody knows; `3:` says which process it is of, else each has its own.
pub(crate) struct Short<'a> {
    process: Option<u64>,
    end: Option<char>,
    phase: u64,
    ops: Vec<(char, &'a str, &'a str)>,
}

pub(crate) fn short(text: &str) -> Vec<Short<'_>> {
    let mut all = Vec::new();
    for (phase, part) in (0..).zip(text.split(';')) {
        for mut part in part.split('|').map(str::trim) {
            let mut process = None;
            if let Some((number, rest)) = part.split_once(':') {
                (process, part) = (number.parse().ok(), rest.trim());
            }
            let end = part.chars().next().filter(|it| matches!(it, '!' | '?'));
            let mut rest = part.trim_start_matches(['!', '?']);
            let mut ops = Vec::new();
            while let Some(f) = rest.chars().next() {
                let digits = &rest[2..];
                let end = digits.find(|it: char| it.is_alphabetic()).unwrap_or(digits.len());
                ops.push((f, &rest[1..2], &digits[..end]));
                rest = &digits[end..];
            }
            all.push(Short { process, end, phase, ops });
        }
    }
    all
}

/// Records transactions: those of a phase call at one stamp and return at the next.
fn record<O, R>(text: &str, make: impl Fn(&Short<'_>) -> (O, R)) -> History<O, R> {
    let all = short(text);
    let mut history = History::new();
    let mut idle: Vec<_> = (0..10).map(|_| Some(history.start())).collect();
    for phase in 0..=all.last().map_or(0, |it| it.phase) {
        let at = |more| Instant::from_nanos(10 * phase + more);
        let mut open = Vec::new();
        for it in all.iter().filter(|it| it.phase == phase) {
            let slot = it.process.map(|number| usize::try_from(number).expect("it is small"));
            let named = slot.and_then(|slot| idle[slot].take());
            let process = named.unwrap_or_else(|| history.start());
            let (operation, returned) = make(it);
            open.push((slot, it.end, history.invoke(process, at(1), operation), returned));
        }
        for (slot, end, call, returned) in open {
            let process = match end {
                Some('!') => history.fail(call, at(2)),
                Some(_) => {
                    history.info(call, at(2));
                    continue;
                }
                None => history.ok(call, at(2), returned),
            };
            if let Some(slot) = slot {
                idle[slot] = Some(process);
            }
        }
    }
    history
}

fn digits(text: &str) -> Vec<i64> {
    text.chars().filter_map(|it| it.to_digit(10)).map(i64::from).collect()
}

pub(crate) fn lists(text: &str) -> ListHistory {
    record(text, |short| {
        let op = |(f, key, digits): &(char, &str, &str)| match f {
            'a' => ListOp::Append { key: (*key).into(), element: digits.parse().expect("one") },
            _ => ListOp::Read { key: (*key).into() },
        };
        let reads = short.ops.iter().filter(|(f, ..)| *f == 'r');
        (short.ops.iter().map(op).collect(), reads.map(|(_, _, it)| digits(it)).collect())
    })
}

pub(crate) fn registers(text: &str) -> RegisterHistory {
    record(text, |short| {
        let op = |(f, key, digits): &(char, &str, &str)| match f {
            'w' => RwOp::Write { key: (*key).into(), value: digits.parse().expect("one") },
            _ => RwOp::Read { key: (*key).into() },
        };
        let reads = short.ops.iter().filter(|(f, ..)| *f == 'r');
        (short.ops.iter().map(op).collect(), reads.map(|(_, _, it)| it.parse().ok()).collect())
    })
}

pub(crate) fn check_lists(text: &str) -> Verdict {
    ListAppend.check(&lists(text)).expect("each is appended once")
}

pub(crate) fn check_registers(text: &str) -> Verdict {
    RwRegister::default().check(&registers(text)).expect("each is written once")
}

/// Says whether the anomalies are those, separated by spaces.
pub(crate) fn expect(verdict: &Verdict, names: &str) -> Result<(), String> {
    if verdict.to_string() == names { Ok(()) } else { Err(format!("not {names}: {verdict:#}")) }
}

/// What was read happened, also if its client heard nothing; what failed must not be read.
pub(crate) fn what_nobody_knows_may_have_happened() -> Result<(), String> {
    expect(&check_lists("?ax1 | rx1"), "valid")?;
    expect(&check_lists("?ax1 ; rx-"), "valid")?;
    expect(&check_lists("?ax1 ; rx1 ; rx-"), "G-single-realtime")?;
    expect(&check_lists("!ax1 | rx1"), "G1a")?;
    expect(&check_registers("?wx1 | rx1"), "valid")?;
    expect(&check_registers("!wx1 | rx1"), "G1a")
}

pub(crate) fn what_was_not_seen_comes_later() -> Result<(), String> {
    expect(&check_lists("ax1ry- | ay1rx-"), "G2-item")?;
    expect(&check_registers("wx1ry- | wy1rx-"), "G2-item")
}

pub(crate) fn reads_of_a_list_fit_one_order() -> Result<(), String> {
    expect(&check_lists("ax1 | ax2 | rx12 | rx2"), "incompatible-order")?;
    expect(&check_lists("ax1 | ax2 | rx12 | rx1"), "valid")
}
