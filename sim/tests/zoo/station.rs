//! A lease on one register: who grants it, who keeps the register, and who holds the lease.
//!
//! ```text
//! worker --Acquire--> server      one lease at a time, with a token that rises
//!        <--Granted--             valid from when it was asked for: the worker cannot know better
//! worker --Open, Put--> store     refuses a token below the largest it saw
//! ```
//!
//! A worker answers reads from its own copy while its lease lasts, so that leases must not overlap
//! on any clock. It asks for a new lease when the last is over: whoever comes first gets it.
//!
//! Source: Gray and Cheriton, "Leases" (1989); Burrows, "The Chubby lock service" (2006), 2.4, for
//! the token, which he calls a sequencer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use quorate_sim::quorate_core::{FetchId, OutputOf, Outputs, SplitMix64, WriteId};
use quorate_sim::{Instant, NodeId, OpId, Protocol};

use crate::lease::Bug;

/// One node, in its role.
#[derive(Debug)]
pub(crate) struct Station {
    role: Role,
    bug: Bug,
    outputs: Outputs<OutputOf<Self>>,
}

#[derive(Debug)]
enum Role {
    Server { token: u64, granted_until: Instant },
    Store(Kept),
    Worker(Worker),
}

/// What the store has on disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    token: u64,
    /// Which write of the token's holder was the last.
    number: u64,
    value: Option<u64>,
}

#[derive(Debug)]
struct Worker {
    random: SplitMix64,
    /// What clients asked for, first things first.
    queue: VecDeque<(OpId, Request)>,
    /// When each request for a lease was sent.
    asked: BTreeMap<u64, Instant>,
    lease: Option<Lease>,
    last_request: u64,
    again_at: Option<Instant>,
}

