//! Nodes that tell each other that they are there, and have bad habits.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use quorate_core::{FetchId, Instant, NodeId, Output, OutputOf, Outputs, Protocol, WriteId};
use quorate_sim::{Boot, Done, Invoked, Node, OpId, Records, Refused, System};

use super::entropy;

/// What is wrong with a core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Habit {
    None,
    /// It has always one more thing to say, to nobody.
    Chatters,
    /// It answers at once, and the network takes no time.
    PingPongs,
    LeavesDeadlines,
    Panics,
    /// It says something else each time.
    Draws,
    /// It speaks while it starts, and answers no client.
    GreetsAndForgets,
}

/// Tells all nodes each 10 ms that it is there.
#[derive(Debug)]
pub(crate) struct Pulse {
    habit: Habit,
    id: NodeId,
    ids: Vec<NodeId>,
    pulses: u64,
    heard: u64,
    deadline: Instant,
    outputs: Outputs<Output<Beat>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Beat(u64);

impl Pulse {
    pub(crate) fn heard(node: &Node<Pulses>) -> u64 {
        node.core.heard
    }
}

impl Protocol for Pulse {
    type Message = Beat;
    type Record = Infallible;
    type Query = Infallible;
    type Answer = Infallible;
    type Delivery = Infallible;
    type Event = Infallible;

    fn handle_message(&mut self, _: Instant, from: NodeId, beat: Beat) {
        self.heard += 1;
        if self.habit == Habit::PingPongs {
            self.outputs.send(from, beat);
        }
    }

    fn handle_persisted(&mut self, _: Instant, _: WriteId) {}

    fn handle_fetched(&mut self, _: Instant, _: FetchId, _: Infallible) {}

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.pulses += 1;
        assert!(self.habit != Habit::Panics || self.pulses < 7, "at the 7th pulse");
        if self.habit != Habit::LeavesDeadlines {
            self.deadline = now + Duration::from_millis(10);
        }
        let beat = if self.habit == Habit::Draws { entropy() } else { self.pulses };
        for id in self.ids.iter().filter(|id| **id != self.id) {
            self.outputs.send(*id, Beat(beat));
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        let is_chatty = self.habit == Habit::Chatters && !self.outputs.is_ready();
        if is_chatty {
            self.outputs.send(NodeId(99), Beat(0));
        }
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulses {
    habit: Habit,
}

impl Pulses {
    pub(crate) fn new(habit: Habit) -> Self {
        Self { habit }
    }
}

impl System for Pulses {
    type Core = Pulse;
    type Storage = Records<Pulse>;
    type Application = ();
    type Operation = u64;
    type Return = u64;

    fn boot(&self, boot: &Boot<'_, Pulse>) -> Result<(Pulse, Records<Pulse>), Refused> {
        let mut pulse = Pulse {
            habit: self.habit,
            id: boot.id(),
            ids: boot.ids().to_vec(),
            pulses: 0,
            heard: 0,
            deadline: boot.now(),
            outputs: Outputs::default(),
        };
        if self.habit == Habit::GreetsAndForgets {
            pulse.outputs.send(boot.id(), Beat(0));
        }
        Ok((pulse, boot.records_without_fetch()))
    }

    fn invoke(&self, _: &mut Node<Self>, _: OpId, _: &u64, _: &mut Done<u64>) -> Invoked {
        if self.habit == Habit::GreetsAndForgets { Invoked::Started } else { Invoked::BUSY }
    }

    fn deliver(&self, _: &mut Node<Self>, delivery: Infallible, _: &mut Done<u64>) {
        match delivery {}
    }
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Beat {}", self.0)
    }
}
