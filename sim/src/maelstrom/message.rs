//! A message of the protocol: a JSON object on a line of its own.
//!
//! ```text
//! {"src":"c1","dest":"n1","body":{"type":"echo","msg_id":1,"echo":"hello"}}
//! {"src":"n1","dest":"c1","body":{"type":"echo_ok","in_reply_to":1,"echo":"hello"}}
//! ```

use std::fmt;
use std::io::{self, BufRead, Read as _};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A message between nodes, clients and services. `Display` writes its line, without the end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's")]
pub struct Message {
    /// Who sends it, as in `n1`, `c1` or `lin-kv`.
    pub src: String,
    /// Who gets it.
    pub dest: String,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the protocol's")]
pub struct Body {
    /// What kind of message it is, as in `echo_ok`: its field `type`.
    pub kind: String,
    /// What an answer must name; `None` if none is expected.
    pub msg_id: Option<u64>,
    /// What it answers.
    pub in_reply_to: Option<u64>,
    /// All other fields.
    pub fields: Map<String, Value>,
}

/// Why a line is no message. What follows it may be one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A line is longer than [`MESSAGE_BYTES_MAX`]. Its rest is not read: stop.
    #[error("a line is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A line is not what the protocol says.
    #[error("expected a message, found {found:?}: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
        /// The line, shortened.
        found: String,
    },
    /// The source cannot be read on: stop.
    #[error("the messages cannot be read")]
    Io(#[source] io::Error),
}

impl Message {
    /// Reads the next line that is not blank; `None` at the end. Memory is that of the line.
    ///
    /// # Errors
    ///
    /// If the line is no message.
    ///
    /// # Examples
    ///
    /// ```
    /// use quorate_sim::maelstrom::Message;
    ///
    /// let line = r#"{"src":"c1","dest":"n1","body":{"type":"read"}}"#;
    /// let mut input = line.as_bytes();
    /// let message = Message::read(&mut input)?.expect("there is one");
    /// assert_eq!(message.body.kind, "read");
    /// assert!(Message::read(&mut input)?.is_none());
    /// # Ok::<(), quorate_sim::maelstrom::MessageError>(())
    /// ```
    pub fn read(source: &mut impl BufRead) -> Result<Option<Self>, MessageError> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut *source).take(MESSAGE_BYTES_MAX + 1);
            if limited.read_until(b'\n', &mut line).map_err(MessageError::Io)? == 0 {
                return Ok(None);
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line).trim_ascii();
            if MESSAGE_BYTES_MAX < content.len() as u64 {
                return Err(MessageError::TooLong);
            }
            if !content.is_empty() {
                return Self::parse(content).map(Some);
            }
        }
    }

    fn parse(line: &[u8]) -> Result<Self, MessageError> {
        let raw: Raw = serde_json::from_slice(line)
            .map_err(|error| malformed(line, &crate::wording::reason(&error)))?;
        let mut fields = raw.body;
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(malformed(line, "`body` has no `type` that is a text"));
        };
        let mut number = |name| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                malformed(line, &format!("`{name}` is no whole number from 0 to 2^64 - 1"))
            }),
        };
        let (msg_id, in_reply_to) = (number("msg_id")?, number("in_reply_to")?);
        Ok(Self { src: raw.src, dest: raw.dest, body: Body { kind, msg_id, in_reply_to, fields } })
    }

    /// Makes the answer to it: with its ends exchanged, and the number that it answers.
    #[must_use]
    pub fn reply(&self, mut body: Body) -> Self {
        body.in_reply_to = self.body.msg_id;
        Self { src: self.dest.clone(), dest: self.src.clone(), body }
    }
}

impl Body {
    /// Makes a body without numbers and fields.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// Makes the body of an error.
    #[must_use]
    pub fn error(code: u64, text: &str) -> Self {
        Self::new("error").with("code", code).with("text", text)
    }

    /// Sets a field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Returns a field, if it is there.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// Returns the code of an error; `None` if it is none. One without a number counts as 13.
    #[must_use]
    pub fn error_code(&self) -> Option<u64> {
        let code = || self.field("code").and_then(Value::as_u64).unwrap_or(CRASH);
        (self.kind == "error").then(code)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Body { kind, msg_id, in_reply_to, fields } = &self.body;
        let text = |text: &str| Value::from(text);
        write!(f, "{{\"src\":{},\"dest\":{}", text(&self.src), text(&self.dest))?;
        write!(f, ",\"body\":{{\"type\":{}", text(kind))?;
        if let Some(number) = msg_id {
            write!(f, ",\"msg_id\":{number}")?;
        }
        if let Some(number) = in_reply_to {
            write!(f, ",\"in_reply_to\":{number}")?;
        }
        for (name, value) in fields {
            write!(f, ",{}:{value}", text(name))?;
        }
        f.write_str("}}")
    }
}

#[derive(Deserialize)]
struct Raw {
    src: String,
    dest: String,
    body: Map<String, Value>,
}

fn malformed(line: &[u8], reason: &str) -> MessageError {
    let text = String::from_utf8_lossy(line);
    let mut found: String = text.chars().take(FOUND_CHARS_MAX).collect();
    if found.len() < text.len() {
        found.push_str("..");
    }
    MessageError::Malformed { reason: reason.to_owned(), found }
}

/// Returns whether an error with this code says that nothing happened, and never will.
#[must_use]
pub(super) const fn is_definite(code: u64) -> bool {
    matches!(code, 1 | 10 | 11 | 12 | 14 | 20 | 21 | 22 | 30)
}

/// What is asked for is not there.
pub(super) const KEY_DOES_NOT_EXIST: u64 = 20;
/// A compare-and-set found something else.
pub(super) const PRECONDITION_FAILED: u64 = 22;
/// The request is of a type that nobody here knows.
pub(super) const NOT_SUPPORTED: u64 = 10;
/// The request lacks what its type needs.
pub(super) const MALFORMED_REQUEST: u64 = 12;
/// Something went wrong, and the request may have been carried out.
const CRASH: u64 = 13;

/// The longest line that is read, without its end. A read of 100,000 numbers takes 700 KB; what a
/// node without line ends says must not fill the memory.
pub const MESSAGE_BYTES_MAX: u64 = 4 << 20;

/// How much of a line an error shows.
const FOUND_CHARS_MAX: usize = 120;
