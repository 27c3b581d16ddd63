//! `sim_check` as its users run it: a line for each file, and an exit code.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs it over files with these contents, and returns its exit code, and what it printed without
/// the folder.
fn sim_check(arguments: &[&str], files: &[(&str, &str)]) -> (i32, String) {
    let folder = tempfile::tempdir().expect("there is room");
    let test = std::env::current_exe().expect("a test knows where it is");
    let target = test.parent().and_then(Path::parent).expect("tests are in target/*/deps");
    let path = target.join("examples/sim_check");
    assert!(path.exists(), "build it first: cargo build --example sim_check");
    let mut command = Command::new(path);
    command.args(arguments);
    for (name, content) in files {
        let file = folder.path().join(name);
        fs::write(&file, content).expect("there is room");
        command.arg(file);
    }
    let output = command.output().expect("it runs");
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(both).expect("it prints text");
    let folder = format!("{}/", folder.path().display());
    (output.status.code().expect("it ends"), text.replace(&folder, ""))
}

/// Makes calls that return at once: a process, and the two lines without it.
fn calls(calls: &[(u64, &str, &str)]) -> String {
    let line = |(process, call, end): &(u64, &str, &str)| {
        format!(
            "{{\"process\":{process},\"type\":\"invoke\",{call}}}\n\
             {{\"process\":{process},\"type\":\"ok\",{end}}}\n"
        )
    };
    calls.iter().map(line).collect()
}

