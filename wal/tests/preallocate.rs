//! Where the room for frames comes from.

use quorate_core::Disk as _;
use quorate_sim::Disk;
use quorate_wal::{Config, Index, Preallocate, Retention, Wal, WriteError};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

const SEGMENT_BYTES: u64 = 4_096;

fn with(preallocate: Preallocate) -> Config {
    let mut config = config();
    config.segment_bytes = 4_096;
    config.preallocate = preallocate;
    config
}

fn open(disk: &Disk, config: &Config) -> Wal<Disk> {
    Wal::open_on(disk.clone(), config.clone()).expect("a crash closes no log").0
}

fn append(wal: &Wal<Disk>, byte: u8) {
    wal.append(vec![byte; 100]).and_then(|ack| ack.wait()).expect("the disk is sound");
}

fn file_bytes(disk: &Disk, sequence: u64) -> u64 {
    disk.content(&format!("{sequence:020}.wal")).map_or(0, |content| content.len() as u64)
}

fn spares(disk: &Disk) -> usize {
    let names = disk.list().expect("the disk is sound");
    names.iter().filter(|name| name.ends_with("-spare.wal.tmp")).count()
}

/// Returns how often the file of the first segment changed its length in `appends` syncs.
fn length_changes(preallocate: Preallocate, appends: u8) -> u32 {
    let disk = Disk::new();
    let wal = open(&disk, &with(preallocate));
    append(&wal, 0);
    let (mut changes, mut before) = (0, file_bytes(&disk, 1));
    for byte in 1..appends {
        append(&wal, byte);
        let now = file_bytes(&disk, 1);
        changes += u32::from(now != before);
        before = now;
    }
    changes
}

#[test]
fn a_sync_in_steady_state_changes_no_length() {
    // 30 frames of 128 bytes fill most of a segment.
    assert_eq!(length_changes(Preallocate::None, 30), 29, "each one");
    assert_eq!(length_changes(Preallocate::ZeroAhead { step: 4_096 }, 30), 0);
    assert_eq!(length_changes(Preallocate::Reserve, 30), 0);
}

#[test]
fn a_reserved_segment_gives_back_what_it_did_not_need() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Preallocate::Reserve));
    append(&wal, 1);
    assert_eq!(file_bytes(&disk, 1), SEGMENT_BYTES);
    wal.append(vec![2; 4_000]).and_then(|ack| ack.wait()).expect("the disk is sound");
    assert!(file_bytes(&disk, 1) < 400, "it is sealed");
    assert_eq!(file_bytes(&disk, 2), SEGMENT_BYTES);
}

#[test]
fn without_room_for_a_whole_segment_a_reserved_log_goes_on_in_what_there_is() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Preallocate::Reserve));
    disk.set_capacity(disk.used_bytes() + 1_000);
    for byte in 0..7 {
        append(&wal, byte);
    }
    let full = wal.append(vec![7; 300]).and_then(|ack| ack.wait());
    assert!(matches!(full, Err(WriteError::DiskFull)), "{full:?}");
    disk.clear_capacity();
    append(&wal, 7);
    assert_eq!(wal.next_index(), Index(9));
}

/// A log that fills segments and lets old ones go, and the records it must hold.
fn recycled(disk: &Disk, files: usize) -> Wal<Disk> {
    let wal = open(disk, &with(Preallocate::Recycle { files }));
    for byte in 0..200 {
        append(&wal, byte);
        if byte % 20 == 19 {
            let to = wal.next_index().0.saturating_sub(40).max(1);
            wal.truncate_prefix(Index(to)).expect("the disk is sound");
        }
    }
    wal
}

#[test]
fn files_of_segments_that_are_gone_are_used_again() {
    let disk = Disk::new();
    let wal = recycled(&disk, 2);
    assert!(spares(&disk) <= 2);
    assert!(5 < wal.stats().rolls);
    // The newest segment is as long as one can be, so a sync moves no length.
    let newest = wal.stats().rolls + 1;
    let before = file_bytes(&disk, newest);
    assert!(SEGMENT_BYTES <= before);
    append(&wal, 1);
    assert_eq!(file_bytes(&disk, newest), before);
    wal.close().expect("the disk is sound");
    assert_eq!(spares(&disk), 0, "a closed log leaves nothing else behind");
    assert!(file_bytes(&disk, newest) < SEGMENT_BYTES);
}

