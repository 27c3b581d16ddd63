//! How frames get from node to node.

use bytes::Bytes;
use thiserror::Error;

use crate::NodeId;

/// Carries frames between this node and others. It may lose, repeat and reorder them.
///
/// A frame arrives whole and unchanged or not at all: damage is the transport's to detect.
pub trait Transport: Send + Sync {
    /// Takes `frame` for `to`. Ready once it is queued or dropped, whether the peer is there or
    /// not: no node waits for an absent one.
    fn send(&self, to: NodeId, frame: Bytes) -> impl Future<Output = ()> + Send;

    /// Returns the next frame and its sender. Safe to drop and call again: no frame is lost by it.
    ///
    /// # Errors
    ///
    /// [`Closed`] once no frame will ever come.
    fn recv(&self) -> impl Future<Output = Result<(NodeId, Bytes), Closed>> + Send;
}

/// The other side is gone for good: nothing will come any more.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("closed")]
pub struct Closed;
