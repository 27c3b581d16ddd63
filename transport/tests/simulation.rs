//! The driver and the frames in virtual time, over links and disks that fail.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, join, select};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use parking_lot::Mutex;
use quorate_core::{NodeId, Timer as _};
use quorate_sim::{
    ByteStream, Family, Faults, Knobs, Network, Plan, Ratio, Setting, VirtualTime, mix,
};
use quorate_transport::{Application, Decoder, DriveError, Frame, FrameError, Handle, Host, drive};

use courier::{Courier, Event};
use shelf::{Disk, Shelf};

#[path = "driver/courier.rs"]
mod courier;
#[path = "driver/shelf.rs"]
mod shelf;

/// What a node was told, each with the true time.
#[derive(Clone)]
struct Teller {
    time: VirtualTime,
    told: Arc<Mutex<Vec<String>>>,
    delivered: Arc<Mutex<Vec<u64>>>,
}

impl Teller {
    fn new(time: &VirtualTime) -> Self {
        Self { time: time.clone(), told: Arc::default(), delivered: Arc::default() }
    }

    fn note(&self, text: &str) {
        self.told.lock().push(format!("{} {text}", self.time.now()));
    }
}

impl Application<Courier> for Teller {
    fn deliver(&mut self, number: u64) {
        self.delivered.lock().push(number);
        self.note(&format!("delivered {number}"));
    }

    fn event(&mut self, event: Event) {
        self.note(&format!("{event:?}"));
    }

    fn storage_full(&mut self, is_full: bool) {
        self.note(if is_full { "full" } else { "has room" });
    }

    fn undecodable(&mut self, from: NodeId) {
        panic!("{from} said nonsense");
    }
}

/// Two nodes under the faults of a seed.
struct Pair {
    seed: u64,
    time: VirtualTime,
    network: Network,
    shelves: [Shelf; 2],
    tellers: [Teller; 2],
}

const NODES: [NodeId; 2] = [NodeId(1), NodeId(2)];

/// How much one node is given.
const COUNT: u64 = 20;

impl Pair {
    fn new(seed: u64) -> Self {
        let families = [Family::Delay, Family::Loss, Family::Repeat, Family::Reorder];
        let families = families.into_iter().chain([Family::Stream, Family::Reset]);
        let mut setting = Setting::new(2..=2);
        setting.faults = families.fold(Faults::none(), Faults::with);
        let (time, knobs) = (VirtualTime::new(), Plan::draw(seed, &setting).knobs);
        Self {
            seed,
            network: Network::new(&time, 2, seed, &knobs),
            shelves: [Disk::Works; 2].map(Shelf::new),
            tellers: [Teller::new(&time), Teller::new(&time)],
            time,
        }
    }

    /// Returns the driver of a node, and how to give it commands.
    fn start(
        &self,
        node: usize,
    ) -> (impl Future<Output = Result<(), DriveError>>, Handle<Courier, Teller>) {
        let courier = Courier::new(NODES[1 - node]);
        let (host, handle) = Host::new(courier, self.tellers[node].clone(), 100);
        let drift = i64::try_from(mix(self.seed, 1, node as u64) % 1_000_000).expect("small");
        let timer = self.time.timer_with_drift(Duration::from_secs(node as u64), drift);
        let (endpoint, shelf) = (self.network.join(NODES[node]), self.shelves[node].clone());
        (drive(host, endpoint, shelf, timer), handle)
    }

    /// Runs the pair to the end of its script. Returns what was told, as text.
    fn run(&self) -> String {
        let ((one, handle), (two, _other)) = (self.start(0), self.start(1));
        let drivers = Box::pin(join(one, two));
        let script = Box::pin(self.script(&handle));
        match self.time.run(select(script, drivers)) {
            Either::Left(((), _)) => {
                self.tellers.each_ref().map(|it| it.told.lock().join("\n")).join("\n\n")
            }
            Either::Right((ended, _)) => panic!("seed {}: the drivers ended: {ended:?}", self.seed),
        }
    }

    async fn script(&self, handle: &Handle<Courier, Teller>) {
        for number in 1..=COUNT {
            let call = handle.with(|core, _, _| core.submit("hello".into()));
            assert_eq!(call.expect("there is room").await, Ok(number));
            self.sleep(mix(self.seed, 2, number) % 50).await;
            self.go_wrong(mix(self.seed, 3, number));
            self.check_order();
        }
        self.network.calm();
        self.shelves.iter().for_each(|shelf| shelf.set(Disk::Works));
        for _ in 0..6_000 {
            if self.tellers.iter().all(|it| it.delivered.lock().len() as u64 == COUNT) {
                return self.check_order();
            }
            self.sleep(10).await;
        }
        panic!("seed {}: not all is delivered after a minute", self.seed);
    }

    async fn sleep(&self, millis: u64) {
        let timer = self.time.timer();
        timer.sleep_until(timer.now() + Duration::from_millis(millis)).await;
    }

