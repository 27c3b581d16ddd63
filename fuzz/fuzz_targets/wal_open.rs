//! A folder of any bytes: it opens or is refused, and then nothing is changed. What opens can be
//! read, written, and opened again, and looking at it before says what opening finds.
//!
//! ```text
//! input  flags u8 | at u16 | bytes
//! flags   1 the bytes are a segment     2 all of it is checked     4 checksums are made to fit
//!         8 a torn tail is refused     16 the log was closed      32 with truncations
//! at     without flag 1: damage of a log of three segments, by these bytes: where; in which of
//!        them, the upper two bits say
//! ```

#![no_main]

use std::ops::Range;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quorate_core::Disk as _;
use quorate_fuzz::bounded;
use quorate_wal::inspect::{self, Verdict};
use quorate_wal::{
    Batch, Config, Index, Memory, OpenError, Preallocate, Recovery, Wal, copy, fuzzing,
};

fuzz_target!(|input: &[u8]| {
    let Some((&[flags, low, high], bytes)) = input.split_first_chunk() else { return };
    let disk = folder(flags, u16::from_le_bytes([low, high]), bytes);
    let before = contents(&disk);
    let total: usize = before.iter().map(|(_, content)| content.len()).sum();
    let found = inspect::log(&disk).expect("memory can be read");
    let mut config = config();
    config.verify_sealed = flags & 2 != 0;
    if flags & 8 != 0 {
        config.recovery = Recovery::Strict;
    }
    let mut opened = None;
    bounded(total, 8, || opened = Some(Wal::open_on(disk.clone(), config.clone())));
    let is_torn = matches!(found.verdict, Verdict::Torn(..));
    match opened.expect("it was measured") {
        Ok((wal, recovered)) => {
            assert!(!is_torn || config.recovery != Recovery::Strict);
            assert_eq!(recovered.cut.is_some(), is_torn);
            match &found.verdict {
                Verdict::Whole(range) | Verdict::Torn(range, _) => {
                    assert_eq!(&recovered.range, range);
                }
                // Footers are made anew. Those that whoever made checksums fit lies in, only a look
                // at all of it sees.
                Verdict::Damaged(range, _) => {
                    let has_seen_all = config.verify_sealed || flags & 4 == 0;
                    assert!(!has_seen_all || &recovered.range == range);
                    assert!(!has_seen_all || !recovered.damaged.is_empty());
                }
                // Damage in the middle, which only a look at all of it sees.
                verdict => assert!(!config.verify_sealed, "it opened, but {verdict}"),
            }
            use_it(&disk, wal, recovered.range, &config);
        }
        Err(error) => {
            assert_eq!(contents(&disk), before, "it refused, and changed something");
            match &found.verdict {
                Verdict::Refused(refused) if config.verify_sealed => {
                    assert_eq!(error.to_string(), refused.to_string());
                }
                Verdict::Refused(_) => {}
                // A footer that lies, with a checksum that fits: nobody looked at the frames.
                Verdict::Damaged(..) if flags & 4 != 0 && !config.verify_sealed => {}
                Verdict::Torn(..) => assert!(matches!(error, OpenError::Torn(_)), "{error}"),
                verdict => panic!("{error}, but {verdict}"),
            }
        }
    }
    salvage(&disk.fork(), flags & 4 != 0);
    // What is right of it can be had in any case.
    let (to, _) = Wal::open_on(Memory::new(), self::config()).expect("the disk is empty");
    match copy(&disk.fork(), &to) {
        Ok(copied) => {
            assert_eq!(read(&to).count() as u64, copied.range.end.0 - copied.range.start.0);
        }
        // Whoever makes checksums fit may write of records that there cannot be.
        Err(error) => assert!(flags & 4 != 0, "{error}"),
    }
});

