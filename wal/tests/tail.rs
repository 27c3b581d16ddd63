//! Following the log: what is shown, what is taken back, and who is woken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::{FusedStream as _, Stream as _, StreamExt as _};
use parking_lot::Mutex;
use quorate_core::File;
use quorate_sim::{Disk, Op};
use quorate_wal::{
    Batch, Index, Memory, MemoryFile, MemoryLock, Retention, Tail, TailError, Visible, Wal,
    WriteError,
};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

/// Longer than any test takes: whoever waits for so long was not woken.
const LONG: Duration = Duration::from_secs(20);

fn open<D: quorate_core::Disk + Clone>(disk: &D) -> Wal<D> {
    Wal::open_on(disk.clone(), config()).expect("a crash closes no log").0
}

fn append<D: quorate_core::Disk>(wal: &Wal<D>, records: &[&'static str]) {
    for record in records {
        drop(wal.append(*record).expect("within limits"));
    }
}

/// What there is without waiting.
fn drain<D: quorate_core::Disk>(tail: &mut Tail<D>) -> Vec<Bytes> {
    let next = || tail.next_timeout(Duration::ZERO).expect("sound").map(|(_, record)| record);
    std::iter::from_fn(next).collect()
}

fn end_of<D: quorate_core::Disk>(tail: &mut Tail<D>) -> Index {
    match tail.next_timeout(Duration::ZERO) {
        Err(TailError::Truncated { end }) => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_sees_what_it_asked_for() {
    let wal = open(&Disk::new());
    let mut written = wal.tail(Index(1), Visible::Written);
    let mut durable = wal.tail(Index(1), Visible::Durable);
    append(&wal, &["a", "b"]);
    assert_eq!(drain(&mut written), ["a", "b"]);
    assert_eq!(drain(&mut durable), [""; 0]);
    wal.sync().expect("there is room");
    assert_eq!(drain(&mut durable), ["a", "b"]);
    assert_eq!(drain(&mut written), [""; 0]);
    append(&wal, &["c"]);
    let mut later = wal.tail(Index(3), Visible::Written);
    assert_eq!(drain(&mut later), ["c"]);
    assert_eq!((written.next_index(), durable.next_index()), (Index(3), Index(3)));
    let mut beyond = wal.tail(Index(5), Visible::Written);
    append(&wal, &["d", "e"]);
    assert_eq!(drain(&mut beyond), ["e"], "an index beyond the end is waited for");
}

#[test]
fn a_truncation_behind_it_names_the_new_end() {
    let wal = open(&Disk::new());
    append(&wal, &["1", "2", "3", "4"]);
    wal.sync().expect("there is room");
    let mut written = wal.tail(Index(1), Visible::Written);
    let mut durable = wal.tail(Index(1), Visible::Durable);
    let mut halfway = wal.tail(Index(1), Visible::Durable);
    let mut beyond = wal.tail(Index(9), Visible::Written);
    assert_eq!((drain(&mut written).len(), drain(&mut durable).len()), (4, 4));
    halfway.next_timeout(Duration::ZERO).expect("sound").expect("it is there");
    let ack = wal.write(Batch::new().truncate_suffix(Index(3)).append("3'").append("4'"));
    assert_eq!(end_of(&mut written), Index(3));
    assert_eq!(drain(&mut written), ["3'", "4'"]);
    assert_eq!(drain(&mut durable), [""; 0], "it is not durable yet, neither the cut nor the rest");
    assert_eq!(drain(&mut halfway), ["2"], "neither the old 3 nor the new one");
    ack.and_then(|ack| ack.wait()).expect("there is room");
    assert_eq!(end_of(&mut durable), Index(3));
    assert_eq!(drain(&mut durable), ["3'", "4'"]);
    assert_eq!(drain(&mut halfway), ["3'", "4'"], "nothing was taken back that it had");
    assert_eq!(drain(&mut beyond), [""; 0]);

    // Twice before it looks: the lower one counts.
    append(&wal, &["5"]);
    assert_eq!(drain(&mut written), ["5"]);
    for (from, record) in [(4, "4''"), (2, "2''"), (3, "3''")] {
        let batch = Batch::new().truncate_suffix(Index(from)).append(record);
        drop(wal.write(batch).expect("within limits"));
    }
    assert_eq!(end_of(&mut written), Index(2));
    assert_eq!(drain(&mut written), ["2''", "3''"]);
}

#[test]
fn what_is_compacted_is_passed_over_with_an_error() {
    let wal = open(&Disk::new());
    append(&wal, &["1", "2", "3", "4"]);
    wal.sync().expect("there is room");
    for see in [Visible::Durable, Visible::Written] {
        let first = wal.first_index().0;
        let mut tail = wal.tail(Index(first), see);
        wal.truncate_prefix(Index(first + 2)).expect("there is room");
        let compacted = tail.next_timeout(Duration::ZERO);
        let expect = Index(first + 2);
        assert!(
            matches!(compacted, Err(TailError::Compacted { first_index }) if first_index == expect),
            "{compacted:?}"
        );
        assert_eq!(drain(&mut tail).len() as u64, wal.next_index().0 - expect.0);
    }
    // A jump that is not durable yet, one that never will be, and one that is.
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, &["1", "2"]);
    wal.sync().expect("there is room");
    let mut durable = wal.tail(Index(1), Visible::Durable);
    let mut written = wal.tail(Index(1), Visible::Written);
    let jump = || wal.write(Batch::new().truncate_prefix(Index(50)).append("50"));
    let ack = jump();
    assert_eq!((drain(&mut durable).len(), drain(&mut written).len()), (0, 0));
    disk.set_capacity(disk.used_bytes());
    assert!(matches!(ack.and_then(|ack| ack.wait()), Err(WriteError::DiskFull)));
    disk.clear_capacity();
    assert_eq!((drain(&mut durable).len(), drain(&mut written).len()), (2, 2));
    jump().and_then(|ack| ack.wait()).expect("there is room");
    for tail in [&mut durable, &mut written] {
        tail.next_timeout(LONG).expect_err("50 is the first");
        assert_eq!(drain(tail), ["50"]);
    }
}

#[test]
fn a_full_disk_takes_back_what_was_written() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, &["1", "2", "3"]);
    wal.sync().expect("there is room");
    let mut written = wal.tail(Index(1), Visible::Written);
    let mut durable = wal.tail(Index(1), Visible::Durable);
    assert_eq!((drain(&mut written).len(), drain(&mut durable).len()), (3, 3));
    let ack = wal.write(Batch::new().truncate_suffix(Index(2)).append("2'"));
    assert_eq!(end_of(&mut written), Index(2));
    assert_eq!(drain(&mut written), ["2'"]);
    disk.set_capacity(disk.used_bytes());
    assert!(matches!(ack.and_then(|ack| ack.wait()), Err(WriteError::DiskFull)));
    assert_eq!(end_of(&mut written), Index(2), "and so is the truncation");
    assert_eq!(drain(&mut written), ["2", "3"]);
    assert_eq!(drain(&mut durable), [""; 0], "nothing that was durable changed");
    disk.clear_capacity();
    append(&wal, &["4"]);
    wal.sync().expect("there is room again");
    assert_eq!((drain(&mut written), drain(&mut durable)), (vec!["4".into()], vec!["4".into()]));
}

