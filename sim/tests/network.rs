//! Links without a world: frames and bytes, in virtual time.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{FutureExt as _, join};
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _};
use parking_lot::Mutex;
use quorate_core::{Closed, NodeId, Timer, Transport as _};
use quorate_sim::kit::{self, Report};
use quorate_sim::{ByteStream, Delay, Endpoint, Knobs, Network, Ratio, VirtualTime, VirtualTimer};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

fn knobs(change: impl FnOnce(&mut Knobs)) -> Knobs {
    let mut knobs = Knobs::calm();
    change(&mut knobs);
    knobs
}

/// Sends the numbers below `count`, and returns which arrived, in their order.
fn carry(count: u32, seed: u64, knobs: &Knobs) -> (Vec<u32>, Network, VirtualTime) {
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, seed, knobs);
    let (one, two) = (network.join(ONE), network.join(TWO));
    let heard = time.run(async {
        for number in 0..count {
            one.send(TWO, Bytes::copy_from_slice(&number.to_le_bytes())).await;
        }
        listen(&two, &time, Duration::from_secs(60)).await
    });
    (heard, network, time)
}

/// Returns what arrives until nothing comes for so long.
async fn listen(end: &Endpoint, time: &VirtualTime, patience: Duration) -> Vec<u32> {
    let mut heard = Vec::new();
    let timer = time.timer();
    loop {
        futures::select_biased! {
            frame = end.recv().fuse() => {
                let (from, frame) = frame.expect("it is there");
                assert_eq!(from, ONE);
                heard.push(u32::from_le_bytes(frame.as_ref().try_into().expect("four bytes")));
            }
            () = timer.sleep_until(timer.now() + patience).fuse() => return heard,
        }
    }
}

#[test]
fn a_calm_link_keeps_all_in_order() {
    let (heard, network, _) = carry(1_000, 1, &Knobs::calm());
    assert_eq!(heard, (0..1_000).collect::<Vec<_>>());
    let stats = network.stats();
    assert_eq!((stats.sent, stats.arrived, stats.lost), (1_000, 1_000, 0));
}

#[test]
fn each_fault_of_a_link_shows() {
    let half = Ratio::percent(50);
    let (heard, network, _) = carry(1_000, 1, &knobs(|knobs| knobs.loss = half));
    assert!((400..600).contains(&heard.len()) && heard.is_sorted(), "{}", heard.len());
    assert_eq!(network.stats().lost, 1_000 - heard.len() as u64);
    let (heard, network, _) = carry(1_000, 1, &knobs(|knobs| knobs.repeat = half));
    assert!((1_400..1_600).contains(&heard.len()), "{}", heard.len());
    assert_eq!(network.stats().repeated, heard.len() as u64 - 1_000);
    let (mut heard, _, _) = carry(1_000, 1, &knobs(|knobs| knobs.reorder = half));
    assert!(!heard.is_sorted());
    heard.sort_unstable();
    assert_eq!(heard, (0..1_000).collect::<Vec<_>>());
    let (heard, _, _) = carry(1_000, 1, &knobs(|knobs| knobs.corrupt = half));
    assert!((400..600).contains(&heard.len()), "what is damaged is lost: {}", heard.len());
    let (heard, _, _) = carry(1_000, 1, &knobs(|knobs| knobs.queue = Some(10)));
    assert_eq!(heard, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_slow_link_takes_the_time_of_its_bytes() {
    let slow = knobs(|knobs| (knobs.rate, knobs.delay) = (Some(1_000), Delay::ZERO));
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 1, &slow);
    let (one, two) = (network.join(ONE), network.join(TWO));
    let heard = time.run(async {
        one.send(TWO, Bytes::from(vec![0; 500])).await;
        one.send(TWO, Bytes::from(vec![0; 1_000])).await;
        join(two.recv(), two.recv()).await
    });
    assert!(heard.0.is_ok() && heard.1.is_ok());
    assert_eq!(time.now().as_nanos(), 1_500_000_000);
}

#[test]
fn equal_seeds_are_equal_runs_and_others_are_not() {
    let bad = knobs(|knobs| {
        (knobs.loss, knobs.repeat, knobs.reorder) =
            (Ratio::percent(20), Ratio::percent(20), Ratio::percent(50));
    });
    assert_eq!(carry(200, 7, &bad).0, carry(200, 7, &bad).0);
    assert_ne!(carry(200, 7, &bad).0, carry(200, 8, &bad).0);
}

#[test]
fn a_cut_loses_what_is_under_way_and_a_mended_link_carries_again() {
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 1, &Knobs::calm());
    let (one, two) = (network.join(ONE), network.join(TWO));
    let send = |number: u32| one.send(TWO, Bytes::copy_from_slice(&number.to_le_bytes()));
    let heard = time.run(async {
        send(1).await;
        network.cut(ONE, TWO);
        send(2).await;
        let nothing = listen(&two, &time, Duration::from_secs(1)).await;
        network.mend(ONE, TWO);
        send(3).await;
        network.clog(ONE, TWO, Duration::from_secs(5));
        send(4).await;
        let after = listen(&two, &time, Duration::from_secs(9)).await;
        (nothing, after)
    });
    assert_eq!(heard, (vec![], vec![3, 4]));
    assert!(15_000_000_000 <= time.now().as_nanos());
}

