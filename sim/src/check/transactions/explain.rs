//! Transactions, and why one comes before another, in words.

use std::fmt::Write as _;

use super::{ListHistory, ListOp, RegisterHistory, RwOp};
use crate::check::cycles::{Hop, Kinds};
use crate::history::Value;
use crate::wording;

/// Describes the transactions of a history.
pub(super) trait Words {
    /// Returns why a transaction comes before another.
    fn hop(&self, hop: &Hop) -> String;

    /// Returns what a transaction did.
    fn transaction(&self, index: usize) -> String;
}

/// Words for lists.
pub(super) struct Lists<'a> {
    pub(super) history: &'a ListHistory,
    pub(super) keys: &'a [&'a Value],
}

impl Lists<'_> {
    fn ops(&self, transaction: u32) -> &[ListOp] {
        &self.history.spans()[transaction as usize].operation
    }

    fn appends(&self, transaction: u32, key: &Value) -> impl DoubleEndedIterator<Item = i64> {
        self.ops(transaction).iter().filter_map(move |op| match op {
            ListOp::Append { key: of, element } if of == key => Some(*element),
            _ => None,
        })
    }

    /// The lists that a transaction read at `key`.
    fn reads(&self, transaction: u32, key: &Value) -> impl Iterator<Item = &[i64]> {
        let span = &self.history.spans()[transaction as usize];
        let found = span.outcome.returned().into_iter().flatten();
        let reads = span.operation.iter().filter_map(|op| match op {
            ListOp::Read { key } => Some(key),
            ListOp::Append { .. } => None,
        });
        reads.zip(found).filter(move |(of, _)| *of == key).map(|(_, list)| &**list)
    }
}

impl Words for Lists<'_> {
    fn hop(&self, hop: &Hop) -> String {
        let Hop { from, to, kind, .. } = *hop;
        if kind == Kinds::PROCESS || kind == Kinds::REAL_TIME {
            return in_time(hop);
        }
        let key = self.keys[hop.why as usize];
        if kind == Kinds::WW {
            let before = self.appends(from, key).next_back().unwrap_or_default();
            let after = self.appends(to, key).next().unwrap_or_default();
            format!("T{from} appended {before} to {}, T{to} appended {after} after it", Name(key))
        } else if kind == Kinds::WR {
            let is_read = |it: &i64| self.reads(to, key).any(|list| list.contains(it));
            let seen = self.appends(from, key).rfind(is_read).unwrap_or_default();
            format!("T{from} appended {seen} to {}, which T{to} read", Name(key))
        } else {
            let list = self.reads(from, key).next().unwrap_or_default();
            let is_new = |it: &i64| !list.contains(it);
            let missed = self.appends(to, key).find(is_new).unwrap_or_default();
            let list = List(list);
            format!("T{from} read {} = {list}, without the {missed} that T{to} appended", Name(key))
        }
    }

    fn transaction(&self, index: usize) -> String {
        let span = &self.history.spans()[index];
        let mut found = span.outcome.returned().into_iter().flatten();
        describe(
            index,
            span.process,
            span.operation.iter().map(|op| match op {
                ListOp::Append { key, element } => format!("append {} {element}", Name(key)),
                ListOp::Read { key } => match found.next() {
                    Some(list) => format!("read {} -> {}", Name(key), List(list)),
                    None => format!("read {} -> ?", Name(key)),
                },
            }),
        )
    }
}

/// Words for registers.
pub(super) struct Registers<'a> {
    pub(super) history: &'a RegisterHistory,
    pub(super) keys: &'a [&'a Value],
}

impl Registers<'_> {
    fn write(&self, transaction: u32, key: &Value) -> i64 {
        let ops = &self.history.spans()[transaction as usize].operation;
        let written = ops.iter().rev().find_map(|op| match op {
            RwOp::Write { key: of, value } if of == key => Some(*value),
            _ => None,
        });
        written.unwrap_or_default()
    }

    fn read(&self, transaction: u32, key: &Value) -> Option<i64> {
        let span = &self.history.spans()[transaction as usize];
        let found = span.outcome.returned().into_iter().flatten();
        let mut reads = span.operation.iter().filter_map(|op| match op {
            RwOp::Read { key } => Some(key),
            RwOp::Write { .. } => None,
        });
        reads.by_ref().zip(found).find(|(of, _)| *of == key).and_then(|(_, value)| *value)
    }
}

impl Words for Registers<'_> {
    fn hop(&self, hop: &Hop) -> String {
        let Hop { from, to, kind, .. } = *hop;
        if kind == Kinds::PROCESS || kind == Kinds::REAL_TIME {
            return in_time(hop);
        }
        let key = self.keys[hop.why as usize];
        let name = Name(key);
        if kind == Kinds::WW {
            let (before, after) = (self.write(from, key), self.write(to, key));
            format!("T{from} wrote {name} = {before}, T{to} overwrote it with {after}")
        } else if kind == Kinds::WR {
            let value = self.read(to, key).unwrap_or_default();
            format!("T{from} wrote {name} = {value}, which T{to} read")
        } else {
            let value = Maybe(self.read(from, key));
            let missed = self.write(to, key);
            format!("T{from} read {name} = {value}, before T{to} wrote {missed}")
        }
    }

    fn transaction(&self, index: usize) -> String {
        let span = &self.history.spans()[index];
        let mut found = span.outcome.returned().into_iter().flatten();
        describe(
            index,
            span.process,
            span.operation.iter().map(|op| match op {
                RwOp::Write { key, value } => format!("write {} {value}", Name(key)),
                RwOp::Read { key } => match found.next() {
                    Some(value) => format!("read {} -> {}", Name(key), Maybe(*value)),
                    None => format!("read {} -> ?", Name(key)),
                },
            }),
        )
    }
}

fn in_time(hop: &Hop) -> String {
    let Hop { from, to, kind, .. } = *hop;
    if kind == Kinds::PROCESS {
        format!("T{to} came after T{from} in its process")
    } else {
        format!("T{from} was over before T{to} began")
    }
}

fn describe(index: usize, process: u64, ops: impl Iterator<Item = String>) -> String {
    let mut text = format!("T{index} (process {process}): ");
    for (place, op) in ops.enumerate() {
        if OPS_SHOWN <= place {
            text.push_str(", ..");
            break;
        }
        let comma = if place == 0 { "" } else { ", " };
        _ = write!(text, "{comma}{op}");
    }
    text
}

/// A key, without the quotes of a text.
pub(super) struct Name<'a>(pub(super) &'a Value);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Value::Text(text) => f.write_str(&wording::visible(text)),
            value => write!(f, "{value}"),
        }
    }
}

/// The last elements of a list.
pub(super) struct List<'a>(pub(super) &'a [i64]);

impl std::fmt::Display for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let skipped = self.0.len().saturating_sub(ELEMENTS_SHOWN);
        f.write_str(if skipped == 0 { "[" } else { "[..," })?;
        for (place, element) in self.0[skipped..].iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{element}")?;
        }
        f.write_str("]")
    }
}

/// A value, or that there is none.
pub(super) struct Maybe(pub(super) Option<i64>);

impl std::fmt::Display for Maybe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value}"),
            None => f.write_str("nothing"),
        }
    }
}

/// Operations of a transaction that are printed.
const OPS_SHOWN: usize = 16;

/// Elements of a list that are printed: the last ones, which differ.
const ELEMENTS_SHOWN: usize = 12;
