//! The content of one file: what readers see, what is on the medium, and what lies between.
//!
//! ```text
//! write, set_len --> content   what reads return, with what lost writes let them see
//!                    changes   since the last sync, each with what it replaced
//! sync           --> durable   every sector that a change touched, as it is in `content` now
//! crash          --> durable   some of those sectors, each as it was after some change
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use quorate_core::SplitMix64;

use super::Survival;
use crate::decision::scale;
use crate::traps::{Trap, planted};

/// A file without a name.
///
/// # Invariants
///
/// - Undoing `changes`, last first, turns `content` into what it was at the last sync.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    content: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
    /// What readers see in place of the content, at which offset: writes that were lost.
    seen: Vec<(usize, Vec<u8>)>,
    /// Room reserved by `allocate`, or the length if that is more.
    reserved: u64,
    /// Open handles: an image without a name lives as long as one is open.
    pub(super) handles: u64,
}

#[derive(Clone, Debug)]
struct Change {
    kind: Kind,
    /// The bytes whose sectors must reach the medium.
    touched: Range<usize>,
    /// The length before the change.
    old_len: usize,
    /// What was in `touched` before, as far as it was below `old_len`.
    old_bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Write,
    SetLen,
}

impl Image {
    /// Makes a file that is wholly durable.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        Self { content: bytes.to_vec(), durable: bytes.to_vec(), ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let touched = offset..offset + bytes.len();
        self.unsee(&touched);
        self.remember(Kind::Write, touched.clone());
        if self.content.len() < touched.end {
            self.content.resize(touched.end, 0);
        }
        self.content[touched].copy_from_slice(bytes);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old_len = self.content.len();
        if len == old_len {
            return;
        }
        self.unsee(&(len..usize::MAX));
        self.remember(Kind::SetLen, len.min(old_len)..len.max(old_len));
        self.content.resize(len, 0);
        self.reserved = self.reserved.min(len as u64);
    }

    /// Makes everything durable that changed since the last sync.
    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            copy_sectors(&self.content, &mut self.durable, &change.touched);
        }
        self.durable.resize(self.content.len(), 0);
    }

    /// Forgets that anything changed: readers see the content, the medium never will.
    pub(super) fn mark_clean(&mut self) {
        if !planted(Trap::ForgivesFailedSync) {
            self.changes.clear();
        }
    }

    /// Undoes everything that changed since the last sync.
    pub(super) fn revert(&mut self) {
        while let Some(change) = self.changes.pop() {
            change.undo(&mut self.content);
        }
        self.seen.clear();
    }

    /// Shows readers a write that the medium never gets.
    pub(super) fn write_nowhere(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.content.len() < end {
            // Lengths are the file system's: it does not lose them.
            self.set_len(end);
        }
        self.unsee(&(offset..end));
        self.seen.push((offset, bytes.to_vec()));
    }

    /// Lets readers see the content of `range` again.
    fn unsee(&mut self, range: &Range<usize>) {
        for (offset, bytes) in std::mem::take(&mut self.seen) {
            let before = range.start.clamp(offset, offset + bytes.len()) - offset;
            let after = range.end.clamp(offset, offset + bytes.len()) - offset;
            self.seen.push((offset, bytes[..before].to_vec()));
            self.seen.push((offset + after, bytes[after..].to_vec()));
        }
        self.seen.retain(|(_, bytes)| !bytes.is_empty());
    }

    /// Shows readers a write that the medium gets in another sector.
    pub(super) fn write_elsewhere(&mut self, offset: usize, bytes: &[u8], number: u64) {
        self.write_nowhere(offset, bytes);
        let sectors = self.durable.len() / SECTOR_BYTES;
        if sectors < 2 {
            return;
        }
        let own = offset / SECTOR_BYTES;
        let other = usize::try_from(scale(number, sectors as u64)).expect("below a length");
        let other = if other == own { (own + 1) % sectors } else { other };
        let start = other * SECTOR_BYTES;
        let count = bytes.len().min(SECTOR_BYTES);
        self.durable[start..start + count].copy_from_slice(&bytes[..count]);
    }

    /// Loses what is not durable, but for what chance lets survive.
    pub(super) fn crash(&mut self, survival: Survival, number: u64) {
        match survival {
            Survival::Nothing => self.changes.clear(),
            Survival::Everything => self.sync(),
            Survival::Drawn => self.tear(&mut SplitMix64::new(number)),
        }
        self.content.clone_from(&self.durable);
        self.seen.clear();
        self.reserved = 0;
    }

    pub(super) fn flip(&mut self, offset: usize, bit: u32) {
        for bytes in [&mut self.durable, &mut self.content] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1_u8.wrapping_shl(bit);
            }
        }
        for (start, bytes) in &mut self.seen {
            let place = offset.checked_sub(*start);
            if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
                *byte ^= 1_u8.wrapping_shl(bit);
            }
        }
    }

    pub(super) fn reserve(&mut self, len: u64) {
        self.reserved = self.reserved.max(len);
    }

    pub(super) const fn len(&self) -> usize {
        self.content.len()
    }

    /// Returns what readers see.
    pub(super) fn content(&self) -> Cow<'_, [u8]> {
        if self.seen.is_empty() {
            return Cow::Borrowed(&self.content);
        }
        let mut content = self.content.clone();
        for (offset, bytes) in &self.seen {
            content[*offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        Cow::Owned(content)
    }

    pub(super) fn durable_content(&self) -> &[u8] {
        &self.durable
    }

    /// Returns how many bytes of the disk the file takes.
    pub(super) fn room(&self) -> u64 {
        self.reserved.max(self.content.len() as u64)
    }

    fn remember(&mut self, kind: Kind, touched: Range<usize>) {
        let old_len = self.content.len();
        let old = touched.start.min(old_len)..touched.end.min(old_len);
        let old_bytes = self.content[old].to_vec();
        self.changes.push(Change { kind, touched, old_len, old_bytes });
    }

    /// Keeps, drops or tears each change.
    ///
    /// Lengths are journaled: those of the first so many changes hold, with or without the data.
    /// Data is not: of each sector the state after any of its changes may be on the medium, whole
    /// pages first, then sectors of a page. A torn write leaves garbage only where it wrote.
    fn tear(&mut self, random: &mut SplitMix64) {
        let count = self.changes.len();
        let journaled =
            if planted(Trap::NoLengthWithoutData) { 0 } else { below(random, count + 1) };
        let len = match (journaled, self.changes.get(journaled)) {
            (0, _) => self.durable.len(),
            (_, Some(next)) => next.old_len,
            (_, None) => self.content.len(),
        };
        let mut decided = BTreeSet::new();
        for index in (0..count).rev() {
            let change = self.changes.pop().expect("one per index");
            let touched = &change.touched;
            match change.kind {
                Kind::Write => self.tear_write(touched, &mut decided, random),
                Kind::SetLen if index < journaled => {
                    for sector in sectors(touched) {
                        self.settle(sector, Fate::New, touched, &mut decided, random);
                    }
                }
                Kind::SetLen => {}
            }
            change.undo(&mut self.content);
        }
        self.durable.resize(len, 0);
    }

    fn tear_write(
        &mut self,
        touched: &Range<usize>,
        decided: &mut BTreeSet<usize>,
        random: &mut SplitMix64,
    ) {
        let whole = Fate::draw(random);
        let (mut page, mut page_fate) = (usize::MAX, whole);
        for sector in sectors(touched) {
            if whole == Fate::Torn && sector / PAGE_SECTORS != page {
                (page, page_fate) = (sector / PAGE_SECTORS, Fate::draw(random));
            }
            let fate = if page_fate == Fate::Torn { Fate::of_sector(random) } else { page_fate };
            self.settle(sector, fate, touched, decided, random);
        }
    }

    /// Gives `sector` its fate, unless a later change has.
    fn settle(
        &mut self,
        sector: usize,
        fate: Fate,
        touched: &Range<usize>,
        decided: &mut BTreeSet<usize>,
        random: &mut SplitMix64,
    ) {
        if fate == Fate::Old || !decided.insert(sector) {
            return;
        }
        let bytes = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
        if fate == Fate::New {
            return copy_sectors(&self.content, &mut self.durable, &bytes);
        }
        let written = bytes.start.max(touched.start)..bytes.end.min(touched.end);
        if self.durable.len() < written.end {
            self.durable.resize(written.end, 0);
        }
        for byte in &mut self.durable[written] {
            *byte = random.next_u64().to_le_bytes()[0];
        }
    }
}

