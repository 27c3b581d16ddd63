//! Links: one per ordered pair of nodes, each with its own chance.
//!
//! ```text
//! send --> cut? --> queue full? --> loss? --> rate --> delay --> clogged? --> order --> arrives
//!            |           |            |
//!          lost        lost         lost; on a stream the connection breaks: what is under way
//!                                   in both directions is lost, and each end learns of it later
//! ```

use crate::decision::{Delay, Ratio, scale};
use crate::plan::Knobs;
use crate::stream::{Purpose, Stream};

/// All links of a world.
#[derive(Debug)]
pub(crate) struct Links {
    links: Vec<Link>,
    nodes: usize,
    knobs: LinkKnobs,
    /// The nodes among which nothing goes wrong any more.
    core: Vec<bool>,
}

/// What of the [`Knobs`] is about links.
#[derive(Clone, Copy, Debug)]
struct LinkKnobs {
    delay: Delay,
    loss: Ratio,
    repeat: Ratio,
    reorder: Ratio,
    corrupt: Ratio,
    is_stream: bool,
    queue: Option<u32>,
    rate: Option<u64>,
}

impl LinkKnobs {
    const fn new(knobs: &Knobs) -> Self {
        Self {
            delay: knobs.delay,
            loss: knobs.loss,
            repeat: knobs.repeat,
            reorder: knobs.reorder,
            corrupt: knobs.corrupt,
            is_stream: knobs.is_stream,
            queue: knobs.queue,
            rate: knobs.rate,
        }
    }
}

/// Links on which nothing goes wrong.
const CALM: LinkKnobs = LinkKnobs::new(&Knobs::calm());

#[derive(Debug)]
struct Link {
    stream: Stream,
    /// When the last message arrives that may not be overtaken.
    last_arrival: u64,
    /// How many faults cut it.
    cuts: u32,
    /// Until when nothing arrives.
    clogged_until: u64,
    /// When all that was sent is on the wire.
    free_at: u64,
    /// How many messages are under way.
    under_way: u32,
    /// Rises when the connection breaks.
    connection: u32,
    /// Until when the sender does not know that the connection broke.
    broken_until: u64,
    /// What this pair takes longer than others.
    extra: u64,
}

/// What becomes of a piece of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) at: u64,
    pub(crate) damage: Option<u64>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Lost { why: &'static str },
    Arrives { at: u64, again: Option<u64>, damage: Option<u64>, connection: u32 },
}

impl Link {
    fn hits(&self, ratio: Ratio, purpose: Purpose) -> bool {
        ratio != Ratio::NEVER && ratio.is_hit(self.stream.number(purpose))
    }

    fn draw(&self, delay: Delay, purpose: Purpose) -> u64 {
        delay.draw(self.stream.number(purpose))
    }

    /// Returns what damages the message, if anything does.
    fn damage(&self, corrupt: Ratio) -> Option<u64> {
        self.hits(corrupt, Purpose::Corrupt).then(|| self.stream.number(Purpose::Damage))
    }

    /// Puts so many bytes on the wire. Returns when they reach its end, if nothing holds them up.
    fn reaches(&mut self, knobs: LinkKnobs, now: u64, bytes: impl FnOnce() -> u64) -> u64 {
        let mut at = now;
        if let Some(rate) = knobs.rate {
            let time = bytes().saturating_mul(1_000_000_000) / rate.max(1);
            self.free_at = self.free_at.max(now).saturating_add(time);
            at = self.free_at;
        }
        at = at.saturating_add(self.draw(knobs.delay, Purpose::Delay)).saturating_add(self.extra);
        at.max(self.clogged_until)
    }
}

impl Links {
    pub(crate) fn new(seed: u64, nodes: usize, knobs: &Knobs) -> Self {
        let extra = crate::decision::nanos(knobs.max_extra);
        let link = |index: usize| {
            let (from, to) = ((index / nodes) as u64, (index % nodes) as u64);
            let stream = Stream::new(seed, Purpose::Link, from, to);
            Link {
                stream,
                last_arrival: 0,
                cuts: 0,
                clogged_until: 0,
                free_at: 0,
                under_way: 0,
                connection: 0,
                broken_until: 0,
                extra: if extra == 0 { 0 } else { scale(stream.number(Purpose::Extra), extra) },
            }
        };
        let knobs = LinkKnobs::new(knobs);
        Self {
            links: (0..nodes * nodes).map(link).collect(),
            nodes,
            knobs,
            core: vec![false; nodes],
        }
    }

