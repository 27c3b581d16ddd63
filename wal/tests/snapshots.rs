//! Snapshots: what a crash, a flipped bit, a full disk and a failed sync leave of them.

use std::io::{self, Read as _, Write as _};

use quorate_core::Disk as _;
use quorate_sim::{Disk, Op};
use quorate_wal::{
    Directory, Index, InstallError, Keep, Memory, OpenSnapshotsError, SnapshotConfig,
    SnapshotReadError, SnapshotReader, SnapshotWhy, SnapshotWriteError, Snapshots, Wal,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

const CHUNK: usize = 256 << 10;

/// A log of `records` records, and its snapshots in the same folder.
fn open<D: quorate_core::Disk + Clone>(disk: &D, records: u64) -> (Wal<D>, Snapshots<D>) {
    open_with(disk, records, SnapshotConfig::default())
}

fn open_with<D: quorate_core::Disk + Clone>(
    disk: &D,
    records: u64,
    snapshots: SnapshotConfig,
) -> (Wal<D>, Snapshots<D>) {
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("a crash closes no log");
    while wal.next_index().0 <= records {
        drop(wal.append(vec![7; 300]).expect("within limits"));
    }
    wal.sync().expect("there is room");
    let snapshots = Snapshots::open_on(disk.clone(), &wal, snapshots).expect("it opens");
    (wal, snapshots)
}

/// Data of `len` bytes, of which no two chunks are equal.
fn data(index: u64, len: usize) -> Vec<u8> {
    let word = |at: usize| (at as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index;
    (0..len).map(|at| word(at).to_le_bytes()[at % 8]).collect()
}

fn write<D: quorate_core::Disk>(
    snapshots: &Snapshots<D>,
    index: u64,
    data: &[u8],
) -> Result<(), SnapshotWriteError> {
    let mut writer = snapshots.create(Index(index), b"meta")?;
    writer.append(data)?;
    writer.finish()
}

fn read<D: quorate_core::Disk>(
    reader: &mut SnapshotReader<D>,
) -> Result<Vec<u8>, SnapshotReadError> {
    let mut out = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn name(index: u64) -> String {
    format!("{index:020}.snapshot")
}

#[test]
fn what_was_written_is_read() {
    let (_wal, snapshots) = open(&Memory::new(), 0);
    for (index, len) in [0, 1, 7, 8, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK].into_iter().enumerate()
    {
        let index = index as u64;
        let expect = data(index, len);
        let mut writer = snapshots.create(Index(index), b"meta").expect("there is room");
        // Pieces that fit no chunk.
        for piece in expect.chunks(50_001) {
            writer.write_all(piece).expect("there is room");
        }
        writer.finish().expect("there is room");
        let mut reader = snapshots.open_at(Index(index)).expect("it is there");
        assert_eq!((reader.index(), &reader.meta()[..]), (Index(index), &b"meta"[..]));
        let mut found = Vec::new();
        reader.read_to_end(&mut found).expect("nothing is rotten");
        assert!(found == expect, "{len} bytes, {} came back", found.len());
        let newest = snapshots.newest().expect("it can be read").reader.expect("there is one");
        assert_eq!(newest.index(), Index(index));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let disk = Memory::new();
    let (_wal, snapshots) = open(&disk, 0);
    write(&snapshots, 1, &data(1, 100)).expect("there is room");
    let content = disk.content(&name(1)).expect("it is there");
    assert_eq!(content.len(), 64 + 8 + 8 + 104 + 24);
    let mut refused = 0;
    let mut check = |content: Vec<u8>| {
        disk.set_content(&name(1), content);
        match snapshots.open_at(Index(1)).and_then(|mut reader| read(&mut reader)) {
            Ok(_) => panic!("it was read as if nothing had happened"),
            Err(SnapshotReadError::Corrupt(damage)) => {
                assert_eq!((damage.index, damage.file()), (Index(1), name(1)));
                refused += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    };
    for bit in 0..content.len() * 8 {
        let mut flipped = content.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(flipped);
    }
    for len in 0..content.len() {
        check(content[..len].to_vec());
        let mut zeroed = content.clone();
        zeroed[len..].fill(0);
        // The last bytes are the upper ones of a small number.
        if zeroed != content {
            check(zeroed);
        }
    }
    check([&content[..], &[0; 8]].concat());
    assert_eq!(refused, content.len() * 8 + content.len() + (content.len() - 7) + 1);
}

#[test]
fn a_chunk_left_out_doubled_or_swapped_is_refused() {
    let disk = Memory::new();
    let (_wal, snapshots) = open(&disk, 0);
    write(&snapshots, 1, &data(1, 2 * CHUNK + 100)).expect("there is room");
    let content = disk.content(&name(1)).expect("it is there");
    let (head, rest) = content.split_at(72);
    let (one, rest) = rest.split_at(CHUNK + 8);
    let (two, rest) = rest.split_at(CHUNK + 8);
    let (three, end) = rest.split_at(112);
    for (parts, offset) in [
        (vec![head, two, three, end], 72),
        (vec![head, one, one, two, three, end], 72 + CHUNK + 8),
        (vec![head, two, one, three, end], 72),
        (vec![head, one, three, two, end], 72 + CHUNK + 8),
        (vec![head, one, two, end], 72 + 2 * (CHUNK + 8)),
        (vec![head, one, two, three], content.len() - 24),
        (vec![head, one, two, three, end, end], content.len() - 24),
    ] {
        disk.set_content(&name(1), parts.concat());
        let mut reader = snapshots.open_at(Index(1)).expect("the header is sound");
        for again in [false, true] {
            match read(&mut reader) {
                Err(SnapshotReadError::Corrupt(damage)) => {
                    assert_eq!(damage.offset, offset as u64, "again: {again}, {damage}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Lengths that a disk makes up: of a chunk, and of the meta.
#[test]
fn a_length_makes_no_memory_before_it_is_checked() {
    let disk = Memory::new();
    let (_wal, snapshots) = open(&disk, 0);
    write(&snapshots, 1, b"data").expect("there is room");
    let content = disk.content(&name(1)).expect("it is there");
    for (at, len) in [(72, u32::MAX), (72, 1 << 18), (12, u32::MAX), (12, 1 << 20)] {
        let mut lying = content.clone();
        lying[at..at + 4].copy_from_slice(&len.to_le_bytes());
        if at < 60 {
            let crc = crc32fast::hash(&lying[..60]);
            lying[60..64].copy_from_slice(&crc.to_le_bytes());
        }
        disk.set_content(&name(1), lying);
        let used = allocation_counter::measure(|| {
            snapshots.verify(Index(1)).expect_err("the length is a lie");
        });
        assert!(used.bytes_max < 4_096, "{len} at {at}: {} bytes", used.bytes_max);
    }
}

#[test]
fn a_header_of_another_version_is_refused_by_name() {
    let disk = Memory::new();
    let (_wal, snapshots) = open(&disk, 0);
    write(&snapshots, 1, b"old").expect("there is room");
    write(&snapshots, 2, b"new").expect("there is room");
    for (at, version) in [(8, 9), (10, 1), (11, 1), (40, 1)] {
        let mut content = disk.content(&name(2)).expect("it is there");
        content[at] = if at == 8 { 9 } else { 1 };
        let crc = crc32fast::hash(&content[..60]);
        content[60..64].copy_from_slice(&crc.to_le_bytes());
        let copy = disk.fork();
        copy.set_content(&name(2), content);
        let (wal, _) = Wal::open_on(copy.clone(), config()).expect("nobody has the copy open");
        let snapshots = Snapshots::open_on(copy, &wal, SnapshotConfig::default());
        // Not taken for damage: the older one is not gone on from in silence.
        match snapshots.expect("it opens").newest() {
            Err(SnapshotReadError::Unsupported { index: Index(2), version: found }) => {
                assert_eq!(found, version);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_damaged_newest_one_is_named_and_the_one_before_is_used() {
    let disk = Disk::new();
    let (wal, snapshots) = open(&disk, 30);
    for index in [10, 20, 30] {
        write(&snapshots, index, &data(index, 1_000)).expect("there is room");
        snapshots.install(Index(index)).expect("there is room");
    }
    assert_eq!(snapshots.indexes(), [Index(20), Index(30)], "the newest two");
    assert_eq!(wal.first_index(), Index(21), "the log goes on from either");
    assert!(disk.flip(&name(30), 500, 3));
    let mut newest = snapshots.newest().expect("the disk is sound");
    let damage = newest.damaged[0];
    assert_eq!((damage.index, damage.offset), (Index(30), 72));
    assert_eq!(damage.why, SnapshotWhy::Chunk);
    assert_eq!(
        damage.to_string(),
        "00000000000000000030.snapshot at offset 72: the checksum of the chunk does not match"
    );
    assert!(newest.missing.is_empty(), "{:?}", newest.missing);
    let reader = newest.reader.as_mut().expect("the one before");
    assert_eq!(reader.index(), Index(20));
    assert!(read(reader).expect("it is sound") == data(20, 1_000));

    // It is in the way until it is removed.
    let again = write(&snapshots, 30, b"again");
    assert!(matches!(again, Err(SnapshotWriteError::Exists { index: Index(30) })), "{again:?}");
    snapshots.remove(Index(30)).expect("it can be removed");
    write(&snapshots, 30, b"again").expect("there is room");
    assert!(snapshots.newest().expect("sound").damaged.is_empty());
    // All of them.
    assert!(disk.flip(&name(20), 1, 3));
    assert!(disk.flip(&name(30), 1, 3));
    let newest = snapshots.newest().expect("the disk is sound");
    assert_eq!((newest.reader.is_none(), newest.damaged.len()), (true, 2));
    assert_eq!(newest.missing, Index(1)..Index(21));
}

#[test]
fn a_snapshot_of_another_log_or_under_another_name_is_foreign() {
    let disk = Memory::new();
    let (_wal, snapshots) = open(&disk, 0);
    write(&snapshots, 1, b"data").expect("there is room");
    let other = Memory::new();
    other.set_content(&name(2), disk.content(&name(1)).expect("it is there"));
    let mut config = config();
    config.seed = Some(2);
    let (wal, _) = Wal::open_on(other.clone(), config).expect("it is empty");
    other.set_content(&name(1), disk.content(&name(1)).expect("it is there"));
    let snapshots = Snapshots::open_on(other, &wal, SnapshotConfig::default()).expect("it opens");
    let damaged = snapshots.newest().expect("the disk is sound").damaged;
    assert_eq!(damaged.len(), 2);
    assert!(damaged.iter().all(|it| it.why == SnapshotWhy::Foreign), "{damaged:?}");
}

#[test]
fn the_power_goes_at_any_step() {
    let total = {
        let disk = Disk::new();
        let (_wal, snapshots) = open(&disk, 30);
        let before = disk.count_changes();
        replace(&snapshots).expect("there is room");
        disk.count_changes() - before
    };
    assert!(10 < total, "{total} steps");
    let (mut old, mut new) = (0, 0);
    for changes in 0..=total {
        for entropy in 0..30 {
            let disk = Disk::new();
            let (wal, snapshots) = open(&disk, 30);
            write(&snapshots, 10, &data(10, CHUNK + 5)).expect("there is room");
            snapshots.install(Index(10)).expect("there is room");
            disk.cut_power_after(changes);
            let outcome = replace(&snapshots);
            drop((wal, snapshots));
            disk.fail_no_more();
            disk.crash(entropy);
            let (wal, snapshots) = open(&disk, 0);
            let found = snapshots.newest().expect("the disk is sound");
            assert_eq!(found.damaged, [], "{changes} {entropy}");
            assert!(found.missing.is_empty(), "{changes} {entropy}: {:?}", found.missing);
            let mut reader = found.reader.expect("the old one or the new one");
            let index = reader.index().0;
            assert!(read(&mut reader).expect("sound") == data(index, CHUNK + 5));
            assert!(index == 20 || outcome.is_err(), "{changes} {entropy}: it was finished");
            *(if index == 10 { &mut old } else { &mut new }) += 1;
            assert_eq!(read_all(&wal).len() as u64, 31 - wal.first_index().0);
            let names = disk.list().expect("sound");
            assert!(!names.iter().any(|it| it.ends_with(".tmp")), "{names:?}");
        }
    }
    assert!(100 < old && 50 < new, "{old} old, {new} new");
}

/// A name that a killed process left in memory is made durable before a log is truncated for it.
#[test]
fn a_process_is_killed_and_then_the_power_goes() {
    let mut found_new = 0;
    for changes in 0..12 {
        // In a folder of their own: no sync of the log makes up for one of theirs.
        let (log, disk) = (Disk::new(), Disk::new());
        let open = |records| {
            let (wal, unused) = open(&log, records);
            drop(unused);
            let snapshots = Snapshots::open_on(disk.clone(), &wal, SnapshotConfig::default());
            (wal, snapshots.expect("it opens"))
        };
        let (wal, snapshots) = open(30);
        write(&snapshots, 10, b"old").expect("there is room");
        disk.cut_power_after(changes);
        let _ = write(&snapshots, 20, b"new");
        drop((wal, snapshots));
        // The process is gone, what it left in memory is not.
        disk.fail_no_more();
        let (wal, snapshots) = open(0);
        let index = snapshots.newest().expect("sound").reader.expect("there is one").index();
        snapshots.install(index).expect("it is listed");
        drop((wal, snapshots));
        log.crash_losing_unsynced();
        disk.crash_losing_unsynced();
        let (_wal, snapshots) = open(0);
        let found = snapshots.newest().expect("sound");
        assert_eq!(found.reader.expect("there is one").index(), index, "{changes}");
        assert!(found.missing.is_empty(), "{changes}: {:?}", found.missing);
        found_new += u32::from(index == Index(20));
    }
    assert!((2..12).contains(&found_new), "{found_new}");
}

/// Snapshot 10 gives way to snapshot 20.
fn replace(snapshots: &Snapshots<Disk>) -> Result<(), Box<dyn std::error::Error>> {
    write(snapshots, 20, &data(20, CHUNK + 5))?;
    snapshots.install(Index(20))?;
    Ok(())
}

#[test]
fn a_full_disk_leaves_the_old_one_and_works_again() {
    let bytes = (64 + 8) + (CHUNK + 8) + 16 + 24;
    for room in (0..bytes as u64).step_by(997).chain([bytes as u64 - 1]) {
        let disk = Disk::new();
        let (wal, snapshots) = open(&disk, 30);
        write(&snapshots, 10, b"old").expect("there is room");
        disk.set_capacity(disk.used_bytes() + room);
        let outcome = write(&snapshots, 20, &data(20, CHUNK + 5));
        assert!(matches!(outcome, Err(SnapshotWriteError::DiskFull)), "{room}: {outcome:?}");
        let refused = snapshots.install(Index(20));
        assert!(matches!(refused, Err(InstallError::Missing { .. })), "{refused:?}");
        assert_eq!(wal.first_index(), Index(1));
        assert_eq!(snapshots.indexes(), [Index(10)]);
        let names = disk.list().expect("sound");
        assert!(!names.iter().any(|it| it.ends_with(".tmp")), "its room is needed: {names:?}");
        disk.clear_capacity();
        write(&snapshots, 20, &data(20, CHUNK + 5)).expect("there is room again");
        let found = snapshots.newest().expect("sound").reader.expect("there is one");
        assert_eq!(found.index(), Index(20));
    }
}

/// The next open removes what a writer left that could not.
#[test]
fn an_unfinished_one_is_gone() {
    let disk = Disk::new();
    let (wal, snapshots) = open(&disk, 30);
    write(&snapshots, 10, b"old").expect("there is room");
    let mut writer = snapshots.create(Index(20), b"").expect("there is room");
    writer.append(&data(20, CHUNK)).expect("there is room");
    let busy = snapshots.create(Index(20), b"").map(drop);
    assert!(matches!(busy, Err(SnapshotWriteError::Busy { .. })), "{busy:?}");
    let unfinished = format!("{}.tmp", name(20));
    disk.fail(Op::Remove, 1, io::ErrorKind::Other);
    drop(writer);
    assert!(disk.content(&unfinished).is_some());
    drop((wal, snapshots));
    // Names that are not those of snapshots are nobody's business here.
    for stranger in ["1.snapshot", "notes.snapshot.tmp"] {
        disk.install(stranger, b"mine");
    }
    let (_wal, snapshots) = open(&disk, 30);
    assert!(disk.content(&unfinished).is_none());
    assert_eq!(snapshots.indexes(), [Index(10)]);
    assert!(disk.content("notes.snapshot.tmp").is_some());
    drop(snapshots.create(Index(20), b"").expect("there is room"));
    assert!(disk.content(&unfinished).is_none(), "cancelled by drop");
}

#[test]
fn after_a_failed_sync_the_new_one_is_not_trusted() {
    for op in [Op::Sync, Op::SyncDir] {
        for reopened in [false, true] {
            let disk = Disk::new();
            let (wal, snapshots) = open(&disk, 30);
            write(&snapshots, 10, b"old").expect("there is room");
            disk.fail(op, 1, io::ErrorKind::Other);
            write(&snapshots, 20, b"new").expect_err("the sync failed");
            snapshots.install(Index(20)).expect_err("it is not durable");
            if op == Op::SyncDir {
                let more = write(&snapshots, 30, b"more");
                assert!(matches!(more, Err(SnapshotWriteError::Failed)), "{more:?}");
            }
            drop((wal, snapshots));
            if reopened {
                // In the same run of the system, where readers see what is not on the medium.
                let (_wal, snapshots) = open(&disk, 30);
                assert_eq!(snapshots.indexes(), [Index(10)], "{op:?}");
            }
            disk.crash_losing_unsynced();
            let (wal, snapshots) = open(&disk, 30);
            assert_eq!(wal.first_index(), Index(1));
            let found = snapshots.newest().expect("sound").reader.expect("the old one");
            assert_eq!(found.index(), Index(10), "{op:?}");
        }
    }
}

#[test]
fn a_second_opener_is_refused() {
    let disk = Memory::new();
    let (wal, snapshots) = open(&disk, 0);
    let again = Snapshots::open_on(disk.clone(), &wal, SnapshotConfig::default()).map(drop);
    assert!(matches!(again, Err(OpenSnapshotsError::Locked)), "{again:?}");
    drop(snapshots);
    let mut none = SnapshotConfig::default();
    none.snapshots = 0;
    let invalid = Snapshots::open_on(disk.clone(), &wal, none).map(drop);
    assert!(matches!(invalid, Err(OpenSnapshotsError::Invalid(_))), "{invalid:?}");
    Snapshots::open_on(disk, &wal, SnapshotConfig::default()).expect("the other is gone");
}

#[test]
fn install_moves_the_mark_by_the_rule() {
    for (keep, expect) in [
        (Keep::Records(0), [11, 21, 31]),
        (Keep::Records(5), [6, 16, 26]),
        (Keep::Records(u64::MAX), [1, 1, 1]),
        (Keep::SinceOldest, [11, 11, 21]),
    ] {
        let mut config = SnapshotConfig::default();
        config.keep = keep;
        let (wal, snapshots) = open_with(&Memory::new(), 30, config);
        for (index, expect) in [10, 20, 30].into_iter().zip(expect) {
            write(&snapshots, index, b"state").expect("there is room");
            let first_index = snapshots.install(Index(index)).expect("there is room");
            assert_eq!(first_index, Index(expect), "{keep:?}");
            assert_eq!(snapshots.install(Index(index)).expect("nothing to do"), first_index);
        }
        // Another node's, ahead of the log: whatever is kept, it goes on behind.
        write(&snapshots, 100, b"of the leader").expect("there is room");
        assert_eq!(snapshots.install(Index(100)).expect("there is room"), Index(101));
        assert_eq!((wal.first_index(), wal.next_index()), (Index(101), Index(101)));
        let behind = snapshots.install(Index(30));
        assert!(behind.is_ok_and(|first_index| first_index == Index(101)));
    }
}

/// A snapshot of 48 MiB, on files.
#[test]
fn the_memory_is_that_of_two_chunks_however_long_it_is() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let (wal, _) = Wal::open(folder.path().join("log"), config()).expect("it is empty");
    let disk = Directory::new(folder.path().join("snapshots")).expect("it is empty");
    let snapshots = Snapshots::open_on(disk, &wal, SnapshotConfig::default()).expect("it is empty");
    let piece = data(1, 100_000);
    let total = 48 << 20;
    let used = allocation_counter::measure(|| {
        let mut writer = snapshots.create(Index(0), &[]).expect("there is room");
        let mut written = 0;
        while written < total {
            let now = piece.len().min(total - written);
            writer.append(&piece[..now]).expect("there is room");
            written += now;
        }
        writer.finish().expect("there is room");
    });
    assert!(used.bytes_max < 3 * CHUNK as u64, "{} bytes to write", used.bytes_max);
    let mut found = 0;
    let used = allocation_counter::measure(|| {
        let mut reader = snapshots.newest().expect("sound").reader.expect("there is one");
        while let Some(chunk) = reader.next_chunk().expect("sound") {
            found += chunk.len();
        }
    });
    assert_eq!(found, total);
    assert!(used.bytes_max < 3 * CHUNK as u64, "{} bytes to read", used.bytes_max);
}
