//! The last segment: whether its end is torn or damaged, and how it is made whole.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use quorate_core::{Disk, File};

use super::Cut;
use super::scan::{promise_behind, scan};
use crate::config::{Config, Preallocate};
use crate::error::{Damage, Why};
use crate::format::frame::HEAD_BYTES;
use crate::index::Index;
use crate::segment::{self, Active};
use crate::source::Source;
use crate::traps::{Trap, planted};

/// Takes the content of the last segment into `active`. Returns where it is torn, if so, or what of
/// that was durable is damaged.
pub(super) fn read<F: File>(
    config: &Config,
    active: &mut Active<F>,
) -> io::Result<Result<Option<Damage>, Damage>> {
    let is_recycled = matches!(config.preallocate, Preallocate::Recycle { .. });
    let file = Arc::clone(&active.file);
    let mut source = Source::scan(&*file)?;
    let found = scan(&mut source, &active.header, is_recycled)?;
    active.content = found.content;
    active.file_bytes = source.len();
    if let Some(sealed) = found.sealed {
        active.sealed = Some(sealed.payload_crc);
        active.sealed_at_ms = sealed.footer.sealed_at_ms;
        active.content.end = sealed.end;
        return Ok(Ok(None));
    }
    let Some(fault) = found.fault else { return Ok(Ok(None)) };
    let damage = Damage {
        segment: active.header.sequence,
        offset: fault.offset,
        index: Some(Index(fault.index)),
        why: fault.why,
    };
    // A crash leaves half frames and lost ones, but none that is whole and of another place.
    let is_whole = matches!(fault.why, Why::Unknown | Why::Misplaced | Why::Promise);
    let end = active.content.end;
    let promise = promise_behind(&mut source, fault.offset, active.salt, end)?;
    if (is_whole || promise.is_some()) && !planted(Trap::PromiseIgnored) {
        return Ok(Err(damage));
    }
    Ok(Ok(Some(damage)))
}

/// Makes the last segment whole and durable: after this, it may be served. Says in `cut` what it
/// cuts off, also if that fails.
///
/// A failed sync of an earlier process may have left bytes in memory, marked as written, and absent
/// on disk; so what no promise covers is written again. Not in place: it may be acknowledged, and
/// a write that a crash tears may spoil every byte that it covers. Without room for the copy it is
/// only synced: what another process could not sync is then not made up for, but nothing that is on
/// the disk is put at risk.
pub(super) fn repair<D: Disk>(
    disk: &D,
    active: &mut Active<D::File>,
    torn: Option<Damage>,
    cut: &mut Option<Cut>,
) -> io::Result<()> {
    let file = Arc::clone(&active.file);
    let mut source = Source::scan(&*file)?;
    let end = active.content.end;
    // Zeros, or what a file had in a former life, are no part of the tail.
    let used = if torn.is_some() { source.end_of_content(end)? } else { end };
    *cut = torn.map(|damage| Cut {
        damage,
        offset: end,
        bytes: used - end,
        kept: keep(disk, damage.segment, &mut source, end..used).ok(),
    });
    if planted(Trap::ServedBeforeSync) {
        return Ok(());
    }
    let kept_end = if planted(Trap::TailNotZeroed) { used } else { end };
    // Zeros in place, and their sync failed: the next open would see them, and the medium not.
    let holds_records = holds_records(active);
    let mut rewritten = active.content.promise..end;
    if holds_records || cut.is_some() {
        match copy(disk, active, &mut source, kept_end) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                if holds_records {
                    rewritten = end..end;
                }
            }
            result => {
                result?;
                active.content.promise = end;
                return Ok(());
            }
        }
    }
    in_place(active, &mut source, rewritten, kept_end..used)?;
    disk.sync_dir()?;
    active.content.promise = end;
    Ok(())
}

/// Returns whether something that may be acknowledged is not covered by a promise. A Mark or a Seal
/// alone is not: without it, the records before are all there.
fn holds_records<F>(active: &Active<F>) -> bool {
    let content = &active.content;
    let mark_bytes = if content.is_marked { HEAD_BYTES as u64 } else { 0 };
    active.sealed.is_none() && content.promise + mark_bytes < content.end
}

/// Replaces the segment by a copy of what is valid, as a segment is made.
fn copy<D: Disk>(
    disk: &D,
    active: &mut Active<D::File>,
    source: &mut Source<'_, D::File>,
    end: u64,
) -> io::Result<()> {
    let write = |to: &D::File| source.copy(0, end, |at, bytes| to.write_all_at(at, bytes));
    let file = segment::create_with(disk, active.header.sequence, write)?;
    active.file = Arc::new(file);
    active.file_bytes = end;
    Ok(())
}

/// Writes what is `rewritten` again, zeros what is `cut` off, and syncs.
fn in_place<F: File>(
    active: &mut Active<F>,
    source: &mut Source<'_, F>,
    rewritten: Range<u64>,
    cut: Range<u64>,
) -> io::Result<()> {
    let file = &*active.file;
    let zeros = |at, bytes: &[u8]| file.write_all_at(at, &vec![0; bytes.len()]);
    source.copy(cut.start, cut.end, zeros)?;
    let end = active.content.end;
    if active.sealed.is_some() && end < active.file_bytes {
        file.set_len(end)?;
        active.file_bytes = end;
    }
    source.copy(rewritten.start, rewritten.end, |at, bytes| file.write_all_at(at, bytes))?;
    file.sync_data()
}

/// Copies what is cut off into a file of its own.
fn keep<D: Disk>(
    disk: &D,
    sequence: u64,
    source: &mut Source<'_, D::File>,
    cut: Range<u64>,
) -> io::Result<String> {
    let name = format!("{sequence:020}-{}.cut", cut.start);
    match disk.remove(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&name)?;
    let write = |at: u64, bytes: &[u8]| file.write_all_at(at - cut.start, bytes);
    if let Err(error) = source.copy(cut.start, cut.end, write).and_then(|()| file.sync_data()) {
        // Half of it helps nobody, and the copy needs the room.
        _ = disk.remove(&name);
        return Err(error);
    }
    Ok(name)
}
