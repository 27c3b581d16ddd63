//! The same driver on tokio, on smol and on plain threads.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{io, thread};

use bytes::Bytes;
use futures::executor::block_on;
use quorate_core::{NodeId, Transport as _};
use quorate_transport::{
    Application, CommandError, DriveError, Handle, Host, Memory, Network, ThreadTimer, Timer, drive,
};

use courier::{Courier, Event};
use shelf::{Disk, Shelf};

#[path = "driver/courier.rs"]
mod courier;
#[path = "driver/shelf.rs"]
mod shelf;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where the drivers run.
trait Runtime {
    type Timer: Timer + Clone + 'static;
    fn timer(&self) -> Self::Timer;
    fn spawn(&self, task: Task);
}

struct Threads(ThreadTimer);

impl Runtime for Threads {
    type Timer = ThreadTimer;

    fn timer(&self) -> ThreadTimer {
        self.0.clone()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the runtime of threads")]
    fn spawn(&self, task: Task) {
        thread::spawn(|| block_on(task));
    }
}

#[cfg(feature = "tokio")]
impl Runtime for tokio::runtime::Runtime {
    type Timer = quorate_transport::TokioTimer;

    fn timer(&self) -> Self::Timer {
        quorate_transport::TokioTimer::new()
    }

    fn spawn(&self, task: Task) {
        Self::spawn(self, task);
    }
}

#[cfg(feature = "smol")]
struct Smol;

#[cfg(feature = "smol")]
impl Runtime for Smol {
    type Timer = quorate_transport::SmolTimer;

    fn timer(&self) -> Self::Timer {
        quorate_transport::SmolTimer::new()
    }

    fn spawn(&self, task: Task) {
        smol::spawn(task).detach();
    }
}

/// Two nodes, and what they tell.
struct Pair {
    handles: [Handle<Courier, Teller>; 2],
    shelves: [Shelf; 2],
    told: [Receiver<Told>; 2],
    ended: Receiver<Result<(), DriveError>>,
    network: Network,
}

#[derive(Debug, PartialEq)]
enum Told {
    Delivered(u64),
    ReadBack(u64, Bytes),
    Beat,
    Full(bool),
    Undecodable,
}

struct Teller(Sender<Told>);

impl Application<Courier> for Teller {
    fn deliver(&mut self, number: u64) {
        _ = self.0.send(Told::Delivered(number));
    }

    fn event(&mut self, event: Event) {
        _ = self.0.send(match event {
            Event::Beat => Told::Beat,
            Event::ReadBack(number, data) => Told::ReadBack(number, data),
        });
    }

    fn storage_full(&mut self, is_full: bool) {
        _ = self.0.send(Told::Full(is_full));
    }

    fn undecodable(&mut self, _from: NodeId) {
        _ = self.0.send(Told::Undecodable);
    }
}

impl Pair {
    fn start(runtime: &impl Runtime, disks: [Disk; 2]) -> Self {
        let network = Network::new();
        let (report, ended) = channel();
        let shelves = disks.map(Shelf::new);
        let start = |node: usize| {
            let (teller, told) = channel();
            let peer = NodeId(1 - node as u64);
            let (host, handle) = Host::new(Courier::new(peer), Teller(teller), 1000);
            let (memory, shelf) = (network.join(NodeId(node as u64)), shelves[node].clone());
            let (timer, report) = (runtime.timer(), report.clone());
            runtime.spawn(Box::pin(async move {
                _ = report.send(drive(host, memory, shelf, timer).await);
            }));
            (handle, told)
        };
        let ((first, first_told), (second, second_told)) = (start(0), start(1));
        let (handles, told) = ([first, second], [first_told, second_told]);
        Self { handles, shelves, told, ended, network }
    }

    fn submit(&self, data: &'static str) -> u64 {
        let call = self.handles[0].with(move |core, _, _| core.submit(data.into()));
        block_on(call.expect("there is room")).expect("it runs")
    }

    /// Waits until `node` tells what is `wanted`.
    fn wait(&self, node: usize, wanted: &Told) {
        for _ in 0..TOLD_MAX {
            let told = self.told[node].recv_timeout(PATIENCE);
            match told.unwrap_or_else(|_| panic!("node {node} never told {wanted:?}")) {
                told if told == *wanted => return,
                _ => {}
            }
        }
        panic!("node {node} told much, but not {wanted:?}");
    }

