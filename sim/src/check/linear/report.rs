//! Why there is no order: how far the search came, and the operation that fits nowhere.

use std::fmt::{self, Display};

use quorate_core::Instant;

use super::links::Links;
use crate::history::{Outcome, Span};

/// Why a history is not linearizable.
///
/// Everything before the return of the [`misfit`](Self::misfit) can be explained; with this return,
/// nothing can. It is printed as a table of intervals:
///
/// ```text
/// process 2: read -> 0 fits nowhere
/// order of 1 operation, write 1 -> done; then it holds 1
///   0  write 1 -> done  10..20  ||
///   2  read -> 0        30..40    ||  <- fits nowhere
/// ```
///
/// A row has the process, the operation and what it returned, the stamps of its call and its
/// return, and its interval: columns are calls and returns in their order, not lengths of time.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counterexample {
    /// The object, for people; empty if there is only one.
    pub key: String,
    /// The longest orders that explain everything before that return: some of them, each with
    /// another state.
    pub prefixes: Vec<Prefix>,
    /// The operations around it, in the order of their calls.
    pub rows: Vec<Row>,
    /// The position in `rows` of the operation that fits nowhere.
    pub misfit: usize,
    /// How many operations were concurrent with it and are not in `rows`.
    pub hidden: usize,
}

/// An order of some operations that explains what they returned.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Prefix {
    /// How many there are.
    pub count: usize,
    /// The last of them, as positions in the history.
    pub last: Vec<usize>,
    /// The same for people.
    pub text: String,
    /// The state after them, for people; empty if the model does not say.
    pub state: String,
}

/// An operation in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The position of the operation in the history.
    pub index: usize,
    /// Who called it.
    pub process: u64,
    /// What, and what it returned.
    pub text: String,
    /// When it was called.
    pub called: Instant,
    /// When it returned; `None` if it may happen at any time later.
    pub returned: Option<Instant>,
    /// The call as a column of the table.
    pub start: usize,
    /// The return as a column of the table.
    pub end: Option<usize>,
}

/// The places where a search could not go on, as far as they tell why.
#[derive(Clone, Debug, Default)]
pub(super) struct DeadEnds {
    /// The farthest return that could not be passed.
    bound: u32,
    /// Orders that led there.
    ends: Vec<DeadEnd>,
}

#[derive(Clone, Debug)]
struct DeadEnd {
    state: u32,
    count: usize,
    last: Vec<u32>,
}

impl DeadEnds {
    /// Notes that after `frames` no operation was left to try before the return at `bound`.
    pub(super) fn note<F>(&mut self, bound: u32, state: u32, frames: &[F], op: fn(&F) -> u32) {
        if bound < self.bound || bound == self.bound && PREFIXES_MAX <= self.ends.len() {
            return;
        }
        if self.bound < bound {
            self.bound = bound;
            self.ends.clear();
        }
        if self.ends.iter().any(|end| end.state == state) {
            return;
        }
        let last = frames[frames.len().saturating_sub(LAST_MAX)..].iter().map(op).collect();
        self.ends.push(DeadEnd { state, count: frames.len(), last });
    }
}

/// What a report is made of.
pub(super) struct Scene<'a, O, R, D> {
    pub(super) spans: &'a [Span<O, R>],
    pub(super) ops: &'a [u32],
    pub(super) links: &'a Links,
    pub(super) describe: D,
}

