//! The one driver that runs any core.
//!
//! ```text
//!            +--> commands, messages, deadline, durable, fetched --> core
//!            |                                                        |
//!        wait for the first                                      outputs, in order
//!            |                                                        |
//!            +-- start a sync if none is under way <-- send, append, fetch, deliver
//! ```
//!
//! While a sync is under way it goes on sending, receiving and firing deadlines; what is written
//! meanwhile shares the next sync. That is all there is to group commit.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Fuse, FusedFuture as _, FutureExt as _, pending, poll_fn};
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt as _};
use quorate_core::{
    Instant, NodeId, Output, Protocol, Storage, StorageError, Timer, Transport, Wire, WriteId,
};
use thiserror::Error;

use crate::Host;
use crate::host::Command;

/// What a core delivers to. It runs in the driver's task, so it must not block.
pub trait Application<P: Protocol>: Send {
    /// Takes the next delivery. The order is the core's.
    fn deliver(&mut self, delivery: P::Delivery);

    /// Takes note of news, or not.
    fn event(&mut self, event: P::Event) {
        _ = event;
    }

    /// Takes note that the disk has become full, or has room again. Meanwhile what the core wrote
    /// waits in memory; it is best to give it no more.
    fn storage_full(&mut self, is_full: bool) {
        _ = is_full;
    }

    /// Takes note that a frame of `from` is no message. It is dropped.
    fn undecodable(&mut self, from: NodeId) {
        _ = from;
    }
}

/// Why a driver ends. The core is gone with it; start again from what is durable.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriveError {
    /// The storage failed. The core was told of nothing that is not durable.
    #[error("the storage failed")]
    Storage(#[from] StorageError),
}

/// Runs `host` until `transport` closes. Drop the future to stop it at once, as a crash would.
///
/// Works on any runtime: it spawns nothing, and waits only in the futures of its arguments. A
/// storage whose sync blocks its thread stops everything meanwhile, heartbeats included: it belongs
/// on a thread of its own.
///
/// # Errors
///
/// [`DriveError`].
pub async fn drive<P, A>(
    mut host: Host<P, A>,
    transport: impl Transport,
    storage: impl Storage<P::Record, Query = P::Query, Answer = P::Answer>,
    timer: impl Timer,
) -> Result<(), DriveError>
where
    P: Protocol<Message: Wire>,
    A: Application<P>,
{
    let commands = Arc::clone(&host.commands);
    let mut frame = BytesMut::new();
    let mut fetches = FuturesUnordered::new();
    let mut sync = pin!(Fuse::terminated());
    let mut unsynced = Unsynced::default();
    let mut rounds = 0;
    loop {
        // Do what is due. Messages leave at once; records gather.
        while let Some(output) = host.core.poll_output() {
            match output {
                Output::Send { to, message } => {
                    message.encode(&mut frame);
                    transport.send(to, frame.split().freeze()).await;
                }
                Output::Persist { write, record } => {
                    storage.append(write, record)?;
                    unsynced.last = Some(write);
                }
                Output::Fetch { fetch, query } => {
                    fetches.push(storage.fetch(query).map(move |answer| (fetch, answer)));
                }
                Output::Deliver(delivery) => host.application.deliver(delivery),
                Output::Event(event) => host.application.event(event),
            }
        }
        if sync.is_terminated() && unsynced.is_due(timer.now()) {
            sync.set(storage.sync().fuse());
        }
        // Wait for whatever comes first.
        let mut command = pin!(commands.pop().fuse());
        let mut received = pin!(transport.recv().fuse());
        let deadline = [host.core.poll_timeout(), unsynced.retry_at].into_iter().flatten().min();
        let mut expired = pin!(sleep_until(&timer, deadline).fuse());
        select_biased! {
            synced = sync => unsynced.take_in(synced, timer.now(), &mut host)?,
            (fetch, answer) = fetches.select_next_some() => {
                host.core.handle_fetched(timer.now(), fetch, answer?);
            }
            command = command => command.into_iter().for_each(|it| host.run(it, timer.now())),
            frame = received => {
                let Ok((from, frame)) = frame else { return Ok(()) };
                host.take_in(timer.now(), from, frame);
            }
            () = expired => {}
        }
        // Take what else is there, from each side its share: it shares the writes that follow.
        for command in std::iter::from_fn(|| commands.try_pop()).take(BURST) {
            host.run(command, timer.now());
        }
        let more = || transport.recv().now_or_never().and_then(Result::ok);
        for (from, frame) in std::iter::from_fn(more).take(BURST) {
            host.take_in(timer.now(), from, frame);
        }
        host.core.handle_timeout(timer.now());
        // Whoever shares the task, such as the sockets of the transport, has its turn.
        rounds = (rounds + 1) % ROUNDS_MAX;
        if rounds == 0 {
            yield_now().await;
        }
    }
}

/// What is appended and not durable.
#[derive(Default)]
struct Unsynced {
    /// The last of it.
    last: Option<WriteId>,
    /// When to try again, if the disk is full.
    retry_at: Option<Instant>,
    is_full: bool,
}

impl Unsynced {
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.last.is_some() && self.retry_at.is_none_or(|at| at <= now);
        // A deadline that has passed must not wake the driver again.
        self.retry_at = self.retry_at.filter(|at| now < *at);
        is_due
    }

    /// Takes in how a sync ended, and tells `host`.
    fn take_in<P: Protocol, A: Application<P>>(
        &mut self,
        synced: Result<WriteId, StorageError>,
        now: Instant,
        host: &mut Host<P, A>,
    ) -> Result<(), StorageError> {
        let is_full = match synced {
            Ok(durable) => {
                self.last = self.last.filter(|last| durable < *last);
                host.core.handle_persisted(now, durable);
                false
            }
            Err(StorageError::Full) => {
                self.retry_at = Some(now + RETRY_INTERVAL);
                true
            }
            Err(error) => return Err(error),
        };
        if self.is_full != is_full {
            self.is_full = is_full;
            host.application.storage_full(is_full);
        }
        Ok(())
    }
}

async fn sleep_until(timer: &impl Timer, deadline: Option<Instant>) {
    match deadline {
        Some(at) => timer.sleep_until(at).await,
        None => pending().await,
    }
}

impl<P: Protocol<Message: Wire>, A: Application<P>> Host<P, A> {
    fn run(&mut self, command: Command<P, A>, now: Instant) {
        command(&mut self.core, &mut self.application, now);
    }

    fn take_in(&mut self, now: Instant, from: NodeId, mut frame: Bytes) {
        match P::Message::decode(&mut frame) {
            Ok(message) if frame.is_empty() => self.core.handle_message(now, from, message),
            Ok(_) | Err(_) => self.application.undecodable(from),
        }
    }
}

async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Rounds after which the driver lets others have their turn, though it could go on.
const ROUNDS_MAX: u32 = 32;

/// What is taken from one side before the other has its turn.
const BURST: usize = 256;

/// How long a full disk is left alone.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
