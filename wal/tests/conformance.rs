//! Published vectors, and bytes that are frozen.

use bytes::Bytes;
use quorate_core::{Disk as _, SplitMix64};
use quorate_wal::{
    Config, Entry, EntryLog, Index, Memory, Preallocate, SnapshotConfig, Snapshots, Wal,
};

use golden::{CHUNK, EMPTY, END_MARK, HEADER, HELLO, MARK, SEAL, SNAPSHOT, TRAILER};

#[path = "small/golden.rs"]
mod golden;

/// Source: the `RevEng` CRC catalogue, "CRC-32/ISO-HDLC", for the check value; the others are what
/// `zlib` computes.
#[test]
fn crc_32_iso_hdlc() {
    let counting: Vec<u8> = (0..32).collect();
    for (bytes, expect) in [
        (&b""[..], 0),
        (b"abc", 0x3524_41c2),
        (b"123456789", 0xcbf4_3926),
        (&[0; 32], 0x190a_55ad),
        (&counting, 0x9126_7e8a),
        (&[0; 4_096], 0xc71c_0011),
    ] {
        assert_eq!(crc32fast::hash(bytes), expect, "{} bytes", bytes.len());
    }
    for (bytes, expect) in [(&b""[..], 0x7b1d_cdaf), (b"123456789", 0x76a6_26f1)] {
        let mut hasher = crc32fast::Hasher::new_with_initial(0x7b1d_cdaf);
        hasher.update(bytes);
        assert_eq!(hasher.finalize(), expect);
    }
}

/// Salts are made of it.
#[test]
fn split_mix_64_first_outputs() {
    assert_eq!(SplitMix64::new(0).next_u64(), 0xe220_a839_7b1d_cdaf);
    assert_eq!(SplitMix64::new(1).next_u64(), 0x910a_2dec_8902_5cc1);
}

/// Released bytes: a change here is a new version of the format.
#[test]
fn a_closed_log_as_bytes() {
    let disk = Memory::new();
    let wal = golden(&disk);
    wal.close().expect("memory has room");
    check(&disk, FIRST, &[HEADER, HELLO, EMPTY, MARK]);
}

#[test]
fn a_sealed_segment_as_bytes() {
    let disk = Memory::new();
    let wal = golden(&disk);
    let ack = wal.append(vec![7; 1_000]).expect("within limits");
    ack.wait().expect("memory has room");
    check(&disk, FIRST, &[HEADER, HELLO, EMPTY, SEAL, TRAILER]);

    let second = disk.content("00000000000000000002.wal").expect("the log rolled");
    assert_eq!(hex(&second[24..40]), "02000000000000000300000000000000");
    assert_eq!(hex(&second[48..56]), "ed8f01db02abe23b", "salt, and the Seal before");
    assert_eq!(hex(&second[64..72]), "766f746500000000", "the state is carried over");
}

/// Released bytes, computed by a script of their own from the drawing of the format.
#[test]
fn a_snapshot_as_bytes() {
    let disk = Memory::new();
    let wal = golden(&disk);
    let snapshots = Snapshots::open_on(disk.clone(), &wal, SnapshotConfig::default());
    let snapshots = snapshots.expect("there are none");
    let mut writer = snapshots.create(Index(2), b"meta!").expect("memory has room");
    writer.append(b"hello, world").expect("memory has room");
    writer.finish().expect("memory has room");
    let name = "00000000000000000002.snapshot";
    check(&disk, name, &[SNAPSHOT, CHUNK, END_MARK]);
}

/// Source: hashicorp/raft-wal, `wal_test.go`, `TestDeleteRange`: records from 1000, a hundred to a
/// segment, the last is 1109. Ours never uses an index again that was below the mark.
#[test]
fn hashicorp_delete_range() {
    let segments = |disk: &Memory| {
        let names = disk.list().expect("memory can be listed");
        names.iter().filter(|name| name.ends_with(".wal")).count()
    };
    let open = |disk: &Memory| {
        let mut config = Config::default();
        config.segment_bytes = 4_096;
        config.preallocate = Preallocate::None;
        Wal::open_on(disk.clone(), config).expect("it is sound").0
    };
    let make = || {
        let disk = Memory::new();
        let wal = open(&disk);
        wal.truncate_prefix(Index(1_000)).expect("memory has room");
        for _ in 1_000..=1_109 {
            wal.append([7; 16].to_vec()).and_then(|ack| ack.wait()).expect("memory has room");
        }
        assert_eq!(segments(&disk), 2);
        (disk, wal)
    };
    for (to, first, next, files) in [
        (101, 1_000, 1_110, 2),
        (1_011, 1_011, 1_110, 2),
        (1_102, 1_102, 1_110, 1),
        (1_110, 1_110, 1_110, 1),
    ] {
        let (disk, wal) = make();
        wal.truncate_prefix(Index(to)).expect("memory has room");
        drop(wal);
        let wal = open(&disk);
        assert_eq!((wal.first_index(), wal.next_index()), (Index(first), Index(next)), "to {to}");
        assert_eq!(segments(&disk), files, "to {to}");
        assert_eq!(wal.records(..).count() as u64, next - first);
    }
    let (disk, wal) = make();
    wal.truncate_suffix(Index(1_108)).and_then(|ack| ack.wait()).expect("memory has room");
    drop(wal);
    let wal = open(&disk);
    assert_eq!((wal.first_index(), wal.next_index()), (Index(1_000), Index(1_108)));
    let ack = wal.append("again").expect("within limits");
    assert_eq!(ack.indexes().start, Index(1_108));
}

/// The state and the record of an entry, as they lie in the log.
#[test]
fn an_entry_as_bytes() {
    let disk = Memory::new();
    let mut config = Config::default();
    config.initial_state = Bytes::from_static(b"vote");
    let (log, _) = EntryLog::open_on(disk, config).expect("it is empty");
    let entry = Entry { term: 0x0102, data: Bytes::from_static(b"hello") };
    drop(log.append(Index(1), &[entry.clone(), entry]).expect("within limits"));
    log.compact_to(Index(1)).expect("memory has room");
    let record = log.wal().read(Index(2)).expect("sound").expect("it is there");
    assert_eq!(hex(&record), "020100000000000068656c6c6f");
    let state = "454e545249455301 0100000000000000 0201000000000000 766f7465".replace(' ', "");
    assert_eq!(hex(&log.wal().state()), state);
}

/// Log 1, state `vote`, one batch: `hello` and an empty record.
fn golden(disk: &Memory) -> Wal<Memory> {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    config.initial_state = Bytes::from_static(b"vote");
    let (wal, recovered) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    assert_eq!(recovered.range, Index(1)..Index(1));
    wal.append_batch(["hello", ""]).and_then(|ack| ack.wait()).expect("memory has room");
    wal
}

fn check(disk: &Memory, name: &str, expect: &[&str]) {
    let found = hex(&disk.content(name).expect("the segment is there"));
    let expect = expect.concat().replace(' ', "");
    assert_eq!(found, expect, "{name}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const FIRST: &str = "00000000000000000001.wal";