#[test]
fn who_joins_again_takes_the_place_of_the_former() {
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 1, &Knobs::calm());
    let (one, former) = (network.join(ONE), network.join(TWO));
    let (told, heard) = time.run(async {
        let waits = async {
            let told = former.recv().await;
            drop(former);
            told
        };
        let joins = async {
            let two = network.join(TWO);
            one.send(TWO, Bytes::from_static(&[9, 0, 0, 0])).await;
            listen(&two, &time, Duration::from_secs(1)).await
        };
        join(waits, joins).await
    });
    assert_eq!((told, heard), (Err(Closed), vec![9]));
}

#[test]
fn nobody_hears_what_is_said_to_the_absent() {
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 1, &Knobs::calm());
    let one = network.join(ONE);
    drop(network.join(TWO));
    time.run(async {
        for to in [TWO, NodeId(0), NodeId(3), NodeId(u64::MAX)] {
            one.send(to, Bytes::new()).await;
        }
        one.send(ONE, Bytes::from_static(b"to myself")).await;
        assert_eq!(one.recv().await, Ok((ONE, Bytes::from_static(b"to myself"))));
    });
    time.advance(Duration::from_secs(1));
    assert_eq!((network.stats().sent, network.stats().lost), (2, 1));
}

type Ended<T> = Result<T, ErrorKind>;

/// Writes `bytes` and reads them at the other end, each for itself, in pieces.
fn pump(network: &Network, time: &VirtualTime, bytes: &[u8]) -> (Ended<()>, Ended<Vec<Vec<u8>>>) {
    let [mut one, mut two] = network.connect(ONE, TWO);
    time.run(async {
        let writes = async move {
            one.write_all(bytes).await.map_err(|error| error.kind())?;
            one.close().await.map_err(|error| error.kind())?;
            // It waits for the other end to close, as it should.
            let mut rest = Vec::new();
            one.read_to_end(&mut rest).await.map_err(|error| error.kind())?;
            Ok(())
        };
        let reads = async move {
            let (mut pieces, mut into) = (Vec::new(), vec![0; 1 << 20]);
            loop {
                match two.read(&mut into).await.map_err(|error| error.kind())? {
                    0 => return Ok(pieces),
                    len => pieces.push(into[..len].to_vec()),
                }
            }
        };
        join(writes, reads).await
    })
}

fn calm_pair() -> (Network, VirtualTime) {
    let time = VirtualTime::new();
    (Network::new(&time, 2, 3, &Knobs::calm()), time)
}

#[test]
fn bytes_arrive_in_order_and_cut_anywhere() {
    let (network, time) = calm_pair();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let (written, read) = pump(&network, &time, &bytes);
    assert_eq!(written, Ok(()));
    let pieces = read.expect("nothing breaks");
    assert!(pieces.concat() == bytes, "the bytes differ");
    let lens: Vec<usize> = pieces.iter().map(Vec::len).collect();
    assert!(20 < lens.len() && lens.iter().any(|len| *len < 100), "{lens:?}");
}

#[test]
fn a_writer_waits_for_a_reader_that_does_not_read() {
    let (network, time) = calm_pair();
    let [mut one, two] = network.connect(ONE, TWO);
    let timer = time.timer();
    time.run(async {
        let sent = vec![1; 1 << 20];
        futures::select_biased! {
            _ = one.write_all(&sent).fuse() => panic!("it has more room than any socket"),
            () = timer.sleep_until(timer.now() + Duration::from_secs(60)).fuse() => {}
        }
    });
    drop(two);
}

