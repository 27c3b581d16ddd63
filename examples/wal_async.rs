//! Acknowledgements as futures, without a runtime: any executor polls them.
//!
//! Who polls may write and sync for all. Where a poll must not block, a thread does it:
//! `Wal::spawn_io_thread`.
//!
//! ```text
//! cargo run --example wal_async
//! ```

use std::error::Error;

use futures::executor::block_on;
use futures::future::try_join_all;
use quorate_wal::{Config, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (wal, _) = Wal::open(folder.path(), Config::default())?;

    // A hundred at once share a sync.
    let before = wal.stats().syncs;
    let acks: Vec<_> =
        (0..100).map(|number| wal.append(format!("record {number}"))).collect::<Result<_, _>>()?;
    block_on(try_join_all(acks))?;
    let syncs = wal.stats().syncs - before;
    println!("100 records are durable after {syncs} syncs");
    assert!(syncs < 5, "{syncs}");

    // With a thread for the disk, no poll writes: it waits, and is woken.
    let thread = wal.spawn_io_thread()?;
    block_on(async {
        wal.append("through the thread")?.await?;
        // Dropping it takes nothing back: the next wait covers it.
        drop(wal.append("nobody waits for this one")?);
        wal.ack()?.await
    })?;
    assert_eq!(wal.durable_end(), wal.next_index());
    println!("records up to {} are durable", wal.durable_end());
    drop(thread);
    wal.close()?;
    Ok(())
}