#[derive(Debug)]
struct Lease {
    token: u64,
    until: Instant,
    /// What the store has, once it was asked.
    copy: Option<Option<u64>>,
    /// The number of the last write, and whether it is under way.
    number: u64,
    is_writing: bool,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    Read,
    Write(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    Acquire { request: u64 },
    Granted { request: u64, token: u64 },
    Open { token: u64 },
    Opened { token: u64, value: Option<u64> },
    Put { token: u64, number: u64, value: u64 },
    Stored { token: u64, number: u64 },
    Rejected { token: u64 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Record {
    Token(u64),
    Kept(Kept),
}

/// What becomes of a client's request, and what the server did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    Written {
        id: OpId,
    },
    Found {
        id: OpId,
        value: Option<u64>,
    },
    Unknown {
        id: OpId,
    },
    /// The server grants the lease with this token, which is durable.
    Granted {
        token: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A worker relied on its lease, and on nothing else.
    Used { token: u64 },
    /// The store refused a token.
    Rejected,
}

impl Station {
    pub(crate) fn server(records: &[Record], now: Instant, bug: Bug) -> Self {
        let token = records.iter().rev().find_map(|record| match record {
            Record::Token(token) => Some(*token),
            Record::Kept(_) => None,
        });
        // Whom it granted the lease before the restart, and when, it does not know.
        let wait = if bug == Bug::GrantsAtOnce { Duration::ZERO } else { TIME_TO_LIVE };
        let granted_until = now + wait;
        Self::new(Role::Server { token: token.unwrap_or_default(), granted_until }, bug)
    }

    pub(crate) fn store(records: &[Record], bug: Bug) -> Self {
        let kept = records.iter().rev().find_map(|record| match record {
            Record::Kept(kept) => Some(*kept),
            Record::Token(_) => None,
        });
        Self::new(Role::Store(kept.unwrap_or_default()), bug)
    }

    pub(crate) fn worker(seed: u64, bug: Bug) -> Self {
        let worker = Worker {
            random: SplitMix64::new(seed),
            queue: VecDeque::new(),
            asked: BTreeMap::new(),
            lease: None,
            last_request: 0,
            again_at: None,
        };
        Self::new(Role::Worker(worker), bug)
    }

    fn new(role: Role, bug: Bug) -> Self {
        Self { role, bug, outputs: Outputs::default() }
    }

    /// Takes a client's request.
    ///
    /// # Panics
    ///
    /// If the node is no worker.
    pub(crate) fn request(&mut self, now: Instant, id: OpId, request: Request) {
        let Role::Worker(worker) = &mut self.role else { panic!("only workers are asked") };
        worker.queue.push_back((id, request));
        if self.bug != Bug::Idles {
            self.work(now);
        }
    }

    /// Returns the token and the value that the store has, if this is it.
    pub(crate) fn stored(&self) -> Option<(u64, Option<u64>)> {
        let Role::Store(kept) = &self.role else { return None };
        Some((kept.token, kept.value))
    }

    /// Returns the token and the copy of a worker that answers reads from it.
    pub(crate) fn copy(&self) -> Option<(u64, Option<u64>)> {
        let Role::Worker(Worker { lease: Some(lease), .. }) = &self.role else { return None };
        lease.copy.filter(|_| !lease.is_writing).map(|copy| (lease.token, copy))
    }

    // The server.

    fn grant(&mut self, now: Instant, to: NodeId, request: u64) {
        let Role::Server { token, granted_until } = &mut self.role else { return };
        if now < *granted_until {
            return;
        }
        *token += 1;
        *granted_until = now + TIME_TO_LIVE;
        let token = *token;
        if self.bug != Bug::TokenReused {
            self.outputs.persist(Record::Token(token));
        }
        self.outputs.deliver_when_durable(Delivery::Granted { token });
        self.outputs.send_when_durable(to, Message::Granted { request, token });
    }

    // The store.

    fn open(&mut self, from: NodeId, token: u64) {
        let Role::Store(kept) = &mut self.role else { return };
        if token < kept.token {
            return self.reject(from, token);
        }
        if kept.token < token {
            *kept = Kept { token, number: 0, ..*kept };
            self.outputs.persist(Record::Kept(*kept));
        }
        let value = kept.value;
        self.answer(from, Message::Opened { token, value });
    }

    fn put(&mut self, from: NodeId, token: u64, number: u64, value: u64) {
        let Role::Store(kept) = &mut self.role else { return };
        if token < kept.token && self.bug != Bug::TokenUnchecked {
            return self.reject(from, token);
        }
        let is_new = kept.token != token || kept.number < number;
        if is_new || self.bug == Bug::AppliesTwice {
            let (token, number) = (token, number).max((kept.token, kept.number));
            *kept = Kept { token, number, value: Some(value) };
            self.outputs.persist(Record::Kept(*kept));
        }
        self.answer(from, Message::Stored { token, number });
    }

    fn reject(&mut self, from: NodeId, token: u64) {
        self.outputs.event(Event::Rejected);
        self.outputs.send_when_durable(from, Message::Rejected { token });
    }

    fn answer(&mut self, to: NodeId, message: Message) {
        if self.bug == Bug::AcksBeforeSync {
            self.outputs.send(to, message);
        } else {
            self.outputs.send_when_durable(to, message);
        }
    }

    // A worker.

    /// Does what can be done now.
    fn work(&mut self, now: Instant) {
        self.end_lease(now);
        let Role::Worker(worker) = &mut self.role else { return };
        while let Some((id, request)) = worker.queue.front().copied() {
            match &mut worker.lease {
                Some(Lease { copy: Some(value), token, is_writing: false, .. })
                    if matches!(request, Request::Read) =>
                {
                    self.outputs.event(Event::Used { token: *token });
                    self.outputs.deliver(Delivery::Found { id, value: *value });
                    worker.queue.pop_front();
                }
                Some(lease @ Lease { copy: Some(_), is_writing: false, .. }) => {
                    (lease.number, lease.is_writing) = (lease.number + 1, true);
                    return self.ask(now);
                }
                _ if worker.again_at.is_none() => return self.ask(now),
                _ => return,
            }
        }
        worker.again_at = worker.again_at.filter(|_| worker.lease.is_none());
    }

    /// Asks whoever must answer before the worker can go on.
    fn ask(&mut self, now: Instant) {
        let Role::Worker(worker) = &mut self.role else { return };
        worker.again_at = Some(now + AGAIN_AFTER);
        match &worker.lease {
            None => {
                worker.last_request += 1;
                let request = match self.bug {
                    Bug::AnswersOldIncarnation => worker.last_request,
                    _ => worker.random.next_u64(),
                };
                worker.asked.insert(request, now);
                self.outputs.send(SERVER, Message::Acquire { request });
            }
            Some(Lease { token, copy: None, .. }) => {
                self.outputs.send(STORE, Message::Open { token: *token });
            }
            Some(Lease { token, number, is_writing: true, .. }) => {
                if let Some((_, Request::Write(value))) = worker.queue.front() {
                    let (token, number, value) = (*token, *number, *value);
                    self.outputs.send(STORE, Message::Put { token, number, value });
                }
            }
            Some(_) => worker.again_at = None,
        }
    }

    fn take_grant(&mut self, now: Instant, request: u64, token: u64) {
        let Role::Worker(worker) = &mut self.role else { return };
        let Some(sent_at) = worker.asked.remove(&request) else { return };
        let lasts = match self.bug {
            Bug::IgnoresDrift => TIME_TO_LIVE,
            _ => TIME_TO_USE,
        };
        let from = if self.bug == Bug::CountsFromReceipt { now } else { sent_at };
        let until = from + lasts;
        if until <= now || worker.lease.is_some() {
            return;
        }
        worker.asked.clear();
        worker.lease = Some(Lease { token, until, copy: None, number: 0, is_writing: false });
        self.ask(now);
    }

    fn take_opened(&mut self, now: Instant, token: u64, value: Option<u64>) {
        let Role::Worker(worker) = &mut self.role else { return };
        if let Some(lease) = worker.lease.as_mut().filter(|it| it.token == token)
            && lease.copy.is_none()
        {
            (lease.copy, worker.again_at) = (Some(value), None);
            self.work(now);
        }
    }

    fn take_stored(&mut self, now: Instant, token: u64, number: u64) {
        let Role::Worker(worker) = &mut self.role else { return };
        if let Some(lease) = worker.lease.as_mut().filter(|it| it.token == token)
            && lease.is_writing
            && lease.number == number
            && let Some((id, Request::Write(value))) = worker.queue.pop_front()
        {
            (lease.copy, lease.is_writing) = (Some(Some(value)), false);
            worker.again_at = None;
            self.outputs.deliver(Delivery::Written { id });
            self.work(now);
        }
    }

    fn take_rejection(&mut self, now: Instant, token: u64) {
        if let Role::Worker(worker) = &mut self.role
            && let Some(lease) = worker.lease.as_mut().filter(|it| it.token == token)
        {
            lease.until = now;
            self.work(now);
        }
    }

    /// Forgets a lease that is over. Nobody knows what becomes of a write that is under way.
    fn end_lease(&mut self, now: Instant) {
        let Role::Worker(worker) = &mut self.role else { return };
        if worker.lease.as_ref().is_none_or(|lease| now < lease.until) {
            return;
        }
        worker.again_at = None;
        if let Some(Lease { is_writing: true, .. }) = worker.lease.take()
            && let Some((id, _)) = worker.queue.pop_front()
        {
            self.outputs.deliver(Delivery::Unknown { id });
        }
    }
}

impl Protocol for Station {
    type Message = Message;
    type Record = Record;
    type Query = std::convert::Infallible;
    type Answer = std::convert::Infallible;
    type Delivery = Delivery;
    type Event = Event;

    fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.bug == Bug::Idles {
            return;
        }
        self.end_lease(now);
        match message {
            Message::Acquire { request } => self.grant(now, from, request),
            Message::Granted { request, token } => self.take_grant(now, request, token),
            Message::Open { token } => self.open(from, token),
            Message::Opened { token, value } => self.take_opened(now, token, value),
            Message::Put { token, number, value } => self.put(from, token, number, value),
            Message::Stored { token, number } => self.take_stored(now, token, number),
            Message::Rejected { token } => self.take_rejection(now, token),
        }
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, answer: Self::Answer) {
        match answer {}
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.end_lease(now);
        let Role::Worker(worker) = &mut self.role else { return };
        if worker.again_at.is_some_and(|at| at <= now) {
            self.ask(now);
        }
        self.work(now);
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let Role::Worker(worker) = &self.role else { return None };
        let until = worker.lease.as_ref().map(|lease| lease.until);
        until.into_iter().chain(worker.again_at).min()
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Who grants the lease.
pub(crate) const SERVER: NodeId = NodeId(1);
/// Who keeps the register.
pub(crate) const STORE: NodeId = NodeId(2);

/// How long the server grants nothing else, by its own clock.
const TIME_TO_LIVE: Duration = Duration::from_millis(300);
/// How long a worker relies on its lease, by its own clock. Each may be wrong by 5 in 100, and
/// 0.95 / 1.05 of the time to live is more than this.
const TIME_TO_USE: Duration = Duration::from_millis(270);

/// How soon what was not answered is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
