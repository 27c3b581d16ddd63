//! `echo`: what is said comes back.

use quorate_core::SplitMix64;

use super::{Finals, Judged, Seen, Verdict, Work, json_of, value_of};
use crate::history::{Value, Words};
use crate::maelstrom::message::Body;

#[derive(Debug, Default)]
pub(super) struct Echo {
    count: u64,
}

impl Work for Echo {
    fn next(&mut self, _client: usize, draw: &mut SplitMix64) -> Words {
        self.count += 1;
        let text = format!("Please echo {} of {}", draw.below(128), self.count);
        Words::new("echo", Value::from(&*text))
    }

    fn request(&self, words: &Words) -> Body {
        Body::new("echo").with("echo", json_of(&words.value))
    }

    fn returned(&mut self, _: usize, _: &Words, body: &Body) -> Result<Value, &'static str> {
        body.field("echo").map(value_of).ok_or("a field `echo`")
    }

    fn judge(&self, seen: &Seen, _finals: &Finals) -> Judged {
        for span in seen.spans() {
            if let Some(returned) = span.outcome.returned()
                && *returned != span.operation.value
            {
                let (said, process) = (&span.operation.value, span.process);
                return Judged::invalid(format!("process {process} said {said}, got {returned}"));
            }
        }
        Judged::new(Verdict::Valid)
    }
}
