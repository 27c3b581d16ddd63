//! Snapshots of any bytes, and of damaged ones: refused, or exactly what was written.
//!
//! ```text
//! input  flags u8 | at u16 | bytes
//! flags  1 the bytes are a snapshot, else damage of one at `at`   2 checksums are made to fit
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::bounded;
use quorate_wal::{Config, Index, Memory, Preallocate, SnapshotConfig, Snapshots, Wal, fuzzing};

const NAME: &str = "00000000000000000002.snapshot";

fuzz_target!(|input: &[u8]| {
    let Some((&[flags, low, high], bytes)) = input.split_first_chunk() else { return };
    let at = u16::from_le_bytes([low, high]);
    bounded(bytes.len(), 4, || fuzzing::snapshot(bytes, (at / 2).into(), at.into()));

    let disk = Memory::new();
    let snapshots = snapshots_of(&disk);
    let written: Vec<u8> = (0..=250).cycle().take(1_000).collect();
    let mut writer = snapshots.create(Index(2), b"meta").expect("there is room");
    writer.append(&written).expect("there is room");
    writer.finish().expect("there is room");
    let sound = disk.content(NAME).expect("it is finished");
    let mut content = sound.clone();
    if flags & 1 != 0 {
        content = bytes.to_vec();
    } else {
        let start = usize::from(at).min(content.len());
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }
    let has_fitting = flags & 2 != 0;
    if has_fitting {
        fuzzing::mend_snapshot(&mut content);
    }
    let is_changed = sound != content;
    let total = content.len();
    disk.set_content(NAME, &*content);
    let mut newest = None;
    bounded(total, 4, || newest = Some(snapshots.newest()));
    let Ok(mut newest) = newest.expect("it was measured") else { return };
    assert_eq!(newest.reader.is_none(), !newest.damaged.is_empty());
    let Some(reader) = &mut newest.reader else {
        assert!(is_changed, "nothing was damaged");
        return;
    };
    let mut found = Vec::new();
    while let Some(chunk) = reader.next_chunk().expect("it was checked to its end") {
        found.extend_from_slice(&chunk);
    }
    assert!(is_changed || found == written);
    // Whatever it holds, written again it has these bytes and no others.
    let other = Memory::new();
    let mut writer = snapshots_of(&other).create(Index(2), &reader.meta()).expect("there is room");
    writer.append(&found).expect("there is room");
    writer.finish().expect("there is room");
    assert_eq!(other.content(NAME), Some(content));
});

/// Opens the snapshots of a log that is always the same.
fn snapshots_of(disk: &Memory) -> Snapshots<Memory> {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    let snapshots = Snapshots::open_on(disk.clone(), &wal, SnapshotConfig::default());
    snapshots.expect("there are none")
}
