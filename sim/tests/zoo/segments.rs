//! A storage in files: segments of frames, and a mark that says how much was acknowledged.
//!
//! ```text
//! segment-0001  | length u32 | checksum u64 | value u64, again and again | length ..
//! mark          | count u64 | checksum u64 |  0.. | at 4096 the same, written in turns
//! ```
//!
//! A frame that is not whole is a torn tail, which is cut, if the mark does not count it; else
//! something was lost that was acknowledged, and the node must not start. A new file is made
//! durable with its folder before anything in it is acknowledged.
//!
//! Source: Pillai et al., "All File Systems Are Not Created Equal" (2014), for what a crash leaves;
//! Rebello et al., "Can Applications Recover from fsync Failures?" (2020), for what a failed sync
//! does; Alagappan et al., "Protocol-Aware Recovery" (2018), for the mark.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_sim::quorate_core::{Disk as _, File as _, Storage, StorageError, WriteId};
use quorate_sim::{Disk, DiskFile, mix};

use crate::appender::{Entry, Read};
use crate::log::Bug;

/// The entries of one node, on its disk.
#[derive(Debug)]
pub(crate) struct Segments {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    bug: Bug,
    segments: Vec<Segment>,
    mark: Option<DiskFile>,
    /// Which half of the mark is written next.
    mark_turn: u64,
    /// Where each durable entry is: the segment, and the offset in it.
    places: Vec<(usize, u64)>,
    start: usize,
    /// What was appended and is not durable.
    pending: Vec<Entry>,
    is_cut: bool,
}

#[derive(Debug)]
struct Segment {
    file: DiskFile,
    len: u64,
}