#[test]
fn transactions_are_judged_by_the_model_that_is_asked_for() {
    let stale = calls(&[
        (0, r#""value":[["append","x",1]]"#, r#""value":[["append","x",1]]"#),
        (1, r#""value":[["r","x",null]]"#, r#""value":[["r","x",[]]]"#),
    ]);
    let good = stale.replace("[]]", "[1]]");
    let files = [("a.jsonl", &*good), ("b.jsonl", &*stale)];
    let text = "a.jsonl valid\nb.jsonl invalid G-single-realtime\n";
    assert_eq!(sim_check(&["list-append"], &files), (1, text.into()));
    let weaker = ["list-append", "--model", "serializable"];
    assert_eq!(sim_check(&weaker, &files), (0, "a.jsonl valid\nb.jsonl valid\n".into()));
    let (_, text) = sim_check(&["list-append", "--explain"], &files[1..]);
    assert!(text.contains("T1 read x = [], without the 1 that T0 appended; T0 was over"), "{text}");
    let twice = format!("{good}{}", good.replace(":0,", ":2,").replace(":1,", ":3,"));
    let (code, text) = sim_check(&["list-append"], &[("c.jsonl", &twice)]);
    let expected = "c.jsonl: expected each value to be written once to a key, found 1 of \"x\" in";
    assert!(code == 2 && text.starts_with(expected), "{text}");
    let (code, text) = sim_check(&["list-append"], &[("d.jsonl", "{}\n")]);
    assert!(code == 2 && text.starts_with("d.jsonl: line 1: expected a JSON object"), "{text}");
}

#[test]
fn registers_are_judged_by_their_own_order_if_asked() {
    let write = |value| format!("\"value\":[[\"w\",\"x\",{value}]]");
    let (one, two) = (write(1), write(2));
    let read = (3, r#""value":[["r","x",null]]"#, r#""value":[["r","x",1]]"#);
    let text = calls(&[(1, &*one, &*one), (2, &*two, &*two), read]);
    let files = [("a", &*text)];
    assert_eq!(sim_check(&["rw-register"], &files), (0, "a valid\n".into()));
    let keys = ["rw-register", "--linearizable-keys"];
    assert_eq!(sim_check(&keys, &files), (1, "a invalid G-single-realtime\n".into()));
}

#[test]
fn the_other_judges_print_a_line_for_each_file() {
    let session = calls(&[
        (0, r#""f":"write","key":"x""#, r#""value":3"#),
        (0, r#""f":"read","key":"x""#, r#""value":2"#),
    ]);
    let log = calls(&[
        (0, r#""f":"send","key":"a","value":7"#, r#""value":0"#),
        (0, r#""f":"send","key":"a","value":8"#, r#""value":1"#),
        (1, r#""f":"poll""#, r#""value":[["a",[[1,8]]]]"#),
    ]);
    let watch = r#"{"type":"change","revision":5,"key":"a","value":"1"}
{"type":"watch","watch":1,"from":5,"key":"a"}
{"type":"bookmark","watch":1,"revision":5}
"#;
    let add = |value, found| {
        calls(&[
            (0, &format!("\"f\":\"add\",\"value\":{value}"), "\"value\":null"),
            (0, "\"f\":\"read\"", &format!("\"value\":{found}")),
        ])
    };
    let converge = "{\"heal\":0,\"nodes\":[1,2]}\n{\"node\":1,\"time\":5,\"value\":7}\n";
    for (judge, content, line) in [
        ("session", &*session, "a invalid read-your-writes\n"),
        ("log", &*log, "a invalid lost\n"),
        ("watch", watch, "a invalid early-bookmark\n"),
        ("set", &*add("1", "[]"), "a invalid lost\n"),
        ("counter", &*add("5", "4"), "a invalid wrong-final, acceptable [5, 5]\n"),
        ("converge", converge, "a invalid diverged: nothing on 2; 7 on 1\n"),
    ] {
        assert_eq!(sim_check(&[judge], &[("a", content)]), (1, line.into()), "{judge}");
        let (code, _) = sim_check(&[judge], &[("a", "no line\n")]);
        assert_eq!(code, 2, "{judge}");
    }
    assert_eq!(sim_check(&["set"], &[("a", &add("1", "[1]"))]), (0, "a valid\n".into()));
    assert_eq!(sim_check(&["counter"], &[("a", &add("5", "5"))]), (0, "a valid\n".into()));
}

#[test]
fn what_a_terminal_would_act_on_is_not_printed() {
    let hostile = r"a\u001b[31m\n\u0000\u009b\u202e";
    let lists = calls(&[
        (0, r#""value":[["append","K",1]]"#, r#""value":[["append","K",1]]"#),
        (1, r#""value":[["r","K",null]]"#, r#""value":[["r","K",[]]]"#),
    ]);
    let registers = calls(&[
        (0, r#""f":"write","key":"K","value":"K1""#, r#""value":null"#),
        (1, r#""f":"read","key":"K""#, r#""value":"K2""#),
    ]);
    let unknown = calls(&[(0, r#""f":"K","key":"K","value":"K""#, r#""value":null"#)]);
    let no_type = r#"{"process":0,"type":"K"}"#.to_owned();
    let logs = calls(&[
        (0, r#""f":"send","key":"K","value":1"#, r#""value":0"#),
        (1, r#""f":"poll","value":null"#, r#""value":[["K",[[0,"K"]]]]"#),
    ]);
    let judges: [&[&str]; 5] = [
        &["list-append", "--explain"],
        &["linear", "--model", "register", "--explain"],
        &["log", "--explain"],
        &["session", "--explain"],
        &["set", "--explain"],
    ];
    for judge in judges {
        for text in [&lists, &registers, &unknown, &no_type, &logs] {
            let text = text.replace('K', hostile);
            let (code, printed) = sim_check(judge, &[("a.jsonl", &text)]);
            let is_bad = |it: char| it != '\n' && it.is_control() || it == '\u{202e}';
            assert!(!printed.contains(is_bad), "{judge:?}: {printed:?}");
            assert!(code == 0 || printed.contains("a.jsonl"), "{printed}");
        }
    }
    let (_, printed) =
        sim_check(&["list-append", "--explain"], &[("a.jsonl", &lists.replace('K', hostile))]);
    assert!(printed.contains(r"T1 read a\u{1b}[31m\n\0\u{9b}\u{202e} = []"), "{printed}");
}