    /// Decides about the next message of a link, which is `bytes` long.
    pub(crate) fn send(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        bytes: impl FnOnce() -> u64,
    ) -> Fate {
        let knobs = self.knobs_of(from, to);
        let link = &mut self.links[from * self.nodes + to];
        link.stream.advance();
        if 0 < link.cuts {
            return Fate::Lost { why: "cut" };
        }
        if now < link.broken_until {
            return Fate::Lost { why: "reset" };
        }
        if knobs.queue.is_some_and(|most| most <= link.under_way) {
            return Fate::Lost { why: "queue" };
        }
        if link.hits(knobs.loss, Purpose::Loss) {
            if knobs.is_stream {
                self.reset(now, from, to);
                return Fate::Lost { why: "reset" };
            }
            return Fate::Lost { why: "loss" };
        }
        let mut at = link.reaches(knobs, now, bytes);
        if !knobs.is_stream && link.hits(knobs.reorder, Purpose::Reorder) {
            at = at.saturating_add(link.draw(knobs.delay, Purpose::Overtaken));
        } else {
            at = at.max(link.last_arrival);
            link.last_arrival = at;
        }
        let is_repeated = !knobs.is_stream && link.hits(knobs.repeat, Purpose::Repeat);
        let again = is_repeated.then(|| at.saturating_add(link.draw(knobs.delay, Purpose::Again)));
        let damage = link.damage(knobs.corrupt);
        link.under_way += 1 + u32::from(is_repeated);
        Fate::Arrives { at, again, damage, connection: link.connection }
    }

    /// Decides about the next piece of a stream of bytes. `None`: what carries it breaks.
    pub(crate) fn send_in_stream(
        &mut self,
        now: u64,
        from: usize,
        to: usize,
        bytes: u64,
    ) -> Option<Carried> {
        let knobs = self.knobs_of(from, to);
        let link = &mut self.links[from * self.nodes + to];
        link.stream.advance();
        if 0 < link.cuts || link.hits(knobs.loss, Purpose::Loss) {
            return None;
        }
        let at = link.reaches(knobs, now, || bytes).max(link.last_arrival);
        link.last_arrival = at;
        Some(Carried { at, damage: link.damage(knobs.corrupt) })
    }

    /// Returns how long it takes until the end at `from` learns that a connection to `to` broke.
    pub(crate) fn notice(&self, from: usize, to: usize) -> u64 {
        let link = &self.links[from * self.nodes + to];
        self.knobs_of(from, to).delay.draw(link.stream.number(Purpose::Reset))
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        0 < self.links[from * self.nodes + to].cuts
    }

    fn knobs_of(&self, from: usize, to: usize) -> LinkKnobs {
        if self.core[from] && self.core[to] { CALM } else { self.knobs }
    }

    /// Takes a message from the wire. Returns why it does not arrive, if it does not.
    #[inline]
    pub(crate) fn arrive(
        &mut self,
        from: usize,
        to: usize,
        connection: u32,
    ) -> Option<&'static str> {
        let link = &mut self.links[from * self.nodes + to];
        link.under_way = link.under_way.saturating_sub(1);
        if link.connection != connection {
            return Some("reset");
        }
        (0 < link.cuts).then_some("cut")
    }

    /// Breaks the connection between two nodes: each end learns of it at its own time.
    pub(crate) fn reset(&mut self, now: u64, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let delay = self.knobs.delay;
            let link = &mut self.links[from * self.nodes + to];
            let time = delay.draw(link.stream.number(Purpose::Reset));
            link.connection = link.connection.wrapping_add(1);
            link.broken_until = link.broken_until.max(now.saturating_add(time));
        }
    }

    pub(crate) fn clog(&mut self, from: usize, to: usize, until: u64) {
        let link = &mut self.links[from * self.nodes + to];
        link.clogged_until = link.clogged_until.max(until);
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.links[from * self.nodes + to].cuts += 1;
    }

    /// Ends one cut of a link.
    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        let link = &mut self.links[from * self.nodes + to];
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// Opens every link.
    pub(crate) fn heal(&mut self) {
        for link in &mut self.links {
            (link.cuts, link.clogged_until, link.broken_until) = (0, 0, 0);
        }
    }

    /// Opens every link between nodes of `core`, and from now on nothing is lost, repeated,
    /// reordered or damaged among them. All other links stay as they are.
    pub(crate) fn calm(&mut self, core: &[bool]) {
        self.core = core.to_vec();
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                if core[from] && core[to] {
                    let link = &mut self.links[from * self.nodes + to];
                    (link.cuts, link.clogged_until, link.broken_until) = (0, 0, 0);
                    link.extra = 0;
                }
            }
        }
    }
}
