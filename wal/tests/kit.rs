//! The folders and the storage of this crate keep what their traits say.

use std::io::ErrorKind;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{DecodeError, Wire};
use quorate_sim::{Op, kit};
use quorate_wal::{Config, Directory, Memory, RecordStore};

#[derive(Debug, PartialEq)]
struct Record(u64);

impl Wire for Record {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u64(self.0);
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self(input.try_get_u64()?))
    }
}

fn config() -> Config {
    let mut config = Config::default();
    // Short segments, so that some are freed.
    config.segment_bytes = 8 << 10;
    config.seed = Some(1);
    config
}

#[test]
fn a_directory_is_a_disk() {
    let folder = tempfile::tempdir().expect("there is room");
    let mut count = 0;
    let make = || {
        count += 1;
        Directory::new(folder.path().join(count.to_string())).expect("there is room")
    };
    kit::disk::check(make).expect_passed();
}

#[test]
fn a_folder_in_memory_is_a_disk() {
    kit::disk::check(Memory::new).expect_passed();
}

#[test]
fn a_record_store_is_a_storage() {
    let disk = Memory::new();
    let open = || RecordStore::open_on(disk.clone(), config()).expect("the log opens").0;
    kit::storage::check(open, Record).expect_passed();
}

#[test]
fn a_record_store_is_a_storage_through_crashes() {
    for survival in 0..3 {
        let (disk, mut entropy) = (quorate_sim::Disk::new(), 0);
        let open = || RecordStore::open_inline(disk.clone(), config()).expect("the log opens").0;
        let crash = || {
            entropy += 1;
            match survival {
                0 => disk.crash(entropy),
                1 => disk.crash_losing_unsynced(),
                _ => disk.crash_keeping_unsynced(),
            }
        };
        kit::storage::check_with_crash(open, Record, crash).expect_passed();
    }
}

#[test]
fn a_record_store_fails_as_a_storage_should() {
    let disk = quorate_sim::Disk::new();
    let open = || RecordStore::open_inline(disk.clone(), config()).expect("the log opens").0;
    let fail = || disk.fail(Op::Sync, 1, ErrorKind::Other);
    kit::storage::check_with_failure(open, Record, fail).expect_passed();
}

#[test]
fn a_record_store_without_room_keeps_what_was_appended() {
    let disk = quorate_sim::Disk::new();
    let open = || RecordStore::open_inline(disk.clone(), config()).expect("the log opens").0;
    let set_full = |is_full| {
        if is_full {
            disk.set_capacity(disk.used_bytes());
        } else {
            disk.clear_capacity();
        }
    };
    let report = kit::storage::check_with_full_disk(open, Record, set_full);
    report.expect_passed();
    let is_passed = |case: &kit::Case| case.outcome == kit::Outcome::Passed;
    assert!(report.cases.iter().all(is_passed), "{report}");
}
