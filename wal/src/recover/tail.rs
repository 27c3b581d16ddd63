//! The last segment: whether its end is torn or damaged, and how it is made whole.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::{Disk, File};

use super::scan::{promise_behind, scan};
use super::{Cut, Found};
use crate::error::{Damage, Why};
use crate::format::frame::HEAD_BYTES;
use crate::format::to_usize;
use crate::index::Index;
use crate::segment::{self, Active, Segments};
use crate::traps::{Trap, planted};

/// Takes the content of the last segment's `bytes` into `active`. Returns where it is torn, if so.
///
/// # Errors
///
/// Something that was durable is damaged.
pub(super) fn read<F>(bytes: &[u8], active: &mut Active<F>) -> Result<Option<Damage>, Damage> {
    let found = scan(bytes, &active.header);
    active.content = found.content;
    active.file_bytes = bytes.len() as u64;
    if let Some(sealed) = found.sealed {
        active.sealed = Some(sealed.payload_crc);
        active.sealed_at_ms = sealed.footer.sealed_at_ms;
        active.content.end = sealed.end as u64;
        return Ok(None);
    }
    let Some(fault) = found.fault else { return Ok(None) };
    let damage = Damage {
        segment: active.header.sequence,
        offset: fault.offset as u64,
        index: Some(Index(fault.index)),
        why: fault.why,
    };
    // A crash leaves half frames and lost ones, but none that is whole and of another place.
    let is_whole = matches!(fault.why, Why::Unknown | Why::Misplaced | Why::Promise);
    let promise = promise_behind(bytes, fault.offset, active.salt, active.content.end);
    if (is_whole || promise.is_some()) && !planted(Trap::PromiseIgnored) {
        return Err(damage);
    }
    Ok(Some(damage))
}

/// Makes the last segment whole and durable: after this, it may be served.
///
/// A failed sync of an earlier process may have left bytes in memory, marked as written, and absent
/// on disk; so what no promise covers is written again. Not in place: it may be acknowledged, and
/// a write that a crash tears may spoil every byte that it covers. Without room for the copy it is
/// only synced: what another process could not sync is then not made up for, but nothing that is on
/// the disk is put at risk.
pub(super) fn repair<D: Disk>(
    disk: &D,
    found: Found<D::File>,
) -> io::Result<(Segments<D::File>, Option<Cut>)> {
    let Found { mut segments, last, torn } = found;
    let active = &mut segments.active;
    let end = to_usize(active.content.end);
    let used = last.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1).max(end);
    let cut = torn.map(|damage| Cut {
        damage,
        offset: end as u64,
        bytes: (used - end) as u64,
        kept: keep(disk, damage.segment, end, &last[end..used]).ok(),
    });
    if planted(Trap::ServedBeforeSync) {
        return Ok((segments, cut));
    }
    let kept_end = if planted(Trap::TailNotZeroed) { used } else { end };
    // Zeros in place, and their sync failed: the next open would see them, and the medium not.
    let holds_records = holds_records(active);
    let mut rewritten = to_usize(active.content.promise)..end;
    if holds_records || cut.is_some() {
        match copy(disk, active, &last[..kept_end]) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                if holds_records {
                    rewritten = end..end;
                }
            }
            result => {
                result?;
                active.content.promise = end as u64;
                return Ok((segments, cut));
            }
        }
    }
    in_place(active, &last, rewritten, kept_end..used)?;
    disk.sync_dir()?;
    active.content.promise = end as u64;
    Ok((segments, cut))
}

/// Returns whether something that may be acknowledged is not covered by a promise. A Mark or a Seal
/// alone is not: without it, the records before are all there.
fn holds_records<F>(active: &Active<F>) -> bool {
    let content = &active.content;
    let mark_bytes = if content.is_marked { HEAD_BYTES as u64 } else { 0 };
    active.sealed.is_none() && content.promise + mark_bytes < content.end
}

/// Replaces the segment by a copy of what is valid, as a segment is made.
fn copy<D: Disk>(disk: &D, active: &mut Active<D::File>, valid: &[u8]) -> io::Result<()> {
    let file = segment::create_from(disk, active.header.sequence, valid)?;
    active.file = Arc::new(file);
    active.file_bytes = valid.len() as u64;
    Ok(())
}

/// Writes what is `rewritten` again, zeros what is `cut` off, and syncs.
fn in_place<F: File>(
    active: &mut Active<F>,
    last: &[u8],
    rewritten: Range<usize>,
    cut: Range<usize>,
) -> io::Result<()> {
    let end = to_usize(active.content.end);
    if !cut.is_empty() {
        active.file.write_all_at(cut.start as u64, &vec![0; cut.len()])?;
    }
    if active.sealed.is_some() && end < last.len() {
        active.file.set_len(end as u64)?;
        active.file_bytes = end as u64;
    }
    if !rewritten.is_empty() {
        active.file.write_all_at(rewritten.start as u64, &last[rewritten])?;
    }
    active.file.sync_data()
}

/// Copies what is cut off into a file of its own.
fn keep<D: Disk>(disk: &D, sequence: u64, offset: usize, bytes: &[u8]) -> io::Result<String> {
    let name = format!("{sequence:020}-{offset}.cut");
    match disk.remove(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&name)?;
    if let Err(error) = file.write_all_at(0, bytes).and_then(|()| file.sync_data()) {
        // Half of it helps nobody, and the copy needs the room.
        _ = disk.remove(&name);
        return Err(error);
    }
    Ok(name)
}
