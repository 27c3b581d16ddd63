//! Mistakes that were made and mended: each test failed before.

use std::io;
use std::thread;

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use quorate_core::{DecodeError, Disk as _, Storage, StorageError, Wire, WriteId};
use quorate_sim::{Disk, Op};
use quorate_wal::{Batch, Index, RecordStore, Recovery, Wal, WriteError};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

/// `close` gave up the lock with a group in the queue: whoever waited for it then wrote over what
/// the next opener had been acknowledged.
#[test]
fn nobody_writes_once_the_lock_is_given_up() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let unheard = wal.append("a").expect("within limits");
    let heard = wal.append("b").expect("within limits");
    disk.set_capacity(disk.used_bytes());
    assert!(matches!(heard.wait(), Err(WriteError::DiskFull)));
    disk.clear_capacity();
    let late = wal.append("late").expect("within limits");
    let closed = wal.close();
    assert!(matches!(closed, Err(WriteError::DiskFull)), "{closed:?}");
    drop(unheard);
    let (next, _) = Wal::open_on(disk.clone(), config()).expect("it was closed");
    let before = read_all(&next);
    next.append("next").and_then(|ack| ack.wait()).expect("there is room");
    let outcome = late.wait();
    if outcome.is_ok() {
        assert_eq!(before, ["late"], "acknowledged before the lock was given up");
    }
    drop(next);
    disk.crash_losing_unsynced();
    let (next, _) = Wal::open_on(disk, config()).expect("a crash closes no log");
    assert_eq!(read_all(&next).last().map(|it| &it[..]), Some(&b"next"[..]));
}

