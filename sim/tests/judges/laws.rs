//! What the judges of sessions, logs, watches, sets, counters and copies promise, each as a
//! function that says how it does not.

use std::fmt::Display;
use std::time::Duration;

use quorate_sim::History;
use quorate_sim::check::counter::{CounterVerdict, Counters};
use quorate_sim::check::log::Logs;
use quorate_sim::check::models::{Counter, Set};
use quorate_sim::check::session::Sessions;
use quorate_sim::check::set::Sets;
use quorate_sim::check::{converge, watch};
use quorate_sim::history::{Vocabulary, lines};

type Law = fn() -> Result<(), String>;

pub(crate) const LAWS: &[(&str, Law)] = &[
    ("what_nobody_knows_may_be_counted", what_nobody_knows_may_be_counted),
    ("who_sees_a_write_sees_what_was_before_it", who_sees_a_write_sees_what_was_before_it),
    ("what_was_acknowledged_is_there_in_the_end", what_was_acknowledged_is_there_in_the_end),
    ("a_poll_leaves_nothing_out", a_poll_leaves_nothing_out),
    ("events_come_in_the_order_of_revisions", events_come_in_the_order_of_revisions),
    ("a_copy_that_says_nothing_does_not_agree", a_copy_that_says_nothing_does_not_agree),
];

/// Reads a history: a line has a process, a type, an operation, a key or `.`, and a value.
pub(crate) fn history<V: Vocabulary>(
    vocabulary: &V,
    text: &str,
) -> History<V::Operation, V::Return> {
    let mut json = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(5, ' ');
        let mut next = || words.next().unwrap_or("null");
        let (process, kind, f, key, value) = (next(), next(), next(), next(), next());
        let key = if key == "." { "null".to_owned() } else { format!("\"{key}\"") };
        json += &format!(
            "{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"key\":{key},\
             \"value\":{value}}}\n"
        );
    }
    lines::read(vocabulary, json.as_bytes()).expect("the laws are well written")
}

/// The same for operations one after the other: a line has a process, an operation, a key or `.`,
/// what it is called with or `.`, and what it returned.
pub(crate) fn in_turn<V: Vocabulary>(
    vocabulary: &V,
    text: &str,
) -> History<V::Operation, V::Return> {
    let mut both = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        let [process, f, key, called, returned] = words[..] else { panic!("{line}: five words") };
        let called = if called == "." { "null" } else { called };
        both += &format!("{process} invoke {f} {key} {called}\n");
        both += &format!("{process} ok {f} {key} {returned}\n");
    }
    history(vocabulary, &both)
}

pub(crate) fn expect(verdict: &impl Display, names: &str) -> Result<(), String> {
    if verdict.to_string() == names { Ok(()) } else { Err(format!("not {names}: {verdict:#}")) }
}

pub(crate) fn counter(text: &str) -> CounterVerdict {
    Counters.check(&history(&Counter, text))
}

/// An addition without an answer may have happened; one that failed has not.
pub(crate) fn what_nobody_knows_may_be_counted() -> Result<(), String> {
    let with = |end: &str, found: i64| {
        counter(&format!(
            "0 invoke add . 2
             1 invoke add . 3
             0 ok add . 2
             1 {end} add . 3
             2 invoke read
             2 ok read . {found}"
        ))
    };
    expect(&with("info", 5), "valid")?;
    expect(&with("info", 2), "valid")?;
    expect(&with("info", 4), "wrong-final, acceptable [2, 2] [5, 5]")?;
    expect(&with("fail", 2), "valid")?;
    expect(&with("fail", 5), "wrong-final impossible, acceptable [2, 2]")?;
    expect(&with("ok", 5), "valid")?;
    expect(&with("ok", 4), "wrong-final, acceptable [5, 5]")
}

/// Session 0 wrote x before y, and session 1 sees y: then it must see that x, or a later one.
pub(crate) fn who_sees_a_write_sees_what_was_before_it() -> Result<(), String> {
    let with = |first: &str, x: u64| {
        Sessions.check(&in_turn(
            &Sessions,
            &format!(
                "0 {first} x . 5
                 0 write y . 7
                 1 read y . 7
                 1 read x . {x}"
            ),
        ))
    };
    expect(&with("write", 5), "valid")?;
    expect(&with("write", 4), "monotonic-writes")?;
    expect(&with("read", 5), "valid")?;
    expect(&with("read", 4), "writes-follow-reads")
}

