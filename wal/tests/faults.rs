//! Waiting, leading and failing: threads, futures, full disks and failed syncs.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use futures::future::join_all;
use parking_lot::Mutex;
use quorate_core::{DecodeError, Disk as _, File, Storage, StorageError, Wire, WriteId};
use quorate_sim::{Disk, Op};
use quorate_wal::{Directory, Index, Memory, MemoryFile, MemoryLock, OpenError};
use quorate_wal::{Preallocate, RecordStore, Wal, WriteError};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    for nth in 1..20 {
        let disk = Disk::new();
        let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
        disk.fail(Op::Sync, nth, io::ErrorKind::Other);
        let mut acknowledged = 0;
        let mut has_failed = false;
        for number in 0..30_u32 {
            let result = wal.append(vec![7; 300]).and_then(|ack| ack.wait());
            match result {
                Ok(()) if !has_failed => acknowledged = number + 1,
                Ok(()) => panic!("sync {nth} failed, record {number} was acknowledged"),
                Err(WriteError::Poisoned { since, .. }) => {
                    assert_eq!(since.0, u64::from(acknowledged) + 1);
                    has_failed = true;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(has_failed);
        assert_eq!(read_all(&wal).len(), acknowledged as usize, "what is durable can be read");
        assert!(matches!(wal.close(), Err(WriteError::Poisoned { .. })));
    }
}

#[test]
fn nobody_waits_for_ever_when_the_leader_fails() {
    for nth in 1..10 {
        let disk = Disk::new();
        let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
        disk.fail(Op::Sync, nth, io::ErrorKind::Other);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| while wal.append("x").and_then(|ack| ack.wait()).is_ok() {});
            }
        });
        assert!(matches!(wal.append("x"), Err(WriteError::Poisoned { .. })));
    }
}

#[test]
fn a_full_disk_at_any_byte_takes_nothing_acknowledged_and_works_again() {
    let record = |number: u8| Bytes::from(vec![number; 100]);
    for (room, preallocate) in (0..2_500).step_by(7).flat_map(|room| {
        [Preallocate::None, Preallocate::ZeroAhead { step: 4_096 }].map(|it| (room, it))
    }) {
        let mut config = config();
        config.preallocate = preallocate;
        let disk = Disk::new();
        let (wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("the disk is empty");
        disk.set_capacity(disk.used_bytes() + room);
        let mut kept = Vec::new();
        for number in 0..30 {
            match wal.append(record(number)).and_then(|ack| ack.wait()) {
                Ok(()) => kept.push(record(number)),
                Err(WriteError::DiskFull) => {
                    assert_eq!(wal.next_index().0, kept.len() as u64 + 1, "it falls back");
                }
                Err(error) => panic!("{room} bytes: {error:?}"),
            }
        }
        assert!(kept.len() < 30, "{room} bytes are too many for this test");
        disk.clear_capacity();
        kept.push(record(99));
        wal.append(record(99)).and_then(|ack| ack.wait()).expect("there is room again");
        assert_eq!(read_all(&wal), kept);
        drop(wal);
        disk.crash(room);
        let (wal, _) = Wal::open_on(disk, config).expect("a crash closes no log");
        assert_eq!(read_all(&wal), kept, "{room} bytes");
    }
}

#[test]
fn a_sync_tells_of_records_that_were_dropped_unheard() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    drop(wal.append("nobody waits for this").expect("within limits"));
    let ack = wal.append("x").expect("within limits");
    disk.set_capacity(0);
    assert!(matches!(ack.wait(), Err(WriteError::DiskFull)));
    disk.clear_capacity();
    assert!(matches!(wal.sync(), Err(WriteError::DiskFull)), "the first was appended before");
    assert_eq!(wal.sync().expect("all has been told"), Index(1));
}

