//! A state machine of one's own, proven in the simulator: an outbox that delivers each letter once.
//!
//! A sender keeps each letter until the receiver says that it has it, and sends it again and again
//! until then. The receiver remembers what it has. Both write down what they must not forget before
//! they speak of it.
//!
//! ```text
//! client --> n1: letter, durable --> "accepted"
//!                n1 -- letter --> n2: letter, durable --> into the inbox
//!                n1 <-- receipt -- n2
//! ```
//!
//! What the simulator needs to know is [`Post`], the glue: how a node starts, what clients ask for,
//! what a delivery does. The rest are promises, in [`Letters`] and [`suite`].
//!
//! ```text
//! cargo run --example sim_own_system
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use quorate_core::{FetchId, Instant, NodeId, OutputOf, Outputs, Protocol, Storage as _, WriteId};
use quorate_sim::{
    Boot, Done, Invoked, Law, Node, OpId, Records, Refused, Reply, Suite, System, World,
};

const SENDER: NodeId = NodeId(1);
const RECEIVER: NodeId = NodeId(2);
const AGAIN: Duration = Duration::from_millis(200);

/// Both sides of the outbox.
#[derive(Default)]
struct Outbox {
    /// Letters without a receipt.
    open: BTreeSet<Letter>,
    /// Letters that are here.
    inbox: BTreeSet<Letter>,
    deadline: Option<Instant>,
    /// Whether a receipt waits until the letter is durable.
    is_careful: bool,
    outputs: Outputs<OutputOf<Self>>,
}

/// A letter is its number: no two are equal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Letter(u64);

#[derive(Clone, Copy, Debug)]
enum Message {
    Letter(Letter),
    Receipt(Letter),
}

/// What must not be forgotten.
#[derive(Clone, Copy, Debug)]
enum Record {
    Accepted(Letter),
    Delivered(Letter),
    Received(Letter),
}

/// What a node tells its application.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    Accepted(OpId),
    Received(Letter),
}

impl Outbox {
    fn recover(records: impl Iterator<Item = Record>, now: Instant, is_careful: bool) -> Self {
        let mut outbox = Self { is_careful, deadline: Some(now), ..Self::default() };
        for record in records {
            match record {
                Record::Accepted(letter) => _ = outbox.open.insert(letter),
                Record::Delivered(letter) => _ = outbox.open.remove(&letter),
                Record::Received(letter) => {
                    outbox.inbox.insert(letter);
                    outbox.outputs.deliver(Delivery::Received(letter));
                }
            }
        }
        outbox
    }

    fn accept(&mut self, id: OpId, letter: Letter) {
        self.open.insert(letter);
        self.outputs.persist(Record::Accepted(letter));
        self.outputs.deliver_when_durable(Delivery::Accepted(id));
        // It may leave at once: if it arrives and is forgotten here, nobody was promised anything.
        self.outputs.send(RECEIVER, Message::Letter(letter));
    }
}

impl Protocol for Outbox {
    type Message = Message;
    type Record = Record;
    type Query = Infallible;
    type Answer = Infallible;
    type Delivery = Delivery;
    type Event = Infallible;

    fn handle_message(&mut self, _: Instant, from: NodeId, message: Message) {
        match message {
            Message::Letter(letter) => {
                if self.inbox.insert(letter) {
                    self.outputs.persist(Record::Received(letter));
                    self.outputs.deliver_when_durable(Delivery::Received(letter));
                }
                if self.is_careful {
                    self.outputs.send_when_durable(from, Message::Receipt(letter));
                } else {
                    self.outputs.send(from, Message::Receipt(letter));
                }
            }
            Message::Receipt(letter) => {
                if self.open.remove(&letter) {
                    self.outputs.persist(Record::Delivered(letter));
                }
            }
        }
    }

    fn handle_persisted(&mut self, _: Instant, write: WriteId) {
        self.outputs.handle_persisted(write);
    }

