//! `broadcast` and `g-set`: what was acknowledged is in every final read.
//!
//! ```text
//! add 7  |----| ok, acknowledged
//! read            |---| without 7       stale
//! read                    |---| without 7, the last such: stable a moment after its call
//! final read of each node          |---| with 7, or it is lost
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_core::{Instant, SplitMix64};

use super::{Finals, Half, Judged, Seen, Verdict, Work, items, json_of, value_of};
use crate::history::{Outcome, Value, Words};
use crate::maelstrom::message::Body;
use crate::maelstrom::report::Latencies;

#[derive(Debug)]
pub(super) struct Elements {
    /// What adds an element, and what it is called there.
    add: (&'static str, &'static str),
    /// What the elements are called in a read.
    read: &'static str,
    half: Half,
    last: i64,
}

impl Elements {
    pub(super) fn broadcast() -> Self {
        let add = ("broadcast", "message");
        Self { add, read: "messages", half: Half::default(), last: 0 }
    }

    pub(super) fn g_set() -> Self {
        let add = ("add", "element");
        Self { add, read: "value", half: Half::default(), last: 0 }
    }
}

impl Work for Elements {
    fn next(&mut self, _client: usize, draw: &mut SplitMix64) -> Words {
        if self.half.next(draw) {
            return Words::new("read", Value::Null);
        }
        self.last += 1;
        Words::new(self.add.0, self.last.into())
    }

    fn request(&self, words: &Words) -> Body {
        match &*words.f {
            "read" => Body::new("read"),
            f => Body::new(f).with(self.add.1, json_of(&words.value)),
        }
    }

    fn returned(&mut self, _: usize, words: &Words, body: &Body) -> Result<Value, &'static str> {
        if words.f != "read" {
            return Ok(Value::Null);
        }
        let list = body.field(self.read).filter(|it| it.is_array());
        list.map(value_of).ok_or(match self.read {
            "messages" => "a list `messages`",
            _ => "a list `value`",
        })
    }

    fn last(&self, _client: usize, before: Option<&Value>) -> Option<Words> {
        before.is_none().then(|| Words::new("read", Value::Null))
    }

    fn judge(&self, seen: &Seen, finals: &Finals) -> Judged {
        judge(seen, finals)
    }
}

/// Judges a set that only grows.
fn judge(seen: &Seen, finals: &Finals) -> Judged {
    let mut acknowledged = Vec::new();
    let mut possible = BTreeSet::new();
    for span in seen.spans().iter().filter(|it| it.operation.f != "read") {
        let element = &span.operation.value;
        match span.outcome {
            Outcome::Fail { .. } => continue,
            Outcome::Ok { at, .. } => acknowledged.push((element, at)),
            Outcome::Info { .. } => {}
        }
        possible.insert(element);
    }
    let reads = Reads::of(seen, &acknowledged, &possible);
    let mut lost = BTreeMap::new();
    for (node, index) in finals {
        let Some(found) = seen.spans()[*index].outcome.returned() else { continue };
        let found: BTreeSet<&Value> = items(found).iter().collect();
        for (element, _) in acknowledged.iter().filter(|(it, _)| !found.contains(it)) {
            lost.entry(*element).or_insert(node + 1);
        }
    }
    let judged = if let Some((element, node)) = lost.first_key_value() {
        Judged::invalid(format!(
            "{} of {} acknowledged elements are lost, as {element} in the last read of n{node}",
            lost.len(),
            acknowledged.len(),
        ))
    } else if let Some(element) = &reads.from_nowhere {
        Judged::invalid(format!("{element} was read, which nobody added"))
    } else if let Some(element) = &reads.repeated {
        Judged::invalid(format!("{element} was twice in a read"))
    } else {
        Judged::new(Verdict::Valid)
    };
    let stale = reads.stable.iter().filter(|it| !it.is_zero()).count();
    let counts = format!(
        "{} elements acknowledged, {} lost, {stale} stale at some time",
        acknowledged.len(),
        lost.len(),
    );
    Judged { stable: Latencies::of(reads.stable), ..judged.note(counts) }
}

/// What all reads together tell.
struct Reads {
    /// For each acknowledged element, for how long afterwards a read might miss it.
    stable: Vec<Duration>,
    /// An element that nobody can have added.
    from_nowhere: Option<Value>,
    /// An element that was more than once in a read.
    repeated: Option<Value>,
}

impl Reads {
    fn of(seen: &Seen, acknowledged: &[(&Value, Instant)], possible: &BTreeSet<&Value>) -> Self {
        let mut all = Self {
            stable: vec![Duration::ZERO; acknowledged.len()],
            from_nowhere: None,
            repeated: None,
        };
        for span in seen.spans().iter().filter(|it| it.operation.f == "read") {
            let Some(found) = span.outcome.returned() else { continue };
            let mut elements = BTreeSet::new();
            for element in items(found) {
                if !possible.contains(element) {
                    all.from_nowhere.get_or_insert_with(|| element.clone());
                }
                if !elements.insert(element) {
                    all.repeated.get_or_insert_with(|| element.clone());
                }
            }
            for ((element, known), stable) in acknowledged.iter().zip(&mut all.stable) {
                if *known < span.called && !elements.contains(element) {
                    *stable = span.called.saturating_duration_since(*known).max(*stable);
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::History;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    fn list(elements: &[i64]) -> Value {
        Value::list(elements.iter().map(|it| Value::from(*it)))
    }

    /// Adds 1, acknowledged at 10 ms, and perhaps 2; then come `reads`, the last one is final.
    fn check(reads: &[(u64, &[i64])]) -> Judged {
        let mut seen: Seen = History::new();
        let (one, two) = (seen.start(), seen.start());
        let add = seen.invoke(one, at(5), Words::new("add", 1.into()));
        let mut reader = seen.ok(add, at(10), Value::Null);
        let add = seen.invoke(two, at(5), Words::new("add", 2.into()));
        seen.info(add, at(10));
        for (time, elements) in reads {
            let read = seen.invoke(reader, at(*time), Words::new("read", Value::Null));
            reader = seen.ok(read, at(time + 1), list(elements));
        }
        judge(&seen, &Finals::from([(0, seen.spans().len() - 1)]))
    }

    #[test]
    fn what_was_acknowledged_must_be_there_in_the_end() {
        assert_eq!(check(&[(20, &[1])]).verdict, Verdict::Valid);
        assert_eq!(check(&[(20, &[2, 1])]).verdict, Verdict::Valid);
        let lost = check(&[(20, &[1, 2]), (30, &[2])]).verdict;
        let why = "1 of 1 acknowledged elements are lost, as 1 in the last read of n1";
        assert_eq!(lost, Verdict::Invalid(why.to_owned()));
    }

    #[test]
    fn nothing_comes_from_nowhere_or_twice() {
        let invalid = |why: &str| Verdict::Invalid(why.to_owned());
        let nowhere = invalid("3 was read, which nobody added");
        assert_eq!(check(&[(20, &[1, 3]), (30, &[1])]).verdict, nowhere);
        assert_eq!(check(&[(20, &[1, 1])]).verdict, invalid("1 was twice in a read"));
    }

    #[test]
    fn an_element_is_stable_after_the_last_read_that_missed_it() {
        let longest = |reads| check(reads).stable.expect("one element").longest;
        assert_eq!(longest(&[(7, &[]), (20, &[1])]), Duration::ZERO);
        assert_eq!(longest(&[(20, &[]), (25, &[1]), (40, &[]), (50, &[1])]).as_millis(), 30);
    }
}
