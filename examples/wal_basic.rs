//! Durable before acknowledged: append, wait, open again.
//!
//! ```text
//! cargo run --example wal_basic
//! ```

use std::error::Error;

use quorate_wal::{Batch, Config, Index, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (wal, _) = Wal::open(folder.path(), Config::default())?;

    // Each of these is on the disk when `wait` returns.
    let first = wal.append("set x=1")?;
    println!("record {} is in memory", first.indexes().start);
    first.wait()?;
    wal.append("set y=2")?.wait()?;
    println!("records up to {} are durable", wal.durable_end());

    // A leader disagrees about record 2, and sends two others: as one, or not at all.
    let batch = Batch::new().truncate_suffix(Index(2)).append("set y=3").append("set z=4");
    wal.write(batch.set_state("term 7"))?.wait()?;

    // A process that is killed closes nothing.
    drop(wal);
    let (wal, recovered) = Wal::open(folder.path(), Config::default())?;
    println!("found records {}..{}", recovered.range.start, recovered.range.end);
    let found: Vec<_> = wal.records(..).collect::<Result<_, _>>()?;
    for (index, record) in &found {
        println!("{index}: {}", String::from_utf8_lossy(record));
    }
    assert_eq!(
        found.iter().map(|(_, it)| &**it).collect::<Vec<_>>(),
        [&b"set x=1"[..], b"set y=3", b"set z=4"]
    );
    assert_eq!(wal.state(), "term 7");
    assert!(recovered.cut.is_none());

    // A snapshot holds what was before record 3: its segments may go.
    wal.truncate_prefix(Index(3))?;
    assert_eq!((wal.first_index(), wal.read(Index(3))?), (Index(3), Some("set z=4".into())));
    wal.close()?;
    println!("the log begins at 3 now, and is closed");
    Ok(())
}
