//! `okaywal`: a log in front of a store, which takes over what is older than 768 KiB.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use okaywal::{Configuration, Entry, EntryId, SegmentReader, WriteAheadLog};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "okaywal",
    version: "0.3.1",
    open,
    note: "checkpoints every 768 KiB, into a store that keeps nothing",
    memory: "",
};

/// Keeps what the log hands out when it is opened: there is no other time to read it all.
#[derive(Clone, Debug, Default)]
struct Recovered(Arc<Mutex<Vec<Vec<u8>>>>);

impl okaywal::LogManager for Recovered {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        // `None`: it was not completely written, and the example of its authors ignores it.
        if let Some(chunks) = entry.read_all_chunks()? {
            self.0.lock().expect("nobody panics").extend(chunks);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

struct OkayWal {
    log: WriteAheadLog,
    recovered: Recovered,
}

fn open(folder: &Path, _: Options) -> io::Result<Box<dyn Log>> {
    let recovered = Recovered::default();
    let log = Configuration::default_for(folder).open(recovered.clone())?;
    Ok(Box::new(OkayWal { log, recovered }))
}

impl Log for OkayWal {
    fn append_durable(&self, _: usize, record: &Bytes) -> io::Result<()> {
        let mut entry = self.log.begin_entry()?;
        entry.write_chunk(record)?;
        entry.commit().map(drop)
    }

    fn scan(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.recovered.0.lock().expect("nobody panics").iter().for_each(|it| each(it));
        Ok(())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.log.shutdown()
    }
}
