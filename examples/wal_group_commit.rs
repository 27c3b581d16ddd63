//! One sync for all who wait: 64 threads append, each waits until its record is durable.
//!
//! The first who waits leads: it writes what has come together, syncs once, and wakes the others.
//! Nobody needs a thread for it.
//!
//! ```text
//! cargo run --release --example wal_group_commit
//! ```

use std::error::Error;
use std::thread;

use quorate_wal::{Config, Wal, WriteError};

const THREADS: u64 = 64;
const EACH: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (wal, _) = Wal::open(folder.path(), Config::default())?;
    let appends = |thread: u64| {
        let wal = &wal;
        move || {
            for number in 0..EACH {
                wal.append(format!("{thread}.{number}"))?.wait()?;
            }
            Ok::<_, WriteError>(())
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|it| scope.spawn(appends(it))).collect();
        threads.into_iter().try_for_each(|it| it.join().expect("no thread panics"))
    })?;

    let stats = wal.stats();
    let per_sync = stats.records / stats.syncs;
    println!("{} records, {} syncs: {per_sync} commits per sync", stats.records, stats.syncs);
    assert_eq!(stats.records, THREADS * EACH);
    // Most of the threads wait while the disk syncs, so that most of them share the next one.
    assert!(THREADS / 8 < per_sync, "{per_sync} commits per sync");

    // What each thread appended is there, in its order.
    let mut next = vec![0; 64];
    for record in wal.records(..) {
        let text = String::from_utf8(record?.1.to_vec())?;
        let (thread, number) = text.split_once('.').ok_or("not what was appended")?;
        let (thread, number): (usize, u64) = (thread.parse()?, number.parse()?);
        assert_eq!(number, next[thread]);
        next[thread] += 1;
    }
    assert!(next.iter().all(|count| *count == EACH));
    wal.close()?;
    Ok(())
}
