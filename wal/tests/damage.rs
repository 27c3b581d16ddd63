//! Every flipped bit and every cut of a small log, and what opening says of it.

use bytes::Bytes;
use quorate_wal::inspect::{self, Verdict};
use quorate_wal::{
    Config, Damage, Index, Memory, OpenError, Preallocate, ReadError, Recovery, Wal, copy,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

/// Records of the log that is damaged here; the last two are one batch, and one group.
fn records() -> Vec<Bytes> {
    let long = |byte| Bytes::from(vec![byte; 500]);
    ["one", "two"]
        .map(Bytes::from)
        .into_iter()
        .chain([long(3), long(4), long(5)])
        .chain([Bytes::new(), "seven".into(), long(8), "nine".into(), "ten".into()])
        .collect()
}

/// Writes the log, one group per record but for the last two.
fn log(preallocate: Preallocate) -> (Memory, Wal<Memory>) {
    let disk = Memory::new();
    let mut config = config();
    config.preallocate = preallocate;
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    let records = records();
    let (last, others) = (&records[8..], &records[..8]);
    for record in others {
        wal.append(record.clone()).and_then(|ack| ack.wait()).expect("memory has room");
    }
    wal.append_batch(last.to_vec()).and_then(|ack| ack.wait()).expect("memory has room");
    (disk, wal)
}

/// The segments, oldest first.
fn segments(disk: &Memory) -> Vec<(String, Vec<u8>)> {
    let names = (1..).map(|sequence| format!("{sequence:020}.wal"));
    names.map_while(|name| disk.content(&name).map(|content| (name, content))).collect()
}

/// Calls `check` with each copy of `disk` in which one bit is flipped.
fn each_flip(disk: &Memory, mut check: impl FnMut(&str, usize, Memory)) {
    for (name, content) in segments(disk) {
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let copy = disk.fork();
            copy.set_content(&name, flipped);
            check(&name, bit / 8, copy);
        }
    }
}

/// A log whose sealed segments are read as a whole when it is opened.
fn verified() -> Config {
    let mut config = config();
    config.verify_sealed = true;
    config
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_refused_named_or_harmless() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    assert!(2 < segments(&disk).len(), "the log rolled");
    let (mut refused, mut named, mut exact) = (0, 0, 0);
    each_flip(&disk, |name, offset, copy| {
        let expect = |damage: Damage| {
            assert_eq!(damage.file(), name);
            let found = usize::try_from(damage.offset).expect("small");
            assert!(found <= offset, "{name} at {offset}: {damage}");
        };
        let (wal, recovered) = match Wal::open_on(copy, config()) {
            Err(OpenError::Corrupt(damage)) => {
                refused += 1;
                return expect(damage);
            }
            Err(error) => panic!("{name} at {offset}: {error:?}"),
            Ok(opened) => opened,
        };
        recovered.damaged.iter().for_each(|damage| expect(*damage));
        let mut is_exact = true;
        for (index, record) in (1..).map(Index).zip(records()) {
            match wal.read(index) {
                Ok(found) => assert_eq!(found, Some(record), "{name} at {offset}"),
                Err(ReadError::Corrupt(damage)) => {
                    is_exact = false;
                    expect(damage);
                }
                Err(error) => panic!("{name} at {offset}: {error:?}"),
            }
        }
        let is_whole = is_exact && recovered.damaged.is_empty();
        assert_eq!(wal.verify().is_ok(), is_whole, "{name} at {offset}");
        exact += u32::from(is_exact);
        named += u32::from(!is_exact);
    });
    println!("{refused} refused, {named} named by a read, {exact} exact");
    assert!(1_000 < refused && 5_000 < named && 500 < exact);
}

