//! Cases for a replicated log: one sequence of values, the same on every node, as long as a
//! majority of them works.
//!
//! ```text
//!            the kit                                    a cluster of your own
//!   conditions: nodes, network, seed  ---- make --->  nodes, links and disks, nothing else runs
//!   propose, cut, crash, restart, compact  ------->   each at once, at a chosen node
//!   run_for  ------------------------------------->   virtual time passes, and only then
//!   role, applied  <-------------------------------   what is so now
//!        |
//!        +--> safety, every 20 ms of the cluster's time and after each step:
//!             one leader per term, one value per index, nothing left out, made up or taken back
//!        +--> progress, where a case demands it: a leader, an agreement, all of it everywhere
//! ```
//!
//! # Who has the time and the network
//!
//! The cluster has. A kit that owned them would only be for cores that are driven as it likes, and
//! an implementation is as often a runtime with tasks. So [`ReplicatedLog`] has seven methods that
//! say what a log is and what happens to its nodes, and an eighth, [`run_for`], that lets time
//! pass; how good the links are, and how many nodes there are, is in the [`Conditions`] that a
//! cluster is made of. One whose links are its own asks [`Network::fate`] about each message; one
//! that is a [`System`](crate::System) needs neither: [`InWorld`] has everything but its core.
//!
//! The scenarios are those that teachers of Raft have their students pass. They ask for nothing
//! that is Raft's alone: a cluster must have a leader, and a number that grows with each.
//!
//! Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), 5
//! and 7, figure 8; the scenarios follow the tests of the course 6.5840 (MIT), written anew.
//!
//! Left out: changes of members, reads, and how many messages were needed.
//!
//! [`run_for`]: ReplicatedLog::run_for

mod agreement;
mod bench;
mod conditions;
mod elections;
mod in_world;
mod persistence;
mod snapshots;
mod turmoil;

use std::time::Duration;

use quorate_core::NodeId;

use self::bench::Bench;
use super::{Checked, Report, Stop};

pub use self::conditions::{Conditions, Network};
pub use self::in_world::{InWorld, LogSystem};

/// A cluster whose nodes keep one log. They are [`NodeId`] 1, 2 and so on, all up and connected at
/// first, and do something only in [`run_for`](Self::run_for).
///
/// # Panics
///
/// A cluster that finds itself broken panics: the case has failed, and says why.
pub trait ReplicatedLog {
    /// Asks `node`, which is up, to append `value` to the log. No value is proposed twice.
    ///
    /// Returns at which index it will be, if it ever is; `None` if `node` does not lead, as far as
    /// it knows, or takes no more for now.
    fn propose(&mut self, node: NodeId, value: u64) -> Option<u64>;

    /// Returns what `node`, which is up, takes itself for.
    fn role(&self, node: NodeId) -> Role;

    /// Returns all that the application of `node`, which is up, knows of: what was applied and
    /// what came in a snapshot, from the first value on.
    ///
    /// After a restart it may be less than before, until the node has learned again what is
    /// committed. Indexes may be left out that hold something else than values.
    fn applied(&self, node: NodeId) -> Vec<Applied>;

    /// Cuts the power of `node`, which is up. What it was told is durable is so; the rest may be.
    fn crash(&mut self, node: NodeId);

    /// Starts `node`, which is down, on what is durable. Its links are as they were.
    fn restart(&mut self, node: NodeId);

    /// Cuts off `node`, which may be down, from all others, both ways; or connects it again. Two
    /// that are cut off do not hear each other, either.
    fn cut(&mut self, node: NodeId, is_cut: bool);

    /// Lets `node`, which is up and has applied everything up to `index`, make a snapshot of that,
    /// and forget the log up to there.
    ///
    /// Returns `false` if this log never forgets: the cases about snapshots are skipped.
    fn compact(&mut self, node: NodeId, index: u64) -> bool;

    /// Lets `time` pass.
    fn run_for(&mut self, time: Duration);
}

