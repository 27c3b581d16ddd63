//! Watches of a store with revisions: each event that was asked for, once, in order, whole.
//!
//! ```text
//! changes   5: put a   6: put b, delete a   7: put b          all that the store holds
//! watch 1   from 5     5 a, 6 b                               torn: 6 has more, and 7 came
//!           bookmark 7                                        too early: 7 b was not given
//! ```
//!
//! The input is what the store did, [`Change`]s, and what each watch was given, [`Watch`]es: both
//! in the order in which they came. Memory and time are O(changes that a watch asked for).
//!
//! JSON lines, as [`read`] reads them. Changes may stand anywhere, but in the order of revisions;
//! `value` is left out where a key was deleted; `from` is the first revision that is asked for:
//!
//! ```text
//! {"type":"change","revision":5,"key":"a","value":"1"}
//! {"type":"watch","watch":1,"from":5,"prefix":"","previous":true,"only":"put"}
//! {"type":"event","watch":1,"revision":5,"key":"a","value":"1","create":true}
//! {"type":"event","watch":1,"revision":7,"key":"a","value":"2","create":false,"previous":"1"}
//! {"type":"bookmark","watch":1,"revision":9}
//! {"type":"resume","watch":1,"from":10}
//! ```
//!
//! A watch asks for a `key`, or for all keys with a `prefix`; `only` may be `put` or `delete`.
//! `create` and `previous` are judged where an event has them. A bookmark says that all up to its
//! revision was given.
//!
//! Source: the guarantees of etcd's watch API: ordered, unique, reliable, atomic, resumable,
//! bookmarkable.

mod lines;

use std::collections::BTreeMap;
use std::fmt;

pub use self::lines::read;

use super::report::Report;
use super::slips::{Slip, is_planted};

/// A change of one key. Those of one transaction have one revision.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests make them")]
pub struct Change {
    /// When, in the store's own count.
    pub revision: u64,
    /// What.
    pub key: String,
    /// What it holds then; `None` if it was deleted.
    pub value: Option<String>,
}

/// What somebody asked for, and was given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Watch {
    /// The first revision.
    pub from: u64,
    /// The key, or what it must start with.
    pub key: String,
    /// Whether `key` is only what keys start with.
    pub is_prefix: bool,
    /// Which kind of change, if not both.
    pub only: Option<Only>,
    /// Whether each event must have what the key held before.
    pub wants_previous: bool,
    /// What came.
    pub received: Vec<Received>,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a value is there or not")]
pub enum Only {
    /// The key holds something.
    Put,
    /// It does not any more.
    Delete,
}

/// What came from a watch.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "tests make them")]
pub enum Received {
    /// A change, as it is told.
    Event(Event),
    /// All up to this revision was given.
    Bookmark(u64),
    /// It was asked for again, from this revision.
    Resume(u64),
}

/// A change, as a watch tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "tests make them")]
pub struct Event {
    /// What changed.
    pub change: Change,
    /// Whether the key was not there before; `None` if it is not said.
    pub is_create: Option<bool>,
    /// What the key held before; `None` if it is not said.
    pub previous: Option<String>,
}

/// What is wrong with a watch. Positions are those of watches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum WatchFault {
    /// A change was not told, though a later one was.
    Lost,
    /// Part of a revision was not told, though a later one was.
    Torn,
    /// A change was told after a later one.
    Unordered,
    /// A change was told twice.
    Repeated,
    /// A change was told that the store does not have, or not so.
    Invented,
    /// A change was told that was not asked for: another key, kind or an earlier revision.
    NotAsked,
    /// A bookmark says more than was given.
    EarlyBookmark,
    /// After it was asked for again, it started later.
    NotResumed,
    /// The previous value is not what the key held.
    WrongPrevious,
    /// It is not true that the key was new, or that it was not.
    WrongCreate,
}

