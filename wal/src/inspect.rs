//! Looking at a log without opening it: nothing is locked, and nothing is changed.
//!
//! ```text
//! each segment   header, frames, every damaged frame: by every checksum there is
//! all together   what opening would say: whole, torn, or why it refuses
//! ```
//!
//! Behind a damaged frame the walk goes on. A log that is written to meanwhile may look torn.

use std::fmt;
use std::io;
use std::ops::Range;

use quorate_core::{Disk, File};

use crate::config::Config;
use crate::error::{Damage, OpenError};
use crate::format::frame::{Frame, Kind};
use crate::format::header::Header;
use crate::format::{segment_name, sequence_of};
use crate::index::Index;
use crate::recover::{self, Examined};
use crate::source::Source;
use crate::walk::{Step, Walk};

/// What a folder holds.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// What opening would find.
    pub verdict: Verdict,
}

/// What opening a log would find.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// There is no log.
    Empty,
    /// All is right. The records that there are.
    Whole(Range<Index>),
    /// The tail is torn: nothing that was certified is lost. The records that are left, and where
    /// the tail is torn.
    Torn(Range<Index>, Damage),
    /// Every record is there, but a footer is damaged: the first one that is. Opening makes it anew
    /// from the records, in memory.
    Damaged(Range<Index>, Damage),
    /// It refuses, with this error.
    Refused(OpenError),
}

/// What is in a segment.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SegmentReport {
    /// Its number; its name is that of [`file`](Self::file).
    pub sequence: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Which log it says that it is of; 0 if its header is damaged.
    pub log_id: u64,
    /// The index of the first record that could be in it; 0 if its header is damaged.
    pub start_index: Index,
    /// The low-water mark when it was begun; 0 if its header is damaged.
    pub first_index: Index,
    /// How many frames are whole, by kind: data, suffixes, prefixes, states, marks, seals.
    pub frames: [u64; 6],
    /// How many bytes a frame of it certifies: they were synced.
    pub certified_bytes: u64,
    /// Where the last whole frame ends.
    pub end: u64,
    /// Whether it is followed by another.
    pub is_sealed: bool,
    /// What is damaged, in the order of the file. In the last segment a torn tail is one of them.
    pub damaged: Vec<Damage>,
}

/// A frame that is whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FrameReport {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// What it does: `data`, `truncate-suffix`, `truncate-prefix`, `state`, `mark` or `seal`.
    pub kind: &'static str,
    /// The index of its record, or of the one due there.
    pub index: Index,
    /// The length of its payload.
    pub payload_bytes: u32,
    /// How many bytes it certifies.
    pub certified_bytes: u64,
    /// Whether a batch ends with it.
    pub is_batch_end: bool,
}

/// Looks at all segments on `disk`, and checks every byte of them.
///
/// # Errors
///
/// Those of the disk. What is wrong with the log is in the report.
///
/// # Examples
///
/// ```
/// use quorate_wal::inspect::{self, Verdict};
/// use quorate_wal::{Config, Index, Memory, Wal};
///
/// let disk = Memory::new();
/// let (wal, _) = Wal::open_on(disk.clone(), Config::default())?;
/// wal.append("a record")?.wait()?;
/// let found = inspect::log(&disk)?;
/// assert_eq!(found.segments[0].frames, [1, 0, 0, 0, 0, 0]);
/// assert!(matches!(found.verdict, Verdict::Whole(range) if range == (Index(1)..Index(2))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn log<D: Disk>(disk: &D) -> io::Result<Inspection> {
    let names = disk.list()?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let last = sequences.last().copied();
    let mut segments = Vec::new();
    for sequence in sequences {
        let file = disk.open(&segment_name(sequence))?;
        let mut source = Source::scan(&file)?;
        segments.push(SegmentReport::of(sequence, Some(sequence) != last, &mut source)?);
    }
    let config = Config { verify_sealed: true, ..Config::default() };
    let verdict = match recover::examine(disk, &config) {
        Ok(None) => Verdict::Empty,
        Ok(Some(Examined { range, torn: Some(damage), .. })) => Verdict::Torn(range, damage),
        Ok(Some(Examined { range, damaged, .. })) => match damaged.first() {
            None => Verdict::Whole(range),
            Some(damage) => Verdict::Damaged(range, *damage),
        },
        Err(OpenError::Io { source, .. }) => return Err(source),
        Err(error) => Verdict::Refused(error),
    };
    Ok(Inspection { segments, verdict })
}

