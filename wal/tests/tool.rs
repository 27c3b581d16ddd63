//! The program `quorate-wal`, as its users start it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use quorate_wal::{Config, Wal};

fn tool(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("the program starts")
}

fn shell(script: &str) -> Vec<String> {
    let mut child = Command::new(PROGRAM)
        .arg("shell")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(script.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    text(&output).lines().map(str::to_owned).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes a log of three records, each synced on its own, and closes it or not.
fn log(path: &Path, is_closed: bool) {
    let (wal, _) = Wal::open(path, Config::default()).expect("the folder is new");
    for record in ["one", "two", "three"] {
        wal.append(record).and_then(quorate_wal::Ack::wait).expect("the disk works");
    }
    if is_closed {
        wal.close().expect("the disk works");
    }
}

/// Changes the bytes at `offset` of the one segment.
fn damage(path: &Path, offset: usize, bytes: &[u8]) {
    let path = path.join("00000000000000000001.wal");
    let mut content = fs::read(&path).expect("the segment is there");
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(&path, content).expect("it can be written");
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-wal");

/// Behind the header, the first record, and the head of the second.
const SECOND: usize = 64 + 32 + 24;

#[test]
fn verify_says_whether_a_log_is_whole_torn_or_corrupt() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().to_str().expect("it is text");
    log(folder.path(), false);
    let whole = tool(&["verify", path]);
    assert_eq!((whole.status.code(), &*text(&whole)), (Some(0), "whole, records 1..4\n"));

    // The last record was never certified: nothing says that it was not torn.
    damage(folder.path(), 64 + 2 * 32 + 24, b"THREE");
    let torn = tool(&["verify", path]);
    assert_eq!(torn.status.code(), Some(1), "{torn:?}");
    assert!(text(&torn).contains("torn, records 1..3 are left"), "{torn:?}");

    // The one before was: the last one certifies it.
    damage(folder.path(), SECOND, b"t");
    damage(folder.path(), 64 + 2 * 32 + 24, b"three");
    damage(folder.path(), SECOND, b"T");
    let corrupt = tool(&["verify", path]);
    assert_eq!(corrupt.status.code(), Some(2), "{corrupt:?}");
    let named = "00000000000000000001.wal at offset 96, record 2: the checksum of the payload";
    assert!(text(&corrupt).contains(named), "{corrupt:?}");
}

#[test]
fn inspect_shows_what_there_is() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().to_str().expect("it is text");
    log(folder.path(), true);
    let shown = tool(&["inspect", path, "--frames"]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let shown = text(&shown);
    assert!(
        shown.contains("3 records, 0 suffixes and 0 prefixes cut, 0 states, 1 marks"),
        "{shown}"
    );
    assert!(shown.contains("96 data 2, 3 bytes, certifies 96, ends a batch"), "{shown}");
    let json = text(&tool(&["inspect", path, "--frames", "--json"]));
    assert_eq!(json.lines().count(), 1 + 4 + 1, "a segment, four frames, a verdict: {json}");
    assert!(json.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{json}");
    damage(folder.path(), SECOND, b"T");
    let shown = tool(&["inspect", path]);
    assert_eq!(shown.status.code(), Some(2), "{shown:?}");
    assert!(text(&shown).contains("damaged: 00000000000000000001.wal at offset 96"), "{shown:?}");
}

#[test]
fn repair_copies_what_is_right_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let (from, to) = (folder.path().join("log"), folder.path().join("copy"));
    log(&from, true);
    damage(&from, SECOND, b"T");
    let before = fs::read(from.join("00000000000000000001.wal")).expect("it is there");
    let [path, out] = [&from, &to].map(|it| it.to_str().expect("it is text"));
    let repaired = tool(&["repair", path, "--out", out]);
    assert_eq!(repaired.status.code(), Some(2), "{repaired:?}");
    let said = text(&repaired);
    assert!(said.contains("copied records 1..2") && said.contains("lost records 2..4"), "{said}");
    let after = fs::read(from.join("00000000000000000001.wal")).expect("it is there");
    assert_eq!(before, after);
    assert_eq!(tool(&["verify", out]).status.code(), Some(0));
    let again = tool(&["repair", path, "--out", out]);
    assert_eq!(again.status.code(), Some(3), "{again:?}");
}

#[test]
fn wrong_arguments_and_places_without_a_log_are_told() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().to_str().expect("it is text");
    let missing = folder.path().join("missing");
    for arguments in [
        &[][..],
        &["verify"],
        &["look", path],
        &["inspect", path, "--colors"],
        &["repair", path],
        &["verify", path],
        &["verify", missing.to_str().expect("it is text")],
    ] {
        let output = tool(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
    }
    assert!(!missing.exists(), "looking at it must not make it");
}

#[test]
fn the_shell_answers_each_line() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().join("log");
    let answers = shell(&format!(
        "append 00\nopen {0} segment-bytes=4096\nappend 0aff\nbatch 01 02\nrange\nsync\nread 1\n\
         read 9\nrewrite 3 @3:07\nread 3\nstate 68656c6c6f\nstate\ntruncate-prefix 2\nread 1\n\
         truncate-suffix 9\nopen {0}\nappend xyz\ndrop\nopen {0}\nrange\nstate\nclose\nsync\n\
         open {0} recovery=guess\n",
        path.display()
    ));
    let expected = [
        "err closed no log is open",
        "ok 1 1 1 cut=0",
        "ok 1",
        "ok 2 3",
        "ok 1 4 1",
        "ok 4",
        "ok 0aff",
        "none",
        "ok 3 3",
        "ok 070707",
        "ok",
        "ok 68656c6c6f",
        "ok 2",
        "err compacted the log begins at 2",
        "err invalid 9 is outside of 2..=4",
        "err invalid a log is open: close or drop it first",
        "err invalid expected hexadecimal digits in pairs, or @COUNT:BYTE",
        "ok",
        "ok 2 4 4 cut=0",
        "ok 2 4 4",
        "ok 68656c6c6f",
        "ok",
        "err closed no log is open",
        "err invalid no option is called recovery=guess",
    ];
    assert_eq!(answers, expected);
}

#[test]
fn a_log_that_another_has_open_is_told() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let (_wal, _) = Wal::open(folder.path(), Config::default()).expect("the folder is new");
    let answers = shell(&format!("open {}\n", folder.path().display()));
    assert!(answers[0].starts_with("err locked "), "{answers:?}");
    // Looking needs no lock.
    let path = folder.path().to_str().expect("it is text");
    assert_eq!(tool(&["verify", path]).status.code(), Some(0));
}

#[test]
fn the_shell_takes_no_sign_for_a_digit() {
    let folder = tempfile::tempdir().expect("there is a place for it");
    let path = folder.path().display();
    let answers = shell(&format!("open {path}\nappend +f\nappend @2:+f\nread +1\nappend 0f\n"));
    let is_invalid = |at: usize| answers[at].starts_with("err invalid ");
    assert!(is_invalid(1) && is_invalid(2) && is_invalid(3), "{answers:?}");
    assert_eq!(answers[4], "ok 1");
}
