//! A node program for Maelstrom and for `sim_maelstrom`: JSON lines on standard input and output.
//!
//! | workload | how |
//! |---|---|
//! | `echo`, `unique-ids` | alone; an id is the node's name and a number |
//! | `broadcast` | to all neighbors but the sender, repeated where it did not arrive |
//! | `g-set`, `g-counter`, `pn-counter` | each node's own part, gossiped until others have it |
//! | `lin-kv`, `kafka`, `txn-list-append`, `txn-rw-register` | a state machine over a Raft log |
//!
//! ```text
//! cargo build --release --examples -p quorate-examples
//! cd target/release/examples
//! ./sim_maelstrom -w broadcast --bin maelstrom_node --nodes 25 --latency 100 --nemesis partition
//! maelstrom test -w broadcast --bin ./maelstrom_node --node-count 25 --time-limit 20 --rate 100
//! ```
//!
//! The first requests tell which workload it is. Only a `read` before anything was added may be of
//! several; it gets the error 11, try again, unless `--workload` says which it is.
//!
//! It ends with its input. Input that is no message ends it with exit code 2.

#[path = "maelstrom_node/broadcast.rs"]
mod broadcast;
#[path = "maelstrom_node/gossip.rs"]
mod gossip;
#[path = "maelstrom_node/machine.rs"]
mod machine;
#[path = "maelstrom_node/node.rs"]
mod node;
#[path = "maelstrom_node/replicated.rs"]
mod replicated;

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use quorate_sim::maelstrom::{Message, Workload};

use self::node::Node;

/// Answer the messages of Maelstrom
#[derive(Debug, Parser)]
#[command(name = "maelstrom_node")]
struct Cli {
    /// What clients will ask for, instead of waiting for what they ask
    #[arg(long)]
    workload: Option<Workload>,
}

#[expect(clippy::disallowed_methods, reason = "a node lives in real time")]
fn main() -> ExitCode {
    let mut node = Node::new(Instant::now(), Cli::parse().workload, io::stdout().lock());
    let (heard, messages) = sync_channel(QUEUE);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let next = Message::read(&mut input).transpose();
            let is_last = !matches!(next, Some(Ok(_)));
            if heard.send(next).is_err() || is_last {
                return;
            }
        }
    });
    let mut next_tick = Instant::now() + TICK;
    loop {
        let wait = next_tick.saturating_duration_since(Instant::now());
        // What is there already is answered at once, and written together.
        let mut next = messages.recv_timeout(wait).ok();
        for _ in 0..QUEUE {
            let done = match next {
                Some(Some(Ok(message))) => node.handle(Instant::now(), &message),
                Some(Some(Err(error))) => {
                    eprintln!("maelstrom_node: {error}");
                    return ExitCode::from(2);
                }
                Some(None) => return ExitCode::SUCCESS,
                None => break,
            };
            if done.is_err() {
                return ExitCode::SUCCESS; // Nobody listens any more.
            }
            next = messages.try_recv().ok();
        }
        let mut done = Ok(());
        if next_tick <= Instant::now() {
            next_tick = Instant::now() + TICK;
            done = node.tick(Instant::now());
        }
        if done.and_then(|()| node.flush()).is_err() {
            return ExitCode::SUCCESS;
        }
    }
}

/// How many messages are read ahead; what comes faster waits in the pipe.
const QUEUE: usize = 1024;
/// How often a node looks whether something has to be sent again.
const TICK: Duration = Duration::from_millis(20);
