//! Doors to private decoders, for `fuzz/` alone.

use crate::format::frame::Frame;
use crate::format::header::Header;
use crate::format::seal::{Footer, Sealed};
use crate::format::snapshot;

/// Decodes `bytes` as everything that lies on disk.
pub fn decode(bytes: &[u8], salt: u32) {
    _ = Header::decode(bytes);
    _ = Frame::decode(bytes, 0, salt);
    _ = Sealed::decode(bytes, 0, salt);
    _ = Footer::decode(bytes);
}

/// Decodes `bytes` as the parts of a snapshot.
pub fn decode_snapshot(bytes: &[u8], number: u64, salt: u32) {
    if let Ok(Ok(header)) = snapshot::Header::decode(bytes) {
        _ = header.check_meta(&bytes[snapshot::HEADER_BYTES..]);
    }
    _ = snapshot::Piece::decode(bytes, number, salt);
}
