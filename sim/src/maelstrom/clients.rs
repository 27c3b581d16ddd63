//! Clients: each is beside a node, asks one thing at a time, and gives up after a while.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_core::{Instant, SplitMix64};

use super::message::{Body, Message, is_definite};
use super::network::{below, node_name};
use super::report::{MisdeedKind, Operations};
use super::workloads::{Seen, Work};
use crate::history::{Call, Outcome, Process, Value, Words};

/// All clients of a run, and what they saw.
pub(super) struct Clients {
    work: Box<dyn Work>,
    clients: Vec<Client>,
    /// What waits for an answer, by the number of its request. The oldest is the first to expire.
    open: BTreeMap<u64, Open>,
    next_id: u64,
    timeout: Duration,
    draw: SplitMix64,
    pub(super) seen: Seen,
    pub(super) operations: Operations,
    /// For each node: how many requests it got, and how many it answered.
    pub(super) served: Vec<(u64, u64)>,
}

struct Client {
    node: usize,
    /// Its name; it gets a new one with each process.
    number: usize,
    /// `None` while it waits.
    process: Option<Process>,
}

struct Open {
    client: usize,
    words: Words,
    call: Call,
    deadline: Instant,
    is_last: bool,
}

/// How an operation ended, for its client.
enum End {
    Ok(Value),
    Fail,
    Info,
}

impl Clients {
    pub(super) fn new(
        work: Box<dyn Work>,
        count: usize,
        nodes: usize,
        timeout: Duration,
        seed: u64,
    ) -> Self {
        let mut seen = Seen::new();
        let mut client = |index: usize| {
            let process = Some(seen.start());
            Client { node: index % nodes, number: index + 1, process }
        };
        Self {
            work,
            clients: (0..count.max(nodes)).map(&mut client).collect(),
            open: BTreeMap::new(),
            next_id: 1,
            timeout,
            draw: SplitMix64::new(seed),
            seen,
            operations: Operations::default(),
            served: vec![(0, 0); nodes],
        }
    }

    /// Has a client that waits for nothing call the next operation; `None` if all wait.
    pub(super) fn call(&mut self, now: Instant) -> Option<(usize, Message)> {
        let is_free = |it: &usize| self.clients[*it].process.is_some();
        let free: Vec<usize> = (0..self.clients.len()).filter(is_free).collect();
        if free.is_empty() {
            return None;
        }
        let client = free[below(&mut self.draw, free.len())];
        let words = self.work.next(client, &mut self.draw);
        self.request(now, client, words, false)
    }

    /// Has a client of `node` call the next last operation of the workload, after the one at
    /// `before` in the history, and returns its position besides; `None` if there is no more.
    pub(super) fn call_last(
        &mut self,
        now: Instant,
        node: usize,
        before: Option<usize>,
    ) -> Option<(usize, (usize, Message))> {
        let told = before.and_then(|it| self.seen.spans()[it].outcome.returned());
        let words = self.work.last(node, told)?;
        let position = self.seen.spans().len();
        Some((position, self.request(now, node, words, true)?))
    }

    fn request(
        &mut self,
        now: Instant,
        client: usize,
        words: Words,
        is_last: bool,
    ) -> Option<(usize, Message)> {
        let Client { node, number, process } = &mut self.clients[client];
        let call = self.seen.invoke(process.take()?, now, words.clone());
        let id = self.next_id;
        self.next_id += 1;
        let body = Body { msg_id: Some(id), ..self.work.request(&words) };
        let message = Message { src: format!("c{number}"), dest: node_name(*node), body };
        let deadline = now.checked_add(self.timeout).unwrap_or(now);
        self.open.insert(id, Open { client, words, call, deadline, is_last });
        self.served[*node].0 += 1;
        Some((*node, message))
    }

    /// Takes an answer. One that comes late, or again, is ignored.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        from: usize,
        message: &Message,
    ) -> Result<(), MisdeedKind> {
        let body = &message.body;
        let Some(id) = body.in_reply_to else { return Ok(()) };
        let Some(Open { client, words, is_last, .. }) = self.open.get(&id) else { return Ok(()) };
        let Client { node, number, .. } = self.clients[*client];
        if node != from || message.dest != format!("c{number}") {
            return Ok(());
        }
        self.served[node].1 += 1;
        let wrong = |why| MisdeedKind::WrongAnswer { request: words.f.clone(), why };
        let end = match body.error_code() {
            Some(code) => match self.work.returned_by_error(words, code) {
                Some(value) => End::Ok(value),
                None if is_definite(code) => End::Fail,
                None => End::Info,
            },
            None if body.kind != format!("{}_ok", words.f) => {
                let found = body.kind.escape_debug();
                return Err(wrong(format!("expected `{}_ok`, found `{found}`", words.f)));
            }
            None => match self.work.returned(*client, words, body) {
                Ok(value) => End::Ok(value),
                Err(expected) => return Err(wrong(format!("expected {expected}"))),
            },
        };
        if let End::Ok(value) = &end
            && let Some(why) = self.work.excess(*client, value, *is_last)
        {
            return Err(MisdeedKind::Endless { why });
        }
        self.end(now, id, end);
        Ok(())
    }

    /// Gives up what nobody answered in time.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((id, open)) = self.open.first_key_value()
            && open.deadline <= now
        {
            self.end(now, *id, End::Info);
        }
    }

    fn end(&mut self, now: Instant, id: u64, end: End) {
        let Some(open) = self.open.remove(&id) else { return };
        let Open { client, words, call, is_last, .. } = open;
        let Operations { ok, failed, unknown, reads } = &mut self.operations;
        // Here, and not at the call: a run may end before its operations do.
        *reads += u64::from(!is_last && self.work.is_read(&words));
        let (count, process) = match end {
            End::Ok(value) => (ok, Some(self.seen.ok(call, now, value))),
            End::Fail => (failed, Some(self.seen.fail(call, now))),
            End::Info => {
                self.seen.info(call, now);
                (unknown, None)
            }
        };
        *count += u64::from(!is_last);
        let has_process = process.is_some();
        let process = process.unwrap_or_else(|| self.seen.start());
        let count = self.clients.len();
        let client = &mut self.clients[client];
        if !has_process {
            client.number += count;
        }
        client.process = Some(process);
    }

    /// Returns when the next one gives up; `None` if none waits.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.open.first_key_value().map(|(_, open)| open.deadline)
    }

    pub(super) fn has_free(&self) -> bool {
        self.open.len() < self.clients.len()
    }

    pub(super) fn is_ok(&self, position: usize) -> bool {
        matches!(self.seen.spans()[position].outcome, Outcome::Ok { .. })
    }

    pub(super) fn work(&self) -> &dyn Work {
        &*self.work
    }
}
