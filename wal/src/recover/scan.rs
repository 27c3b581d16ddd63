//! Walks the frames of a segment, and says what they add up to and where they stop.

use std::io;

use quorate_core::File;

use crate::content::Content;
use crate::error::Why;
use crate::format::frame::{HEAD_BYTES, Kind};
use crate::format::header::Header;
use crate::format::seal::{Sealed, TRAILER_BYTES};
use crate::source::Source;
use crate::walk::next_head;

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Up to the first batch that is not whole and right.
    pub(crate) content: Content,
    /// The Seal and the trailer, if the walk came to them.
    pub(crate) sealed: Option<Sealed>,
    /// Why it stopped, if not at the Seal, at the end of the file, or at zeros to the end.
    pub(crate) fault: Option<Fault>,
}

/// A frame that is not right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    pub(crate) offset: u64,
    /// The record of the frame, or the one due there.
    pub(crate) index: u64,
    pub(crate) why: Why,
}

/// Walks the frames behind `header`.
///
/// Every checksum is computed. Nothing is kept but offsets of frames that are there.
///
/// The frames may end with zeros up to the end of the file. In a file that `is_recycled` an empty
/// head is enough, if no head of this segment is behind it.
pub(crate) fn scan<F: File>(
    source: &mut Source<'_, F>,
    header: &Header,
    is_recycled: bool,
) -> io::Result<Scan> {
    let end = source.len();
    let mut walk = walk(source, header, end, is_recycled)?;
    let batch_start = walk.batch_start;
    if walk.scan.content.end != batch_start {
        // Frames of a batch that is not whole were applied: once more, without them.
        walk.scan.content = self::walk(source, header, batch_start, is_recycled)?.scan.content;
    }
    Ok(walk.scan)
}

/// Looks behind a bad frame for a head that says that bytes at `durable` were synced.
///
/// Returns its offset. Zeros are looked through to the end of the file: they may be a hole that the
/// damage made. What a whole head says is payload is not looked into: it may hold anything.
pub(crate) fn promise_behind<F: File>(
    source: &mut Source<'_, F>,
    from: u64,
    salt: u32,
    durable: u64,
) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < source.len() {
        let head = match source.head(at, salt)? {
            Ok(head) => head,
            Err(Why::Unknown) => return Ok(Some(at)),
            Err(_) => {
                at += 8;
                continue;
            }
        };
        if durable < u64::from(head.durable_offset) {
            return Ok(Some(at));
        }
        at += head.frame_bytes() as u64;
    }
    Ok(None)
}

struct Walk {
    scan: Scan,
    /// Start of the first batch that is not whole.
    batch_start: u64,
}

/// Walks until `stop`, the start of a batch.
fn walk<F: File>(
    source: &mut Source<'_, F>,
    header: &Header,
    stop: u64,
    is_recycled: bool,
) -> io::Result<Walk> {
    let salt = header.salt();
    let mut content = Content::new(header);
    let mut at = content.end;
    let mut batch_start = at;
    let mut sealed = None;
    let mut fault = None;
    while at < stop {
        match step(source, at, salt, &mut content, at == batch_start)? {
            Ok(Step::Frame { next, is_batch_end }) => {
                at = next;
                if is_batch_end {
                    batch_start = at;
                }
            }
            Ok(Step::Seal(found)) => {
                sealed = Some(found);
                break;
            }
            Err(why) => {
                if at == batch_start && is_end(source, at, salt, is_recycled)? {
                    break;
                }
                let index = source.head(at, salt)?.map_or(content.next_index, |it| it.index);
                fault = Some(Fault { offset: at, index, why });
                break;
            }
        }
    }
    if fault.is_none() && at != batch_start {
        fault = Some(Fault { offset: at, index: content.next_index, why: Why::Unfinished });
    }
    Ok(Walk { scan: Scan { content, sealed, fault }, batch_start })
}

/// Returns whether nothing of this segment stands from `at` on.
fn is_end<F: File>(
    source: &mut Source<'_, F>,
    at: u64,
    salt: u32,
    is_recycled: bool,
) -> io::Result<bool> {
    if !is_recycled {
        return Ok(source.end_of_content(at)? == at);
    }
    let is_empty = source.bytes(at, HEAD_BYTES)?.iter().all(|byte| *byte == 0);
    let end = source.len();
    Ok(is_empty && next_head(source, at + 8, end, salt, 0)? == end)
}

enum Step {
    Frame { next: u64, is_batch_end: bool },
    Seal(Sealed),
}

fn step<F: File>(
    source: &mut Source<'_, F>,
    at: u64,
    salt: u32,
    content: &mut Content,
    is_batch_start: bool,
) -> io::Result<Result<Step, Why>> {
    let head = match source.frame(at, salt)? {
        Ok(frame) if frame.head.kind == Kind::Seal => frame.head,
        Ok(frame) => {
            let next = at + frame.head.frame_bytes() as u64;
            let is_batch_end = frame.head.is_batch_end;
            return Ok(content.apply(&frame).map(|()| Step::Frame { next, is_batch_end }));
        }
        Err(why) => return Ok(Err(why)),
    };
    let tail = source.bytes(at, head.frame_bytes() + TRAILER_BYTES)?;
    let sealed = match Sealed::decode(tail, at, salt) {
        Ok(sealed) => sealed,
        Err(why) => return Ok(Err(why)),
    };
    if !is_batch_start || at != u64::from(head.durable_offset) {
        return Ok(Err(Why::Misplaced));
    }
    if content.footer(sealed.footer.sealed_at_ms) != sealed.footer {
        return Ok(Err(Why::Footer));
    }
    content.promise = at;
    Ok(Ok(Step::Seal(sealed)))
}
