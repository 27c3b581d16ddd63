//! A storage of one's own, and how a kit tells whether it keeps its promises.
//!
//! It is one file of records with a length and a checksum, over any `Disk`. The kit opens it again
//! and again on a disk that loses power. Then its sync does nothing, and the kit says so.
//!
//! Run with `cargo run --example core_own_storage`.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, ErrorKind};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use parking_lot::Mutex;
use quorate_core::{DecodeError, Disk, File, Storage, StorageError, Wire, WriteId};
use quorate_sim::kit::{self, Report};

/// Keeps records in the file `records`: length, checksum and bytes of each.
struct FileStorage<D: Disk> {
    file: D::File,
    /// What was there when it was opened.
    found: Vec<Bytes>,
    /// The last write, and where the file ends.
    end: Mutex<(WriteId, u64)>,
    /// How a file becomes durable, so that a mistake can be planted.
    sync: Sync<D>,
}

type Sync<D> = fn(&<D as Disk>::File) -> io::Result<()>;

impl<D: Disk> FileStorage<D> {
    fn open(disk: &D, sync: Sync<D>) -> io::Result<Self> {
        let file = match disk.open("records") {
            Err(error) if error.kind() == ErrorKind::NotFound => disk.create_new("records"),
            opened => opened,
        }?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += file.read_at(filled as u64, &mut bytes[filled..])?;
        }
        let (mut rest, mut found, mut end) = (Bytes::from(bytes), Vec::new(), 0);
        while let Some(record) = take_record(&mut rest) {
            end += (HEADER_BYTES + record.len()) as u64;
            found.push(record);
        }
        // A torn tail must not come back behind what is appended, and what was found must stay.
        file.set_len(end)?;
        sync(&file)?;
        disk.sync_dir()?;
        Ok(Self { file, found, end: Mutex::new((WriteId(0), end)), sync })
    }
}

/// Takes the next record off `bytes`, or nothing if it is torn.
fn take_record(bytes: &mut Bytes) -> Option<Bytes> {
    let mut rest = bytes.clone();
    let len = rest.try_get_u32().ok()? as usize;
    let checksum = rest.try_get_u32().ok()?;
    let record = (0 < len && len <= rest.len()).then(|| rest.split_to(len))?;
    *bytes = rest;
    (crc32fast::hash(&record) == checksum).then_some(record)
}

impl<R: Wire, D: Disk> Storage<R> for FileStorage<D> {
    type Query = Infallible;
    type Answer = Infallible;

    fn replay(&self) -> impl Iterator<Item = Result<R, StorageError>> {
        let decode = |record: &Bytes| R::decode(&mut record.clone()).map_err(StorageError::failed);
        self.found.iter().map(decode)
    }

    fn append(&self, write: WriteId, record: R) -> Result<(), StorageError> {
        let mut end = self.end.lock();
        assert_eq!(write.0, end.0.0 + 1, "writes of a run are numbered without gaps");
        let (mut record_bytes, mut bytes) = (BytesMut::new(), BytesMut::new());
        record.encode(&mut record_bytes);
        bytes.put_u32(u32::try_from(record_bytes.len()).map_err(StorageError::failed)?);
        bytes.put_u32(crc32fast::hash(&record_bytes));
        bytes.put(record_bytes);
        self.file.write_all_at(end.1, &bytes).map_err(StorageError::failed)?;
        *end = (write, end.1 + bytes.len() as u64);
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        // Before the sync: what is appended meanwhile may be durable, and may not.
        let last = self.end.lock().0;
        (self.sync)(&self.file).map_err(StorageError::failed)?;
        Ok(last)
    }

    async fn fetch(&self, query: Infallible) -> Result<Infallible, StorageError> {
        match query {}
    }

    /// Keeps everything, which is allowed.
    async fn compact(&self, _: WriteId) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A record of the protocol that the storage is for.
#[derive(Debug, PartialEq)]
struct Vote(u64);

impl Wire for Vote {
    fn encode(&self, out: &mut BytesMut) {
        out.put_u64(self.0);
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        Ok(Self(input.try_get_u64()?))
    }
}

/// Runs the kit on a disk that keeps any part of what was not synced, another one at each crash.
fn check(sync: Sync<quorate_sim::Disk>) -> Report {
    let (disk, mut crashes) = (quorate_sim::Disk::new(), 0);
    let open = || FileStorage::open(&disk, sync).expect("the disk works");
    kit::storage::check_with_crash(open, Vote, || {
        crashes += 1;
        disk.crash(crashes);
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let report = check(File::sync_data);
    print!("{report}");
    report.expect_passed();

    println!("\nand with a sync that does nothing:");
    let report = check(|_| Ok(()));
    print!("{report}");
    let is_named = |name| report.failed().any(|failed| failed == name);
    assert!(is_named("what_was_synced_survives_a_crash"), "the kit must see a lost sync");
    assert!(!is_named("what_was_synced_is_replayed"), "without a crash nothing is lost");
    Ok(())
}

const HEADER_BYTES: usize = 8;
