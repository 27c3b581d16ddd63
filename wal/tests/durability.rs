//! When an acknowledgement is given, and what is due when.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::Stream as _;
use quorate_core::Instant;
use quorate_sim::{Disk, Op};
use quorate_wal::{Config, Durability, Index, Retention, Visible, Wal, WriteError};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

fn open(disk: &Disk, config: &Config) -> Wal<Disk> {
    Wal::open_on(disk.clone(), config.clone()).expect("a crash closes no log").0
}

fn with(durability: Durability) -> Config {
    let mut config = config();
    config.durability = durability;
    config
}

fn append(wal: &Wal<Disk>, record: &'static str) {
    wal.append(record).and_then(|ack| ack.wait()).expect("the disk is sound");
}

fn at(millis: u64) -> Instant {
    Instant::default() + Duration::from_millis(millis)
}

#[test]
fn without_syncs_an_ack_means_written_and_a_sync_means_durable() {
    let (disk, config) = (Disk::new(), with(Durability::Never));
    let wal = open(&disk, &config);
    let before = wal.stats().syncs;
    append(&wal, "one");
    append(&wal, "two");
    assert_eq!(wal.stats().syncs, before);
    assert_eq!((wal.durable_end(), wal.next_index()), (Index(1), Index(3)));
    assert_eq!(wal.sync().expect("the disk is sound"), Index(3));
    assert_eq!(wal.stats().syncs, before + 1, "one for both");
    assert_eq!(wal.sync().expect("the disk is sound"), Index(3));
    assert_eq!(wal.stats().syncs, before + 1, "none for nothing");
    append(&wal, "three");
    drop(wal);
    disk.crash_losing_unsynced();
    let wal = open(&disk, &config);
    assert_eq!(wal.next_index(), Index(3), "the third was written, and not durable");
}

#[test]
fn an_ack_in_memory_of_the_system_survives_the_process() {
    let (disk, config) = (Disk::new(), with(Durability::Never));
    let wal = open(&disk, &config);
    append(&wal, "one");
    drop(wal);
    assert_eq!(open(&disk, &config).next_index(), Index(2));
}

#[test]
fn unsynced_groups_are_lost_from_the_end_and_never_make_a_log_corrupt() {
    for seed in 0..2_000 {
        let (disk, mut config) = (Disk::new(), with(Durability::Never));
        config.segment_bytes = 1_024;
        let wal = open(&disk, &config);
        let mut durable = 0;
        for record in 0..30_u64 {
            wal.append(vec![7; 100]).and_then(|ack| ack.wait()).expect("the disk is sound");
            if (seed + record) % 11 == 0 {
                durable = wal.sync().expect("the disk is sound").0;
            }
        }
        drop(wal);
        disk.crash(seed);
        let wal = open(&disk, &config);
        assert!(durable <= wal.next_index().0, "seed {seed}");
        assert_eq!(read_all(&wal).len() as u64 + 1, wal.next_index().0, "seed {seed}");
    }
}

