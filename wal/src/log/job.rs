//! What a leader does without the lock: the roll, the room, the write, the sync.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use quorate_core::{Disk, File};

use super::state::{Chunk, State, Synced};
use crate::config::{Config, Preallocate};
use crate::format::frame::{self, HEAD_BYTES};
use crate::format::header::Header;
use crate::format::to_usize;
use crate::segment::{self, Active, Spare};
use crate::traps::{Trap, planted};

/// A chunk on its way to the disk.
pub(super) struct Job<F> {
    chunk: Chunk,
    file: Arc<F>,
    offset: u64,
    /// Length of `file`.
    file_bytes: u64,
    /// Up to where `file` is durable.
    promise: u64,
    roll: Option<Roll<F>>,
    /// A file to make the next segment of.
    pub(super) spare: Option<Spare>,
    syncs: u64,
    bytes_written: u64,
}

/// What comes before the chunk, if it begins a segment.
struct Roll<F> {
    old: Arc<F>,
    /// Where the Seal goes, and its bytes. `None`: it is there.
    seal: Option<(u64, BytesMut)>,
    /// What stands before the Seal is durable.
    is_synced: bool,
    old_bytes: u64,
    seal_crc: u32,
    sealed_at_ms: u64,
    is_sealed: bool,
    header: Header,
    next: Option<Arc<F>>,
}

pub(super) enum Failure {
    /// There is no room, and the files are as they were.
    Full,
    Broken(io::Error),
}

impl<F: File> Job<F> {
    pub(super) fn new<D: Disk<File = F>>(state: &mut State<D>, chunk: Chunk) -> Self {
        let active = &state.segments.active;
        let (mut offset, file_bytes) = (active.content.end, active.file_bytes);
        let file = Arc::clone(&active.file);
        let is_synced = state.synced.end == offset;
        let mut promise = state.synced.end;
        if planted(Trap::PromiseAtEncoding) {
            promise = promise.min(chunk.encoded_at);
        }
        let roll = (chunk.sequence != active.header.sequence).then(|| {
            let (seal, seal_crc) = match active.sealed {
                Some(seal_crc) => (None, seal_crc),
                None => {
                    let (seal, seal_crc) =
                        active.content.footer(state.wall_ms).seal(offset, active.salt);
                    (Some((offset, seal)), seal_crc)
                }
            };
            let sealed_at_ms = if seal.is_none() { active.sealed_at_ms } else { state.wall_ms };
            let (is_sealed, header) = (seal.is_none(), active.next_header(seal_crc));
            offset = header.end();
            promise = offset;
            let (old, old_bytes) = (Arc::clone(&file), file_bytes);
            let next = None;
            Roll {
                old,
                seal,
                is_synced,
                old_bytes,
                seal_crc,
                sealed_at_ms,
                is_sealed,
                header,
                next,
            }
        });
        let spare = roll.as_ref().and_then(|_| state.spares.pop());
        Self { chunk, file, offset, file_bytes, promise, roll, spare, syncs: 0, bytes_written: 0 }
    }

