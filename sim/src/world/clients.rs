//! Clients: each does one operation after the other, and keeps a history of what it was told.
//!
//! ```text
//! client  Starts --invoke--> Tries ---------------> Hears ok, fail, info --> Starts
//!                              |  ^ refused: another     ^
//!                              v  | node, after a while  |
//! node                         Asks --System::invoke--> Done
//! ```
//!
//! Stamps are of the world's clock: before the request is sent, and after the answer is there. A
//! client that waits too long does not know what became of its operation, and goes on as a new
//! process.

use std::fmt;
use std::sync::Arc;

use super::site::{ClientStep, Happening, Heard};
use super::{Kind, World};
use crate::client::{Draw, Invoked, OpId, Reply};
use crate::decision::{Delay, nanos, scale};
use crate::history::{Call, History, Process};
use crate::law::Broken;
use crate::plan::Plan;
use crate::stream::{Purpose, Stream};
use crate::system::System;
use crate::trace::What;
use crate::traps::{Trap, planted};

/// What clients ask for.
pub(crate) type Workload<O> = Arc<dyn Fn(&mut Draw) -> O + Send + Sync>;

/// All clients, and what they saw.
pub(super) struct Clients<S: System> {
    clients: Vec<Client<S::Operation>>,
    history: History<S::Operation, S::Return>,
    workload: Option<Workload<S::Operation>>,
    is_stopped: bool,
    /// The operations that are started from now on do not count against the plan.
    is_beyond: bool,
}

struct Client<O> {
    stream: Stream,
    /// How many operations it started.
    count: u64,
    /// Rises with each try: what belongs to an older one is out of date.
    turn: u64,
    tries: u32,
    process: Option<Process>,
    open: Option<Open<O>>,
}

/// An operation that has not ended.
struct Open<O> {
    id: OpId,
    operation: O,
    call: Call,
    /// The node that may be working on it.
    asked: Option<usize>,
}

impl<S: System> Clients<S> {
    pub(super) fn new(plan: &Plan) -> Self {
        let client = |client: usize| Client {
            stream: Stream::new(plan.seed, Purpose::Client, client as u64, 0),
            count: 0,
            turn: 0,
            tries: 0,
            process: None,
            open: None,
        };
        Self {
            clients: (0..plan.clients).map(client).collect(),
            history: History::new(),
            workload: None,
            is_stopped: false,
            is_beyond: false,
        }
    }

    pub(super) const fn history(&self) -> &History<S::Operation, S::Return> {
        &self.history
    }

    /// Returns all operations that had their turn, skipped ones included.
    pub(super) fn started(&self) -> impl Iterator<Item = OpId> {
        (0..)
            .zip(&self.clients)
            .flat_map(|(client, it)| (0..it.count).map(move |number| OpId::new(client, number)))
    }

    fn id(&self, client: usize) -> OpId {
        let number = self.clients[client].count;
        OpId::new(u32::try_from(client).expect("a million clients at most"), number)
    }
}

impl<S: System> World<S> {
    /// Lets clients ask for what `workload` draws.
    #[must_use]
    pub fn with_workload(
        self,
        workload: impl Fn(&mut Draw) -> S::Operation + Send + Sync + 'static,
    ) -> Self {
        self.with_shared_workload(Arc::new(workload))
    }

    pub(crate) fn with_shared_workload(mut self, workload: Workload<S::Operation>) -> Self {
        self.clients.workload = Some(workload);
        self
    }

    /// Lets clients start nothing from now on. What they wait for may still come.
    pub fn stop_clients(&mut self) {
        self.clients.is_stopped = true;
    }

    /// Returns how many operations have not ended.
    #[must_use]
    pub fn open_operations(&self) -> usize {
        self.clients.clients.iter().filter(|client| client.open.is_some()).count()
    }

    /// Lets clients start as many operations as they like, whatever the plan says.
    pub(super) fn free_clients(&mut self) {
        self.clients.is_beyond = true;
        self.let_idle_think();
    }

    pub(super) fn start_clients(&mut self) {
        if self.clients.workload.is_some() {
            self.let_idle_think();
        }
    }

    /// Lets each client start its next operation that has none: one may have been asked for one
    /// between two outputs of a node, even while nodes start.
    fn let_idle_think(&mut self) {
        for client in 0..self.clients.clients.len() {
            if self.clients.clients[client].open.is_none() {
                self.think(client);
            }
        }
    }