#[test]
fn no_record_of_a_former_life_of_a_file_comes_back() {
    for seed in 0..300 {
        let disk = Disk::new();
        let wal = recycled(&disk, 2);
        let expected = read_all(&wal);
        // In flight as the power fails.
        drop(wal.append(vec![255; 700]));
        disk.cut_power_after(seed % 4);
        _ = wal.sync();
        drop(wal);
        disk.fail_no_more();
        disk.crash(seed);
        let config = with(Preallocate::Recycle { files: 2 });
        let (wal, recovered) = Wal::open_on(disk.clone(), config).expect("a crash closes no log");
        let found = read_all(&wal);
        assert!(found.starts_with(&expected) && found.len() <= expected.len() + 1, "seed {seed}");
        if recovered.cut.is_none() {
            append(&wal, 9);
        }
        assert_eq!(spares(&disk), 0, "seed {seed}");
    }
}

#[test]
fn a_recycled_log_that_was_killed_is_whole() {
    let disk = Disk::new();
    let wal = recycled(&disk, 2);
    let expected = read_all(&wal);
    drop(wal);
    let config = with(Preallocate::Recycle { files: 2 });
    let (wal, recovered) = Wal::open_on(disk.clone(), config).expect("it is whole");
    assert_eq!((read_all(&wal), recovered.cut), (expected.clone(), None));
    drop(wal);
    // Who does not know of former lives cuts them off, and loses nothing.
    let wal = open(&disk, &with(Preallocate::None));
    assert_eq!(read_all(&wal), expected);
}

#[test]
fn on_a_full_disk_spare_files_go_first() {
    let disk = Disk::new();
    let wal = recycled(&disk, 2);
    wal.truncate_prefix(wal.next_index()).expect("the disk is sound");
    assert!(0 < spares(&disk), "there is one");
    disk.set_capacity(disk.used_bytes() + 100);
    let long = wal.append(vec![1; 8_500]).and_then(|ack| ack.wait());
    long.expect("the spare files had the room");
    assert_eq!(spares(&disk), 0);
}

#[test]
fn on_a_full_disk_the_only_spare_file_goes_though_a_roll_was_to_use_it() {
    let (disk, mut config) = (Disk::new(), with(Preallocate::Recycle { files: 1 }));
    config.segment_bytes = 4_096;
    let wal = open(&disk, &config);
    let append = |bytes: usize| wal.append(vec![1; bytes]).and_then(|ack| ack.wait());
    for _ in 0..7 {
        append(1_000).expect("there is room");
    }
    wal.truncate_prefix(Index(6)).expect("there is room");
    assert_eq!(spares(&disk), 1);
    append(1_000).expect("there is room");
    append(984).expect("there is room");
    // The Seal does not fit into the file.
    disk.set_capacity(disk.used_bytes());
    append(1_000).expect("the spare file had the room");
    assert_eq!(spares(&disk), 0);
}

#[test]
fn a_close_leaves_the_seal_of_a_segment_that_has_no_next() {
    let (disk, mut config) = (Disk::new(), with(Preallocate::Recycle { files: 2 }));
    config.segment_bytes = 4_096;
    let wal = open(&disk, &config);
    for _ in 0..3 {
        wal.append(vec![1; 1_000]).and_then(|ack| ack.wait()).expect("there is room");
    }
    // Enough for a Seal, and not for another header.
    disk.set_capacity(disk.used_bytes() + 130);
    let full = wal.append(vec![1; 1_900]).and_then(|ack| ack.wait());
    assert!(matches!(full, Err(WriteError::DiskFull)), "{full:?}");
    wal.close().expect("there is nothing left to write");
    let name = "00000000000000000001.wal";
    let content = disk.content(name).expect("it is the only one");
    for offset in 64..64 + 3 * 1_024 {
        let disk = Disk::new();
        disk.install(name, &content);
        assert!(disk.flip(name, offset, 0));
        let opened = Wal::open_on(disk, with(Preallocate::None));
        assert!(opened.is_err(), "offset {offset} was certified");
    }
}

#[test]
fn spare_files_count_as_bytes_that_a_retention_limits() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Preallocate::Recycle { files: 8 }));
    let limit = 3 * SEGMENT_BYTES;
    let policy = Retention { bytes: Some(limit), ..Retention::default() };
    for byte in 0..200 {
        append(&wal, byte);
        wal.retain(&policy, 0).expect("the disk is sound");
        let names = disk.list().expect("the disk is sound");
        let bytes = |name: &String| disk.content(name).map_or(0, |content| content.len() as u64);
        let total: u64 = names.iter().map(bytes).sum();
        assert!(total <= limit + SEGMENT_BYTES, "{total} after {byte}");
    }
}