#[test]
fn bits_flip_on_the_way() {
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 3, &knobs(|knobs| knobs.corrupt = Ratio::ALWAYS));
    let (_, read) = pump(&network, &time, &[0; 10_000]);
    let read = read.expect("nothing breaks").concat();
    assert_eq!(read.len(), 10_000);
    assert!(read.iter().any(|byte| *byte != 0));
}

#[test]
fn a_loss_breaks_a_connection_and_both_ends_learn_of_it() {
    for seed in 0..50 {
        let time = VirtualTime::new();
        let lossy = knobs(|knobs| knobs.loss = Ratio::percent(30));
        let network = Network::new(&time, 2, seed, &lossy);
        let (written, read) = pump(&network, &time, &[7; 1 << 20]);
        assert_eq!(written, Err(ErrorKind::ConnectionReset), "seed {seed}");
        assert_eq!(read, Err(ErrorKind::ConnectionReset), "seed {seed}");
    }
}

#[test]
fn a_cut_and_a_reset_break_what_is_there_and_the_next_connection_works() {
    let (network, time) = calm_pair();
    let breaks: [&dyn Fn(); 2] = [&|| network.reset(TWO, ONE), &|| network.cut(ONE, TWO)];
    for break_it in breaks {
        let [mut one, mut two] = network.connect(ONE, TWO);
        let [other, unhurt] = network.connect(ONE, ONE);
        let ends = time.run(async {
            one.write_all(b"lost").await.expect("it is there");
            break_it();
            let ends = async |end: &mut ByteStream| {
                end.read(&mut [0; 4]).await.map_err(|error| error.kind())
            };
            join(ends(&mut one), ends(&mut two)).await
        });
        let reset = ErrorKind::ConnectionReset;
        assert_eq!(ends, (Err(reset), Err(reset)));
        network.heal();
        let again = pump(&network, &time, b"again").1.expect("it works");
        assert_eq!(again.concat(), b"again");
        drop((other, unhurt));
    }
}

#[test]
fn who_writes_to_the_gone_is_told() {
    let (network, time) = calm_pair();
    let [mut one, two] = network.connect(ONE, TWO);
    drop(two);
    let error = time.run(async {
        loop {
            if let Err(error) = one.write_all(&[0; 1_000]).await {
                return error.kind();
            }
        }
    });
    assert_eq!(error, ErrorKind::ConnectionReset);
}

#[test]
fn a_damaged_frame_takes_its_place_until_it_arrives() {
    let narrow = knobs(|knobs| {
        (knobs.corrupt, knobs.queue) = (Ratio::percent(10), Some(20));
    });
    let time = VirtualTime::new();
    let network = Network::new(&time, 2, 1, &narrow);
    let (one, _two) = (network.join(ONE), network.join(TWO));
    for _ in 0..1_000 {
        time.run(one.send(TWO, Bytes::from_static(b"frame")));
        time.advance(Duration::from_secs(10));
    }
    let stats = network.stats();
    assert!((850..950).contains(&stats.arrived), "{stats:?}");
    assert_eq!(stats.arrived + stats.lost, 1_000);
}

#[test]
fn all_who_wait_for_a_frame_are_woken() {
    let (network, time) = calm_pair();
    let (one, two) = (network.join(ONE), network.join(TWO));
    let heard = time.run(async {
        let waits = [two.recv(), two.recv()].into_iter().collect::<FuturesUnordered<_>>();
        one.send(TWO, Bytes::from_static(b"a")).await;
        one.send(TWO, Bytes::from_static(b"b")).await;
        waits.collect::<Vec<_>>().await
    });
    assert!(heard.iter().all(Result::is_ok), "{heard:?}");
}

#[test]
fn what_is_under_way_goes_with_its_network() {
    let payload = Arc::new(());
    let held = Arc::downgrade(&payload);
    let (network, time) = calm_pair();
    let one = network.join(ONE);
    time.run(one.send(TWO, Bytes::from_owner(Owner(payload))));
    drop((one, network, time));
    assert!(held.upgrade().is_none(), "a frame outlives all who could hear it");
}

struct Owner(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        b"owned"
    }
}

#[test]
fn a_writer_without_room_is_told_that_its_reader_is_gone() {
    let (network, time) = calm_pair();
    let [mut one, two] = network.connect(ONE, TWO);
    let timer = time.timer();
    let error = time.run(async {
        let sent = vec![1; 1 << 20];
        let goes = async {
            timer.sleep_until(timer.now() + Duration::from_secs(5)).await;
            drop(two);
        };
        join(one.write_all(&sent), goes).await.0.map_err(|error| error.kind())
    });
    assert_eq!(error, Err(ErrorKind::ConnectionReset));
}

