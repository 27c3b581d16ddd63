//! Two that follow a log: one that may be shown only what no crash takes back, one in a hurry.
//!
//! A leader appends, and one who replaces it cuts off what was not durable everywhere. A thread and
//! a task follow; nobody polls.
//!
//! Run with `cargo run --example wal_tail`.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt as _;
use futures::executor::block_on;
use quorate_wal::{Batch, Config, Index, Preallocate, TailError, Visible, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::default();
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    let (wal, _) = Wal::open(folder.path(), config)?;

    // What is written, and not durable: only the one in a hurry sees it.
    let mut careful = wal.tail(Index(1), Visible::Durable);
    let mut hasty = wal.tail(Index(1), Visible::Written);
    let at_once = Duration::ZERO;
    for record in ["a", "b", "c"] {
        drop(wal.append(record)?);
    }
    for expect in ["a", "b", "c"] {
        let (index, record) = hasty.next_timeout(at_once)?.ok_or("it was appended")?;
        println!("written  {index}: {}", String::from_utf8_lossy(&record));
        assert_eq!(record, expect);
    }
    assert_eq!(careful.next_timeout(at_once)?, None);
    wal.sync()?;
    let (index, record) = careful.next_timeout(at_once)?.ok_or("it was synced")?;
    println!("durable  {index}: {}", String::from_utf8_lossy(&record));

    // Another leader: records 2 and 3 are replaced, in one batch.
    let batch = Batch::new().truncate_suffix(Index(2)).append("b of another");
    wal.write(batch)?.wait()?;
    let Err(TailError::Truncated { end }) = hasty.next_timeout(at_once) else {
        return Err("it must be told".into());
    };
    println!("told to forget what it has from {end} on");
    assert_eq!(end, Index(2));
    for tail in [&mut hasty, &mut careful] {
        let (index, record) = tail.next_timeout(at_once)?.ok_or("it is there")?;
        assert_eq!((index, &record[..]), (Index(2), &b"b of another"[..]));
    }

    // A thread and a task wait for what comes, over many segments, until the log is closed.
    let task = wal.tail(Index(3), Visible::Durable);
    let (by_thread, by_task) = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let mut bytes = 0;
            loop {
                match careful.next_timeout(Duration::from_secs(60)) {
                    Ok(Some((_, record))) => bytes += record.len(),
                    Ok(None) => panic!("a minute without a record"),
                    Err(TailError::Closed) => break bytes,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let task = scope.spawn(|| {
            let lengths = task.map(|item| item.map(|(_, record)| record.len()));
            block_on(lengths.fold(0, |sum, len| async move { sum + len.expect("it is sound") }))
        });
        for number in 1..=200 {
            let ack = wal.append(vec![7; number]).expect("within limits");
            ack.wait().expect("there is room");
        }
        let rolls = wal.stats().rolls;
        wal.close().expect("there is room");
        println!("200 records over {} segments", rolls + 1);
        (thread.join().expect("no panic"), task.join().expect("no panic"))
    });
    println!("the thread saw {by_thread} bytes, the task {by_task}");
    assert_eq!((by_thread, by_task), (20_100, 20_100));
    Ok(())
}
