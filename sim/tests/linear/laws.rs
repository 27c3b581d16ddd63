//! What a checker of linearizability promises, each as a function that says how it does not.

use quorate_sim::check::models::{Register, RegisterOp, RegisterReturn};
use quorate_sim::check::{At, Each, Linearizable, Verdict};
use quorate_sim::history::{Value, lines};
use quorate_sim::{History, Instant};

pub(crate) type Law = fn() -> Result<(), String>;

pub(crate) const LAWS: &[(&str, Law)] = &[
    ("what_may_have_happened_explains_a_read", what_may_have_happened_explains_a_read),
    ("an_unknown_cas_explains_a_read", an_unknown_cas_explains_a_read),
    ("a_write_of_what_is_there_may_come_later", a_write_of_what_is_there_may_come_later),
    ("a_hard_key_hides_no_other", a_hard_key_hides_no_other),
    ("equal_writes_are_tried_once_for_each_set", equal_writes_are_tried_once_for_each_set),
    ("equal_stamps_are_concurrent", equal_stamps_are_concurrent),
    ("equal_hashes_are_no_equal_sets", equal_hashes_are_no_equal_sets),
];

type Registers = History<At<RegisterOp>, RegisterReturn>;

/// Reads a register's history: a line has a process, a type, an operation and a value.
fn register(text: &str) -> Registers {
    let mut json = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or("null");
        let (process, kind, f, value) = (next(), next(), next(), next());
        json += &format!(
            "{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n"
        );
    }
    lines::read(&Each(Register), json.as_bytes()).expect("the laws are well written")
}

fn check(text: &str) -> Verdict {
    Linearizable::by_key(Each(Register)).check(&register(text))
}

fn expect(verdict: &Verdict, is_linearizable: bool) -> Result<(), String> {
    let is_right = match verdict {
        Verdict::Linearizable => is_linearizable,
        Verdict::Violation(_) => !is_linearizable,
        Verdict::Unknown { .. } => false,
    };
    if is_right { Ok(()) } else { Err(format!("{verdict:#}")) }
}

/// A write without an answer may have happened, and a failed one has not.
pub(crate) fn what_may_have_happened_explains_a_read() -> Result<(), String> {
    let history = |end: &str| {
        check(&format!(
            "1 invoke write 5
             1 {end} write 5
             2 invoke read
             2 ok read 5"
        ))
    };
    expect(&history("info"), true)?;
    expect(&history("fail"), false)
}

pub(crate) fn an_unknown_cas_explains_a_read() -> Result<(), String> {
    let verdict = check(
        "1 invoke write 1
         1 ok write 1
         2 invoke cas [1,2]
         2 info cas [1,2]
         1 invoke read
         1 ok read 1
         1 invoke read
         1 ok read 2",
    );
    expect(&verdict, true)
}

/// Process 1 writes 1 where 1 is, but the read needs it after the 2.
pub(crate) fn a_write_of_what_is_there_may_come_later() -> Result<(), String> {
    let verdict = check(
        "3 invoke write 1
         3 ok write 1
         1 invoke write 1
         2 invoke write 2
         2 ok write 2
         3 invoke read
         3 ok read 1
         1 ok write 1",
    );
    expect(&verdict, true)
}

/// Key 0 has so many concurrent writes that no budget is enough; key 1 is wrong at first sight.
pub(crate) fn a_hard_key_hides_no_other() -> Result<(), String> {
    let mut history = hard(24, 0);
    let (at, process) = (Instant::from_nanos, history.start());
    let read = history.invoke(process, at(1), At::new(1, RegisterOp::Read));
    _ = history.ok(read, at(2), RegisterReturn::Found(7.into()));
    let checker = Linearizable::by_key(Each(Register)).max_steps(100_000).max_bytes(32 << 20);
    expect(&checker.check(&history), false)
}

/// Returns concurrent writes of as many values, and among them a read that nothing explains. There
/// are 2^`count` sets of them, each with as many states as it has members.
fn hard(count: i64, key: i64) -> Registers {
    let mut history = History::new();
    let at = Instant::from_nanos;
    let mut calls = Vec::new();
    for number in 0..count {
        let process = history.start();
        let write = At::new(key, RegisterOp::Write(number.into()));
        calls.push(history.invoke(process, at(1), write));
    }
    let process = history.start();
    let read = history.invoke(process, at(1), At::new(key, RegisterOp::Read));
    _ = history.ok(read, at(2), RegisterReturn::Found(Value::from("never written")));
    for call in calls {
        _ = history.ok(call, at(3), RegisterReturn::Done);
    }
    history
}

/// Twelve writes of the same value before a read that nothing explains: 4,096 sets, and as many
/// orders as make 479,001,600.
pub(crate) fn equal_writes_are_tried_once_for_each_set() -> Result<(), String> {
    let mut text = String::new();
    for process in 0..12 {
        text += &format!("{process} invoke write 1\n");
    }
    text += "12 invoke read\n12 ok read 2\n";
    for process in 0..12 {
        text += &format!("{process} ok write 1\n");
    }
    let checker = Linearizable::by_key(Each(Register)).max_steps(100_000);
    expect(&checker.check(&register(&text)), false)
}

/// The read starts at the stamp at which the second write returns.
pub(crate) fn equal_stamps_are_concurrent() -> Result<(), String> {
    let found = |read_at: u64| {
        let mut history = History::new();
        let at = Instant::from_nanos;
        let (writer, reader) = (history.start(), history.start());
        let first = history.invoke(writer, at(1), RegisterOp::Write(1.into()));
        let writer = history.ok(first, at(2), RegisterReturn::Done);
        let second = history.invoke(writer, at(3), RegisterOp::Write(2.into()));
        _ = history.ok(second, at(4), RegisterReturn::Done);
        let read = history.invoke(reader, at(read_at), RegisterOp::Read);
        _ = history.ok(read, at(6), RegisterReturn::Found(1.into()));
        Linearizable::whole(Register).check(&history)
    };
    expect(&found(4), true)?;
    expect(&found(5), false)
}

/// There is one order in which each finds what the last one left, among ten concurrent ones.
pub(crate) fn equal_hashes_are_no_equal_sets() -> Result<(), String> {
    for seed in 0..20 {
        let mut history = History::new();
        let at = Instant::from_nanos;
        let mut calls = Vec::new();
        for number in 0..10 {
            let process = history.start();
            let operation = match (number + seed) % 10 {
                0 => RegisterOp::Write(0.into()),
                it => RegisterOp::Cas { old: ((it - 1) / 2).into(), new: (it / 2).into() },
            };
            calls.push(history.invoke(process, at(1), operation));
        }
        for call in calls {
            _ = history.ok(call, at(2), RegisterReturn::Done);
        }
        expect(&Linearizable::whole(Register).check(&history), true)?;
    }
    expect(&Linearizable::by_key(Each(Register)).check(&hard(12, 0)), false)
}
