//! Linearizability: what it is, what is no history, and what a checker says of both.

use quorate_sim::check::models::{
    Counter, Kv, Register, RegisterOp, RegisterReturn, Set, Stack, Versioned,
};
use quorate_sim::check::{Each, Linearizable, Model, Verdict};
use quorate_sim::history::{Vocabulary, edn, jepsen, kv, lines, load};
use quorate_sim::{History, Instant};

#[path = "linear/laws.rs"]
mod laws;

#[test]
fn a_checker_keeps_its_promises() {
    for (name, law) in laws::LAWS {
        assert_eq!(law(), Ok(()), "{name}");
    }
}

/// Returns JSON lines. A line is a process, `(` for a call, `)` for a return and `?` for the end of
/// patience, the operation, and a value.
fn json(text: &str) -> String {
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or("null");
        let (process, kind, f, value) = (next(), next(), next(), next());
        let kind = match kind {
            "(" => "invoke",
            ")" => "ok",
            "x" => "fail",
            _ => "info",
        };
        format!("{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}\n")
    };
    text.lines().map(str::trim).filter(|it| !it.is_empty()).map(line).collect()
}

fn check<M>(model: M, text: &str) -> Verdict
where
    M: Model + Vocabulary<Operation = <M as Model>::Operation, Return = <M as Model>::Return>,
    <M as Model>::Operation: std::fmt::Display,
    <M as Model>::Return: std::fmt::Display,
{
    let history = lines::read(&model, json(text).as_bytes()).expect("a sound history");
    Linearizable::whole(model).check(&history)
}

#[test]
fn a_write_takes_effect_once_between_its_call_and_its_return() {
    let all_concurrent = "0 ( write 100
        1 ( read
        2 ( read
        2 ) read null
        1 ) read 100
        0 ) write 100";
    assert!(check(Register, all_concurrent).is_linearizable());
    let back_in_time = "0 ( write 200
        1 ( read
        1 ) read 200
        2 ( read
        2 ) read null
        0 ) write 200";
    assert!(check(Register, back_in_time).is_violation());
}

#[test]
fn what_is_sequentially_consistent_need_not_be_linearizable() {
    let verdict = check(
        Register,
        "0 ( write 0
         0 ) write 0
         0 ( write 1
         1 ( read
         1 ) read 1
         2 ( read
         2 ) read 0
         0 ) write 1",
    );
    assert!(verdict.is_violation());
}

#[test]
fn a_pending_write_may_be_read_but_not_before_it_was_called() {
    let pending = "9 ( write \"A\"
        9 ) write \"A\"
        0 ( write \"B\"
        1 ( read
        1 ) read \"A\"";
    assert!(check(Register, pending).is_linearizable());
    assert!(
        check(Register, &pending.replace("1 ) read \"A\"", "1 ) read \"B\"")).is_linearizable()
    );
    let too_early = "9 ( write \"A\"
        9 ) write \"A\"
        1 ( read
        1 ) read \"B\"
        0 ( write \"B\"";
    assert!(check(Register, too_early).is_violation());
}

#[test]
fn a_stack_gives_back_what_was_pushed_last() {
    let pending = "0 ( push 10
        0 ) push
        0 ( push 20
        1 ( len
        1 ) len 1
        1 ( pop
        1 ) pop 20
        1 ( pop
        1 ) pop 10";
    assert!(check(Stack, pending).is_linearizable());
    let lost = "0 ( push 10
        0 ) push
        1 ( pop
        1 ) pop null";
    assert!(check(Stack, lost).is_violation());
}

#[test]
fn a_counter_counts_each_addition_once() {
    let reads = |first: i64, second: i64| {
        check(
            Counter,
            &format!(
                "0 ( add 2
                 1 ( add 3
                 0 ) add
                 1 ) add
                 0 ( read
                 1 ( read
                 0 ) read {first}
                 1 ) read {second}"
            ),
        )
    };
    assert!(reads(5, 5).is_linearizable());
    assert!(reads(5, 4).is_violation());
}

