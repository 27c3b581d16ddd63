//! Reads what can be read of a damaged log, and names what cannot.
//!
//! ```text
//! payload damaged   its head is whole: the record has its place, and can be restored there
//! head damaged      the walk goes on at the next head that is whole: what is between is lost
//! header damaged    sequence and salt follow from the log id of the others
//! segment missing   its records are lost
//! ```
//!
//! What a damaged truncation did, the index of the frame behind it says. Where more is damaged than
//! payloads of records, the log takes no changes: it could not be sealed so that it can be checked.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use quorate_core::{Disk, File};

use super::survey::apply_suffixes;
use super::{Lost, doing};
use crate::config::Config;
use crate::content::Content;
use crate::error::{Damage, OpenError, Why};
use crate::format::frame::{Frame, HEAD_BYTES, Head, Kind};
use crate::format::header::{HEADER_BYTES, Header};
use crate::format::seal::Sealed;
use crate::format::segment_name;
use crate::index::Index;
use crate::segment::{Active, Segment, Segments};
use crate::source::Source;
use crate::walk::{Step, Walk};

/// What is left of a damaged log.
pub(super) struct Salvaged<F> {
    pub(super) segments: Segments<F>,
    pub(super) torn: Option<Damage>,
    pub(super) damaged: Vec<Damage>,
    pub(super) lost: Vec<Lost>,
    /// The first that is damaged other than the payload of a record.
    pub(super) broken: Option<Damage>,
}

impl<F> Salvaged<F> {
    /// Returns whether nothing is needed that stands before: the log takes changes.
    pub(super) fn is_all(&self) -> bool {
        let Segments { sealed, active, .. } = &self.segments;
        let start = sealed.first().map_or(active.header.next_index, |it| it.start_index);
        self.broken.is_none() && start <= active.content.first_index
    }
}

/// A segment as it was read.
struct Read<F> {
    /// Of the last segment.
    file: Option<F>,
    file_bytes: u64,
    header: Header,
    is_header_right: bool,
    content: Content,
    sealed: Option<Sealed>,
    torn: Option<Damage>,
}

/// Reads the segments of `sequences`, which are in order, of the log `log_id`.
pub(super) fn salvage<D: Disk>(
    disk: &D,
    config: &Config,
    sequences: &[u64],
    log_id: u64,
) -> Result<Salvaged<D::File>, OpenError> {
    let mut notes = Notes::default();
    let mut all: Vec<Read<D::File>> = Vec::new();
    for sequence in sequences {
        let is_last = sequences.last() == Some(sequence);
        let file = disk.open(&segment_name(*sequence)).map_err(doing("open a segment"))?;
        let before = all.last();
        if let Some(gap) = before.map(|it| it.header.sequence + 1).filter(|it| it < sequence) {
            notes.miss(Damage { segment: gap, offset: 0, index: None, why: Why::Missing });
        }
        let read = notes.read(file, *sequence, is_last, log_id, before)?;
        check_chain(before, &read)?;
        all.push(read);
    }
    Ok(notes.finish(config, all))
}

/// Returns the id in the first header that is right.
pub(super) fn log_id<D: Disk>(disk: &D, sequences: &[u64]) -> io::Result<Option<u64>> {
    for sequence in sequences {
        let file = disk.open(&segment_name(*sequence))?;
        if let Ok(Ok(header)) = Header::read(&mut Source::look(&file)?)? {
            return Ok(Some(header.log_id));
        }
    }
    Ok(None)
}