    fn handle_fetched(&mut self, _: Instant, _: FetchId, answer: Infallible) {
        match answer {}
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = Some(now + AGAIN);
            for letter in &self.open {
                self.outputs.send(RECEIVER, Message::Letter(*letter));
            }
        }
    }

    fn poll_output(&mut self) -> Option<OutputOf<Self>> {
        self.outputs.poll()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

/// The glue.
struct Post {
    is_careful: bool,
}

impl System for Post {
    type Core = Outbox;
    type Storage = Records<Outbox>;
    /// How often each letter came into the inbox.
    type Application = BTreeMap<Letter, u64>;
    type Operation = Letter;
    type Return = &'static str;

    fn boot(&self, boot: &Boot<'_, Outbox>) -> Result<(Outbox, Records<Outbox>), Refused> {
        let records = boot.records_without_fetch();
        let found: Result<Vec<Record>, _> = records.replay().collect();
        let found = found.map_err(Refused::new)?.into_iter();
        Ok((Outbox::recover(found, boot.now(), self.is_careful), records))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        letter: &Letter,
        _: &mut Done<&'static str>,
    ) -> Invoked {
        if node.id != SENDER {
            return Invoked::redirect(Some(SENDER));
        }
        node.core.accept(id, *letter);
        Invoked::Started
    }

    fn deliver(&self, node: &mut Node<Self>, delivery: Delivery, done: &mut Done<&'static str>) {
        match delivery {
            Delivery::Accepted(id) => done.ok(id, "accepted"),
            Delivery::Received(letter) => *node.application.entry(letter).or_insert(0) += 1,
        }
    }
}

/// A letter is delivered once. Which ones were accepted is for the end.
#[derive(Clone, Default)]
struct Letters {
    accepted: BTreeSet<Letter>,
}

impl Law<Post> for Letters {
    fn name(&self) -> &'static str {
        "letters"
    }

    fn completed(
        &mut self,
        _: OpId,
        letter: &Letter,
        outcome: &Reply<&'static str>,
    ) -> Result<(), String> {
        if matches!(outcome, Reply::Ok(_)) {
            self.accepted.insert(*letter);
        }
        Ok(())
    }

    fn delivered(&mut self, node: &Node<Post>, delivery: &Delivery) -> Result<(), String> {
        match delivery {
            Delivery::Received(letter) if node.application.contains_key(letter) => {
                Err(format!("{} delivers {letter} again", node.id))
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether all that was accepted is there.
fn all_arrived(world: &World<Post>) -> Result<(), String> {
    let receiver = world.node(RECEIVER).ok_or("the receiver is down")?;
    let letters = world.law::<Letters>().ok_or("nobody counts")?;
    match letters.accepted.iter().find(|it| !receiver.application.contains_key(it)) {
        Some(letter) => Err(format!("{letter} was accepted and never arrives")),
        None => Ok(()),
    }
}

fn suite(is_careful: bool) -> Suite<Post> {
    Suite::new("sim_own_system", Post { is_careful })
        .nodes(2..=2)
        .clients(3)
        .operations(20)
        .time(Duration::from_secs(10))
        // Either may fail, but in the end both are needed.
        .spare(|_| 0)
        .adjust(|plan| plan.max_down = 1)
        .workload(|draw| Letter(draw.id().unique()))
        .law(Letters::default())
        .converges(Duration::from_secs(60), all_arrived)
        .must_see(["loss", "repeat", "crash", "power cut", "partition"])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    suite(true).seeds(0..500).run();
    println!("500 runs under every fault: each letter arrives once");

    let failure = suite(false).first_failure(0..1_000).ok_or("the bug was not found")?;
    println!("with receipts that do not wait, seed {}:", failure.seed);
    println!("{}\n{}\nshrunk to {}", failure.violation.headline(), failure.before, failure.after);
    assert!(failure.violation.why.contains("never arrives"), "{}", failure.violation.why);
    let page = failure.page_path.ok_or("the picture could not be written")?;
    println!("picture: {}", page.display());
    Ok(())
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "letter {}", self.0)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Letter(letter) => write!(f, "Letter {}", letter.0),
            Self::Receipt(letter) => write!(f, "Receipt {}", letter.0),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(letter) => write!(f, "accepted {}", letter.0),
            Self::Delivered(letter) => write!(f, "delivered {}", letter.0),
            Self::Received(letter) => write!(f, "received {}", letter.0),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(id) => write!(f, "{id} is accepted"),
            Self::Received(letter) => write!(f, "{letter}"),
        }
    }
}
