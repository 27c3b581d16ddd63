//! Doors to private decoders, for `fuzz/` alone.

use crate::format::frame::Frame;
use crate::format::header::Header;
use crate::format::seal::{Footer, Sealed};

/// Decodes `bytes` as everything that lies on disk.
pub fn decode(bytes: &[u8], salt: u32) {
    _ = Header::decode(bytes);
    _ = Frame::decode(bytes, 0, salt);
    _ = Sealed::decode_tail(bytes, 0, salt);
    _ = Footer::decode(bytes);
}