#[test]
fn every_flipped_bit_of_a_closed_log_that_is_read_as_a_whole_is_refused_or_harmless() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    let (mut refused, mut rebuilt) = (0, 0);
    each_flip(&disk, |name, offset, copy| match Wal::open_on(copy, verified()) {
        Err(OpenError::Corrupt(damage)) => {
            assert_eq!(damage.file(), name);
            let found = usize::try_from(damage.offset).expect("small");
            assert!(found <= offset, "{name} at {offset}: {damage}");
            refused += 1;
        }
        Err(error) => panic!("{name} at {offset}: {error:?}"),
        Ok((wal, recovered)) => {
            assert_eq!(read_all(&wal), records(), "{name} at {offset}");
            let is_seen = recovered.cut.is_some() || !recovered.damaged.is_empty();
            assert!(is_seen, "only the Mark, or a footer: {name} at {offset}");
            rebuilt += u32::from(!recovered.damaged.is_empty());
        }
    });
    assert!(9_000 < refused && 500 < rebuilt, "{refused} refused, {rebuilt} rebuilt");
}

/// Looking and opening say the same, and a copy has what stands before the damage: no record more,
/// none changed, and no batch by halves.
#[test]
fn every_flipped_bit_is_found_by_looking_and_left_out_of_a_copy() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    let (mut whole, mut shorter) = (0, 0);
    each_flip(&disk, |name, offset, damaged| {
        let found = inspect::log(&damaged).expect("memory can be read");
        let is_refused = Wal::open_on(damaged.fork(), verified()).is_err();
        assert_eq!(matches!(found.verdict, Verdict::Refused(_)), is_refused, "{name} at {offset}");
        let (wal, _) = Wal::open_on(Memory::new(), config()).expect("the disk is empty");
        copy(&damaged, &wal).expect("memory has room");
        // Of a segment whose header is damaged nothing is known, and what follows is copied.
        let first = usize::try_from(wal.first_index().0).expect("small");
        let (copied, all) = (read_all(&wal), records());
        assert!(all[first - 1..].starts_with(&copied), "{name} at {offset}");
        let end = first - 1 + copied.len();
        assert_ne!(end, 9, "half of a batch, {name} at {offset}");
        whole += u32::from(copied.len() == 10);
        shorter += u32::from(end < 10);
    });
    assert!(500 < whole && 5_000 < shorter, "{whole} are whole, {shorter} are not");
}

#[test]
fn every_flipped_bit_of_a_killed_log_is_refused_or_takes_the_last_group() {
    let (disk, wal) = log(Preallocate::None);
    drop(wal);
    each_flip(&disk, |name, offset, copy| {
        if let Ok((wal, recovered)) = Wal::open_on(copy, verified()) {
            if !recovered.damaged.is_empty() {
                return assert_eq!(read_all(&wal), records(), "{name} at {offset}");
            }
            assert_eq!(read_all(&wal), records()[..8], "{name} at {offset}");
            let named = recovered.cut.expect("the last group").damage.index;
            assert!(named == Some(Index(9)) || named == Some(Index(10)), "{named:?}");
        }
    });
}

#[test]
fn a_log_cut_anywhere_in_its_last_group_opens_and_elsewhere_does_not() {
    let (disk, wal) = log(Preallocate::ZeroAhead { step: 4_096 });
    drop(wal);
    let (name, content) = segments(&disk).pop().expect("there is one");
    let used = content.iter().rposition(|byte| *byte != 0).expect("it has a header") + 1;
    let used = used.next_multiple_of(8);
    for len in 0..content.len() {
        let copy = disk.fork();
        copy.set_content(&name, &content[..len]);
        match Wal::open_on(copy, config()) {
            Ok((wal, recovered)) => {
                let found = read_all(&wal);
                assert!(found == records() || found == records()[..8] || found == records()[..7]);
                assert_eq!(recovered.range.end.0, found.len() as u64 + 1);
                assert!(found.len() == 10 || len < used);
            }
            Err(error) => assert!(len < 64, "cut at {len}: {error:?}"),
        }
    }
}

#[test]
fn what_is_cut_is_kept_and_strict_refuses_it() {
    let (disk, wal) = log(Preallocate::None);
    drop(wal);
    let (name, mut content) = segments(&disk).pop().expect("there is one");
    let end = content.len();
    content[end - 1] ^= 1;
    disk.set_content(&name, &content[..]);

    let mut strict = config();
    strict.recovery = Recovery::Strict;
    assert!(matches!(Wal::open_on(disk.clone(), strict), Err(OpenError::Torn(_))));
    assert_eq!(disk.content(&name).as_deref(), Some(&content[..]), "nothing was changed");

    let (_, recovered) = Wal::open_on(disk.clone(), config()).expect("a torn tail opens");
    let cut = recovered.cut.expect("something was cut");
    let kept = disk.content(&cut.kept.expect("there is room")).expect("it is there");
    let offset = usize::try_from(cut.offset).expect("small");
    assert_eq!(kept, &content[offset..], "every byte that was cut");
}

