//! Who is at the other end.
//!
//! ```text
//! offset  bytes  field            meaning
//!      0      4  magic            "QRT1"
//!      4      1  lowest version   that the sender speaks
//!      5      1  highest version
//!      6      2  -                0
//!      8      8  node             the sender
//!     16      8  cluster          only nodes of one cluster talk
//!     24      8  epoch            rises with every connection that the sender makes
//!     32      4  max_frame_bytes  what the sender takes
//!     36      4  max_requests     the same, 0 = none
//!     40      4  window_bytes     the same, 0 = no limit
//!     44      8  features         0
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::NodeId;
use thiserror::Error;

use super::VERSION;

/// What each side says first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hello {
    /// The sender.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: u64,
    /// Rises with every connection that the sender makes, across its restarts.
    pub epoch: u64,
    /// The longest frame it takes.
    pub max_frame_bytes: u32,
}

/// Why a stranger is not let in.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum HelloError {
    /// It says something else.
    #[error("a stranger speaks another protocol")]
    NotHello,
    /// Its versions and ours have none in common.
    #[error("peer speaks versions {lowest} to {highest}, this node {VERSION}")]
    Version {
        /// Its lowest.
        lowest: u8,
        /// Its highest.
        highest: u8,
    },
    /// It belongs to another cluster.
    #[error("peer is of cluster {found:#x}, this node of {expected:#x}")]
    Cluster {
        /// The peer's.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// It is not the node that should be there.
    #[error("{found} is not expected here")]
    Node {
        /// Who it is.
        found: NodeId,
    },
    /// It is an older connection of a peer that has a newer one.
    #[error("{node} has a newer connection")]
    Epoch {
        /// The peer.
        node: NodeId,
    },
}

impl Hello {
    /// Makes the body of the frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HELLO_BYTES);
        out.put_slice(MAGIC);
        out.put_u8(VERSION);
        out.put_u8(VERSION);
        out.put_u16_le(0);
        out.put_u64_le(self.node.0);
        out.put_u64_le(self.cluster);
        out.put_u64_le(self.epoch);
        out.put_u32_le(self.max_frame_bytes);
        out.put_bytes(0, 16);
        out.freeze()
    }

    /// Reads the body of the frame.
    ///
    /// # Errors
    ///
    /// [`HelloError::NotHello`] and [`HelloError::Version`].
    pub fn decode(mut body: Bytes) -> Result<Self, HelloError> {
        if body.len() < HELLO_BYTES || !body.starts_with(MAGIC) {
            return Err(HelloError::NotHello);
        }
        body.advance(MAGIC.len());
        let (lowest, highest) = (body.get_u8(), body.get_u8());
        if VERSION < lowest || highest < VERSION {
            return Err(HelloError::Version { lowest, highest });
        }
        body.advance(2);
        Ok(Self {
            node: NodeId(body.get_u64_le()),
            cluster: body.get_u64_le(),
            epoch: body.get_u64_le(),
            max_frame_bytes: body.get_u32_le(),
        })
    }
}

const MAGIC: &[u8] = b"QRT1";
const HELLO_BYTES: usize = 52;