pub(crate) fn what_was_acknowledged_is_there_in_the_end() -> Result<(), String> {
    let with = |end: &str, found: &str| {
        Sets::default().check(&history(
            &Set,
            &format!(
                "0 invoke add . 1
                 0 ok add
                 1 invoke add . 2
                 1 {end} add . 2
                 2 invoke read
                 2 ok read . {found}"
            ),
        ))
    };
    expect(&with("ok", "[1,2]"), "valid")?;
    expect(&with("ok", "[1]"), "lost")?;
    expect(&with("info", "[1]"), "valid")?;
    expect(&with("info", "[1,2]"), "valid")?;
    expect(&with("fail", "[1,2]"), "invented")
}

pub(crate) fn a_poll_leaves_nothing_out() -> Result<(), String> {
    let with = |polls: &str| {
        let text = format!(
            "0 send a 7 0
             0 send a 8 1
             0 send a 9 2
             2 poll . . [[\"a\",[[0,7],[1,8],[2,9]]]]
             {polls}"
        );
        Logs::default().check(&in_turn(&Logs::default(), &text)).expect("sent once")
    };
    expect(&with("1 poll . . [[\"a\",[[0,7],[1,8]]]]"), "valid")?;
    expect(&with("1 poll . . [[\"a\",[[0,7],[2,9]]]]"), "poll-skips")?;
    expect(
        &with(
            "1 poll . . [[\"a\",[[0,7]]]]
             1 poll . . [[\"a\",[[2,9]]]]",
        ),
        "polls-skip",
    )
}

pub(crate) fn watched(text: &str) -> Result<String, String> {
    let changes = r#"
        {"type":"change","revision":5,"key":"a","value":"1"}
        {"type":"change","revision":6,"key":"a"}
        {"type":"change","revision":6,"key":"b","value":"2"}
        {"type":"change","revision":7,"key":"b","value":"3"}
        {"type":"change","revision":8,"key":"c","value":"4"}"#;
    let text = format!("{changes}\n{text}");
    let (changes, watches) =
        watch::read(text.as_bytes()).map_err(|error| format!("{error}: {text}"))?;
    Ok(watch::check(&changes, &watches).to_string())
}

pub(crate) fn events_come_in_the_order_of_revisions() -> Result<(), String> {
    let with = |events: [&str; 4]| {
        let all = [
            ("5a", r#""revision":5,"key":"a","value":"1""#),
            ("6a", r#""revision":6,"key":"a""#),
            ("6b", r#""revision":6,"key":"b","value":"2""#),
            ("7b", r#""revision":7,"key":"b","value":"3""#),
        ];
        let mut text = r#"{"type":"watch","watch":1,"from":5,"prefix":""}"#.to_owned();
        for event in events {
            let (_, fields) = all.iter().find(|(name, _)| *name == event).expect("it is one");
            text += &format!("\n{{\"type\":\"event\",\"watch\":1,{fields}}}");
        }
        watched(&text)
    };
    expect(&with(["5a", "6a", "6b", "7b"])?, "valid")?;
    expect(&with(["5a", "6b", "6a", "7b"])?, "valid")?;
    expect(&with(["6a", "6b", "5a", "7b"])?, "unordered")?;
    expect(&with(["5a", "6a", "7b", "6b"])?, "unordered")
}

pub(crate) fn a_copy_that_says_nothing_does_not_agree() -> Result<(), String> {
    let with = |text: &str| {
        let text = format!("{{\"heal\":1000,\"nodes\":[1,2]}}\n{text}");
        let copies = converge::read(text.as_bytes()).expect("the laws are well written");
        copies.check(Duration::from_secs(1))
    };
    let one = r#"{"node":1,"time":1200,"value":"ab"}"#;
    expect(&with(one), "diverged: nothing on 2; \"ab\" on 1")?;
    let both = format!("{one}\n{{\"node\":2,\"time\":1500,\"value\":\"ab\"}}");
    expect(&with(&both), "converged after 500ns")
}
