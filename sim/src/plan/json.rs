//! Plans as files.

use quorate_core::NodeId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::Plan;
use super::place::{Place, line_of_version};
use crate::client::OpId;
use crate::wording;

/// Why a plan cannot be read, or cannot be run. All name the line and the field.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// It is no plan.
    #[error("line {line}, {field}: {expected}")]
    Malformed {
        /// The line in the file, from 1.
        line: usize,
        /// The path to the value, as in `plan.faults[2].kind`.
        field: String,
        /// What is wrong with it.
        expected: String,
    },
    /// It was written by another version of this crate.
    #[error("line {line}, version: expected {VERSION}, which alone can be read, found {found}")]
    Version {
        /// The line in the file, from 1.
        line: usize,
        /// The version of the file.
        found: u64,
    },
    /// A value is out of its range.
    #[error("line {line}, {field}: {expected}")]
    OutOfRange {
        /// The line in the file, from 1.
        line: usize,
        /// The path to the value, as in `plan.faults[2].kind`.
        field: String,
        /// What would be right.
        expected: String,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    plan: Plan,
}

#[derive(Deserialize)]
struct OnlyVersion {
    version: u64,
}

/// A value of a plan that is out of its range.
#[derive(Debug, Error)]
#[error("{place}: {expected}")]
pub(crate) struct OutOfRange {
    place: Place,
    expected: String,
}

impl Plan {
    /// Returns the plan as JSON.
    ///
    /// # Panics
    ///
    /// Never: a plan has nothing that JSON cannot hold.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = File { version: VERSION, plan: self.clone() };
        serde_json::to_string_pretty(&file).expect("a plan has nothing that JSON cannot hold")
    }

    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// What is wrong, with the line and the field. Nothing is left out in silence: a field or a
    /// fault of another version is an error.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let OnlyVersion { version } = read(text)?;
        if version != VERSION {
            return Err(PlanError::Version { line: line_of_version(text), found: version });
        }
        let File { plan, .. } = read(text)?;
        plan.validate().map_err(|OutOfRange { place, expected }| {
            let line = place.line(text);
            PlanError::OutOfRange { line, field: place.to_string(), expected }
        })?;
        Ok(plan)
    }

    /// Makes a plan of any bytes: what a fuzzer steers a world with.
    ///
    /// The first eight are the seed, and each further one or two a fault. Fewer bytes are a plan
    /// as well.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], setting: &super::Setting) -> Self {
        let (seed, rest) = bytes.split_at(bytes.len().min(8));
        let mut word = [0; 8];
        word[..seed.len()].copy_from_slice(seed);
        let mut plan = Self::draw(u64::from_le_bytes(word), setting);
        // Each byte says whether a fault stays, and moves it in time.
        let mut kept = rest.iter().copied().chain(std::iter::repeat(0));
        let step = plan.time / 256;
        plan.faults.retain_mut(|fault| {
            let byte = kept.next().unwrap_or_default();
            if byte != 0 {
                fault.at = step * u32::from(byte);
            }
            byte != u8::MAX
        });
        plan.faults.sort_by_key(|fault| fault.at);
        plan
    }

    pub(crate) fn validate(&self) -> Result<(), OutOfRange> {
        let fail = |place, expected: String| Err(OutOfRange { place, expected });
        if self.nodes == 0 || NODES_MAX < self.nodes {
            return fail(Place::Field("nodes"), format!("from 1 to {NODES_MAX}"));
        }
        if CLIENTS_MAX < self.clients {
            return fail(Place::Field("clients"), format!("at most {CLIENTS_MAX}"));
        }
        for (index, fault) in self.faults.iter().enumerate() {
            let is_known = |node: &NodeId| (1..=self.nodes as u64).contains(&node.0);
            if let Some(node) = fault.kind.nodes().iter().find(|node| !is_known(node)) {
                let expected = format!("a node from 1 to {}, not {}", self.nodes, node.0);
                return fail(Place::NodeOfFault(index, node.0), expected);
            }
        }
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, PlanError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = wording::visible(&error.path().to_string());
        let inner = error.into_inner();
        PlanError::Malformed { line: inner.line(), field, expected: wording::reason(&inner) }
    })?;
    deserializer.end().map_err(|error| PlanError::Malformed {
        line: error.line(),
        field: "the end".into(),
        expected: wording::reason(&error),
    })?;
    Ok(value)
}

/// Times in whole nanoseconds.
pub(super) mod nanos {
    use std::time::Duration;

    use super::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(crate::decision::nanos(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// A node as its number.
pub(super) mod node {
    use super::{Deserialize as _, Deserializer, NodeId, Serializer};

    pub(crate) fn serialize<S: Serializer>(node: &NodeId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(node.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NodeId, D::Error> {
        u64::deserialize(from).map(NodeId)
    }
}

/// A node as its number, or none.
pub(super) mod some_node {
    use super::{Deserialize as _, Deserializer, NodeId, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        node: &Option<NodeId>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        node.map(|node| node.0).serialize(to)
    }

    pub(crate) fn deserialize<'de, D>(from: D) -> Result<Option<NodeId>, D::Error>
    where
        D: Deserializer<'de>,
    {
        Ok(Option::<u64>::deserialize(from)?.map(NodeId))
    }
}

/// Nodes as their numbers.
pub(super) mod nodes {
    use super::{Deserialize as _, Deserializer, NodeId, Serializer};

    pub(crate) fn serialize<S: Serializer>(nodes: &[NodeId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(nodes.iter().map(|node| node.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<NodeId>, D::Error> {
        Ok(Vec::<u64>::deserialize(from)?.into_iter().map(NodeId).collect())
    }
}

impl Serialize for OpId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OpId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let parse = |text: &str| {
            let (client, number) = text.strip_prefix('c')?.split_once('.')?;
            Some(Self::new(client.parse().ok()?, number.parse().ok()?))
        };
        parse(&text).ok_or_else(|| D::Error::custom("an operation is written as in c1.17"))
    }
}

/// What this crate writes and reads.
const VERSION: u64 = 1;

/// Links are kept for each pair.
const NODES_MAX: usize = 512;

const CLIENTS_MAX: usize = 1 << 20;
