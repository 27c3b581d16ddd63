//! What happens between two operations of the disk: files that are used again while somebody reads
//! or restores them, and waits that lose what they wait for.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use quorate_sim::Op;
use quorate_wal::{Durability, Index, Preallocate, ReadError, Wal, WriteError};

use hooked::{At, Hooked};
use small::{config, read_all};

#[path = "small/hooked.rs"]
mod hooked;
#[path = "small/log.rs"]
mod small;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_what_was_flushed_is_woken_when_the_disk_is_full() {
    let disk = Hooked::default();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let mut flushed = wal.append("a").expect("within limits");
    wal.flush().expect("there is room");
    let late = wal.append("b").expect("within limits");
    disk.disk.set_capacity(disk.disk.used_bytes());
    let woken = Arc::new(Woken::default());
    let (waker, (sender, receiver)) = (Waker::from(Arc::clone(&woken)), mpsc::channel());
    disk.before(At::Write, 1, move || {
        let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending(), "another leads");
        sender.send(flushed).expect("it is waited for");
    });
    assert!(matches!(late.wait(), Err(WriteError::DiskFull)));
    disk.disk.clear_capacity();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "nobody leads now");
    let mut flushed = receiver.recv().expect("it was polled");
    let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Ok(()))));
}

#[test]
fn who_waits_for_what_was_flushed_is_woken_when_the_thread_ends() {
    for round in 0..50 {
        let (wal, _) = Wal::open_on(Hooked::default(), config()).expect("the disk is empty");
        let mut flushed = wal.append("a").expect("within limits");
        wal.flush().expect("there is room");
        let thread = wal.spawn_io_thread().expect("there is one");
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(&waker));
        drop(thread);
        assert!(poll.is_ready() || 0 < woken.0.load(Ordering::SeqCst), "round {round}");
    }
}

#[test]
fn a_full_disk_does_not_bring_back_what_a_failed_sync_put_in_doubt() {
    let (disk, mut config) = (Hooked::default(), config());
    config.durability = Durability::Never;
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    let append = || wal.append(vec![1; 100]).and_then(|ack| ack.wait());
    append().expect("there is room");
    wal.sync().expect("the disk is sound");
    append().expect("there is room");
    assert!(disk.disk.flip("00000000000000000001.wal", 64 + 24 + 50, 0));
    disk.disk.set_capacity(disk.disk.used_bytes());
    let (other, faults) = (wal.clone(), disk.disk.clone());
    disk.before(At::Write, 1, move || {
        faults.fail(Op::Sync, 1, ErrorKind::Other);
        other.restore(Index(1), &[1; 100]).expect_err("its sync fails");
        assert_eq!(other.next_index(), Index(2), "the second is in doubt");
    });
    let outcome = append();
    assert!(matches!(outcome, Err(WriteError::Poisoned { .. })), "{outcome:?}");
    assert_eq!((wal.durable_end(), wal.next_index()), (Index(2), Index(2)));
}

/// A log of 12 records of 1,000 bytes, three in a segment, whose files are used again.
fn recycled(disk: &Hooked, files: usize) -> Wal<Hooked> {
    let mut config = config();
    config.preallocate = Preallocate::Recycle { files };
    config.segment_bytes = 4_096;
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    append(&wal, 1..=12);
    wal
}

fn append(wal: &Wal<Hooked>, bytes: impl IntoIterator<Item = u8>) {
    for byte in bytes {
        wal.append(vec![byte; 1_000]).and_then(|ack| ack.wait()).expect("there is room");
    }
}

/// Lets go of all that is sealed, and writes over it.
fn write_over(wal: &Wal<Hooked>) {
    for round in 0..6 {
        wal.truncate_prefix(wal.next_index()).expect("there is room");
        append(wal, [100 + round; 3]);
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "another thread has to wait for this one")]
fn a_record_is_not_restored_into_another_life_of_its_file() {
    let disk = Hooked::default();
    let wal = recycled(&disk, 1);
    assert!(disk.disk.flip("00000000000000000001.wal", 64 + 24 + 500, 0));
    let other = wal.clone();
    let (sender, receiver) = mpsc::channel();
    disk.before(At::Write, 1, move || {
        let work = thread::spawn(move || {
            other.truncate_prefix(Index(10)).expect("there is room");
            other.roll().expect("there is room");
            append(&other, 101..=103);
        });
        // It may have to wait for who restores.
        for _ in 0..30 {
            if !work.is_finished() {
                thread::sleep(Duration::from_millis(10));
            }
        }
        sender.send(work).expect("it is waited for");
    });
    wal.restore(Index(1), &[1; 1_000]).expect("it is what stood there");
    let work = receiver.recv().expect("it was begun");
    work.join().expect("it has what it needs");
    let found: Vec<u8> = read_all(&wal).iter().map(|record| record[0]).collect();
    assert_eq!(found, [10, 11, 12, 101, 102, 103]);
    wal.verify().expect("nothing is damaged");
}

#[test]
fn files_that_are_used_again_are_no_damage_to_who_reads_them() {
    for nth in 1..40 {
        let disk = Hooked::default();
        let wal = recycled(&disk, 2);
        let other = wal.clone();
        disk.before(At::Read, nth, move || write_over(&other));
        wal.verify().unwrap_or_else(|error| panic!("read {nth}: {error}"));
    }
    for nth in 1..6 {
        let disk = Hooked::default();
        let wal = recycled(&disk, 2);
        let other = wal.clone();
        disk.before(At::Read, nth, move || write_over(&other));
        for item in wal.records(Index(1)..Index(4)) {
            match item {
                Ok((index, record)) => assert_eq!(u64::from(record[999]), index.0),
                Err(error) => {
                    assert!(matches!(error, ReadError::Compacted { .. }), "read {nth}: {error}");
                }
            }
        }
    }
}
