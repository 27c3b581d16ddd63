//! Bits that flip on the way.

use bytes::{Bytes, BytesMut};
use quorate_core::{SplitMix64, Wire};

/// Flips one to eight bits of a message and of the checksum that goes with it. Returns what a
/// receiver makes of that: `None` if the checksum or the decoder notices.
///
/// For [`System::damage`](crate::System::damage): with the checksum and the decoder of a real
/// system, both are in the run. A checksum that always fits shows what the decoder alone is worth.
///
/// # Panics
///
/// If the message does not fit memory twice.
///
/// # Examples
///
/// ```
/// use quorate_sim::quorate_core::{DecodeError, SplitMix64, Wire, take_bytes};
/// use quorate_sim::damage;
///
/// struct Word([u8; 4]);
///
/// impl Wire for Word {
///     fn encode(&self, out: &mut bytes::BytesMut) {
///         out.extend_from_slice(&self.0);
///     }
///     fn decode(input: &mut bytes::Bytes) -> Result<Self, DecodeError> {
///         let bytes = take_bytes(input, 4)?;
///         Ok(Self([bytes[0], bytes[1], bytes[2], bytes[3]]))
///     }
/// }
///
/// let passes = |checksum: fn(&[u8]) -> u32| {
///     let of = |seed| damage(&Word(*b"abcd"), checksum, &mut SplitMix64::new(seed));
///     (0..1_000).filter(|seed| of(*seed).is_some()).count()
/// };
/// let sum = passes(|bytes| bytes.iter().map(|byte| u32::from(*byte)).sum());
/// let blind = passes(|_| 0);
/// assert!(sum < 50 && 100 < blind, "{sum} and {blind} of 1000 pass");
/// ```
pub fn damage<M: Wire>(
    message: &M,
    checksum: impl Fn(&[u8]) -> u32,
    random: &mut SplitMix64,
) -> Option<M> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes);
    let mut sum = checksum(&bytes);
    for _ in 0..=random.below(8) {
        let bit = random.below(8 * bytes.len() as u64 + 32);
        let place = usize::try_from(bit / 8).expect("messages fit memory");
        match bytes.get_mut(place) {
            Some(byte) => *byte ^= 1 << (bit % 8),
            None => sum ^= 1 << (bit % 32),
        }
    }
    let mut bytes = Bytes::from(bytes);
    if checksum(&bytes) != sum {
        return None;
    }
    let message = M::decode(&mut bytes).ok()?;
    bytes.is_empty().then_some(message)
}
