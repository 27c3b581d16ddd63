//! What is done to a log and measured, here or in a child that is watched.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::log::{Log, Options, record};

/// What is done.
#[derive(Clone, Copy)]
pub enum Work {
    /// Each writer appends, and waits until it is durable.
    Durable { record_bytes: usize, writers: usize, appends: u64 },
    /// One writer appends batches, and syncs once at the end.
    Unsynced { record_bytes: usize, batch: usize, appends: u64 },
}

impl Work {
    /// Does it, and returns how long it took.
    pub fn run(self, log: &dyn Log) -> io::Result<Duration> {
        match self {
            Self::Durable { record_bytes, writers, appends } => {
                durable(log, &pool(record_bytes), writers, appends)
            }
            Self::Unsynced { record_bytes, batch, appends } => {
                let pool = pool(record_bytes);
                let start = Instant::now();
                append_all(log, &pool, batch, appends)?;
                Ok(start.elapsed())
            }
        }
    }

    /// Of all writers.
    pub fn appends(self) -> u64 {
        match self {
            Self::Durable { writers, appends, .. } => writers as u64 * appends,
            Self::Unsynced { appends, .. } => appends,
        }
    }

    pub fn options(self) -> Options {
        let (Self::Durable { record_bytes, .. } | Self::Unsynced { record_bytes, .. }) = self;
        // And one more, before the clock starts.
        let expected_bytes = (self.appends() + 1) * record_bytes as u64;
        Options { expected_bytes, ..Options::default() }
    }

    /// Appends one record, so that no first time is measured.
    pub fn warm(self, log: &dyn Log) -> io::Result<()> {
        match self {
            Self::Durable { record_bytes, .. } => log.append_durable(0, &record(0, record_bytes)),
            Self::Unsynced { record_bytes, .. } => {
                log.append_batch(&[record(0, record_bytes)])?;
                log.sync()
            }
        }
    }
}

fn durable(log: &dyn Log, pool: &[Bytes], writers: usize, appends: u64) -> io::Result<Duration> {
    let write = |writer| {
        let mut records = pool.iter().cycle().take(appends as usize);
        records.try_for_each(|record| log.append_durable(writer, record))
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let others: Vec<_> =
            (1..writers).map(|writer| scope.spawn(move || write(writer))).collect();
        write(0)?;
        others.into_iter().try_for_each(|it| it.join().expect("a writer does not panic"))
    })?;
    Ok(start.elapsed())
}

/// Appends in batches, and syncs at the end.
pub fn append_all(log: &dyn Log, pool: &[Bytes], batch: usize, appends: u64) -> io::Result<()> {
    let mut left = appends as usize;
    for records in pool.chunks_exact(batch).cycle() {
        if left == 0 {
            break;
        }
        let count = records.len().min(left);
        log.append_batch(&records[..count])?;
        left -= count;
    }
    log.sync()
}

/// Makes records that differ.
pub fn pool(record_bytes: usize) -> Vec<Bytes> {
    (0..1_000).map(|number| record(number, record_bytes)).collect()
}

/// Survives a command line.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable { record_bytes, writers, appends } => {
                write!(f, "durable {record_bytes} {writers} {appends}")
            }
            Self::Unsynced { record_bytes, batch, appends } => {
                write!(f, "unsynced {record_bytes} {batch} {appends}")
            }
        }
    }
}

impl FromStr for Work {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let (kind, numbers) = text.split_once(' ').ok_or(io::ErrorKind::InvalidInput)?;
        let numbers: Result<Vec<usize>, _> = numbers.split(' ').map(str::parse).collect();
        match (kind, &numbers.map_err(io::Error::other)?[..]) {
            ("durable", &[record_bytes, writers, appends]) => {
                Ok(Self::Durable { record_bytes, writers, appends: appends as u64 })
            }
            ("unsynced", &[record_bytes, batch, appends]) => {
                Ok(Self::Unsynced { record_bytes, batch, appends: appends as u64 })
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
