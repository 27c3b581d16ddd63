//! Reads the segments, oldest first, and checks that each follows from the one before.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::{Disk, File};

use super::scan::{Fault, Scan, scan};
use super::{doing, tail};
use crate::config::Config;
use crate::content::Content;
use crate::error::{Damage, OpenError, Why};
use crate::format::frame::{HEAD_BYTES, Kind};
use crate::format::header::Header;
use crate::format::seal::{self, Footer, Sealed, TRAILER_BYTES};
use crate::format::{crc, segment_name, u64_at};
use crate::index::{Index, Runs};
use crate::segment::{Active, Segment, Segments};
use crate::source::Source;

/// What the files hold, before anything is changed.
pub(super) struct Found<F> {
    pub(super) segments: Segments<F>,
    pub(super) torn: Option<Damage>,
    /// What is damaged, and does no harm.
    pub(super) damaged: Vec<Damage>,
}

/// A sealed segment.
struct Ended {
    /// Without the state.
    header: Header,
    /// Without the runs.
    sealed: Sealed,
    rows: Vec<Range<u64>>,
    /// Where the records lie, if there is room for that.
    places: Option<Arc<Runs>>,
    /// Why its footer had to be made anew from its frames.
    rebuilt: Option<Damage>,
}

/// Reads the segments of `sequences`.
pub(super) fn survey<D: Disk>(
    disk: &D,
    config: &Config,
    sequences: &[u64],
) -> Result<Found<D::File>, OpenError> {
    let mut ended: Vec<Ended> = Vec::new();
    let (mut forgotten, mut placed_bytes) = (0, 0);
    let (last, others) = sequences.split_last().expect("the caller found one");
    for sequence in others {
        let next = read_sealed(disk, config, *sequence)?;
        check_chain(&next.header, *sequence, ended.last())?;
        placed_bytes += next.placed_bytes();
        ended.push(next);
        while config.footer_cache_bytes < placed_bytes && forgotten + 1 < ended.len() {
            placed_bytes -= ended[forgotten].placed_bytes();
            ended[forgotten].forget_places();
            forgotten += 1;
        }
    }
    let file = disk.open(&segment_name(*last)).map_err(doing("open a segment"))?;
    let header = read_header(&mut Source::look(&file).map_err(doing(READ))?, *last)?;
    check_chain(&header, *last, ended.last())?;
    let mut active = Active::new(header, Arc::new(file));
    let torn = tail::read(config, &mut active).map_err(doing(READ))?.map_err(OpenError::Corrupt)?;
    let mut suffixes: Vec<u64> = ended.iter().map(|it| it.sealed.footer.lowest_suffix).collect();
    suffixes.push(active.content.lowest_suffix);
    let mut segments = Segments::new(active, config.footer_cache_bytes);
    let damaged = ended.iter().filter_map(|it| it.rebuilt).collect();
    ended.into_iter().for_each(|it| it.add_to(&mut segments));
    apply_suffixes(&mut segments, &suffixes);
    Ok(Found { segments, torn, damaged })
}

impl Ended {
    fn new(mut header: Header, mut sealed: Sealed, rebuilt: Option<Damage>) -> Self {
        header.state = Bytes::new();
        let runs = Runs::from_footer(std::mem::take(&mut sealed.footer.runs));
        Self { header, sealed, rows: runs.rows(), places: Some(Arc::new(runs)), rebuilt }
    }

    fn placed_bytes(&self) -> usize {
        self.places.as_ref().map_or(0, |it| it.memory_bytes())
    }

    /// Forgets where the records lie, if the footer says so.
    fn forget_places(&mut self) {
        self.places.take_if(|_| self.rebuilt.is_none());
    }

    fn add_to<F>(self, segments: &mut Segments<F>) {
        let Self { header, sealed: Sealed { footer, end, .. }, rows, places, rebuilt } = self;
        let sequence = header.sequence;
        segments.sealed.push(Segment {
            sequence,
            salt: header.salt(),
            start_index: header.next_index,
            end_index: footer.next_index,
            rows,
            places: places.clone().filter(|_| rebuilt.is_some()),
            is_pinned: rebuilt.is_some(),
            file_bytes: end,
            sealed_at_ms: footer.sealed_at_ms,
            sealed_by_ms: None,
            file: None,
        });
        if let Some(places) = places {
            segments.keep_places(sequence, &places);
        }
    }
}

/// Applies to each sealed segment what later ones truncate.
pub(super) fn apply_suffixes<F>(segments: &mut Segments<F>, suffixes: &[u64]) {
    let mut from = u64::MAX;
    for (segment, later) in segments.sealed.iter_mut().zip(&suffixes[1..]).rev() {
        from = from.min(*later);
        segment.cut(from);
    }
}