#[test]
fn a_version_counts_the_changes() {
    let version = |version: &str| {
        let text = format!(
            "0 ( write [null,7]
             0 ) write [1,7]
             1 ( cas [null,[7,8]]
             1 ) cas [2,[7,8]]
             0 ( read [null,null]
             0 ) read [{version},8]"
        );
        check(Versioned, &text)
    };
    assert!(version("2").is_linearizable() && version("null").is_linearizable());
    assert!(version("3").is_violation());
}

#[test]
fn a_set_has_what_was_added() {
    let verdict = |elements: &str| {
        let text = format!("0 ( add 1\n0 ) add\n1 ( add 2\n1 ? add\n0 ( read\n0 ) read {elements}");
        check(Set, &text)
    };
    assert!(verdict("[1]").is_linearizable() && verdict("[2,1]").is_linearizable());
    assert!(verdict("[2]").is_violation());
}

#[test]
fn a_violation_shows_where_no_order_goes_on() {
    let verdict = check(
        Register,
        "0 ( write 1
         0 ) write 1
         1 ( write 2
         2 ( read
         2 ) read 2
         2 ( read
         2 ) read 1
         1 ) write 2",
    );
    let expected = "\
not linearizable: process 2: read -> 1 fits nowhere
order of 3 operations, last write 1 -> done, write 2 -> done, read -> 2; then it holds 2
  0  write 1 -> done  1..2  ||
  1  write 2 -> done  3..8    |----|
  2  read -> 2        4..5     ||
  2  read -> 1        6..7       ||  <- fits nowhere
";
    assert_eq!(format!("{verdict:#}"), expected);
}

#[test]
fn a_budget_that_is_spent_decides_nothing() {
    let text = json("0 ( write 1\n1 ( read\n1 ) read 1\n0 ) write 1");
    let history = lines::read(&Register, text.as_bytes()).expect("a sound history");
    let checker = || Linearizable::whole(Register);
    assert_eq!(checker().max_steps(1).check(&history), Verdict::Unknown { spent: 1 });
    assert_eq!(checker().max_bytes(100).check(&history), Verdict::Unknown { spent: 0 });
    assert_eq!(checker().check(&history), Verdict::Linearizable);
}