/// Two threads append, drop their acks, and sync: both must hear that the disk was full.
#[test]
fn each_who_syncs_hears_of_a_full_disk() {
    let disk = Disk::new();
    let (one, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let two = one.clone();
    drop(one.append("of one").expect("within limits"));
    drop(two.append("of two").expect("within limits"));
    disk.set_capacity(disk.used_bytes());
    assert!(matches!(two.sync(), Err(WriteError::DiskFull)));
    disk.clear_capacity();
    let synced = one.sync();
    assert!(matches!(synced, Err(WriteError::DiskFull)), "its record is gone: {synced:?}");
}

/// A folder sync without room left the log on a file that had lost its name.
#[test]
fn a_folder_sync_without_room_fails_the_open() {
    for nth in 1..6 {
        let disk = Disk::new();
        let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
        wal.append("one").and_then(|ack| ack.wait()).expect("there is room");
        drop(wal);
        disk.crash_losing_unsynced();
        disk.fail(Op::SyncDir, nth, io::ErrorKind::StorageFull);
        let mut expect = vec![Bytes::from("one")];
        if let Ok((wal, _)) = Wal::open_on(disk.clone(), config()) {
            for _ in 0..10 {
                if wal.append(vec![7; 300]).and_then(|ack| ack.wait()).is_ok() {
                    expect.push(vec![7; 300].into());
                }
            }
        }
        disk.fail_no_more();
        disk.crash_losing_unsynced();
        let (wal, _) = Wal::open_on(disk, config()).expect("a crash closes no log");
        assert_eq!(read_all(&wal).len(), expect.len(), "folder sync {nth}");
    }
}

/// A failed sync while a torn tail is zeroed, in one process: readers see zeros, the medium does
/// not, and the next open found nothing to do.
#[test]
fn a_tail_whose_zeroing_failed_does_not_come_back() {
    for is_closed in [false, true] {
        for nth in 1..6 {
            let disk = Disk::new();
            let mut config = config();
            config.segment_bytes = 1 << 16;
            let (mut wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("it is empty");
            let mut expect = Vec::new();
            if is_closed {
                wal.append(vec![1; 976]).and_then(|ack| ack.wait()).expect("there is room");
                expect.push(Bytes::from(vec![1; 976]));
                wal.close().expect("there is room");
                wal = Wal::open_on(disk.clone(), config.clone()).expect("it is sound").0;
            }
            // One batch: its first record is on the medium, its last is not.
            let torn: Vec<Bytes> = (0..200).map(|_| Bytes::from(vec![7; 8])).collect();
            let acks: Vec<_> =
                torn.iter().map(|it| wal.append(it.clone()).expect("within limits")).collect();
            drop(acks);
            disk.fail(Op::Sync, 1, io::ErrorKind::Other);
            let _ = wal.sync();
            let name = "00000000000000000001.wal";
            let mut content = disk.content(name).expect("it is there");
            drop(wal);
            // The first frame behind what is durable is damaged, the others are there.
            let at = disk.durable_content(name).expect("it is there").len();
            content[at] ^= 1;
            disk.install(name, &content);
            disk.fail_no_more();
            disk.fail(Op::Sync, nth, io::ErrorKind::Other);
            let _ = Wal::open_on(disk.clone(), config.clone()).map(drop);
            disk.fail_no_more();
            let (wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("the disk is sound");
            assert_eq!(read_all(&wal), expect);
            // Up to the end of a sector: what was torn goes on there.
            for _ in 0..14 {
                drop(wal.append(vec![9; 8]).expect("within limits"));
                expect.push(vec![9; 8].into());
            }
            wal.sync().expect("there is room");
            drop(wal);
            disk.crash_losing_unsynced();
            let (wal, _) = Wal::open_on(disk, config.clone()).expect("a crash closes no log");
            assert_eq!(read_all(&wal).len(), expect.len(), "closed {is_closed}, sync {nth}");
        }
    }
}

/// Opening on a full disk: at each step of the repair the power goes.
#[test]
fn a_repair_on_a_full_disk_that_is_cut_short() {
    for room in [0, 8, 64, 100, 200, 400, 5_000] {
        for changes in 0..14 {
            for entropy in 0..12 {
                let disk = Disk::new();
                let mut config = config();
                config.segment_bytes = 1 << 16;
                let (wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("it is empty");
                let mut expect = Vec::new();
                for number in 0..8 {
                    wal.append(vec![number; 300]).and_then(|ack| ack.wait()).expect("room");
                    expect.push(Bytes::from(vec![number; 300]));
                }
                for _ in 0..8 {
                    drop(wal.append(vec![99; 300]).expect("within limits"));
                }
                disk.cut_power_after(1);
                let _ = wal.sync();
                drop(wal);
                disk.crash(entropy);
                disk.set_capacity(disk.used_bytes() + room);
                disk.cut_power_after(changes);
                let _ = Wal::open_on(disk.clone(), config.clone()).map(drop);
                disk.fail_no_more();
                disk.crash(entropy + 100);
                disk.clear_capacity();
                let (wal, recovered) =
                    Wal::open_on(disk.clone(), config.clone()).expect("it opens");
                assert!(
                    read_all(&wal).starts_with(&expect),
                    "{room} {changes} {entropy}: {recovered:?}\n{:?}",
                    disk.operations()
                );
                let names = disk.list().expect("sound");
                assert!(!names.iter().any(|it| it.ends_with(".tmp")), "{room}: {names:?}");
                drop(wal);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Word(Bytes);

impl Wire for Word {
    fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.0);
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self(input.split_off(0)))
    }
}

/// A backlog is no failure of the storage.
#[test]
fn a_store_compacts_while_much_waits() {
    let disk = Disk::new();
    let mut config = config();
    config.record_bytes_max = 512;
    config.state_bytes_max = 0;
    config.batch_bytes_max = 1_024;
    config.backlog_bytes_max = 1_024;
    let (store, _) = RecordStore::open_inline(disk, config).expect("it opens");
    store.append(WriteId(1), Word("one".into())).expect("sound");
    store.append(WriteId(2), Word("two".into())).expect("sound");
    block_on(store.sync()).expect("there is room");
    for write in 3..40 {
        store.append(WriteId(write), Word(vec![7; 24].into())).expect("sound");
    }
    let compacted = block_on(store.compact(WriteId(2)));
    assert!(compacted.is_ok(), "{compacted:?}");
    assert_eq!(block_on(store.sync()).expect("there is room"), WriteId(39));
}

/// The contract of `Storage`: only a sync can be `Full`.
#[test]
fn a_compaction_without_room_is_not_full() {
    let disk = Disk::new();
    let (store, _) = RecordStore::open_inline(disk.clone(), config()).expect("it opens");
    for write in 1..=10 {
        store.append(WriteId(write), Word(vec![7; 200].into())).expect("sound");
    }
    block_on(store.sync()).expect("there is room");
    disk.set_capacity(disk.used_bytes());
    let compacted = block_on(store.compact(WriteId(8)));
    assert!(!matches!(compacted, Err(StorageError::Full)), "{compacted:?}");
}

/// After a failed sync of the folder, none may count.
#[test]
fn a_failed_sync_of_the_folder_is_not_tried_again() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for _ in 0..6 {
        wal.append(vec![7; 400]).and_then(|ack| ack.wait()).expect("there is room");
    }
    disk.fail(Op::SyncDir, 1, io::ErrorKind::Other);
    wal.truncate_prefix(Index(5)).expect_err("the folder is not synced");
    let outcome = (0..6).try_for_each(|_| wal.append(vec![7; 400])?.wait());
    assert!(matches!(outcome, Err(WriteError::Poisoned { .. })), "{outcome:?}");
}

/// One at a time of those who count the descriptors of the process.
#[cfg(target_os = "linux")]
static COUNTING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Each sealed segment kept a descriptor.
#[cfg(target_os = "linux")]
#[test]
fn files_do_not_stay_open_without_bound() {
    let _counting = COUNTING.lock();
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let open = || std::fs::read_dir("/proc/self/fd").expect("linux").count();
    let (wal, _) = Wal::open(folder.path(), config()).expect("the folder is empty");
    let before = open();
    for _ in 0..300 {
        drop(wal.append(vec![7; 900]).expect("within limits"));
    }
    wal.sync().expect("there is room");
    let written = open() - before;
    assert_eq!(read_all(&wal).len(), 300);
    assert_eq!(read_all(&wal).len(), 300);
    let read = open() - before;
    assert!(written < 120 && read < 120, "{written} files after writing, {read} after reading");
}

/// A salvage opened all segments at once.
#[cfg(target_os = "linux")]
#[test]
fn a_salvage_keeps_no_file_open_but_the_last() {
    let _counting = COUNTING.lock();
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let open = || std::fs::read_dir("/proc/self/fd").expect("linux").count();
    let (wal, _) = Wal::open(folder.path(), config()).expect("the folder is empty");
    for _ in 0..300 {
        drop(wal.append(vec![7; 900]).expect("within limits"));
    }
    wal.close().expect("there is room");
    let path = folder.path().join("00000000000000000005.wal");
    let mut bytes = std::fs::read(&path).expect("it is there");
    bytes[200] ^= 1;
    std::fs::write(&path, bytes).expect("there is room");
    let before = open();
    let mut config = config();
    config.recovery = Recovery::Salvage;
    let (wal, recovered) = Wal::open(folder.path(), config).expect("one record is damaged");
    let opened = open() - before;
    assert!(opened < 60, "{opened} files, with those of other tests");
    assert_eq!(recovered.damaged.len(), 1);
    assert_eq!(wal.records(Index(6)..).filter(Result::is_ok).count(), 295);
}

#[test]
fn truncation_is_durable_when_it_returns() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for _ in 0..6 {
        drop(wal.append(vec![7; 400]).expect("within limits"));
    }
    wal.sync().expect("there is room");
    drop(wal.write(Batch::new().truncate_prefix(Index(5))).expect("within limits"));
    wal.truncate_prefix(Index(5)).expect("there is room");
    drop(wal);
    disk.crash_losing_unsynced();
    let (wal, _) = Wal::open_on(disk, config()).expect("a crash closes no log");
    assert_eq!(wal.first_index(), Index(5));
}

/// The last waker of a task may own the thread that wakes it.
#[test]
fn an_io_thread_may_be_dropped_by_itself() {
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Wake, Waker};
    struct Last(Mutex<Option<quorate_wal::IoThread<Disk>>>, std::sync::mpsc::Sender<bool>);
    impl Wake for Last {
        fn wake(self: Arc<Self>) {
            let thread = self.0.lock().expect("no panic").take();
            let is_sound =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(thread))).is_ok();
            self.1.send(is_sound).expect("the test listens");
        }
    }
    let (wal, _) = Wal::open_on(Disk::new(), config()).expect("the disk is empty");
    let thread = wal.spawn_io_thread().expect("there are threads");
    let mut ack = Box::pin(wal.append("x").expect("within limits"));
    let (said, heard) = std::sync::mpsc::channel();
    let waker: Waker = Arc::new(Last(Mutex::new(Some(thread)), said)).into();
    let _ = ack.as_mut().poll(&mut Context::from_waker(&waker));
    let is_sound = heard.recv_timeout(std::time::Duration::from_secs(5));
    assert_eq!(is_sound, Ok(true), "it waited for itself");
    wal.append("y").and_then(|ack| ack.wait()).expect("whoever waits leads again");
}