    /// Takes what `node` has told, but for beats.
    fn told(&self, node: usize) -> Vec<Told> {
        self.told[node].try_iter().filter(|told| *told != Told::Beat).collect()
    }
}

/// No test waits for this long, unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a node may tell, beats included, before what a test waits for.
const TOLD_MAX: usize = 5000;

fn on_threads() -> io::Result<Threads> {
    ThreadTimer::start().map(Threads)
}

/// What is submitted is delivered on both sides, and can be read back.
fn check_delivery(runtime: &impl Runtime) {
    let pair = Pair::start(runtime, [Disk::Works, Disk::Works]);
    for number in 1..=100 {
        assert_eq!(pair.submit("hello"), number);
    }
    for number in 1..=100 {
        pair.wait(1, &Told::Delivered(number));
    }
    pair.wait(0, &Told::ReadBack(100, "hello".into()));
}

#[test]
fn what_is_submitted_is_delivered_on_threads() -> io::Result<()> {
    check_delivery(&on_threads()?);
    Ok(())
}

#[cfg(feature = "tokio")]
#[test]
fn what_is_submitted_is_delivered_on_tokio() -> io::Result<()> {
    check_delivery(&tokio::runtime::Runtime::new()?);
    Ok(())
}

#[cfg(feature = "smol")]
#[test]
fn what_is_submitted_is_delivered_on_smol() {
    check_delivery(&Smol);
}

/// A driver that always has something to do lets others of its task have their turn.
fn check_turns(runtime: &impl Runtime) {
    let (host, handle) = Host::new(Courier::new(NodeId(1)), Teller(channel().0), 10);
    let (memory, timer) = (Network::new().join(NodeId(0)), runtime.timer());
    again(handle);
    let (sender, told) = channel();
    runtime.spawn(Box::pin(async move {
        let driving = Box::pin(drive(host, memory, Shelf::new(Disk::Works), timer.clone()));
        let other = Box::pin(async {
            for _ in 0..3 {
                timer.sleep_until(timer.now() + Duration::from_millis(1)).await;
            }
            _ = sender.send(());
        });
        _ = futures::future::select(driving, other).await;
    }));
    assert!(told.recv_timeout(PATIENCE).is_ok(), "the driver never yields");
}

/// A command that gives the next one.
fn again(handle: Handle<Courier, Teller>) {
    let next = handle.clone();
    // It ends with the driver.
    _ = handle.with(move |_, _, _| again(next));
}

#[test]
fn a_busy_driver_lets_others_have_their_turn_on_threads() -> io::Result<()> {
    check_turns(&on_threads()?);
    Ok(())
}

#[cfg(feature = "tokio")]
#[test]
fn a_busy_driver_lets_others_have_their_turn_on_tokio() -> io::Result<()> {
    check_turns(&tokio::runtime::Runtime::new()?);
    Ok(())
}

/// While a sync is stuck, beats leave, nothing is acknowledged, and what comes shares the next.
fn check_stall(runtime: &impl Runtime) {
    let pair = Pair::start(runtime, [Disk::Stalls, Disk::Works]);
    for _ in 0..100 {
        pair.submit("hello");
    }
    pair.wait(1, &Told::Delivered(100));
    for _ in 0..5 {
        pair.wait(1, &Told::Beat);
    }
    assert_eq!(pair.told(0), [], "delivered before it was durable");
    pair.shelves[0].set(Disk::Works);
    pair.wait(0, &Told::Delivered(100));
    let syncs = pair.shelves[0].syncs();
    assert!(syncs <= 2, "{syncs} syncs: one for the first, one for all that came meanwhile");
}

#[test]
fn a_stalled_disk_stops_no_heartbeat_on_threads() -> io::Result<()> {
    check_stall(&on_threads()?);
    Ok(())
}

#[cfg(feature = "tokio")]
#[test]
fn a_stalled_disk_stops_no_heartbeat_on_tokio() -> io::Result<()> {
    check_stall(&tokio::runtime::Runtime::new()?);
    Ok(())
}

#[cfg(feature = "smol")]
#[test]
fn a_stalled_disk_stops_no_heartbeat_on_smol() {
    check_stall(&Smol);
}

#[test]
fn a_full_disk_is_told_and_tried_again() -> io::Result<()> {
    let pair = Pair::start(&on_threads()?, [Disk::IsFull, Disk::Works]);
    pair.submit("hello");
    pair.wait(0, &Told::Full(true));
    pair.wait(1, &Told::Delivered(1));
    assert_eq!(pair.told(0), [], "delivered before it was durable");
    pair.shelves[0].set(Disk::Works);
    pair.wait(0, &Told::Full(false));
    pair.wait(0, &Told::Delivered(1));
    Ok(())
}

#[test]
fn a_failed_sync_ends_the_driver_and_acknowledges_nothing() -> io::Result<()> {
    let pair = Pair::start(&on_threads()?, [Disk::Works, Disk::Fails]);
    pair.submit("hello");
    let ended = pair.ended.recv_timeout(PATIENCE).expect("the driver ends");
    assert!(matches!(ended, Err(DriveError::Storage(_))), "{ended:?}");
    pair.wait(0, &Told::Beat);
    assert_eq!((pair.told(0), pair.told(1)), (vec![], vec![]), "delivered, but not durable");
    assert_eq!(pair.shelves[1].durable(), 0);
    // Who asks the one that ended gets an answer.
    assert_eq!(pair.handles[1].with(|_, _, _| ()).err(), Some(CommandError::Closed));
    Ok(())
}

#[test]
fn a_command_that_never_runs_is_answered() {
    let (host, handle) = Host::new(Courier::new(NodeId(1)), Teller(channel().0), 2);
    let calls = [handle.with(|_, _, _| ()), handle.with(|_, _, _| ())];
    assert_eq!(handle.with(|_, _, _| ()).err(), Some(CommandError::Full { limit: 2 }));
    drop(host);
    for call in calls {
        assert_eq!(block_on(call.expect("there was room")), Err(CommandError::Closed));
    }
}

#[test]
fn a_frame_that_is_no_message_is_dropped_and_told() -> io::Result<()> {
    let pair = Pair::start(&on_threads()?, [Disk::Works, Disk::Works]);
    let stranger: Memory = pair.network.join(NodeId(7));
    for nonsense in [&b""[..], b"\x09", b"\x02\0", b"\x03behind"] {
        block_on(stranger.send(NodeId(0), Bytes::from_static(nonsense)));
        pair.wait(0, &Told::Undecodable);
    }
    pair.submit("hello");
    pair.wait(0, &Told::Delivered(1));
    Ok(())
}
