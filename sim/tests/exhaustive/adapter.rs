//! Every run of a small scope: an adapter from `Protocol` to the model checker `stateright`.
//!
//! A step hands one message over, in any order; loses one; reports what was written as durable;
//! runs a deadline, whenever it would be; or crashes a node, which starts again from what was
//! durable. So time is no part of a state: whatever some timing can do is done.

use std::fmt::{Debug, Display};
use std::hash::{Hash, Hasher};

use quorate_core::{Instant, NodeId, Output, Protocol, WriteId};
use stateright::{Checker as _, Model, Property};

/// What is explored, and how far.
pub(crate) trait Scope: Clone + Debug + Sync + Send + 'static {
    /// The protocol. It may not fetch.
    type Core: Protocol<
            Message: Clone + Debug + Display + PartialEq + Send + Sync,
            Record: Clone + Debug + Display + PartialEq + Send + Sync,
        > + Clone
        + Debug
        + Send
        + Sync;

    /// How many nodes there are.
    fn nodes(&self) -> u64;

    /// How many deadlines are run, at most; how many nodes crash; how many messages are lost.
    fn limits(&self) -> Limits;

    /// Starts a node from what is durable.
    fn start(&self, id: NodeId, records: &[RecordOf<Self>], now: Instant) -> Self::Core;

    /// Gives the nodes their commands, before anything happens.
    fn command(&self, core: &mut Self::Core) {
        _ = core;
    }

    /// Returns whether all nodes are alike: then the first deadline is that of the first.
    fn is_symmetric(&self) -> bool {
        false
    }

    /// Returns whether the message is of interest; if not, it is always lost.
    fn carries(&self, message: &MessageOf<Self>) -> bool {
        _ = message;
        true
    }

    /// Returns all of a core but times, entropy and counts: what two equal states have in common.
    fn view(&self, core: &Self::Core) -> String;

    /// Returns whether the law holds.
    fn holds(&self, cores: &[Self::Core]) -> bool;

    /// Returns whether what there is to reach is reached.
    fn is_reached(&self, cores: &[Self::Core]) -> bool;

    /// Returns whether the states after this one are of interest.
    fn is_within(&self, cores: &[Self::Core]) -> bool;
}

type MessageOf<S> = <<S as Scope>::Core as Protocol>::Message;
type RecordOf<S> = <<S as Scope>::Core as Protocol>::Record;

/// How much may happen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Limits {
    pub(crate) timeouts: u8,
    pub(crate) crashes: u8,
    pub(crate) losses: u8,
}

/// All runs of a scope.
pub(crate) struct All<S>(pub(crate) S);

/// All nodes and everything between them.
#[derive(Clone, Debug)]
pub(crate) struct Global<S: Scope> {
    pub(crate) cores: Vec<S::Core>,
    disks: Vec<Disk<RecordOf<S>>>,
    /// Who said what to whom, in the order of its text. What is said twice is there once.
    network: Vec<(NodeId, NodeId, MessageOf<S>)>,
    left: Limits,
    /// All of the above that counts, as text.
    key: String,
}

#[derive(Clone, Debug)]
struct Disk<R> {
    durable: Vec<R>,
    pending: Vec<(WriteId, R)>,
    now: Instant,
}

impl<S: Scope> Hash for Global<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl<S: Scope> PartialEq for Global<S> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// One step. Nodes and messages are numbered as they are in the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Deliver(usize),
    Lose(usize),
    Sync(usize),
    TimeOut(usize),
    Crash(usize),
}

impl<S: Scope> Global<S> {
    fn drain(&mut self, scope: &S) {
        for node in 0..self.cores.len() {
            let from = NodeId(node as u64 + 1);
            while let Some(output) = self.cores[node].poll_output() {
                match output {
                    Output::Send { to, message } => {
                        let sent = (from, to, message);
                        if scope.carries(&sent.2) && !self.network.contains(&sent) {
                            self.network.push(sent);
                        }
                    }
                    Output::Persist { write, record } => {
                        self.disks[node].pending.push((write, record));
                    }
                    Output::Fetch { .. } => panic!("a scope is small enough to need no fetch"),
                    Output::Deliver(_) | Output::Event(_) => {}
                }
            }
        }
        self.network.sort_by_cached_key(|(from, to, message)| format!("{from} {to} {message}"));
        let mut key = format!("{:?} {:?} ", self.left, self.network);
        for (core, disk) in self.cores.iter().zip(&self.disks) {
            key.push_str(&format!("{} {:?} {:?} ", scope.view(core), disk.durable, disk.pending));
        }
        self.key = key;
    }
}