#[test]
fn a_failed_sync_ends_it_behind_what_is_durable() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, &["1"]);
    wal.sync().expect("there is room");
    let mut written = wal.tail(Index(1), Visible::Written);
    let mut durable = wal.tail(Index(1), Visible::Durable);
    append(&wal, &["2"]);
    assert_eq!(drain(&mut written), ["1", "2"]);
    disk.fail(Op::Sync, 1, io::ErrorKind::Other);
    wal.sync().expect_err("the sync fails");
    assert_eq!(end_of(&mut written), Index(2));
    let first = durable.next_timeout(Duration::ZERO).expect("it is durable");
    assert_eq!(first.expect("it is there").1, "1");
    for tail in [&mut written, &mut durable] {
        for _ in 0..2 {
            let failed = tail.next_timeout(LONG);
            assert!(
                matches!(failed, Err(TailError::Failed(WriteError::Poisoned { .. }))),
                "{failed:?}"
            );
        }
        let item = block_on(tail.next()).expect("it says so once");
        assert!(matches!(item, Err(TailError::Failed(_))), "{item:?}");
        assert!(block_on(tail.next()).is_none() && tail.is_terminated());
    }
}

#[test]
fn a_closed_log_is_given_out_to_its_end() {
    for see in [Visible::Durable, Visible::Written] {
        let wal = open(&Memory::new());
        let tail = wal.tail(Index(1), see);
        let mut waiting = wal.tail(Index(1), see);
        thread::scope(|scope| {
            scope.spawn(move || {
                for expect in ["1", "2", "3"] {
                    let found = waiting.next_timeout(LONG).expect("sound").expect("it was woken");
                    assert_eq!(found.1, expect);
                }
                let closed = waiting.next_timeout(LONG);
                assert!(matches!(closed, Err(TailError::Closed)), "{closed:?}");
            });
            scope.spawn(move || {
                append(&wal, &["1", "2", "3"]);
                wal.close().expect("memory has room");
            });
            let found: Vec<_> = block_on(tail.map(|item| item.expect("sound").1).collect());
            assert_eq!(found, ["1", "2", "3"]);
        });
    }
}

