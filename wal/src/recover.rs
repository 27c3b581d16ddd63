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
mod tail;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::{Disk, File};

use crate::config::{Config, Recovery};
use crate::error::{Damage, OpenError, Why};
use crate::format::header::{HEADER_BYTES, Header};
use crate::format::seal::{self, Sealed, TRAILER_BYTES};
use crate::format::{segment_name, sequence_of, to_usize};
use crate::index::{Index, Runs};
use crate::segment::{self, Active, Segment, Segments, read_full};

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
    let (segments, cut) = tail::repair(disk, found).map_err(doing("repair the tail"))?;
    let content = &segments.active.content;
    let range = Index(content.first_index)..Index(content.next_index);
    let count = segments.sealed.len() as u64 + 1;
    Ok(Opened { lock, recovered: Recovered { range, cut, segments: count }, segments })
}

/// What opening would find.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) range: Range<Index>,
    pub(crate) torn: Option<Damage>,
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
    Ok(Some(Examined { range, torn: found.torn }))
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
    let segments = Segments::new(Vec::new(), Active::new(header, Arc::new(file)));
    let recovered = Recovered { range: Index(1)..Index(1), cut: None, segments: 1 };
    Ok(Opened { lock, segments, recovered })
}

/// Draws a number from the system, by the one door that the standard library has.
fn draw_id() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

/// What the files hold, before anything is changed.
struct Found<F> {
    segments: Segments<F>,
    /// The bytes of the last segment.
    last: Vec<u8>,
    torn: Option<Damage>,
}

/// Reads the segments of `sequences`, and checks that each follows from the one before.
fn survey<D: Disk>(
    disk: &D,
    config: &Config,
    sequences: &[u64],
) -> Result<Found<D::File>, OpenError> {
    let mut sealed: Vec<Segment<D::File>> = Vec::new();
    let mut suffixes = Vec::new();
    let mut before: Option<(Header, Sealed)> = None;
    let mut bytes = Vec::new();
    let (last, others) = sequences.split_last().expect("the caller found one");
    for sequence in others {
        let read = if config.verify_sealed { read_sealed } else { read_footer };
        let (header, found) = read(disk, *sequence, &mut bytes)?;
        check_chain(&header, *sequence, before.as_ref())?;
        suffixes.push(found.footer.lowest_suffix);
        sealed.push(Segment {
            sequence: *sequence,
            salt: header.salt(),
            start_index: header.next_index,
            end_index: found.footer.next_index,
            runs: Runs::from_footer(found.footer.runs.clone()),
            file_bytes: found.end as u64,
            sealed_at_ms: found.footer.sealed_at_ms,
            sealed_by_ms: None,
            file: None,
        });
        before = Some((header, found));
    }
    let file = disk.open(&segment_name(*last)).map_err(doing("open a segment"))?;
    read_whole(&file, &mut bytes).map_err(doing("read a segment"))?;
    let header = decode_header(&bytes, *last)?;
    check_chain(&header, *last, before.as_ref())?;
    let mut active = Active::new(header, Arc::new(file));
    let torn = tail::read(&bytes, &mut active).map_err(OpenError::Corrupt)?;
    suffixes.push(active.content.lowest_suffix);
    let mut segments = Segments::new(sealed, active);
    apply_suffixes(&mut segments, &suffixes);
    Ok(Found { segments, last: bytes, torn })
}

