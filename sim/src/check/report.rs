//! What a judge found, by kind.

use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a history, by kinds `K`: the first cases of each, and how many there are.
///
/// `Display` names the kinds, or says `valid`; `{:#}` has a line for each case that was kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report<K> {
    findings: BTreeMap<K, Vec<Finding<K>>>,
    counts: BTreeMap<K, u64>,
}

/// One case.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Finding<K> {
    /// What is wrong.
    pub kind: K,
    /// The operations that disagree, as positions in the history.
    pub operations: Vec<usize>,
    /// The same in words.
    pub text: String,
}

impl<K: Copy + Ord> Report<K> {
    pub(super) const fn new() -> Self {
        Self { findings: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// Notes a case; only the first of a kind are described.
    pub(super) fn note(&mut self, kind: K, operations: &[usize], text: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_insert(0) += 1;
        let findings = self.findings.entry(kind).or_default();
        if findings.len() < CASES_KEPT {
            findings.push(Finding { kind, operations: operations.to_vec(), text: text() });
        }
    }

    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns how often `kind` was found.
    #[must_use]
    pub fn count(&self, kind: K) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Returns the kinds that were found.
    pub fn kinds(&self) -> impl Iterator<Item = K> {
        self.counts.keys().copied()
    }

    /// Returns the first cases of each kind.
    pub fn findings(&self) -> impl Iterator<Item = &Finding<K>> {
        self.findings.values().flatten()
    }
}

impl<K: Copy + Ord + fmt::Display> fmt::Display for Report<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_valid() {
            return f.write_str("valid");
        }
        if !f.alternate() {
            for (place, kind) in self.kinds().enumerate() {
                let space = if place == 0 { "" } else { " " };
                write!(f, "{space}{kind}")?;
            }
            return Ok(());
        }
        for (kind, findings) in &self.findings {
            for finding in findings {
                writeln!(f, "{kind}: {}", finding.text)?;
            }
            let more = self.count(*kind) - findings.len() as u64;
            if 0 < more {
                writeln!(f, "{kind}: and {more} more")?;
            }
        }
        Ok(())
    }
}

/// Cases of a kind that are described.
const CASES_KEPT: usize = 8;