impl Segments {
    /// Opens what is there.
    pub(crate) fn open(disk: Disk, bug: Bug) -> io::Result<Self> {
        let mut state = State {
            disk,
            bug,
            segments: Vec::new(),
            mark: None,
            mark_turn: 0,
            places: Vec::new(),
            start: 0,
            pending: Vec::new(),
            is_cut: false,
        };
        state.recover()?;
        Ok(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// Returns how many entries there are.
    pub(crate) fn count(&self) -> u64 {
        self.state().places.len() as u64
    }

    /// Returns whether there was a torn tail.
    pub(crate) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

impl State {
    fn recover(&mut self) -> io::Result<()> {
        let names = self.disk.list()?;
        let marked = if names.iter().any(|name| name == MARK) { self.read_mark()? } else { None };
        for name in names.iter().filter(|name| *name != MARK) {
            self.read_segment(name, marked.unwrap_or_default())?;
        }
        let count = self.places.len() as u64;
        if self.bug != Bug::RotIsTorn {
            if count < marked.unwrap_or_default() {
                return Err(rotten("entries that were acknowledged are missing"));
            }
            if marked.is_none() && !self.segments.is_empty() {
                return Err(rotten("nobody knows how much was acknowledged"));
            }
        }
        self.start = self.places.len();
        // From here on all of them count.
        if marked.is_some() { self.write_mark(count) } else { Ok(()) }
    }

    /// Returns the larger count of the two, or `None` if neither is whole.
    fn read_mark(&mut self) -> io::Result<Option<u64>> {
        let file = self.disk.open(MARK)?;
        let mut best = None;
        for turn in 0..2 {
            let bytes = read_at(&file, turn * HALF_BYTES, 16)?;
            let (Some(count), Some(sum)) = (number(&bytes, 0), number(&bytes, 8)) else { continue };
            if sum == mix(count, MARK_KEY, 0) && best < Some(count) {
                best = Some(count);
                self.mark_turn = turn + 1;
            }
        }
        self.mark = best.is_some().then_some(file);
        Ok(best)
    }

    fn write_mark(&mut self, count: u64) -> io::Result<()> {
        let Some(file) = &self.mark else { return Ok(()) };
        let bytes = [count, mix(count, MARK_KEY, 0)].map(u64::to_le_bytes).concat();
        file.write_all_at(self.mark_turn % 2 * HALF_BYTES, &bytes)?;
        file.sync_data()?;
        self.mark_turn += 1;
        Ok(())
    }

    /// Makes a mark that counts nothing, before there is anything to count.
    fn create_mark(&mut self) -> io::Result<()> {
        if self.mark.is_some() {
            return Ok(());
        }
        let is_there = self.disk.list()?.iter().any(|name| name == MARK);
        let file = if is_there { self.disk.open(MARK)? } else { self.disk.create_new(MARK)? };
        let bytes = [0, mix(0, MARK_KEY, 0)].map(u64::to_le_bytes).concat();
        file.write_all_at(0, &bytes)?;
        file.write_all_at(HALF_BYTES, &bytes)?;
        file.sync_data()?;
        self.sync_folder()?;
        self.mark = Some(file);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        if self.bug == Bug::NoDirectorySync { Ok(()) } else { self.disk.sync_dir() }
    }

    /// Reads a segment up to its torn tail, if it has one, and cuts that.
    fn read_segment(&mut self, name: &str, marked: u64) -> io::Result<()> {
        let file = self.disk.open(name)?;
        let bytes = read_at(&file, 0, file.len()?)?;
        let mut offset = 0;
        while let Some((_, end)) = self.decode(&bytes, offset) {
            self.places.push((self.segments.len(), offset));
            offset = end;
        }
        if offset < bytes.len() as u64 {
            let is_counted = (self.places.len() as u64) < marked;
            if is_counted && self.bug != Bug::RotIsTorn {
                return Err(rotten("an entry that was acknowledged is not whole"));
            }
            if self.bug == Bug::KeepsTornTail {
                offset = bytes.len() as u64;
            } else {
                file.set_len(offset)?;
                file.sync_data()?;
                self.is_cut = true;
            }
        }
        self.segments.push(Segment { file, len: offset });
        Ok(())
    }

    /// Returns the entry at `offset` and where it ends, if it is whole.
    fn decode(&self, bytes: &[u8], offset: u64) -> Option<(Entry, u64)> {
        let start = usize::try_from(offset).ok()?;
        let length = bytes.get(start..start + 4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let payload = bytes.get(start + HEADER_BYTES..start + HEADER_BYTES + length)?;
        let sum = number(bytes, start + 4)?;
        let is_whole = (8..=LENGTH_MAX).contains(&length);
        let is_right = sum == checksum(payload) || self.bug == Bug::LengthWithoutChecksum;
        let value = number(payload, 0)?;
        (is_whole && is_right).then_some((Entry(value), (start + HEADER_BYTES + length) as u64))
    }

    /// Writes what is pending, and then the mark that counts it.
    fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.create_mark()?;
        if self.segments.last().is_none_or(|segment| SEGMENT_BYTES <= segment.len) {
            let name = format!("segment-{:04}", self.segments.len() + 1);
            let file = self.disk.create_new(&name)?;
            self.segments.push(Segment { file, len: 0 });
            self.sync_folder()?;
        }
        let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
        let index = self.segments.len() - 1;
        let segment = &mut self.segments[index];
        for entry in &self.pending {
            offsets.push((index, segment.len + bytes.len() as u64));
            encode(*entry, &mut bytes);
        }
        segment.file.write_all_at(segment.len, &bytes)?;
        if self.bug != Bug::SkipsSync {
            let synced = segment.file.sync_data();
            synced.or_else(|error| match self.bug {
                Bug::IgnoresFailedSync => Ok(()),
                _ => Err(error),
            })?;
        }
        self.write_mark((self.places.len() + offsets.len()) as u64)?;
        self.segments[index].len += bytes.len() as u64;
        self.places.extend(offsets);
        self.pending.clear();
        Ok(())
    }

    fn read(&self, read: Read) -> io::Result<Vec<Entry>> {
        let first = usize::try_from(read.first - 1).expect("small");
        let places = self.places.get(first..).unwrap_or_default().iter().take(ENTRIES_MAX);
        places
            .map(|(segment, offset)| {
                let file = &self.segments[*segment].file;
                let bytes = read_at(file, *offset, (HEADER_BYTES + LENGTH_MAX) as u64)?;
                let entry = self.decode(&bytes, 0).map(|(entry, _)| entry);
                entry.ok_or_else(|| rotten("an entry is not what was written"))
            })
            .collect()
    }
}

impl Storage<Entry> for Segments {
    type Query = Read;
    type Answer = Vec<Entry>;

    fn replay(&self) -> impl Iterator<Item = Result<Entry, StorageError>> {
        // The core counts them, and reads them back when it applies them.
        std::iter::empty()
    }

    fn append(&self, _: WriteId, entry: Entry) -> Result<(), StorageError> {
        self.state().pending.push(entry);
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        let mut state = self.state();
        match state.sync() {
            Ok(()) => Ok(WriteId((state.places.len() - state.start) as u64)),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(StorageError::Full),
            Err(error) => Err(StorageError::failed(error)),
        }
    }

    async fn fetch(&self, read: Read) -> Result<Vec<Entry>, StorageError> {
        self.state().read(read).map_err(StorageError::failed)
    }

    async fn compact(&self, _: WriteId) -> Result<(), StorageError> {
        Ok(())
    }
}

fn encode(entry: Entry, bytes: &mut Vec<u8>) {
    // Of many lengths, so that frames lie across sectors.
    let times = usize::try_from(1 + entry.0 % 60).expect("small");
    let payload = entry.0.to_le_bytes().repeat(times);
    bytes.extend(u32::try_from(payload.len()).expect("small").to_le_bytes());
    bytes.extend(checksum(&payload).to_le_bytes());
    bytes.extend(payload);
}

fn checksum(payload: &[u8]) -> u64 {
    let words = payload.chunks(8).map(|word| number(word, 0).unwrap_or_default());
    words.fold(payload.len() as u64, |sum, word| mix(sum, word, 1))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn read_at(file: &DiskFile, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).expect("small")];
    let count = file.read_at(offset, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn rotten(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const MARK: &str = "mark";
const MARK_KEY: u64 = 0x6d61_726b;
/// In another page than the first half: one torn write cannot reach both.
const HALF_BYTES: u64 = 4_096;
const HEADER_BYTES: usize = 12;
const LENGTH_MAX: usize = 480;
/// So few that there are several in a run.
const SEGMENT_BYTES: u64 = 2_048;
const ENTRIES_MAX: usize = 8;
