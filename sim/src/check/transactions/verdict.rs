//! What a judge of transactions says.

use std::collections::BTreeMap;
use std::fmt;

use super::anomaly::{Anomaly, AnomalyKind, Dependency, Step};
use super::explain::Words;
use super::model::{ConsistencyModel, Time};
use crate::check::cycles::{
    Cycle, Edges, Found, Graph, Kinds, Pattern, Shape, components, find, find_any,
};

/// Which anomalies a history has, and so which models it can be of.
///
/// `Display` names them, or says `valid`; `{:#}` explains each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    anomalies: Vec<Anomaly>,
    steps: u64,
    is_complete: bool,
}

impl Verdict {
    /// Returns one anomaly of each kind, the worst first.
    #[must_use]
    pub fn anomalies(&self) -> &[Anomaly] {
        &self.anomalies
    }

    /// Returns whether there is an anomaly of this kind.
    #[must_use]
    pub fn has(&self, kind: AnomalyKind) -> bool {
        self.anomalies.iter().any(|it| it.kind == kind)
    }

    /// Returns whether a store that keeps `model` can have made this history, as far as is known.
    #[must_use]
    pub fn permits(&self, model: ConsistencyModel) -> bool {
        !self.anomalies.iter().any(|it| it.kind.is_excluded_by(model))
    }

    /// Returns the anomalies that a store with `model` never shows.
    pub fn against(&self, model: ConsistencyModel) -> impl Iterator<Item = &Anomaly> {
        self.anomalies.iter().filter(move |it| it.kind.is_excluded_by(model))
    }

    /// Returns the weakest models that are excluded.
    #[must_use]
    pub fn weakest_excluded(&self) -> Vec<ConsistencyModel> {
        let excluded = || ConsistencyModel::all().filter(|it| !self.permits(*it));
        let is_weakest =
            |it: &ConsistencyModel| !excluded().any(|other| other != *it && it.is_at_least(other));
        excluded().filter(is_weakest).collect()
    }

    /// Returns the strongest models that are still possible.
    #[must_use]
    pub fn strongest_possible(&self) -> Vec<ConsistencyModel> {
        let possible = || ConsistencyModel::all().filter(|it| self.permits(*it));
        let is_strongest =
            |it: &ConsistencyModel| !possible().any(|other| other != *it && other.is_at_least(*it));
        possible().filter(is_strongest).collect()
    }

    /// Returns whether every kind of cycle was looked for to the end.
    ///
    /// If not, there is one at least: it was found, but there may be others that have worse names,
    /// or be shorter.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns how many operations and edges were looked at.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.anomalies.is_empty() {
            return f.write_str("valid");
        }
        let list = |models: Vec<ConsistencyModel>| {
            models.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        if !f.alternate() {
            let names = self.anomalies.iter().map(|it| it.kind.to_string());
            return f.write_str(&names.collect::<Vec<_>>().join(" "));
        }
        for anomaly in &self.anomalies {
            writeln!(f, "{anomaly}")?;
        }
        writeln!(f, "not {}", list(self.weakest_excluded()))?;
        let possible = self.strongest_possible();
        let possible = if possible.is_empty() { "nothing".into() } else { list(possible) };
        writeln!(f, "at most {possible}")?;
        if !self.is_complete {
            writeln!(f, "the search for cycles was cut short: there may be other kinds")?;
        }
        Ok(())
    }
}

/// Anomalies that were found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    anomalies: BTreeMap<AnomalyKind, Anomaly>,
    pub(super) steps: u64,
}

impl Findings {
    /// Notes an anomaly; only the first of its kind is described.
    pub(super) fn note(
        &mut self,
        kind: AnomalyKind,
        transactions: &[u32],
        text: impl FnOnce() -> String,
    ) {
        let anomaly = self.anomalies.entry(kind).or_insert_with(|| Anomaly {
            kind,
            transactions: transactions.iter().map(|it| *it as usize).collect(),
            text: text(),
            cycle: Vec::new(),
            count: 0,
        });
        anomaly.count += 1;
    }
}

/// Adds the cycles, and says what all that comes to.
pub(super) fn judge(edges: &Edges, mut findings: Findings, words: &impl Words) -> Verdict {
    let graph = Graph::new(edges);
    let mut steps = findings.steps + edges.len() as u64;
    let components = components(&graph, Kinds::ALL, &mut steps);
    let mut is_complete = true;
    if components.iter().any(|it| *it != u32::MAX) {
        let inner = graph.within(&components);
        let mut timed: Option<Time> = None;
        for shape in [Shape::Writes, Shape::Reads, Shape::OneMissed, Shape::Apart, Shape::InRow] {
            for (time, must) in TIMES {
                // A cycle of this shape can be made of a timed one that is worse: nothing new.
                if time != Time::Any && timed.is_some_and(|timed| timed <= time) {
                    continue;
                }
                let times = times_up_to(time);
                let pattern = Pattern { shape, times, must };
                match find(&inner, pattern, MAX_STEPS, &mut steps) {
                    Found::Cycle(cycle) => {
                        note_cycle(&mut findings, kind(shape, time), &cycle, words);
                        if time != Time::Any {
                            timed = Some(time);
                        }
                        // It is there with more edges of time, too.
                        break;
                    }
                    Found::Nothing => {}
                    Found::Spent => is_complete = false,
                }
            }
        }
        if !is_complete {
            name_any(&inner, &mut findings, words, &mut steps);
        }
    }
    let anomalies = findings.anomalies.into_values().collect();
    Verdict { anomalies, steps, is_complete }
}

