//! Nodes, good and bad: the smallest programs that show what a run must see.

#![expect(clippy::disallowed_methods, reason = "processes live in real time")]
#![expect(clippy::print_stderr, reason = "a run keeps what a node says there")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use quorate_sim::maelstrom::{Body, Message};
use serde_json::{Map, Value, json};

/// Is the node `role` until its input ends.
pub(super) fn run(role: &str) -> ExitCode {
    let mut input = io::stdin().lock();
    let mut node = Node { role: role.to_owned(), ..Node::default() };
    match role {
        "never starts" => drain(&mut input),
        "endless line" => loop {
            say(&"x".repeat(1 << 16), "");
        },
        _ => {}
    }
    while let Some(message) = Message::read(&mut input).expect("the run writes messages") {
        node.handle(&message);
    }
    if role == "never ends" {
        sleep();
    }
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Node {
    role: String,
    name: String,
    /// What the topology says.
    neighbors: Vec<String>,
    /// Elements of a set, in the order in which they came.
    elements: Vec<Value>,
    sum: i64,
    ids: u64,
    registers: BTreeMap<String, Value>,
    logs: BTreeMap<String, Vec<Value>>,
    commits: Map<String, Value>,
    lists: BTreeMap<String, Vec<Value>>,
    /// Requests of clients that wait for a service.
    waiting: BTreeMap<u64, Message>,
}

impl Node {
    fn handle(&mut self, message: &Message) {
        let body = &message.body;
        if let Some(request) = body.in_reply_to.and_then(|it| self.waiting.remove(&it)) {
            let echo = request.body.field("echo").cloned().unwrap_or_default();
            return self.reply(&request, Body::new("echo_ok").with("echo", echo));
        }
        match &*body.kind {
            "init" => {
                self.name = text(body, "node_id");
                self.reply(message, Body::new("init_ok"));
            }
            "topology" => {
                let all = body.field("topology").and_then(|it| it.get(&self.name));
                let all = all.and_then(Value::as_array).expect("it names the neighbors of each");
                self.neighbors = all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                self.reply(message, Body::new("topology_ok"));
            }
            "echo" => self.echo(message),
            "generate" => {
                self.ids += 1;
                let id = match &*self.role {
                    "repeats ids" => json!(self.ids / 2),
                    _ => json!([self.name, self.ids]),
                };
                self.reply(message, Body::new("generate_ok").with("id", id));
            }
            "broadcast" | "add" => self.add(message),
            "txn" => self.transact(message),
            kind => {
                let body = match kind {
                    "read" if self.role == "reads wrongly" => Body::new("reads"),
                    "read" if body.field("key").is_none() => Body::new("read_ok")
                        .with("messages", self.elements.clone())
                        .with("value", self.value()),
                    "read" | "write" | "cas" => self.register(body),
                    _ => self.log(body),
                };
                self.reply(message, body);
            }
        }
    }

    fn echo(&mut self, message: &Message) {
        let echo = message.body.field("echo").cloned().unwrap_or_default();
        let good = Body::new("echo_ok").with("echo", echo);
        match &*self.role {
            "garbage" => {
                eprintln!("this goes to standard error");
                // It has a moment to get there.
                std::thread::sleep(Duration::from_millis(50));
                say("what is this", "\n");
            }
            "dies" => std::process::exit(3),
            "floods" => loop {
                say(r#"{"src":"n1","dest":"n1","body":{"type":"flood"}}"#, "\n");
            },
            "deaf" => {
                // What it sends itself comes back, and stays unread.
                for _ in 0..20 {
                    for _ in 0..100 {
                        self.send("n1", Body::new("pad").with("pad", "x".repeat(1_000)));
                    }
                    std::thread::sleep(Duration::from_millis(30));
                }
                sleep();
            }
            "answers nobody" => {}
            "talks to nobody" => self.send("n7", Body::new("hello")),
            "forges" => {
                self.name = "n2".to_owned();
                self.send("n1", Body::new("hello"));
            }
            "answers wrongly" => self.reply(message, Body::new("echoes")),
            "mishears" => self.reply(message, good.with("echo", "what?")),
            "lin-kv" | "seq-kv" | "lww-kv" => {
                let id = self.waiting.len() as u64 + 1_000_000 + self.ids;
                self.ids += 1;
                self.waiting.insert(id, message.clone());
                let body = Body::new("write").with("key", "k").with("value", 1);
                let service = self.role.clone();
                self.send(&service, Body { msg_id: Some(id), ..body });
            }
            _ => self.reply(message, good),
        }
    }

    /// Takes an element or a summand; with neighbors, forwards it to all but the sender.
    fn add(&mut self, message: &Message) {
        let body = &message.body;
        if body.msg_id.is_some() {
            self.reply(message, Body::new(&format!("{}_ok", body.kind)));
        }
        if let Some(delta) = body.field("delta").and_then(Value::as_i64) {
            self.sum += if self.role == "counts twice" { 2 * delta } else { delta };
            return;
        }
        let element = body.field("element").or_else(|| body.field("message"));
        let element = element.cloned().unwrap_or_default();
        if self.elements.contains(&element) {
            return;
        }
        self.elements.push(element.clone());
        if self.role == "floods neighbors" {
            for neighbor in self.neighbors.iter().filter(|it| **it != message.src) {
                self.send(neighbor, Body::new("broadcast").with("message", element.clone()));
            }
        }
    }

    fn value(&self) -> Value {
        // An empty set and a counter at 0 look alike to this node.
        if workload() == "g-set" { json!(self.elements) } else { json!(self.sum) }
    }

    fn register(&mut self, body: &Body) -> Body {
        let key = body.field("key").map(Value::to_string).unwrap_or_default();
        let field = |name: &str| body.field(name).cloned().unwrap_or_default();
        let found = self.registers.get(&key).cloned();
        match (&*body.kind, found) {
            ("write", _) => {
                if self.role != "forgets" {
                    self.registers.insert(key, field("value"));
                }
                Body::new("write_ok")
            }
            (_, None) => Body::error(20, "not there"),
            ("read", Some(found)) => Body::new("read_ok").with("value", found),
            (_, Some(found)) if found == field("from") => {
                self.registers.insert(key, field("to"));
                Body::new("cas_ok")
            }
            _ => Body::error(22, "something else"),
        }
    }

    fn log(&mut self, body: &Body) -> Body {
        let answer = Body::new(&format!("{}_ok", body.kind));
        match &*body.kind {
            "send" => {
                let log = self.logs.entry(text(body, "key")).or_default();
                log.push(body.field("msg").cloned().unwrap_or_default());
                answer.with("offset", log.len() - 1)
            }
            "commit_offsets" => {
                if self.role != "forgets commits" {
                    let offsets = body.field("offsets").and_then(Value::as_object);
                    self.commits.extend(offsets.cloned().unwrap_or_default());
                }
                answer
            }
            "list_committed_offsets" => {
                let keys = body.field("keys").and_then(Value::as_array);
                let keys: Vec<&str> =
                    keys.into_iter().flatten().filter_map(Value::as_str).collect();
                let mut offsets = self.commits.clone();
                offsets.retain(|key, _| keys.contains(&&**key));
                answer.with("offsets", offsets)
            }
            "poll" => {
                let offsets = body.field("offsets").and_then(Value::as_object);
                let mut messages = Map::new();
                let made_up = match &*self.role {
                    "always has more" => 2_000,
                    "always has one more" => 1,
                    _ => 0,
                };
                for (key, from) in offsets.into_iter().flatten() {
                    let from = from.as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or(0);
                    let log = self.logs.get(key).map(Vec::as_slice).unwrap_or_default();
                    let is_kept = |(at, _): &(usize, &Value)| match &*self.role {
                        "loses messages" => at % 7 != 3,
                        "forgets the last" => at + 1 < log.len(),
                        _ => true,
                    };
                    let entries = log.iter().enumerate().skip(from).filter(is_kept).take(5);
                    let entries = entries.map(|(at, it)| json!([at, it]));
                    let more = (from..from + made_up).map(|at| json!([at, 1_000_000 + at]));
                    let entries: Value =
                        if made_up == 0 { entries.collect() } else { more.collect() };
                    messages.insert(key.clone(), entries);
                }
                answer.with("msgs", messages)
            }
            _ => answer,
        }
    }

    fn transact(&mut self, message: &Message) {
        let mut operations = message.body.field("txn").cloned().unwrap_or_default();
        for operation in operations.as_array_mut().into_iter().flatten() {
            let key = operation[1].to_string();
            let list = self.lists.entry(key).or_default();
            match operation[0].as_str() {
                Some("append" | "w") => list.push(operation[2].clone()),
                _ => {
                    let is_late = self.role == "reads the past" && !list.is_empty();
                    let seen = &list[..list.len() - usize::from(is_late)];
                    let is_register = workload() == "txn-rw-register";
                    operation[2] = if is_register { json!(seen.last()) } else { json!(seen) };
                }
            }
        }
        self.reply(message, Body::new("txn_ok").with("txn", operations));
    }

    fn reply(&self, message: &Message, body: Body) {
        say(&message.reply(body).to_string(), "\n");
    }

    fn send(&self, dest: &str, body: Body) {
        let message = Message { src: self.name.clone(), dest: dest.to_owned(), body };
        say(&message.to_string(), "\n");
    }
}

/// Says something at once. A run that has ended does not listen.
fn say(text: &str, end: &str) {
    let mut output = io::stdout().lock();
    if write!(output, "{text}{end}").and_then(|()| output.flush()).is_err() {
        std::process::exit(0);
    }
}

fn text(body: &Body, name: &str) -> String {
    body.field(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn workload() -> String {
    std::env::var(super::WORKLOAD).unwrap_or_default()
}

fn drain(input: &mut impl BufRead) {
    _ = io::copy(input, &mut io::sink());
}

/// Waits longer than any test, but not for ever.
fn sleep() {
    std::thread::sleep(Duration::from_secs(60));
}
