//! Copies that agree, some time after the last fault: a system that does nothing must not pass.
//!
//! JSON lines, as [`read`] reads them: when the faults ended, and what each copy held when. A copy
//! may be asked often; numbers of nodes that are named by nobody are not waited for.
//!
//! ```text
//! {"heal":1000,"nodes":[1,2,3]}
//! {"node":1,"time":1200,"value":"ab"}
//! {"node":2,"time":1200,"value":"ab"}
//! {"node":3,"time":1900,"value":"ab"}
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;
use std::time::Duration;

use quorate_core::{Instant, NodeId};
use serde::Deserialize;

use super::slips::{Slip, is_planted};
use crate::history::{ReadError, Value, objects};

/// What copies held, and since when nothing was broken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests make them")]
pub struct Copies {
    /// When the last fault ended.
    pub healed: Instant,
    /// Who must agree.
    pub nodes: Vec<NodeId>,
    /// What a node held when, in any order: its state, or a digest of it.
    pub seen: Vec<(Instant, NodeId, Value)>,
}

/// Whether they agree in the end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a test must answer to each")]
pub enum Convergence {
    /// All held the same when they were last asked.
    Converged {
        /// So long after the heal all did, as far as they were asked.
        after: Duration,
    },
    /// They did, but not in time.
    Late {
        /// So long after the heal.
        after: Duration,
    },
    /// They did not. For each value those that held it; none for those never asked after the heal.
    Diverged {
        /// In the order of values.
        groups: BTreeMap<Option<Value>, Vec<NodeId>>,
    },
}

impl Copies {
    /// Judges whether all agreed within this time after the heal. O(n log n).
    ///
    /// What counts is what each node held when it was last asked after the heal. The time is that
    /// of the first moment from which on no answer was another one. No nodes agree at once.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use quorate_sim::check::converge;
    ///
    /// let text = r#"
    /// {"heal":1000,"nodes":[1,2]}
    /// {"node":1,"time":1200,"value":"ab"}
    /// {"node":2,"time":1300,"value":"a"}"#;
    /// let copies = converge::read(text.as_bytes())?;
    /// let verdict = copies.check(Duration::from_secs(1));
    /// assert_eq!(verdict.to_string(), "diverged: \"a\" on 2; \"ab\" on 1");
    /// # Ok::<(), quorate_sim::history::ReadError>(())
    /// ```
    #[must_use]
    pub fn check(&self, within: Duration) -> Convergence {
        let mut last: BTreeMap<NodeId, Option<(Instant, &Value)>> =
            self.nodes.iter().map(|node| (*node, None)).collect();
        let later = || self.seen.iter().filter(|(at, ..)| self.healed <= *at);
        for (at, node, value) in later() {
            let of_node = last.entry(*node).or_insert(None);
            if of_node.is_none_or(|(before, _)| before <= *at) {
                *of_node = Some((*at, value));
            }
        }
        if is_planted(Slip::SilenceAgrees) {
            last.retain(|_, held| held.is_some());
        }
        let mut groups: BTreeMap<Option<Value>, Vec<NodeId>> = BTreeMap::new();
        for (node, held) in &last {
            groups.entry(held.map(|(_, value)| value.clone())).or_default().push(*node);
        }
        if 1 < groups.len() || groups.contains_key(&None) {
            return Convergence::Diverged { groups };
        }
        let end = groups.into_keys().next().flatten();
        // Each node agrees from its first answer after the last one that was different.
        let mut since: BTreeMap<NodeId, Option<Instant>> = BTreeMap::new();
        let mut sorted: Vec<_> = later().collect();
        sorted.sort_by_key(|(at, ..)| *at);
        for (at, node, value) in sorted {
            let since = since.entry(*node).or_insert(None);
            if Some(value) == end.as_ref() {
                since.get_or_insert(*at);
            } else {
                *since = None;
            }
        }
        let agreed = since.into_values().flatten().max().unwrap_or(self.healed);
        let after = agreed.saturating_duration_since(self.healed);
        if after <= within { Convergence::Converged { after } } else { Convergence::Late { after } }
    }
}

/// Reads copies. The heal must be said once.
///
/// # Errors
///
/// What is wrong with the first line that is.
pub fn read(input: impl BufRead) -> Result<Copies, ReadError> {
    let mut copies = Copies::default();
    let mut is_healed = false;
    objects::each(input, |_, line: Line| match line {
        Line::Heal { heal, nodes } => {
            if std::mem::replace(&mut is_healed, true) {
                return Err("one line with `heal`");
            }
            copies.healed = Instant::from_nanos(heal);
            copies.nodes = nodes.into_iter().map(NodeId).collect();
            Ok(())
        }
        Line::Seen { node, time, value } => {
            copies.seen.push((Instant::from_nanos(time), NodeId(node), value));
            Ok(())
        }
    })?;
    Ok(copies)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Heal {
        heal: u64,
        #[serde(default)]
        nodes: Vec<u64>,
    },
    Seen {
        node: u64,
        time: u64,
        value: Value,
    },
}

impl Convergence {
    /// Returns whether all agreed in time.
    #[must_use]
    pub const fn is_converged(&self) -> bool {
        matches!(self, Self::Converged { .. })
    }
}

impl fmt::Display for Convergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged { after } => write!(f, "converged after {after:?}"),
            Self::Late { after } => write!(f, "late: converged after {after:?}"),
            Self::Diverged { groups } => {
                f.write_str("diverged: ")?;
                for (place, (value, nodes)) in groups.iter().enumerate() {
                    let separator = if place == 0 { "" } else { "; " };
                    let nodes: Vec<String> = nodes.iter().map(|it| it.0.to_string()).collect();
                    let nodes = nodes.join(", ");
                    match value {
                        Some(value) => write!(f, "{separator}{value} on {nodes}")?,
                        None => write!(f, "{separator}nothing on {nodes}")?,
                    }
                }
                Ok(())
            }
        }
    }
}
