//! What the world keeps about a node that the node does not know.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use quorate_core::{FetchId, Instant, Protocol, WriteId};

use crate::clock::{Clock, LocalClock};
use crate::decision::{Delay, nanos, scale};
use crate::disk::Disk;
use crate::plan::Knobs;
use crate::records::Log;
use crate::stream::{Purpose, Stream};
use crate::system::Badge;

/// What will happen.
pub(super) enum Happening<P: Protocol, R> {
    Arrival { from: usize, to: usize, message: P::Message, id: u64, connection: u32 },
    Timer { node: usize, number: u32 },
    Synced { node: usize, epoch: u32 },
    Fetched { node: usize, epoch: u32, fetch: FetchId, query: P::Query },
    Restart { node: usize, epoch: u32 },
    Fault { index: usize },
    FaultEnds { index: usize },
    Client { client: usize, step: ClientStep<R> },
}

/// What happens to a client, or to what it sent. `turn` says to which of its operations and tries
/// it belongs.
pub(super) enum ClientStep<R> {
    /// It starts its next operation.
    Starts,
    /// It sends its operation to a node, once more.
    Tries { turn: u64 },
    /// The request reaches the node.
    Asks { turn: u64, node: usize },
    /// The answer reaches the client.
    Hears { turn: u64, reply: Heard<R> },
    /// It waits no longer.
    GivesUp { turn: u64 },
}

/// What comes back to a client.
pub(super) enum Heard<R> {
    Reply(crate::client::Reply<R>),
    /// The node did not take it, and names another one, perhaps.
    Refused {
        redirect: Option<usize>,
    },
}

/// The surroundings of a node: they outlive its crashes.
pub(super) struct Site<P: Protocol, R> {
    /// Rises at each crash: what was under way for an older one is dropped.
    pub(super) epoch: u32,
    pub(super) clock: LocalClock,
    pub(super) wall: Clock,
    pub(super) disk: Disk,
    pub(super) log: Arc<Mutex<Log<P::Record>>>,
    pub(super) timer: Timer,
    pub(super) sync: Sync,
    /// How many faults pause it.
    pub(super) pauses: u32,
    /// What came during the pause.
    pub(super) waiting: VecDeque<Happening<P, R>>,
    /// How many partitions keep it from others.
    pub(super) away: u32,
    /// Whether it refused to start, because of what happened to its disk.
    pub(super) is_refusing: bool,
    /// How long its syncs and fetches take.
    pub(super) sync_latency: Delay,
    pub(super) fetch_latency: Delay,
    /// Until when its disk does not answer.
    pub(super) stalled_until: u64,
    /// Whether something was done to what is durable: then it may refuse to start.
    pub(super) is_spoiled: bool,
    /// A delivery that is handed over after the next one, by mistake.
    pub(super) held: Option<P::Delivery>,
    /// What the node was when last looked at.
    pub(super) badge: Badge,
    pub(super) chance: Chance,
}

/// The one wake-up of a node.
#[derive(Debug)]
pub(super) struct Timer {
    /// What the core said last.
    pub(super) deadline: Option<Instant>,
    /// When the node is woken, at the latest deadline or before; `NEVER` if not.
    pub(super) at: u64,
    /// Which of the wake-ups in the queue counts.
    pub(super) number: u32,
    pub(super) is_forgotten: bool,
}

/// How far the storage is.
#[derive(Debug, Default)]
pub(super) struct Sync {
    pub(super) is_under_way: bool,
    /// The last write that was appended.
    pub(super) appended: WriteId,
    /// The last write before the sync started.
    pub(super) covered: WriteId,
    /// The last write that was reported.
    pub(super) reported: WriteId,
}

/// The streams of one node.
#[derive(Debug)]
pub(super) struct Chance {
    pub(super) power_cut: Stream,
    pub(super) sync: Stream,
    pub(super) fetch: Stream,
    pub(super) wake: Stream,
    pub(super) boot: Stream,
    pub(super) disk: Stream,
    pub(super) mistake: Stream,
    pub(super) interleave: Stream,
    pub(super) late: Stream,
}

impl<P: Protocol, R> Site<P, R> {
    pub(super) fn new(seed: u64, node: usize, knobs: &Knobs, elapsed: &Arc<AtomicU64>) -> Self {
        let about = |purpose| Stream::new(seed, purpose, node as u64, 0);
        let drift_ppb = u64::from(knobs.max_drift_ppm) * 1_000;
        let drift = scale(about(Purpose::Drift).next(), 2 * drift_ppb + 1);
        let drift = i64::try_from(drift).expect("below 2^43") - drift_ppb.cast_signed();
        let wall = Clock::following(elapsed);
        let margin = nanos(knobs.max_clock_offset);
        let error =
            scale(about(Purpose::Offset).next(), margin.saturating_mul(2).saturating_add(1));
        let error = i128::from(error) - i128::from(margin);
        wall.set_error(i64::try_from(error).unwrap_or_default(), margin);
        wall.set_wander(knobs.wander, about(Purpose::Wander).next());
        Self {
            epoch: 0,
            clock: LocalClock::new(0, drift),
            wall,
            disk: Disk::new(),
            log: Arc::default(),
            timer: Timer::default(),
            sync: Sync::default(),
            pauses: 0,
            waiting: VecDeque::new(),
            away: 0,
            is_refusing: false,
            sync_latency: knobs.sync_latency,
            fetch_latency: knobs.fetch_latency,
            stalled_until: 0,
            is_spoiled: false,
            held: None,
            badge: Badge::default(),
            chance: Chance {
                power_cut: about(Purpose::PowerCut),
                sync: about(Purpose::Sync),
                fetch: about(Purpose::Fetch),
                wake: about(Purpose::Wake),
                boot: about(Purpose::Boot),
                disk: about(Purpose::Disk),
                mistake: about(Purpose::Mistake),
                interleave: about(Purpose::Interleave),
                late: about(Purpose::Late),
            },
        }
    }

    /// Forgets what belonged to the incarnation that ends.
    pub(super) fn end(&mut self) {
        self.epoch += 1;
        self.chance.disk.advance();
        self.disk.crash(self.chance.disk.number(Purpose::Disk));
        self.log.lock().crash(self.chance.disk.number(Purpose::Records));
        self.timer = Timer { number: self.timer.number + 1, ..Timer::default() };
        self.sync = Sync::default();
        self.held = None;
        self.badge = Badge::default();
        self.waiting.clear();
    }

    /// Loses the disk.
    pub(super) fn wipe(&self) {
        self.disk.wipe();
        *self.log.lock() = Log::default();
    }

    /// Draws where the clock starts, and returns a seed for the core.
    pub(super) fn begin(&mut self, knobs: &Knobs) -> u64 {
        self.chance.boot.advance();
        let end = nanos(knobs.max_clock_offset).saturating_add(1);
        let offset = scale(self.chance.boot.number(Purpose::Offset), end);
        self.clock = self.clock.with_offset(offset);
        self.chance.boot.number(Purpose::Boot)
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self { deadline: None, at: NEVER, number: 0, is_forgotten: false }
    }
}

/// Later than everything.
pub(super) const NEVER: u64 = u64::MAX;
