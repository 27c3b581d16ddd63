//! What a log does about a torn tail, and about damage.
//!
//! A crash in the middle of a write leaves a torn tail: what was synced is there, the rest is cut
//! off, kept and reported. A byte that changes in what was synced is no crash: the log refuses to
//! open, and says which record it is.
//!
//! Run with `cargo run --example wal_recovery`.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use quorate_wal::{Config, OpenError, Preallocate, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let segment = folder.path().join(SEGMENT);

    // Two records are synced. A third is only half on the disk when the power fails.
    let (wal, _) = Wal::open(folder.path(), config())?;
    for record in ["x=1", "y=2"] {
        wal.append(record)?.wait()?;
    }
    let synced_bytes = fs::metadata(&segment)?.len();
    wal.append("z=3 was never acknowledged")?.wait()?;
    drop(wal);
    tear(&segment, synced_bytes + 30)?;

    let (wal, recovered) = Wal::open(folder.path(), config())?;
    let cut = recovered.cut.ok_or("a torn tail must be reported")?;
    println!("opened with {}..{}", recovered.range.start, recovered.range.end);
    println!("cut {} bytes: {}", cut.bytes, cut.damage);
    println!("kept them in {}", cut.kept.as_deref().unwrap_or("no file"));
    assert_eq!(read_all(&wal)?, ["x=1", "y=2"]);
    assert_eq!((cut.offset, cut.bytes), (synced_bytes, 30));

    // The log goes on where it was cut.
    wal.append("z=4")?.wait()?;
    assert_eq!(read_all(&wal)?, ["x=1", "y=2", "z=4"]);
    wal.close()?;

    // A byte of the second record rots. Its payload ends what was synced, padded to 8 bytes.
    flip(&segment, synced_bytes - 8)?;
    let Err(OpenError::Corrupt(damage)) = Wal::open(folder.path(), config()) else {
        return Err("damage must be refused".into());
    };
    println!("refused: {damage}");
    assert_eq!(damage.file(), SEGMENT);
    assert_eq!(damage.index.map(|index| index.0), Some(2));
    assert!(damage.offset < synced_bytes);

    // Nothing was changed: with the byte restored, as from a copy, everything is there.
    flip(&segment, synced_bytes - 8)?;
    let (wal, recovered) = Wal::open(folder.path(), config())?;
    assert_eq!(recovered.cut, None);
    assert_eq!(read_all(&wal)?, ["x=1", "y=2", "z=4"]);
    println!("restored: {} records", read_all(&wal)?.len());
    Ok(())
}

fn config() -> Config {
    let mut config = Config::default();
    // So that the file ends where the log does, and equal runs write equal bytes.
    config.preallocate = Preallocate::None;
    config.seed = Some(1);
    config
}

fn read_all(wal: &Wal) -> Result<Vec<String>, Box<dyn Error>> {
    let text = |item: Result<(_, bytes::Bytes), _>| -> Result<String, Box<dyn Error>> {
        Ok(String::from_utf8(item?.1.to_vec())?)
    };
    wal.records(..).map(text).collect()
}

/// Leaves `len` bytes of the file, as a crash does that comes in the middle of a write.
fn tear(path: &Path, len: u64) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(len)
}

/// Flips the bits of the byte at `offset`.
fn flip(path: &Path, offset: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&[!byte[0]])
}

/// The name of the first segment.
const SEGMENT: &str = "00000000000000000001.wal";
