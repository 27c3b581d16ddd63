//! The file: what is written is read, and what is wrong is said.

use std::io::{self, BufRead, Read};

use proptest::prelude::*;
use quorate_sim::Recording;

use quorate_sim::recording::{Kind, ReadError};

use super::{any, story};

fn written(recording: &Recording) -> String {
    let mut bytes = Vec::new();
    recording.write(&mut bytes).expect("a vector takes all");
    String::from_utf8(bytes).expect("JSON is text")
}

#[test]
fn the_lines_are_those_of_the_format() {
    let lines = written(&story::stale_read());
    for line in [
        "{\"v\":1,\"name\":\"A leader that is cut off answers a read\",\"seed\":4711,\"nodes\":\
         [{\"id\":1,\"name\":\"n1\"},",
        "{\"t\":0,\"n\":1,\"k\":\"boot\",\"text\":\"an empty disk\"}\n",
        "{\"t\":0,\"n\":1,\"k\":\"badge\",\"role\":\"follower\",\"number\":0}\n",
        "\"k\":\"send\",\"id\":2,\"to\":2,\"class\":\"Vote\",\"text\":\"Vote term 1 last 0\"}\n",
        "\"k\":\"recv\",\"id\":2,\"from\":1,\"class\":\"Vote\",\"text\":\"Vote term 1 last 0\"}\n",
        "\"text\":\"term 1 commit 1\",\"why\":\"cut\"}\n",
        "\"k\":\"invoke\",\"process\":1,\"op\":1,\"text\":\"write x = 1\"}\n",
        "\"k\":\"fault\",\"id\":7,\"family\":\"Split\",\"nodes\":[1,2],\"from\":20010000,\
         \"until\":34010000,\"text\":\"14000 us\"}\n",
        "\"k\":\"violation\",\"law\":\"linearizability of x\",\"text\":",
    ] {
        assert!(lines.contains(line), "{line}");
    }
}

#[track_caller]
fn refused(file: &str, expected: &str) {
    let error = Recording::read(file.as_bytes()).expect_err("it is wrong");
    assert_eq!(error.to_string(), expected);
}

const HEADER: &str = "{\"v\":1,\"name\":\"a\",\"seed\":7,\"nodes\":[],\"plan\":null}\n";

#[test]
fn a_wrong_header_is_named() {
    refused(
        "",
        "line 1 is missing: expected a header with `v`, `name`, `seed`, `nodes` and `plan`",
    );
    refused("\n[1]\n", "line 2, field ``: expected an object, found a list of 1");
    refused("{\"v\":2}", "line 1, field `v`: expected version 1, found 2");
    refused("{}", "line 1, field `v`: expected version 1, found nothing");
    let number = "a whole number from 0 to 2^64 - 1";
    let header = |from: &str, to: &str| HEADER.replace(from, to);
    refused(&header("7", "-7"), &format!("line 1, field `seed`: expected {number}, found -7"));
    refused(&header("\"a\"", "[]"), "line 1, field `name`: expected a text, found a list of 0");
    refused(
        &header(",\"plan\":null", ""),
        "line 1, field `plan`: expected any value, found nothing",
    );
    let nodes = |nodes: &str| header("[]", nodes);
    refused(&nodes("{}"), "line 1, field `nodes`: expected a list of nodes, found an object of 0");
    refused(&nodes("[3]"), "line 1, field `nodes[0]`: expected an object, found 3");
    let two = nodes("[{\"id\":1,\"name\":\"\"},{\"id\":1,\"name\":\"\"}]");
    refused(&two, "line 1, field `nodes[1].id`: expected an id that no node before has, found 1");
}