    /// Can be run again after [`Failure::Full`].
    pub(super) fn run<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        config: &Config,
    ) -> Result<(), Failure> {
        self.run_roll(disk, config)?;
        if !self.chunk.frames.is_empty() {
            self.write(config)?;
        }
        // A segment that was made just now is durable as it is.
        let is_durable = self.roll.is_some() && self.chunk.frames.is_empty();
        if self.chunk.is_synced && !is_durable && !planted(Trap::AckBeforeSync) {
            let mut synced = self.file.sync_data();
            if synced.is_err() && planted(Trap::RetryFailedSync) {
                synced = self.file.sync_data();
            }
            if !planted(Trap::AckAfterFailedSync) {
                synced.map_err(Failure::Broken)?;
            }
            self.syncs += 1;
        }
        Ok(())
    }

    fn write(&mut self, config: &Config) -> Result<(), Failure> {
        let promise = u32::try_from(self.promise).expect("`Config` keeps segments below 4 GiB");
        frame::finish(&mut self.chunk.frames, promise, self.chunk.salt);
        if config.preallocate == Preallocate::Reserve {
            self.reserve(config.segment_bytes.into())?;
        }
        let frame_bytes = self.chunk.frames.len();
        if let Preallocate::Recycle { .. } = config.preallocate {
            // What stands behind is of another life of the file: an empty head is the end.
            let left = self.file_bytes.saturating_sub(self.end());
            self.chunk.frames.resize(frame_bytes + to_usize(left.min(HEAD_BYTES as u64)), 0);
        }
        let frames = &self.chunk.frames;
        let written = write_or_cut(&*self.file, self.offset, frames, &mut self.file_bytes);
        self.chunk.frames.truncate(frame_bytes);
        written?;
        self.bytes_written += frame_bytes as u64;
        if let Preallocate::ZeroAhead { step } = config.preallocate {
            self.zero_ahead(step.into(), config.segment_bytes.into())?;
        }
        Ok(())
    }

    /// Returns where the frames end.
    fn end(&self) -> u64 {
        self.offset + self.chunk.frames.len() as u64
    }

    /// Asks for room for a whole segment, if the frames do not fit into the file, and makes it that
    /// long. Where that is not to be had, each write extends the file.
    fn reserve(&mut self, segment_bytes: u64) -> Result<(), Failure> {
        let end = segment_bytes.max(self.end());
        if self.end() <= self.file_bytes {
            return Ok(());
        }
        let made = self.file.allocate(end).and_then(|is_made| {
            if is_made {
                self.file.set_len(end)?;
            }
            self.file.len()
        });
        match made.map_err(Failure::of) {
            Ok(file_bytes) => self.file_bytes = file_bytes,
            // What was made of it goes again. The frames may find room.
            Err(Failure::Full) => {
                self.file.set_len(self.offset).map_err(Failure::Broken)?;
                self.file_bytes = self.offset;
            }
            Err(broken) => return Err(broken),
        }
        Ok(())
    }

    /// Writes zeros up to the next multiple of `step`, if the frames came up to the end of the
    /// file. Not beyond `segment_bytes`: the Seal cuts the file off behind itself.
    fn zero_ahead(&mut self, step: u64, segment_bytes: u64) -> Result<(), Failure> {
        let end = self.end();
        let zeros_end = end.next_multiple_of(step).min(segment_bytes);
        if end < self.file_bytes || zeros_end <= end {
            return Ok(());
        }
        let zeros = vec![0; to_usize(zeros_end - end)];
        match write_or_cut(&*self.file, end, &zeros, &mut self.file_bytes) {
            Ok(()) => self.bytes_written += zeros.len() as u64,
            // The frames found room, the zeros need none.
            Err(Failure::Full) => {}
            Err(broken) => return Err(broken),
        }
        Ok(())
    }

    /// Seals the segment, durably, and makes the next one.
    fn run_roll<D: Disk<File = F>>(&mut self, disk: &D, config: &Config) -> Result<(), Failure> {
        let Some(roll) = self.roll.as_mut().filter(|it| it.next.is_none()) else { return Ok(()) };
        if let Some((offset, seal)) = roll.seal.as_ref().filter(|_| !roll.is_sealed) {
            if !roll.is_synced {
                // The Seal promises what stands before it.
                roll.old.sync_data().map_err(Failure::Broken)?;
                roll.is_synced = true;
                self.syncs += 1;
            }
            write_or_cut(&*roll.old, *offset, seal, &mut roll.old_bytes)?;
            let end = offset + seal.len() as u64;
            if end < roll.old_bytes {
                roll.old.set_len(end).map_err(Failure::Broken)?;
                roll.old_bytes = end;
            }
            if !planted(Trap::RollWithoutSync) {
                roll.old.sync_data().map_err(Failure::Broken)?;
            }
            roll.is_sealed = true;
            self.syncs += 1;
            self.bytes_written += seal.len() as u64;
        }
        self.file_bytes = roll.header.end();
        let next = match self.spare.take() {
            Some(spare) => {
                self.file_bytes = spare.file_bytes.max(config.segment_bytes.into());
                self.file_bytes = self.file_bytes.max(roll.header.end() + HEAD_BYTES as u64);
                let made = segment::recycle(disk, &roll.header, &spare, self.file_bytes);
                // Without room for it, it is still there.
                self.spare = made.is_err().then_some(spare);
                made
            }
            None => segment::create(disk, &roll.header),
        };
        let next = next.map_err(Failure::of)?;
        self.syncs += 2;
        self.bytes_written += roll.header.end();
        self.file = Arc::new(next);
        roll.next = Some(Arc::clone(&self.file));
        Ok(())
    }

    /// Takes note of how far the roll came.
    fn apply_roll<D: Disk<File = F>>(&mut self, state: &mut State<D>) {
        state.spares.extend(self.spare.take());
        let Some(roll) = self.roll.take() else {
            state.segments.active.file_bytes = self.file_bytes;
            return;
        };
        let active = &mut state.segments.active;
        active.file_bytes = roll.old_bytes;
        if roll.is_sealed {
            active.sealed = Some(roll.seal_crc);
            active.sealed_at_ms = roll.sealed_at_ms;
        }
        if roll.is_synced && state.synced.end != active.content.end {
            state.take_synced();
        }
        if let Some(file) = roll.next {
            let mut next = Active::new(roll.header, file);
            next.file_bytes = self.file_bytes;
            state.segments.roll(next);
            state.synced = Synced::all(&state.segments.active);
            state.stats.rolls += 1;
        }
    }

    /// Takes note of what was done, whatever came of it. Returns the chunk.
    pub(super) fn finish<D: Disk<File = F>>(mut self, state: &mut State<D>) -> (Chunk, u64) {
        state.stats.syncs += self.syncs;
        state.stats.bytes_written += self.bytes_written;
        self.apply_roll(state);
        (self.chunk, self.file_bytes)
    }
}

impl Failure {
    pub(super) fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull { Self::Full } else { Self::Broken(error) }
    }
}

/// Writes `bytes` at `offset`, the end of the content. Where there is no room, the file is cut back
/// to `offset`, durably: no part of what is reported as not done may show up after a crash.
fn write_or_cut<F: File>(
    file: &F,
    offset: u64,
    bytes: &[u8],
    file_bytes: &mut u64,
) -> Result<(), Failure> {
    match file.write_all_at(offset, bytes).map_err(Failure::of) {
        Ok(()) => *file_bytes = (*file_bytes).max(offset + bytes.len() as u64),
        Err(Failure::Full) => {
            file.set_len(offset).and_then(|()| file.sync_data()).map_err(Failure::Broken)?;
            *file_bytes = offset;
            return Err(Failure::Full);
        }
        Err(broken) => return Err(broken),
    }
    Ok(())
}
