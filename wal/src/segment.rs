//! A segment as an open log holds it, and how one comes into being.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::{Disk, File};

use crate::content::Content;
use crate::error::{Damage, Lost};
use crate::format::frame::{Frame, HEAD_BYTES};
use crate::format::header::Header;
use crate::format::segment_name;
use crate::index::{Index, Place, Runs, cut_rows};
use crate::traps::{Trap, planted};

/// A segment that another follows. It never changes.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) sequence: u64,
    pub(crate) salt: u32,
    /// `next_index` as the segment began.
    pub(crate) start_index: u64,
    /// No record of this or an earlier segment is at or above.
    pub(crate) end_index: u64,
    /// The live records.
    pub(crate) rows: Vec<Range<u64>>,
    /// Where they lie, and others that later segments cut off. `None`: as the footer says.
    pub(crate) places: Option<Arc<Runs>>,
    /// The footer does not say it: `places` stay.
    pub(crate) is_pinned: bool,
    /// Length of the file.
    pub(crate) file_bytes: u64,
    /// The last wall time that was known when it was sealed. 0: none.
    pub(crate) sealed_at_ms: u64,
    /// When it was sealed at the latest. `None`: before the next time that is heard of.
    pub(crate) sealed_by_ms: Option<u64>,
    /// Opened by the first read.
    pub(crate) file: Option<Arc<F>>,
}

/// The last segment.
#[derive(Debug)]
pub(crate) struct Active<F> {
    pub(crate) header: Header,
    pub(crate) salt: u32,
    pub(crate) file: Arc<F>,
    /// Length of the file. What lies behind the content is zeros.
    pub(crate) file_bytes: u64,
    /// What is durable.
    pub(crate) content: Content,
    /// The `payload_crc` of the Seal, if that is written, and the next segment is not yet there.
    pub(crate) sealed: Option<u32>,
    /// What the Seal says of the time, if it is written.
    pub(crate) sealed_at_ms: u64,
}

/// All segments of a log, and where the durable records are.
#[derive(Debug)]
pub(crate) struct Segments<F> {
    /// Oldest first; sequences have no gap, and go on with `active`.
    pub(crate) sealed: Vec<Segment<F>>,
    pub(crate) active: Active<F>,
    /// Records that a salvage did not find.
    pub(crate) holes: Vec<Lost>,
    /// Sealed segments whose files are open, longest first. Some may be gone.
    opened: VecDeque<u64>,
    /// Sealed segments whose places are in memory, longest first.
    placed: VecDeque<u64>,
    placed_bytes: usize,
    placed_bytes_max: usize,
}

/// Where a record is to be looked for.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) sequence: u64,
    pub(crate) salt: u32,
    /// `None`: as the footer says.
    pub(crate) place: Option<Place>,
    /// What lies behind this record may be dead.
    pub(crate) row_end: u64,
    /// `None`: to be opened.
    pub(crate) file: Option<Arc<F>>,
}

impl<F> Segment<F> {
    /// Forgets the records from `from` on.
    pub(crate) fn cut(&mut self, from: u64) {
        cut_rows(&mut self.rows, from);
        self.end_index = self.end_index.min(from);
    }
}

impl<F> Active<F> {
    pub(crate) fn new(header: Header, file: Arc<F>) -> Self {
        let (salt, file_bytes) = (header.salt(), header.end());
        let content = Content::new(&header);
        Self { header, salt, file, file_bytes, content, sealed: None, sealed_at_ms: 0 }
    }

    fn into_sealed(self) -> Segment<F> {
        Segment {
            sequence: self.header.sequence,
            salt: self.salt,
            start_index: self.header.next_index,
            end_index: self.content.next_index,
            rows: Vec::new(),
            places: None,
            is_pinned: false,
            file_bytes: self.file_bytes,
            sealed_at_ms: self.sealed_at_ms,
            sealed_by_ms: None,
            file: Some(self.file),
        }
    }

    /// Returns the header of the segment to follow, once this one is sealed with `previous_crc`.
    pub(crate) fn next_header(&self, previous_crc: u32) -> Header {
        Header {
            log_id: self.header.log_id,
            sequence: self.header.sequence + 1,
            next_index: self.content.next_index,
            first_index: self.content.first_index,
            previous_crc,
            state: self.content.state.clone(),
        }
    }
}

impl<F> Segments<F> {
    pub(crate) const fn new(active: Active<F>, placed_bytes_max: usize) -> Self {
        Self {
            sealed: Vec::new(),
            active,
            holes: Vec::new(),
            opened: VecDeque::new(),
            placed: VecDeque::new(),
            placed_bytes: 0,
            placed_bytes_max,
        }
    }