/// Checks that `header` follows from the segment before.
fn check_chain(header: &Header, sequence: u64, before: Option<&Ended>) -> Result<(), OpenError> {
    let follows = before.is_none_or(|Ended { header: previous, sealed, .. }| {
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

fn read_header<F: File>(source: &mut Source<'_, F>, sequence: u64) -> Result<Header, OpenError> {
    match Header::read(source).map_err(doing(READ))? {
        Ok(Ok(header)) => Ok(header),
        Ok(Err(version)) => Err(OpenError::Unsupported { version }),
        Err(why) => Err(corrupt(sequence, 0, None, why)),
    }
}

fn corrupt(segment: u64, offset: u64, index: Option<u64>, why: Why) -> OpenError {
    OpenError::Corrupt(Damage { segment, offset, index: index.map(Index), why })
}

/// Reads the header and the footer of a sealed segment: three reads, however long it is. All of it
/// if that is asked for, or if the footer is damaged.
fn read_sealed<D: Disk>(disk: &D, config: &Config, sequence: u64) -> Result<Ended, OpenError> {
    let file = disk.open(&segment_name(sequence)).map_err(doing("open a segment"))?;
    let mut source = Source::look(&file).map_err(doing(READ))?;
    let header = read_header(&mut source, sequence)?;
    if !config.verify_sealed {
        let sealed = Sealed::read(&mut source, header.salt()).map_err(doing(READ))?;
        if let Ok(sealed) = sealed {
            return Ok(Ended::new(header, sealed, None));
        }
    }
    let mut source = Source::scan(&file).map_err(doing(READ))?;
    let Scan { content, sealed, fault } = scan(&mut source, &header, false).map_err(doing(READ))?;
    match (sealed, fault) {
        (Some(sealed), _) if sealed.end == source.len() => Ok(Ended::new(header, sealed, None)),
        (Some(sealed), _) => Err(corrupt(sequence, sealed.end, None, Why::Trailer)),
        (None, None) => Err(corrupt(sequence, content.end, Some(content.next_index), Why::Short)),
        (None, Some(fault)) => {
            let sealed = rebuild(&mut source, &header, &content, fault).map_err(doing(READ))?;
            let Fault { offset, index, why } = fault;
            let sealed = sealed.ok_or_else(|| corrupt(sequence, offset, Some(index), why))?;
            let damage = Damage { segment: sequence, offset, index: None, why };
            Ok(Ended::new(header, sealed, Some(damage)))
        }
    }
}

/// Makes the footer anew, if what is damaged is the Seal or the trailer alone: one of the two says
/// that the frames end at `fault`, and what the checksum of the footer is.
fn rebuild<F: File>(
    source: &mut Source<'_, F>,
    header: &Header,
    content: &Content,
    fault: Fault,
) -> std::io::Result<Option<Sealed>> {
    let (at, salt, file_bytes) = (fault.offset, header.salt(), source.len());
    if content.end != at {
        return Ok(None);
    }
    let seal = source.head(at, salt)?.ok();
    let seal = seal.filter(|it| it.kind == Kind::Seal && u64::from(it.durable_offset) == at);
    let trailer_at = file_bytes.saturating_sub(TRAILER_BYTES as u64);
    let trailer = seal::trailer(source.bytes(trailer_at, TRAILER_BYTES)?, salt).ok();
    let trailer = trailer.filter(|(seal_at, _)| *seal_at == at);
    let end = seal.map(|it| at + (it.frame_bytes() + TRAILER_BYTES) as u64);
    if end.is_some_and(|end| end < file_bytes) {
        return Ok(None);
    }
    let payload_crc =
        seal.map(|it| it.payload_crc).or_else(|| trailer.map(|(_, payload_crc)| payload_crc));
    let Some(payload_crc) = payload_crc else { return Ok(None) };
    let stamp = source.bytes(at + (HEAD_BYTES + Footer::STAMP_AT) as u64, 8)?;
    let stamp = if stamp.len() == 8 { u64_at(stamp, 0) } else { 0 };
    let footer = content.footer(stamp);
    let is_exact = crc(salt, &footer.encode()) == payload_crc;
    // Without its time, the segment counts as sealed when the log hears of the time next.
    let footer = if is_exact { footer } else { content.footer(0) };
    Ok(Some(Sealed { footer, payload_crc, end: file_bytes }))
}

/// What is being done when reading fails.
const READ: &str = "read a segment";
