//! Checking every byte of an open log.

use std::sync::Arc;

use quorate_core::{Disk, File};

use crate::error::{Damage, ReadError, Why};
use crate::format::frame::Kind;
use crate::format::header::Header;
use crate::format::segment_name;
use crate::index::Index;
use crate::log::Wal;
use crate::recover::{Scan, scan};
use crate::source::Source;
use crate::walk::{Step, Walk};

/// What was checked, and is right.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// Segments, the last one included.
    pub segments: u64,
    /// Records, also those that were truncated and are still in the files.
    pub records: u64,
    /// Bytes of their files, but for what is made ahead.
    pub bytes: u64,
}

impl<D: Disk> Wal<D> {
    /// Reads all that is durable, and checks every byte of it. For a scrub now and then: opening
    /// does not read sealed segments.
    ///
    /// Others read and write meanwhile; what is truncated meanwhile may be left out. O(log), with a
    /// window of 256 KiB.
    ///
    /// # Errors
    ///
    /// [`ReadError::Corrupt`] with the first that is damaged, which [`inspect::log`] lists in full,
    /// and [`ReadError::Io`]. The log goes on.
    ///
    /// [`inspect::log`]: crate::inspect::log
    pub fn verify(&self) -> Result<Verified, ReadError> {
        let (sealed, active, file, end) = {
            let state = self.shared().state.lock();
            let segments = &state.segments;
            let sealed: Vec<u64> = segments.sealed.iter().map(|it| it.sequence).collect();
            let active = &segments.active;
            (sealed, active.header.clone(), Arc::clone(&active.file), active.content.end)
        };
        let mut verified = Verified::default();
        for sequence in sealed {
            let checked = self.verify_sealed(sequence);
            verified.add(self.unless_gone(sequence, checked)?);
        }
        let checked = verify_frames(&*file, &active, end);
        verified.add(self.unless_gone(active.sequence, checked)?);
        Ok(verified)
    }

    /// Forgives what is wrong with a segment that went meanwhile: it has no file, or one that is
    /// used again.
    fn unless_gone(
        &self,
        sequence: u64,
        checked: Result<Verified, ReadError>,
    ) -> Result<Verified, ReadError> {
        let error = match checked {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        let state = self.shared().state.lock();
        let segments = &state.segments;
        let oldest =
            segments.sealed.first().map_or(segments.active.header.sequence, |it| it.sequence);
        if sequence < oldest { Ok(Verified::default()) } else { Err(error) }
    }

    fn verify_sealed(&self, sequence: u64) -> Result<Verified, ReadError> {
        let file = self.shared().disk.open(&segment_name(sequence))?;
        let mut source = Source::scan(&file)?;
        let damaged = |offset, index: Option<u64>, why| {
            let index = index.map(Index);
            Err(ReadError::Corrupt(Damage { segment: sequence, offset, index, why }))
        };
        let header = match Header::read(&mut source)? {
            Ok(Ok(header)) if header.sequence == sequence => header,
            Ok(_) => return damaged(0, None, Why::Header),
            Err(why) => return damaged(0, None, why),
        };
        let Scan { content, sealed, fault } = scan(&mut source, &header, false)?;
        match (sealed, fault) {
            (Some(sealed), _) if sealed.end == source.len() => {
                Ok(Verified { segments: 1, records: content.records, bytes: sealed.end })
            }
            (Some(sealed), _) => damaged(sealed.end, None, Why::Trailer),
            (None, Some(fault)) => damaged(fault.offset, Some(fault.index), fault.why),
            (None, None) => damaged(content.end, Some(content.next_index), Why::Short),
        }
    }
}

impl Verified {
    const fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

/// Checks the frames up to `end`, which are durable.
fn verify_frames<F: File>(file: &F, header: &Header, end: u64) -> Result<Verified, ReadError> {
    let mut source = Source::scan(file)?;
    let found = Header::read(&mut source)?;
    if found.as_ref() != Ok(&Ok(header.clone())) {
        let (segment, why) = (header.sequence, found.err().unwrap_or(Why::Header));
        return Err(ReadError::Corrupt(Damage { segment, offset: 0, index: None, why }));
    }
    let mut verified = Verified { segments: 1, records: 0, bytes: end };
    let mut walk = Walk::up_to(header, end);
    while let Some(step) = walk.next(&mut source)? {
        match step {
            Step::Frame(_, frame) => verified.records += u64::from(frame.head.kind == Kind::Data),
            Step::Damaged(damage, _) => return Err(ReadError::Corrupt(damage)),
        }
    }
    Ok(verified)
}
