//! Connections that carry bytes: in order, in pieces cut anywhere, until they break.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::bytes::{Buf as _, Bytes, BytesMut};
use futures::io::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;
use quorate_core::{NodeId, SplitMix64};

use super::{Network, State};
use crate::decision::scale;
use crate::links::Fate;
use crate::stream::{Purpose, Stream};

/// One end of a connection of a [`Network`]: what a socket is.
///
/// A write takes a part of what it is given, a read returns a part of what is there, and how much
/// is drawn. If the [`Knobs`](crate::Knobs) say so, bits flip on the way. What a link would lose,
/// breaks the connection: what is under way is gone, and each end learns of it at its own time.
///
/// # Examples
///
/// ```
/// use futures::{AsyncReadExt as _, AsyncWriteExt as _};
/// use quorate_sim::quorate_core::NodeId;
/// use quorate_sim::{Knobs, Network, VirtualTime};
///
/// let time = VirtualTime::new();
/// let network = Network::new(&time, 2, 42, &Knobs::calm());
/// let [mut one, mut two] = network.connect(NodeId(1), NodeId(2));
/// let mut heard = Vec::new();
/// time.run(async {
///     one.write_all(b"in pieces, and in order").await?;
///     one.close().await?;
///     two.read_to_end(&mut heard).await
/// })?;
/// assert_eq!(heard, b"in pieces, and in order");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ByteStream {
    network: Network,
    connection: Arc<Mutex<Connection>>,
    end: usize,
}

/// Both directions.
#[derive(Debug)]
pub(super) struct Connection {
    nodes: [usize; 2],
    ends: [End; 2],
}

/// What is under way.
#[derive(Debug)]
enum Item {
    Piece(Bytes),
    End,
    /// The receiver of a piece is gone.
    Reset,
}

/// One end: what it has not read, and what it knows.
#[derive(Debug)]
struct End {
    unread: VecDeque<Bytes>,
    /// What the other end wrote and this one has not read, in bytes.
    window: usize,
    has_ended: bool,
    is_broken: bool,
    is_closed: bool,
    is_dropped: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    pieces: Stream,
}

impl Network {
    /// Connects two nodes. It takes no time.
    ///
    /// # Panics
    ///
    /// If one of them is not of this network.
    #[must_use]
    pub fn connect(&self, one: NodeId, other: NodeId) -> [ByteStream; 2] {
        let nodes = [self.index(one), self.index(other)];
        let mut state = self.state.lock();
        state.made += 1;
        let end = |from: usize| {
            let key = (nodes[from] << 14 | nodes[1 - from]) as u64;
            End::new(Stream::new(self.seed, Purpose::Piece, key, state.made))
        };
        let ends = [end(0), end(1)];
        let connection = Arc::new(Mutex::new(Connection { nodes, ends }));
        state.connections.retain(|connection| 0 < connection.strong_count());
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        [0, 1].map(|end| ByteStream {
            network: self.clone(),
            connection: Arc::clone(&connection),
            end,
        })
    }

    /// Breaks every connection between two nodes whose link was reset.
    pub(super) fn break_connections(&self, state: &State, one: usize, other: usize) {
        for connection in state.connections.iter().filter_map(std::sync::Weak::upgrade) {
            let nodes = connection.lock().nodes;
            if nodes == [one, other] || nodes == [other, one] {
                for end in 0..2 {
                    let at = state.links.broken_until(nodes[end], nodes[1 - end]);
                    let connection = Arc::clone(&connection);
                    self.time.schedule(at, move || connection.lock().ends[end].break_off());
                }
            }
        }
    }
}

impl End {
    const fn new(pieces: Stream) -> Self {
        Self {
            unread: VecDeque::new(),
            window: 0,
            has_ended: false,
            is_broken: false,
            is_closed: false,
            is_dropped: false,
            reader: None,
            writer: None,
            pieces,
        }
    }