impl<O: Display, R: Display, D: Fn(u32) -> String> Scene<'_, O, R, D> {
    pub(super) fn report(&self, dead_ends: &DeadEnds, key: String) -> Counterexample {
        let misfit = self.links.returned_at(dead_ends.bound).expect("a search ends at a return");
        let prefixes = dead_ends.ends.iter().map(|end| self.prefix(end)).collect();

        // Those of the orders come first, then what was concurrent, the latest calls first.
        let mut shown = vec![misfit];
        let mut add = |op: u32, max: usize| {
            let is_new = !shown.contains(&op);
            if is_new && shown.len() < max {
                shown.push(op);
                return 0;
            }
            usize::from(is_new)
        };
        for end in &dead_ends.ends {
            for op in end.last.iter().rev().take(3) {
                add(*op, ROWS_MAX / 2);
            }
        }
        let called = self.links.position(misfit);
        let is_concurrent = |op: &u32| {
            self.links.position(*op) < dead_ends.bound && called < self.links.return_position(*op)
        };
        let concurrent = (0..self.links.total()).rev().filter(is_concurrent);
        let hidden = concurrent.map(|op| add(op, ROWS_MAX)).sum();

        shown.sort_by_key(|op| self.links.position(*op));
        let mut columns: Vec<u32> = shown
            .iter()
            .flat_map(|op| [self.links.position(*op), self.links.return_position(*op)])
            .filter(|position| *position != u32::MAX)
            .collect();
        columns.sort_unstable();
        let column = |position: u32| columns.partition_point(|it| *it < position);
        let row = |op: &u32| {
            let index = self.ops[*op as usize] as usize;
            let end = self.links.return_position(*op);
            let span = &self.spans[index];
            Row {
                index,
                process: span.process,
                text: self.text(index),
                called: span.called,
                returned: span.outcome.at().filter(|_| end != u32::MAX),
                start: column(self.links.position(*op)),
                end: (end != u32::MAX).then(|| column(end)),
            }
        };
        let rows = shown.iter().map(row).collect();
        let misfit = shown.iter().position(|op| *op == misfit).expect("it was put in first");
        Counterexample { key, prefixes, rows, misfit, hidden }
    }

    fn prefix(&self, end: &DeadEnd) -> Prefix {
        let last: Vec<usize> = end.last.iter().map(|op| self.ops[*op as usize] as usize).collect();
        let skipped = end.last.len().saturating_sub(LAST_SHOWN);
        let text = last[skipped..].iter().map(|index| self.text(*index)).collect::<Vec<_>>();
        let state = shortened((self.describe)(end.state));
        Prefix { count: end.count, last, text: text.join(", "), state }
    }

    fn text(&self, index: usize) -> String {
        let span = &self.spans[index];
        shortened(match &span.outcome {
            Outcome::Ok { returned, .. } => format!("{} -> {returned}", span.operation),
            Outcome::Fail { .. } | Outcome::Info { .. } => format!("{} -> ?", span.operation),
        })
    }
}

/// Leaves out the middle of a long text: values that grow differ at their ends.
fn shortened(text: String) -> String {
    let count = text.chars().count();
    if count <= TEXT_CHARS_MAX {
        return text;
    }
    let half = (TEXT_CHARS_MAX - 2) / 2;
    let (first, last) = (text.chars().take(half), text.chars().skip(count - half));
    first.chain("..".chars()).chain(last).collect()
}

impl Row {
    fn stamps(&self) -> String {
        let returned = self.returned.map(|it| it.as_nanos().to_string());
        format!("{}..{}", self.called.as_nanos(), returned.unwrap_or_default())
    }
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misfit = &self.rows[self.misfit];
        if !self.key.is_empty() {
            write!(f, "key {}, ", self.key)?;
        }
        writeln!(f, "process {}: {} fits nowhere", misfit.process, misfit.text)?;
        for prefix in &self.prefixes {
            match prefix.count {
                0 => write!(f, "order of 0 operations")?,
                1 => write!(f, "order of 1 operation, {}", prefix.text)?,
                count => write!(f, "order of {count} operations, last {}", prefix.text)?,
            }
            let then = if prefix.state.is_empty() { "" } else { "; then it " };
            writeln!(f, "{then}{}", prefix.state)?;
        }
        let width = |cell: fn(&Row) -> String| {
            self.rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
        };
        let process = width(|row| row.process.to_string());
        let (text, stamps) = (width(|row| row.text.clone()), width(Row::stamps));
        for (index, row) in self.rows.iter().enumerate() {
            let mark = if index == self.misfit { "  <- fits nowhere" } else { "" };
            let bar = match row.end {
                Some(end) => format!("|{}|", "-".repeat((end - row.start).saturating_sub(1))),
                None => "|--- ..".to_owned(),
            };
            write!(f, "  {:>process$}  {:<text$}  ", row.process, row.text)?;
            writeln!(f, "{:<stamps$}  {}{bar}{mark}", row.stamps(), " ".repeat(row.start))?;
        }
        if 0 < self.hidden {
            writeln!(f, "  and {} more at the same time", self.hidden)?;
        }
        Ok(())
    }
}

/// Orders that are kept: they differ in their states.
const PREFIXES_MAX: usize = 3;

/// Operations that are kept of an order.
const LAST_MAX: usize = 16;

/// Operations of an order that are printed.
const LAST_SHOWN: usize = 3;

/// Rows of a table: what fits a screen.
const ROWS_MAX: usize = 24;

/// Characters of a row: half of a terminal is left for the rest.
const TEXT_CHARS_MAX: usize = 40;
