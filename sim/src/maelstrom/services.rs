//! Services that a node program may use: three stores and a clock.
//!
//! | service | requests | promise |
//! |---|---|---|
//! | `lin-kv` | `read`, `write`, `cas` | linearizable |
//! | `seq-kv` | the same | sequential: a node may read what was, but never goes back |
//! | `lww-kv` | the same | three replicas, the last write wins, some day they agree |
//! | `lin-tso` | `ts` | numbers that only rise |
//!
//! What a store may return is drawn from the seed.

use std::collections::{BTreeMap, VecDeque};

use quorate_core::SplitMix64;
use serde_json::Value;

use super::message::{
    Body, KEY_DOES_NOT_EXIST, MALFORMED_REQUEST, Message, NOT_SUPPORTED, PRECONDITION_FAILED,
};
use super::network::below;

/// All services of a run.
#[derive(Debug)]
pub(super) struct Services {
    linear: BTreeMap<String, Value>,
    sequential: Sequential,
    last_write: LastWrite,
    timestamp: u64,
    draw: SplitMix64,
}

/// What is asked of a store.
enum Request {
    Read,
    Write(Value),
    Cas { from: Value, to: Value, creates: bool },
}

type Store = BTreeMap<String, Value>;

impl Services {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            linear: Store::new(),
            sequential: Sequential::default(),
            last_write: LastWrite::default(),
            timestamp: 0,
            draw: SplitMix64::new(seed),
        }
    }

    /// Returns whether there is a service of this name.
    pub(super) fn has(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// Answers a request to a service that is there.
    pub(super) fn answer(&mut self, message: &Message) -> Message {
        let body = match (&*message.dest, &*message.body.kind) {
            ("lin-tso", "ts") => {
                self.timestamp += 1;
                Body::new("ts_ok").with("ts", self.timestamp)
            }
            ("lin-tso", _) => Body::error(NOT_SUPPORTED, "a timestamp service knows `ts`"),
            (store, _) => match request(&message.body) {
                Err(error) => error,
                Ok((key, request)) => self.store(store, &message.src, key, request),
            },
        };
        message.reply(body)
    }

    fn store(&mut self, store: &str, who: &str, key: String, request: Request) -> Body {
        match store {
            "seq-kv" => self.sequential.answer(who, key, request, &mut self.draw),
            "lww-kv" => self.last_write.answer(key, request, &mut self.draw),
            _ => match decide(self.linear.get(&key), request) {
                Ok((body, Some(value))) => {
                    self.linear.insert(key, value);
                    body
                }
                Ok((body, None)) | Err(body) => body,
            },
        }
    }
}

/// A store with old versions, from which those who have not seen newer ones may read.
#[derive(Debug, Default)]
struct Sequential {
    /// The last versions; the newest is at the back.
    versions: VecDeque<Store>,
    /// The number of the first of them.
    first: u64,
    /// The newest version that each node has seen.
    seen: BTreeMap<String, u64>,
}

impl Sequential {
    fn answer(&mut self, who: &str, key: String, request: Request, draw: &mut SplitMix64) -> Body {
        if self.versions.is_empty() {
            self.versions.push_back(Store::new());
        }
        let newest = self.versions.len() - 1;
        let seen = self.seen.get(who).copied().unwrap_or(0).saturating_sub(self.first);
        let seen = usize::try_from(seen).map_or(newest, |it| it.min(newest));
        let is_read = matches!(request, Request::Read);
        // Half of the reads are of the newest version, as otherwise little would ever be seen.
        let version = match is_read && draw.below(2) == 0 {
            true => seen + below(draw, newest - seen + 1),
            false => newest,
        };
        let (body, written) = match decide(self.versions[version].get(&key), request) {
            Ok(done) => done,
            Err(error) => (error, None),
        };
        let mut version = version;
        if let Some(value) = written {
            let mut next = self.versions[newest].clone();
            next.insert(key, value);
            self.versions.push_back(next);
            version = newest + 1;
            if VERSIONS_MAX < self.versions.len() {
                self.versions.pop_front();
                self.first += 1;
                version -= 1;
            }
        }
        self.seen.insert(who.to_owned(), self.first + version as u64);
        body
    }
}

/// Replicas that each take writes, and exchange them now and then.
#[derive(Debug, Default)]
struct LastWrite {
    replicas: [BTreeMap<String, (u64, Value)>; 3],
    clock: u64,
}

impl LastWrite {
    fn answer(&mut self, key: String, request: Request, draw: &mut SplitMix64) -> Body {
        let count = self.replicas.len();
        let at = below(draw, count);
        let found = self.replicas[at].get(&key).map(|(_, value)| value);
        let body = match decide(found, request) {
            Ok((body, Some(value))) => {
                self.clock += 1;
                self.replicas[at].insert(key, (self.clock, value));
                body
            }
            Ok((body, None)) | Err(body) => body,
        };
        let (from, to) = (below(draw, count), below(draw, count));
        for (key, (time, value)) in self.replicas[from].clone() {
            let entry = self.replicas[to].entry(key).or_insert_with(|| (time, value.clone()));
            if entry.0 < time {
                *entry = (time, value);
            }
        }
        body
    }
}

