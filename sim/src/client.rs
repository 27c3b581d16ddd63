//! What clients do, and what they are told.

use std::fmt;

use quorate_core::{NodeId, SplitMix64};

use crate::decision::{mix, scale};
use crate::stream::Purpose;

/// Identifies an operation: the client, from 0, and its how manieth it is, from 0. Written `c0.17`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct OpId {
    client: u32,
    number: u64,
}

impl OpId {
    /// Makes the id of operation `number` of `client`.
    #[must_use]
    pub const fn new(client: u32, number: u64) -> Self {
        Self { client, number }
    }

    /// Returns the client.
    #[must_use]
    pub const fn client(self) -> u32 {
        self.client
    }

    /// Returns how many operations of the client came before.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Returns a number that no other operation of a run has: what a client may write.
    #[must_use]
    pub const fn unique(self) -> u64 {
        ((self.client as u64) << 40) | self.number
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.client, self.number)
    }
}

/// What a client is told in the end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a client that forgets one of them is wrong")]
pub enum Reply<R> {
    /// It happened, and this is what it returned.
    Ok(R),
    /// It did not happen and never will.
    Fail,
    /// Nobody knows.
    Info,
}

/// What a node says to a request, at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a node takes a request or does not")]
pub enum Invoked {
    /// It works on it. The answer comes by [`Done`], or never.
    Started,
    /// It does not take it.
    Refused {
        /// Whether the operation certainly did not happen, so that it may be tried elsewhere.
        is_definite: bool,
        /// Who might take it.
        redirect: Option<NodeId>,
    },
}

impl Invoked {
    /// A refusal that lets the client try any other node.
    pub const BUSY: Self = Self::Refused { is_definite: true, redirect: None };

    /// Returns a refusal that names who might take the request, if somebody is known.
    #[must_use]
    pub const fn redirect(to: Option<NodeId>) -> Self {
        Self::Refused { is_definite: true, redirect: to }
    }
}

impl fmt::Display for Invoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Refused { is_definite: true, redirect: None } => f.write_str("refused"),
            Self::Refused { is_definite: true, redirect: Some(to) } => write!(f, "go to {to}"),
            Self::Refused { is_definite: false, .. } => f.write_str("nobody knows"),
        }
    }
}

impl<R: fmt::Display> fmt::Display for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(returned) => write!(f, "ok {returned}"),
            Self::Fail => f.write_str("fail"),
            Self::Info => f.write_str("info"),
        }
    }
}

/// Where a node answers its clients.
#[derive(Debug)]
pub struct Done<R> {
    pub(crate) replies: Vec<(OpId, Reply<R>)>,
}

impl<R> Done<R> {
    pub(crate) const fn new() -> Self {
        Self { replies: Vec::new() }
    }

    /// Answers that `id` happened and what it returned.
    pub fn ok(&mut self, id: OpId, returned: R) {
        self.replies.push((id, Reply::Ok(returned)));
    }

    /// Answers that `id` did not happen and never will.
    pub fn fail(&mut self, id: OpId) {
        self.replies.push((id, Reply::Fail));
    }

    /// Answers that nobody knows whether `id` happened.
    pub fn info(&mut self, id: OpId) {
        self.replies.push((id, Reply::Info));
    }
}

/// The chance of one operation, and the habits of the run that it is of.
///
/// Which kinds of operations there are, and how much clients prefer some keys, is swarmed like
/// faults are: it is another in each run.
#[derive(Clone, Debug)]
pub struct Draw {
    seed: u64,
    id: OpId,
    random: SplitMix64,
}

impl Draw {
    pub(crate) const fn new(seed: u64, id: OpId) -> Self {
        let number = mix(seed, ((Purpose::Workload as u64) << 56) ^ id.client as u64, id.number);
        Self { seed, id, random: SplitMix64::new(number) }
    }

    /// Returns the operation that is drawn.
    #[must_use]
    pub const fn id(&self) -> OpId {
        self.id
    }

    /// Returns a number below `end`.
    ///
    /// # Panics
    ///
    /// If `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// Returns one of `count` kinds, of which about half occur in this run.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn kind(&mut self, count: u64) -> u64 {
        let is_on = |kind: &u64| mix(self.seed, Purpose::Kinds as u64, *kind) >> 63 == 0;
        let on: Vec<u64> = (0..count).filter(is_on).collect();
        if on.is_empty() {
            return self.random.below(count);
        }
        on[usize::try_from(self.random.below(on.len() as u64)).expect("below a length")]
    }

    /// Returns a key below `count`: in some runs each is as likely, in others a few are hot.
    ///
    /// # Panics
    ///
    /// If `count` is 0.
    pub fn key(&mut self, count: u64) -> u64 {
        let number = self.random.next_u64();
        let hot = scale(number << 8, count.min(2));
        match mix(self.seed, Purpose::Kinds as u64, u64::MAX) >> 62 {
            0 => hot,
            1 if number >> 63 == 0 => hot,
            _ => scale(number << 8, count),
        }
    }
}
