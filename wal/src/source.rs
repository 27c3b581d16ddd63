//! A segment that is read through a window, so that memory does not grow with the file.

use std::io;

use quorate_core::File;

use crate::error::Why;
use crate::format::frame::{Frame, HEAD_BYTES, Head};
use crate::format::to_usize;
use crate::segment::read_full;

/// A file, and the part of it that was read last.
///
/// Holds one window, or one frame if that is longer: a length is used only once its checksum was
/// right and the file was found to be that long.
pub(crate) struct Source<'a, F> {
    file: &'a F,
    file_bytes: u64,
    /// How much is read at once, if more is not asked for.
    window_bytes: usize,
    /// Where the window lies in the file.
    start: u64,
    window: Vec<u8>,
}

impl<'a, F: File> Source<'a, F> {
    /// Reads all of a file, or most of it.
    pub(crate) fn scan(file: &'a F) -> io::Result<Self> {
        Self::new(file, WINDOW_BYTES)
    }

    /// Reads a few pieces of a file.
    pub(crate) fn look(file: &'a F) -> io::Result<Self> {
        Self::new(file, LOOK_BYTES)
    }

    fn new(file: &'a F, window_bytes: usize) -> io::Result<Self> {
        let file_bytes = file.len()?;
        Ok(Self { file, file_bytes, window_bytes, start: 0, window: Vec::new() })
    }

    /// Returns the length of the file, as it was at the start.
    pub(crate) const fn len(&self) -> u64 {
        self.file_bytes
    }

    /// Returns the `count` bytes from `offset` on, fewer at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let left = self.file_bytes.saturating_sub(offset);
        let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        if offset < self.start || self.end() < offset + count as u64 {
            let wanted = count.max(self.window_bytes);
            self.window.resize(wanted.min(usize::try_from(left).unwrap_or(usize::MAX)), 0);
            self.start = offset;
            let filled = read_full(self.file, offset, &mut self.window)?;
            self.window.truncate(filled);
        }
        let from = to_usize(offset - self.start).min(self.window.len());
        let to = (from + count).min(self.window.len());
        Ok(&self.window[from..to])
    }

    const fn end(&self) -> u64 {
        self.start + self.window.len() as u64
    }

    /// Reads the head at `offset`.
    pub(crate) fn head(&mut self, offset: u64, salt: u32) -> io::Result<Result<Head, Why>> {
        Ok(Head::decode(self.bytes(offset, HEAD_BYTES)?, 0, salt))
    }

    /// Reads the frame at `offset`, and checks all of it.
    pub(crate) fn frame(&mut self, offset: u64, salt: u32) -> io::Result<Result<Frame<'_>, Why>> {
        let frame_bytes = match self.head(offset, salt)? {
            Ok(head) => head.frame_bytes(),
            Err(why) => return Ok(Err(why)),
        };
        Ok(Frame::decode(self.bytes(offset, frame_bytes)?, 0, salt))
    }

    /// Returns the end of the last byte from `offset` on that is not zero, or `offset`.
    pub(crate) fn end_of_content(&mut self, offset: u64) -> io::Result<u64> {
        let (mut at, mut end) = (offset, offset);
        while at < self.file_bytes {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                end = at + last as u64 + 1;
            }
            at += bytes.len() as u64;
        }
        Ok(end)
    }

    /// Hands over the bytes from `offset` to `end`, a window at a time.
    pub(crate) fn copy(
        &mut self,
        offset: u64,
        end: u64,
        mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = offset;
        while at < end {
            let bytes = self.bytes(at, WINDOW_BYTES.min(to_usize(end - at)))?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(at, bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

const WINDOW_BYTES: usize = 256 << 10;

/// Enough for a header and a small state.
const LOOK_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;
    use quorate_core::Disk as _;

    #[test]
    fn a_window_moves_both_ways_and_ends_with_the_file() {
        let disk = Memory::new();
        let content: Vec<u8> = (0..=250).cycle().take(3 * WINDOW_BYTES + 5).collect();
        disk.set_content("a", [&content[..], &[0; 9]].concat());
        let file = disk.open("a").expect("it was made");
        let mut source = Source::scan(&file).expect("memory does not fail");
        for offset in [0, 7, 2 * WINDOW_BYTES + 3, WINDOW_BYTES, 3 * WINDOW_BYTES] {
            let found = source.bytes(offset as u64, 4).expect("memory does not fail");
            assert_eq!(found, &content[offset..offset + 4], "at {offset}");
        }
        let end = content.len() as u64;
        assert_eq!(source.bytes(end + 7, 8).expect("memory does not fail"), [0, 0]);
        assert!(source.bytes(end + 70, 8).expect("memory does not fail").is_empty());
        assert_eq!(source.end_of_content(3).expect("memory does not fail"), end);
        let mut copied = Vec::new();
        let take = |_, bytes: &[u8]| {
            copied.extend_from_slice(bytes);
            Ok(())
        };
        source.copy(5, end, take).expect("memory does not fail");
        assert_eq!(copied, &content[5..]);
        assert!(source.copy(0, end + 10, |_, _| Ok(())).is_err(), "the file is not that long");
    }
}
