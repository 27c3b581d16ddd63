//! One list: the order of its elements, and what follows from it.

use super::anomaly::AnomalyKind;
use super::explain::{List, Name};
use super::list_append::{Act, ListAct};
use super::verdict::Findings;
use super::{Status, WrittenTwice};
use crate::check::cycles::{Edges, Kinds};
use crate::check::slips::{Slip, is_planted};
use crate::history::Value;

/// All that was done to a list.
///
/// The longest read tells the order of the elements, of which every other read must be the start.
/// What nobody read was appended after it.
pub(super) struct ListKey<'a> {
    key: &'a Value,
    id: u32,
    acts: &'a [Act<ListAct<'a>>],
    statuses: &'a [Status],
    appends: Vec<Append>,
    /// Elements, and their places in `appends`.
    by_element: Vec<(i64, u32)>,
    longest: &'a [i64],
    longest_by: u32,
    /// For each element of the longest read its place in `appends`.
    order: Vec<Option<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Append {
    element: i64,
    transaction: u32,
    /// Its place in the longest read.
    position: Option<u32>,
    /// Whether its transaction appends nothing to this list afterwards.
    is_last: bool,
}

impl<'a> ListKey<'a> {
    pub(super) fn new(
        key: &'a Value,
        id: u32,
        acts: &'a [Act<ListAct<'a>>],
        statuses: &'a [Status],
    ) -> Result<Self, WrittenTwice> {
        let mut appends: Vec<Append> = Vec::new();
        let (mut longest, mut longest_by): (&[i64], u32) = (&[], 0);
        for act in acts {
            match act.what {
                ListAct::Append(element) => {
                    let transaction = act.transaction;
                    if let Some(before) = appends.last_mut()
                        && before.transaction == transaction
                    {
                        before.is_last = false;
                    }
                    appends.push(Append { element, transaction, position: None, is_last: true });
                }
                ListAct::Read(list) if longest.len() < list.len() => {
                    (longest, longest_by) = (list, act.transaction);
                }
                ListAct::Read(_) => {}
            }
        }
        let mut by_element: Vec<(i64, u32)> =
            (0..).zip(&appends).map(|(place, append)| (append.element, place)).collect();
        by_element.sort_unstable();
        if let Some(pair) = by_element.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let of = |place: u32| appends[place as usize].transaction as usize;
            return Err(WrittenTwice {
                key: key.clone(),
                value: pair[0].0,
                first: of(pair[0].1),
                second: of(pair[1].1),
            });
        }
        let order = Vec::new();
        Ok(Self { key, id, acts, statuses, appends, by_element, longest, longest_by, order })
    }

    /// Notes what is wrong here, and adds the edges that follow.
    pub(super) fn scan(mut self, edges: &mut Edges, findings: &mut Findings) {
        findings.steps += self.longest.len() as u64;
        self.order = self.longest.iter().map(|element| self.place(*element)).collect();
        let is_once = self.look_at(self.longest, self.longest_by, findings);
        for (position, place) in (0..).zip(&self.order) {
            if let Some(place) = place {
                self.appends[*place as usize].position.get_or_insert(position);
            }
        }
        self.dirty_updates(findings);
        let mut is_one_order = is_once;
        for run in self.acts.chunk_by(|one, two| one.transaction == two.transaction) {
            is_one_order &= self.reads_fit(run, findings);
            self.own_order(run, findings);
            if self.statuses[run[0].transaction as usize] == Status::Ok {
                self.internal(run, findings);
            }
        }
        self.lost_updates(findings);
        if is_once {
            self.add_edges(is_one_order, edges);
        }
    }

    fn place(&self, element: i64) -> Option<u32> {
        let found = self.by_element.binary_search_by_key(&element, |(element, _)| *element);
        found.ok().map(|index| self.by_element[index].1)
    }

    fn status(&self, append: &Append) -> Status {
        self.statuses[append.transaction as usize]
    }

    /// Looks for elements of `list` that should not be in it; returns whether none is in it twice.
    fn look_at(&self, list: &[i64], reader: u32, findings: &mut Findings) -> bool {
        let name = Name(self.key);
        for element in list {
            match self.place(*element).map(|place| &self.appends[place as usize]) {
                None => findings.note(AnomalyKind::GarbageRead, &[reader], || {
                    format!("T{reader} read {element} in {name}, which nobody appended")
                }),
                Some(append) if self.status(append) == Status::Fail => {
                    let writer = append.transaction;
                    findings.note(AnomalyKind::G1a, &[reader, writer], || {
                        format!(
                            "T{reader} read {element} in {name}, which T{writer} appended \
                                 and failed"
                        )
                    });
                }
                Some(_) => {}
            }
        }
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(pair) = twice {
            findings.note(AnomalyKind::DuplicateElements, &[reader], || {
                format!("T{reader} read {} twice in {name} = {}", pair[0], List(list))
            });
        }
        twice.is_none()
    }

    /// Looks for writes upon writes that failed.
    fn dirty_updates(&self, findings: &mut Findings) {
        let known = self.order.iter().flatten().map(|place| &self.appends[*place as usize]);
        let mut failed: Option<&Append> = None;
        for append in known {
            match (self.status(append), failed) {
                (Status::Fail, _) => failed = Some(append),
                (Status::Ok | Status::Info, Some(before)) => {
                    let (from, to) = (before.transaction, append.transaction);
                    findings.note(AnomalyKind::DirtyUpdate, &[from, to], || {
                        let (name, element) = (Name(self.key), before.element);
                        let after = append.element;
                        format!(
                            "T{from} appended {element} to {name} and failed, T{to} appended \
                                 {after} after it"
                        )
                    });
                    return;
                }
                (Status::Ok | Status::Info, None) => {}
            }
        }
    }

    /// Whether the reads of a transaction are starts of the longest one. Those that end between
    /// two writes of another are noted as well.
    fn reads_fit(&self, run: &[Act<ListAct<'_>>], findings: &mut Findings) -> bool {
        let (reader, name) = (run[0].transaction, Name(self.key));
        let mut fits = true;
        for act in run {
            let ListAct::Read(list) = act.what else { continue };
            findings.steps += list.len() as u64;
            if !self.is_start(list) {
                fits = false;
                let other = self.longest_by;
                findings.note(AnomalyKind::IncompatibleOrder, &[reader, other], || {
                    let (list, longest) = (List(list), List(self.longest));
                    format!("T{reader} read {name} = {list}, but T{other} read {longest}")
                });
                self.look_at(list, reader, findings);
                continue;
            }
            let last = list.len().checked_sub(1).and_then(|last| self.order[last]);
            let Some(append) = last.map(|place| &self.appends[place as usize]) else { continue };
            if !append.is_last && append.transaction != reader {
                let (writer, element) = (append.transaction, append.element);
                findings.note(AnomalyKind::G1b, &[reader, writer], || {
                    format!(
                        "T{reader} read {name} up to {element}, after which T{writer} appended more"
                    )
                });
            }
        }
        fits
    }

    fn is_start(&self, list: &[i64]) -> bool {
        self.longest.starts_with(list)
            || is_planted(Slip::TrustsReads) && list.len() <= self.longest.len()
    }

    /// Looks for appends of one transaction that stand in another order than it made them in.
    fn own_order(&self, run: &[Act<ListAct<'_>>], findings: &mut Findings) {
        let (writer, mut last) = (run[0].transaction, Some(0));
        for act in run {
            let ListAct::Append(element) = act.what else { continue };
            let Some(place) = self.place(element) else { continue };
            let position = self.appends[place as usize].position;
            if position.is_some() && last.is_none_or(|last| position < Some(last)) {
                findings.note(AnomalyKind::IncompatibleOrder, &[writer], || {
                    let name = Name(self.key);
                    format!(
                        "T{writer} appended {element} to {name} after others that do not \
                             come before it"
                    )
                });
            }
            last = position;
        }
    }

    /// Looks for reads that do not fit what their own transaction read and wrote.
    fn internal(&self, run: &[Act<ListAct<'_>>], findings: &mut Findings) {
        let (reader, name) = (run[0].transaction, Name(self.key));
        let mut own: Vec<i64> = Vec::new();
        let mut before: Option<&[i64]> = None;
        for act in run {
            let list = match act.what {
                ListAct::Append(element) => {
                    own.push(element);
                    continue;
                }
                ListAct::Read(list) => list,
            };
            let rest = list.strip_suffix(&*own);
            if rest.is_none() || before.is_some_and(|before| rest != Some(before)) {
                findings.note(AnomalyKind::Internal, &[reader], || {
                    let (list, own) = (List(list), List(&own));
                    match before {
                        Some(before) => format!(
                            "T{reader} read {name} = {}, appended {own}, and read {list}",
                            List(before)
                        ),
                        None => format!("T{reader} appended {own} to {name}, and read {list}"),
                    }
                });
            }
            before = Some(list);
            own.clear();
        }
        // Backwards: the first place of what is appended later.
        let mut first: Option<u32> = None;
        for act in run.iter().rev() {
            match act.what {
                ListAct::Append(element) => {
                    let place = self.place(element);
                    let position = place.and_then(|it| self.appends[it as usize].position);
                    first = first.into_iter().chain(position).min();
                }
                ListAct::Read(list) => {
                    if first.is_some_and(|first| (first as usize) < list.len()) {
                        findings.note(AnomalyKind::FutureRead, &[reader], || {
                            format!(
                                "T{reader} read {name} = {}, and appended part of it later",
                                List(list)
                            )
                        });
                    }
                }
            }
        }
    }

    /// Looks for two transactions that read as much of the list, and both appended to it.
    fn lost_updates(&self, findings: &mut Findings) {
        let mut updates: Vec<(usize, u32)> = Vec::new();
        for run in self.acts.chunk_by(|one, two| one.transaction == two.transaction) {
            let ListAct::Read(list) = run[0].what else { continue };
            let writes = run.iter().any(|act| matches!(act.what, ListAct::Append(_)));
            if writes && self.is_start(list) {
                updates.push((list.len(), run[0].transaction));
            }
        }
        updates.sort_unstable();
        for pair in updates.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (one, two) = (pair[0].1, pair[1].1);
            findings.note(AnomalyKind::LostUpdate, &[one, two], || {
                let (name, list) = (Name(self.key), List(&self.longest[..pair[0].0]));
                format!("T{one} and T{two} read {name} = {list}, and both appended to it")
            });
        }
    }

    /// Returns who appended what is at a place of the order, if it happened.
    fn writer(&self, position: usize) -> Option<u32> {
        let append = &self.appends[self.order[position]? as usize];
        (self.status(append) != Status::Fail).then_some(append.transaction)
    }

    fn add_edges(&self, is_one_order: bool, edges: &mut Edges) {
        // For each place the writer that is there or later.
        let mut next: Vec<Option<u32>> = vec![None; self.order.len() + 1];
        for position in (0..self.order.len()).rev() {
            let writer = self.writer(position);
            if let (Some(writer), Some(later)) = (writer, next[position + 1]) {
                edges.add(writer, later, Kinds::WW, self.id);
            }
            next[position] = writer.or(next[position + 1]);
        }
        let (mut at_end, mut unread) = (Vec::new(), Vec::new());
        for run in self.acts.chunk_by(|one, two| one.transaction == two.transaction) {
            let transaction = run[0].transaction;
            for act in run {
                let ListAct::Read(list) = act.what else { break };
                if !self.is_start(list) {
                    continue;
                }
                let seen = list.len().checked_sub(1).and_then(|it| self.writer(it));
                if let Some(writer) = seen {
                    edges.add(writer, transaction, Kinds::WR, self.id);
                }
                match next[list.len()] {
                    _ if is_planted(Slip::IgnoresMisses) => {}
                    // Half of what one transaction appended is no version that was missed.
                    later if later.is_some() && later == seen => {}
                    Some(writer) => edges.add(transaction, writer, Kinds::RW, self.id),
                    None => at_end.push(transaction),
                }
            }
            let is_unread = |act: &Act<ListAct<'_>>| {
                let ListAct::Append(element) = act.what else { return false };
                let place = self.place(element);
                place.is_some_and(|place| self.appends[place as usize].position.is_none())
            };
            let is_ok = self.statuses[transaction as usize] == Status::Ok;
            if is_one_order && is_ok && run.iter().any(is_unread) {
                unread.push(transaction);
            }
        }
        at_end.dedup();
        let last = (0..self.order.len()).rev().find_map(|position| self.writer(position));
        // Who saw half of what one transaction appended missed no version of it.
        unread.retain(|writer| Some(*writer) != last);
        edges.fan(&at_end, &unread, Kinds::RW, self.id);
        if let Some(last) = last {
            edges.fan(&[last], &unread, Kinds::WW, self.id);
        }
    }
}
