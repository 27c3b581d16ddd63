//! The recording for `ShiViz`: a log with vector clocks.
//!
//! Source: Mattern, "Virtual Time and Global States of Distributed Systems" (1988), section 5;
//! Beschastnikh et al., "Debugging Distributed Systems" (2016), for the tool.
//!
//! ```text
//! (?<host>\S*) (?<clock>{.*})\n(?<event>.*)
//!
//! n1 {"n1":1}
//! send #1 to n2: Vote: term 2
//! n2 {"n1":1,"n2":1}
//! recv #1 from n1: Vote: term 2
//! ```
//!
//! Left out: what concerns no node and no client, as it has no place in the order of causes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use super::layout::{Layout, Owner, owner};
use super::words::{Words, visible};
use super::{Kind, Recording};

/// How many events of each host came before, or are this one.
type Clock = BTreeMap<Owner, u64>;

impl Recording {
    /// Writes all events of nodes and clients as a log that `ShiViz` draws: each with a vector
    /// clock, from the ids of messages.
    ///
    /// Names of hosts are those of nodes without white space, a number behind them if two nodes
    /// have the same. Costs time and memory in proportion to messages times hosts.
    #[must_use]
    pub fn to_shiviz(&self) -> String {
        let layout = Layout::new(self);
        let words = Words::new(&layout);
        let mut hosts = Hosts::new(&words);
        let mut clocks: BTreeMap<Owner, Clock> = BTreeMap::new();
        let mut sent: BTreeMap<u64, Rc<Clock>> = BTreeMap::new();
        let mut out = format!("{EXPRESSION}\n\n");
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| event.at);
        for event in events {
            let Some(owner) = owner(event) else { continue };
            let clock = clocks.entry(owner).or_default();
            if let Kind::Recv { id, .. } = event.kind
                && let Some(before) = sent.get(&id)
            {
                for (host, count) in &**before {
                    let own = clock.entry(*host).or_default();
                    *own = (*own).max(*count);
                }
            }
            *clock.entry(owner).or_default() += 1;
            if let Kind::Send { id, .. } = event.kind {
                sent.insert(id, Rc::new(clock.clone()));
            }
            let _ = write!(out, "{} {{", hosts.name(owner));
            for (index, (host, count)) in clock.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{}:{count}", hosts.quoted(*host));
            }
            let deed = words.deed(event);
            out.push_str("}\n");
            out.extend(deed.chars().map(visible));
            out.push('\n');
        }
        out
    }
}

/// Names without white space, no two the same.
struct Hosts<'a> {
    words: &'a Words<'a>,
    names: BTreeMap<Owner, (String, String)>,
    taken: BTreeSet<String>,
}

impl<'a> Hosts<'a> {
    const fn new(words: &'a Words<'a>) -> Self {
        Self { words, names: BTreeMap::new(), taken: BTreeSet::new() }
    }

    fn name(&mut self, owner: Owner) -> &str {
        &self.entry(owner).0
    }

    /// Returns the name as JSON.
    fn quoted(&mut self, owner: Owner) -> &str {
        &self.entry(owner).1
    }

    fn entry(&mut self, owner: Owner) -> &(String, String) {
        let Self { words, names, taken } = self;
        names.entry(owner).or_insert_with(|| {
            let name: String = words.name(owner).chars().map(solid).collect();
            let numbered = (2_u64..).map(|number| format!("{name}-{number}"));
            let mut names = std::iter::once(name.clone()).chain(numbered);
            let name = names.find(|name| !taken.contains(name)).unwrap_or(name);
            taken.insert(name.clone());
            let quoted = serde_json::Value::from(name.as_str()).to_string();
            (name, quoted)
        })
    }
}

/// Returns what stands for a character in a name. Braces would be taken for a clock.
fn solid(char: char) -> char {
    match visible(char) {
        char if char.is_whitespace() || "{}".contains(char) => '_',
        // White space of JavaScript, and of no other.
        '\u{feff}' => '_',
        char => char,
    }
}

/// What a parser of the log needs to know, as `ShiViz` has it.
const EXPRESSION: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";
