//! Sessions, logs, watches, sets, counters and copies: each fault under its name, and what is
//! sound is valid.

use std::time::Duration;

use proptest::prelude::*;
use quorate_core::SplitMix64;
use quorate_sim::check::converge::{self, Convergence};
use quorate_sim::check::counter::Counters;
use quorate_sim::check::log::{LogOp, LogReturn, Logs};
use quorate_sim::check::models::{Counter, CounterOp, CounterReturn, Set};
use quorate_sim::check::session::{SessionFault, SessionOp, Sessions};
use quorate_sim::check::set::Sets;
use quorate_sim::check::watch::{self, Change, Event, Received, Watch};
use quorate_sim::history::lines;
use quorate_sim::{History, Instant};

#[path = "judges/laws.rs"]
mod laws;

use laws::{counter, expect, history, in_turn, watched};

#[test]
fn a_judge_keeps_its_promises() {
    for (name, law) in laws::LAWS {
        assert_eq!(law(), Ok(()), "{name}");
    }
}

#[test]
fn each_guarantee_of_a_session_has_its_name() {
    for (text, names) in [
        ("0 write x . 1\n0 read x . 1\n0 read y . 0", "valid"),
        ("0 write x . 3\n0 read x . 2", "read-your-writes"),
        ("0 read x . 3\n0 read x . 2", "monotonic-reads"),
        ("0 write x . 3\n0 write x . 2", "monotonic-writes"),
        ("0 read x . 3\n0 write x . 2", "writes-follow-reads"),
        ("0 write x . 3\n1 write x . 3", "same-version"),
        ("0 write x . 3\n1 read x . 2\n1 read x . 3", "valid"),
        // The second write of 0 was not seen, so what came between need not be.
        ("0 write y . 1\n0 write x . 5\n0 write y . 2\n1 read y . 1\n1 read x . 0", "valid"),
        (
            "0 write y . 1\n0 write x . 5\n0 write y . 2\n1 read y . 2\n1 read x . 0",
            "monotonic-writes",
        ),
    ] {
        let report = Sessions.check(&in_turn(&Sessions, text));
        assert_eq!(expect(&report, names), Ok(()), "{text}");
    }
    let report = Sessions.check(&in_turn(&Sessions, "0 write x . 3\n0 read x . 2"));
    assert_eq!(
        format!("{report:#}"),
        "read-your-writes: operation 1 has version 2 of \"x\", after 3 in operation 0\n"
    );
    assert_eq!(report.count(SessionFault::ReadYourWrites), 1);
}

