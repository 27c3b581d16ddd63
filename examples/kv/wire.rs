//! What clients and nodes say to each other, in the body of a request and of its response.
//!
//! ```text
//! request                                        response, after the status
//!   u8   kind   1 put 2 delete 3 cas 4 get 5 status    0 done     -
//!   u64  client  } of a change: what makes a           1 value    u8 whether there is one, value
//!   u64  number  } repeat known as one                 2 differs  u8 whether there is one, value
//!   key, and values: u32 length, bytes                 3 not the leader   its id u64, or nothing
//!                                                      4 refused  text     5 unknown  text
//!                                                      6 status   JSON      7 busy     text
//! ```
//!
//! Integers are little-endian. A change is proposed as the bytes of its request.

use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use quorate_core::{DecodeError, Wire, take_bytes};

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// To change something, once.
    Change {
        /// Who asks: a number that no other client has.
        client: u64,
        /// Rises by one with each change of this client, which makes one at a time. A repeat has
        /// the number of what it repeats.
        number: u64,
        /// The change.
        operation: Operation,
    },
    /// To read a key.
    Get {
        /// The key.
        key: Bytes,
    },
    /// To know how a node is.
    Status,
}

/// A change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Operation {
    /// Sets a key.
    Put {
        /// The key.
        key: Bytes,
        /// Its value from now on.
        value: Bytes,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Sets a key, if it has the value that is expected.
    Cas {
        /// The key.
        key: Bytes,
        /// The value that is expected.
        old: Bytes,
        /// Its value from then on.
        new: Bytes,
    },
}

/// What a node answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Response {
    /// The change is done.
    Done,
    /// What a key had when it was read.
    Value(Option<Bytes>),
    /// The key has another value than was expected. Nothing is changed.
    Differs(Option<Bytes>),
    /// Ask the leader. Nothing is done.
    NotLeader(Option<u64>),
    /// Nothing is done, and asking again will not help.
    Refused(String),
    /// Nothing is done. Ask again later.
    Busy(String),
    /// Whether it is done is unknown. Ask again with the same number.
    Unknown(String),
    /// How a node is, in JSON.
    Status(String),
}

/// How a change ended, as the replicated state remembers it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is not: the key has another value.
    Differs(Option<Bytes>),
}

/// What is proposed: a change, and who asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Who asked.
    pub client: u64,
    /// Which of its changes.
    pub number: u64,
    /// The change.
    pub operation: Operation,
}

/// What an entry of the log says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// A change.
    Change(Stored),
    /// Every node has the entries up to here: they may go, once they are in a snapshot. A leader
    /// says so; no client can.
    Forget {
        /// The last entry that may go.
        to: u64,
    },
}

impl From<Outcome> for Response {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Differs(value) => Self::Differs(value),
        }
    }
}

impl Wire for Request {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Change { client, number, operation } => {
                let (kind, fields): (u8, &[&Bytes]) = match operation {
                    Operation::Put { key, value } => (KIND_PUT, &[key, value]),
                    Operation::Delete { key } => (KIND_DELETE, &[key]),
                    Operation::Cas { key, old, new } => (KIND_CAS, &[key, old, new]),
                };
                out.put_u8(kind);
                out.put_u64_le(*client);
                out.put_u64_le(*number);
                fields.iter().for_each(|field| put_field(field, out));
            }
            Self::Get { key } => {
                out.put_u8(KIND_GET);
                put_field(key, out);
            }
            Self::Status => out.put_u8(KIND_STATUS),
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let kind = input.try_get_u8()?;
        match kind {
            KIND_GET => return Ok(Self::Get { key: take_field(input)? }),
            KIND_STATUS => return Ok(Self::Status),
            _ => {}
        }
        let (client, number) = (input.try_get_u64_le()?, input.try_get_u64_le()?);
        let operation = match kind {
            KIND_PUT => Operation::Put { key: take_field(input)?, value: take_field(input)? },
            KIND_DELETE => Operation::Delete { key: take_field(input)? },
            KIND_CAS => Operation::Cas {
                key: take_field(input)?,
                old: take_field(input)?,
                new: take_field(input)?,
            },
            found => return Err(DecodeError::UnknownKind { field: "kind", found }),
        };
        Ok(Self::Change { client, number, operation })
    }
}

