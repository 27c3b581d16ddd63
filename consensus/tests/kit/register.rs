//! A register whose operations are the entries of a log that Raft keeps.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use quorate_consensus::NodeId;
use quorate_sim::kit::register;
use quorate_sim::kit::replicated_log::{Applied, Conditions, InWorld, Network, ReplicatedLog as _};

use super::log::{self, Numbers};

/// How reads are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reads {
    ThroughTheLog,
    /// By any node, from what it has applied: it may be behind.
    FromACopy,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    Read,
    Write(u64),
    CompareAndSet(Option<u64>, u64),
}

struct Cluster {
    log: InWorld<Numbers>,
    /// What the numbers in the log stand for.
    operations: Vec<Operation>,
}

#[derive(Clone)]
struct Client {
    node: NodeId,
    cluster: Rc<RefCell<Cluster>>,
    reads: Reads,
}

/// Makes clients of a new cluster, each beside another node. Its leader stays, so that whatever is
/// proposed is applied.
fn clients(count: usize, reads: Reads) -> Vec<Client> {
    let log = log::cluster(&Conditions::new(3, Network::Reliable, 8));
    let cluster = Rc::new(RefCell::new(Cluster { log, operations: Vec::new() }));
    let node = |client: usize| NodeId(1 + client as u64 % 3);
    (0..count)
        .map(|client| Client { node: node(client), cluster: Rc::clone(&cluster), reads })
        .collect()
}

impl Cluster {
    /// Returns what the register holds after `applied`, and whether the last one changed it.
    fn fold(&self, applied: &[Applied]) -> (Option<u64>, bool) {
        applied.iter().fold((None, false), |(value, _), entry| {
            let at = usize::try_from(entry.value).expect("it was counted");
            match self.operations[at] {
                Operation::Write(new) => (Some(new), true),
                Operation::CompareAndSet(old, new) if old == value => (Some(new), true),
                Operation::Read | Operation::CompareAndSet(..) => (value, false),
            }
        })
    }

    /// Hands `operation` to whoever leads, if anybody does.
    fn propose(&mut self, operation: Operation) -> Option<Applied> {
        let value = self.operations.len() as u64;
        self.operations.push(operation);
        let index = (1..=3).find_map(|node| self.log.propose(NodeId(node), value))?;
        Some(Applied { index, value })
    }
}

impl Client {
    /// Returns what the register held after `operation`, and whether that changed it. Time passes
    /// with each poll.
    async fn call(&self, operation: Operation) -> (Option<u64>, bool) {
        let mut proposed = None;
        poll_fn(|cx| {
            let cluster = &mut *self.cluster.borrow_mut();
            proposed = proposed.or_else(|| cluster.propose(operation));
            cluster.log.run_for(Duration::from_millis(1));
            let applied = cluster.log.applied(self.node);
            let place = applied.iter().position(|entry| Some(*entry) == proposed);
            cx.waker().wake_by_ref();
            match place {
                Some(place) => Poll::Ready(cluster.fold(&applied[..=place])),
                None => Poll::Pending,
            }
        })
        .await
    }
}

impl register::Register for Client {
    type Error = Infallible;

    async fn read(&self) -> Result<Option<u64>, Infallible> {
        if self.reads == Reads::FromACopy {
            let cluster = self.cluster.borrow();
            return Ok(cluster.fold(&cluster.log.applied(self.node)).0);
        }
        Ok(self.call(Operation::Read).await.0)
    }

    async fn write(&self, value: u64) -> Result<(), Infallible> {
        self.call(Operation::Write(value)).await;
        Ok(())
    }

    async fn compare_and_set(&self, old: Option<u64>, new: u64) -> Result<bool, Infallible> {
        Ok(self.call(Operation::CompareAndSet(old, new)).await.1)
    }
}

#[test]
fn a_log_makes_a_register() {
    register::check(|count| clients(count, Reads::ThroughTheLog)).expect_passed();
}

#[test]
fn a_copy_is_no_register() {
    let report = register::check(|count| clients(count, Reads::FromACopy));
    for case in ["a_read_returns_the_last_write", "histories_are_linearizable"] {
        assert!(report.failed().any(|failed| failed == case), "{case} passes\n{report}");
    }
}
