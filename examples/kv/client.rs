//! A client that follows the leader.
//!
//! It repeats what has no answer, with the same number, so that it is applied once; after its
//! patience ends the outcome is unknown.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quorate_core::{SplitMix64, Wire as _};
use quorate_transport::{Decoder, Frame};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::server::{self, Status};
use super::wire::{Operation, Request, Response};

/// Asks a cluster, one thing at a time.
pub(super) struct Client {
    endpoints: Vec<String>,
    /// Which node was found at which endpoint.
    nodes: BTreeMap<u64, usize>,
    /// The endpoint to ask next.
    current: usize,
    connection: Option<Connection>,
    id: u64,
    number: u64,
    patience: Duration,
    random: SplitMix64,
}

/// Why a request has no answer.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    /// It is definitely not done.
    #[error("not done: {0}")]
    Refused(String),
    /// It may be done, or will be.
    #[error("unknown whether done: {0}")]
    Unknown(String),
}

struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    last_id: u64,
}

impl Client {
    /// Makes a client of the nodes at `endpoints`, which tries for as long as `patience`.
    pub(super) fn new(endpoints: &[String], patience: Duration) -> Self {
        // The standard library draws the keys of its hashers from the system.
        let id = std::hash::RandomState::new().build_hasher().finish();
        let mut random = SplitMix64::new(id);
        let current = usize::try_from(random.below(endpoints.len().max(1) as u64)).unwrap_or(0);
        let endpoints = endpoints.to_vec();
        let (nodes, connection) = (BTreeMap::new(), None);
        Self { endpoints, nodes, current, connection, id, number: 0, patience, random }
    }

    /// Changes something, once. `Response::Differs` is an answer, too.
    pub(super) async fn change(&mut self, operation: Operation) -> Result<Response, ClientError> {
        self.number += 1;
        self.ask(&Request::Change { client: self.id, number: self.number, operation }).await
    }

    /// Reads a key: what it has is at least as new as this call.
    pub(super) async fn get(&mut self, key: Bytes) -> Result<Option<Bytes>, ClientError> {
        match self.ask(&Request::Get { key }).await? {
            Response::Value(value) => Ok(value),
            other => Err(ClientError::Refused(format!("a node answered {other:?}"))),
        }
    }

    /// Asks until a node answers for good. A change that a node may have taken is only ever
    /// `Unknown` after that, whatever others say.
    async fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let (bytes, max) = (body.len(), server::FRAME_BYTES_MAX as usize / 2);
        if max < bytes {
            let why = format!("a request has {bytes} bytes, {max} are allowed");
            return Err(ClientError::Refused(why));
        }
        let until = Instant::now() + self.patience;
        let (mut may_be_done, mut why) = (false, String::from("no node could be reached"));
        while Instant::now() < until {
            match timeout_at(until, self.attempt(request)).await {
                Ok(Ok(Response::NotLeader(leader))) => {
                    why = "there is no leader".into();
                    self.go_to(leader).await;
                }
                Ok(Ok(Response::Refused(reason))) if may_be_done => {
                    return Err(ClientError::Unknown(reason));
                }
                Ok(Ok(Response::Refused(reason))) => return Err(ClientError::Refused(reason)),
                Ok(Ok(Response::Busy(reason))) => {
                    why = reason;
                    self.go_to(None).await;
                }
                Ok(Ok(Response::Unknown(reason))) => {
                    (may_be_done, why) = (true, reason);
                    self.go_to(None).await;
                }
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(NotAsked)) => self.go_to(None).await,
                Ok(Err(NoAnswer)) | Err(_) => {
                    may_be_done = true;
                    why = "the connection was lost".into();
                    self.go_to(None).await;
                }
            }
        }
        let is_change = matches!(request, Request::Change { .. });
        Err(if may_be_done && is_change {
            ClientError::Unknown(why)
        } else {
            ClientError::Refused(why)
        })
    }

    async fn attempt(&mut self, request: &Request) -> Result<Response, Lost> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        let connection = self.connection.as_mut().ok_or(NotAsked)?;
        let asked = timeout(ANSWER_WITHIN, connection.ask(request)).await;
        if !matches!(asked, Ok(Ok(_))) {
            self.connection = None;
        }
        asked.unwrap_or(Err(NoAnswer))
    }

    /// Connects to the current endpoint, and asks which node is there.
    async fn connect(&mut self) -> Result<(), Lost> {
        let endpoint = self.endpoints.get(self.current).ok_or(NotAsked)?;
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(endpoint)).await;
        let stream = stream.map_err(|_| NotAsked)?.map_err(|_| NotAsked)?;
        stream.set_nodelay(true).map_err(|_| NotAsked)?;
        let decoder = Decoder::new(FRAME_BYTES_MAX);
        let mut connection = Connection { stream, decoder, last_id: 0 };
        if let Ok(Ok(Response::Status(json))) =
            timeout(CONNECT_WITHIN, connection.ask(&Request::Status)).await
            && let Ok(status) = serde_json::from_str::<Status>(&json)
        {
            self.nodes.insert(status.id, self.current);
            self.connection = Some(connection);
            return Ok(());
        }
        Err(NotAsked)
    }

    /// Asks `leader` next, if its endpoint is known; else the next one, after a moment.
    async fn go_to(&mut self, leader: Option<u64>) {
        let known = leader.and_then(|leader| self.nodes.get(&leader)).copied();
        let next = known.filter(|&endpoint| endpoint != self.current);
        if next.is_none() {
            let wait = 5_000 + self.random.below(20_000);
            sleep(Duration::from_micros(wait)).await;
        }
        self.connection = None;
        self.current = next.unwrap_or((self.current + 1) % self.endpoints.len().max(1));
    }
}

/// Asks one endpoint how its node is.
pub(super) async fn status(endpoint: &str) -> Option<Status> {
    let mut client = Client::new(&[endpoint.to_owned()], CONNECT_WITHIN);
    match client.attempt(&Request::Status).await {
        Ok(Response::Status(json)) => serde_json::from_str(&json).ok(),
        _ => None,
    }
}

/// Where a request was lost.
enum Lost {
    /// No byte of it left.
    NotAsked,
    /// It may have arrived.
    NoAnswer,
}
use Lost::{NoAnswer, NotAsked};

impl Connection {
    async fn ask(&mut self, request: &Request) -> Result<Response, Lost> {
        self.last_id += 1;
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let mut out = BytesMut::new();
        Frame::Request { id: self.last_id, budget_ms: 0, body: body.freeze() }.encode(&mut out);
        self.stream.write_all(&out).await.map_err(|_| NoAnswer)?;
        loop {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Response { id, status, body })) if id == self.last_id => {
                    return Response::from_parts(status, body).map_err(|_| NoAnswer);
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    let count = self.stream.read_buf(self.decoder.buffer()).await;
                    if count.map_err(|_| NoAnswer)? == 0 {
                        return Err(NoAnswer);
                    }
                }
                Err(_) => return Err(NoAnswer),
            }
        }
    }
}

/// How long one node is given.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const FRAME_BYTES_MAX: u32 = 8 << 20;