/// Applies to each sealed segment what later ones truncate.
fn apply_suffixes<F>(segments: &mut Segments<F>, suffixes: &[u64]) {
    let mut from = u64::MAX;
    for (segment, later) in segments.sealed.iter_mut().zip(&suffixes[1..]).rev() {
        from = from.min(*later);
        segment.runs.cut(from);
        segment.end_index = segment.end_index.min(from);
    }
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

/// Checks that `header` follows from the segment before.
fn check_chain(
    header: &Header,
    sequence: u64,
    before: Option<&(Header, Sealed)>,
) -> Result<(), OpenError> {
    let follows = before.is_none_or(|(previous, sealed)| {
        header.log_id == previous.log_id
            && header.previous_crc == sealed.payload_crc
            && header.next_index == sealed.footer.next_index
            && header.first_index == sealed.footer.first_index
    });
    let is_sane = 0 < header.first_index
        && header.first_index <= header.next_index
        && header.next_index <= Index::MAX.0;
    if header.sequence == sequence && follows && is_sane {
        return Ok(());
    }
    Err(OpenError::ForeignSegment { path: segment_name(sequence) })
}

fn decode_header(bytes: &[u8], sequence: u64) -> Result<Header, OpenError> {
    match Header::decode(bytes) {
        Ok(Ok(header)) => Ok(header),
        Ok(Err(version)) => Err(OpenError::Unsupported { version }),
        Err(why) => Err(corrupt(sequence, 0, None, why)),
    }
}

fn corrupt(segment: u64, offset: usize, index: Option<u64>, why: Why) -> OpenError {
    let index = index.map(Index);
    OpenError::Corrupt(Damage { segment, offset: offset as u64, index, why })
}

/// Reads all of a sealed segment, and checks every byte.
fn read_sealed<D: Disk>(
    disk: &D,
    sequence: u64,
    bytes: &mut Vec<u8>,
) -> Result<(Header, Sealed), OpenError> {
    let file = disk.open(&segment_name(sequence)).map_err(doing("open a segment"))?;
    read_whole(&file, bytes).map_err(doing("read a segment"))?;
    let header = decode_header(bytes, sequence)?;
    let scan = scan::scan(bytes, &header);
    if let Some(fault) = scan.fault {
        return Err(corrupt(sequence, fault.offset, Some(fault.index), fault.why));
    }
    match scan.sealed {
        Some(sealed) if sealed.end == bytes.len() => Ok((header, sealed)),
        Some(sealed) => Err(corrupt(sequence, sealed.end, None, Why::Trailer)),
        None => {
            let (end, next_index) = (to_usize(scan.content.end), scan.content.next_index);
            Err(corrupt(sequence, end, Some(next_index), Why::Short))
        }
    }
}

/// Reads the header and the footer of a sealed segment. Three reads, however long it is.
fn read_footer<D: Disk>(
    disk: &D,
    sequence: u64,
    bytes: &mut Vec<u8>,
) -> Result<(Header, Sealed), OpenError> {
    let file = disk.open(&segment_name(sequence)).map_err(doing("open a segment"))?;
    let file_bytes = to_usize(file.len().map_err(doing("read a segment"))?);
    let read = |offset: usize, count: usize, out: &mut Vec<u8>| {
        out.resize(count.min(file_bytes.saturating_sub(offset)), 0);
        let filled = read_full(&file, offset as u64, out).map_err(doing("read a segment"))?;
        out.truncate(filled);
        Ok::<_, OpenError>(())
    };
    read(0, HEADER_BYTES, bytes)?;
    let needed = Header::bytes_needed(bytes).unwrap_or(0);
    read(0, needed, bytes)?;
    let header = decode_header(bytes, sequence)?;
    let trailer_at = file_bytes.saturating_sub(TRAILER_BYTES);
    read(trailer_at, TRAILER_BYTES, bytes)?;
    let bad_trailer = |why| corrupt(sequence, trailer_at, None, why);
    let (seal_offset, _) = seal::trailer(bytes, header.salt()).map_err(bad_trailer)?;
    let seal_at = to_usize(seal_offset).min(file_bytes);
    read(seal_at, file_bytes - seal_at, bytes)?;
    let bad_footer = |why| corrupt(sequence, seal_at, None, why);
    let mut sealed = Sealed::decode_tail(bytes, seal_offset, header.salt()).map_err(bad_footer)?;
    if sealed.end != bytes.len() {
        return Err(corrupt(sequence, trailer_at, None, Why::Trailer));
    }
    sealed.end = file_bytes;
    Ok((header, sealed))
}

pub(crate) fn read_whole<F: File>(file: &F, out: &mut Vec<u8>) -> io::Result<()> {
    let file_bytes = to_usize(file.len()?);
    out.resize(file_bytes, 0);
    let filled = read_full(file, 0, out)?;
    out.truncate(filled);
    Ok(())
}
