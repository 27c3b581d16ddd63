//! A set that copies keep on their own: what was acknowledged is in every final read.
//!
//! JSON lines, as [`lines`](crate::history::lines) reads them for
//! [`models::Set`](super::models::Set):
//!
//! ```text
//! {"process":0,"type":"invoke","f":"add","value":7}
//! {"process":0,"type":"ok","f":"add"}
//! {"process":1,"type":"invoke","f":"read"}
//! {"process":1,"type":"ok","f":"read","value":[7]}
//! ```
//!
//! A read is final if it was called after the last addition was over: its client must have waited
//! until the copies had time to agree. An element is known once it was acknowledged or read; a read
//! that was called later and does not have it is stale, and how long that goes on is the stable
//! latency of the element. What somebody may have removed is left out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_core::Instant;

use super::models::{SetOp, SetReturn};
use super::report::Report;
use super::slips::{Slip, is_planted};
use crate::history::{History, Outcome, Value};

/// A judge of sets.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::models::Set;
/// use quorate_sim::check::set::Sets;
/// use quorate_sim::history::lines;
///
/// let text = r#"
/// {"process":0,"type":"invoke","f":"add","value":7}
/// {"process":0,"type":"ok","f":"add"}
/// {"process":1,"type":"invoke","f":"read"}
/// {"process":1,"type":"ok","f":"read","value":[]}"#;
/// let history = lines::read(&Set, text.as_bytes())?;
/// assert_eq!(Sets::default().check(&history).to_string(), "lost");
/// # Ok::<(), quorate_sim::history::ReadError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Sets {
    /// Whether a stale read is wrong; else it is only counted.
    pub linearizable: bool,
}

/// What is wrong with an element.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SetFault {
    /// It was known, and a final read does not have it.
    Lost,
    /// It was read, and nobody added it, or whoever did failed.
    Invented,
    /// It was known, and a later read does not have it, but the final ones do.
    Stale,
}

/// What a judge says of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SetVerdict {
    /// What is wrong.
    pub report: Report<SetFault>,
    /// How many elements were acknowledged.
    pub acknowledged: usize,
    /// How many elements some read did not have that was called after they were known.
    pub stale: usize,
    /// How many elements were never read, though final reads could have.
    pub never_read: usize,
    /// How many reads were final. If none, little was judged.
    pub final_reads: usize,
    /// Of each element that is there in the end: from when it was known to the last read that did
    /// not have it. Sorted.
    pub stable_latencies: Vec<Duration>,
}

/// What is known of an element.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    /// The operation that added it, unless it failed.
    added: Option<usize>,
    failed: Option<usize>,
    is_acknowledged: bool,
    is_removed: bool,
    is_read: bool,
    known: Option<Instant>,
    /// The last read that was called later and does not have it.
    absent: Option<(Instant, usize)>,
    lost: Option<usize>,
}

impl Sets {
    /// Makes a judge for which a stale read is wrong.
    #[must_use]
    pub const fn linearizable() -> Self {
        Self { linearizable: true }
    }

    /// Judges `history`. O(n log n) in operations and what was read, and one step for each known
    /// element and read.
    #[must_use]
    pub fn check(&self, history: &History<SetOp, SetReturn>) -> SetVerdict {
        let (mut names, mut elements, last_end) = gather(history);
        let mut report = Report::new();
        let reads = reads(history);
        for (index, _, at, found) in &reads {
            for value in *found {
                let id = *names.entry(value).or_insert_with(|| {
                    elements.push(Element::default());
                    elements.len() - 1
                });
                let element = &mut elements[id];
                element.is_read = true;
                element.known = Some(element.known.map_or(*at, |known| known.min(*at)));
                if element.added.is_none() {
                    let failed = element.failed;
                    let with: Vec<usize> = failed.into_iter().chain([*index]).collect();
                    report.note(SetFault::Invented, &with, || match failed {
                        Some(add) => format!(
                            "operation {index} read {value}, which operation {add} failed to add"
                        ),
                        None => format!("operation {index} read {value}, which nobody added"),
                    });
                }
            }
        }
        let mut final_reads = 0;
        let mut by_known: Vec<usize> = (0..elements.len()).collect();
        by_known.retain(|id| elements[*id].known.is_some() && !elements[*id].is_removed);
        by_known.sort_by_key(|id| elements[*id].known);
        let mut seen = vec![usize::MAX; elements.len()];
        for (index, called, _, found) in &reads {
            let is_final = last_end.is_none_or(|end| end <= *called);
            final_reads += usize::from(is_final);
            found.iter().for_each(|value| seen[names[value]] = *index);
            for id in &by_known {
                let element = &mut elements[*id];
                // At equal stamps a read may be earlier, but not one after the last addition.
                let is_later = |known| known < *called || is_final && known == *called;
                if !element.known.is_some_and(is_later) {
                    break;
                }
                if seen[*id] != *index {
                    element.absent = element.absent.max(Some((*called, *index)));
                    if is_final {
                        element.lost.get_or_insert(*index);
                    }
                }
            }
        }
        self.verdict(&names, &elements, final_reads, report)
    }