/// Reads a request to a store.
fn request(body: &Body) -> Result<(String, Request), Body> {
    let field = |name: &str| {
        let missing = || Body::error(MALFORMED_REQUEST, &format!("expected a field `{name}`"));
        body.field(name).cloned().ok_or_else(missing)
    };
    let request = match &*body.kind {
        "read" => Request::Read,
        "write" => Request::Write(field("value")?),
        "cas" => {
            let creates = body.field("create_if_not_exists") == Some(&Value::Bool(true));
            Request::Cas { from: field("from")?, to: field("to")?, creates }
        }
        _ => return Err(Body::error(NOT_SUPPORTED, "a store knows `read`, `write` and `cas`")),
    };
    Ok((field("key")?.to_string(), request))
}

/// Returns the answer where a key has the value `found`, and what it holds afterwards if that is
/// something else.
fn decide(found: Option<&Value>, request: Request) -> Result<(Body, Option<Value>), Body> {
    let missing = || Body::error(KEY_DOES_NOT_EXIST, "the key is not there");
    match (request, found) {
        (Request::Read, found) => {
            let value = found.cloned().ok_or_else(missing)?;
            Ok((Body::new("read_ok").with("value", value), None))
        }
        (Request::Write(value), _) => Ok((Body::new("write_ok"), Some(value))),
        (Request::Cas { to, creates: true, .. }, None) => Ok((Body::new("cas_ok"), Some(to))),
        (Request::Cas { .. }, None) => Err(missing()),
        (Request::Cas { from, to, .. }, Some(found)) if *found == from => {
            Ok((Body::new("cas_ok"), Some(to)))
        }
        (Request::Cas { from, .. }, Some(found)) => {
            let text = format!("expected {from}, found {found}");
            Err(Body::error(PRECONDITION_FAILED, &text))
        }
    }
}

pub(super) const NAMES: [&str; 4] = ["lin-kv", "seq-kv", "lww-kv", "lin-tso"];

/// How far back a sequential store may read. Each version is a copy of the store.
const VERSIONS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(services: &mut Services, store: &str, who: &str, body: Body) -> Body {
        let body = Body { msg_id: Some(7), ..body };
        let message = Message { src: who.to_owned(), dest: store.to_owned(), body };
        let reply = services.answer(&message);
        assert_eq!((&*reply.dest, reply.body.in_reply_to), (who, Some(7)));
        reply.body
    }

    fn read(key: &str) -> Body {
        Body::new("read").with("key", key)
    }

    fn write(key: &str, value: u64) -> Body {
        Body::new("write").with("key", key).with("value", value)
    }

    fn cas(key: &str, from: u64, to: u64) -> Body {
        Body::new("cas").with("key", key).with("from", from).with("to", to)
    }

    #[test]
    fn each_store_answers_as_the_protocol_says() {
        for store in ["lin-kv", "seq-kv", "lww-kv"] {
            let mut services = Services::new(1);
            let mut ask = |body| ask(&mut services, store, "n1", body);
            assert_eq!(ask(read("a")).error_code(), Some(20), "{store}");
            assert_eq!(ask(cas("a", 1, 2)).error_code(), Some(20));
            assert_eq!(ask(cas("a", 1, 2).with("create_if_not_exists", true)).kind, "cas_ok");
            assert_eq!(ask(Body::new("read")).error_code(), Some(12));
            assert_eq!(ask(Body::new("delete").with("key", "a")).error_code(), Some(10));
        }
    }

    #[test]
    fn a_linear_store_reads_what_was_written() {
        let mut services = Services::new(1);
        assert_eq!(ask(&mut services, "lin-kv", "n1", write("a", 1)).kind, "write_ok");
        assert_eq!(ask(&mut services, "lin-kv", "n2", cas("a", 2, 3)).error_code(), Some(22));
        assert_eq!(ask(&mut services, "lin-kv", "n2", cas("a", 1, 3)).kind, "cas_ok");
        let found = ask(&mut services, "lin-kv", "n1", read("a"));
        assert_eq!(found.field("value"), Some(&Value::from(3)));
    }

    #[test]
    fn a_sequential_store_is_stale_but_never_goes_back() {
        let (mut services, mut stale) = (Services::new(1), 0);
        let mut last = BTreeMap::from([("n1", 0), ("n2", 0)]);
        for round in 1..200 {
            ask(&mut services, "seq-kv", "n1", write("a", round));
            for (who, last) in &mut last {
                let found = ask(&mut services, "seq-kv", who, read("a"));
                let found = found.field("value").and_then(Value::as_u64).unwrap_or(0);
                assert!(*last <= found, "{who} went back from {last} to {found}");
                assert!(*who != "n1" || found == round, "n1 does not see its own write");
                stale += u64::from(found < round);
                *last = found;
            }
        }
        assert!((20..180).contains(&stale), "{stale} of 199 reads are stale");
    }

    #[test]
    fn replicas_agree_some_day() {
        let mut services = Services::new(1);
        for value in 0..10 {
            ask(&mut services, "lww-kv", "n1", write("a", value));
        }
        let mut found = || ask(&mut services, "lww-kv", "n1", read("a")).field("value").cloned();
        let early: Vec<_> = (0..10).map(|_| found()).collect();
        for _ in 0..100 {
            found();
        }
        assert!((0..10).all(|_| found() == Some(Value::from(9))), "first {early:?}");
    }

    #[test]
    fn timestamps_rise() {
        let mut services = Services::new(1);
        let mut ask = || ask(&mut services, "lin-tso", "n1", Body::new("ts"));
        assert_eq!(ask().field("ts"), Some(&Value::from(1)));
        assert_eq!(ask().field("ts"), Some(&Value::from(2)));
    }
}
