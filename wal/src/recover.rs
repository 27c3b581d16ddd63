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

mod salvage;
mod scan;
mod survey;
mod tail;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::Disk;

use self::salvage::Salvaged;
pub(crate) use self::scan::{Scan, scan};
use self::survey::{Found, survey};
use crate::config::{Config, Recovery};
use crate::error::{Damage, Lost, OpenError, Why, WriteError};
use crate::format::header::Header;
use crate::format::{segment_name, sequence_of};
use crate::index::Index;
use crate::segment::{self, Active, Segments};

/// What opening found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The records there are.
    pub range: Range<Index>,
    /// What was cut off the end, if anything was.
    pub cut: Option<Cut>,
    /// How many segments there are.
    pub segments: u64,
    /// What is damaged and did not keep the log from opening: footers of sealed segments, which
    /// were made anew from their frames, in memory; by [`Recovery::Salvage`] also records, which
    /// [`Wal::restore`](crate::Wal::restore) heals if their [`Why`] is [`Why::Payload`] or
    /// [`Why::Padding`].
    pub damaged: Vec<Damage>,
    /// Records that are nowhere. Only by [`Recovery::Salvage`].
    pub lost: Vec<Lost>,
    /// Why the log takes no changes, if so.
    pub read_only: Option<WriteError>,
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

/// A log that can be read, and written to if nothing refuses that.
#[derive(Debug)]
pub(crate) struct Opened<D: Disk> {
    /// `None`: the disk takes no changes, from nobody.
    pub(crate) lock: Option<D::Lock>,
    pub(crate) segments: Segments<D::File>,
    pub(crate) recovered: Recovered,
}

/// Opens the log on `disk`, or begins one.
pub(crate) fn open<D: Disk>(disk: &D, config: &Config) -> Result<Opened<D>, OpenError> {
    config.check()?;
    let lock = match disk.lock(LOCK) {
        Ok(lock) => Some(lock),
        Err(error) if is_read_only(&error) => None,
        Err(source) if source.kind() == io::ErrorKind::WouldBlock => {
            return Err(OpenError::Locked { path: LOCK.to_owned() });
        }
        Err(source) => return Err(OpenError::Io { doing: "take the lock", source }),
    };
    let names = disk.list().map_err(doing("list the files"))?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let Some(oldest) = oldest_of(&sequences) else {
        return begin(disk, config, lock, &names);
    };
    let Looked { mut found, lost, broken } = look(disk, config, &sequences, oldest)?;
    let mut read_only = broken.map(|damage| WriteError::ReadOnly { damage: Some(damage) });
    let mut cut = None;
    if read_only.is_none() {
        let temporary = names.iter().filter(|name| name.ends_with(".wal.tmp")).cloned();
        let dead = sequences[..oldest].iter().map(|sequence| segment_name(*sequence));
        let active = &mut found.segments.active;
        match make_whole(disk, temporary.chain(dead), active, found.torn, &mut cut) {
            Err(OpenError::Io { source, .. }) if is_read_only(&source) => {
                read_only = Some(WriteError::ReadOnly { damage: None });
            }
            result => result?,
        }
    }
    let Found { segments, damaged, .. } = found;
    let content = &segments.active.content;
    let range = Index(content.first_index)..Index(content.next_index);
    let count = segments.sealed.len() as u64 + 1;
    let recovered = Recovered { range, cut, segments: count, damaged, lost, read_only };
    Ok(Opened { lock, recovered, segments })
}

/// Removes what is no longer needed, and repairs the tail.
fn make_whole<D: Disk>(
    disk: &D,
    needless: impl Iterator<Item = String>,
    active: &mut Active<D::File>,
    torn: Option<Damage>,
    cut: &mut Option<Cut>,
) -> Result<(), OpenError> {
    for name in needless {
        disk.remove(&name).map_err(doing("remove what is no longer needed"))?;
    }
    tail::repair(disk, active, torn, cut).map_err(doing("repair the tail"))
}

/// What a look at the files found.
struct Looked<F> {
    found: Found<F>,
    lost: Vec<Lost>,
    broken: Option<Damage>,
}

/// Looks at the segments, of which those from `oldest` on have no gap. Changes nothing.
fn look<D: Disk>(
    disk: &D,
    config: &Config,
    sequences: &[u64],
    oldest: usize,
) -> Result<Looked<D::File>, OpenError> {
    let is_salvage = config.recovery == Recovery::Salvage;
    let mut strict = config.clone();
    strict.verify_sealed |= is_salvage;
    let looked = survey(disk, &strict, &sequences[oldest..]);
    let looked = looked.and_then(|found| {
        check_whole(config, &found, sequences[oldest])?;
        Ok(found)
    });
    let error = match looked {
        Ok(found) => return Ok(Looked { found, lost: Vec::new(), broken: None }),
        Err(error) => error,
    };
    if !is_salvage || !matches!(error, OpenError::Corrupt(_) | OpenError::MissingSegment { .. }) {
        return Err(error);
    }
    let log_id = salvage::log_id(disk, sequences).map_err(doing("read a segment"))?;
    let Some(log_id) = log_id else { return Err(error) };
    let mut salvaged = salvage::salvage(disk, config, &sequences[oldest..], log_id)?;
    if 0 < oldest && !salvaged.is_all() {
        // What stands before the gap is no more than a removal left, or all there is.
        salvaged = salvage::salvage(disk, config, sequences, log_id)?;
    }
    let Salvaged { segments, torn, damaged, lost, broken } = salvaged;
    check_end(config, Index(segments.active.content.next_index))?;
    Ok(Looked { found: Found { segments, torn, damaged }, lost, broken })
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem)
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
    lock: Option<D::Lock>,
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
    let recovered = Recovered {
        range: Index(1)..Index(1),
        cut: None,
        segments: 1,
        damaged: Vec::new(),
        lost: Vec::new(),
        read_only: None,
    };
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
