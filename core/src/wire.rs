//! What a message looks like as bytes.

use bytes::{Bytes, BytesMut, TryGetError};
use thiserror::Error;

/// A binary form, written by hand: drawn at the top of its module, and never changed once released.
///
/// What stands before and after a value belongs to the frame around it.
pub trait Wire: Sized {
    /// Appends the binary form to `out`.
    fn encode(&self, out: &mut BytesMut);

    /// Takes one value off `input`. Payloads share `input`'s buffer; nothing is copied.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]. `input` is then spoiled: drop the frame and count it.
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError>;
}

/// Why bytes are no value. The fault is the sender's, or the network's: never a reason to panic.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("value needs {needed} bytes more, {found} are left")]
    Truncated {
        /// Bytes the next field takes.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// A kind that this version does not know: the sender is newer, or speaks something else.
    #[error("{field} is {found}, which is no kind known here")]
    UnknownKind {
        /// The field, as the module's picture calls it.
        field: &'static str,
        /// Its value.
        found: u8,
    },
    /// A number that no correct sender can mean.
    #[error("{field} is {found}, which is out of range")]
    OutOfRange {
        /// The field, as the module's picture calls it.
        field: &'static str,
        /// Its value.
        found: u64,
    },
}

/// Takes `needed` bytes off `input`, sharing its buffer.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if there are fewer; nothing is taken.
pub fn take_bytes(input: &mut Bytes, needed: usize) -> Result<Bytes, DecodeError> {
    if input.len() < needed {
        return Err(DecodeError::Truncated { needed, found: input.len() });
    }
    Ok(input.split_to(needed))
}

impl From<TryGetError> for DecodeError {
    fn from(error: TryGetError) -> Self {
        Self::Truncated { needed: error.requested, found: error.available }
    }
}