#[test]
fn it_follows_rolls_and_every_record_comes_once() {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let (wal, _) = Wal::open(folder.path(), config()).expect("it is empty");
    const COUNT: u64 = 1_500;
    thread::scope(|scope| {
        for see in [Visible::Durable, Visible::Written] {
            let (one, two) = (wal.clone(), wal.clone());
            scope.spawn(move || {
                let mut tail = one.tail(Index(1), see);
                for index in 1..=COUNT {
                    let found = tail.next_timeout(LONG).expect("sound").expect("it was woken");
                    assert_eq!(found.0, Index(index));
                    assert_eq!(found.1.len() as u64, found.0.0 % 90);
                    assert!(see == Visible::Written || found.0 < one.durable_end());
                }
            });
            scope.spawn(move || {
                let tail = two.tail(Index(1), see).take(usize::try_from(COUNT).expect("small"));
                let indexes: Vec<u64> =
                    block_on(tail.map(|item| item.expect("sound").0.0).collect());
                assert!(indexes.iter().copied().eq(1..=COUNT));
            });
        }
        scope.spawn(|| {
            for index in 1..=COUNT {
                let ack = wal.append(vec![7; usize::try_from(index % 90).expect("small")]);
                let ack = ack.expect("within limits");
                if index % 7 == 0 {
                    ack.wait().expect("there is room");
                }
            }
            wal.sync().expect("there is room");
        });
    });
    assert!(10 < wal.stats().rolls, "{:?}", wal.stats());
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_is_woken_once_and_never_after_the_drop() {
    let wal = open(&Disk::new());
    for see in [Visible::Written, Visible::Durable] {
        let mut tail = Box::pin(wal.tail(wal.next_index(), see));
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let woken = || count.0.load(Ordering::SeqCst);
        assert!(tail.as_mut().poll_next(&mut context).is_pending());
        append(&wal, &["x", "y"]);
        assert_eq!(woken(), usize::from(see == Visible::Written));
        wal.sync().expect("there is room");
        assert_eq!(woken(), 1, "{see:?}");
        for _ in 0..2 {
            assert!(matches!(tail.as_mut().poll_next(&mut context), Poll::Ready(Some(Ok(_)))));
        }
        assert!(tail.as_mut().poll_next(&mut context).is_pending());
        drop(waker);
        drop(tail);
        append(&wal, &["z"]);
        wal.sync().expect("there is room");
        assert_eq!(woken(), 1, "it was cancelled");
        assert_eq!(Arc::strong_count(&count), 1, "nobody keeps its waker");
    }
}

#[test]
fn a_wait_ends_by_its_time() {
    let wal = open(&Disk::new());
    let mut tail = wal.tail(Index(1), Visible::Durable);
    assert!(tail.next_timeout(Duration::from_millis(20)).expect("sound").is_none());
    append(&wal, &["not durable"]);
    assert!(tail.next_timeout(Duration::from_millis(20)).expect("sound").is_none());
    wal.sync().expect("there is room");
    assert!(tail.next_timeout(LONG).expect("sound").is_some());
}

#[test]
fn a_damaged_record_is_named_and_tried_again() {
    let disk = Disk::new();
    let wal = open(&disk);
    append(&wal, &["one", "two"]);
    wal.sync().expect("there is room");
    let mut tail = wal.tail(Index(2), Visible::Durable);
    let name = "00000000000000000001.wal";
    assert!(disk.flip(name, 64 + 32 + 24, 0));
    for _ in 0..2 {
        let error = tail.next_timeout(Duration::ZERO).expect_err("it is rotten");
        assert!(matches!(error, TailError::Read(_)), "{error:?}");
    }
    assert!(disk.flip(name, 64 + 32 + 24, 0));
    assert_eq!(drain(&mut tail), ["two"]);
}

#[test]
fn a_hold_and_a_tail_outlive_a_retention() {
    let wal = open(&Disk::new());
    for _ in 0..20 {
        drop(wal.append(vec![7; 400]).expect("within limits"));
    }
    wal.sync().expect("there is room");
    let (hold, mut tail) = (wal.hold(Index(5)), wal.tail(Index(5), Visible::Durable));
    let policy = Retention { records: Some(0), ..Retention::default() };
    while let Some((index, _)) = tail.next_timeout(Duration::ZERO).expect("it is held") {
        hold.advance(index.plus(1));
        wal.retain(&policy, 0).expect("there is room");
    }
    assert_eq!(tail.next_index(), Index(21));
    assert!(Index(19) <= wal.first_index());
    assert_eq!(read_all(&wal).len() as u64, 21 - wal.first_index().0);
}

/// What happens while a file is read, once.
type Meddler = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A folder in which something happens while a file is read.
#[derive(Clone, Default)]
struct Meddling(Memory, Meddler);

struct MeddlingFile(MemoryFile, Meddler);

impl quorate_core::Disk for Meddling {
    type File = MeddlingFile;
    type Lock = MemoryLock;

    fn create_new(&self, name: &str) -> io::Result<MeddlingFile> {
        Ok(MeddlingFile(self.0.create_new(name)?, Arc::clone(&self.1)))
    }

    fn open(&self, name: &str) -> io::Result<MeddlingFile> {
        Ok(MeddlingFile(self.0.open(name)?, Arc::clone(&self.1)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<MemoryLock> {
        self.0.lock(name)
    }
}

impl File for MeddlingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read_at(offset, out)?;
        let meddler = self.1.lock().take();
        meddler.into_iter().for_each(|it| it());
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[test]
fn what_is_truncated_while_it_is_read_is_not_given_out() {
    for (see, expect) in [(Visible::Written, vec!["2'"]), (Visible::Durable, vec![])] {
        let disk = Meddling::default();
        let wal = open(&disk);
        append(&wal, &["1", "2", "3"]);
        wal.sync().expect("memory has room");
        let mut tail = wal.tail(Index(2), see);
        let other = wal.clone();
        *disk.1.lock() = Some(Box::new(move || {
            let batch = Batch::new().truncate_suffix(Index(2)).append("2'");
            drop(other.write(batch).expect("within limits"));
        }));
        assert_eq!(drain(&mut tail), expect, "{see:?}");
        wal.sync().expect("memory has room");
        tail = wal.tail(Index(2), see);
        assert_eq!(drain(&mut tail), ["2'"]);
    }
    // The same by the low-water mark, and the segment is gone by then.
    let disk = Meddling::default();
    let wal = open(&disk);
    for _ in 0..6 {
        wal.append(vec![7; 400]).and_then(|ack| ack.wait()).expect("memory has room");
    }
    let mut tail = wal.tail(Index(1), Visible::Durable);
    *disk.1.lock() = Some(Box::new(move || {
        wal.truncate_prefix(Index(5)).expect("memory has room");
    }));
    let first = tail.next_timeout(Duration::ZERO).expect("it was there when it was asked for");
    assert_eq!(first.map(|(index, _)| index), Some(Index(1)));
    let compacted = tail.next_timeout(Duration::ZERO);
    assert!(matches!(compacted, Err(TailError::Compacted { .. })), "{compacted:?}");
    assert_eq!(drain(&mut tail).len(), 2);
}
