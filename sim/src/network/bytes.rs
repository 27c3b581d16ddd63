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

use super::{Network, Shared, State};
use crate::decision::scale;
use crate::links::Carried;
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
    pub(super) nodes: [usize; 2],
    ends: [End; 2],
    /// It broke, whether the ends know it or not: nothing arrives any more.
    is_broken: bool,
}

/// What is under way.
#[derive(Debug)]
enum Item {
    Piece(Bytes),
    End,
    /// The receiver is gone, and had not read all.
    Reset,
}

/// One end: what it has not read, and what it knows.
#[derive(Debug)]
struct End {
    unread: VecDeque<Bytes>,
    /// What the other end wrote and this one has not read, in bytes.
    window: usize,
    has_ended: bool,
    knows_it_broke: bool,
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
        let mut state = self.shared.state.lock();
        state.made += 1;
        let end = |from: usize| {
            let key = (nodes[from] << 14 | nodes[1 - from]) as u64;
            End::new(Stream::new(self.shared.seed, Purpose::Piece, key, state.made))
        };
        let connection = Connection { nodes, ends: [end(0), end(1)], is_broken: false };
        let connection = Arc::new(Mutex::new(connection));
        state.connections.retain(|connection| 0 < connection.strong_count());
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        [0, 1].map(|end| ByteStream {
            network: self.clone(),
            connection: Arc::clone(&connection),
            end,
        })
    }
}

/// Breaks a connection. Each end learns of it at its own time; what is under way is lost at once.
pub(super) fn break_off(network: &Shared, state: &State, connection: &Arc<Mutex<Connection>>) {
    let mut both = connection.lock();
    if std::mem::replace(&mut both.is_broken, true) {
        return;
    }
    let nodes = both.nodes;
    drop(both);
    for end in 0..2 {
        let at =
            network.time.elapsed().saturating_add(state.links.notice(nodes[end], nodes[1 - end]));
        let connection = Arc::downgrade(connection);
        network.time.schedule(at, move || {
            if let Some(connection) = connection.upgrade() {
                let wakers = connection.lock().ends[end].learn();
                wakers.into_iter().flatten().for_each(Waker::wake);
            }
        });
    }
}

impl End {
    const fn new(pieces: Stream) -> Self {
        Self {
            unread: VecDeque::new(),
            window: 0,
            has_ended: false,
            knows_it_broke: false,
            is_closed: false,
            is_dropped: false,
            reader: None,
            writer: None,
            pieces,
        }
    }

    /// Takes in that the connection broke. Returns whom to wake.
    fn learn(&mut self) -> [Option<Waker>; 2] {
        self.knows_it_broke = true;
        self.unread.clear();
        self.wakers()
    }

    const fn wakers(&mut self) -> [Option<Waker>; 2] {
        [self.reader.take(), self.writer.take()]
    }

    /// Returns a length from 1 to `most`.
    fn piece(&mut self, most: usize) -> usize {
        let drawn = scale(self.pieces.next(), most as u64);
        1 + usize::try_from(drawn).expect("below a length")
    }

    /// Reads a part of what is there. `None`: there is nothing yet.
    fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        let Some(piece) = self.unread.front() else {
            return (self.has_ended || into.is_empty()).then_some(0);
        };
        let most = piece.len().min(into.len());
        if most == 0 {
            return Some(0);
        }
        let len = self.piece(most);
        let piece = &mut self.unread[0];
        into[..len].copy_from_slice(&piece[..len]);
        piece.advance(len);
        if piece.is_empty() {
            self.unread.pop_front();
        }
        self.window -= len;
        Some(len)
    }
}

impl Connection {
    /// Returns how much the end `end` writes of `len` bytes. `None`: there is no room.
    fn accept(&mut self, end: usize, len: usize) -> Option<usize> {
        let most = len.min(WINDOW_BYTES.saturating_sub(self.ends[1 - end].window));
        if len == 0 || most == 0 {
            return (len == 0).then_some(0);
        }
        let len = self.ends[end].piece(most);
        self.ends[1 - end].window += len;
        Some(len)
    }
}