#[test]
fn what_is_no_history_is_refused_with_the_line_and_what_was_expected() {
    let refused = |text: &str| match lines::read(&Each(Register), text.as_bytes()) {
        Ok(_) => panic!("{text} must be refused"),
        Err(error) => error.to_string(),
    };
    let call = |process: u8| json(&format!("{process} ( read"));
    let ends = |process: u8, how: char| json(&format!("{process} {how} read"));
    let cases = [
        (ends(3, ')'), "line 1: expected a call of process 3 before its return"),
        (
            call(0) + &call(1) + &call(0),
            "line 3: expected process 0 to wait until its call of line 1 returns",
        ),
        (
            call(0) + &ends(0, '?') + &call(0),
            "line 3: expected a new number after the `info` of line 2, not process 0",
        ),
        (json("0 ( cas 1"), "line 1: expected cas with [old, new], found cas 1"),
        (json("0 ( sing 1"), "line 1: expected read, write or cas, found sing 1"),
        (
            "\n{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"time\":5}\n".to_owned()
                + "{\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"time\":4}",
            "line 3: expected a time not before 5, found 4",
        ),
        (
            call(0) + "{\"process\":0,\"type\":\"ok\",\"time\":4}",
            "line 2: expected a `time` in every line or in none, \
             found {\"process\":0,\"type\":\"ok\",\"time\":4}",
        ),
        (
            "{\"process\":0,\"op\":1,\"type\":\"invoke\",\"f\":\"read\"}\n".to_owned()
                + "{\"process\":0,\"op\":2,\"type\":\"ok\",\"f\":\"read\"}",
            "line 2: expected the `op` of the open call, found 2",
        ),
        (
            "{\"process\":0".to_owned(),
            "line 1: expected a JSON object with the fields of the format: \
             no JSON from column 12 on, EOF while parsing an object",
        ),
        (
            "what?".to_owned(),
            "line 1: expected a JSON object with the fields of the format: \
             no JSON from column 1 on, expected value",
        ),
        (
            "{\"type\":\"ok\"}".to_owned(),
            "line 1: expected a JSON object with the fields of the format: missing field `process`",
        ),
        (
            "{\"process\":0,\"type\":\"\\u001b[31m\"}".to_owned(),
            "line 1: expected a JSON object with the fields of the format: unknown variant \
             `\\u{1b}[31m`, expected one of `invoke`, `ok`, `fail`, `info`",
        ),
        (
            "{\"process\":3,\"type\":\"invoke\",\"f\":\"write\",\"value\":1}\n".to_owned()
                + "{\"process\":3,\"type\":\"ok\",\"f\":\"read\",\"value\":1}",
            "line 2: expected `write` to return, as it was called, found `read`",
        ),
        (
            "{\"process\":3,\"type\":\"invoke\",\"f\":\"a\\nb\\u0000\",\"value\":1}".to_owned(),
            "line 1: expected read, write or cas, \
             found a\\nb\\0 1",
        ),
        (" ".repeat((1 << 20) + 1), "line 1: expected at most 1048576 bytes"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(&text), expected, "{}", &text[..text.len().min(200)]);
    }
    let not_text = lines::read(&Register, &b"\xff"[..]).expect_err("it is not UTF-8").to_string();
    assert_eq!(not_text, "line 1: expected UTF-8, found \u{fffd}");
}

#[test]
fn each_format_says_what_it_expects() {
    let refused = |text: &str| {
        let of_jepsen = jepsen::read(&Each(Register), text.as_bytes()).err();
        let of_kv = kv::read(&Each(Register), text.as_bytes()).err();
        let of_load = load::read(&Each(Register), text.as_bytes()).err();
        [of_jepsen, of_kv, of_load].map(|it| it.map_or_else(String::new, |it| it.to_string()))
    };
    let [found, _, _] = refused("INFO  jepsen.util - 0\t:invoke\t:write\tnil\nINFO");
    assert_eq!(found, "");
    let [found, _, _] = refused("INFO  jepsen.util - 0\t:invoke\t:write\tsix");
    assert_eq!(found, "line 1: expected nil, a number or [old new], found six");
    let [found, _, _] = refused("INFO  jepsen.util - 0\t:began\t:write\t6");
    assert_eq!(found, "line 1: expected :invoke, :ok, :fail or :info, found :began");

    let [_, found, _] = refused("{:process 1, :type :ok}");
    assert_eq!(
        found,
        "line 1: expected {:process 1, :type :ok, :f :get, :key \"k\", :value \"v\"}, \
         found {:process 1, :type :ok}"
    );

    let line = |start: u64, end: u64, outcome: &str| {
        format!(
            "{{\"client\":1,\"op\":\"put\",\"key\":\"k\",\"value\":\"v\",\"start_ns\":{start},\
             \"end_ns\":{end},\"outcome\":\"{outcome}\"}}\n"
        )
    };
    let [_, _, found] = refused(&line(5, 4, "ok"));
    assert_eq!(found, "line 1: expected a time not before 5, found 4");
    let [_, _, found] = refused(&(line(1, 4, "ok") + &line(3, 6, "ok")));
    assert_eq!(found, "line 2: expected a time not before 4, found 3");
    let [_, _, found] = refused(&(line(1, 4, "unknown") + &line(5, 6, "ok")));
    assert_eq!(found, "line 2: expected a new number after the `info` of line 1, not process 1");
    let [_, _, found] = refused(&(line(1, 4, "fail") + &line(5, 6, "fail")));
    assert_eq!(found, "");
}