#[test]
fn a_second_opener_is_refused_in_one_process() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let path = folder.path().join("log");
    let (wal, _) = Wal::open(&path, config()).expect("the folder is empty");
    let again = Wal::open(&path, config()).map(drop);
    assert!(matches!(again, Err(OpenError::Locked { .. })), "{again:?}");
    let clone = wal.clone();
    wal.close().expect("there is room");
    assert!(matches!(clone.append("x"), Err(WriteError::Closed)));
    let (wal, _) = Wal::open(&path, config()).expect("it was closed");
    drop(clone);
    drop(wal);
    Wal::open(&path, config()).expect("the last handle is gone");
}

#[test]
fn a_folder_keeps_what_was_synced() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let records: Vec<Bytes> = (0..50).map(|number| Bytes::from(vec![number; 90])).collect();
    for run in 0..3 {
        let mut config = config();
        config.preallocate = Preallocate::ZeroAhead { step: 4_096 };
        let (wal, recovered) = Wal::open(folder.path(), config).expect("it opens");
        assert_eq!(recovered.range.end.0, run * 50 + 1);
        for record in &records {
            drop(wal.append(record.clone()).expect("within limits"));
        }
        assert_eq!(wal.sync().expect("there is room"), wal.next_index());
        let found: Vec<Bytes> = read_all(&wal).split_off(usize::try_from(run).expect("small") * 50);
        assert_eq!(found, records);
        if run == 1 {
            wal.close().expect("there is room");
        }
    }
    let disk = Directory::new(folder.path()).expect("it is there");
    let names = disk.list().expect("it can be listed");
    assert!(10 < names.len(), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
}

#[test]
fn truncation_frees_whole_segments() {
    let disk = Disk::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    for _ in 0..30 {
        drop(wal.append(vec![7; 400]).expect("within limits"));
    }
    wal.sync().expect("there is room");
    let segments = || disk.list().expect("sound").iter().filter(|it| it.ends_with("wal")).count();
    assert_eq!(segments(), 15);
    wal.truncate_prefix(Index(2)).expect("there is room");
    assert_eq!(segments(), 15, "each still holds a live record");
    wal.truncate_prefix(Index(22)).expect("there is room");
    assert_eq!(segments(), 5);
    assert!(wal.read(Index(21)).is_err());
    wal.truncate_prefix(Index(100)).expect("there is room");
    assert_eq!((wal.first_index(), wal.next_index()), (Index(100), Index(100)));
    let ack = wal.append("x").expect("within limits");
    assert_eq!(ack.indexes(), Index(100)..Index(101));
    assert!(matches!(wal.truncate_suffix(Index(99)), Err(WriteError::OutOfRange { .. })));
}

/// A disk of which each sync waits for a word.
#[derive(Clone, Default)]
struct Stalling {
    memory: Memory,
    gate: Arc<Mutex<Option<Gate>>>,
}

struct Gate {
    begun: Sender<()>,
    go: Receiver<()>,
}

struct StallingFile {
    file: MemoryFile,
    gate: Arc<Mutex<Option<Gate>>>,
}

impl quorate_core::Disk for Stalling {
    type File = StallingFile;
    type Lock = MemoryLock;

    fn create_new(&self, name: &str) -> io::Result<StallingFile> {
        let file = self.memory.create_new(name)?;
        Ok(StallingFile { file, gate: Arc::clone(&self.gate) })
    }

    fn open(&self, name: &str) -> io::Result<StallingFile> {
        let file = self.memory.open(name)?;
        Ok(StallingFile { file, gate: Arc::clone(&self.gate) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.memory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.memory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.memory.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, name: &str) -> io::Result<MemoryLock> {
        self.memory.lock(name)
    }
}

impl File for StallingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, out)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if let Some(gate) = &*self.gate.lock() {
            gate.begun.send(()).map_err(io::Error::other)?;
            gate.go.recv().expect("a word comes, or the disk panics");
        }
        Ok(())
    }
}

