//! Walks the frames of a segment, and says what they add up to and where they stop.

use crate::content::Content;
use crate::error::Why;
use crate::format::frame::{Frame, Head, Kind};
use crate::format::header::Header;
use crate::format::seal::Sealed;
use crate::format::to_usize;

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
    pub(crate) offset: usize,
    /// The record of the frame, or the one due there.
    pub(crate) index: u64,
    pub(crate) why: Why,
}

/// Walks the frames behind `header` in `segment`.
///
/// Every checksum is computed. Nothing is allocated but offsets of frames that are there.
pub(crate) fn scan(segment: &[u8], header: &Header) -> Scan {
    let mut walk = walk(segment, header, segment.len());
    let batch_start = walk.batch_start;
    if walk.scan.content.end != batch_start as u64 {
        // Frames of a batch that is not whole were applied: once more, without them.
        walk.scan.content = self::walk(segment, header, batch_start).scan.content;
    }
    walk.scan
}

/// Looks behind a bad frame for a head that says that bytes at `durable` were synced.
///
/// Returns its offset. Zeros are looked through to the end of the file: they may be a hole that the
/// damage made. What a whole head says is payload is not looked into: it may hold anything.
pub(crate) fn promise_behind(
    segment: &[u8],
    from: usize,
    salt: u32,
    durable: u64,
) -> Option<usize> {
    let mut at = from;
    while at < segment.len() {
        let head = match Head::decode(segment, at, salt) {
            Ok(head) => head,
            Err(Why::Unknown) => return Some(at),
            Err(_) => {
                at += 8;
                continue;
            }
        };
        if durable < u64::from(head.durable_offset) {
            return Some(at);
        }
        at += head.frame_bytes();
    }
    None
}

struct Walk {
    scan: Scan,
    /// Start of the first batch that is not whole.
    batch_start: usize,
}

/// Walks until `stop`, the start of a batch.
fn walk(segment: &[u8], header: &Header, stop: usize) -> Walk {
    let salt = header.salt();
    let mut content = Content::new(header);
    let mut at = to_usize(content.end);
    let mut batch_start = at;
    let mut sealed = None;
    let mut fault = None;
    while at < stop {
        match step(segment, at, salt, &mut content, at == batch_start) {
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
            Err(_) if at == batch_start && segment[at..].iter().all(|byte| *byte == 0) => break,
            Err(why) => {
                let index =
                    Head::decode(segment, at, salt).map_or(content.next_index, |it| it.index);
                fault = Some(Fault { offset: at, index, why });
                break;
            }
        }
    }
    if fault.is_none() && at != batch_start {
        fault = Some(Fault { offset: at, index: content.next_index, why: Why::Unfinished });
    }
    Walk { scan: Scan { content, sealed, fault }, batch_start }
}

enum Step {
    Frame { next: usize, is_batch_end: bool },
    Seal(Sealed),
}

fn step(
    segment: &[u8],
    at: usize,
    salt: u32,
    content: &mut Content,
    is_batch_start: bool,
) -> Result<Step, Why> {
    let frame = Frame::decode(segment, at, salt)?;
    if frame.head.kind == Kind::Seal {
        let sealed = Sealed::decode(segment, at, salt)?;
        if !is_batch_start || at as u64 != u64::from(frame.head.durable_offset) {
            return Err(Why::Misplaced);
        }
        if content.footer(sealed.footer.sealed_at_ms) != sealed.footer {
            return Err(Why::Footer);
        }
        content.promise = at as u64;
        return Ok(Step::Seal(sealed));
    }
    content.apply(&frame)?;
    Ok(Step::Frame { next: at + frame.head.frame_bytes(), is_batch_end: frame.head.is_batch_end })
}