impl Change {
    fn undo(self, content: &mut Vec<u8>) {
        content.resize(self.old_len, 0);
        let start = self.touched.start;
        if !self.old_bytes.is_empty() {
            content[start..start + self.old_bytes.len()].copy_from_slice(&self.old_bytes);
        }
    }
}

/// What a crash makes of a write, a page or a sector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    New,
    Old,
    /// Of a write or a page: some of this and some of that. Of a sector: garbage.
    Torn,
}

impl Fate {
    /// Draws the fate of a write or a page: half of them are torn.
    fn draw(random: &mut SplitMix64) -> Self {
        match random.below(4) {
            0 => Self::New,
            1 => Self::Old,
            _ => Self::Torn,
        }
    }

    fn of_sector(random: &mut SplitMix64) -> Self {
        match random.below(3) {
            0 => Self::New,
            1 => Self::Old,
            _ => Self::Torn,
        }
    }
}

/// Copies the whole sectors that `touched` lies in, as far as `from` has them.
fn copy_sectors(from: &[u8], to: &mut Vec<u8>, touched: &Range<usize>) {
    let start = touched.start / SECTOR_BYTES * SECTOR_BYTES;
    let end = touched.end.div_ceil(SECTOR_BYTES) * SECTOR_BYTES;
    let copied = start.min(from.len())..end.min(from.len());
    if to.len() < copied.end {
        to.resize(copied.end, 0);
    }
    to[copied.clone()].copy_from_slice(&from[copied.clone()]);
    // What `from` has no more is cut off, and reads as zeros if the file grows again.
    let cut = copied.end.max(start).min(to.len())..end.min(to.len());
    to[cut].fill(0);
}

fn sectors(touched: &Range<usize>) -> Range<usize> {
    touched.start / SECTOR_BYTES..touched.end.div_ceil(SECTOR_BYTES)
}

fn below(random: &mut SplitMix64, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).expect("below a usize")
}

/// What a disk writes whole, if the power lasts.
pub(super) const SECTOR_BYTES: usize = 512;

/// What a file system writes back at once: 4 KiB.
const PAGE_SECTORS: usize = 8;