    /// Goes on with `next` behind the active segment, which is sealed.
    pub(crate) fn roll(&mut self, next: Active<F>) {
        let mut active = std::mem::replace(&mut self.active, next);
        let runs = std::mem::take(&mut active.content.runs);
        let mut sealed = active.into_sealed();
        sealed.rows = runs.rows();
        let sequence = sealed.sequence;
        self.sealed.push(sealed);
        self.close_others(sequence);
        self.keep_places(sequence, &Arc::new(runs));
    }

    /// Applies frames that are durable at the end of the active segment.
    ///
    /// # Panics
    ///
    /// If they do not belong there: this crate made them.
    pub(crate) fn apply(&mut self, frames: &[u8]) {
        let content = &mut self.active.content;
        let suffix_before = content.lowest_suffix;
        let mut at = 0;
        while at < frames.len() {
            let frame = Frame::trust(frames, at);
            content.apply(&frame).expect("frames are planned as they are applied");
            at += frame.head.frame_bytes();
        }
        let from = content.lowest_suffix;
        if from < suffix_before {
            self.cut_sealed(from);
        }
    }

    /// Forgets the records from `from` on in the sealed segments.
    pub(crate) fn cut_sealed(&mut self, from: u64) {
        for segment in self.sealed.iter_mut().rev().take_while(|it| from < it.end_index) {
            segment.cut(from);
        }
    }

    /// Returns where to look for `index`. O(log segments).
    pub(crate) fn find(&self, index: u64) -> Option<Found<F>> {
        if let Some(place) = self.active.content.runs.find(index) {
            let (sequence, salt) = (self.active.header.sequence, self.active.salt);
            let file = Some(Arc::clone(&self.active.file));
            return Some(Found {
                sequence,
                salt,
                place: Some(place),
                row_end: place.run_end,
                file,
            });
        }
        let at = self.sealed.partition_point(|it| it.end_index <= index);
        let segment = self.sealed.get(at)?;
        let row = segment.rows.partition_point(|row| row.end <= index);
        let row = segment.rows.get(row).filter(|row| row.start <= index)?;
        let place = segment.places.as_ref().and_then(|places| places.find(index));
        let (sequence, salt, file) = (segment.sequence, segment.salt, segment.file.clone());
        Some(Found { sequence, salt, place, row_end: row.end, file })
    }

    /// Returns why there is no record `index`, though there should be.
    pub(crate) fn hole(&self, index: u64) -> Option<Damage> {
        let hole = self.holes.iter().find(|it| it.indexes.contains(&Index(index)))?;
        Some(Damage { index: Some(Index(index)), ..hole.damage })
    }

    /// Returns whether the record `index` is to be found where `damage` is, or nowhere.
    pub(crate) fn is_at(&self, index: u64, damage: &Damage) -> bool {
        self.find(index).is_none_or(|it| it.sequence == damage.segment)
    }

    /// Keeps the file of a sealed segment open.
    pub(crate) fn keep_open(&mut self, sequence: u64, file: &Arc<F>) {
        if let Some(segment) = self.sealed_mut(sequence)
            && segment.file.is_none()
        {
            segment.file = Some(Arc::clone(file));
            self.close_others(sequence);
        }
    }

    /// Takes note that `sequence` is open, and closes the one that is open longest.
    fn close_others(&mut self, sequence: u64) {
        self.opened.push_back(sequence);
        if OPEN_MAX < self.opened.len()
            && let Some(longest) = self.opened.pop_front()
            && let Some(segment) = self.sealed_mut(longest)
        {
            segment.file = None;
        }
    }

    /// Keeps in memory where the records of a sealed segment lie, instead of those of others.
    pub(crate) fn keep_places(&mut self, sequence: u64, places: &Arc<Runs>) {
        let Some(segment) = self.sealed_mut(sequence).filter(|it| it.places.is_none()) else {
            return;
        };
        segment.places = Some(Arc::clone(places));
        self.placed.push_back(sequence);
        self.placed_bytes += places.memory_bytes();
        while self.placed_bytes_max < self.placed_bytes && 1 < self.placed.len() {
            let longest = self.placed.pop_front().expect("there are two");
            let places = self.sealed_mut(longest).and_then(|it| it.places.take());
            self.placed_bytes -= places.map_or(0, |it| it.memory_bytes());
        }
    }