#[test]
fn an_interval_syncs_when_it_is_over_and_not_before() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Durability::Interval(Duration::from_millis(100))));
    assert_eq!(wal.poll_timeout(), None);
    wal.handle_timeout(at(1_000));
    append(&wal, "one");
    assert_eq!(wal.poll_timeout(), Some(at(1_100)));
    wal.handle_timeout(at(1_050));
    append(&wal, "two");
    assert_eq!(wal.poll_timeout(), Some(at(1_100)), "it began with the first");
    assert_eq!(wal.durable_end(), Index(1));
    wal.handle_timeout(at(1_100));
    assert_eq!((wal.durable_end(), wal.poll_timeout()), (Index(3), None));
    append(&wal, "three");
    wal.sync().expect("the disk is sound");
    assert_eq!(wal.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn an_interval_is_kept_across_a_roll() {
    let (disk, config) = (Disk::new(), with(Durability::Interval(Duration::from_millis(10))));
    let wal = open(&disk, &config);
    wal.append(vec![1; 900]).and_then(|ack| ack.wait()).expect("the disk is sound");
    let next = wal.append(vec![2; 900]).expect("within limits");
    wal.handle_timeout(at(9));
    next.wait().expect("the disk is sound");
    assert_eq!(wal.durable_end(), Index(2), "the roll synced what was before");
    assert_eq!(wal.poll_timeout(), Some(at(10)), "it was appended at 0");
}

#[test]
fn what_is_written_is_synced_in_time_though_the_disk_was_full() {
    let (disk, config) = (Disk::new(), with(Durability::Interval(Duration::from_millis(10))));
    let wal = open(&disk, &config);
    append(&wal, "one");
    drop(wal.append("two").expect("within limits"));
    disk.set_capacity(disk.used_bytes());
    wal.handle_timeout(at(10));
    disk.clear_capacity();
    assert_eq!((wal.durable_end(), wal.next_index()), (Index(1), Index(2)));
    assert_eq!(wal.poll_timeout(), Some(at(20)));
    wal.handle_timeout(at(20));
    assert_eq!(wal.durable_end(), Index(2));
}

#[test]
fn an_idle_log_leaves_a_mark_and_rot_in_its_last_group_is_then_seen() {
    let (disk, mut config) = (Disk::new(), config());
    config.idle_mark = Some(Duration::from_millis(50));
    let wal = open(&disk, &config);
    wal.handle_timeout(at(10));
    append(&wal, "one");
    wal.handle_timeout(at(20));
    append(&wal, "two");
    assert_eq!(wal.poll_timeout(), Some(at(70)));
    let before = wal.stats().syncs;
    wal.handle_timeout(at(69));
    assert_eq!(wal.stats().syncs, before);
    wal.handle_timeout(at(70));
    assert_eq!((wal.stats().syncs, wal.poll_timeout()), (before + 1, None));
    drop(wal);
    disk.crash_losing_unsynced();
    let name = "00000000000000000001.wal";
    assert!(disk.flip(name, 64 + 32 + 24, 0), "the second record");
    let error = Wal::open_on(disk, config).map(drop).expect_err("it was certified");
    assert!(error.to_string().contains("record 2"), "{error}");
}

#[test]
fn marks_count_as_bytes_of_their_segment() {
    let (disk, mut config) = (Disk::new(), config());
    config.idle_mark = Some(Duration::from_millis(10));
    let wal = open(&disk, &config);
    for round in 1..=40 {
        append(&wal, "a");
        wal.handle_timeout(at(20 * round));
    }
    let content = disk.content("00000000000000000001.wal").expect("nothing was freed");
    assert!(content.len() < 1_024 + 150, "the Seal comes on top of 1 KiB: {}", content.len());
}

/// Closes a log that has no room for its Mark, and opens it again, without room to copy its tail.
struct Reopen {
    wal: Mutex<Option<Wal<Disk>>>,
    next: Mutex<Option<Wal<Disk>>>,
    disk: Disk,
}

impl Wake for Reopen {
    fn wake(self: Arc<Self>) {
        let wal = self.wal.lock().expect("nobody panics with it").take();
        let Some(wal) = wal else { return };
        self.disk.set_capacity(self.disk.used_bytes());
        assert!(matches!(wal.close(), Err(WriteError::DiskFull)));
        let next = open(&self.disk, &config());
        self.disk.clear_capacity();
        append(&next, "next");
        *self.next.lock().expect("nobody panics with it") = Some(next);
    }
}

#[test]
fn no_mark_is_left_once_the_lock_is_given_up() {
    let (disk, mut config) = (Disk::new(), with(Durability::Interval(Duration::from_millis(10))));
    config.idle_mark = Some(Duration::from_millis(10));
    let wal = open(&disk, &config);
    append(&wal, "one");
    let mut tail = wal.tail(Index(1), Visible::Durable);
    let reopen = Arc::new(Reopen {
        wal: Mutex::new(Some(wal.clone())),
        next: Mutex::default(),
        disk: disk.clone(),
    });
    let waker = Waker::from(Arc::clone(&reopen));
    assert!(Pin::new(&mut tail).poll_next(&mut Context::from_waker(&waker)).is_pending());
    wal.handle_timeout(at(10));
    let next = reopen.next.lock().expect("nobody panics with it").take();
    drop(next.expect("the tail was woken by the sync"));
    assert_eq!(read_all(&open(&disk, &self::config())), ["one", "next"]);
}

#[test]
fn a_failed_sync_ends_writing_and_what_was_only_written_is_in_doubt() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Durability::Never));
    append(&wal, "one");
    append(&wal, "two");
    wal.sync().expect("the disk is sound");
    let written = wal.truncate_suffix(Index(2)).and_then(|ack| ack.wait());
    written.expect("the disk is sound");
    append(&wal, "other");
    disk.fail(Op::Sync, 1, std::io::ErrorKind::Other);
    let error = wal.sync().expect_err("the sync failed");
    assert!(matches!(error, WriteError::Poisoned { since: Index(2), .. }), "{error:?}");
    assert!(matches!(wal.append("more"), Err(WriteError::Poisoned { .. })));
    assert_eq!(wal.read(Index(1)).expect("it is durable").as_deref(), Some(&b"one"[..]));
    assert_eq!(wal.read(Index(2)).expect("nothing is damaged"), None, "which one is in doubt");
}

