//! A log on a disk that is torn, cut off, full and rotten, beside a model of what it must hold.
//!
//! The model keeps what the log looked like after each change since the last acknowledgement. A
//! crash may leave any of these, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use quorate_core::{Instant, SplitMix64};
use quorate_sim::Disk;
use quorate_wal::{Batch, Config, Durability, Index, Preallocate, Retention, Wal};

use self::actors::{Actors, Snapshotter};
use self::busy::Busy;

#[path = "actors.rs"]
mod actors;
#[path = "busy.rs"]
mod busy;
#[path = "faults.rs"]
mod faults;
#[path = "orders.rs"]
mod orders;

/// Plays one run. Returns its story, or the law that was broken and the story so far.
pub(crate) fn run(seed: u64) -> Result<String, String> {
    let mut world = World::new(seed);
    match world.play() {
        Ok(()) => Ok(world.trace),
        Err(law) => Err(format!("{law}\n{}", world.trace)),
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq)]
struct View {
    first: u64,
    next: u64,
    state: Bytes,
    records: BTreeMap<u64, Bytes>,
}

struct World {
    random: SplitMix64,
    disk: Disk,
    busy: Busy,
    config: Config,
    now: Instant,
    wal: Option<Wal<Busy>>,
    /// What the log held after each change, from the last that was acknowledged on.
    views: Vec<View>,
    /// What the log held before and after each change of the last group that was synced, if that
    /// is known. A flipped bit may take changes of this group away, but nothing before it.
    group: Option<Vec<View>>,
    actors: Actors,
    snapshotter: Snapshotter,
    trace: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut config = Config::default();
        let step = 4_096;
        config.seed = Some(seed);
        config.segment_bytes = 1_024 << random.below(4);
        config.verify_sealed = random.below(2) == 0;
        config.preallocate = match random.below(5) {
            0 => Preallocate::None,
            1 => Preallocate::Reserve,
            2 => Preallocate::Recycle { files: 2 },
            _ => Preallocate::ZeroAhead { step },
        };
        config.durability = match random.below(4) {
            0 => Durability::Never,
            1 => Durability::Interval(Duration::from_millis(10)),
            _ => Durability::Always,
        };
        // Records are read from the file, or from memory.
        config.tail_cache_bytes = [0, 200, 1 << 20][usize::try_from(random.below(3)).unwrap_or(0)];
        config.footer_cache_bytes = [0, 1 << 20][usize::try_from(random.below(2)).unwrap_or(0)];
        let empty = View { first: 1, next: 1, ..View::default() };
        let trace = format!(
            "segments of {} bytes, {:?}, {:?}\n",
            config.segment_bytes, config.preallocate, config.durability
        );
        let (views, group) = (vec![empty], None);
        let now = Instant::default();
        let disk = Disk::new();
        let busy = Busy::new(disk.clone());
        let (actors, snapshotter) = (Actors::default(), Snapshotter::default());
        let wal = None;
        Self { random, disk, busy, config, now, wal, views, group, actors, snapshotter, trace }
    }

    fn play(&mut self) -> Result<(), String> {
        self.open()?;
        for _ in 0..STEPS {
            match self.random.below(34) {
                0..8 => self.change()?,
                21 => self.write()?,
                22 => self.pass_time()?,
                23..25 => self.overlap()?,
                25 => self.snapshot()?,
                26 => self.install()?,
                27 => self.retain()?,
                28..30 => self.follow(),
                30 => self.hold(),
                31..34 => self.look()?,
                8..12 => self.sync()?,
                12 => self.truncate_prefix()?,
                13 => self.fill_up()?,
                14 => self.fail_a_sync()?,
                15 => self.cut_power()?,
                16 => self.close()?,
                17 => self.rot()?,
                18 => self.tear()?,
                _ => self.crash()?,
            }
            if let Some(wal) = &self.wal {
                self.expect(&view(wal)?, "the log differs from the model")?;
            }
            orders::check(&self.disk.operations())?;
            self.disk.clear_operations();
        }
        Ok(())
    }

    fn say(&mut self, line: impl AsRef<str>) {
        _ = writeln!(self.trace, "{}", line.as_ref());
    }

    fn wal(&self) -> &Wal<Busy> {
        self.wal.as_ref().expect("it is open between two steps")
    }

    fn last(&self) -> &View {
        self.views.last().expect("there is always one")
    }

    fn expect(&self, found: &View, law: &str) -> Result<(), String> {
        if found == self.last() { Ok(()) } else { Err(differ(law, found, self.last())) }
    }

    /// Opens the log after whatever happened, perhaps with a power cut in the middle of it.
    fn open(&mut self) -> Result<(), String> {
        self.end();
        if self.random.below(4) == 0 {
            let changes = self.random.below(8);
            self.disk.cut_power_after(changes);
            self.say(format!("opens, with a power cut after {changes} changes"));
            drop(Wal::open_on(self.busy.clone(), self.config.clone()));
            self.disk.fail_no_more();
            self.disk.crash(self.random.next_u64());
        }
        let opened = Wal::open_on(self.busy.clone(), self.config.clone());
        let (wal, recovered) =
            opened.map_err(|error| format!("a crash closed the log: {error:?}"))?;
        let found = view(&wal)?;
        self.say(format!("opens: {recovered:?}"));
        let Some(at) = self.views.iter().position(|it| *it == found) else {
            let law = "what was acknowledged is lost or changed";
            return Err(differ(law, &found, &self.views[0]));
        };
        // What is served is as good as acknowledged.
        self.views = vec![self.views.swap_remove(at)];
        self.group = None;
        self.snapshotter.open(self.busy.clone(), &wal)?;
        self.wal = Some(wal);
        Ok(())
    }

    /// Ends the process.
    fn end(&mut self) {
        self.actors = Actors::default();
        self.snapshotter.close();
        self.busy.forget();
        self.wal = None;
    }

    fn crash(&mut self) -> Result<(), String> {
        self.say("crash");
        self.end();
        self.disk.fail_no_more();
        self.disk.clear_capacity();
        self.disk.crash(self.random.next_u64());
        self.open()
    }

    fn close(&mut self) -> Result<(), String> {
        self.say("close");
        self.actors = Actors::default();
        self.snapshotter.close();
        let wal = self.wal.take().expect("it is open between two steps");
        wal.close().map_err(|error| format!("close on a sound disk: {error:?}"))?;
        self.acknowledge();
        self.disk.crash_losing_unsynced();
        self.open()
    }

    /// Makes a batch of a few changes, and does not wait for it.
    fn change(&mut self) -> Result<(), String> {
        let mut next = self.last().clone();
        let mut batch = Batch::new();
        if self.random.below(6) == 0 {
            let from = next.first + self.random.below(next.next - next.first + 1);
            batch = batch.truncate_suffix(Index(from));
            next.records.split_off(&from);
            next.next = from;
        }
        if self.random.below(10) == 0 {
            next.state = self.random.next_u64().to_string().into();
            batch = batch.set_state(next.state.clone());
        }
        for _ in 0..self.random.below(4) {
            let record = self.record();
            batch = batch.append(record.clone());
            next.records.insert(next.next, record);
            next.next += 1;
        }
        self.say(format!("batch, then {}..{}", next.first, next.next));
        let is_empty = batch == Batch::new();
        let written = self.wal().write(batch);
        drop(written.map_err(|error| format!("a batch on a sound log: {error:?}"))?);
        if !is_empty {
            self.views.push(next);
        }
        Ok(())
    }

    fn record(&mut self) -> Bytes {
        let record_bytes =
            [0, 8, 8, 8, 40, 300][usize::try_from(self.random.below(6)).unwrap_or(0)];
        self.record_of(record_bytes)
    }

    fn record_of(&mut self, record_bytes: usize) -> Bytes {
        let word = self.random.next_u64().to_le_bytes();
        word.iter().copied().cycle().take(record_bytes).collect::<Vec<u8>>().into()
    }

    /// Waits for everything, on a disk that does what it is told.
    fn sync(&mut self) -> Result<(), String> {
        self.say("sync");
        let synced = self.wal().sync();
        let end = synced.map_err(|error| format!("a sync on a sound disk: {error:?}"))?;
        if end.0 != self.last().next {
            return Err(format!("sync says {end}, expected {}", self.last().next));
        }
        self.acknowledge();
        Ok(())
    }

    /// Hands what there is to the system. It is durable where that is what an acknowledgement
    /// means.
    fn write(&mut self) -> Result<(), String> {
        self.say("write");
        let mut next = self.last().clone();
        let record = self.record();
        let written = self.wal().append(record.clone()).and_then(|ack| ack.wait());
        written.map_err(|error| format!("a write on a sound disk: {error:?}"))?;
        next.records.insert(next.next, record);
        next.next += 1;
        self.views.push(next);
        if self.config.durability == Durability::Always {
            self.acknowledge();
        }
        Ok(())
    }

    /// Lets the interval pass, after which all that is written is durable.
    fn pass_time(&mut self) -> Result<(), String> {
        self.say("time passes");
        self.now = self.now + Duration::from_millis(10);
        let Some(due) = self.wal().poll_timeout() else { return Ok(()) };
        if self.now < due {
            return Err(format!("due at {due}, it is {}", self.now));
        }
        self.wal().handle_timeout(self.now);
        if self.wal().durable_end().0 != self.last().next {
            return Err(format!("not durable after the interval: {}", self.wal().durable_end()));
        }
        self.acknowledge();
        Ok(())
    }

    /// Takes note that everything so far is durable.
    fn acknowledge(&mut self) {
        if 1 < self.views.len() {
            self.group = Some(self.views.clone());
            self.views.drain(..self.views.len() - 1);
        }
    }

    fn truncate_prefix(&mut self) -> Result<(), String> {
        let mut next = self.last().clone();
        next.first += self.random.below(next.next - next.first + 4);
        next.first = self.actors.held().map_or(next.first, |held| held.min(next.first));
        next.records = next.records.split_off(&next.first);
        next.next = next.next.max(next.first);
        self.say(format!("prefix, then {}..{}", next.first, next.next));
        let (to, is_change) = (Index(next.first), next.first != self.last().first);
        let is_cut_off = self.random.below(3) == 0;
        if is_cut_off {
            self.disk.cut_power_after(self.random.below(8));
        }
        if is_change {
            self.views.push(next);
        }
        match self.wal().truncate_prefix(to) {
            Ok(()) if is_change => self.acknowledge(),
            Ok(()) => {}
            Err(_) if is_cut_off => return self.crash(),
            Err(error) => return Err(format!("truncation on a sound disk: {error:?}")),
        }
        if is_cut_off { self.crash() } else { Ok(()) }
    }

    fn append(&mut self, record_bytes: usize) -> Result<(), String> {
        let mut next = self.last().clone();
        let record = self.record_of(record_bytes);
        let appended = self.wal().append(record.clone());
        drop(appended.map_err(|error| format!("a record on a sound log: {error:?}"))?);
        next.records.insert(next.next, record);
        next.next += 1;
        self.views.push(next);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), String> {
        self.sync()?;
        let view = self.last();
        let index = Index(view.next.saturating_sub(1).max(1));
        let content = format!("{:?}", view.records).repeat(1 + view.records.len() % 3).into_bytes();
        self.say(format!("snapshot at {index}"));
        let is_cut_off = self.random.below(3) == 0;
        if is_cut_off {
            self.disk.cut_power_after(self.random.below(6));
        }
        let taken = self.snapshotter.take(index, content);
        if is_cut_off { self.crash() } else { taken }
    }

    fn install(&mut self) -> Result<(), String> {
        self.sync()?;
        let Some(target) = self.snapshotter.target(self.last().next) else { return Ok(()) };
        if self.last().next < target && self.actors.held().is_some_and(|held| held < target) {
            // All of the log would go, and that is refused.
            return Ok(());
        }
        let target = self.actors.held().map_or(target, |held| held.min(target));
        let mut next = self.last().clone();
        self.say(format!("installs a snapshot, to {target}"));
        if next.first < target {
            next.first = target;
            next.records = next.records.split_off(&target);
            next.next = next.next.max(target);
            self.views.push(next);
        }
        match self.snapshotter.install() {
            Some(Ok(_)) => self.acknowledge(),
            Some(Err(error)) => return Err(format!("install on a sound disk: {error:?}")),
            None => {}
        }
        Ok(())
    }

    /// Lets old segments go. Where the mark ends, the log says; the records behind it stay.
    fn retain(&mut self) -> Result<(), String> {
        let count = self.random.below(20);
        let policy = Retention { records: Some(count), ..Retention::default() };
        let mark = self.wal().retain(&policy, 0);
        let mark = mark.map_err(|error| format!("retain on a sound disk: {error:?}"))?;
        self.say(format!("retains {count}, then from {mark}"));
        let mut next = self.last().clone();
        if next.first < mark.0 {
            if next.next.saturating_sub(mark.0) < count
                || self.actors.held().is_some_and(|it| it < mark.0)
            {
                return Err(format!("the mark {mark} is too far"));
            }
            next.first = mark.0;
            next.records = next.records.split_off(&mark.0);
            self.views.push(next);
            self.acknowledge();
        }
        Ok(())
    }

    fn follow(&mut self) {
        let wal = self.wal().clone();
        self.actors.follow(&wal, &mut self.random);
    }

    fn hold(&mut self) {
        let wal = self.wal().clone();
        self.actors.hold(&wal, &mut self.random);
    }

    fn look(&mut self) -> Result<(), String> {
        self.actors.look(&mut self.views)
    }
}

fn view(wal: &Wal<Busy>) -> Result<View, String> {
    let records: Result<BTreeMap<u64, Bytes>, _> =
        wal.records(..).map(|item| item.map(|(index, record)| (index.0, record))).collect();
    let records = records.map_err(|error| format!("a record cannot be read: {error:?}"))?;
    Ok(View { first: wal.first_index().0, next: wal.next_index().0, state: wal.state(), records })
}

fn differ(law: &str, found: &View, expected: &View) -> String {
    let range = |it: &View| format!("{}..{} {:?}", it.first, it.next, it.state);
    let indexes = found.records.keys().chain(expected.records.keys());
    let wrong = indexes.filter(|it| found.records.get(it) != expected.records.get(it)).min();
    let wrong = wrong.map_or_else(String::new, |it| format!(", first at record {it}"));
    format!("{law}: found {}, expected {}{wrong}", range(found), range(expected))
}

const STEPS: u32 = 60;