/// Makes sure that where there is a cycle at all, there is an anomaly.
fn name_any(graph: &Graph, findings: &mut Findings, words: &impl Words, steps: &mut u64) {
    for (time, _) in TIMES {
        let strongest = ConsistencyModel::new(super::Level::Serializable, time);
        if findings.anomalies.keys().any(|it| it.is_excluded_by(strongest)) {
            continue;
        }
        let allowed = Kinds::WW | Kinds::WR | Kinds::RW | Kinds::REST | times_up_to(time);
        if let Some(cycle) = find_any(graph, allowed, steps) {
            note_cycle(findings, named(&cycle), &cycle, words);
        }
    }
}

/// Returns the name of a cycle.
fn named(cycle: &Cycle) -> AnomalyKind {
    let has = |kind: Kinds| cycle.iter().any(|hop| hop.kind == kind);
    let time = if has(Kinds::REAL_TIME) {
        Time::RealTime
    } else if has(Kinds::PROCESS) {
        Time::Session
    } else {
        Time::Any
    };
    let misses = cycle.iter().filter(|hop| hop.kind == Kinds::RW).count();
    let next = cycle.iter().cycle().skip(1);
    let is_in_row =
        cycle.iter().zip(next).any(|(one, two)| one.kind == Kinds::RW && two.kind == Kinds::RW);
    let shape = match misses {
        0 if has(Kinds::WR) => Shape::Reads,
        0 => Shape::Writes,
        1 => Shape::OneMissed,
        _ if is_in_row => Shape::InRow,
        _ => Shape::Apart,
    };
    kind(shape, time)
}

const fn kind(shape: Shape, time: Time) -> AnomalyKind {
    match shape {
        Shape::Writes => AnomalyKind::G0(time),
        Shape::Reads => AnomalyKind::G1c(time),
        Shape::OneMissed => AnomalyKind::GSingle(time),
        Shape::Apart => AnomalyKind::GNonadjacent(time),
        Shape::InRow => AnomalyKind::G2Item(time),
    }
}

const fn times_up_to(time: Time) -> Kinds {
    match time {
        Time::Any => Kinds::NONE,
        Time::Session => Kinds::PROCESS,
        Time::RealTime => Kinds(Kinds::PROCESS.0 | Kinds::REAL_TIME.0),
    }
}

fn note_cycle(findings: &mut Findings, kind: AnomalyKind, cycle: &Cycle, words: &impl Words) {
    let transactions: Vec<u32> = cycle.iter().map(|hop| hop.from).collect();
    findings.note(kind, &transactions, || {
        let mut text: Vec<String> =
            cycle.iter().take(HOPS_SHOWN).map(|hop| words.hop(hop)).collect();
        if HOPS_SHOWN < cycle.len() {
            text.push(format!("and so on, {} steps in all", cycle.len()));
        }
        for hop in cycle.iter().take(HOPS_SHOWN) {
            text.push(format!("\n  {}", words.transaction(hop.from as usize)));
        }
        text.join("; ").replace("; \n", "\n")
    });
    let steps = cycle.iter().map(|hop| {
        let dependency = match hop.kind {
            Kinds::WW => Dependency::Write,
            Kinds::WR => Dependency::Read,
            Kinds::RW => Dependency::Miss,
            Kinds::PROCESS => Dependency::Process,
            _ => Dependency::RealTime,
        };
        Step { from: hop.from as usize, to: hop.to as usize, dependency }
    });
    if let Some(anomaly) = findings.anomalies.get_mut(&kind)
        && anomaly.cycle.is_empty()
    {
        anomaly.cycle = steps.collect();
    }
}

/// What a cycle must have one of: nothing, an edge of a process, one of real time.
const TIMES: [(Time, Kinds); 3] =
    [(Time::Any, Kinds::NONE), (Time::Session, Kinds::PROCESS), (Time::RealTime, Kinds::REAL_TIME)];

/// Steps for each kind of cycle: below a second.
const MAX_STEPS: u64 = 20_000_000;

/// Steps of a cycle that are explained.
const HOPS_SHOWN: usize = 12;