#[test]
fn segments_go_only_once_the_mark_is_durable_whatever_the_mode() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Durability::Never));
    for _ in 0..40 {
        wal.append(vec![7; 100]).and_then(|ack| ack.wait()).expect("the disk is sound");
    }
    wal.truncate_prefix(Index(20)).expect("the disk is sound");
    assert_eq!(wal.durable_end(), Index(41), "the mark and all before it");
    append(&wal, "more");
    wal.retain(&Retention { records: Some(5), ..Retention::default() }, 0)
        .expect("the disk is sound");
    disk.crash_losing_unsynced();
    drop(wal);
    let wal = open(&disk, &with(Durability::Never));
    assert!(Index(20) < wal.first_index() && wal.next_index() == Index(42));
}

#[test]
fn a_tail_of_what_is_durable_sees_nothing_that_is_only_written() {
    let disk = Disk::new();
    let wal = open(&disk, &with(Durability::Never));
    let mut tail = wal.tail(Index(1), Visible::Durable);
    append(&wal, "one");
    assert!(tail.next_timeout(Duration::ZERO).expect("nothing is damaged").is_none());
    wal.sync().expect("the disk is sound");
    let seen = tail.next_timeout(Duration::ZERO).expect("nothing is damaged");
    assert_eq!(seen.map(|it| it.0), Some(Index(1)));
    // A cut that is only written may be taken back, so what it cuts is not shown any more.
    let cut = wal.truncate_suffix(Index(1)).and_then(|ack| ack.wait());
    cut.expect("the disk is sound");
    append(&wal, "other");
    assert!(tail.next_timeout(Duration::ZERO).expect("nothing is damaged").is_none());
    wal.sync().expect("the disk is sound");
    assert!(tail.next_timeout(Duration::ZERO).is_err(), "the cut, now that it is durable");
    let seen = tail.next_timeout(Duration::ZERO).expect("nothing is damaged");
    assert_eq!(seen.map(|it| it.1), Some("other".into()));
}

#[test]
fn what_is_flushed_survives_the_process_and_is_durable_once_it_is_waited_for() {
    let disk = Disk::new();
    let wal = open(&disk, &config());
    let before = wal.stats().syncs;
    let ack = wal.append("one").expect("there is room");
    wal.flush().expect("the disk is sound");
    assert_eq!((wal.stats().syncs, wal.durable_end()), (before, Index(1)));
    let other = wal.append("two").expect("there is room");
    wal.flush().expect("the disk is sound");
    ack.wait().expect("the disk is sound");
    assert_eq!((wal.stats().syncs, wal.durable_end()), (before + 1, Index(3)), "both by one sync");
    other.wait().expect("the disk is sound");
    drop(wal.append("three").expect("there is room"));
    wal.flush().expect("the disk is sound");
    drop(wal);
    let wal = open(&disk, &config());
    assert_eq!(read_all(&wal), ["one", "two", "three"], "the system kept it");
}

