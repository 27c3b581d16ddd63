//! The clients of one node.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::channel::oneshot;
use futures::stream::{FuturesUnordered, StreamExt as _};
use quorate_consensus::NodeId;
use quorate_consensus::raft::Raft;
use quorate_core::{Instant, Wire as _};
use quorate_transport::tcp::Tcp;
use quorate_transport::{Decoder, Frame, FrameError, Handle};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::application::{Reply, Store};
use super::wire::{Request, Response};
use crate::raft_store::RaftStore;

/// What the connections of a node share.
#[derive(Clone)]
pub(super) struct Node(Arc<Shared>);

struct Shared {
    id: NodeId,
    handle: Handle<Raft, Store>,
    peers: Tcp,
    storage: RaftStore,
    bad_frames: AtomicU64,
    bad_requests: AtomicU64,
}

/// How a node is: what `kv status` prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Status {
    pub(super) id: u64,
    pub(super) role: String,
    pub(super) term: u64,
    pub(super) leader: Option<u64>,
    pub(super) last_index: u64,
    pub(super) durable_index: u64,
    pub(super) commit_index: u64,
    pub(super) delivered: u64,
    pub(super) keys: usize,
    /// The entry of the newest snapshot, and the first that is still in the log.
    pub(super) snapshot_index: u64,
    pub(super) first_index: u64,
    pub(super) syncs: u64,
    pub(super) disk_full: bool,
    pub(super) leader_changes: u64,
    /// Frames of clients, and of peers, that were no frames; requests and messages likewise.
    pub(super) bad_frames: u64,
    pub(super) bad_requests: u64,
    pub(super) frames_dropped: u64,
}

impl Node {
    pub(super) fn new(
        id: NodeId,
        handle: Handle<Raft, Store>,
        peers: Tcp,
        storage: RaftStore,
    ) -> Self {
        let (bad_frames, bad_requests) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { id, handle, peers, storage, bad_frames, bad_requests }))
    }

    /// Lets go of the log that all nodes have, whenever this one leads.
    pub(super) async fn forget_now_and_then(&self) {
        loop {
            sleep(FORGET_EVERY).await;
            // One that cannot be asked now is asked again.
            _ = self.0.handle.with(|raft, store, now| store.propose_to_forget(raft, now)).map(drop);
        }
    }

    /// Answers one request.
    async fn answer(&self, body: Bytes) -> Response {
        let mut rest = body.clone();
        let request = Request::decode(&mut rest);
        match request {
            Ok(request) if rest.is_empty() => self.perform(request, body).await,
            Ok(_) | Err(_) => {
                self.0.bad_requests.fetch_add(1, Ordering::Relaxed);
                Response::Refused("this is no request".into())
            }
        }
    }

    async fn perform(&self, request: Request, body: Bytes) -> Response {
        match request {
            // What is proposed is what came: nothing is encoded again.
            Request::Change { .. } => {
                self.ask(move |raft, store, now, reply| store.propose(raft, now, body, reply)).await
            }
            Request::Get { key } => {
                self.ask(move |raft, store, now, reply| store.read(raft, now, key, reply)).await
            }
            Request::Status => self.status().await,
        }
    }

    /// Lets `command` find an answer, and waits for it, but not for ever.
    async fn ask(
        &self,
        command: impl FnOnce(&mut Raft, &mut Store, Instant, Reply) + Send + 'static,
    ) -> Response {
        let (reply, answer) = oneshot::channel();
        let asked =
            self.0.handle.with(move |raft, store, now| command(raft, store, now, reply)).map(drop);
        if let Err(error) = asked {
            return Response::Busy(error.to_string());
        }
        match timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Response::Unknown("the node has stopped".into()),
            Err(_) => Response::Unknown("no quorum answered in time".into()),
        }
    }

    async fn status(&self) -> Response {
        let asked = self.0.handle.with(|raft, store, _| {
            (
                raft.status(),
                store.delivered,
                store.key_count(),
                store.is_full(),
                store.leader_changes,
                store.snapshot_index(),
            )
        });
        let told = match asked {
            Ok(call) => call.await,
            Err(error) => Err(error),
        };
        let (raft, delivered, keys, disk_full, leader_changes, snapshot_index) = match told {
            Ok(told) => told,
            Err(error) => return Response::Busy(error.to_string()),
        };
        let peers = self.0.peers.stats();
        let status = Status {
            id: self.0.id.0,
            role: raft.role.to_string(),
            term: raft.term.0,
            leader: raft.leader.map(|leader| leader.0),
            last_index: raft.last_index.0,
            durable_index: raft.durable_index.0,
            commit_index: raft.commit_index.0,
            delivered,
            keys,
            snapshot_index,
            first_index: self.0.storage.start().index.0 + 1,
            syncs: self.0.storage.records().wal().stats().syncs,
            disk_full,
            leader_changes,
            bad_frames: self.0.bad_frames.load(Ordering::Relaxed) + peers.bad_frames,
            bad_requests: self.0.bad_requests.load(Ordering::Relaxed),
            frames_dropped: peers.dropped,
        };
        serde_json::to_string(&status)
            .map_or_else(|error| Response::Refused(error.to_string()), Response::Status)
    }
}