#[test]
fn a_load_that_read_what_a_failed_cas_would_have_written_is_a_violation() {
    let history = |found: &str| {
        let line = |op: &str, value: &str, start: u64, outcome: &str| {
            format!(
                "{{\"client\":1,\"op\":\"{op}\",\"key\":\"k\",\"value\":{value},\
                 \"start_ns\":{start},\"end_ns\":{},\"outcome\":\"{outcome}\"}}\n",
                start + 1
            )
        };
        let text = line("put", "\"a\"", 1, "ok")
            + &line("cas", "[\"b\",\"c\"]", 3, "fail")
            + &line("get", found, 5, "ok");
        let model = Each(Kv);
        let history = load::read(&model, text.as_bytes()).expect("a sound history");
        Linearizable::by_key(model).check(&history)
    };
    assert!(history("\"a\"").is_linearizable());
    assert!(history("\"c\"").is_violation() && history("null").is_violation());
}

#[test]
fn what_is_written_reads_as_it_was() {
    let text = json(
        "0 ( write \"a \\\"b\\\" \\\\ \\n\"
         1 ( cas [1,2]
         0 ) write
         1 ) cas false
         0 ( read
         0 ) read [1,null,true,\"x\"]
         1 ( write 3
         1 x write 3
         1 ( write 4
         1 ? write 4
         0 ( write 5",
    );
    let history = lines::read(&Each(Register), text.as_bytes()).expect("a sound history");
    let mut written = Vec::new();
    lines::write(&Each(Register), &history, &mut written).expect("memory can be written");
    let again = lines::read(&Each(Register), &*written).expect("what we write is sound");
    assert_eq!(again, history);
}

#[test]
fn a_process_that_calls_when_it_returns_stays_in_order() {
    let mut history = History::new();
    let at = Instant::from_nanos;
    let (first, second) = (history.start(), history.start());
    let one = history.invoke(first, at(1), RegisterOp::Write(1.into()));
    let two = history.invoke(second, at(1), RegisterOp::Write(2.into()));
    let first = history.ok(one, at(2), RegisterReturn::Done);
    let second = history.ok(two, at(2), RegisterReturn::Done);
    let read = history.invoke(first, at(2), RegisterOp::Read);
    let first = history.ok(read, at(2), RegisterReturn::Found(1.into()));
    let three = history.invoke(first, at(2), RegisterOp::Write(3.into()));
    _ = history.ok(three, at(3), RegisterReturn::Done);
    drop(second);
    let mut written = Vec::new();
    lines::write(&Register, &history, &mut written).expect("memory can be written");
    let again = lines::read(&Register, &*written).expect("what we write is sound");
    assert_eq!(again, history);
}

#[test]
fn edn_is_that_of_jepsen() {
    let text = "{\"process\":0,\"type\":\"invoke\",\"f\":\"cas\",\"key\":\"x\",\"value\":[1,2]}
        {\"process\":0,\"type\":\"ok\",\"value\":false}
        {\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"x\"}
        {\"process\":0,\"type\":\"ok\",\"value\":3}";
    let history = lines::read(&Each(Register), text.as_bytes()).expect("a sound history");
    let mut written = Vec::new();
    edn::write(&Each(Register), &history, &mut written).expect("memory can be written");
    let expected = "\
{:index 0, :process 0, :type :invoke, :f :cas, :value [\"x\" [1 2]], :time 1}
{:index 1, :process 0, :type :fail, :f :cas, :value [\"x\" [1 2]], :time 2}
{:index 2, :process 0, :type :invoke, :f :read, :value [\"x\" nil], :time 3}
{:index 3, :process 0, :type :ok, :f :read, :value [\"x\" 3], :time 4}
";
    assert_eq!(String::from_utf8_lossy(&written), expected);
}