#[test]
fn a_wrong_event_is_named() {
    let event = |line: &str, expected: &str| refused(&format!("{HEADER}\n{line}"), expected);
    event("{\"t\":1,\"n\":1}", "line 3, field `k`: expected a kind of event, found nothing");
    event(
        "{\"t\":1,\"n\":1,\"k\":\"sned\"}",
        "line 3, field `k`: expected a kind of event, found \"sned\"",
    );
    event(
        "{\"t\":1,\"n\":1,\"k\":\"lost\",\"id\":1,\"to\":2,\"class\":\"\",\"text\":\"\",\
         \"why\":\"so\"}",
        "line 3, field `why`: expected loss, cut, dead, queue, reset or corrupt, found \"so\"",
    );
    event(
        "{\"t\":1,\"k\":\"boot\",\"text\":\"\"}",
        "line 3, field `n`: expected the id of a node, found nothing",
    );
    let long = format!("{{\"t\":\"{}\"}}", "\u{e9}".repeat(50));
    let found = "\u{e9}".repeat(40);
    let expected = "a whole number from 0 to 2^64 - 1";
    event(&long, &format!("line 3, field `t`: expected {expected}, found \"{found}\".."));
    event("{\"t\":1", "line 3 is no JSON from column 6 on: EOF while parsing an object");
    event(&"[".repeat(100_000), "line 3 is no JSON from column 128 on: recursion limit exceeded");
    event(&" ".repeat(2_000_000), "line 3 is longer than 1048576 bytes");
}

#[test]
fn what_happens_to_nobody_is_refused() {
    let header = HEADER.replace("[]", "[{\"id\":1,\"name\":\"\"},{\"id\":3,\"name\":\"\"}]");
    let file = |line: &str| format!("{header}{line}\n");
    let event = |line: &str, expected: &str| refused(&file(line), expected);
    event(
        "{\"t\":1,\"n\":2,\"k\":\"boot\",\"text\":\"\"}",
        "line 2, field `n`: expected the id of a node of line 1, found 2",
    );
    let fault = |nodes: &str, times: &str| {
        format!(
            "{{\"t\":1,\"k\":\"fault\",\"id\":1,\"family\":\"\",\"nodes\":{nodes},{times},\
             \"text\":\"\"}}"
        )
    };
    event(
        &fault("[1,4]", "\"from\":1"),
        "line 2, field `nodes`: expected the id of a node of line 1, found 4",
    );
    event(
        &fault("[1,3]", "\"from\":7,\"until\":6"),
        "line 2, field `until`: expected no time before `from`, found 6",
    );
    // What was sent before the first line may arrive, and times may go back.
    let recv = "{\"t\":1,\"n\":3,\"k\":\"recv\",\"id\":9,\"from\":1,\"class\":\"\",\"text\":\"\"}";
    let good = fault("[1,3]", "\"from\":7,\"until\":7").replace("\"t\":1", "\"t\":9");
    let file = file(&format!("{good}\n{recv}"));
    assert_eq!(Recording::read(file.as_bytes()).expect("it is good").events.len(), 2);
}

#[test]
fn what_may_be_absent_is_absent() {
    let lines = "{\"t\":1,\"k\":\"note\",\"text\":\"a\",\"n\":null,\"more\":[1]}\n\n\
        {\"t\":2,\"k\":\"fault\",\"id\":1,\"family\":\"f\",\"nodes\":[],\"from\":0,\"text\":\"\"}";
    let recording = Recording::read(format!("{HEADER}{lines}\r\n").as_bytes()).unwrap();
    assert_eq!(recording.events[0].node, None);
    assert!(matches!(recording.events[1].kind, Kind::Fault { until: None, .. }));
}

/// A source that fails.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::TimedOut.into())
    }
}

impl BufRead for Broken {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Err(io::ErrorKind::TimedOut.into())
    }
    fn consume(&mut self, _: usize) {}
}

#[test]
fn a_source_that_fails_is_no_end() {
    let error = Recording::read(io::BufReader::new(HEADER.as_bytes().chain(Broken))).unwrap_err();
    assert!(matches!(error, ReadError::Io { line: 2, .. }), "{error:?}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(recording in any::recording(30).prop_map(any::with_known_nodes)) {
        let file = written(&recording);
        prop_assert_eq!(Recording::read(file.as_bytes()).unwrap(), recording);
    }

    #[test]
    fn a_file_of_any_bytes_is_read_or_refused(
        recording in any::recording(5).prop_map(any::with_known_nodes),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut file = written(&recording).into_bytes();
        let at = at.index(file.len());
        let end = file.len().min(at + bytes.len());
        file.splice(at..end, bytes);
        if let Ok(recording) = Recording::read(file.as_slice()) {
            let _ = (recording.to_svg(), recording.to_shiviz());
        }
    }
}