/// What a node takes itself for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "implementations make them")]
pub struct Role {
    /// The term, ballot or view, which is greater with each leader.
    pub term: u64,
    /// Whether the node leads in it.
    pub is_leader: bool,
}

/// A value in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "implementations make them")]
pub struct Applied {
    /// Where.
    pub index: u64,
    /// What.
    pub value: u64,
}

/// Checks a replicated log. `make` makes another cluster for each case and seed, without values.
///
/// On a reliable network, a leader is elected within 5 s wherever a majority is connected, and a
/// value applied 2 s later: timeouts are to be some hundred milliseconds. On others there is more
/// time. Nodes are 3, 5 or 7.
///
/// # Examples
///
/// A cluster that never does anything is safe, and useless:
///
/// ```
/// # use std::time::Duration;
/// # use quorate_sim::NodeId;
/// use quorate_sim::kit::replicated_log::{self, Applied, ReplicatedLog, Role};
///
/// struct Idle;
///
/// impl ReplicatedLog for Idle {
///     fn propose(&mut self, _node: NodeId, _value: u64) -> Option<u64> {
///         None
///     }
///     fn role(&self, _node: NodeId) -> Role {
///         Role { term: 0, is_leader: false }
///     }
///     fn applied(&self, _node: NodeId) -> Vec<Applied> {
///         Vec::new()
///     }
///     // ..
/// #   fn crash(&mut self, _node: NodeId) {}
/// #   fn restart(&mut self, _node: NodeId) {}
/// #   fn cut(&mut self, _node: NodeId, _is_cut: bool) {}
/// #   fn compact(&mut self, _node: NodeId, _index: u64) -> bool {
/// #       false
/// #   }
/// #   fn run_for(&mut self, _time: Duration) {}
/// }
///
/// let report = replicated_log::check(|_conditions| Idle);
/// assert!(report.failed().any(|name| name == "one_leader_is_elected"), "{report}");
/// ```
pub fn check<L: ReplicatedLog>(make: impl FnMut(&Conditions) -> L) -> Report {
    run(make, |_| true)
}

/// Checks a replicated log with some of the cases: those with `part` in their name.
pub fn check_only<L: ReplicatedLog>(part: &str, make: impl FnMut(&Conditions) -> L) -> Report {
    run(make, |name| name.contains(part))
}

fn run<L: ReplicatedLog>(
    mut make: impl FnMut(&Conditions) -> L,
    is_asked: impl Fn(&str) -> bool,
) -> Report {
    let mut report = Report::new("replicated_log");
    for LogCase { name, nodes, network, run } in cases().filter(|case| is_asked(case.name)) {
        report.run(name, || {
            (0..SEEDS).try_for_each(|seed| {
                let conditions = Conditions::new(nodes, network, seed);
                let mut bench = Bench::new(make(&conditions), conditions);
                run(&mut bench).map_err(|stop| with_seed(stop, seed))
            })
        });
    }
    report
}

fn with_seed(stop: Stop, seed: u64) -> Stop {
    match stop {
        Stop::Broken(why) => Stop::Broken(format!("with seed {seed}, {why}")),
        nothing @ Stop::Nothing(_) => nothing,
    }
}

/// A scenario, and where it plays.
struct LogCase<L> {
    name: &'static str,
    nodes: usize,
    network: Network,
    run: fn(&mut Bench<L>) -> Checked,
}

const fn case<L>(
    name: &'static str,
    nodes: usize,
    network: Network,
    run: fn(&mut Bench<L>) -> Checked,
) -> LogCase<L> {
    LogCase { name, nodes, network, run }
}

fn cases<L: ReplicatedLog>() -> impl Iterator<Item = LogCase<L>> {
    let all = [elections::cases(), agreement::cases(), persistence::cases(), turmoil::cases()];
    all.into_iter().flatten().chain(snapshots::cases())
}

/// With how many seeds each case runs.
const SEEDS: u64 = 10;