    fn sealed_mut(&mut self, sequence: u64) -> Option<&mut Segment<F>> {
        let at = self.sealed.binary_search_by_key(&sequence, |it| it.sequence).ok()?;
        self.sealed.get_mut(at)
    }

    /// Takes out the oldest segment, if no record from `first_index` on needs it.
    pub(crate) fn take_dead(&mut self, first_index: u64) -> Option<Segment<F>> {
        let second = self.sealed.get(1).map_or(self.active.header.next_index, |it| it.start_index);
        if self.sealed.is_empty() || first_index < second {
            return None;
        }
        let mut segment = self.sealed.remove(0);
        if !segment.is_pinned {
            self.placed.retain(|it| *it != segment.sequence);
            self.placed_bytes -= segment.places.take().map_or(0, |it| it.memory_bytes());
        }
        Some(segment)
    }

    /// Returns whether each record from `first_index` to `next_index` can be found.
    pub(crate) fn is_complete(&self) -> bool {
        let content = &self.active.content;
        let sealed = self.sealed.iter().flat_map(|it| it.rows.iter().cloned());
        let mut next = content.first_index;
        for row in sealed.chain(content.runs.rows()) {
            if next < row.start && content.first_index < row.end {
                return false;
            }
            next = next.max(row.end);
        }
        next == content.next_index
    }
}

/// How many sealed segments stay open for readers.
const OPEN_MAX: usize = 64;

/// Makes the segment of `header`, durably. Until that is done, it has another name.
pub(crate) fn create<D: Disk>(disk: &D, header: &Header) -> io::Result<D::File> {
    create_from(disk, header.sequence, &header.encode())
}

/// The file of a segment that is gone. It is removed at open, as what has such a name.
#[derive(Debug)]
pub(crate) struct Spare {
    name: String,
    pub(crate) file_bytes: u64,
}

impl Spare {
    /// Makes a spare file of a segment that is no longer needed.
    pub(crate) fn take<D: Disk>(disk: &D, sequence: u64, file_bytes: u64) -> io::Result<Self> {
        let name = format!("{sequence:020}-spare.wal.tmp");
        disk.rename(&segment_name(sequence), &name)?;
        Ok(Self { name, file_bytes })
    }

    /// Removes it. What is left is removed at open.
    pub(crate) fn remove<D: Disk>(&self, disk: &D) {
        _ = disk.remove(&self.name);
    }
}

/// Makes the segment of `header` out of a spare file, durably. No frame of its former life
/// validates: the salt is another.
pub(crate) fn recycle<D: Disk>(
    disk: &D,
    header: &Header,
    spare: &Spare,
    file_bytes: u64,
) -> io::Result<D::File> {
    let file = disk.open(&spare.name)?;
    let mut bytes = header.encode();
    // An empty head is the end.
    bytes.resize(bytes.len() + HEAD_BYTES, 0);
    file.set_len(file_bytes)?;
    file.write_all_at(0, &bytes)?;
    file.sync_data()?;
    publish(disk, &spare.name, header.sequence)?;
    Ok(file)
}

/// Makes the segment `sequence`, or replaces it, durably and at once.
pub(crate) fn create_from<D: Disk>(disk: &D, sequence: u64, bytes: &[u8]) -> io::Result<D::File> {
    create_with(disk, sequence, |file| file.write_all_at(0, bytes))
}

/// As [`create_from`], of what `write` writes.
pub(crate) fn create_with<D: Disk>(
    disk: &D,
    sequence: u64,
    write: impl FnOnce(&D::File) -> io::Result<()>,
) -> io::Result<D::File> {
    let temporary = format!("{}.tmp", segment_name(sequence));
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&temporary)?;
    let sync = || if planted(Trap::NameBeforeHeader) { Ok(()) } else { file.sync_data() };
    if let Err(error) = write(&file).and_then(|()| sync()) {
        // Its room is needed.
        _ = disk.remove(&temporary);
        return Err(error);
    }
    publish(disk, &temporary, sequence)?;
    Ok(file)
}

/// Gives a file, which is durable, the name of a segment.
fn publish<D: Disk>(disk: &D, name: &str, sequence: u64) -> io::Result<()> {
    disk.rename(name, &segment_name(sequence))?;
    if !planted(Trap::RollWithoutSyncDir) {
        // It has its name, or not: this is no state to go on from, and no lack of room.
        disk.sync_dir().map_err(io::Error::other)?;
    }
    Ok(())
}

/// Reads from `offset` until `out` is full or the file ends, and returns how many bytes.
pub(crate) fn read_full<F: File>(file: &F, offset: u64, out: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match file.read_at(offset + filled as u64, &mut out[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
