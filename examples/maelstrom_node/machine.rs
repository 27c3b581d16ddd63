//! What a log of requests makes: registers, logs, and the lists and registers of transactions.

use std::collections::BTreeMap;

use quorate_sim::maelstrom::Body;
use serde_json::{Map, Value, json};

/// The state of `lin-kv`, `kafka` and the transactions, by keys as they are written.
#[derive(Default)]
pub(super) struct Machine {
    registers: BTreeMap<String, Value>,
    logs: BTreeMap<String, Vec<Value>>,
    commits: BTreeMap<String, Value>,
    lists: BTreeMap<String, Vec<Value>>,
}

/// Says which field of a request is not what it must be, if one is not: only what passes may be
/// proposed, because all nodes apply it.
pub(super) fn check(body: &Body) -> Result<(), &'static str> {
    let field = |name: &'static str| body.field(name).ok_or(name);
    let object = |name| field(name)?.is_object().then_some(()).ok_or(name);
    match &*body.kind {
        "read" => field("key").map(drop),
        "write" => field("key").and(field("value")).map(drop),
        "cas" => field("key").and(field("from")).and(field("to")).map(drop),
        "send" => field("key").and(field("msg")).map(drop),
        "poll" | "commit_offsets" => object("offsets"),
        "list_committed_offsets" => field("keys")?.is_array().then_some(()).ok_or("keys"),
        "txn" => {
            let operations = field("txn")?.as_array().ok_or("txn")?;
            operations.iter().all(is_operation).then_some(()).ok_or("txn")
        }
        _ => Err("type"),
    }
}

/// Returns whether a transaction may have it: `[name, key, value]`.
fn is_operation(operation: &Value) -> bool {
    let parts = operation.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = parts.first().and_then(Value::as_str);
    parts.len() == 3 && matches!(name, Some("r" | "w" | "append"))
}

impl Machine {
    /// Applies a request. Returns the answer, or the name of the field that is missing.
    pub(super) fn apply(&mut self, body: &Body) -> Result<Body, &'static str> {
        let field = |name: &'static str| body.field(name).ok_or(name);
        let answer = Body::new(&format!("{}_ok", body.kind));
        Ok(match &*body.kind {
            "read" => match self.registers.get(&field("key")?.to_string()) {
                Some(value) => answer.with("value", value.clone()),
                None => Body::error(KEY_DOES_NOT_EXIST, "there is no such key"),
            },
            "write" => {
                self.registers.insert(field("key")?.to_string(), field("value")?.clone());
                answer
            }
            "cas" => match self.registers.get_mut(&field("key")?.to_string()) {
                None => Body::error(KEY_DOES_NOT_EXIST, "there is no such key"),
                Some(value) if value == field("from")? => {
                    *value = field("to")?.clone();
                    answer
                }
                Some(_) => Body::error(PRECONDITION_FAILED, "it holds something else"),
            },
            "send" => {
                let log = self.logs.entry(key(field("key")?)).or_default();
                log.push(field("msg")?.clone());
                answer.with("offset", log.len() - 1)
            }
            "poll" => {
                let offsets = field("offsets")?.as_object().ok_or("offsets")?;
                answer.with("msgs", self.poll(offsets))
            }
            "commit_offsets" => {
                let offsets = field("offsets")?.as_object().ok_or("offsets")?;
                self.commits.extend(offsets.clone());
                answer
            }
            "list_committed_offsets" => {
                let keys = field("keys")?.as_array().ok_or("keys")?.iter().map(key);
                let known = keys.filter_map(|key| Some((key.clone(), self.commits.get(&key)?)));
                let known = known.map(|(key, offset)| (key, offset.clone()));
                answer.with("offsets", known.collect::<Map<_, _>>())
            }
            "txn" => {
                let mut operations = field("txn")?.clone();
                for operation in operations.as_array_mut().ok_or("txn")? {
                    self.operate(operation).ok_or("txn")?;
                }
                answer.with("txn", operations)
            }
            _ => return Err("type"),
        })
    }

    /// Returns what each log has from an offset on, as far as an answer has room.
    fn poll(&self, offsets: &Map<String, Value>) -> Map<String, Value> {
        let from = |key: &str, offset: &Value| -> Value {
            let offset = offset.as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(0);
            let log = self.logs.get(key).into_iter().flatten().enumerate();
            log.skip(offset).take(POLLED_MAX).map(|(at, message)| json!([at, message])).collect()
        };
        offsets.iter().map(|(key, offset)| (key.clone(), from(key, offset))).collect()
    }

    /// Performs one operation of a transaction; `None` if it is none. A register is a list of
    /// which the last counts.
    fn operate(&mut self, operation: &mut Value) -> Option<()> {
        let [name, key, value] = operation.as_array_mut()?.as_mut_slice() else { return None };
        let list = self.lists.entry(key.to_string()).or_default();
        match name.as_str()? {
            "append" => list.push(value.clone()),
            "w" => *list = vec![json!({ "only": value })],
            _ => {
                *value = match list.last().and_then(|value| value.get("only")) {
                    Some(value) => value.clone(),
                    None if list.is_empty() => Value::Null,
                    None => json!(list),
                };
            }
        }
        Some(())
    }
}

fn key(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

const KEY_DOES_NOT_EXIST: u64 = 20;
const PRECONDITION_FAILED: u64 = 22;
/// How many messages of a log an answer has.
const POLLED_MAX: usize = 100;
