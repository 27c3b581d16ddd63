//! Stretches of a stream, cut anywhere, to frames.

use bytes::BytesMut;

use super::{FRAME_BYTES_MIN, Frame, FrameError, LENGTH_AND_CRC_BYTES, checksum};

/// Takes bytes as they come, and gives frames.
///
/// It holds at most one frame of the limit, and what was read beyond it.
///
/// # Examples
///
/// ```
/// use bytes::BytesMut;
/// use quorate_transport::{Decoder, Frame};
///
/// let mut bytes = BytesMut::new();
/// Frame::Message("hello".into()).encode(&mut bytes);
///
/// let mut decoder = Decoder::new(1024);
/// decoder.buffer().extend_from_slice(&bytes[..9]); // a socket gives what it has
/// assert_eq!(decoder.next_frame()?, None);
/// decoder.buffer().extend_from_slice(&bytes[9..]);
/// assert_eq!(decoder.next_frame()?, Some(Frame::Message("hello".into())));
/// decoder.finish()?;
/// # Ok::<(), quorate_transport::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max_frame_bytes: u32,
}

impl Decoder {
    /// Makes a decoder that refuses frames above `max_frame_bytes`, counted as their length field
    /// does: 16 and the body.
    #[must_use]
    pub fn new(max_frame_bytes: u32) -> Self {
        Self { buffer: BytesMut::new(), max_frame_bytes }
    }

    /// Refuses frames above `max_frame_bytes` from now on.
    pub const fn set_max_frame_bytes(&mut self, max_frame_bytes: u32) {
        self.max_frame_bytes = max_frame_bytes;
    }

    /// Returns where to append what was read.
    pub const fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Takes the next frame, or `None` if it is not all there. Its body shares the buffer.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: where the next frame begins is unknown. Close the connection.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<LENGTH_AND_CRC_BYTES>() else {
            return Ok(None);
        };
        let [a, b, c, d, crc @ ..] = *head;
        let (length, found) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(crc));
        if length < FRAME_BYTES_MIN || self.max_frame_bytes < length {
            let (min, max) = (FRAME_BYTES_MIN, self.max_frame_bytes);
            return Err(FrameError::Length { found: length, min, max });
        }
        let needed = LENGTH_AND_CRC_BYTES + length as usize;
        if self.buffer.len() < needed {
            self.buffer.reserve(needed - self.buffer.len());
            return Ok(None);
        }
        let computed = checksum(&self.buffer[..needed]);
        if computed != found {
            return Err(FrameError::Checksum { found, computed });
        }
        Frame::from_checked(self.buffer.split_to(needed).freeze()).map(Some)
    }

    /// Takes in that the stream ended.
    ///
    /// # Errors
    ///
    /// [`FrameError::Torn`] if it ended inside a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.buffer.len() {
            0 => Ok(()),
            found => Err(FrameError::Torn { found }),
        }
    }
}