#[test]
fn a_missing_swapped_doubled_or_foreign_segment_is_refused() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    let all = segments(&disk);
    let open = |change: &dyn Fn(&Memory)| {
        let copy = disk.fork();
        change(&copy);
        Wal::open_on(copy, config()).map(drop).expect_err("it is damaged")
    };
    let remove = |disk: &Memory, name: &str| {
        quorate_core::Disk::remove(disk, name).expect("it is there");
    };
    let missing = open(&|disk| remove(disk, &all[1].0));
    assert!(matches!(missing, OpenError::MissingSegment { sequence: 2 }), "{missing:?}");
    let first = open(&|disk| remove(disk, &all[0].0));
    assert!(matches!(first, OpenError::MissingSegment { sequence: 1 }), "{first:?}");
    let doubled = open(&|disk| disk.set_content(&all[1].0, &all[0].1[..]));
    assert!(matches!(doubled, OpenError::ForeignSegment { .. }), "{doubled:?}");
    let empty = open(&|disk| disk.set_content(&all[1].0, &[][..]));
    assert!(matches!(empty, OpenError::Corrupt(_)), "{empty:?}");

    // A fork of this log: the same id, the same sequence, other records before it.
    let other = Memory::new();
    let (wal, _) = Wal::open_on(other.clone(), config()).expect("the disk is empty");
    for _ in 0..8 {
        wal.append(vec![9; 500]).and_then(|ack| ack.wait()).expect("memory has room");
    }
    wal.close().expect("memory has room");
    let fork = open(&|disk| disk.set_content(&all[1].0, other.content(&all[1].0).expect("rolled")));
    assert!(matches!(fork, OpenError::ForeignSegment { .. }), "{fork:?}");
}

#[test]
fn a_footer_only_open_finds_a_rotten_record_when_it_is_read() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    let (name, mut content) = segments(&disk).swap_remove(0);
    content[64 + 24] ^= 1;
    disk.set_content(&name, content);
    let (wal, _) = Wal::open_on(disk, config()).expect("payloads are not read");
    let error = wal.read(Index(1)).expect_err("it is rotten");
    assert!(error.to_string().contains("00000000000000000001.wal at offset 64, record 1"));
    assert_eq!(wal.read(Index(2)).expect("it is sound").as_deref(), Some(&b"two"[..]));
    assert_eq!(wal.read(Index(11)).expect("the log is sound"), None);
}

#[test]
fn a_record_that_holds_frames_of_its_own_segment_is_a_record() {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    wal.append("first").and_then(|ack| ack.wait()).expect("memory has room");
    let own = disk.content("00000000000000000001.wal").expect("it is there");
    wal.append(own.clone()).and_then(|ack| ack.wait()).expect("memory has room");
    drop(wal);
    let whole = disk.content("00000000000000000001.wal").expect("it is there");
    for len in (96..=whole.len()).step_by(8) {
        let copy = disk.fork();
        // The head is gone, what it framed is there: the frames inside must not be taken for it.
        let mut torn = whole[..len].to_vec();
        torn[96..len.min(120)].fill(0);
        copy.set_content("00000000000000000001.wal", torn);
        let (wal, _) = Wal::open_on(copy, config()).expect("a torn tail opens");
        assert_eq!(read_all(&wal), ["first"]);
    }
    let (wal, _) = Wal::open_on(disk, config()).expect("nothing is torn");
    assert_eq!(read_all(&wal), [Bytes::from("first"), own.into()]);
}

#[test]
fn a_log_that_ends_too_early_is_refused() {
    let (disk, wal) = log(Preallocate::None);
    wal.close().expect("memory has room");
    let mut config = config();
    config.expect_at_least = Some(Index(12));
    let error = Wal::open_on(disk, config).map(drop).expect_err("it ends at 11");
    assert!(matches!(error, OpenError::TailLost { found: Index(11), .. }), "{error:?}");
}