impl<S: Scope> Model for All<S> {
    type State = Global<S>;
    type Action = Step;

    fn init_states(&self) -> Vec<Global<S>> {
        let now = Instant::from_nanos(0);
        let ids = (1..=self.0.nodes()).map(NodeId);
        let mut cores: Vec<S::Core> = ids.map(|id| self.0.start(id, &[], now)).collect();
        cores.iter_mut().for_each(|core| self.0.command(core));
        let disks =
            cores.iter().map(|_| Disk { durable: Vec::new(), pending: Vec::new(), now }).collect();
        let left = self.0.limits();
        let mut state = Global { cores, disks, network: Vec::new(), left, key: String::new() };
        state.drain(&self.0);
        vec![state]
    }

    fn actions(&self, state: &Global<S>, actions: &mut Vec<Step>) {
        let messages = 0..state.network.len();
        actions.extend(messages.clone().map(Step::Deliver));
        if 0 < state.left.losses {
            actions.extend(messages.map(Step::Lose));
        }
        for node in 0..state.cores.len() {
            if !state.disks[node].pending.is_empty() {
                actions.push(Step::Sync(node));
            }
            let is_other = self.0.is_symmetric()
                && 0 < node
                && state.left.timeouts == self.0.limits().timeouts;
            let has_deadline = state.cores[node].poll_timeout().is_some();
            if 0 < state.left.timeouts && has_deadline && !is_other {
                actions.push(Step::TimeOut(node));
            }
            if 0 < state.left.crashes {
                actions.push(Step::Crash(node));
            }
        }
    }

    fn next_state(&self, last: &Global<S>, step: Step) -> Option<Global<S>> {
        let mut state = last.clone();
        match step {
            Step::Deliver(index) => {
                let (from, to, message) = state.network.remove(index);
                let node = usize::try_from(to.0 - 1).ok()?;
                let now = state.disks.get(node)?.now;
                state.cores[node].handle_message(now, from, message);
            }
            Step::Lose(index) => {
                state.left.losses -= 1;
                state.network.remove(index);
            }
            Step::Sync(node) => {
                let disk = &mut state.disks[node];
                let last = disk.pending.last()?.0;
                disk.durable.extend(disk.pending.drain(..).map(|(_, record)| record));
                state.cores[node].handle_persisted(disk.now, last);
            }
            Step::TimeOut(node) => {
                state.left.timeouts -= 1;
                let now = &mut state.disks[node].now;
                *now = (*now).max(state.cores[node].poll_timeout()?);
                state.cores[node].handle_timeout(*now);
            }
            Step::Crash(node) => {
                state.left.crashes -= 1;
                let disk = &mut state.disks[node];
                disk.pending.clear();
                let id = NodeId(node as u64 + 1);
                state.cores[node] = self.0.start(id, &disk.durable, disk.now);
            }
        }
        state.drain(&self.0);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the law holds", |all: &Self, state: &Global<S>| {
                all.0.holds(&state.cores)
            }),
            Property::sometimes("it is reached", |all: &Self, state: &Global<S>| {
                all.0.is_reached(&state.cores)
            }),
        ]
    }

    fn within_boundary(&self, state: &Global<S>) -> bool {
        self.0.is_within(&state.cores)
    }
}

/// Explores all runs, and returns how many states there are. One thread: which of two equal states
/// goes on must not be chance, because they may differ in what a view leaves out.
///
/// # Panics
///
/// If the law breaks, with the steps that lead there; or if nothing is ever reached.
pub(crate) fn explore<S: Scope>(scope: S) -> usize {
    let checker = All(scope).checker().threads(1).spawn_bfs().join();
    if let Some(path) = checker.discovery("the law holds") {
        panic!("the law breaks: {:?}", path.into_actions());
    }
    checker.assert_any_discovery("it is reached");
    checker.unique_state_count()
}