impl Wire for Stored {
    fn encode(&self, out: &mut BytesMut) {
        let Self { client, number, operation } = self.clone();
        Request::Change { client, number, operation }.encode(out);
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        match Request::decode(input)? {
            Request::Change { client, number, operation } => Ok(Self { client, number, operation }),
            Request::Get { .. } => Err(DecodeError::UnknownKind { field: "kind", found: KIND_GET }),
            Request::Status => Err(DecodeError::UnknownKind { field: "kind", found: KIND_STATUS }),
        }
    }
}

impl Wire for Command {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Change(stored) => stored.encode(out),
            Self::Forget { to } => {
                out.put_u8(KIND_FORGET);
                out.put_u64_le(*to);
            }
        }
    }

    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        if input.first() != Some(&KIND_FORGET) {
            return Stored::decode(input).map(Self::Change);
        }
        input.advance(1);
        Ok(Self::Forget { to: input.try_get_u64_le()? })
    }
}

impl Response {
    /// Returns the status and the body.
    #[must_use]
    pub fn to_parts(&self) -> (u16, Bytes) {
        let text = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        match self {
            Self::Done => (STATUS_DONE, Bytes::new()),
            Self::Value(value) => (STATUS_VALUE, option(value.as_ref())),
            Self::Differs(value) => (STATUS_DIFFERS, option(value.as_ref())),
            Self::NotLeader(leader) => {
                let id = leader.map(u64::to_le_bytes);
                (STATUS_NOT_LEADER, id.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id)))
            }
            Self::Refused(why) => (STATUS_REFUSED, text(why)),
            Self::Busy(why) => (STATUS_BUSY, text(why)),
            Self::Unknown(why) => (STATUS_UNKNOWN, text(why)),
            Self::Status(json) => (STATUS_STATUS, text(json)),
        }
    }

    /// Reads the status and the body.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if the node speaks something else.
    pub fn from_parts(status: u16, mut body: Bytes) -> Result<Self, DecodeError> {
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        Ok(match status {
            STATUS_DONE => Self::Done,
            STATUS_VALUE => Self::Value(take_option(&mut body)?),
            STATUS_DIFFERS => Self::Differs(take_option(&mut body)?),
            STATUS_NOT_LEADER if body.is_empty() => Self::NotLeader(None),
            STATUS_NOT_LEADER => Self::NotLeader(Some(body.try_get_u64_le()?)),
            STATUS_REFUSED => Self::Refused(text(&body)),
            STATUS_BUSY => Self::Busy(text(&body)),
            STATUS_UNKNOWN => Self::Unknown(text(&body)),
            STATUS_STATUS => Self::Status(text(&body)),
            found => {
                return Err(DecodeError::OutOfRange { field: "status", found: found.into() });
            }
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => {
                write!(f, "put {} {}", key.escape_ascii(), value.escape_ascii())
            }
            Self::Delete { key } => write!(f, "delete {}", key.escape_ascii()),
            Self::Cas { key, old, new } => {
                let (key, old, new) = (key.escape_ascii(), old.escape_ascii(), new.escape_ascii());
                write!(f, "cas {key} {old} {new}")
            }
        }
    }
}

pub(super) fn put_field(field: &Bytes, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(field.len()).expect("a field is below 4 GiB"));
    out.put_slice(field);
}

pub(super) fn take_field(input: &mut Bytes) -> Result<Bytes, DecodeError> {
    let needed = input.try_get_u32_le()? as usize;
    take_bytes(input, needed)
}

fn option(value: Option<&Bytes>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(u8::from(value.is_some()));
    out.put_slice(value.map_or(&[][..], |value| value));
    out.freeze()
}

fn take_option(body: &mut Bytes) -> Result<Option<Bytes>, DecodeError> {
    match body.try_get_u8()? {
        0 => Ok(None),
        1 => Ok(Some(std::mem::take(body))),
        found => Err(DecodeError::UnknownKind { field: "whether there is a value", found }),
    }
}

const KIND_PUT: u8 = 1;
const KIND_DELETE: u8 = 2;
const KIND_CAS: u8 = 3;
const KIND_GET: u8 = 4;
const KIND_STATUS: u8 = 5;
const KIND_FORGET: u8 = 6;

const STATUS_DONE: u16 = 0;
const STATUS_VALUE: u16 = 1;
const STATUS_DIFFERS: u16 = 2;
const STATUS_NOT_LEADER: u16 = 3;
const STATUS_REFUSED: u16 = 4;
const STATUS_UNKNOWN: u16 = 5;
const STATUS_STATUS: u16 = 6;
const STATUS_BUSY: u16 = 7;
