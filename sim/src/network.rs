//! Links: one per ordered pair of nodes, each with its own chance.

use crate::decision::{Delay, Ratio};
use crate::plan::Plan;
use crate::stream::{Purpose, Stream};

/// All links of a world.
#[derive(Debug)]
pub(crate) struct Network {
    links: Vec<Link>,
    nodes: usize,
    delay: Delay,
    loss: Ratio,
    repeat: Ratio,
    reorder: Ratio,
}

#[derive(Debug)]
struct Link {
    stream: Stream,
    /// When the last message arrives that may not be overtaken.
    last_arrival: u64,
    is_cut: bool,
    is_partitioned: bool,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Lost { why: &'static str },
    Arrives { at: u64 },
    ArrivesAgain { at: u64, again: u64 },
}

impl Network {
    pub(crate) fn new(seed: u64, nodes: usize, plan: &Plan) -> Self {
        let link = |index: usize| {
            let (from, to) = ((index / nodes) as u64, (index % nodes) as u64);
            let stream = Stream::new(seed, Purpose::Link, from, to);
            Link { stream, last_arrival: 0, is_cut: false, is_partitioned: false }
        };
        Self {
            links: (0..nodes * nodes).map(link).collect(),
            nodes,
            delay: plan.delay,
            loss: plan.loss,
            repeat: plan.repeat,
            reorder: plan.reorder,
        }
    }

    /// Decides about the next message of a link.
    pub(crate) fn send(&mut self, now: u64, from: usize, to: usize) -> Fate {
        let link = &mut self.links[from * self.nodes + to];
        link.stream.advance();
        if link.is_cut || link.is_partitioned {
            return Fate::Lost { why: "cut" };
        }
        let stream = link.stream;
        let hits =
            |ratio: Ratio, purpose| ratio != Ratio::NEVER && ratio.is_hit(stream.number(purpose));
        if hits(self.loss, Purpose::Loss) {
            return Fate::Lost { why: "loss" };
        }
        let mut at = now.saturating_add(self.delay.draw(stream.number(Purpose::Delay)));
        if hits(self.reorder, Purpose::Reorder) {
            at = at.saturating_add(self.delay.draw(stream.number(Purpose::Overtaken)));
        } else {
            at = at.max(link.last_arrival);
            link.last_arrival = at;
        }
        if hits(self.repeat, Purpose::Repeat) {
            let again = at.saturating_add(self.delay.draw(stream.number(Purpose::Again)));
            return Fate::ArrivesAgain { at, again };
        }
        Fate::Arrives { at }
    }

    /// Returns whether what is under way on a link arrives.
    pub(crate) fn is_open(&self, from: usize, to: usize) -> bool {
        let link = &self.links[from * self.nodes + to];
        !link.is_cut && !link.is_partitioned
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.links[from * self.nodes + to].is_cut = true;
    }

    pub(crate) fn partition(&mut self, from: usize, to: usize) {
        self.links[from * self.nodes + to].is_partitioned = true;
    }

    /// Ends the partition, but no cut.
    pub(crate) fn heal_partition(&mut self) {
        for link in &mut self.links {
            link.is_partitioned = false;
        }
    }

    /// Opens every link.
    pub(crate) fn heal(&mut self) {
        self.heal_partition();
        for link in &mut self.links {
            link.is_cut = false;
        }
    }

    /// Opens every link, and loses, repeats and reorders nothing from now on.
    pub(crate) fn calm(&mut self) {
        self.heal();
        (self.loss, self.repeat, self.reorder) = (Ratio::NEVER, Ratio::NEVER, Ratio::NEVER);
    }
}
