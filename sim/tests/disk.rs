//! What a disk keeps through a crash, and how it fails on command.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use quorate_core::{Disk as _, File as _};
use quorate_sim::{Disk, DiskFile, Op};

/// Makes a disk with one file that is durable, and opens it.
fn with_file(bytes: &[u8]) -> (Disk, DiskFile) {
    let disk = Disk::new();
    disk.install("log", bytes);
    let file = disk.open("log").expect("it is there");
    (disk, file)
}

fn after_crash(disk: &Disk, entropy: u64) -> Vec<u8> {
    disk.crash(entropy);
    disk.content("log").expect("it was durable")
}

#[test]
fn what_was_synced_survives_every_crash() {
    for entropy in 0..200 {
        let (disk, file) = with_file(b"");
        file.write_all_at(0, &[1; 700]).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(700, &[2; 5_000]).unwrap();
        let content = after_crash(&disk, entropy);
        assert_eq!(&content[..700], &[1; 700], "entropy {entropy}");
        assert!(content.len() <= 5_700);
    }
}

#[test]
fn a_crash_keeps_any_subset_of_unsynced_writes() {
    let mut seen = BTreeSet::new();
    for entropy in 0..400 {
        let (disk, file) = with_file(&[0; 3 * 8_192]);
        for page in [0, 1, 2] {
            file.write_all_at(page * 8_192, &[1; 512]).unwrap();
        }
        let content = after_crash(&disk, entropy);
        let kept: Vec<bool> =
            (0..3).map(|page| content[page * 8_192..][..512] == [1; 512]).collect();
        seen.insert(kept);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_write_is_torn_by_sectors_into_new_old_and_garbage() {
    let (mut new, mut old, mut garbage) = (0, 0, 0);
    for entropy in 0..200 {
        let (disk, file) = with_file(&[0; 8 * 512]);
        file.write_all_at(0, &[1; 8 * 512]).unwrap();
        let content = after_crash(&disk, entropy);
        let mixed = content.chunks(512).any(|sector| sector != &content[..512]);
        for sector in content.chunks(512).filter(|_| mixed) {
            match sector {
                [1, rest @ ..] if rest.iter().all(|byte| *byte == 1) => new += 1,
                [0, rest @ ..] if rest.iter().all(|byte| *byte == 0) => old += 1,
                _ => garbage += 1,
            }
        }
    }
    assert!(50 < new && 50 < old && 50 < garbage, "{new} new, {old} old, {garbage} garbage");
}

#[test]
fn a_torn_sector_keeps_the_bytes_that_were_synced() {
    for entropy in 0..200 {
        let (disk, file) = with_file(&[7; 100]);
        file.write_all_at(100, &[1; 1_000]).unwrap();
        assert_eq!(&after_crash(&disk, entropy)[..100], &[7; 100], "entropy {entropy}");
    }
}

#[test]
fn a_later_append_to_a_sector_never_survives_without_the_earlier() {
    for entropy in 0..400 {
        let (disk, file) = with_file(b"");
        file.write_all_at(0, &[1; 100]).unwrap();
        file.write_all_at(100, &[2; 100]).unwrap();
        let content = after_crash(&disk, entropy);
        let has_later = content.get(100..200) == Some(&[2; 100]);
        let lacks_earlier = has_later && content[..100] == [0; 100];
        assert!(!lacks_earlier, "entropy {entropy}: a sector reaches the medium as one");
    }
}

#[test]
fn length_may_survive_without_data_and_then_reads_as_zeros() {
    let is_zeros = |content: &[u8]| content.len() == 512 && content == [0; 512];
    let count = (0..200)
        .filter(|entropy| {
            let (disk, file) = with_file(b"");
            file.write_all_at(0, &[1; 512]).unwrap();
            is_zeros(&after_crash(&disk, *entropy))
        })
        .count();
    assert!(5 < count, "{count} of 200");
}

#[test]
fn a_cut_may_be_undone_by_a_crash_until_it_is_synced() {
    let lens: BTreeSet<usize> = (0..100)
        .map(|entropy| {
            let (disk, file) = with_file(&[1; 2_000]);
            file.set_len(100).unwrap();
            after_crash(&disk, entropy).len()
        })
        .collect();
    assert_eq!(lens, BTreeSet::from([100, 2_000]));

    let (disk, file) = with_file(&[1; 2_000]);
    file.set_len(100).unwrap();
    file.sync_data().unwrap();
    file.set_len(300).unwrap();
    file.sync_data().unwrap();
    let content = after_crash(&disk, 1);
    assert_eq!((&content[..100], &content[100..]), (&[1; 100][..], &[0; 200][..]));
}

#[test]
fn a_new_file_is_gone_without_a_sync_of_the_folder() {
    let disk = Disk::new();
    let file = disk.create_new("log").unwrap();
    file.write_all_at(0, b"synced").unwrap();
    file.sync_data().unwrap();
    disk.crash_losing_unsynced();
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());

    let file = disk.create_new("log").unwrap();
    disk.sync_dir().unwrap();
    file.write_all_at(0, b"not synced").unwrap();
    disk.crash_losing_unsynced();
    assert_eq!(disk.content("log").unwrap(), b"");
}

#[test]
fn a_rename_and_a_removal_are_undone_without_a_sync_of_the_folder() {
    let disk = Disk::new();
    disk.install("old", b"old");
    disk.install("gone", b"gone");
    disk.install("tmp", b"new");
    disk.rename("tmp", "old").unwrap();
    disk.remove("gone").unwrap();
    assert_eq!(disk.list().unwrap(), ["old"]);
    disk.crash_losing_unsynced();
    assert_eq!(disk.list().unwrap(), ["gone", "old", "tmp"]);
    assert_eq!(disk.content("old").unwrap(), b"old");

    disk.rename("tmp", "old").unwrap();
    disk.sync_dir().unwrap();
    disk.crash_losing_unsynced();
    assert_eq!(disk.content("old").unwrap(), b"new");
}

#[test]
fn a_failed_sync_loses_what_later_syncs_claim_to_have_written() {
    let (disk, file) = with_file(&[0; 1_024]);
    file.write_all_at(0, &[1; 512]).unwrap();
    disk.fail(Op::Sync, 1, ErrorKind::Other);
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Other);
    file.write_all_at(512, &[2; 512]).unwrap();
    file.sync_data().unwrap();
    assert_eq!(&disk.content("log").unwrap()[..512], &[1; 512], "readers see the page");

    disk.crash_keeping_unsynced();
    let content = disk.content("log").unwrap();
    assert_eq!((&content[..512], &content[512..]), (&[0; 512][..], &[2; 512][..]));
}