#[test]
fn each_fault_of_a_log_has_its_name() {
    let sent = "0 send a 7 0\n0 send a 8 1\n0 send a 9 3\n";
    let all = "2 poll . . [[\"a\",[[0,7],[1,8],[3,9]]]]\n";
    for (more, names) in [
        ("", "valid"),
        ("1 poll . . [[\"a\",[[0,7],[1,8],[3,9]]],[\"b\",[]]]", "valid"),
        ("1 poll . . [[\"a\",[[1,8],[0,7]]]]", "poll-out-of-order"),
        ("1 poll . . [[\"a\",[[0,7]]]]\n1 poll . . [[\"a\",[[0,7]]]]", "poll-goes-back"),
        ("1 poll . . [[\"a\",[[4,7]]]]", "duplicate"),
        ("1 poll . . [[\"a\",[[3,9],[4,5]]]]", "invented"),
        ("0 send a 5 3", "two-messages send-out-of-order"),
        ("1 commit . [[\"a\",1]] null\n1 committed . [\"a\"] [[\"a\",1]]", "valid"),
        ("1 commit . [[\"a\",1]] null\n1 committed . [\"a\"] []", "commit-lost"),
        ("1 committed . [\"a\"] [[\"a\",1]]", "commit-invented"),
        (
            "1 commit . [[\"a\",1]] null\n1 commit . [[\"a\",3]] null
          1 committed . [\"a\"] [[\"a\",1]]",
            "commit-lost",
        ),
        (
            "1 commit . [[\"a\",0]] null\n1 assign . [\"a\"] null\n1 poll . . [[\"a\",[[1,8]]]]",
            "valid",
        ),
        (
            "1 commit . [[\"a\",0]] null\n1 assign . [\"a\"] null\n1 poll . . [[\"a\",[[3,9]]]]",
            "resume-skips",
        ),
        (
            "1 poll . . [[\"a\",[[3,9]]]]\n1 assign . [\"a\"] null\n1 poll . . [[\"a\",[[0,7]]]]",
            "valid",
        ),
    ] {
        let text = format!("{sent}{all}{more}");
        let report = Logs::default().check(&in_turn(&Logs::default(), &text)).expect("sent once");
        assert_eq!(expect(&report, names), Ok(()), "{more}");
    }
}

#[test]
fn what_nobody_polled_is_lost_if_later_messages_were() {
    let text = "0 send a 7 0\n0 send a 8 1\n1 poll . . [[\"a\",[[0,7]]]]";
    let mut logs = Logs::default();
    let history = in_turn(&logs, text);
    assert_eq!(expect(&logs.check(&history).expect("sent once"), "valid"), Ok(()));
    logs.is_read_to_the_end = true;
    assert_eq!(expect(&logs.check(&history).expect("sent once"), "unseen"), Ok(()));
    let text = "0 send a 7 0\n0 send a 8 1\n1 poll . . [[\"a\",[[1,8]]]]";
    let report = Logs::default().check(&in_turn(&logs, text)).expect("sent once");
    assert_eq!(expect(&report, "lost"), Ok(()));
    assert!(logs.check(&in_turn(&logs, "0 send a 7 0\n0 send a 7 1")).is_err());
}

#[test]
fn a_commit_without_an_answer_may_count_later() {
    let text = |found: &str| {
        format!(
            "0 invoke commit . [[\"a\",1]]
             0 ok commit
             1 invoke commit . [[\"a\",5]]
             1 info commit
             2 invoke committed . [\"a\"]
             2 ok committed . {found}"
        )
    };
    for (found, names) in
        [("[[\"a\",1]]", "valid"), ("[[\"a\",5]]", "valid"), ("[]", "commit-lost")]
    {
        let history = history(&Logs::default(), &text(found));
        let report = Logs::default().check(&history).expect("nothing is sent");
        assert_eq!(expect(&report, names), Ok(()), "{found}");
    }
}

/// Lines of a watch: the fields of one after the other.
fn lines_of(text: &str) -> String {
    text.lines().map(|line| format!("{{{}}}\n", line.trim())).collect()
}

#[test]
fn each_fault_of_a_watch_has_its_name() {
    const A5: &str = r#""type":"event","watch":1,"revision":5,"key":"a","value":"1""#;
    const A6: &str = r#""type":"event","watch":1,"revision":6,"key":"a""#;
    const B6: &str = r#""type":"event","watch":1,"revision":6,"key":"b","value":"2""#;
    const B7: &str = r#""type":"event","watch":1,"revision":7,"key":"b","value":"3""#;
    let all = r#""type":"watch","watch":1,"from":5,"prefix":"""#;
    let of_b = r#""type":"watch","watch":1,"from":6,"key":"b""#;
    let puts = r#""type":"watch","watch":1,"from":5,"prefix":"","only":"put""#;
    let previous = r#""type":"watch","watch":1,"from":5,"key":"b","previous":true"#;
    let bookmark = |it: u64| format!(r#""type":"bookmark","watch":1,"revision":{it}"#);
    let resume = |it: u64| format!(r#""type":"resume","watch":1,"from":{it}"#);
    let (mark6, mark8, from6) = (bookmark(6), bookmark(8), resume(6));
    let wrong = format!(r#"{B7},"previous":"1""#);
    let right = format!(r#"{B7},"previous":"2","create":false"#);
    let create = format!(r#"{B7},"create":true"#);
    let other = r#""type":"event","watch":1,"revision":7,"key":"b","value":"9""#;
    for (lines, names) in [
        (&[all, A5, A6, B6, B7] as &[&str], "valid"),
        (&[all, A5, A6], "valid"),
        (&[all, A5, A6, B6, &mark6, B7], "valid"),
        (&[all, A5, B7], "lost"),
        (&[all, A5, A6, B7], "torn"),
        (&[all, A5, A5], "repeated"),
        (&[all, B6, A6, A5], "unordered"),
        (&[all, A5, other], "invented"),
        (&[of_b, B6, B7], "valid"),
        (&[of_b, A6, B6], "not-asked"),
        (&[puts, A5, B6, B7], "valid"),
        (&[puts, A5, A6, B6], "not-asked"),
        (&[all, A5, &mark6], "early-bookmark"),
        (&[of_b, B6, B7, &mark8], "valid"),
        (&[all, A5, A6, B6, &mark6, A6], "repeated"),
        (&[all, A5, A6, &from6, A6, B6, B7], "valid"),
        (&[all, A5, A6, &from6, B7], "not-resumed"),
        (&[all, &from6, A5], "not-asked"),
        (&[all, A5, A6, B6, &wrong], "wrong-previous"),
        (&[all, A5, A6, B6, &right], "valid"),
        (&[all, A5, A6, B6, &create], "wrong-create"),
        (&[previous, B6, B7], "wrong-previous"),
        (&[previous, B6, &right], "valid"),
    ] {
        assert_eq!(watched(&lines_of(&lines.join("\n"))).as_deref(), Ok(names), "{lines:?}");
    }
}

#[test]
fn each_fault_of_a_set_has_its_name() {
    let text = "0 add . 1 null
        1 read . . []
        2 add . 2 null
        3 read . . [1,2]";
    let set = history_of_set(text);
    let verdict = Sets::default().check(&set);
    assert_eq!(expect(&verdict, "valid"), Ok(()));
    assert_eq!(expect(&Sets::linearizable().check(&set), "stale"), Ok(()));
    assert_eq!((verdict.acknowledged, verdict.stale, verdict.final_reads), (2, 1, 1));
    // Known at the stamp of line 2, still not read at that of line 3.
    assert_eq!(verdict.stable_latency(1_000), Some(Duration::from_nanos(1)));
    assert_eq!(verdict.stable_latency(0), Some(Duration::ZERO));
    assert_eq!(
        format!("{verdict:#}"),
        "2 acknowledged, 1 stale, 0 never read, 1 final reads, \
         stable after 1ns (50 %), 1ns (99 %), 1ns (all)\n"
    );
    for (text, names) in [
        ("0 read . . [7]", "invented"),
        ("0 add . 1 null\n0 remove . 1 null\n1 read . . []", "valid"),
        ("0 add . 1 null\n1 read . . []\n1 read . . [1]", "lost"),
    ] {
        let verdict = Sets::default().check(&history_of_set(text));
        assert_eq!(expect(&verdict, names), Ok(()), "{text}");
    }
}

fn history_of_set(
    text: &str,
) -> History<quorate_sim::check::models::SetOp, quorate_sim::check::models::SetReturn> {
    in_turn(&Set, text)
}

#[test]
fn a_counter_counts_all_that_was_acknowledged() {
    let text = |found: &str| {
        format!(
            "0 invoke add . 2
             0 ok add
             0 invoke add . 3
             0 ok add
             1 invoke read
             1 ok read . 5
             1 invoke read
             1 ok read . {found}"
        )
    };
    let verdict = counter(&text("4"));
    assert_eq!(verdict.to_string(), "wrong-final, acceptable [5, 5]");
    assert_eq!(
        format!("{verdict:#}"),
        "wrong-final: operation 3 read 4, acceptable [5, 5]\n2 final reads, acceptable [5, 5]\n"
    );
    assert!(counter(&text("5")).is_valid());
    assert_eq!(counter(&text("6")).to_string(), "wrong-final impossible, acceptable [5, 5]");
    // A read that is not final may be late, but not ahead.
    let early = |found: i64| {
        counter(&format!(
            "1 invoke read
             1 ok read . {found}
             0 invoke add . 2
             0 ok add"
        ))
    };
    assert!(early(0).is_valid());
    assert_eq!(early(2).to_string(), "impossible, acceptable [2, 2]");
}

#[test]
fn forty_unknown_additions_need_little_memory() {
    let verdict = |by: fn(u32) -> i64| {
        let at = Instant::from_nanos;
        let mut history = History::new();
        for number in 0..40 {
            let process = history.start();
            let call = history.invoke(process, at(1), CounterOp::Add(by(number)));
            history.info(call, at(2));
        }
        let process = history.start();
        let call = history.invoke(process, at(3), CounterOp::Read);
        _ = history.ok(call, at(4), CounterReturn::Found(by(39)));
        Counters.check(&history)
    };
    let ones = verdict(|_| 1);
    assert!(ones.is_valid() && ones.acceptable.is_exact());
    assert_eq!(ones.acceptable.to_string(), "[0, 40]");
    let powers = verdict(|number| 1 << number);
    assert!(powers.is_valid() && powers.acceptable.is_exact(), "{}", powers.acceptable);
    // Each doubles the number of intervals, until some are joined.
    let sparse = verdict(|number| 3_i64.pow(number.min(39)));
    assert!(sparse.is_valid() && !sparse.acceptable.is_exact());
    assert!(sparse.acceptable.ranges().count() <= 4_096);
}

#[test]
fn copies_agree_from_the_last_answer_that_was_different() {
    let text = r#"
        {"node":1,"time":900,"value":"old"}
        {"heal":1000,"nodes":[1,2]}
        {"node":1,"time":1100,"value":"new"}
        {"node":2,"time":1100,"value":"old"}
        {"node":2,"time":1300,"value":"new"}
        {"node":1,"time":1400,"value":"new"}"#;
    let copies = converge::read(text.as_bytes()).expect("it is sound");
    let after = Duration::from_nanos(300);
    assert_eq!(copies.check(after), Convergence::Converged { after });
    assert_eq!(copies.check(Duration::from_nanos(299)), Convergence::Late { after });
    assert!(converge::read(&b"{\"node\":1}"[..]).is_err());
    let twice = "{\"heal\":1}\n{\"heal\":2}";
    let error = converge::read(twice.as_bytes()).expect_err("healed twice");
    assert!(error.to_string().starts_with("line 2: expected one line with `heal`"), "{error}");
}

#[test]
fn what_is_written_is_read_again() {
    let logs = Logs::default();
    let text = "0 send a 7 0\n1 assign . [\"a\"] null\n1 poll . . [[\"a\",[[0,7]]]]
        1 commit . [[\"a\",0]] null\n1 committed . [\"a\",\"b\"] [[\"a\",0]]";
    let history = in_turn(&logs, text);
    let mut written = Vec::new();
    lines::write(&logs, &history, &mut written).expect("memory does not fail");
    let read = lines::read(&logs, &*written).expect("what we write is sound");
    assert_eq!(read.spans(), history.spans());
    let history = in_turn(&Sessions, "0 write x . 3\n0 read x . 2");
    let mut written = Vec::new();
    lines::write(&Sessions, &history, &mut written).expect("memory does not fail");
    assert_eq!(lines::read(&Sessions, &*written).expect("it is sound").spans(), history.spans());
}

/// A log that a sound broker keeps, read by processes that commit and take over from each other.
fn sound_log(seed: u64) -> quorate_sim::check::log::LogHistory {
    let mut random = SplitMix64::new(seed);
    let mut history = History::new();
    let mut log: Vec<(u64, i64)> = Vec::new();
    let (mut offset, mut committed) = (0, None);
    let mut processes: Vec<_> = (0..3).map(|_| Some((history.start(), 0_u64))).collect();
    for step in 0..200_u64 {
        let at = |more| Instant::from_nanos(10 * step + more);
        let slot = usize::try_from(random.below(3)).expect("it is small");
        let (process, position) = processes[slot].take().expect("they take turns");
        let name = || quorate_sim::history::Value::from("a");
        let (operation, returned, position) = match random.below(6) {
            0..3 => {
                offset += 1 + random.below(2);
                let message = i64::try_from(step).expect("it is small");
                log.push((offset, message));
                let send = LogOp::Send { log: name(), message: message.into() };
                (send, LogReturn::Offset(offset), position)
            }
            3 => {
                let start = log.partition_point(|(at, _)| *at < position);
                let end = log.len().min(start + usize::try_from(random.below(4)).expect("small"));
                let polled = log[start..end].iter().map(|(at, it)| (*at, (*it).into())).collect();
                let next = log[start..end].last().map_or(position, |(at, _)| at + 1);
                (LogOp::Poll, LogReturn::Messages(vec![(name(), polled)]), next)
            }
            4 if 0 < position => {
                committed = Some(position - 1);
                (LogOp::Commit(vec![(name(), position - 1)]), LogReturn::Done, position)
            }
            _ => {
                let next = committed.map_or(0, |it| it + 1);
                (LogOp::Assign(vec![name()]), LogReturn::Done, next)
            }
        };
        let call = history.invoke(process, at(1), operation);
        processes[slot] = Some((history.ok(call, at(2), returned), position));
    }
    history
}

/// A store with revisions, and one watch of it that resumes where it likes.
fn sound_watch(seed: u64) -> (Vec<Change>, Watch) {
    let mut random = SplitMix64::new(seed);
    let mut changes: Vec<Change> = Vec::new();
    let mut told: Vec<(bool, Option<String>)> = Vec::new();
    let mut holds: std::collections::BTreeMap<String, Option<String>> = Default::default();
    for revision in 1..40 {
        for key in ["a", "b"] {
            if random.below(3) == 0 {
                let value = (random.below(3) != 0).then(|| revision.to_string());
                let before = holds.insert(key.to_owned(), value.clone()).flatten();
                told.push((value.is_some() && before.is_none(), before));
                changes.push(Change { revision, key: key.to_owned(), value });
            }
        }
    }
    let mut watch = Watch::prefix("", 1 + random.below(10));
    let (mut from, mut next) = (watch.from, 0);
    for revision in 1..40 {
        for (change, (is_create, previous)) in changes.iter().zip(&told).skip(next) {
            if change.revision == revision && from <= revision {
                let (is_create, previous) = (Some(*is_create), previous.clone());
                let event = Event { change: change.clone(), is_create, previous };
                watch.received.push(Received::Event(event));
            }
        }
        match random.below(8) {
            0 => watch.received.push(Received::Bookmark(revision)),
            1 => {
                from = revision + 1 - random.below(revision.min(3));
                watch.received.push(Received::Resume(from));
                for (change, (is_create, previous)) in changes.iter().zip(&told) {
                    if from <= change.revision && change.revision <= revision {
                        let (is_create, previous) = (Some(*is_create), previous.clone());
                        let event = Event { change: change.clone(), is_create, previous };
                        watch.received.push(Received::Event(event));
                    }
                }
            }
            _ => {}
        }
        next = changes.partition_point(|change| change.revision <= revision);
    }
    (changes, watch)
}

proptest! {
    /// A sound broker is never blamed.
    #[test]
    fn a_sound_log_is_valid(seed: u64) {
        let history = sound_log(seed);
        let report = Logs::default().check(&history).expect("each is sent once");
        prop_assert!(report.is_valid(), "{report:#}");
    }

    /// A sound watch is never blamed, and one that loses an event between others is.
    #[test]
    fn a_sound_watch_is_valid(seed: u64) {
        let (changes, mut watch) = sound_watch(seed);
        let report = watch::check(&changes, std::slice::from_ref(&watch));
        prop_assert!(report.is_valid(), "{report:#}");
        watch.received.retain(|it| matches!(it, Received::Event(_)));
        let mut once: Vec<Received> = Vec::new();
        for it in watch.received {
            if !once.contains(&it) {
                once.push(it);
            }
        }
        prop_assume!(3 < once.len());
        once.sort_by_key(|it| match it {
            Received::Event(event) => event.change.revision,
            _ => 0,
        });
        if let Received::Event(event) = &once[0] {
            watch.from = event.change.revision;
        }
        once.remove(once.len() / 2);
        watch.received = once;
        let report = watch::check(&changes, &[watch]);
        let names = report.to_string();
        prop_assert!(names == "lost" || names == "torn" || names == "valid", "{report:#}");
    }

    /// One primary that answers everybody keeps all guarantees.
    #[test]
    fn a_single_copy_keeps_all_sessions(
        ops in prop::collection::vec((0..4_u64, 0..2_u8, any::<bool>()), 0..60)
    ) {
        let mut history = History::new();
        let mut versions = [0_u64; 2];
        let mut processes: Vec<_> = (0..4).map(|_| Some(history.start())).collect();
        for (at, (process, key, is_write)) in (0..).zip(ops) {
            let slot = usize::try_from(process).expect("it is small");
            let idle = processes[slot].take().expect("they take turns");
            let version = &mut versions[usize::from(key)];
            *version += u64::from(is_write);
            let key = i64::from(key).into();
            let operation =
                if is_write { SessionOp::Write { key } } else { SessionOp::Read { key } };
            let call = history.invoke(idle, Instant::from_nanos(2 * at), operation);
            let at = Instant::from_nanos(2 * at + 1);
            processes[slot] = Some(history.ok(call, at, *version));
        }
        let report = Sessions.check(&history);
        prop_assert!(report.is_valid(), "{report:#}");
    }

    /// What is acceptable is what is acceptable one by one.
    #[test]
    fn intervals_are_all_sums(
        known in -9_i64..9,
        unknown in prop::collection::vec(-9_i64..9, 0..8)
    ) {
        let mut text = format!("0 invoke add . {known}\n0 ok add\n");
        for (process, by) in (1..).zip(&unknown) {
            text += &format!("{process} invoke add . {by}\n{process} info add\n");
        }
        let verdict = Counters.check(&history(&Counter, &text));
        let sums: Vec<i64> = (0..1_u32 << unknown.len())
            .map(|some| {
                let of = (0..).zip(&unknown).filter(|(place, _)| some & (1 << place) != 0);
                known + of.map(|(_, by)| by).sum::<i64>()
            })
            .collect();
        for number in -100..100 {
            prop_assert_eq!(verdict.acceptable.has(i128::from(number)), sums.contains(&number));
        }
    }
}