    /// Lets something fail, or work again.
    fn go_wrong(&self, number: u64) {
        let node = usize::from(number & 1 == 0);
        let (from, to) = (NODES[node], NODES[1 - node]);
        match (number >> 8) % 8 {
            0 => self.network.cut(from, to),
            1 => self.network.heal(),
            2 => self.network.reset(from, to),
            3 => self.network.clog(from, to, Duration::from_millis(number >> 56)),
            4 => self.shelves[node].set(Disk::Stalls),
            5 => self.shelves[node].set(Disk::IsFull),
            6 => self.shelves[node].set(Disk::Works),
            _ => {}
        }
    }

    /// What is delivered is durable there, and is delivered once. Syncs are shared.
    fn check_order(&self) {
        for (shelf, teller) in self.shelves.iter().zip(&self.tellers) {
            let delivered = teller.delivered.lock();
            let different: BTreeSet<u64> = delivered.iter().copied().collect();
            assert_eq!(different.len(), delivered.len(), "seed {}: twice", self.seed);
            let durable = shelf.durable();
            assert!(shelf.syncs() <= durable as u64, "seed {}: a sync of nothing", self.seed);
            assert!(delivered.len() <= durable, "seed {}: {durable} are durable", self.seed);
        }
    }
}

#[test]
fn the_driver_delivers_everything_once_and_durable() {
    for seed in 0..500 {
        Pair::new(seed).run();
    }
}

#[test]
fn a_driver_in_virtual_time_does_the_same_again() {
    let (first, again, other) = (Pair::new(7).run(), Pair::new(7).run(), Pair::new(8).run());
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.contains("delivered 20"), "{first}");
}

#[test]
fn a_failed_sync_ends_the_driver_and_nothing_is_said_of_it() {
    for seed in 0..100 {
        let pair = Pair::new(seed);
        pair.shelves[0].set(Disk::Fails);
        let ((one, handle), (two, _other)) = (pair.start(0), pair.start(1));
        let call = handle.with(|core, _, _| core.submit("hello".into()));
        match pair.time.run(select(Box::pin(one), Box::pin(two))) {
            Either::Left((Err(DriveError::Storage(_)), _)) => {}
            _ => panic!("seed {seed}: the driver of the broken disk goes on, or another ended"),
        }
        assert_eq!(pair.time.run(call.expect("there is room")), Ok(1), "seed {seed}");
        assert_eq!((pair.shelves[0].durable(), pair.tellers[0].delivered.lock().len()), (0, 0));
    }
}

/// Frames that cross a stream, and how it ended.
async fn cross(ends: [ByteStream; 2], frames: &[Frame]) -> (Vec<Frame>, Result<(), FrameError>) {
    let [mut one, mut two] = ends;
    let mut bytes = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(&mut bytes));
    let writes = async move {
        one.write_all(&bytes).await?;
        one.close().await?;
        io::Result::Ok(one)
    };
    let reads = async move {
        let (mut found, mut decoder, mut into) = (Vec::new(), Decoder::new(1 << 20), [0; 4096]);
        loop {
            let read = two.read(&mut into).await;
            let is_end = matches!(read, Ok(0) | Err(_));
            decoder.buffer().extend_from_slice(&into[..read.unwrap_or(0)]);
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => found.push(frame),
                    Ok(None) if is_end => return (found, decoder.finish()),
                    Ok(None) => break,
                    Err(error) => return (found, Err(error)),
                }
            }
        }
    };
    join(writes, reads).await.1
}

/// Sends frames of many lengths. Returns how many arrived before the end, and what it was.
fn send_frames(seed: u64, knobs: &Knobs) -> (usize, Result<(), FrameError>) {
    let frame = |number: u64| {
        let len = usize::try_from(mix(seed, 4, number) % 5_000).expect("small");
        Frame::Message(Bytes::from(vec![number.to_le_bytes()[0]; len]))
    };
    let frames: Vec<Frame> = (0..40).map(frame).collect();
    let time = VirtualTime::new();
    let ends = Network::new(&time, 2, seed, knobs).connect(NODES[0], NODES[1]);
    let (found, end) = time.run(cross(ends, &frames));
    assert_eq!(found, frames[..found.len()], "seed {seed}: other frames than were sent");
    (found.len(), end)
}

#[test]
fn frames_cross_a_stream_that_is_cut_anywhere() {
    for seed in 0..100 {
        assert_eq!(send_frames(seed, &Knobs::calm()), (40, Ok(())), "seed {seed}");
    }
}

#[test]
fn no_frame_is_made_of_damage_or_of_a_broken_connection() {
    let (mut damaged, mut broken) = (0, 0);
    for seed in 0..300 {
        let mut knobs = Knobs::calm();
        knobs.corrupt = Ratio::percent(2);
        damaged += u64::from(send_frames(seed, &knobs).1.is_err());
        knobs = Knobs::calm();
        knobs.loss = Ratio::percent(2);
        broken += u64::from(send_frames(seed, &knobs).0 < 40);
    }
    assert!(100 < damaged && 100 < broken, "{damaged} damaged, {broken} broken of 300");
}
