//! What can be read of a damaged log, and what can be put back.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::Disk as _;
use quorate_wal::{
    Config, Index, Lost, Memory, OpenError, ReadError, Recovered, Recovery, RestoreError, Wal, Why,
    WriteError,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

fn record(index: u64) -> Bytes {
    let byte = u8::try_from(index).expect("few");
    vec![byte; 40 * (1 + usize::from(byte) % 4)].into()
}

/// A log of 30 records in several segments, each synced, closed.
fn log() -> Memory {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for index in 1..=30 {
        wal.append(record(index)).and_then(|ack| ack.wait()).expect("memory has room");
    }
    wal.close().expect("memory has room");
    disk
}

fn salvage() -> Config {
    let mut config = config();
    config.recovery = Recovery::Salvage;
    config
}

fn open(disk: &Memory) -> (Wal<Memory>, Recovered) {
    Wal::open_on(disk.clone(), salvage()).expect("what is left of it opens")
}

fn names(disk: &Memory) -> Vec<String> {
    let names = disk.list().expect("memory does not fail");
    names.into_iter().filter(|name| name.ends_with(".wal")).collect()
}

fn damage(disk: &Memory, name: &str, offset: u64) {
    let mut content = disk.content(name).expect("it is there");
    content[usize::try_from(offset).expect("small")] ^= 0x10;
    disk.set_content(name, content);
}

/// What every index reads as: the record, or the reason that it does not.
fn read_each(wal: &Wal<Memory>) -> BTreeMap<u64, Result<Bytes, Why>> {
    let range = wal.first_index().0..wal.next_index().0;
    let read = |index| match wal.read(Index(index)) {
        Ok(found) => (index, Ok(found.expect("it is in the range"))),
        Err(ReadError::Corrupt(damage)) => {
            assert_eq!(damage.index, Some(Index(index)), "{damage}");
            (index, Err(damage.why))
        }
        Err(error) => panic!("record {index}: {error:?}"),
    };
    range.map(read).collect()
}

/// Says where the frame of each record is, and the length of its head and payload.
fn frames(disk: &Memory) -> Vec<(String, u64, u64, u64)> {
    let mut frames = Vec::new();
    for (sequence, name) in (1..).zip(names(disk)) {
        for frame in quorate_wal::inspect::frames(disk, sequence).expect("nothing is damaged yet") {
            if frame.kind == "data" {
                let bytes = frame.payload_bytes.into();
                frames.push((name.clone(), frame.index.0, frame.offset, bytes));
            }
        }
    }
    frames
}

#[test]
fn each_damaged_payload_is_named_the_rest_reads_and_it_is_healed_in_place() {
    let disk = log();
    for (name, index, offset, payload_bytes) in frames(&disk) {
        let copy = disk.fork();
        damage(&copy, &name, offset + 24 + payload_bytes / 2);
        let (wal, recovered) = open(&copy);
        let [found] = recovered.damaged[..] else { panic!("{recovered:?}") };
        assert_eq!((found.file(), found.offset, found.why), (name.clone(), offset, Why::Payload));
        assert_eq!((found.index, recovered.lost.as_slice()), (Some(Index(index)), &[][..]));
        for (read, result) in read_each(&wal) {
            let expected = if read == index { Err(Why::Payload) } else { Ok(record(read)) };
            assert_eq!(result, expected, "record {read} of a log with damage in {index}");
        }
        let wrong = wal.restore(Index(index), &record(index + 4));
        assert!(matches!(wrong, Err(RestoreError::Mismatch { .. })), "{wrong:?}");
        wal.restore(Index(index), &record(index)).expect("the head is intact");
        assert!(read_each(&wal).values().all(Result::is_ok));
        wal.verify().expect("all is healed");
        wal.append("more").and_then(|ack| ack.wait()).expect("nothing else is damaged");
        drop(wal);
        let (wal, _) = Wal::open_on(copy.fork(), config()).expect("it is whole again");
        assert_eq!(wal.next_index(), Index(32));
    }
}

#[test]
fn a_damaged_head_loses_its_record_and_no_other() {
    let disk = log();
    for (name, index, offset, _) in frames(&disk) {
        let copy = disk.fork();
        damage(&copy, &name, offset + 5);
        let before = copy.content(&name);
        let (wal, recovered) = open(&copy);
        let [Lost { indexes, damage, .. }] = &recovered.lost[..] else {
            panic!("record {index}: {recovered:?}")
        };
        assert_eq!(*indexes, Index(index)..Index(index + 1));
        assert_eq!((damage.file(), damage.offset), (name.clone(), offset));
        for (read, result) in read_each(&wal) {
            let expected = if read == index { Err(Why::Head) } else { Ok(record(read)) };
            assert_eq!(result, expected, "record {read} of a log with damage in {index}");
        }
        let refused = wal.append("more").map(drop);
        assert!(matches!(refused, Err(WriteError::ReadOnly { damage: Some(_) })), "{refused:?}");
        let restored = wal.restore(Index(index), &record(index));
        assert!(matches!(restored, Err(RestoreError::NoPlace(_))), "{restored:?}");
        wal.close().expect("there is nothing to do");
        assert_eq!(copy.content(&name), before, "nothing was changed");
    }
}

#[test]
fn every_flipped_bit_costs_at_most_the_record_it_is_in() {
    let disk = log();
    let (mut exact, mut one, mut refused) = (0, 0, 0);
    for name in names(&disk) {
        let content = disk.content(&name).expect("it is there");
        for byte in 0..content.len() {
            let copy = disk.fork();
            damage(&copy, &name, byte as u64);
            let wal = match Wal::open_on(copy, salvage()) {
                Ok((wal, _)) => wal,
                Err(error) => panic!("{name} at {byte}: {error:?}"),
            };
            let read = read_each(&wal);
            let bad = read.values().filter(|it| it.is_err()).count();
            let all = read.iter().filter_map(|(index, it)| Some((index, it.as_ref().ok()?)));
            all.for_each(|(index, found)| assert_eq!(*found, record(*index)));
            assert_eq!(read.len(), 30, "{name} at {byte}");
            assert!(bad <= 1, "{name} at {byte}: {bad} of {read:?}");
            exact += u32::from(bad == 0);
            one += u32::from(bad == 1);
            refused += u32::from(wal.append("more").is_err());
        }
    }
    println!("{exact} exact, {one} with one record damaged, {refused} take no changes");
    assert!(500 < exact && 1_000 < one && 500 < refused);
}

#[test]
fn a_missing_segment_is_a_range_that_is_lost() {
    let disk = log();
    let all = frames(&disk);
    let names = names(&disk);
    for name in &names[..names.len() - 1] {
        let copy = disk.fork();
        copy.remove(name).expect("it is there");
        let indexes = || all.iter().filter(|it| it.0 == *name).map(|it| it.1);
        let (first, last) = (indexes().min().expect("some"), indexes().max().expect("some"));
        let strict = Wal::open_on(copy.fork(), config()).map(drop);
        assert!(matches!(strict, Err(OpenError::MissingSegment { .. })), "{strict:?}");
        let (wal, recovered) = open(&copy);
        let [Lost { indexes, damage, .. }] = &recovered.lost[..] else { panic!("{recovered:?}") };
        assert_eq!(*indexes, Index(first)..Index(last + 1));
        assert_eq!((damage.file(), damage.why), (name.clone(), Why::Missing));
        let read = read_each(&wal);
        assert!(read.iter().all(|(index, it)| it.is_ok() != (first..=last).contains(index)));
    }
}

#[test]
fn a_truncation_that_is_damaged_is_known_by_what_follows() {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for index in 1..=6 {
        wal.append(record(index)).and_then(|ack| ack.wait()).expect("memory has room");
    }
    wal.truncate_suffix(Index(4)).and_then(|ack| ack.wait()).expect("memory has room");
    for index in 14..=15 {
        wal.append(record(index)).and_then(|ack| ack.wait()).expect("memory has room");
    }
    wal.close().expect("memory has room");
    let frames = quorate_wal::inspect::frames(&disk, 1).expect("nothing is damaged yet");
    let cut = frames.iter().find(|it| it.kind == "truncate-suffix").expect("it is there");
    for byte in 0..32 {
        let copy = disk.fork();
        damage(&copy, &names(&disk)[0], cut.offset + byte);
        let (wal, recovered) = open(&copy);
        assert_eq!(recovered.range, Index(1)..Index(6), "byte {byte}");
        let expected: Vec<Bytes> = [1, 2, 3, 14, 15].map(record).to_vec();
        assert_eq!(read_all(&wal), expected, "byte {byte}");
    }
}

#[test]
fn a_sound_or_torn_log_opens_as_ever() {
    let disk = log();
    let (wal, recovered) = open(&disk);
    assert!(recovered.damaged.is_empty() && recovered.read_only.is_none());
    wal.append("torn").and_then(|ack| ack.wait()).expect("memory has room");
    drop(wal);
    let name = names(&disk).pop().expect("there is one");
    let len = disk.content(&name).expect("it is there").len();
    damage(&disk, &name, len as u64 - 9);
    let (wal, recovered) = open(&disk);
    assert!(recovered.cut.is_some() && recovered.read_only.is_none());
    wal.append("more").and_then(|ack| ack.wait()).expect("memory has room");
}

#[test]
fn nothing_that_was_certified_is_cut_off_with_the_tail() {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for byte in 1..=4 {
        wal.append(vec![byte; 40]).and_then(|ack| ack.wait()).expect("memory has room");
    }
    drop(wal);
    let name = "00000000000000000001.wal";
    damage(&disk, name, 64 + 2 * 64 + 10);
    damage(&disk, name, 64 + 3 * 64 + 30);
    let (wal, recovered) = open(&disk);
    assert_eq!(recovered.range, Index(1)..Index(4), "the fourth is torn, the third is not");
    assert_eq!(recovered.lost[0].indexes, Index(3)..Index(4));
    assert!(matches!(recovered.read_only, Some(WriteError::ReadOnly { damage: Some(_) })));
    assert!(matches!(wal.read(Index(3)), Err(ReadError::Corrupt(_))));
}

#[test]
fn what_a_removal_left_does_not_keep_a_record_from_being_healed() {
    let disk = log();
    let (name, index, offset, _) = frames(&disk).swap_remove(24);
    let first = disk.content("00000000000000000001.wal").expect("it is there");
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("it is whole");
    wal.truncate_prefix(Index(20)).expect("memory has room");
    wal.close().expect("memory has room");
    disk.set_content("00000000000000000001.wal", first);
    damage(&disk, &name, offset + 30);
    let (wal, recovered) = open(&disk);
    assert!(recovered.read_only.is_none() && recovered.damaged.len() == 1, "{recovered:?}");
    assert!(!names(&disk).contains(&"00000000000000000001.wal".to_owned()));
    wal.restore(Index(index), &record(index)).expect("it is what stood there");
    drop(wal);
    Wal::open_on(disk, config()).expect("it is healed");
}

#[test]
fn a_torn_tail_behind_damage_is_cut_off_only_where_records_alone_are_damaged() {
    for is_payload in [true, false] {
        let disk = log();
        let (wal, _) = Wal::open_on(disk.clone(), config()).expect("nothing is damaged yet");
        wal.append("torn").and_then(|ack| ack.wait()).expect("memory has room");
        drop(wal);
        let (name, _, offset, _) = frames(&disk).swap_remove(2);
        let last = names(&disk).pop().expect("there is one");
        let len = disk.content(&last).expect("it is there").len();
        damage(&disk, &last, len as u64 - 7);
        damage(&disk, &name, offset + if is_payload { 30 } else { 5 });
        let before = disk.content(&last);
        let (wal, recovered) = open(&disk);
        assert_eq!(wal.next_index(), Index(31), "the torn one was not acknowledged for sure");
        assert_eq!(recovered.cut.is_some(), is_payload);
        assert_eq!(disk.content(&last) == before, !is_payload);
    }
}

#[test]
fn frames_in_the_payload_of_a_damaged_head_are_no_records() {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let append =
        |record: Bytes| wal.append(record).and_then(|ack| ack.wait()).expect("memory has room");
    append("old".into());
    let content = disk.content("00000000000000000001.wal").expect("it is there");
    let frame = Bytes::copy_from_slice(&content[64..64 + 32]);
    wal.truncate_suffix(Index(1)).and_then(|ack| ack.wait()).expect("memory has room");
    append("new".into());
    // A backup of the log, as a record of itself.
    append(frame);
    append("last".into());
    drop(wal);
    // Behind the old one, the truncation and the new one.
    damage(&disk, "00000000000000000001.wal", 64 + 3 * 32 + 10);
    let (wal, recovered) = open(&disk);
    assert_eq!(recovered.lost[0].indexes, Index(2)..Index(3));
    assert_eq!(wal.read(Index(1)).expect("it is whole").expect("it is there"), "new");
}