/// Judges `watches` of a store with these `changes`, which are in the order of revisions.
///
/// # Examples
///
/// ```
/// use quorate_sim::check::watch;
///
/// let text = r#"
/// {"type":"change","revision":5,"key":"a","value":"1"}
/// {"type":"change","revision":6,"key":"a"}
/// {"type":"watch","watch":1,"from":5,"key":"a"}
/// {"type":"event","watch":1,"revision":6,"key":"a"}"#;
/// let (changes, watches) = watch::read(text.as_bytes())?;
/// assert_eq!(watch::check(&changes, &watches).to_string(), "lost");
/// # Ok::<(), quorate_sim::history::ReadError>(())
/// ```
#[must_use]
pub fn check(changes: &[Change], watches: &[Watch]) -> Report<WatchFault> {
    let mut report = Report::new();
    let mut holds: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let before: Vec<Option<&str>> = changes
        .iter()
        .map(|change| holds.insert(&change.key, change.value.as_deref()).flatten())
        .collect();
    let places: BTreeMap<(u64, &str), usize> = changes
        .iter()
        .enumerate()
        .map(|(place, change)| ((change.revision, &*change.key), place))
        .collect();
    for (index, watch) in watches.iter().enumerate() {
        Follower::new(changes, watch, index).run(&before, &places, &mut report);
    }
    report
}

/// One watch, as it is read.
struct Follower<'a> {
    changes: &'a [Change],
    watch: &'a Watch,
    index: usize,
    /// The changes that it asks for, in order.
    expected: Vec<usize>,
    /// Of each, whether it was told since the last time that it was asked for.
    is_told: Vec<bool>,
    /// What was told since then.
    era: Era,
}

/// What a watch was told since it was asked for, or asked for again.
#[derive(Clone, Copy, Debug, Default)]
struct Era {
    from: u64,
    is_resumed: bool,
    /// The revision of the first event.
    first: Option<u64>,
    /// The greatest revision of an event or a bookmark.
    latest: u64,
    /// Of what is expected, all before this was told, or is noted as not told.
    checked: usize,
}

impl<'a> Follower<'a> {
    fn new(changes: &'a [Change], watch: &'a Watch, index: usize) -> Self {
        let expected: Vec<usize> =
            (0..changes.len()).filter(|place| watch.asks_for(&changes[*place])).collect();
        let is_told = vec![false; expected.len()];
        let era = Era { from: watch.from, ..Era::default() };
        Self { changes, watch, index, expected, is_told, era }
    }

