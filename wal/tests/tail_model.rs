//! Whoever follows the log knows what it holds: against random changes, crashes, and threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_sim::Disk;
use quorate_wal::{Batch, Index, Tail, TailError, Visible, Wal};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

fn open(disk: &Disk) -> Wal<Disk> {
    Wal::open_on(disk.clone(), config()).expect("a crash closes no log").0
}

/// Records that were shown as durable, and looked for after a crash.
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// What someone who follows believes the log to hold.
struct Follower {
    tail: Tail<Disk>,
    records: BTreeMap<u64, Bytes>,
}

impl Follower {
    fn new(wal: &Wal<Disk>, see: Visible) -> Self {
        Self { tail: wal.tail(Index(1), see), records: BTreeMap::new() }
    }

    fn take(&mut self, limit: usize) {
        for _ in 0..limit {
            match self.tail.next_timeout(Duration::ZERO) {
                Ok(None) => break,
                Ok(Some((index, record))) => {
                    let last = self.records.last_key_value().map_or(0, |(index, _)| *index);
                    assert!(last < index.0, "{index} after {last}");
                    self.records.insert(index.0, record);
                }
                Err(TailError::Truncated { end }) => {
                    let gone = self.records.split_off(&end.0);
                    assert!(!gone.is_empty(), "{end}: nothing was taken back");
                }
                Err(TailError::Compacted { first_index }) => {
                    self.records = self.records.split_off(&first_index.0);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// From how far before the end, and how many records follow in the same batch.
    Rewrite(u64, usize),
    TruncatePrefix(u64),
    Sync,
    FullDisk,
    Take(usize),
    Crash(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..500_usize).prop_map(Step::Append),
        3 => (0..6_u64, 0..4_usize).prop_map(|(back, count)| Step::Rewrite(back, count)),
        1 => (0..8_u64).prop_map(Step::TruncatePrefix),
        3 => Just(Step::Sync),
        1 => Just(Step::FullDisk),
        5 => (0..9_usize).prop_map(Step::Take),
        1 => any::<u64>().prop_map(Step::Crash),
    ]
}

fn live(wal: &Wal<Disk>) -> BTreeMap<u64, Bytes> {
    wal.records(..).map(|item| item.map(|(index, it)| (index.0, it)).expect("sound")).collect()
}

/// Whoever follows knows what the log holds, and whoever sees what is durable is never wrong about
/// it after a crash.
#[test]
fn a_follower_is_never_wrong() {
    a_follower_knows_what_the_log_holds();
    let shown = SHOWN.load(Ordering::Relaxed);
    assert!(100 < shown, "only {shown} records were looked for after a crash");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    fn a_follower_knows_what_the_log_holds(steps in vec(step(), 1..60)) {
        let disk = Disk::new();
        let mut wal = open(&disk);
        let see = [Visible::Durable, Visible::Written];
        let mut followers = see.map(|see| Follower::new(&wal, see));
        // Lowest index that was truncated since the last sync.
        let mut cut = u64::MAX;
        let mut shown = 0;
        let mut number = 0_u64;
        let mut record = |len: usize| {
            number += 1;
            Bytes::from([&number.to_le_bytes()[..], &vec![7; len]].concat())
        };
        for step in steps {
            let (first, next) = (wal.first_index().0, wal.next_index().0);
            match step {
                Step::Append(len) => drop(wal.append(record(len)).expect("within limits")),
                Step::Rewrite(back, count) => {
                    let from = next.saturating_sub(back).max(first);
                    cut = cut.min(from);
                    let batch = Batch::new().truncate_suffix(Index(from));
                    let batch = (0..count).fold(batch, |batch, _| batch.append(record(90)));
                    drop(wal.write(batch).expect("within limits"));
                }
                Step::TruncatePrefix(ahead) => {
                    drop(wal.write(Batch::new().truncate_prefix(Index(first + ahead))));
                }
                Step::Sync => {
                    if wal.sync().is_ok() {
                        cut = u64::MAX;
                    }
                }
                Step::FullDisk => {
                    disk.set_capacity(disk.used_bytes());
                    drop(wal.ack().map(|ack| ack.wait()));
                    disk.clear_capacity();
                }
                Step::Take(limit) => followers.iter_mut().for_each(|it| it.take(limit)),
                Step::Crash(entropy) => {
                    // It listens to the end: what it was not told of yet is not its fault.
                    followers[0].take(usize::MAX);
                    let durable = std::mem::take(&mut followers[0].records);
                    drop(followers);
                    drop(wal);
                    disk.crash(entropy);
                    wal = open(&disk);
                    let (live, first) = (live(&wal), wal.first_index().0);
                    // A truncation that nobody waited for may have survived, or not.
                    for (index, record) in durable.range(first..).take_while(|it| *it.0 < cut) {
                        prop_assert_eq!(live.get(index), Some(record), "{} is lost", index);
                        shown += 1;
                    }
                    cut = u64::MAX;
                    followers = see.map(|see| Follower::new(&wal, see));
                }
            }
        }
        let expect = live(&wal);
        followers[1].take(usize::MAX);
        // One that is below a mark that is not durable waits for that.
        if wal.first_index() <= followers[1].tail.next_index() {
            let found = followers[1].records.split_off(&wal.first_index().0);
            prop_assert_eq!(&found, &expect);
            followers[1].records = found;
        }
        SHOWN.fetch_add(shown, Ordering::Relaxed);
        while wal.sync().is_err() {}
        for follower in &mut followers {
            follower.take(usize::MAX);
            let found = follower.records.split_off(&wal.first_index().0);
            prop_assert_eq!(found, live(&wal));
        }
    }
}

/// One truncates and appends, others follow in threads of their own.
#[test]
fn nobody_is_told_a_record_that_was_not_there() {
    for round in 0..20 {
        let wal = open(&Disk::new());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let followers = [Visible::Durable, Visible::Written].map(|see| {
                let (wal, is_over) = (&wal, &is_over);
                scope.spawn(move || {
                    let mut follower = Follower::new(wal, see);
                    loop {
                        let was_over = is_over.load(Ordering::SeqCst);
                        follower.take(usize::MAX);
                        if was_over {
                            break follower.records;
                        }
                        thread::yield_now();
                    }
                })
            });
            for number in 0..1_500_u64 {
                let next = wal.next_index().0;
                let record = [&number.to_le_bytes()[..], &[round; 100]].concat();
                let batch = Batch::new().append(record);
                let batch = match (number * 7 + u64::from(round)) % 3 {
                    0 => batch.truncate_suffix(Index(next.saturating_sub(number % 9).max(1))),
                    _ => batch,
                };
                let ack = wal.write(batch).expect("within limits");
                if number % 3 == 0 {
                    ack.wait().expect("there is room");
                }
            }
            wal.sync().expect("there is room");
            is_over.store(true, Ordering::SeqCst);
            let expect = live(&wal);
            for follower in followers {
                assert_eq!(follower.join().expect("no panic"), expect);
            }
        });
        assert_eq!(read_all(&wal).len() as u64, wal.next_index().0 - 1);
    }
}

/// What a full disk takes back is staged while one who sees only what is durable reads on.
#[test]
fn what_was_never_durable_is_never_shown_as_durable() {
    (0..20).for_each(|_| doom());
}

fn doom() {
    let disk = Disk::new();
    let wal = open(&disk);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut follower = Follower::new(&wal, Visible::Durable);
                while !is_over.load(Ordering::SeqCst) {
                    follower.take(1);
                    let last = follower.records.last_key_value();
                    assert!(last.is_none_or(|it| it.1 != "doomed"), "{last:?}");
                }
            });
        }
        for _ in 0..50 {
            let from = wal.next_index();
            wal.append_batch(vec!["durable"; 20]).and_then(|ack| ack.wait()).expect("room");
            disk.set_capacity(disk.used_bytes());
            for back in 0..20 {
                let cut = Index(from.0 + back);
                let batch = Batch::new().truncate_suffix(cut).append("doomed").append("doomed");
                let ack = wal.write(batch).expect("within limits");
                assert!(ack.wait().is_err(), "there is no room");
            }
            disk.clear_capacity();
        }
        is_over.store(true, Ordering::SeqCst);
    });
}
