//! `maelstrom_node` as others talk to it: what is malformed is answered, and it lives.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Sends it the bodies of messages of `c1`, the `pause` before the last one, and returns what it
/// writes until it ends, with its exit code.
fn node(bodies: &[&str], pause: Duration) -> (Option<i32>, String) {
    let test = std::env::current_exe().expect("a test knows where it is");
    let target = test.parent().and_then(Path::parent).expect("tests are in target/*/deps");
    let path = target.join("examples/maelstrom_node");
    assert!(path.exists(), "build it first: cargo build --example maelstrom_node");
    let mut child =
        Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    for (index, body) in bodies.iter().enumerate() {
        if index + 1 == bodies.len() {
            #[expect(clippy::disallowed_methods, reason = "processes live in real time")]
            std::thread::sleep(pause);
        }
        let src = if body.contains("forward") { "n2" } else { "c1" };
        let line = format!("{{\"src\":\"{src}\",\"dest\":\"n1\",\"body\":{{{body}}}}}\n");
        // One that died does not read: its exit code tells.
        _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
    }
    #[expect(clippy::disallowed_methods, reason = "it has a moment to answer the last one")]
    std::thread::sleep(Duration::from_millis(100));
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stdout).expect("it writes text"))
}

const INIT: &str = r#""type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]"#;
const ECHO: &str = r#""type":"echo","msg_id":99,"echo":"alive""#;

#[track_caller]
fn expect_error(code: u64, before: &[&str], request: &str) {
    let request = format!(r#"{request},"msg_id":7"#);
    // It leads after two seconds at most, and applies what was asked for.
    let bodies = [before, &[&*request, ECHO]].concat();
    let (status, text) = node(&bodies, Duration::from_millis(100));
    assert_eq!(status, Some(0), "{request}: {text}");
    let error = text.lines().find(|line| line.contains("\"in_reply_to\":7"));
    let error = error.unwrap_or_else(|| panic!("{request} was not answered: {text}"));
    assert!(error.contains(&format!("\"code\":{code}")), "{request}: {error}");
    assert!(text.contains("alive"), "{request}: {text}");
}

#[test]
fn a_malformed_request_is_refused_before_it_is_proposed() {
    for request in [
        r#""type":"txn","txn":[["r",1]]"#,
        r#""type":"txn","txn":[5]"#,
        r#""type":"txn","txn":[["r",1,null],["x",1,null]]"#,
        r#""type":"txn","txn":{}"#,
        r#""type":"txn""#,
        r#""type":"write","key":1"#,
        r#""type":"cas","key":1,"from":2"#,
        r#""type":"send","key":"1""#,
        r#""type":"poll","offsets":[1]"#,
        r#""type":"commit_offsets""#,
        r#""type":"list_committed_offsets","keys":3"#,
    ] {
        expect_error(12, &[INIT], request);
    }
}

#[test]
fn a_request_before_init_is_to_be_tried_again() {
    expect_error(11, &[], r#""type":"txn","txn":[["r",1,null]]"#);
    expect_error(11, &[], r#""type":"write","key":1,"value":2"#);
    expect_error(11, &[], r#""type":"read","key":1"#);
    expect_error(12, &[], r#""type":"init","node_id":"n1","node_ids":["n1","n1"]"#);
    expect_error(12, &[], r#""type":"init","node_id":"n1","node_ids":[]"#);
}

#[test]
fn the_highest_number_of_a_neighbor_is_no_overflow() {
    let init = r#""type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]"#;
    let forward = r#""type":"forward","number":18446744073709551615,"message":5"#;
    // Long enough that it asks for what is missing.
    let (status, text) = node(&[init, forward, ECHO], Duration::from_millis(900));
    assert!(status == Some(0) && text.contains("alive"), "{text}");
    assert!(text.contains("\"type\":\"have\""), "{text}");
}

#[test]
fn a_good_transaction_is_done() {
    let txn = r#""type":"txn","msg_id":7,"txn":[["append",1,2],["r",1,null]]"#;
    let (status, text) = node(&[INIT, txn, ECHO], Duration::from_millis(2_500));
    assert!(status == Some(0) && text.contains(r#"["r",1,[2]]"#), "{text}");
}