/// Refuses what is whole, and of a fork of this log.
fn check_chain<F>(before: Option<&Read<F>>, next: &Read<F>) -> Result<(), OpenError> {
    let Some(before) = before.filter(|it| it.header.sequence + 1 == next.header.sequence) else {
        return Ok(());
    };
    let is_fork =
        before.sealed.as_ref().is_some_and(|it| it.payload_crc != next.header.previous_crc);
    if is_fork && next.is_header_right {
        return Err(OpenError::ForeignSegment { path: segment_name(next.header.sequence) });
    }
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Notes {
    damaged: Vec<Damage>,
    /// Indexes that are nowhere, and why, in order.
    gaps: Vec<(Range<u64>, Damage)>,
    /// Damage of a head whose records are not known yet.
    pending: Option<Damage>,
    broken: Option<Damage>,
}

impl Notes {
    fn miss(&mut self, damage: Damage) {
        self.broken.get_or_insert(damage);
        self.pending.get_or_insert(damage);
    }

    fn read<F: File>(
        &mut self,
        file: F,
        sequence: u64,
        is_last: bool,
        log_id: u64,
        before: Option<&Read<F>>,
    ) -> Result<Read<F>, OpenError> {
        let failed = doing("read a segment");
        let mut source = Source::scan(&file).map_err(&failed)?;
        let file_bytes = source.len();
        let found = Header::read(&mut source).map_err(&failed)?;
        let is_header_right = found.is_ok();
        let header = match found {
            Ok(Ok(header)) if header.log_id == log_id && header.sequence == sequence => header,
            Ok(Ok(_)) => {
                return Err(OpenError::ForeignSegment { path: segment_name(sequence) });
            }
            Ok(Err(version)) => return Err(OpenError::Unsupported { version }),
            Err(why) => {
                self.note(Damage { segment: sequence, offset: 0, index: None, why });
                guess(sequence, log_id, before)
            }
        };
        let mut content = Content::new(&header);
        if let Some(before) = before {
            // What the segment before lost at its end, or what it did not say that it truncates.
            content.next_index = before.content.next_index;
            self.meet(&mut content, header.next_index);
        }
        let mut walk = Walk::new(&mut source, &header).map_err(&failed)?;
        if !is_header_right {
            walk.seek(&mut source, HEADER_BYTES as u64).map_err(&failed)?;
        }
        let torn = if is_last { tear(&mut source, walk.clone()).map_err(&failed)? } else { None };
        let stop = torn.map_or(u64::MAX, |(stop, _)| stop);
        self.walk(&mut source, walk, &mut content, stop).map_err(&failed)?;
        let mut read = Read {
            file_bytes,
            header,
            is_header_right,
            content,
            sealed: None,
            torn: torn.map(|(_, damage)| damage),
            file: None,
        };
        if torn.is_none() {
            let mut source = Source::look(&file).map_err(&failed)?;
            self.end(&mut source, is_last, &mut read).map_err(&failed)?;
        }
        // Those of the others are opened by who reads them.
        read.file = is_last.then_some(file);
        Ok(read)
    }

    fn note(&mut self, damage: Damage) {
        self.damaged.push(damage);
        self.broken.get_or_insert(damage);
    }

    /// Takes note that `index` is due, whatever was due before.
    fn meet(&mut self, content: &mut Content, index: u64) {
        let pending = self.pending.take();
        if content.next_index < index
            && let Some(damage) = pending.or(self.broken)
        {
            let damage = Damage { index: Some(Index(content.next_index)), ..damage };
            self.gaps.push((content.next_index..index, damage));
            self.damaged.extend(pending.map(|_| damage));
        } else {
            self.damaged.extend(pending.map(|damage| Damage { index: None, ..damage }));
        }
        if index < content.next_index {
            content.runs.cut(index);
            content.lowest_suffix = content.lowest_suffix.min(index);
        }
        content.next_index = index;
    }

    /// Applies what is whole up to `stop`, and takes note of the rest.
    fn walk<F: File>(
        &mut self,
        source: &mut Source<'_, F>,
        mut walk: Walk,
        content: &mut Content,
        stop: u64,
    ) -> io::Result<()> {
        let segment = walk.sequence();
        while let Some(step) = walk.next(source)? {
            match step {
                Step::Frame(offset, frame) if offset < stop && frame.head.kind != Kind::Seal => {
                    self.apply(segment, content, offset, &frame);
                }
                Step::Damaged(damage, Some(head))
                    if damage.offset < stop && head.kind == Kind::Data =>
                {
                    self.damaged.push(damage);
                    let head_bytes = source.bytes(damage.offset, HEAD_BYTES)?;
                    let frame = Frame { head, head_bytes, payload: &[] };
                    self.apply(segment, content, damage.offset, &frame);
                }
                Step::Damaged(damage, Some(head)) if damage.offset < stop => {
                    self.meet(content, head.index);
                    if head.kind != Kind::Seal {
                        self.note(Damage { index: None, ..damage });
                    }
                }
                Step::Damaged(damage, None) if damage.offset < stop => {
                    self.miss(damage);
                    content.runs.end_run();
                }
                step => {
                    // Also a head that is cut off says up to where records were lost before.
                    if let Some(head) = head_of(&step).filter(|_| self.pending.is_some()) {
                        self.meet(content, head.index);
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, segment: u64, content: &mut Content, offset: u64, frame: &Frame<'_>) {
        self.meet(content, frame.head.index);
        content.end = offset;
        if let Err(why) = content.apply(frame) {
            self.note(Damage { segment, offset, index: None, why });
        }
    }

    /// Reads how the segment ends.
    fn end<F: File>(
        &mut self,
        source: &mut Source<'_, F>,
        is_last: bool,
        read: &mut Read<F>,
    ) -> io::Result<()> {
        let (segment, content) = (read.header.sequence, &mut read.content);
        match Sealed::read(source, read.header.salt())? {
            Ok(sealed) => {
                self.meet(content, sealed.footer.next_index);
                content.lowest_suffix = content.lowest_suffix.min(sealed.footer.lowest_suffix);
                content.first_index = content.first_index.max(sealed.footer.first_index);
                read.sealed = Some(sealed);
            }
            Err(_) if is_last => {}
            Err((offset, why)) => {
                self.damaged.push(Damage { segment, offset, index: None, why });
            }
        }
        Ok(())
    }

    fn finish<F>(mut self, config: &Config, mut all: Vec<Read<F>>) -> Salvaged<F> {
        let last = all.pop().expect("the caller has one");
        // Nothing came behind the last damage.
        self.damaged.extend(self.pending.take());
        let file = last.file.expect("that of the last one is kept");
        let mut active = Active::new(last.header, Arc::new(file));
        active.content = last.content;
        active.file_bytes = last.file_bytes;
        if let Some(sealed) = last.sealed {
            active.sealed = Some(sealed.payload_crc);
            active.sealed_at_ms = sealed.footer.sealed_at_ms;
            active.content.end = sealed.end;
        }
        let mut suffixes: Vec<u64> = all.iter().map(|it| it.content.lowest_suffix).collect();
        suffixes.push(active.content.lowest_suffix);
        let mut segments = Segments::new(active, config.footer_cache_bytes);
        segments.sealed = all.into_iter().map(sealed_of).collect();
        apply_suffixes(&mut segments, &suffixes);
        let lost = self.lost(&segments);
        segments.holes.clone_from(&lost);
        self.broken = self.broken.or_else(|| lost.first().map(|it| it.damage));
        let range = segments.active.content.first_index..segments.active.content.next_index;
        let is_live = |damage: &Damage| {
            damage.index.is_none_or(|it| range.contains(&it.0) && segments.is_at(it.0, damage))
        };
        self.damaged.retain(is_live);
        Salvaged { segments, torn: last.torn, damaged: self.damaged, lost, broken: self.broken }
    }

    /// Returns what is nowhere.
    fn lost<F>(&self, segments: &Segments<F>) -> Vec<Lost> {
        let content = &segments.active.content;
        let mut lost = Vec::new();
        let mut next = content.first_index;
        let oldest =
            segments.sealed.first().map_or(segments.active.header.sequence, |it| it.sequence);
        let rows = segments.sealed.iter().flat_map(|it| it.rows.iter().cloned());
        let end = content.next_index..content.next_index;
        for row in rows.chain(content.runs.rows()).chain([end]) {
            if next < row.start {
                let hole = next..row.start;
                let gap =
                    self.gaps.iter().rfind(|(gap, _)| gap.start < hole.end && hole.start < gap.end);
                let damage = gap.map(|(_, damage)| *damage).or(self.broken);
                let damage = damage.unwrap_or(Damage {
                    segment: oldest - 1,
                    offset: 0,
                    index: Some(Index(hole.start)),
                    why: Why::Missing,
                });
                lost.push(Lost { indexes: Index(hole.start)..Index(hole.end), damage });
            }
            next = next.max(row.end);
        }
        lost
    }
}

/// Returns the header that must have stood there, but for the state, of which the last is taken
/// that is known.
fn guess<F>(sequence: u64, log_id: u64, before: Option<&Read<F>>) -> Header {
    let content = before.map(|it| &it.content);
    Header {
        log_id,
        sequence,
        next_index: content.map_or(1, |it| it.next_index),
        first_index: content.map_or(1, |it| it.first_index),
        previous_crc: 0,
        state: content.map_or_else(Bytes::new, |it| it.state.clone()),
    }
}

fn sealed_of<F>(read: Read<F>) -> Segment<F> {
    let Read { file_bytes, header, content, sealed, .. } = read;
    let rows = content.runs.rows();
    Segment {
        sequence: header.sequence,
        salt: header.salt(),
        start_index: header.next_index,
        end_index: content.next_index,
        rows,
        places: Some(Arc::new(content.runs)),
        is_pinned: true,
        file_bytes,
        sealed_at_ms: sealed.map_or(0, |it| it.footer.sealed_at_ms),
        sealed_by_ms: None,
        file: None,
    }
}

/// Returns where the last segment is torn, if it is: at the first batch that is not whole and right
/// of those that nothing certifies.
fn tear<F: File>(source: &mut Source<'_, F>, mut walk: Walk) -> io::Result<Option<(u64, Damage)>> {
    let mut again = walk.clone();
    let mut certified = 0;
    while let Some(step) = walk.next(source)? {
        if let Some(head) = head_of(&step) {
            certified = certified.max(u64::from(head.durable_offset));
        }
    }
    let mut batch_start = again.at();
    while let Some(step) = again.next(source)? {
        match step {
            Step::Damaged(damage, _) if certified <= damage.offset => {
                return Ok(Some((batch_start.max(certified), damage)));
            }
            step => {
                if head_of(&step).is_some_and(|it| it.is_batch_end) {
                    batch_start = again.at();
                }
            }
        }
    }
    let damage = again.damage(Why::Unfinished);
    // A damaged head does not say whether it ended a batch; what is certified did.
    let start = batch_start.max(certified);
    Ok((start < damage.offset).then_some((start, damage)))
}

const fn head_of(step: &Step<'_>) -> Option<Head> {
    match step {
        Step::Frame(_, frame) => Some(frame.head),
        Step::Damaged(_, head) => *head,
    }
}