impl ByteStream {
    /// Says that nothing more comes, or that nothing more is read, once.
    fn close(&self, item: Item) {
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        let is_open = !std::mem::replace(&mut end.is_closed, true) && !end.knows_it_broke;
        drop(connection);
        if is_open || matches!(item, Item::Reset) {
            send(&self.network.shared, &self.connection, self.end, item);
        }
    }
}

/// Puts what the end `end` says on its way.
fn send(network: &Arc<Shared>, connection: &Arc<Mutex<Connection>>, end: usize, item: Item) {
    let (nodes, is_broken) = {
        let both = connection.lock();
        (both.nodes, both.is_broken)
    };
    if is_broken {
        return;
    }
    let (from, to) = (nodes[end], nodes[1 - end]);
    let bytes = if let Item::Piece(piece) = &item { piece.len() } else { 0 };
    let mut state = network.state.lock();
    let carried = state.links.send_in_stream(network.time.elapsed(), from, to, bytes as u64);
    let Some(Carried { at, damage }) = carried else {
        return break_off(network, &state, connection);
    };
    drop(state);
    let item = match (item, damage) {
        (Item::Piece(piece), Some(damage)) => Item::Piece(flip(&piece, damage)),
        (item, _) => item,
    };
    let (there, connection) = (Arc::downgrade(network), Arc::downgrade(connection));
    network.time.schedule(at, move || {
        if let (Some(network), Some(connection)) = (there.upgrade(), connection.upgrade()) {
            let state = network.state.lock();
            if state.links.is_cut(from, to) {
                return break_off(&network, &state, &connection);
            }
            drop(state);
            take_in(&network, &connection, 1 - end, item);
        }
    });
}

/// Lets the end `end` of a connection have what the other one said.
fn take_in(network: &Arc<Shared>, connection: &Arc<Mutex<Connection>>, end: usize, item: Item) {
    let mut both = connection.lock();
    if both.is_broken {
        return;
    }
    let here = &mut both.ends[end];
    match item {
        Item::Piece(_) if here.is_dropped => {
            drop(both);
            return send(network, connection, end, Item::Reset);
        }
        Item::Piece(piece) => here.unread.push_back(piece),
        Item::End => here.has_ended = true,
        Item::Reset => here.knows_it_broke = true,
    }
    let wakers = here.wakers();
    drop(both);
    wakers.into_iter().flatten().for_each(Waker::wake);
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
        // Wakers go when the lock is free: they may be the last of what locks it.
        let (mut replaced, mut writer) = (None, None);
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        let polled = if end.knows_it_broke {
            Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        } else if let Some(len) = end.read(into) {
            // There is room for more of what the other end writes.
            writer = connection.ends[1 - self.end].writer.take();
            Poll::Ready(Ok(len))
        } else {
            replaced = end.reader.replace(cx.waker().clone());
            Poll::Pending
        };
        drop(connection);
        drop(replaced);
        writer.into_iter().for_each(Waker::wake);
        polled
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut replaced = None;
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        let polled = if end.knows_it_broke {
            Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        } else if end.is_closed {
            Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
        } else if let Some(len) = connection.accept(self.end, from.len()) {
            Poll::Ready(Ok(len))
        } else {
            replaced = connection.ends[self.end].writer.replace(cx.waker().clone());
            Poll::Pending
        };
        drop(connection);
        drop(replaced);
        if let Poll::Ready(Ok(len @ 1..)) = polled {
            let piece = Item::Piece(Bytes::copy_from_slice(&from[..len]));
            send(&self.network.shared, &self.connection, self.end, piece);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(Item::End);
        Poll::Ready(Ok(()))
    }
}

impl Drop for ByteStream {
    fn drop(&mut self) {
        let mut connection = self.connection.lock();
        let end = &mut connection.ends[self.end];
        end.is_dropped = true;
        let (unread, wakers) = (std::mem::take(&mut end.unread), end.wakers());
        // What was written and not read is refused, as by a socket.
        let item = if 0 < end.window { Item::Reset } else { Item::End };
        drop(connection);
        drop((unread, wakers));
        self.close(item);
    }
}

/// How much may be written and not read.
const WINDOW_BYTES: usize = 64 << 10;
