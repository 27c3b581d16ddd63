//! What the world keeps about a node that the node does not know.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use quorate_core::{FetchId, Instant, Protocol, WriteId};

use crate::Disk;
use crate::clock::Clock;
use crate::decision::{nanos, scale};
use crate::plan::Plan;
use crate::records::Log;
use crate::stream::{Purpose, Stream};

/// What will happen.
pub(super) enum Happening<P: Protocol> {
    Arrival { from: usize, to: usize, message: P::Message },
    Timer { node: usize, number: u32 },
    Synced { node: usize, epoch: u32 },
    Fetched { node: usize, epoch: u32, fetch: FetchId, query: P::Query },
    Act { node: usize },
    Restart { node: usize, epoch: u32 },
    Resume { node: usize, pause: u32 },
    Trouble(Trouble),
    Heal { partition: u32 },
}

/// A fault that comes by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    Partition,
    Crash,
    Storm,
    Pause,
}

/// The surroundings of a node: they outlive its crashes.
pub(super) struct Site<P: Protocol> {
    /// Rises at each crash: what was under way for an older one is dropped.
    pub(super) epoch: u32,
    pub(super) clock: Clock,
    pub(super) disk: Disk,
    pub(super) log: Arc<Mutex<Log<P::Record>>>,
    pub(super) timer: Timer,
    pub(super) sync: Sync,
    /// The pause that lasts.
    pub(super) pause: Option<u32>,
    pub(super) pauses: u32,
    /// What came during the pause.
    pub(super) waiting: VecDeque<Happening<P>>,
    /// Whether a partition keeps it from others.
    pub(super) is_away: bool,
    /// A delivery that is handed over after the next one, by mistake.
    pub(super) held: Option<P::Delivery>,
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
    pub(super) act: Stream,
    pub(super) wake: Stream,
    pub(super) boot: Stream,
    pub(super) disk: Stream,
    pub(super) mistake: Stream,
}

impl<P: Protocol> Site<P> {
    pub(super) fn new(seed: u64, node: usize, plan: &Plan) -> Self {
        let about = |purpose| Stream::new(seed, purpose, node as u64, 0);
        let drift_ppb = u64::from(plan.max_drift_ppm) * 1_000;
        let drift = scale(about(Purpose::Drift).next(), 2 * drift_ppb + 1);
        let drift = i64::try_from(drift).expect("below 2^43") - drift_ppb.cast_signed();
        Self {
            epoch: 0,
            clock: Clock::new(0, drift),
            disk: Disk::new(),
            log: Arc::default(),
            timer: Timer::default(),
            sync: Sync::default(),
            pause: None,
            pauses: 0,
            waiting: VecDeque::new(),
            is_away: false,
            held: None,
            chance: Chance {
                power_cut: about(Purpose::PowerCut),
                sync: about(Purpose::Sync),
                fetch: about(Purpose::Fetch),
                act: about(Purpose::Act),
                wake: about(Purpose::Wake),
                boot: about(Purpose::Boot),
                disk: about(Purpose::Disk),
                mistake: about(Purpose::Mistake),
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
        (self.pause, self.held) = (None, None);
        self.waiting.clear();
    }

    /// Draws where the clock starts, and returns a seed for the core.
    pub(super) fn begin(&mut self, plan: &Plan) -> u64 {
        self.chance.boot.advance();
        let end = nanos(plan.max_clock_offset).saturating_add(1);
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
