//! Snapshots of any bytes, and of damaged ones: refused, or exactly what was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_wal::{Config, Index, Memory, Preallocate, SnapshotConfig, Snapshots, Wal};

const NAME: &str = "00000000000000000007.snapshot";

fuzz_target!(|input: (bool, u16, u64, &[u8])| {
    let (is_raw, at, number, bytes) = input;
    quorate_wal::fuzzing::decode_snapshot(bytes, number, at.into());

    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config).unwrap();
    let snapshots = Snapshots::open_on(disk.clone(), &wal, SnapshotConfig::default()).unwrap();
    let written: Vec<u8> = (0..=250).cycle().take(1_000).collect();
    let mut writer = snapshots.create(Index(7), b"meta").unwrap();
    writer.append(&written).unwrap();
    writer.finish().unwrap();
    let mut content = disk.content(NAME).unwrap();
    if is_raw {
        content = bytes.to_vec();
    } else {
        let start = usize::from(at).min(content.len());
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }
    let is_changed = disk.content(NAME).unwrap() != content;
    disk.set_content(NAME, content);
    let Ok(mut newest) = snapshots.newest() else { return };
    assert_eq!(newest.reader.is_none(), !newest.damaged.is_empty());
    let Some(reader) = &mut newest.reader else {
        assert!(is_changed, "nothing was damaged");
        return;
    };
    let mut found = Vec::new();
    while let Some(chunk) = reader.next_chunk().expect("it was checked to its end") {
        found.extend_from_slice(&chunk);
    }
    // Whoever computes checksums may write what he likes: the fuzzer does not by chance.
    assert!(is_changed || found == written);
});