/// Makes the folder that the input describes.
fn folder(flags: u8, at: u16, bytes: &[u8]) -> Memory {
    let has_fitting = flags & 4 != 0;
    if flags & 1 != 0 {
        let disk = Memory::new();
        let mut segment = bytes.to_vec();
        if has_fitting {
            fuzzing::mend(&mut segment, 0);
        }
        disk.set_content(&name(1), segment);
        return disk;
    }
    let disk = SOUND[usize::from(flags >> 4 & 3)].fork();
    let names = disk.list().expect("memory can be listed");
    let name = &names[usize::from(at >> 14) % names.len()];
    let mut content = disk.content(name).expect("it is listed");
    let start = usize::from(at & 0x3fff) % (content.len() + 1);
    content.resize(content.len().max(start + bytes.len()), 0);
    content[start..start + bytes.len()].copy_from_slice(bytes);
    disk.set_content(name, content);
    if has_fitting {
        let mut previous_crc = None;
        for name in &names {
            let mut content = disk.content(name).expect("it is listed");
            let stands = content.get(52..56).and_then(|it| it.try_into().ok());
            let stands = u32::from_le_bytes(stands.unwrap_or_default());
            fuzzing::mend(&mut content, previous_crc.unwrap_or(stands));
            previous_crc = fuzzing::seal_crc(&content);
            disk.set_content(name, content);
        }
    }
    disk
}

/// Logs of several segments: left as by a kill, closed; and both with truncations.
static SOUND: LazyLock<[Memory; 4]> =
    LazyLock::new(|| [(false, false), (true, false), (false, true), (true, true)].map(sound));

fn sound((is_closed, has_truncations): (bool, bool)) -> Memory {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let write = |batch| wal.write(batch).and_then(|ack| ack.wait()).expect("there is room");
    let mut records = Vec::new();
    for number in 1..=8_u8 {
        records.push(usize::from(number) * 23 % 200);
        let batch = records.iter().fold(Batch::new(), |it, len| it.append(vec![number; *len]));
        write(if number == 4 { batch.set_state("state") } else { batch });
        if has_truncations && number % 3 == 0 {
            let end = wal.next_index().0;
            write(Batch::new().truncate_suffix(Index(end - 3)).append("rewritten"));
            wal.truncate_prefix(Index(end / 4 + 1)).expect("there is room");
        }
    }
    if is_closed {
        wal.close().expect("there is room");
    } else {
        drop(wal);
    }
    disk
}

/// Opens a log that may be damaged, and reads what is there.
fn salvage(disk: &Memory, has_fitting: bool) {
    let mut config = config();
    config.recovery = Recovery::Salvage;
    let Ok((wal, recovered)) = Wal::open_on(disk.clone(), config) else { return };
    // A footer that lies, with a checksum that fits, is found when it is read by.
    let is_whole = !has_fitting && recovered.damaged.is_empty() && recovered.lost.is_empty();
    // Where much is lost, there may be more indexes than time.
    for index in (recovered.range.start.0..recovered.range.end.0).take(200) {
        let read = wal.read(Index(index));
        assert!(!is_whole || matches!(read, Ok(Some(_))), "{index}: {read:?}");
    }
    drop(wal.verify());
}

/// Reads, writes and reopens a log that was opened.
fn use_it(disk: &Memory, wal: Wal<Memory>, range: Range<Index>, config: &Config) {
    assert_eq!((wal.first_index(), wal.next_index()), (range.start, range.end));
    assert_eq!(wal.durable_end(), range.end);
    let records: Vec<_> = read(&wal).collect();
    let is_whole = records.len() as u64 == range.end.0 - range.start.0;
    assert!(is_whole || !config.verify_sealed, "{} of {range:?}", records.len());
    // A log whose indexes come to their end takes no more.
    if Index::MAX.0 / 2 < range.end.0 {
        return;
    }
    wal.append("more").and_then(|ack| ack.wait()).expect("there is room");
    drop(wal);
    let mut strict = config.clone();
    strict.recovery = Recovery::Strict;
    let (wal, again) = Wal::open_on(disk.clone(), strict.clone()).expect("it was made whole");
    assert_eq!((again.range.start, again.range.end), (range.start, Index(range.end.0 + 1)));
    assert_eq!(again.cut, None);
    let mut now: Vec<_> = read(&wal).collect();
    if is_whole {
        assert_eq!(now.pop().as_deref(), Some(&b"more"[..]));
    }
    assert_eq!(now, records);
    wal.close().expect("there is room");
    Wal::open_on(disk.clone(), strict).expect("it was closed");
}

/// Returns the records up to the first that is damaged.
fn read(wal: &Wal<Memory>) -> impl Iterator<Item = bytes::Bytes> {
    wal.records(..).map_while(|item| Some(item.ok()?.1))
}

fn contents(disk: &Memory) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().expect("memory can be listed");
    let content = |name: String| {
        let content = disk.content(&name).expect("it is listed");
        (name, content)
    };
    names.into_iter().map(content).collect()
}

fn config() -> Config {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    config
}

fn name(sequence: u64) -> String {
    format!("{sequence:020}.wal")
}
