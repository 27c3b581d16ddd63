//! Finds out what a folder holds, and makes it whole.
//!
//! ```text
//! lock -> names, headers, chain -> sealed segments -> the last one: frames up to X
//!                                                          |
//!           a head behind X promises more than X? -- yes --> Corrupt
//!                                                          | no
//!   keep [X, ..) as .cut, zero it, write back [promise, X), sync <- torn, or whole
//! ```
//!
//! X is the start of the first batch that is not whole and right. A crash leaves a bad batch only
//! in the last group that was handed to the disk, and no frame of that group promises more than
//! where it began. So a promise beyond X means that the batch at X was durable once: damage.
//!
//! All is looked at before anything is changed. A crash during the changes leaves the same X.
//!
//! Not to be told from a torn write: damage in the last synced group with nothing behind it, and
//! the loss of the last file as a whole. A Mark at close leaves no such group.

mod scan;
mod survey;
mod tail;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::Disk;

pub(crate) use self::scan::{Scan, scan};
use self::survey::{Found, survey};
use crate::config::{Config, Recovery};
use crate::error::{Damage, OpenError, Why};
use crate::format::header::Header;
use crate::format::{segment_name, sequence_of};
use crate::index::Index;
use crate::segment::{self, Active, Segments};

/// What opening found.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Recovered {
    /// The records there are.
    pub range: Range<Index>,
    /// What was cut off the end, if anything was.
    pub cut: Option<Cut>,
    /// How many segments there are.
    pub segments: u64,
    /// What is damaged and did not keep the log from opening. No record is lost by it: footers of
    /// sealed segments were made anew from their frames, in memory.
    pub damaged: Vec<Damage>,
}

/// A torn tail that was cut off. None of its records was acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cut {
    /// The first frame that was not right.
    pub damage: Damage,
    /// Where in the segment the cut was made.
    pub offset: u64,
    /// How many bytes were cut, up to the last that was not zero.
    pub bytes: u64,
    /// The file that holds them now. `None` if it could not be written.
    pub kept: Option<String>,
}

/// A log that is whole, and can be written to.
#[derive(Debug)]
pub(crate) struct Opened<D: Disk> {
    pub(crate) lock: D::Lock,
    pub(crate) segments: Segments<D::File>,
    pub(crate) recovered: Recovered,
}

/// Opens the log on `disk`, or begins one.
pub(crate) fn open<D: Disk>(disk: &D, config: &Config) -> Result<Opened<D>, OpenError> {
    config.check()?;
    let lock = disk.lock(LOCK).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { path: LOCK.to_owned() },
        _ => OpenError::Io { doing: "take the lock", source },
    })?;
    let names = disk.list().map_err(doing("list the files"))?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let Some(oldest) = oldest_of(&sequences) else {
        return begin(disk, config, lock, &names);
    };
    let found = survey(disk, config, &sequences[oldest..])?;
    check_whole(config, &found, sequences[oldest])?;

    let temporary = names.iter().filter(|name| name.ends_with(".wal.tmp")).cloned();
    let dead = sequences[..oldest].iter().map(|sequence| segment_name(*sequence));
    for name in temporary.chain(dead) {
        disk.remove(&name).map_err(doing("remove what is no longer needed"))?;
    }
    let Found { mut segments, torn, damaged } = found;
    let cut = tail::repair(disk, &mut segments.active, torn).map_err(doing("repair the tail"))?;
    let content = &segments.active.content;
    let range = Index(content.first_index)..Index(content.next_index);
    let count = segments.sealed.len() as u64 + 1;
    let recovered = Recovered { range, cut, segments: count, damaged };
    Ok(Opened { lock, recovered, segments })
}

/// What opening would find.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) range: Range<Index>,
    pub(crate) torn: Option<Damage>,
    /// What is damaged, and does no harm.
    pub(crate) damaged: Vec<Damage>,
}

/// Finds out what opening the log on `disk` would find, and changes nothing. `None`: there is none.
pub(crate) fn examine<D: Disk>(disk: &D, config: &Config) -> Result<Option<Examined>, OpenError> {
    config.check()?;
    let names = disk.list().map_err(doing("list the files"))?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let Some(oldest) = oldest_of(&sequences) else { return Ok(None) };
    let found = survey(disk, config, &sequences[oldest..])?;
    check_whole(config, &found, sequences[oldest])?;
    let content = &found.segments.active.content;
    let range = Index(content.first_index)..Index(content.next_index);
    Ok(Some(Examined { range, torn: found.torn, damaged: found.damaged }))
}

/// The name of the lock.
const LOCK: &str = "LOCK";

fn doing(doing: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, source }
}

/// Returns where the last row without a gap begins. What is before is left of a removal that a
/// crash interrupted, or is missed: `check_whole` tells.
fn oldest_of(sequences: &[u64]) -> Option<usize> {
    let last = sequences.len().checked_sub(1)?;
    let is_joined = |at: &usize| sequences[*at - 1] + 1 == sequences[*at];
    Some(last - (1..=last).rev().take_while(is_joined).count())
}

/// Begins a log.
fn begin<D: Disk>(
    disk: &D,
    config: &Config,
    lock: D::Lock,
    names: &[String],
) -> Result<Opened<D>, OpenError> {
    check_end(config, Index(1))?;
    for name in names.iter().filter(|name| name.ends_with(".wal.tmp")) {
        disk.remove(name).map_err(doing("remove what is no longer needed"))?;
    }
    let header = Header {
        log_id: config.seed.unwrap_or_else(draw_id),
        sequence: 1,
        next_index: 1,
        first_index: 1,
        previous_crc: 0,
        state: config.initial_state.clone(),
    };
    let file = segment::create(disk, &header).map_err(doing("begin the log"))?;
    let active = Active::new(header, Arc::new(file));
    let segments = Segments::new(active, config.footer_cache_bytes);
    let (range, damaged) = (Index(1)..Index(1), Vec::new());
    let recovered = Recovered { range, cut: None, segments: 1, damaged };
    Ok(Opened { lock, segments, recovered })
}

/// Draws a number from the system, by the one door that the standard library has.
fn draw_id() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

fn check_whole<F>(config: &Config, found: &Found<F>, oldest: u64) -> Result<(), OpenError> {
    let (segments, content) = (&found.segments, &found.segments.active.content);
    let start =
        segments.sealed.first().map_or(segments.active.header.next_index, |it| it.start_index);
    if content.first_index < start {
        // A segment goes once the mark that frees it is durable. Where the tail is bad and the mark
        // is not there, it was in the tail.
        return Err(found
            .torn
            .map_or(OpenError::MissingSegment { sequence: oldest - 1 }, OpenError::Corrupt));
    }
    if !segments.is_complete() {
        let (segment, offset) = (segments.active.header.sequence, content.end);
        return Err(OpenError::Corrupt(Damage { segment, offset, index: None, why: Why::Footer }));
    }
    if let Some(damage) = found.torn
        && config.recovery == Recovery::Strict
    {
        return Err(OpenError::Torn(damage));
    }
    check_end(config, Index(content.next_index))
}

fn check_end(config: &Config, found: Index) -> Result<(), OpenError> {
    match config.expect_at_least {
        Some(expected) if found < expected => Err(OpenError::TailLost { expected, found }),
        _ => Ok(()),
    }
}