/// Threads and futures, with threads of the log that come and go: nobody waits for ever.
#[test]
fn nobody_is_forgotten() {
    let (wal, _) = Wal::open_on(quorate_wal::Memory::new(), config()).expect("it is empty");
    thread::scope(|scope| {
        for writer in 0..6 {
            let wal = wal.clone();
            scope.spawn(move || {
                for number in 0..3_000_u32 {
                    let ack = wal.append(vec![1; 20]).expect("within limits");
                    match (writer + number) % 4 {
                        0 => ack.wait().expect("sound"),
                        1 => block_on(ack).expect("sound"),
                        2 => {
                            let mut ack = ack;
                            let _ = futures::FutureExt::now_or_never(&mut ack);
                            drop(ack);
                        }
                        _ => drop(wal.sync().expect("sound")),
                    }
                }
            });
        }
        let wal = wal.clone();
        scope.spawn(move || {
            for _ in 0..400 {
                let thread = wal.spawn_io_thread().expect("there are threads");
                thread::yield_now();
                drop(thread);
            }
        });
    });
}

/// The mark went through each index up to the new one, with the lock of the log. Found by
/// `wal_open`.
#[test]
fn the_mark_may_go_far_beyond_the_end() {
    let far = Index(1 << 54);
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    wal.append("one").and_then(|ack| ack.wait()).expect("there is room");
    drop(wal.append("two").expect("within limits"));
    wal.truncate_prefix(far).expect("there is room");
    let ack = wal.append("far").expect("within limits");
    assert_eq!(ack.indexes().start, far);
    ack.wait().expect("there is room");
    assert_eq!(wal.read(far).expect("sound").as_deref(), Some(&b"far"[..]));
    drop(wal);
    disk.crash_losing_unsynced();
    let (wal, _) = Wal::open_on(disk, config()).expect("a crash closes no log");
    assert_eq!((wal.first_index(), read_all(&wal)), (far, vec![Bytes::from("far")]));
}

/// Salvage looked for a record by the heads from an earlier one on, across those that are damaged.
/// Found by `wal_open`.
#[test]
fn records_behind_damaged_heads_of_dead_ones_are_read() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let write = |batch: Batch| wal.write(batch).and_then(|ack| ack.wait()).expect("there is room");
    (1..=6).for_each(|number| write(Batch::new().append(vec![number; 40])));
    write(Batch::new().truncate_suffix(Index(4)).append("four"));
    write(Batch::new().append("five"));
    wal.close().expect("there is room");
    let name = "00000000000000000001.wal";
    let mut content = disk.content(name).expect("it is there");
    // From the head of the first record 4 to that of the second.
    let dead = 64 + 3 * 64..64 + 6 * 64 + 32;
    content[dead].fill(0xff);
    disk.install(name, &content);
    let mut config = config();
    config.recovery = Recovery::Salvage;
    let (wal, recovered) = Wal::open_on(disk, config).expect("what can be read is served");
    assert_eq!((recovered.range, recovered.lost), (Index(1)..Index(6), vec![]));
    let read = |index| wal.read(Index(index)).expect("its frame is whole").expect("it is there");
    assert_eq!((read(3), read(4), read(5)), (vec![3; 40].into(), "four".into(), "five".into()));
}
