//! What goes over a stream: frames with a length and a checksum.
//!
//! ```text
//! offset  bytes  field    meaning
//!      0      4  length   bytes from offset 8 to the end, at least 16
//!      4      4  crc      CRC-32 (ISO-HDLC) of the 4 length bytes, then of every byte from 8 on
//!      8      1  version  1
//!      9      1  kind     1 hello, 2 message, 3 request, 4 response, 8 ping
//!     10      2  flags    0
//!     12      4  budget   of a request: ms left to answer it, 0 = any time
//!     16      8  id       of a request, and of its response; else 0
//!     24      .  body
//! ```
//!
//! Integers are little-endian. The length is checked before anything is reserved for it. A response
//! begins with a status, u16.
//!
//! Left out so far: chunks, batches, credit, cancel, goaway, trace context.

mod decoder;
mod hello;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use thiserror::Error;

pub use decoder::Decoder;
pub use hello::{Hello, HelloError};

/// What goes over a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Frame {
    /// The first frame in each direction: a [`Hello`], which is decoded apart because a stranger's
    /// may be anything.
    Hello(Bytes),
    /// One way, and no answer.
    Message(Bytes),
    /// Asks for a response.
    Request {
        /// Chosen by who asks; the response has the same.
        id: u64,
        /// Milliseconds left to answer when it was sent. 0 is any time.
        budget_ms: u32,
        /// The question.
        body: Bytes,
    },
    /// Answers a request.
    Response {
        /// Which.
        id: u64,
        /// How it went, in words of the application.
        status: u16,
        /// The answer.
        body: Bytes,
    },
    /// "I am there."
    Ping {
        /// Any number.
        id: u64,
    },
}

/// Why bytes are no frame. The stream is lost with it: close the connection, and count it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is beyond the limit of the receiver, or below that of a frame without a body.
    #[error("frame of {found} bytes is not within {min}..={max}")]
    Length {
        /// What the frame says.
        found: u32,
        /// The shortest.
        min: u32,
        /// The longest.
        max: u32,
    },
    /// The bytes are not what was sent.
    #[error("frame checksum is {found:#010x}, its bytes give {computed:#010x}")]
    Checksum {
        /// The stored checksum.
        found: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The sender is newer, or speaks something else.
    #[error("frame {field} is {found}, which is not known here")]
    Unknown {
        /// The field, as the picture of the format calls it.
        field: &'static str,
        /// Its value.
        found: u16,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended after {found} bytes of a frame")]
    Torn {
        /// The bytes that came.
        found: usize,
    },
    /// A response without a status.
    #[error("response has {found} bytes, its status takes 2")]
    NoStatus {
        /// The bytes of the body.
        found: usize,
    },
}

impl Frame {
    /// Appends the frame to `out`. Copies the body.
    ///
    /// # Panics
    ///
    /// If the body is longer than 4 GiB: whoever makes one checks it against the receiver's limit.
    pub fn encode(&self, out: &mut BytesMut) {
        let (kind, budget, id, status, body) = self.parts();
        let start = out.len();
        let status_bytes = status.map_or(0, |_| STATUS_BYTES);
        let length = FRAME_BYTES_MIN as usize + status_bytes + body.len();
        out.reserve(LENGTH_AND_CRC_BYTES + length);
        out.put_u32_le(u32::try_from(length).expect("a frame is below 4 GiB"));
        out.put_u32_le(0);
        out.put_u8(VERSION);
        out.put_u8(kind);
        out.put_u16_le(0);
        out.put_u32_le(budget);
        out.put_u64_le(id);
        if let Some(status) = status {
            out.put_u16_le(status);
        }
        out.put_slice(body);
        let crc = checksum(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    fn parts(&self) -> (u8, u32, u64, Option<u16>, &[u8]) {
        match self {
            Self::Hello(body) => (KIND_HELLO, 0, 0, None, body),
            Self::Message(body) => (KIND_MESSAGE, 0, 0, None, body),
            Self::Request { id, budget_ms, body } => (KIND_REQUEST, *budget_ms, *id, None, body),
            Self::Response { id, status, body } => (KIND_RESPONSE, 0, *id, Some(*status), body),
            Self::Ping { id } => (KIND_PING, 0, *id, None, &[]),
        }
    }

    /// Makes a frame of all its bytes, whose length and checksum are right.
    fn from_checked(mut bytes: Bytes) -> Result<Self, FrameError> {
        let unknown = |field, found| Err(FrameError::Unknown { field, found });
        bytes.advance(LENGTH_AND_CRC_BYTES);
        let (version, kind) = (bytes.get_u8(), bytes.get_u8());
        let (flags, budget_ms, id) = (bytes.get_u16_le(), bytes.get_u32_le(), bytes.get_u64_le());
        if version != VERSION {
            return unknown("version", version.into());
        }
        if flags != 0 {
            return unknown("flags", flags);
        }
        match kind {
            KIND_HELLO => Ok(Self::Hello(bytes)),
            KIND_MESSAGE => Ok(Self::Message(bytes)),
            KIND_REQUEST => Ok(Self::Request { id, budget_ms, body: bytes }),
            KIND_RESPONSE if bytes.len() < STATUS_BYTES => {
                Err(FrameError::NoStatus { found: bytes.len() })
            }
            KIND_RESPONSE => Ok(Self::Response { id, status: bytes.get_u16_le(), body: bytes }),
            KIND_PING => Ok(Self::Ping { id }),
            found => unknown("kind", found.into()),
        }
    }
}

/// Of a whole frame, which begins with its length.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[LENGTH_AND_CRC_BYTES..]);
    hasher.finalize()
}

const VERSION: u8 = 1;
const KIND_HELLO: u8 = 1;
const KIND_MESSAGE: u8 = 2;
const KIND_REQUEST: u8 = 3;
const KIND_RESPONSE: u8 = 4;
const KIND_PING: u8 = 8;

const LENGTH_AND_CRC_BYTES: usize = 8;
const STATUS_BYTES: usize = 2;
/// What the length of a frame without a body says.
const FRAME_BYTES_MIN: u32 = 16;
