//! A bug, found, shrunk and drawn: a holder of a lease that trusts its clock.
//!
//! A server lends the right to write for twenty seconds. The holder counts them from when it asked,
//! which is careful: the server counts from later on. But clocks drift, and the slower one of the
//! two lets the holder write when the server has lent the right to somebody else already.
//!
//! ```text
//! cargo run --example sim_first_bug
//! ```

use std::fmt;
use std::time::Duration;

use quorate_core::{FetchId, Instant, NodeId, OutputOf, Outputs, Protocol, WriteId};
use quorate_sim::{
    Badge, Boot, Done, Family, Faults, Invoked, Law, Node, OpId, Records, Refused, Suite, System,
};

const LEASE: Duration = Duration::from_secs(20);
const SERVER: NodeId = NodeId(1);

/// A server that lends, and nodes that borrow. How much a holder mistrusts its clock is `margin`.
struct Lender {
    id: NodeId,
    margin: Duration,
    /// Who holds the lease and until when, as this node knows.
    held: Option<(NodeId, Instant)>,
    deadline: Instant,
    outputs: Outputs<OutputOf<Self>>,
}

/// Who asks says when, by its own clock, and is told so in return.
#[derive(Clone, Debug)]
enum Message {
    Request { asked: Instant },
    Grant { asked: Instant },
}

#[derive(Clone, Debug)]
struct Granted(NodeId);

/// What a node wrote for whom.
#[derive(Clone, Debug)]
struct Write(OpId);

impl Lender {
    fn holds(&self, now: Instant) -> bool {
        self.held.is_some_and(|(holder, until)| holder == self.id && now < until)
    }
}

impl Protocol for Lender {
    type Message = Message;
    type Record = Message;
    type Query = Message;
    type Answer = Message;
    type Delivery = Write;
    type Event = Granted;

    fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        match message {
            Message::Request { asked } if self.held.is_none_or(|(_, until)| until <= now) => {
                self.held = Some((from, now + LEASE));
                self.outputs.event(Granted(from));
                self.outputs.send(from, Message::Grant { asked });
            }
            Message::Request { .. } => {}
            Message::Grant { asked } => {
                self.held = Some((self.id, asked + (LEASE - self.margin)));
            }
        }
    }

    fn handle_persisted(&mut self, _: Instant, _: WriteId) {}

    fn handle_fetched(&mut self, _: Instant, _: FetchId, _: Message) {}

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        self.deadline = now + Duration::from_millis(2);
        if self.id != SERVER && !self.holds(now) {
            self.outputs.send(SERVER, Message::Request { asked: now });
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

struct Leases {
    margin: Duration,
}

impl System for Leases {
    type Core = Lender;
    type Storage = Records<Lender>;
    type Application = ();
    type Operation = &'static str;
    type Return = &'static str;

    fn boot(&self, boot: &Boot<'_, Lender>) -> Result<(Lender, Records<Lender>), Refused> {
        let (id, now) = (boot.id(), boot.now());
        let outputs = Outputs::default();
        let margin = self.margin;
        let lender = Lender { id, margin, held: None, deadline: now, outputs };
        Ok((lender, boot.records(|_, query| query)))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        _: &&'static str,
        done: &mut Done<&'static str>,
    ) -> Invoked {
        if !node.core.holds(node.now()) {
            return Invoked::BUSY;
        }
        node.core.outputs.deliver(Write(id));
        done.ok(id, "written");
        Invoked::Started
    }

    fn deliver(&self, _: &mut Node<Self>, _: Write, _: &mut Done<&'static str>) {}

    fn badge(&self, core: &Lender) -> Badge {
        let role = match core.held {
            Some((holder, _)) if holder == core.id => "leader",
            _ if core.id == SERVER => "server",
            _ => "follower",
        };
        Badge { role, number: core.held.map_or(0, |(holder, _)| holder.0) }
    }
}

/// Who writes must be the one that the server lent to last.
#[derive(Clone, Default)]
struct OneWriter {
    holder: Option<NodeId>,
}

impl Law<Leases> for OneWriter {
    fn name(&self) -> &'static str {
        "one writer"
    }

    fn told(&mut self, _: &Node<Leases>, event: &Granted) -> Result<(), String> {
        self.holder = Some(event.0);
        Ok(())
    }

    fn delivered(&mut self, node: &Node<Leases>, _: &Write) -> Result<(), String> {
        match self.holder {
            Some(holder) if holder == node.id => Ok(()),
            Some(holder) => Err(format!("{} writes, but {holder} has the lease", node.id)),
            None => Err(format!("{} writes, and nobody has the lease", node.id)),
        }
    }
}

fn suite(margin: Duration) -> Suite<Leases> {
    let families = [Family::Delay, Family::Loss, Family::Pause, Family::Skew, Family::Drift];
    Suite::new("sim_first_bug", Leases { margin })
        .nodes(3..=5)
        .clients(10)
        .time(Duration::from_secs(70))
        // All may fail, but nobody is to spare in the end: only the server can lend.
        .spare(|_| 0)
        .faults(families.into_iter().fold(Faults::none(), Faults::with))
        .adjust(|plan| plan.max_down = 1)
        .workload(|_| "write")
        .law(OneWriter::default())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let failure = suite(Duration::ZERO).first_failure(0..1_000).ok_or("the bug was not found")?;
    println!("seed {}: {}", failure.seed, failure.violation.headline());
    println!("{}\nshrunk to {}\nplan {}", failure.before, failure.after, failure.violation.plan);
    let story: Vec<&str> = failure.violation.story.lines().collect();
    let told = story.iter().filter(|line| !line.contains("timeout") && !line.contains("Request"));
    let told: Vec<_> = told.collect();
    told[told.len().saturating_sub(15)..].iter().for_each(|line| println!("  {line}"));
    let page = failure.page_path.ok_or("the picture could not be written")?;
    println!("picture: {}", page.display());
    assert!(failure.after.faults <= 3, "a clock that drifts is all it takes: {}", failure.after);

    // Clocks that gain or lose at most 500 us per second part by at most 20 ms in twenty seconds. A
    // holder that stops so much sooner is safe.
    let sound = suite(Duration::from_millis(21)).first_failure(0..50);
    assert!(sound.is_none(), "{}", sound.map_or_else(String::new, |it| it.to_string()));
    println!("with a margin of 21 ms no law is broken");
    Ok(())
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { asked } => write!(f, "Request, asked at {asked}"),
            Self::Grant { asked } => write!(f, "Grant, asked at {asked}"),
        }
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lends to {}", self.0)
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write of {}", self.0)
    }
}