/// Whatever is healed meanwhile: what was lost leaves no hole.
#[test]
fn nothing_arrives_behind_what_a_reset_lost() {
    for seed in 0..200 {
        let time = VirtualTime::new();
        let network = Network::new(&time, 2, seed, &Knobs::calm());
        let [mut one, mut two] = network.connect(ONE, TWO);
        let read = time.run(async {
            one.write_all(b"AAAA").await.expect("it is there");
            network.reset(ONE, TWO);
            network.heal();
            _ = one.write_all(b"BBBB").await;
            let mut read = Vec::new();
            _ = two.read_to_end(&mut read).await;
            read
        });
        assert!(b"AAAABBBB".starts_with(&read), "seed {seed}: {read:?}");
    }
}

#[test]
fn a_connection_does_not_die_of_the_reset_before_it() {
    for seed in 0..200 {
        let time = VirtualTime::new();
        let network = Network::new(&time, 2, seed, &Knobs::calm());
        let [mut one, _two] = network.connect(ONE, TWO);
        network.reset(ONE, TWO);
        let [mut here, mut there] = time.run(async {
            one.read(&mut [0]).await.expect_err("it broke");
            network.connect(ONE, TWO)
        });
        let mut heard = [0; 5];
        let heard = time.run(async {
            there.write_all(b"hello").await?;
            here.read_exact(&mut heard).await
        });
        assert!(heard.is_ok(), "seed {seed}: {heard:?}");
    }
}

/// A task that is polled where it is woken, as some executors do.
#[test]
fn who_is_woken_may_read_at_once() {
    let (network, time) = calm_pair();
    let [mut one, two] = network.connect(ONE, TWO);
    let task = Arc::new(Task { stream: Mutex::new(two), read: Mutex::new(Vec::new()) });
    Arc::clone(&task).wake();
    time.run(one.write_all(b"hello")).expect("it is there");
    time.advance(Duration::from_secs(1));
    assert_eq!(*task.read.lock(), b"hello");
}

struct Task {
    stream: Mutex<ByteStream>,
    read: Mutex<Vec<u8>>,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut into = [0; 8];
        let mut stream = self.stream.lock();
        while let Poll::Ready(Ok(len @ 1..)) =
            Pin::new(&mut *stream).poll_read(&mut Context::from_waker(&waker), &mut into)
        {
            self.read.lock().extend_from_slice(&into[..len]);
        }
    }
}

/// Virtual time that passes as real time does, for what waits in real time.
#[derive(Clone)]
struct Follower {
    time: VirtualTime,
    timer: VirtualTimer,
    start: Instant,
    /// Time must not be moved twice by the same difference.
    alone: Arc<Mutex<()>>,
}

impl Follower {
    fn new() -> Self {
        let time = VirtualTime::new();
        Self { timer: time.timer(), time, start: real_time(), alone: Arc::default() }
    }

    fn follow(&self) {
        let _alone = self.alone.lock();
        let passed = Duration::from_nanos(self.time.now().as_nanos());
        self.time.advance(self.start.elapsed().saturating_sub(passed));
    }

    /// Follows while `check` runs.
    fn follow_while(&self, check: impl FnOnce() -> Report) -> Report {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    thread::park_timeout(Duration::from_micros(500));
                    self.follow();
                }
            });
            let report = check();
            is_over.store(true, Ordering::Relaxed);
            report
        })
    }
}

impl Timer for Follower {
    fn now(&self) -> quorate_core::Instant {
        self.follow();
        self.timer.now()
    }

    fn sleep_until(&self, at: quorate_core::Instant) -> impl Future<Output = ()> + Send {
        self.timer.sleep_until(at)
    }
}

#[expect(clippy::disallowed_methods, reason = "virtual time follows it")]
fn real_time() -> Instant {
    Instant::now()
}

#[test]
fn a_network_in_virtual_time_is_a_transport() {
    let follower = Follower::new();
    let make = || {
        let network = Network::new(&follower.time, 2, 1, &Knobs::calm());
        [ONE, TWO].map(|node| (node, network.join(node)))
    };
    follower.follow_while(|| kit::transport::check(make)).expect_passed();
}

#[test]
fn virtual_time_is_a_timer_and_a_clock() {
    let follower = Follower::new();
    follower.follow_while(|| kit::timer::check(|| follower.clone())).expect_passed();
    follower.follow_while(|| kit::time_source::check(|| follower.time.clock())).expect_passed();
}
