//! What must hold in every run.

use std::any::Any;
use std::fmt;

use crate::client::{OpId, Reply};
use crate::system::{DeliveryOf, EventOf, Node, Nodes, System};

/// A law, and what it has to remember to see it broken.
///
/// A law sees everything, so it may keep what no node could know: every write acknowledged, every
/// leader of a term. Each run starts with a clone of the law that its suite was given.
///
/// All methods have a default that finds nothing.
pub trait Law<S: System>: Any {
    /// Returns the name: what two failures have in common. It stays.
    fn name(&self) -> &'static str;

    /// Takes in that `node` was started.
    fn booted(&mut self, node: &Node<S>) {
        _ = node;
    }

    /// Takes in that a client asks for `operation`.
    fn invoked(&mut self, id: OpId, operation: &S::Operation) {
        _ = (id, operation);
    }

    /// Takes in what a client is told.
    ///
    /// # Errors
    ///
    /// How this breaks the law.
    fn completed(
        &mut self,
        id: OpId,
        operation: &S::Operation,
        outcome: &Reply<S::Return>,
    ) -> Result<(), String> {
        _ = (id, operation, outcome);
        Ok(())
    }

    /// Takes in what `node` delivers, before its application does.
    ///
    /// # Errors
    ///
    /// How this breaks the law.
    fn delivered(&mut self, node: &Node<S>, delivery: &DeliveryOf<S::Core>) -> Result<(), String> {
        _ = (node, delivery);
        Ok(())
    }

    /// Takes in the news that `node` tells.
    ///
    /// # Errors
    ///
    /// How this breaks the law.
    fn told(&mut self, node: &Node<S>, event: &EventOf<S::Core>) -> Result<(), String> {
        _ = (node, event);
        Ok(())
    }

    /// Looks at `changed`, after every event that something happened at it.
    ///
    /// # Errors
    ///
    /// How the law is broken.
    fn check(&mut self, nodes: &Nodes<S>, changed: &Node<S>) -> Result<(), String> {
        _ = (nodes, changed);
        Ok(())
    }

    /// Returns what was seen that a campaign must see: see [`Suite::must_see`](crate::Suite).
    fn seen(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Why a run cannot go on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Broken {
    pub(crate) kind: ViolationKind,
    pub(crate) law: String,
    pub(crate) why: String,
}

impl Broken {
    pub(crate) fn new(kind: ViolationKind, law: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, law: law.into(), why: why.into() }
    }

    pub(crate) fn law(name: &'static str, why: String) -> Self {
        Self { kind: ViolationKind::Law, law: name.to_owned(), why }
    }
}

/// What kind of law was broken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ViolationKind {
    /// A [`Law`] of the test.
    Law,
    /// Something panicked.
    Panic,
    /// The contract of [`Protocol`](quorate_core::Protocol).
    Contract,
    /// A node does not come to rest at one instant.
    Livelock,
    /// A node cannot start, and nothing that happened to its disk is to blame.
    Start,
    /// Clients made no progress after the faults ended.
    Progress,
    /// The nodes did not agree after the faults ended.
    Convergence,
    /// A history that no correct system has.
    Judge,
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Law => "law",
            Self::Panic => "panic",
            Self::Contract => "contract",
            Self::Livelock => "livelock",
            Self::Start => "start",
            Self::Progress => "progress",
            Self::Convergence => "convergence",
            Self::Judge => "judge",
        })
    }
}