/// Serves whoever connects, for ever.
pub(super) async fn serve(listener: TcpListener, node: Node) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = listener.accept().await;
        let place = Arc::clone(&places).try_acquire_owned();
        match (accepted, place) {
            (Ok((stream, _)), Ok(place)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    if converse(stream, &node).await.is_err_and(|end| end.is_nonsense()) {
                        node.0.bad_frames.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(place);
                });
            }
            // The process is out of descriptors, or too many clients are here already.
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Why a client's connection ends.
enum End {
    Io,
    Frame,
}

impl End {
    const fn is_nonsense(&self) -> bool {
        matches!(self, Self::Frame)
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Io
    }
}

impl From<FrameError> for End {
    fn from(_: FrameError) -> Self {
        Self::Frame
    }
}

/// Takes requests, many at a time, and answers each when its answer is there.
async fn converse(stream: TcpStream, node: &Node) -> Result<(), End> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut answers = FuturesUnordered::new();
    let mut out = BytesMut::new();
    loop {
        while answers.len() < REQUESTS_MAX
            && let Some(frame) = decoder.next_frame()?
        {
            match frame {
                Frame::Request { id, body, .. } => {
                    answers.push(async move { (id, node.answer(body).await) });
                }
                Frame::Ping { .. } => {}
                _ => return Err(End::Frame),
            }
        }
        let has_room = answers.len() < REQUESTS_MAX;
        tokio::select! {
            Some((id, response)) = answers.next() => {
                encode(id, &response, &mut out);
                // A client that takes nothing is as good as gone.
                timeout(WRITE_WITHIN, write.write_all(&out)).await.map_err(|_| End::Io)??;
                out.clear();
            }
            count = read.read_buf(decoder.buffer()), if has_room => {
                if count? == 0 {
                    return decoder.finish().map_err(End::from);
                }
            }
        }
    }
}

fn encode(id: u64, response: &Response, out: &mut BytesMut) {
    let (status, body) = response.to_parts();
    Frame::Response { id, status, body }.encode(out);
}

/// How long a client's connection is left without an answer. A client gives up later than that.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Requests of one client under way.
const REQUESTS_MAX: usize = 256;

/// Clients at a time.
const CONNECTIONS_MAX: usize = 512;

/// How often a leader looks whether some of the log can go.
const FORGET_EVERY: Duration = Duration::from_millis(50);

/// How long an answer may take to leave.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// The longest request that is read. Raft refuses what is longer than a MiB, and says so.
pub(super) const FRAME_BYTES_MAX: u32 = 2 << 20;