    fn break_off(&mut self) {
        self.is_broken = true;
        self.unread.clear();
        self.wake();
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Returns a length from 1 to `most`.
    fn piece(&mut self, most: usize) -> usize {
        let drawn = scale(self.pieces.next(), most as u64);
        1 + usize::try_from(drawn).expect("below a length")
    }
}

impl ByteStream {
    fn poll_end(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut End) -> Option<io::Result<usize>>,
        waiting: impl FnOnce(&mut End) -> &mut Option<Waker>,
    ) -> Poll<io::Result<usize>> {
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        if end.is_broken {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        match poll(end) {
            Some(result) => Poll::Ready(result),
            None => {
                *waiting(end) = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn send(&self, item: Item) {
        send(&self.network, &self.connection, self.end, item);
    }

    /// Says that nothing more comes, once.
    fn close(&self) {
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        let is_open = !std::mem::replace(&mut end.is_closed, true) && !end.is_broken;
        drop(connection);
        if is_open {
            self.send(Item::End);
        }
    }
}

/// Puts what the end `end` says on its way.
fn send(network: &Network, connection: &Arc<Mutex<Connection>>, end: usize, item: Item) {
    let nodes = connection.lock().nodes;
    let (from, to) = (nodes[end], nodes[1 - end]);
    let bytes = if let Item::Piece(piece) = &item { piece.len() } else { 0 };
    let mut state = network.state.lock();
    let fate = state.links.send_in_stream(network.time.elapsed(), from, to, bytes as u64);
    match fate {
        Fate::Arrives { at, damage, connection: number, .. } => {
            drop(state);
            let item = match (item, damage) {
                (Item::Piece(piece), Some(damage)) => Item::Piece(flip(&piece, damage)),
                (item, _) => item,
            };
            let (there, connection) = (network.clone(), Arc::clone(connection));
            network.time.schedule(at, move || {
                let why = there.state.lock().links.arrive(from, to, number);
                match why {
                    None => take_in(&there, &connection, 1 - end, item),
                    Some("cut") => there.reset_links(&mut there.state.lock(), from, to),
                    // Both ends know it, or will.
                    Some(_) => {}
                }
            });
        }
        Fate::Lost { why: "reset" } => network.break_connections(&state, from, to),
        Fate::Lost { .. } => network.reset_links(&mut state, from, to),
    }
}

/// Lets the end `end` of a connection have what the other one said.
fn take_in(network: &Network, connection: &Arc<Mutex<Connection>>, end: usize, item: Item) {
    let mut both = connection.lock();
    let here = &mut both.ends[end];
    match item {
        Item::Piece(_) if here.is_dropped => {
            drop(both);
            send(network, connection, end, Item::Reset);
        }
        Item::Piece(piece) => {
            here.unread.push_back(piece);
            here.wake();
        }
        Item::End => {
            here.has_ended = true;
            here.wake();
        }
        Item::Reset => here.break_off(),
    }
}

/// Flips one to eight bits.
fn flip(piece: &[u8], number: u64) -> Bytes {
    let (mut bytes, mut random) = (BytesMut::from(piece), SplitMix64::new(number));
    for _ in 0..=random.below(8) {
        let bit = usize::try_from(random.below(8 * piece.len() as u64)).expect("below a length");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    bytes.freeze()
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = |end: &mut End| {
            let Some(piece) = end.unread.front_mut() else {
                return end.has_ended.then_some(Ok(0));
            };
            let most = piece.len().min(into.len());
            if most == 0 {
                return Some(Ok(0));
            }
            let len = end.piece(most);
            let piece = &mut end.unread[0];
            into[..len].copy_from_slice(&piece[..len]);
            piece.advance(len);
            if piece.is_empty() {
                end.unread.pop_front();
            }
            end.window -= len;
            Some(Ok(len))
        };
        let polled = self.poll_end(cx, read, |end| &mut end.reader);
        if matches!(polled, Poll::Ready(Ok(_))) {
            // There is room for more of what the other end writes.
            let writer = self.connection.lock().ends[1 - self.end].writer.take();
            writer.into_iter().for_each(Waker::wake);
        }
        polled
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = WINDOW_BYTES - self.connection.lock().ends[1 - self.end].window;
        let write = |end: &mut End| {
            if end.is_closed {
                return Some(Err(ErrorKind::BrokenPipe.into()));
            }
            let most = from.len().min(room);
            match (from.is_empty(), most) {
                (true, _) => Some(Ok(0)),
                (false, 0) => None,
                _ => Some(Ok(end.piece(most))),
            }
        };
        let polled = self.poll_end(cx, write, |end| &mut end.writer);
        if let Poll::Ready(Ok(len @ 1..)) = polled {
            self.connection.lock().ends[1 - self.end].window += len;
            self.send(Item::Piece(Bytes::copy_from_slice(&from[..len])));
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        self.connection.lock().ends[self.end].is_dropped = true;
        self.close();
    }
}

/// How much may be written and not read.
const WINDOW_BYTES: usize = 64 << 10;