#[test]
fn append_and_read_do_not_wait_for_a_sync_in_flight() {
    let disk = Stalling::default();
    let mut config = config();
    config.segment_bytes = 1 << 20;
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    let ((begun, has_begun), (go, may_go)) = (channel(), channel());
    *disk.gate.lock() = Some(Gate { begun, go: may_go });
    thread::scope(|scope| {
        let first = wal.append("first").expect("within limits");
        let leader = scope.spawn(|| first.wait());
        has_begun.recv().expect("the leader syncs");

        // The sync stands still. All of this happens while it does.
        let others: Vec<_> =
            (0..100).map(|_| wal.append("other").expect("within limits")).collect();
        assert_eq!(wal.next_index(), Index(102));
        assert_eq!(wal.durable_end(), Index(1));
        assert_eq!(wal.read(Index(101)).expect("in memory").as_deref(), Some(&b"other"[..]));

        go.send(()).expect("the leader waits");
        leader.join().expect("it does not panic").expect("the disk is sound");
        assert_eq!(wal.durable_end(), Index(2));
        go.send(()).expect("the next leader waits, or will");
        others.into_iter().for_each(|ack| ack.wait().expect("the disk is sound"));
        assert_eq!(wal.stats().groups, 2, "one sync for all that came together");
    });
}

#[test]
fn a_panic_of_the_disk_wakes_everybody() {
    let disk = Stalling::default();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let ((begun, has_begun), (go, may_go)) = (channel(), channel());
    *disk.gate.lock() = Some(Gate { begun, go: may_go });
    let first = wal.append("first").expect("within limits");
    let second = wal.append("second").expect("within limits");
    thread::scope(|scope| {
        let leader = scope.spawn(|| first.wait());
        let follower = scope.spawn(|| second.wait());
        has_begun.recv().expect("one of them syncs");
        drop(go);
        let outcomes = [leader.join(), follower.join()];
        let panicked = outcomes.iter().filter(|it| it.is_err()).count();
        assert_eq!(panicked, 1, "the one who led");
        let woken = outcomes.into_iter().flatten().next().expect("the other did not");
        assert!(matches!(woken, Err(WriteError::Poisoned { .. })), "{woken:?}");
    });
}

#[test]
fn futures_share_a_group_with_and_without_a_thread() {
    for has_thread in [false, true] {
        let disk = Disk::new();
        let mut config = config();
        config.segment_bytes = 1 << 20;
        let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
        let thread = has_thread.then(|| wal.spawn_io_thread().expect("there are threads"));
        let before = disk.count(Op::Sync);
        let acks: Vec<_> = (0..100).map(|_| wal.append("x").expect("within limits")).collect();
        for outcome in block_on(join_all(acks)) {
            outcome.expect("the disk is sound");
        }
        assert_eq!(disk.count(Op::Sync) - before, 1);
        drop(thread);
        wal.append("y").and_then(|ack| ack.wait()).expect("whoever waits leads again");
    }
}

#[test]
fn many_writers_are_all_acknowledged_and_share_syncs() {
    let (wal, _) = Wal::open_on(Memory::new(), config()).expect("the disk is empty");
    thread::scope(|scope| {
        for writer in 0..8_u8 {
            let wal = wal.clone();
            scope.spawn(move || {
                for _ in 0..200 {
                    let ack = wal.append(vec![writer; 50]).expect("within limits");
                    let index = ack.indexes().start;
                    ack.wait().expect("memory has room");
                    let found = wal.read(index).expect("sound").expect("it is durable");
                    assert_eq!(found, vec![writer; 50]);
                }
            });
        }
    });
    assert_eq!(wal.stats().records, 1_600);
}

/// A record as a core would have it.
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

fn word(number: u64) -> Word {
    Word(number.to_string().into())
}

