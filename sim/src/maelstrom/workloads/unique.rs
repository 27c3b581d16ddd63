//! `unique-ids`: no id comes twice.

use std::collections::BTreeMap;

use quorate_core::SplitMix64;

use super::{Finals, Judged, Seen, Verdict, Work, value_of};
use crate::history::{Value, Words};
use crate::maelstrom::message::Body;

#[derive(Debug)]
pub(super) struct UniqueIds;

impl Work for UniqueIds {
    fn next(&mut self, _client: usize, _draw: &mut SplitMix64) -> Words {
        Words::new("generate", Value::Null)
    }

    fn request(&self, _words: &Words) -> Body {
        Body::new("generate")
    }

    fn returned(&mut self, _: usize, _: &Words, body: &Body) -> Result<Value, &'static str> {
        body.field("id").map(value_of).ok_or("a field `id`")
    }

    fn judge(&self, seen: &Seen, _finals: &Finals) -> Judged {
        let mut first = BTreeMap::new();
        let (mut repeated, mut example) = (0_u64, None);
        for span in seen.spans() {
            let Some(id) = span.outcome.returned() else { continue };
            match first.get(id) {
                None => _ = first.insert(id, span.process),
                Some(who) => {
                    repeated += 1;
                    example.get_or_insert((id, *who, span.process));
                }
            }
        }
        let judged = match example {
            None => Judged::new(Verdict::Valid),
            Some((id, one, two)) => Judged::invalid(format!(
                "{repeated} ids were given again, as {id} to process {one} and to process {two}"
            )),
        };
        judged.note(format!("{} ids", first.len()))
    }
}
