//! How often the disk is synced: as often as was promised, and not oftener.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use futures::executor::block_on;
use futures::future::join_all;
use parking_lot::Mutex;
use quorate_wal::{Config, Index, Memory, Preallocate, Wal};

use counting::Counting;

#[path = "small/counting.rs"]
mod counting;
#[path = "small/log.rs"]
mod small;

type Disk = Counting<Memory>;

/// Segments that none of these tests fills.
fn config(preallocate: Preallocate) -> Config {
    let mut config = small::config();
    config.segment_bytes = 16 << 20;
    config.preallocate = preallocate;
    config
}

fn open(preallocate: Preallocate) -> (Wal<Disk>, Disk) {
    let disk = Disk::default();
    let (wal, _) = Wal::open_on(disk.clone(), config(preallocate)).expect("the disk is empty");
    (wal, disk)
}

#[test]
fn each_durable_append_is_one_sync() {
    for preallocate in [Preallocate::None, Preallocate::ZeroAhead { step: 1 << 20 }] {
        let (wal, disk) = open(preallocate);
        for count in 1..=5 {
            let before = disk.syncs();
            wal.append("x").and_then(|ack| ack.wait()).expect("memory has room");
            assert_eq!(disk.syncs() - before, 1, "append {count}, {preallocate:?}");
        }
        let before = disk.syncs();
        wal.sync().expect("memory has room");
        assert_eq!(disk.syncs(), before, "there was nothing to sync");
    }
}

#[test]
fn what_comes_together_is_one_sync() {
    let (wal, disk) = open(Preallocate::None);
    let before = disk.syncs();
    let acks: Vec<_> = (0..1_000).map(|_| wal.append("x").expect("within limits")).collect();
    assert_eq!(disk.syncs(), before, "appending does not touch the disk");
    for outcome in block_on(join_all(acks)) {
        outcome.expect("memory has room");
    }
    assert_eq!(disk.syncs() - before, 1);
    let batch = wal.append_batch(vec!["x"; 1_000]).expect("within limits");
    batch.wait().expect("memory has room");
    assert_eq!(disk.syncs() - before, 2);
}

/// The first sync stands still until all others have appended: theirs is then one more.
#[test]
fn followers_share_the_next_sync() {
    const WRITERS: usize = 64;
    let (wal, disk) = open(Preallocate::None);
    let before = disk.syncs();
    let ((begun, has_begun), (go, may_go)) = (channel(), channel::<()>());
    let gate = Mutex::new((begun, may_go));
    disk.at_sync(move |number| {
        if number == 1 {
            let (begun, may_go) = &*gate.lock();
            begun.send(()).map_err(io::Error::other)?;
            may_go.recv().map_err(io::Error::other)?;
        }
        Ok(())
    });
    thread::scope(|scope| {
        let first = wal.append("first").expect("within limits");
        let leader = scope.spawn(|| first.wait());
        has_begun.recv().expect("the leader syncs");
        let (appended, all) = channel();
        let others: Vec<_> = (1..WRITERS)
            .map(|_| {
                let (wal, appended) = (wal.clone(), appended.clone());
                scope.spawn(move || {
                    let ack = wal.append("other").expect("within limits");
                    appended.send(()).expect("the test counts");
                    ack.wait()
                })
            })
            .collect();
        (1..WRITERS).for_each(|_| all.recv().expect("each appends"));
        go.send(()).expect("the leader waits");
        for writer in others.into_iter().chain([leader]) {
            writer.join().expect("it does not panic").expect("memory has room");
        }
    });
    assert_eq!(wal.durable_end(), Index(1 + WRITERS as u64));
    assert_eq!(disk.syncs() - before, 2, "one of the leader, one for all who followed");
}

/// However the writers meet, nobody syncs for nothing.
#[test]
fn there_are_no_more_syncs_than_commits() {
    let (wal, disk) = open(Preallocate::None);
    let before = disk.syncs();
    thread::scope(|scope| {
        for _ in 0..16 {
            let wal = wal.clone();
            scope.spawn(move || {
                for _ in 0..100 {
                    wal.append("x").and_then(|ack| ack.wait()).expect("memory has room");
                }
            });
        }
    });
    let (syncs, stats) = (disk.syncs() - before, wal.stats());
    assert_eq!((stats.records, stats.groups), (1_600, syncs));
    assert!(syncs <= 1_600, "{syncs} syncs");
}

/// What a process that was killed left in memory may not be on the medium.
#[test]
fn what_is_found_is_synced_before_it_is_served() {
    for record in [None, Some("durable once")] {
        let (wal, disk) = open(Preallocate::None);
        if let Some(record) = record {
            wal.append(record).and_then(|ack| ack.wait()).expect("memory has room");
        }
        drop(wal);
        let before = disk.syncs();
        let (wal, _) =
            Wal::open_on(disk.clone(), config(Preallocate::None)).expect("a kill closes no log");
        assert!(before < disk.syncs(), "{record:?}");
        let synced = disk.syncs();
        assert_eq!(small::read_all(&wal).len(), usize::from(record.is_some()));
        assert_eq!(disk.syncs(), synced, "reading syncs nothing");
    }
}

/// A sync that moves no length writes no metadata.
#[test]
fn zeros_ahead_change_the_length_once_per_step() {
    const STEP: u32 = 16 << 10;
    let frame_bytes = 24 + 104;
    let (wal, disk) = open(Preallocate::ZeroAhead { step: STEP });
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let (told, counted) = (Arc::clone(&lengths), disk.clone());
    disk.at_sync(move |_| {
        told.lock().push(counted.lengths_changed());
        Ok(())
    });
    for _ in 0..1_000 {
        wal.append(vec![7; 100]).and_then(|ack| ack.wait()).expect("memory has room");
    }
    let lengths = lengths.lock();
    assert_eq!(lengths.len(), 1_000, "a sync for each");
    // A sync after which the file is longer than after the one before.
    let moved: Vec<usize> =
        (1..lengths.len()).filter(|at| lengths[*at - 1] < lengths[*at]).collect();
    let expected = 1_000 * frame_bytes / STEP as usize;
    assert_eq!(moved.len(), expected, "{moved:?}");
    let per_step = STEP as usize / frame_bytes;
    assert!(moved.windows(2).all(|two| two[1] - two[0] == per_step), "{moved:?}");
}
