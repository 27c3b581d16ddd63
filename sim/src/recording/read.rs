//! Lines become a recording, or an error that says which line and which field.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read as _};

use serde_json::{Map, Value};
use thiserror::Error;

use super::write::VERSION;
use super::{Event, Kind, Recording, Why};
use crate::wording;

/// Why a file is no recording. Lines count from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The source failed.
    #[error("line {line} cannot be read")]
    Io {
        /// Which line was to be read.
        line: u64,
        /// What the source said.
        source: io::Error,
    },
    /// There is not even a header.
    #[error("line 1 is missing: expected a header with `v`, `name`, `seed`, `nodes` and `plan`")]
    Empty,
    /// The file is of another version of the format, or of another format.
    #[error("line 1, field `v`: expected version {VERSION}, found {found}")]
    Version {
        /// What stands there.
        found: String,
    },
    /// A line is too long to be an event.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// Which.
        line: u64,
    },
    /// A line is no JSON: cut off, perhaps.
    #[error("line {line} is no JSON from column {column} on: {reason}")]
    Syntax {
        /// Which.
        line: u64,
        /// Where in it, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A field is missing, or is not what it must be.
    #[error("line {line}, field `{field}`: expected {expected}, found {found}")]
    Field {
        /// Which line.
        line: u64,
        /// Which field, as in `nodes[2].id`.
        field: String,
        /// What it must be.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// An event is of a kind that this version does not know.
    #[error("line {line}, field `k`: expected a kind of event, found {found}")]
    Kind {
        /// Which line.
        line: u64,
        /// What stands there, shortened.
        found: String,
    },
}

impl Recording {
    /// Reads what [`write`](Self::write) wrote, to the end of `source`.
    ///
    /// Empty lines and unknown fields are skipped: fields may be added. Takes memory in proportion
    /// to what it reads.
    ///
    /// Nodes at which something happens, and those that a fault concerns, must be in the header.
    /// Times may go back. What arrives or ends need not have been sent or begun: a recording may
    /// begin in the middle of a run.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where. Nothing is kept of the lines before.
    pub fn read(source: impl BufRead) -> Result<Self, ReadError> {
        let mut lines = Lines { source, line: 0, bytes: Vec::new() };
        let Some(header) = lines.next()? else { return Err(ReadError::Empty) };
        let mut recording = header.recording()?;
        let nodes = recording.nodes.iter().map(|node| node.id).collect();
        while let Some(fields) = lines.next()? {
            recording.events.push(fields.event(&nodes)?);
        }
        Ok(recording)
    }
}

/// The lines that are not empty.
struct Lines<S> {
    source: S,
    line: u64,
    bytes: Vec<u8>,
}

impl<S: BufRead> Lines<S> {
    fn next(&mut self) -> Result<Option<Fields>, ReadError> {
        loop {
            self.line += 1;
            let line = self.line;
            self.bytes.clear();
            let mut limited = self.source.by_ref().take(LINE_BYTES_MAX + 1);
            match limited.read_until(b'\n', &mut self.bytes) {
                Ok(0) => return Ok(None),
                Ok(_) if limited.limit() == 0 => return Err(ReadError::TooLong { line }),
                Ok(_) if self.bytes.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(source) => return Err(ReadError::Io { line, source }),
            }
        }
        let line = self.line;
        let value = serde_json::from_slice(&self.bytes).map_err(|error| {
            let (column, reason) = (error.column(), wording::reason(&error));
            ReadError::Syntax { line, column, reason }
        })?;
        let Value::Object(map) = value else {
            let found = shortened(&value);
            let field = String::new();
            return Err(ReadError::Field { line, field, expected: "an object", found });
        };
        Ok(Some(Fields { line, place: String::new(), map }))
    }
}

/// An object of a line.
struct Fields {
    line: u64,
    /// What stands before the names of its fields, as in `nodes[2].`.
    place: String,
    map: Map<String, Value>,
}

impl Fields {
    fn recording(mut self) -> Result<Recording, ReadError> {
        match self.map.get("v") {
            Some(Value::Number(v)) if v.as_u64() == Some(VERSION) => {}
            found => {
                let found = found.map_or_else(|| "nothing".to_owned(), shortened);
                return Err(ReadError::Version { found });
            }
        }
        let (name, seed) = (self.text("name")?, self.number("seed")?);
        let nodes = self.take("nodes", "a list of nodes", |value| match value {
            Value::Array(nodes) => Ok(nodes),
            other => Err(other),
        })?;
        let Some(plan) = self.map.remove("plan") else {
            return Err(self.wrong("plan", "any value", None));
        };
        let mut recording = Recording::new(name, seed, plan);
        let mut ids = BTreeSet::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let place = format!("nodes[{index}].");
            let Value::Object(map) = node else {
                return Err(self.wrong(&format!("nodes[{index}]"), "an object", Some(&node)));
            };
            let mut node = Self { line: self.line, place, map };
            let (id, name) = (node.number("id")?, node.text("name")?);
            if !ids.insert(id) {
                return Err(node.wrong("id", "an id that no node before has", Some(&id.into())));
            }
            recording = recording.node(id, name);
        }
        Ok(recording)
    }

    fn event(mut self, nodes: &BTreeSet<u64>) -> Result<Event, ReadError> {
        let at = self.number("t")?;
        let node = self.optional_number("n")?;
        let name = self.take("k", "a kind of event", text)?;
        let kind = self.kind(&name)?;
        if let Some(id) = node.filter(|id| !nodes.contains(id)) {
            return Err(self.wrong("n", KNOWN, Some(&id.into())));
        }
        if let Kind::Fault { nodes: of, from, until, .. } = &kind {
            if let Some(id) = of.iter().find(|id| !nodes.contains(id)) {
                return Err(self.wrong("nodes", KNOWN, Some(&(*id).into())));
            }
            if let Some(until) = until.filter(|until| until < from) {
                return Err(self.wrong("until", "no time before `from`", Some(&until.into())));
            }
        }
        let is_of_a_node =
            !matches!(kind, Kind::Note { .. } | Kind::Fault { .. } | Kind::Violation { .. })
                && kind.operation().is_none();
        if is_of_a_node && node.is_none() {
            return Err(self.wrong("n", "the id of a node", None));
        }
        Ok(Event::new(at, node, kind))
    }

    fn kind(&mut self, name: &str) -> Result<Kind, ReadError> {
        let kind = match name {
            "send" | "recv" | "lost" => self.message(name)?,
            "invoke" | "ok" | "fail" | "info" => self.operation(name)?,
            "persist" => Kind::Persist { id: self.number("id")?, text: self.text("text")? },
            "durable" => Kind::Durable { id: self.number("id")?, text: self.text("text")? },
            "fetch" => Kind::Fetch { id: self.number("id")?, text: self.text("text")? },
            "fetched" => Kind::Fetched { id: self.number("id")?, text: self.text("text")? },
            "deliver" => Kind::Deliver { text: self.text("text")? },
            "event" => Kind::Event { text: self.text("text")? },
            "timeout" => Kind::Timeout { text: self.text("text")? },
            "note" => Kind::Note { text: self.text("text")? },
            "boot" => Kind::Boot { text: self.text("text")? },
            "crash" => Kind::Crash { text: self.text("text")? },
            "pause" => Kind::Pause { text: self.text("text")? },
            "resume" => Kind::Resume { text: self.text("text")? },
            "badge" => Kind::Badge { role: self.text("role")?, number: self.number("number")? },
            "fault" => self.fault()?,
            "violation" => Kind::Violation { law: self.text("law")?, text: self.text("text")? },
            _ => {
                let found = shortened(&name.into());
                return Err(ReadError::Kind { line: self.line, found });
            }
        };
        Ok(kind)
    }

    fn message(&mut self, name: &str) -> Result<Kind, ReadError> {
        let peer = self.number(if name == "recv" { "from" } else { "to" })?;
        let (id, class, text) = (self.number("id")?, self.text("class")?, self.text("text")?);
        Ok(match name {
            "send" => Kind::Send { id, to: peer, class, text },
            "recv" => Kind::Recv { id, from: peer, class, text },
            _ => Kind::Lost { id, to: peer, class, text, why: self.why()? },
        })
    }

    fn operation(&mut self, name: &str) -> Result<Kind, ReadError> {
        let (process, op) = (self.number("process")?, self.number("op")?);
        let text = self.text("text")?;
        Ok(match name {
            "invoke" => Kind::Invoke { process, op, text },
            "ok" => Kind::Ok { process, op, text },
            "fail" => Kind::Fail { process, op, text },
            _ => Kind::Info { process, op, text },
        })
    }

    fn fault(&mut self) -> Result<Kind, ReadError> {
        Ok(Kind::Fault {
            id: self.number("id")?,
            family: self.text("family")?,
            nodes: self.take("nodes", "a list of ids", |value| {
                let ids = value.as_array().map(|ids| ids.iter().map(Value::as_u64).collect());
                ids.flatten().ok_or(value)
            })?,
            from: self.number("from")?,
            until: self.optional_number("until")?,
            text: self.text("text")?,
        })
    }

    fn why(&mut self) -> Result<Why, ReadError> {
        self.take("why", "loss, cut, dead, queue, reset or corrupt", |value| {
            let why = Why::ALL.into_iter().find(|why| value.as_str() == Some(why.name()));
            why.ok_or(value)
        })
    }

    fn text(&mut self, field: &str) -> Result<String, ReadError> {
        self.take(field, "a text", text)
    }

    fn number(&mut self, field: &str) -> Result<u64, ReadError> {
        self.take(field, NUMBER, |value| value.as_u64().ok_or(value))
    }

    fn optional_number(&mut self, field: &str) -> Result<Option<u64>, ReadError> {
        match self.map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.number(field).map(Some),
        }
    }

    /// Takes out a field, if `parse` takes it; it gives back what it does not.
    fn take<T>(
        &mut self,
        field: &str,
        expected: &'static str,
        parse: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<T, ReadError> {
        match self.map.remove(field).map(parse) {
            Some(Ok(value)) => Ok(value),
            Some(Err(found)) => Err(self.wrong(field, expected, Some(&found))),
            None => Err(self.wrong(field, expected, None)),
        }
    }

    fn wrong(&self, field: &str, expected: &'static str, found: Option<&Value>) -> ReadError {
        ReadError::Field {
            line: self.line,
            field: format!("{}{field}", self.place),
            expected,
            found: found.map_or_else(|| "nothing".to_owned(), shortened),
        }
    }
}

fn text(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(other),
    }
}

/// Returns what a message can show of a value: a line of JSON, or its beginning.
fn shortened(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(map) => format!("an object of {}", map.len()),
        Value::String(text) => {
            let start: String = text.chars().take(FOUND_CHARS_MAX).collect();
            format!("{start:?}{}", if start.len() < text.len() { ".." } else { "" })
        }
        other => other.to_string(),
    }
}

const KNOWN: &str = "the id of a node of line 1";

const NUMBER: &str = "a whole number from 0 to 2^64 - 1";

/// More than any event needs; a file without line ends must not fill the memory.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What fits a line of a terminal with the rest of the message.
const FOUND_CHARS_MAX: usize = 40;