    fn change(&self, place: usize) -> &'a Change {
        &self.changes[self.expected[place]]
    }

    /// Returns the first place in what is expected with this revision or a later one.
    fn first(&self, revision: u64) -> usize {
        self.expected.partition_point(|it| self.changes[*it].revision < revision)
    }

    fn run(
        mut self,
        before: &[Option<&str>],
        places: &BTreeMap<(u64, &str), usize>,
        report: &mut Report<WatchFault>,
    ) {
        for received in &self.watch.received {
            match received {
                Received::Event(event) => {
                    let key = (event.change.revision, &*event.change.key);
                    match places.get(&key).copied() {
                        Some(place) if self.changes[place].value == event.change.value => {
                            self.details(event, before[place], report);
                            self.event(place, report);
                        }
                        _ => self.note(WatchFault::Invented, &event.change, report),
                    }
                }
                Received::Bookmark(revision) => self.bookmark(*revision, report),
                Received::Resume(from) => {
                    self.leave_out(report);
                    let place = self.first(*from);
                    self.is_told[place..].fill(false);
                    self.era = Era { from: *from, is_resumed: true, ..Era::default() };
                }
            }
        }
        self.leave_out(report);
    }

    fn event(&mut self, place: usize, report: &mut Report<WatchFault>) {
        let change = &self.changes[place];
        let asked = self.expected.binary_search(&place).ok();
        let Some(at) = asked.filter(|_| self.era.from <= change.revision) else {
            return self.note(WatchFault::NotAsked, change, report);
        };
        if std::mem::replace(&mut self.is_told[at], true) {
            return self.note(WatchFault::Repeated, change, report);
        }
        // Keys of one revision come in any order.
        if change.revision < self.era.latest && !is_planted(Slip::AnyOrder) {
            self.note(WatchFault::Unordered, change, report);
        }
        self.era.first.get_or_insert(change.revision);
        self.era.latest = self.era.latest.max(change.revision);
    }

    fn bookmark(&mut self, revision: u64, report: &mut Report<WatchFault>) {
        let end = self.first(revision.saturating_add(1));
        let start = self.era.checked.max(self.first(self.era.from));
        if let Some(place) = (start..end).find(|place| !self.is_told[*place]) {
            self.note(WatchFault::EarlyBookmark, self.change(place), report);
        }
        self.era.checked = self.era.checked.max(end);
        // What comes up to there now comes too late.
        self.era.latest = self.era.latest.max(revision.saturating_add(1));
    }

    /// Notes what was left out, though something later was told.
    fn leave_out(&self, report: &mut Report<WatchFault>) {
        let start = self.era.checked.max(self.first(self.era.from));
        for group in self.expected[start..]
            .chunk_by(|one, two| self.changes[*one].revision == self.changes[*two].revision)
        {
            let change = &self.changes[group[0]];
            if self.era.latest <= change.revision {
                break;
            }
            let at = self.expected.partition_point(|it| *it < group[0]);
            let told = &self.is_told[at..at + group.len()];
            let Some(left_out) = told.iter().position(|is_told| !is_told) else { continue };
            let is_before = self.era.first.is_none_or(|first| change.revision < first);
            let fault = if told.contains(&true) {
                WatchFault::Torn
            } else if self.era.is_resumed && is_before {
                WatchFault::NotResumed
            } else {
                WatchFault::Lost
            };
            self.note(fault, &self.changes[group[left_out]], report);
        }
    }

    fn details(&self, event: &Event, before: Option<&str>, report: &mut Report<WatchFault>) {
        let is_put = event.change.value.is_some();
        if event.is_create.is_some_and(|it| it != (is_put && before.is_none())) {
            self.note(WatchFault::WrongCreate, &event.change, report);
        }
        let previous = event.previous.as_deref();
        if previous != before && (previous.is_some() || self.watch.wants_previous) {
            self.note(WatchFault::WrongPrevious, &event.change, report);
        }
    }

    fn note(&self, fault: WatchFault, change: &Change, report: &mut Report<WatchFault>) {
        report.note(fault, &[self.index], || {
            let what = match &change.value {
                Some(value) => format!("{} = {value}", change.key),
                None => format!("{} deleted", change.key),
            };
            format!("watch {} and revision {}, {what}", self.index, change.revision)
        });
    }
}

impl Watch {
    /// Makes a watch of one key from a revision on.
    #[must_use]
    pub fn key(key: &str, from: u64) -> Self {
        Self { from, key: key.to_owned(), ..Self::default() }
    }

    /// Makes a watch of all keys that start so, from a revision on.
    #[must_use]
    pub fn prefix(prefix: &str, from: u64) -> Self {
        Self { is_prefix: true, ..Self::key(prefix, from) }
    }

    fn asks_for(&self, change: &Change) -> bool {
        let is_key =
            if self.is_prefix { change.key.starts_with(&self.key) } else { change.key == self.key };
        is_key
            && match self.only {
                None => true,
                Some(Only::Put) => change.value.is_some(),
                Some(Only::Delete) => change.value.is_none(),
            }
    }
}

impl fmt::Display for WatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Torn => "torn",
            Self::Unordered => "unordered",
            Self::Repeated => "repeated",
            Self::Invented => "invented",
            Self::NotAsked => "not-asked",
            Self::EarlyBookmark => "early-bookmark",
            Self::NotResumed => "not-resumed",
            Self::WrongPrevious => "wrong-previous",
            Self::WrongCreate => "wrong-create",
        })
    }
}
