//! The processes of `kv`, started, killed and misused as a person would.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use cluster::{Cluster, content, kv};

#[path = "kv/cluster.rs"]
mod cluster;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[test]
fn the_main_job_loses_nothing() -> Result {
    let output = kv().args(["--json", "--writes", "3000", "--clients", "16"]).output()?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(text.lines().last().ok_or("nothing was printed")?)?;
    let number = |name: &str| report[name].as_u64();
    assert_eq!((number("lost"), number("wrong")), (Some(0), Some(0)), "{report}");
    assert!(Some(1) <= number("failovers"), "{report}");
    let ended = ["acknowledged", "refused", "unknown"].map(number);
    assert_eq!(ended.iter().flatten().sum::<u64>(), 3000, "{report}");
    assert!(Some(2900) <= number("acknowledged"), "{report}");
    Ok(())
}

#[test]
fn the_commands_do_what_they_say() -> Result {
    let cluster = Cluster::start(3)?;
    cluster.put("color", "red")?;
    assert_eq!(cluster.get("color")?, "red");
    assert_eq!(cluster.ask(&["cas", "color", "red", "blue"])?.status.code(), Some(0));
    let differs = cluster.ask(&["cas", "color", "red", "green"])?;
    assert_eq!(differs.status.code(), Some(1));
    assert_eq!(String::from_utf8(differs.stderr)?, "it has another value: blue\n");
    assert_eq!(cluster.get("color")?, "blue");
    assert_eq!(cluster.ask(&["delete", "color"])?.status.code(), Some(0));
    let gone = cluster.ask(&["get", "color"])?;
    assert_eq!((gone.status.code(), gone.stdout.is_empty()), (Some(1), true));
    assert_eq!(cluster.statuses()?.len(), 3);
    let large = "x".repeat(100_000);
    cluster.put("large", &large)?;
    assert_eq!(cluster.get("large")?, large);
    // What is too large is refused at once, and is not "unknown".
    let words = ["load", "--clients", "1", "--writes", "1", "--value-bytes", "1100000"];
    let counts: Value = serde_json::from_slice(&cluster.ask(&words)?.stdout)?;
    assert_eq!((&counts["fail"], &counts["unknown"]), (&1.into(), &0.into()), "{counts}");
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_when_any_or_all_are_killed() -> Result {
    let mut cluster = Cluster::start(3)?;
    for round in 0..3 {
        let victim = if round == 0 { cluster.leader()? } else { round };
        cluster.put(&format!("before-{round}"), "1")?;
        cluster.kill(victim)?;
        cluster.put(&format!("without-{round}"), "2")?;
        cluster.start_node(victim)?;
        cluster.put(&format!("after-{round}"), "3")?;
    }
    for id in 1..=3 {
        cluster.kill(id)?;
    }
    for id in 1..=3 {
        cluster.start_node(id)?;
    }
    for round in 0..3 {
        for (when, value) in [("before", "1"), ("without", "2"), ("after", "3")] {
            assert_eq!(cluster.get(&format!("{when}-{round}"))?, value);
        }
    }
    Ok(())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a snapshot takes its time")]
fn nodes_start_again_from_snapshots_and_what_is_left_of_the_log() -> Result {
    let mut cluster = Cluster::start(3)?;
    cluster.put("first", "1")?;
    let mut first = Vec::new();
    for _ in 0..20 {
        let loaded = cluster.ask(&["load", "--clients", "8", "--writes", "2000"])?;
        assert!(loaded.status.success(), "{loaded:?}");
        std::thread::sleep(Duration::from_millis(300));
        let statuses = cluster.statuses()?;
        first = statuses.iter().filter_map(|it| it["first_index"].as_u64()).collect();
        if first.len() == 3 && first.iter().all(|index| 1 < *index) {
            break;
        }
    }
    assert!(first.len() == 3 && first.iter().all(|index| 1 < *index), "nothing went: {first:?}");
    cluster.put("last", "2")?;
    for id in 1..=3 {
        cluster.kill(id)?;
    }
    for id in 1..=3 {
        cluster.start_node(id)?;
    }
    assert_eq!((cluster.get("first")?, cluster.get("last")?), ("1".into(), "2".into()));
    let delivered = cluster.status(1)?["delivered"].as_u64().ok_or("it is a number")?;
    assert!(delivered < first[0], "what is in the snapshot was not delivered again");

    // Without its snapshots a node has no right to go on: it says so, and changes nothing.
    cluster.kill(1)?;
    let data = cluster.data(1);
    fs::remove_dir_all(data.join("snapshots"))?;
    let said = cluster.refuses(1, &data)?;
    assert!(said.contains("the application is at 0, the log begins after "), "{said}");
    Ok(())
}

#[test]
fn wrong_arguments_are_explained_with_exit_code_2() -> Result {
    let wrong: [&[&str]; 6] = [
        &["--no-such-flag"],
        &["put", "only-a-key"],
        &["node", "--id", "1"],
        &[
            "node",
            "--id",
            "x",
            "--peers",
            "1=127.0.0.1:1",
            "--client",
            "127.0.0.1:2",
            "--data",
            "d",
        ],
        &["node", "--id", "1", "--peers", "127.0.0.1:1", "--client", "127.0.0.1:2", "--data", "d"],
        &["--writes", "0"],
    ];
    for words in wrong {
        let output = kv().args(words).output()?;
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    Ok(())
}

#[test]
fn a_node_that_cannot_start_says_why_and_changes_nothing() -> Result {
    let mut cluster = Cluster::start(3)?;
    cluster.put("color", "red")?;
    let data = cluster.data(1);

    // Its port is in use. It does not even make its folder.
    let elsewhere = cluster.folder.path().join("elsewhere");
    let said = cluster.refuses(1, &elsewhere)?;
    let address = cluster.peers[&1].to_string();
    assert!(said.contains("cannot listen at") && said.contains(&address), "{said}");
    assert!(!elsewhere.exists());

    // The port of its clients is.
    let mut other = Cluster::new(3)?;
    other.clients.insert(1, cluster.clients[&1]);
    let said = other.refuses(1, &elsewhere)?;
    let address = cluster.clients[&1].to_string();
    assert!(said.contains("cannot listen for clients") && said.contains(&address), "{said}");
    assert!(!elsewhere.exists());

    // Its data is in use by a node that runs.
    let other = Cluster::new(3)?;
    let said = other.refuses(1, &data)?;
    assert!(said.contains(&data.display().to_string()) && said.contains("held"), "{said}");

    // Its data is another node's.
    for id in 1..=3 {
        cluster.kill(id)?;
    }
    let before = content(&data)?;
    let said = other.refuses(2, &data)?;
    assert!(said.contains("is the data of n1 of n1,n2,n3, this is n2 of n1,n2,n3"), "{said}");
    assert_eq!(content(&data)?, before);

    // It is not one of the cluster.
    let mut stranger = other.command(1, &elsewhere);
    stranger.args(["--id", "9"]);
    assert_eq!(stranger.output()?.status.code(), Some(2), "--id was given twice");
    Ok(())
}

#[test]
fn a_flipped_byte_is_refused_and_named() -> Result {
    let mut cluster = Cluster::start(1)?;
    for number in 0..20 {
        cluster.put(&format!("key-{number}"), "value")?;
    }
    cluster.kill(1)?;
    let data = cluster.data(1);
    let whole = content(&data)?;
    let name = "00000000000000000001.wal";
    let bytes = &whole[name];
    let used = bytes.iter().rposition(|byte| *byte != 0).ok_or("the log is empty")?;
    // The last group may be cut like a torn tail: nothing behind it says that it was synced.
    for at in (0..used - 400).step_by(61) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(data.join(name), &damaged)?;
        let said = cluster.refuses(1, &data)?;
        assert!(said.contains(&format!("damaged: {name} at offset ")), "byte {at}: {said}");
        // The first 64 bytes are the header, which is of no record.
        assert!(at < 64 || said.contains(", record "), "byte {at}: {said}");
        assert_eq!(fs::read(data.join(name))?, damaged, "a refusal changes nothing");
    }
    fs::write(data.join(name), bytes)?;

    // A torn tail is cut, and the node starts.
    let mut torn = bytes[..(used + 1).next_multiple_of(8)].to_vec();
    torn.extend([0xab; 20]);
    fs::write(data.join(name), torn)?;
    cluster.start_node(1)?;
    assert_eq!(cluster.get("key-19")?, "value");
    let said = fs::read_to_string(cluster.log(1))?;
    assert!(said.contains("cut a torn tail of"), "{said}");
    Ok(())
}

#[test]
fn nonsense_from_clients_and_peers_is_counted_and_survived() -> Result {
    let cluster = Cluster::start(1)?;
    cluster.put("color", "red")?;
    let frame = |length: u32, crc: u32, version: u8| {
        let mut bytes = [&length.to_le_bytes()[..], &crc.to_le_bytes()].concat();
        bytes.extend([version, 3, 0, 0]);
        bytes.extend([0; 12]);
        bytes
    };
    let nonsense = [
        frame(u32::MAX, 0, 1), // an absurd length
        frame(16, 0x1234, 1),  // a wrong checksum
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ];
    let before = cluster.status(1)?["bad_frames"].as_u64().ok_or("it is a number")?;
    for address in [cluster.clients[&1], cluster.peers[&1]] {
        for bytes in &nonsense {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(bytes)?;
            // It closes the connection; what it says before is its hello.
            _ = stream.read_to_end(&mut Vec::new());
        }
    }
    assert_eq!(cluster.status(1)?["bad_frames"].as_u64(), Some(before + 6));
    assert_eq!(cluster.get("color")?, "red");
    Ok(())
}

#[test]
fn a_load_writes_a_history_that_makes_sense() -> Result {
    let cluster = Cluster::start(3)?;
    let history = cluster.folder.path().join("history.jsonl");
    let words = ["load", "--clients", "4", "--writes", "200", "--keys", "3", "--history"];
    let output = cluster.ask(&[&words[..], &[&history.display().to_string()]].concat())?;
    assert!(output.status.success(), "{output:?}");
    let lines = fs::read_to_string(&history)?;
    let lines: Vec<Value> =
        lines.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    let writes = lines.iter().filter(|line| line["op"] != "get").count();
    assert_eq!(writes, 200);
    for line in &lines {
        assert!(line["start_ns"].as_u64() < line["end_ns"].as_u64(), "{line}");
        assert!(["ok", "fail", "unknown"].map(Value::from).contains(&line["outcome"]), "{line}");
        if line["op"] == "get" && line["value"].is_string() {
            // Somebody wrote that, and began before it was read.
            let wrote = |other: &&Value| {
                other["key"] == line["key"]
                    && (other["value"] == line["value"] || other["value"][1] == line["value"])
                    && other["op"] != "get"
                    && other["start_ns"].as_u64() < line["end_ns"].as_u64()
            };
            assert!(lines.iter().any(|other| wrote(&other)), "nobody wrote {line}");
        }
    }
    Ok(())
}

/// On a file system of its own that is as small as can be. Needs the right to mount one.
#[test]
fn a_full_disk_is_an_error_until_there_is_room() -> Result {
    let mut cluster = Cluster::new(1)?;
    let data = cluster.data(1);
    fs::create_dir(&data)?;
    let mount = Mount::new(&data, "4m")?;
    let Some(_mount) = mount else {
        println!("skipped: no right to mount a file system here");
        return Ok(());
    };
    cluster.start_node(1)?;
    cluster.put("first", "1")?;
    let filler = data.join("filler");
    fs::write(&filler, vec![7; 1 << 20])?;
    let value = "x".repeat(50_000);
    let mut acknowledged = Vec::new();
    let said = loop {
        let key = format!("key-{}", acknowledged.len());
        let output = cluster.ask(&["put", &key, &value, "--patience", "2"])?;
        if !output.status.success() {
            break String::from_utf8(output.stderr)?;
        }
        acknowledged.push(key);
        assert!(acknowledged.len() < 200, "the disk is never full");
    };
    assert!(said.contains("not done") || said.contains("unknown whether done"), "{said}");
    let refused = cluster.ask(&["put", "refused", "x", "--patience", "2"])?;
    let said = String::from_utf8(refused.stderr)?;
    assert!(said.contains("not done: the disk of the leader is full"), "{said}");
    assert_eq!(cluster.status(1)?["disk_full"], true);
    assert_eq!(cluster.get("first")?, "1");

    fs::remove_file(&filler)?;
    cluster.put("again", "2")?;
    assert_eq!(cluster.status(1)?["disk_full"], false);
    // And after a crash all of it is there.
    cluster.kill(1)?;
    cluster.start_node(1)?;
    for key in &acknowledged {
        assert_eq!(cluster.get(key)?, value);
    }
    assert_eq!(cluster.get("again")?, "2");
    cluster.kill(1)
}

/// A file system in memory, unmounted when it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(path: &Path, size: &str) -> Result<Option<Self>> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path);
        let is_mounted = command.stderr(Stdio::null()).status().is_ok_and(|it| it.success());
        Ok(is_mounted.then(|| Self(path.to_owned())))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