/// Returns the whole frames of a segment, in the order of the file.
///
/// # Errors
///
/// Those of the disk, and [`io::ErrorKind::InvalidData`] if its header is damaged.
pub fn frames<D: Disk>(disk: &D, sequence: u64) -> io::Result<Vec<FrameReport>> {
    let file = disk.open(&segment_name(sequence))?;
    let mut source = Source::scan(&file)?;
    let header = match Header::read(&mut source)? {
        Ok(Ok(header)) => header,
        Ok(Err(version)) => {
            let error = OpenError::Unsupported { version };
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
    };
    let mut frames = Vec::new();
    let mut walk = Walk::new(&mut source, &header)?;
    while let Some(step) = walk.next(&mut source)? {
        if let Step::Frame(offset, Frame { head, .. }) = step {
            frames.push(FrameReport {
                offset,
                kind: name(head.kind),
                index: Index(head.index),
                payload_bytes: head.payload_bytes,
                certified_bytes: head.durable_offset.into(),
                is_batch_end: head.is_batch_end,
            });
        }
    }
    Ok(frames)
}

impl SegmentReport {
    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> String {
        segment_name(self.sequence)
    }

    fn of<F: File>(sequence: u64, is_sealed: bool, source: &mut Source<'_, F>) -> io::Result<Self> {
        let mut report = Self {
            sequence,
            bytes: source.len(),
            log_id: 0,
            start_index: Index(0),
            first_index: Index(0),
            frames: [0; 6],
            certified_bytes: 0,
            end: 0,
            is_sealed,
            damaged: Vec::new(),
        };
        let header = match Header::read(source)? {
            Ok(Ok(header)) => header,
            // A version that is not known is no damage: the verdict says so.
            Ok(Err(_)) => return Ok(report),
            Err(why) => {
                report.damaged.push(Damage { segment: sequence, offset: 0, index: None, why });
                return Ok(report);
            }
        };
        report.log_id = header.log_id;
        report.start_index = Index(header.next_index);
        report.first_index = Index(header.first_index);
        report.end = header.end();
        let mut walk = Walk::new(source, &header)?;
        while let Some(step) = walk.next(source)? {
            report.take(&step);
        }
        Ok(report)
    }

    fn take(&mut self, step: &Step<'_>) {
        match step {
            Step::Frame(offset, Frame { head, .. }) => {
                self.frames[place(head.kind)] += 1;
                self.certified_bytes = self.certified_bytes.max(head.durable_offset.into());
                self.end = offset + head.frame_bytes() as u64;
            }
            Step::Damaged(damage, _) => self.damaged.push(*damage),
        }
    }
}

const fn place(kind: Kind) -> usize {
    match kind {
        Kind::Data => 0,
        Kind::TruncateSuffix => 1,
        Kind::TruncatePrefix => 2,
        Kind::State => 3,
        Kind::Mark => 4,
        Kind::Seal => 5,
    }
}

const fn name(kind: Kind) -> &'static str {
    ["data", "truncate-suffix", "truncate-prefix", "state", "mark", "seal"][place(kind)]
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no log"),
            Self::Whole(range) => write!(f, "whole, records {}..{}", range.start, range.end),
            Self::Torn(range, damage) => {
                write!(f, "torn, records {}..{} are left: {damage}", range.start, range.end)
            }
            Self::Damaged(range, damage) => {
                write!(f, "damaged, records {}..{} are all there: {damage}", range.start, range.end)
            }
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}