#[test]
fn a_failed_sync_tells_those_too_whose_records_were_flushed() {
    let disk = Disk::new();
    let wal = open(&disk, &config());
    let ack = wal.append("one").expect("there is room");
    wal.flush().expect("the disk is sound");
    disk.fail(Op::Sync, 1, std::io::ErrorKind::Other);
    let sync = wal.sync();
    assert!(matches!(sync, Err(WriteError::Poisoned { .. })), "{sync:?}");
    let told = ack.wait();
    assert!(matches!(told, Err(WriteError::Poisoned { since: Index(1), .. })), "{told:?}");
}

#[test]
fn flushes_waits_and_an_io_thread_go_together() {
    for with_io_thread in [false, true] {
        let disk = Disk::new();
        let wal = open(&disk, &config());
        let thread = with_io_thread.then(|| wal.spawn_io_thread().expect("there are threads"));
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let wal = wal.clone();
                scope.spawn(move || {
                    for turn in 0..50 {
                        let ack = wal.append(vec![writer; 20]).expect("there is room");
                        if (turn + writer) % 3 == 0 {
                            wal.flush().expect("the disk is sound");
                        }
                        if turn % 2 == 0 {
                            ack.wait().expect("the disk is sound");
                        }
                    }
                });
            }
        });
        wal.sync().expect("the disk is sound");
        drop(thread);
        disk.crash_losing_unsynced();
        drop(wal);
        assert_eq!(read_all(&open(&disk, &config())).len(), 200);
    }
}

#[test]
fn a_roll_costs_four_syncs_with_what_was_appended_before() {
    let (disk, config) = (Disk::new(), config());
    let wal = open(&disk, &config);
    drop(wal.append("a").expect("within limits"));
    let before = wal.stats().syncs;
    wal.roll().expect("the disk is sound");
    assert_eq!(wal.stats().syncs, before + 4, "records, Seal, header, folder");
    drop(wal);
    disk.crash_losing_unsynced();
    let wal = open(&disk, &config);
    assert_eq!((read_all(&wal).len(), wal.stats().rolls), (1, 0));
    append(&wal, "b");
}

#[test]
fn an_idle_log_that_was_killed_gets_its_mark_after_the_next_open() {
    let (disk, mut config) = (Disk::new(), config());
    config.idle_mark = Some(Duration::from_millis(10));
    let wal = open(&disk, &config);
    assert_eq!(wal.poll_timeout(), None, "there is nothing to certify");
    append(&wal, "a");
    drop(wal);
    let wal = open(&disk, &config);
    assert_eq!(wal.poll_timeout(), Some(at(10)));
    wal.handle_timeout(at(10));
    drop(wal);
    assert_eq!(open(&disk, &config).poll_timeout(), None, "there is a Mark");
    assert!(disk.flip("00000000000000000001.wal", 64 + 24, 0));
    assert!(Wal::open_on(disk, config).is_err(), "damage is told from a torn write");
}

#[test]
fn a_roll_seals_what_there_is_and_only_that() {
    let disk = Disk::new();
    let wal = open(&disk, &config());
    wal.roll().expect("the disk is sound");
    assert_eq!(wal.stats().rolls, 0, "there was nothing to seal");
    drop(wal.append("one").expect("there is room"));
    wal.roll().expect("the disk is sound");
    wal.roll().expect("the disk is sound");
    assert_eq!((wal.stats().rolls, wal.durable_end()), (1, Index(2)));
    append(&wal, "two");
    disk.crash_losing_unsynced();
    drop(wal);
    let (wal, recovered) = Wal::open_on(disk, config()).expect("a crash closes no log");
    assert_eq!((read_all(&wal).len(), recovered.segments), (2, 2));
}