    /// Lets the client start its next operation after a while.
    fn think(&mut self, client: usize) {
        let it = &mut self.clients.clients[client];
        let mean_nanos = nanos(self.plan.knobs.think);
        let time = Delay::Exponential { min_nanos: 1, mean_nanos }.draw(it.stream.next());
        it.turn += 1;
        self.queue_client(client, time, ClientStep::Starts);
    }

    fn queue_client(&mut self, client: usize, after: u64, step: ClientStep<S::Return>) {
        self.queue.push(self.now.saturating_add(after), Happening::Client { client, step });
    }

    pub(super) fn run_client(
        &mut self,
        client: usize,
        step: ClientStep<S::Return>,
    ) -> Result<(), Broken> {
        let turn_now = self.clients.clients[client].turn;
        match step {
            ClientStep::Starts => self.start_operation(client),
            ClientStep::Tries { turn } if turn == turn_now => self.send_request(client),
            ClientStep::Asks { turn, node } if turn == turn_now => self.ask(client, node)?,
            ClientStep::Hears { turn, reply } if turn == turn_now => match reply {
                Heard::Reply(reply) => self.complete(client, reply)?,
                Heard::Refused { redirect } => self.try_again(client, redirect)?,
            },
            ClientStep::GivesUp { turn } if turn == turn_now => {
                self.complete(client, Reply::Info)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn start_operation(&mut self, client: usize) {
        // It may have started one between two outputs of a node meanwhile.
        if self.clients.clients[client].open.is_some() {
            return;
        }
        self.open_operation(client);
        if self.clients.clients[client].open.is_some() {
            self.send_request(client);
        }
    }

    /// Draws the client's next operation, if it may start one.
    fn open_operation(&mut self, client: usize) {
        let clients = &mut self.clients;
        let Some(workload) = &clients.workload else { return };
        let id = clients.id(client);
        let it = &mut clients.clients[client];
        if clients.is_stopped || it.open.is_some() {
            return;
        }
        if self.plan.operations <= it.count && !clients.is_beyond {
            return;
        }
        it.count += 1;
        if self.plan.skipped.contains(&id) {
            return self.think(client);
        }
        let operation = workload(&mut Draw::new(self.plan.seed, id));
        let process = it.process.take().unwrap_or_else(|| clients.history.start());
        let now = if planted(Trap::NodeStamps) {
            self.sites[client % self.sites.len()].clock.local(self.now)
        } else {
            quorate_core::Instant::from_nanos(self.now)
        };
        let call = clients.history.invoke(process, now, operation.clone());
        self.laws.iter_mut().for_each(|law| law.invoked(id, &operation));
        let asked = operation.clone();
        it.open = Some(Open { id, operation, call, asked: None });
        it.tries = 0;
        self.stats.invoked += 1;
        self.note_all(Kind::Client, || What::Invoked { id, operation: asked });
    }

    /// Sends the open operation to a node: the one that was named, or any.
    fn send_request(&mut self, client: usize) {
        let count = self.nodes.ids.len() as u64;
        let it = &mut self.clients.clients[client];
        it.turn += 1;
        it.tries += 1;
        it.stream.advance();
        let any = usize::try_from(scale(it.stream.number(Purpose::Target), count)).expect("below");
        let Some(open) = &mut it.open else { return };
        let node = *open.asked.get_or_insert(any);
        let turn = it.turn;
        let time = self.plan.knobs.client_delay.draw(it.stream.number(Purpose::Request));
        self.queue_client(client, time, ClientStep::Asks { turn, node });
        let patience = nanos(self.plan.knobs.client_timeout);
        self.queue_client(client, patience, ClientStep::GivesUp { turn });
    }

    /// Hands the request to the node, and does what follows from it.
    fn ask(&mut self, client: usize, node: usize) -> Result<(), Broken> {
        self.hand_in(client, node);
        self.settle(node)
    }

    fn hand_in(&mut self, client: usize, node: usize) {
        let turn = self.clients.clients[client].turn;
        let Some(open) = &self.clients.clients[client].open else { return };
        let Some(live) = &mut self.nodes.slots[node] else {
            return self.answer(client, turn, Heard::Refused { redirect: None });
        };
        live.now = self.sites[node].clock.local(self.now);
        self.stats.events += 1;
        let invoked = self.system.invoke(live, open.id, &open.operation, &mut self.done);
        let id = open.id;
        self.note(Kind::Command, node, || What::Asked { id, invoked });
        match invoked {
            Invoked::Started => {}
            Invoked::Refused { is_definite: true, redirect } => {
                let redirect = redirect.and_then(|to| self.nodes.index(to));
                self.answer(client, turn, Heard::Refused { redirect });
            }
            Invoked::Refused { is_definite: false, .. } => {
                self.answer(client, turn, Heard::Reply(Reply::Info));
            }
        }
    }

    /// Hands a request to the node between two of its outputs, if a client has nothing to do.
    pub(super) fn ask_in_between(&mut self, node: usize) {
        let idle = self.clients.clients.iter().position(|it| it.open.is_none() && it.tries == 0);
        let idle = idle.or_else(|| self.clients.clients.iter().position(|it| it.open.is_none()));
        let Some(client) = idle else { return };
        self.open_operation(client);
        let it = &mut self.clients.clients[client];
        let Some(open) = &mut it.open else { return };
        open.asked = Some(node);
        (it.turn, it.tries) = (it.turn + 1, 1);
        let turn = it.turn;
        let patience = nanos(self.plan.knobs.client_timeout);
        self.queue_client(client, patience, ClientStep::GivesUp { turn });
        self.hand_in(client, node);
    }

    /// Sends an answer on its way to the client.
    fn answer(&mut self, client: usize, turn: u64, reply: Heard<S::Return>) {
        let stream = self.clients.clients[client].stream;
        let time = self.plan.knobs.client_delay.draw(stream.number(Purpose::Reply));
        self.queue_client(client, time, ClientStep::Hears { turn, reply });
    }

    /// Sends what nodes answered on its way.
    #[inline]
    pub(super) fn answer_clients(&mut self) {
        for (id, reply) in std::mem::take(&mut self.done.replies) {
            let client = usize::try_from(id.client()).expect("a million clients at most");
            let Some(it) = self.clients.clients.get(client) else { continue };
            if it.open.as_ref().is_some_and(|open| open.id == id) {
                let turn = it.turn;
                self.answer(client, turn, Heard::Reply(reply));
            }
        }
    }

    fn try_again(&mut self, client: usize, redirect: Option<usize>) -> Result<(), Broken> {
        let it = &mut self.clients.clients[client];
        let Some(open) = &mut it.open else { return Ok(()) };
        open.asked = redirect;
        if TRIES_MAX <= it.tries {
            return self.complete(client, Reply::Fail);
        }
        it.turn += 1;
        let turn = it.turn;
        let pause = Delay::Exponential { min_nanos: 0, mean_nanos: RETRY_NANOS };
        let time = pause.draw(it.stream.next());
        self.queue_client(client, time, ClientStep::Tries { turn });
        Ok(())
    }

    /// Ends the open operation.
    fn complete(&mut self, client: usize, reply: Reply<S::Return>) -> Result<(), Broken> {
        let now = self.now();
        let clients = &mut self.clients;
        let it = &mut clients.clients[client];
        it.turn += 1;
        let Some(Open { id, operation, call, .. }) = it.open.take() else { return Ok(()) };
        self.stats.events += 1;
        let told = reply.clone();
        it.process = match reply.clone() {
            Reply::Ok(returned) => {
                self.stats.completed += 1;
                Some(clients.history.ok(call, now, returned))
            }
            Reply::Fail => Some(clients.history.fail(call, now)),
            Reply::Info => {
                clients.history.info(call, now);
                None
            }
        };
        let shown = operation.clone();
        self.note_all(Kind::Client, || What::Completed { id, operation: shown, reply: told });
        for law in &mut self.laws {
            let checked = law.completed(id, &operation, &reply);
            checked.map_err(|why| Broken::law(law.name(), why))?;
        }
        self.think(client);
        Ok(())
    }
}

impl<S: System> fmt::Debug for Clients<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("count", &self.clients.len()).finish_non_exhaustive()
    }
}

/// How often a client sends one operation, while nodes refuse it.
const TRIES_MAX: u32 = 10;

/// How long it waits before it tries another node, in the mean.
const RETRY_NANOS: u64 = 20_000_000;