#[test]
fn a_store_replays_what_was_synced_and_knows_where_it_lies() {
    let disk = Disk::new();
    let mut expect = Vec::new();
    for run in 0..3 {
        let (store, _) = RecordStore::open_on(disk.clone(), config()).expect("it opens");
        let replayed: Result<Vec<Word>, _> = store.replay().collect();
        assert_eq!(replayed.expect("nothing is rotten"), expect);
        for write in 1..=20 {
            store.append(WriteId(write), word(run * 100 + write)).expect("the disk is sound");
            expect.push(word(run * 100 + write));
        }
        assert_eq!(block_on(store.sync()).expect("the disk is sound"), WriteId(20));
        let index = store.index_of(WriteId(7));
        assert_eq!(store.read(index).expect("it is durable"), word(run * 100 + 7));
        assert_eq!(block_on(store.sync()).expect("nothing to do"), WriteId(20));
        drop(store);
        disk.crash(run);
    }
    let (store, _) = RecordStore::<Word, _>::open_on(disk, config()).expect("it opens");
    let indexes: Vec<u64> =
        store.replay_indexed().map(|item| item.expect("nothing is rotten").0.0).collect();
    assert_eq!(indexes, (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_store_keeps_what_a_full_disk_refuses() {
    for room in (0..3_000).step_by(11) {
        let disk = Disk::new();
        let (store, _) = RecordStore::open_on(disk.clone(), config()).expect("it opens");
        disk.set_capacity(disk.used_bytes() + room);
        let mut is_full = false;
        for write in 1..=60 {
            store.append(WriteId(write), word(1 << 60 | write)).expect("the disk is not broken");
            if write % 5 == 0 {
                match block_on(store.sync()) {
                    Ok(synced) => assert_eq!(synced, WriteId(write)),
                    Err(StorageError::Full) => is_full = true,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        assert!(is_full, "{room} bytes are too many for this test");
        disk.clear_capacity();
        assert_eq!(block_on(store.sync()).expect("there is room"), WriteId(60));
        drop(store);
        disk.crash(room);
        let (store, _) = RecordStore::open_on(disk, config()).expect("it opens");
        let replayed: Result<Vec<Word>, _> = store.replay().collect();
        let expect: Vec<Word> = (1..=60).map(|write| word(1 << 60 | write)).collect();
        assert_eq!(replayed.expect("nothing is rotten"), expect);
    }
}

#[test]
fn a_store_forgets_before_a_write() {
    let disk = Disk::new();
    let (store, _) = RecordStore::open_on(disk.clone(), config()).expect("it opens");
    for write in 1..=100 {
        store.append(WriteId(write), word(write)).expect("the disk is sound");
    }
    block_on(store.sync()).expect("the disk is sound");
    block_on(store.compact(WriteId(90))).expect("the disk is sound");
    drop(store);
    let (store, _) = RecordStore::<Word, _>::open_on(disk, config()).expect("it opens");
    let first = store.replay().next().expect("there is one").expect("it is sound");
    assert_eq!(first, word(90));
}

#[test]
fn a_store_keeps_its_order_while_a_full_disk_comes_and_goes() {
    let disk = Disk::new();
    let (store, _) = RecordStore::open_on(disk.clone(), config()).expect("it opens");
    thread::scope(|scope| {
        let syncing = scope.spawn(|| {
            loop {
                match block_on(store.sync()) {
                    Ok(WriteId(3_000)) => break,
                    Ok(_) | Err(StorageError::Full) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
        for write in 1..=3_000 {
            match write % 40 {
                0 => disk.set_capacity(disk.used_bytes() + write % 700),
                20 => disk.clear_capacity(),
                _ => {}
            }
            store.append(WriteId(write), word(write)).expect("the disk is not broken");
        }
        disk.clear_capacity();
        syncing.join().expect("it does not panic");
    });
    store.close().expect("there is room");
    let (store, _) = RecordStore::<Word, _>::open_on(disk, config()).expect("it opens");
    let replayed: Result<Vec<Word>, _> = store.replay().collect();
    let expect: Vec<Word> = (1..=3_000).map(word).collect();
    assert_eq!(replayed.expect("nothing is rotten"), expect);
}