    fn verdict(
        self,
        names: &BTreeMap<&Value, usize>,
        elements: &[Element],
        final_reads: usize,
        mut report: Report<SetFault>,
    ) -> SetVerdict {
        let mut verdict = SetVerdict {
            report: Report::new(),
            acknowledged: elements.iter().filter(|it| it.is_acknowledged).count(),
            stale: 0,
            never_read: 0,
            final_reads,
            stable_latencies: Vec::new(),
        };
        for (name, id) in names {
            let element = &elements[*id];
            if element.added.is_none() || element.is_removed {
                continue;
            }
            verdict.never_read += usize::from(!element.is_read && 0 < final_reads);
            let add = element.added.unwrap_or_default();
            match (element.lost, element.absent, element.known) {
                (Some(read), ..) if !is_planted(Slip::LosesAreStale) => {
                    report.note(SetFault::Lost, &[add, read], || {
                        format!(
                            "operation {read} does not have {name}, which operation {add} added"
                        )
                    });
                }
                (_, Some((called, read)), Some(known)) => {
                    verdict.stale += 1;
                    verdict.stable_latencies.push(called.saturating_duration_since(known));
                    if self.linearizable {
                        report.note(SetFault::Stale, &[add, read], || {
                            format!(
                                "operation {read} does not have {name}, which was known before it"
                            )
                        });
                    }
                }
                (_, _, Some(_)) => verdict.stable_latencies.push(Duration::ZERO),
                (_, _, None) => {}
            }
        }
        verdict.stable_latencies.sort_unstable();
        SetVerdict { report, ..verdict }
    }
}

type Gathered<'a> = (BTreeMap<&'a Value, usize>, Vec<Element>, Option<Instant>);

/// Returns what is known of each element from additions alone, and when the last one was over.
fn gather(history: &History<SetOp, SetReturn>) -> Gathered<'_> {
    let (mut names, mut elements) = (BTreeMap::new(), Vec::new());
    let mut last_end: Option<Instant> = None;
    for (index, span) in history.spans().iter().enumerate() {
        let (SetOp::Add(value) | SetOp::Remove(value)) = &span.operation else { continue };
        let id = *names.entry(value).or_insert_with(|| {
            elements.push(Element::default());
            elements.len() - 1
        });
        let element = &mut elements[id];
        let is_add = matches!(span.operation, SetOp::Add(_));
        if matches!(span.outcome, Outcome::Fail { .. }) {
            if is_add {
                element.failed = Some(index);
            }
            continue;
        }
        last_end = last_end.max(Some(span.outcome.at().unwrap_or(span.called)));
        if !is_add {
            element.is_removed = true;
            continue;
        }
        element.added = Some(index);
        if let Outcome::Ok { at, .. } = span.outcome {
            element.is_acknowledged = true;
            element.known = Some(element.known.map_or(at, |known| known.min(at)));
        }
    }
    (names, elements, last_end)
}

type Read<'a> = (usize, Instant, Instant, &'a std::collections::BTreeSet<Value>);

fn reads(history: &History<SetOp, SetReturn>) -> Vec<Read<'_>> {
    let all = history.spans().iter().enumerate();
    let known = all.filter_map(|(index, span)| match &span.outcome {
        Outcome::Ok { at, returned: SetReturn::Elements(found) } => {
            Some((index, span.called, *at, found))
        }
        _ => None,
    });
    known.collect()
}

impl SetVerdict {
    /// Returns whether nothing is wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.report.is_valid()
    }

    /// Returns the stable latency that so many of a thousand elements do not exceed; `None` if
    /// there are none.
    #[must_use]
    pub fn stable_latency(&self, per_mille: usize) -> Option<Duration> {
        let last = self.stable_latencies.len().checked_sub(1)?;
        Some(self.stable_latencies[(last * per_mille.min(1_000)).div_ceil(1_000)])
    }
}

impl fmt::Display for SetVerdict {
    /// Writes the kinds; `{:#}` has a line for each case, and the numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{}", self.report);
        }
        if !self.is_valid() {
            write!(f, "{:#}", self.report)?;
        }
        let Self { acknowledged, stale, never_read, final_reads, .. } = self;
        write!(f, "{acknowledged} acknowledged, {stale} stale, {never_read} never read, ")?;
        write!(f, "{final_reads} final reads")?;
        let of = |per_mille| self.stable_latency(per_mille);
        if let (Some(half), Some(most), Some(all)) = (of(500), of(990), of(1_000)) {
            write!(f, ", stable after {half:?} (50 %), {most:?} (99 %), {all:?} (all)")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for SetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Invented => "invented",
            Self::Stale => "stale",
        })
    }
}
