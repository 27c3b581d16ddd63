//! Changes and watches as JSON lines.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use super::{Change, Event, Only, Received, Watch};
use crate::history::{ReadError, objects};

/// Reads changes and watches, the latter in the order in which they were asked for.
///
/// # Errors
///
/// What is wrong with the first line that is.
pub fn read(input: impl BufRead) -> Result<(Vec<Change>, Vec<Watch>), ReadError> {
    let mut changes: Vec<Change> = Vec::new();
    let mut watches: Vec<Watch> = Vec::new();
    let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
    objects::each(input, |_, line: Line| {
        match line.kind {
            Kind::Change => {
                let change = line.change()?;
                let last = changes.last();
                if last.is_some_and(|last| change.revision < last.revision) {
                    return Err("a change with a revision not before the last one");
                }
                let of_revision = changes.iter().rev();
                let same = of_revision.take_while(|it| it.revision == change.revision);
                if same.clone().any(|it| it.key == change.key) {
                    return Err("one change of a key in a revision");
                }
                changes.push(change);
            }
            Kind::Watch => {
                let number = line.watch.ok_or(NUMBER)?;
                if numbers.insert(number, watches.len()).is_some() {
                    return Err("a new number for a watch");
                }
                watches.push(line.watch()?);
            }
            Kind::Event | Kind::Bookmark | Kind::Resume => {
                let number = line.watch.ok_or(NUMBER)?;
                let place = numbers.get(&number).ok_or("the number of a watch above")?;
                watches[*place].received.push(line.received()?);
            }
        }
        Ok(())
    })?;
    Ok((changes, watches))
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    watch: Option<u64>,
    #[serde(default)]
    revision: Option<u64>,
    #[serde(default)]
    from: Option<u64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    create: Option<bool>,
    #[serde(default)]
    previous: Option<Previous>,
    #[serde(default)]
    only: Option<Wanted>,
}

impl Line {
    fn change(self) -> Result<Change, &'static str> {
        let revision = self.revision.ok_or("a `revision`")?;
        Ok(Change { revision, key: self.key.ok_or("a `key`")?, value: self.value })
    }

    fn watch(self) -> Result<Watch, &'static str> {
        let (key, is_prefix) = match (self.key, self.prefix) {
            (Some(key), None) => (key, false),
            (None, Some(prefix)) => (prefix, true),
            _ => return Err("a `key` or a `prefix`"),
        };
        Ok(Watch {
            from: self.from.ok_or(FROM)?,
            key,
            is_prefix,
            only: self.only.map(|it| match it {
                Wanted::Put => Only::Put,
                Wanted::Delete => Only::Delete,
            }),
            wants_previous: matches!(self.previous, Some(Previous::Wanted(true))),
            received: Vec::new(),
        })
    }

    fn received(mut self) -> Result<Received, &'static str> {
        match self.kind {
            Kind::Bookmark => Ok(Received::Bookmark(self.revision.ok_or("a `revision`")?)),
            Kind::Resume => Ok(Received::Resume(self.from.ok_or(FROM)?)),
            Kind::Change | Kind::Watch | Kind::Event => {
                let previous = match self.previous.take() {
                    None => None,
                    Some(Previous::Value(value)) => Some(value),
                    Some(Previous::Wanted(_)) => return Err("a text as `previous`"),
                };
                let is_create = self.create;
                Ok(Received::Event(Event { change: self.change()?, is_create, previous }))
            }
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Change,
    Watch,
    Event,
    Bookmark,
    Resume,
}

/// Of a watch, whether previous values are wanted; of an event, what it is.
#[derive(Deserialize)]
#[serde(untagged)]
enum Previous {
    Wanted(bool),
    Value(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Put,
    Delete,
}

const NUMBER: &str = "the number of a `watch`";
const FROM: &str = "a revision as `from`";