#[test]
fn the_nth_operation_fails_and_the_next_does_not() {
    let (disk, file) = with_file(b"");
    disk.fail(Op::Write, 2, ErrorKind::Other);
    file.write_all_at(0, b"first ").unwrap();
    assert_eq!(file.write_all_at(6, b"second").unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(disk.content("log").unwrap(), b"first sec");
    file.write_all_at(6, b"third").unwrap();
    assert_eq!(disk.content("log").unwrap(), b"first third");
    assert_eq!(disk.count(Op::Write), 3);
    let log = disk.operations();
    assert_eq!(log.last().unwrap().to_string(), "Write log 6+5");
}

#[test]
fn a_full_disk_takes_a_part_of_a_write_and_no_new_file() {
    let (disk, file) = with_file(b"");
    disk.set_capacity(10);
    file.write_all_at(0, b"12345678").unwrap();
    let error = file.write_all_at(8, b"90abc").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.content("log").unwrap(), b"1234567890");
    assert_eq!(disk.create_new("next").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.allocate(11).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all_at(0, b"in place is fine"[..10].into()).unwrap();
    disk.clear_capacity();
    disk.create_new("next").unwrap();
}

#[test]
fn removing_a_file_makes_room_once_it_is_closed() {
    let disk = Disk::new();
    disk.set_capacity(100);
    let file = disk.create_new("log").unwrap();
    file.write_all_at(0, &[0; 60]).unwrap();
    disk.remove("log").unwrap();
    assert_eq!(disk.used_bytes(), 60);
    drop(file);
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn locks_and_open_files_end_with_the_crash() {
    let (disk, file) = with_file(b"");
    let lock = disk.lock("lock").unwrap();
    assert_eq!(disk.lock("lock").err().unwrap().kind(), ErrorKind::WouldBlock);
    disk.crash_losing_unsynced();
    let next = disk.lock("lock").unwrap();
    drop(lock);
    assert_eq!(disk.lock("lock").err().unwrap().kind(), ErrorKind::WouldBlock);
    drop(next);
    _ = disk.lock("lock").unwrap();
    assert!(file.write_all_at(0, b"late").is_err());
}

#[test]
fn a_bit_rots_where_it_is_flipped() {
    let (disk, _file) = with_file(&[0; 600]);
    assert!(disk.flip("log", 513, 3));
    assert!(!disk.flip("log", 600, 0) && !disk.flip("gone", 0, 0));
    disk.crash_losing_unsynced();
    let content = disk.content("log").unwrap();
    assert_eq!((content[513], content.iter().filter(|byte| **byte != 0).count()), (8, 1));
}

#[test]
fn power_goes_after_the_chosen_change_and_nothing_happens_after_it() {
    for cut in 0..4 {
        let disk = Disk::new();
        disk.cut_power_after(cut);
        let run = || {
            let file = disk.create_new("log")?;
            file.write_all_at(0, b"data")?;
            file.sync_data()?;
            disk.sync_dir()
        };
        assert_eq!(run().is_ok(), cut == 4);
        disk.crash_losing_unsynced();
        assert_eq!(disk.count_changes(), cut);
        assert_eq!(disk.content("log"), None);
    }
}

#[test]
fn a_lost_write_is_seen_until_a_crash_and_never_reaches_the_medium() -> io::Result<()> {
    let disk = Disk::new();
    disk.install("log", b"old old old ");
    let file = disk.open("log")?;
    disk.lose_write();
    file.write_all_at(4, b"new new new!")?;
    file.sync_data()?;
    let seen = || disk.content("log").unwrap_or_default();
    assert_eq!(seen(), b"old new new new!", "readers see it, and the length");
    // What is written over it is written, and the rest of it stays lost.
    file.write_all_at(8, b"NEW ")?;
    file.sync_data()?;
    assert_eq!(seen(), b"old new NEW new!");
    file.set_len(14)?;
    file.sync_data()?;
    assert_eq!(seen(), b"old new NEW ne");
    disk.crash_keeping_unsynced();
    assert_eq!(seen(), b"old old NEW \0\0");
    Ok(())
}

#[test]
fn a_misdirected_write_is_seen_in_its_place_and_is_in_another() -> io::Result<()> {
    let disk = Disk::new();
    disk.install("log", &[1; 4 * 512]);
    let file = disk.open("log")?;
    disk.misdirect_write(7);
    file.write_all_at(512, &[2; 512])?;
    file.sync_data()?;
    assert_eq!(disk.content("log").unwrap_or_default()[512..1024], [2; 512]);
    disk.crash_keeping_unsynced();
    let content = disk.content("log").unwrap_or_default();
    let changed: Vec<usize> = (0..4).filter(|sector| content[sector * 512] == 2).collect();
    assert!(changed.len() == 1 && changed != [1], "{changed:?}");
    Ok(())
}

#[test]
fn a_failed_sync_that_reverts_takes_a_lost_write_back_too() -> io::Result<()> {
    let disk = Disk::new();
    disk.install("log", b"");
    let file = disk.open("log")?;
    disk.lose_write();
    file.write_all_at(0, b"abc")?;
    disk.fail_sync_reverting(1);
    assert!(file.sync_data().is_err());
    assert_eq!((file.len()?, file.read_at(0, &mut [0; 8])?), (0, 0));
    Ok(())
}

#[test]
fn a_lost_write_for_which_there_is_no_room_changes_nothing() -> io::Result<()> {
    let disk = Disk::new();
    disk.install("log", &[1; 50]);
    disk.set_capacity(100);
    let file = disk.open("log")?;
    disk.lose_write();
    assert!(file.write_all_at(1_000, &[2; 10]).is_err());
    assert_eq!((file.len()?, disk.used_bytes()), (50, 50));
    Ok(())
}
