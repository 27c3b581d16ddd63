//! `commitlog`: messages in a file, offsets in a mapped one. It has one owner.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use commitlog::message::MessageBuf;
use commitlog::{CommitLog, LogOptions};

use super::log::{Log, Options, Peer};

pub const PEER: Peer = Peer {
    name: "commitlog",
    version: "0.2.0",
    open,
    note: "`flush` syncs its index, not the messages",
    memory: "",
};

struct Owned(Mutex<CommitLog>);

fn open(folder: &Path, _: Options) -> io::Result<Box<dyn Log>> {
    Ok(Box::new(Owned(Mutex::new(CommitLog::new(LogOptions::new(folder))?))))
}

impl Log for Owned {
    fn append_durable(&self, _: usize, _: &Bytes) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn append_batch(&self, records: &[Bytes]) -> io::Result<()> {
        let mut messages: MessageBuf = records.iter().collect();
        let mut log = self.0.lock().expect("no writer panics");
        log.append(&mut messages).map(drop).map_err(io::Error::other)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.lock().expect("no writer panics").flush()
    }
}
