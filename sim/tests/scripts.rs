//! Plays `tests/scripts/*`: each file is a story of faults, told as commands and what came of them.
//!
//! `UPDATE_GOLDENFILES=1 cargo test --test scripts` writes down what the world does. Read the diff
//! before you keep it.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::time::Duration;

use goldenscript::{Context, Runner};
use quorate_core::{SplitMix64, TimeSource as _};
use quorate_sim::{
    Boot, Delay, Done, Family, FaultKind, Invoked, Knobs, Node, NodeId, OpId, Plan, Ratio, Refused,
    System, Violation, Wander, World,
};

use journal::Journal;
use protocol::{Notes, Word, word};

#[path = "notes/journal.rs"]
mod journal;
#[path = "notes/protocol.rs"]
mod protocol;

#[test]
fn links() -> io::Result<()> {
    play("links")
}

#[test]
fn partitions() -> io::Result<()> {
    play("partitions")
}

#[test]
fn nodes() -> io::Result<()> {
    play("nodes")
}

#[test]
fn disks() -> io::Result<()> {
    play("disks")
}

#[test]
fn clocks() -> io::Result<()> {
    play("clocks")
}

fn play(name: &str) -> io::Result<()> {
    goldenscript::run(&mut Story::default(), format!("tests/scripts/{name}"))
}

#[test]
fn every_family_has_a_story() -> io::Result<()> {
    let mut words = BTreeSet::new();
    for file in std::fs::read_dir("tests/scripts")? {
        let text = std::fs::read_to_string(file?.path())?;
        let commands = text.lines().filter(|line| !line.starts_with('#'));
        let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
        words.extend(commands.flat_map(|line| line.split(is_end)).map(str::to_owned));
    }
    let untold: Vec<Family> =
        Family::ALL.into_iter().filter(|family| !words.contains(family.name())).collect();
    assert!(untold.is_empty(), "{untold:?}");
    Ok(())
}

/// Nodes that keep words in a journal.
#[derive(Default)]
struct Keepers;

impl System for Keepers {
    type Core = Notes;
    type Storage = Journal;
    type Application = ();
    type Operation = Word;
    type Return = Word;

    fn boot(&self, boot: &Boot<'_, Notes>) -> Result<(Notes, Journal), Refused> {
        let journal = Journal::open(&boot.disk()).map_err(Refused::new)?;
        let mut notes = Notes::default();
        let words = journal.words();
        if !words.is_empty() {
            notes.tell(format!("has {words}"));
        }
        if 0 < journal.torn {
            notes.tell(format!("cuts off {}", journal.torn));
        }
        if 0 < boot.now().as_nanos() {
            notes.tell(format!("its clock shows {}", boot.now()));
        }
        if let Some(mut tuning) = boot.tuning() {
            notes.tell(format!("its limit is {}", 1 + tuning.below(100)));
        }
        Ok((notes, journal))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        word: &Word,
        done: &mut Done<Word>,
    ) -> Invoked {
        node.core.say(NodeId(2), &format!("{word}, first"));
        node.core.say(NodeId(2), &format!("{word}, last"));
        done.ok(id, word.clone());
        Invoked::Started
    }

    fn deliver(&self, _: &mut Node<Self>, _: Word, _: &mut Done<Word>) {}

    fn bytes(&self, word: &Word) -> u64 {
        word.0.len() as u64
    }

    /// Nobody checks what arrives here.
    fn damage(&self, word: &Word, random: &mut SplitMix64) -> Option<Word> {
        let mut letters: Vec<char> = word.0.chars().collect();
        let at = usize::try_from(random.below(letters.len() as u64)).ok()?;
        letters[at] = '?';
        Some(Word(letters.into_iter().collect()))
    }

    fn reconfigure(&self, node: &mut Node<Self>, random: &mut SplitMix64) -> Option<String> {
        let gone = NodeId(1 + random.below(2));
        node.core.tell(format!("{gone} is a member no more"));
        Some(format!("is told to remove {gone}"))
    }
}

/// Times are in milliseconds, chances in percent.
#[derive(goldenscript::Command)]
enum Command {
    /// `world 2 loss=50 ..`: so many nodes, and what goes wrong by chance, by family.
    World {
        nodes: usize,
        #[arg(optional)]
        knobs: Vec<(String, u64)>,
    },
    /// `run 50`: lets time pass.
    Run(u64),
    /// `say n1 n2 a b`: one node tells another something, a word at a time.
    Say {
        from: String,
        to: String,
        words: Vec<String>,
    },
    /// `note n1 a`: a node keeps a word.
    Note {
        node: String,
        words: Vec<String>,
    },
    /// `read n1 0`: a node asks its storage for a word.
    Read {
        node: String,
        index: u64,
    },
    /// `wake n1 50`: a node is to be woken after so long by its own clock.
    Wake {
        node: String,
        after: u64,
    },
    /// `wall n1`: what the clock on its wall shows, and how far that is from the truth.
    Wall(String),
    /// `fault clog n1 n2 ms=50`: a fault begins, and lasts for so long.
    Fault {
        name: String,
        #[arg(optional)]
        nodes: Vec<String>,
        #[arg(key)]
        ms: Option<u64>,
        #[arg(key)]
        by: Option<i64>,
    },
    /// `crash n1`, `restart n1`: by hand.
    Crash(String),
    Restart(String),
    /// `heal`: all faults end.
    Heal,
}

#[derive(Default)]
struct Story {
    world: Option<World<Keepers>>,
    /// How many lines of the trace were printed.
    printed: usize,
}

type Told = Result<String, Box<dyn Error>>;

impl Runner for Story {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Told {
        if let Command::World { nodes, knobs } = command {
            let mut plan = Plan::calm(*nodes).with_seed(1);
            for (name, value) in knobs {
                turn(&mut plan, name, *value)?;
            }
            plan.max_down = *nodes;
            let world = World::new(Keepers, plan);
            let workload = |draw: &mut quorate_sim::Draw| word(format!("op {}", draw.id()));
            self.world = Some(world.with_workload(workload));
            self.printed = 0;
        } else if let Err(violation) = self.act(command)? {
            return Ok(format!("{}violation: {}\n", self.news(), violation.why));
        }
        Ok(self.news())
    }
}

impl Story {
    fn act(&mut self, command: &Command) -> Result<Result<(), Violation>, Box<dyn Error>> {
        let world = self.world.as_mut().ok_or("there is no world")?;
        let millis = |count: u64| Duration::from_millis(count);
        Ok(match command {
            Command::World { .. } => Ok(()),
            Command::Run(time) => world.run_for(millis(*time)),
            Command::Say { from, to, words } => {
                let to = parse(to)?;
                world.with(parse(from)?, |node| {
                    words.iter().for_each(|text| node.core.say(to, text));
                })
            }
            Command::Note { node, words } => world.with(parse(node)?, |node| {
                words.iter().for_each(|text| node.core.note(text));
            }),
            Command::Read { node, index } => {
                world.with(parse(node)?, |node| node.core.read(*index))
            }
            Command::Wake { node, after } => world.with(parse(node)?, |node| {
                node.core.wake_at(node.now() + millis(*after));
            }),
            Command::Wall(node) => return self.wall(parse(node)?),
            Command::Fault { name, nodes, ms, by } => {
                let kind = fault(name, nodes, by.unwrap_or(0) * 1_000_000)?;
                world.after(Duration::ZERO, millis(ms.unwrap_or(0)), kind);
                world.run_for(Duration::ZERO)
            }
            Command::Crash(node) => world.crash(parse(node)?),
            Command::Restart(node) => world.restart(parse(node)?),
            Command::Heal => world.heal_all(),
        })
    }

    /// Tells what the clock on a wall shows.
    fn wall(&mut self, id: NodeId) -> Result<Result<(), Violation>, Box<dyn Error>> {
        let world = self.world.as_mut().ok_or("there is no world")?;
        let clock = world.clock(id);
        let (wall, truth) = (clock.wall().0, clock.true_time().0);
        let bound = clock.bound()?;
        let is_held = bound.earliest.0 <= truth && truth <= bound.latest.0;
        let held = if is_held { "within its bound" } else { "outside of its bound" };
        let millis = |nanos: i128| nanos / 1_000_000;
        let error = millis(i128::from(wall) - i128::from(truth));
        let margin = millis(i128::from(bound.latest.0) - i128::from(wall));
        Ok(world.with(id, |node| {
            node.core.tell(format!("is {error} ms ahead, {held} of {margin} ms"));
        }))
    }

    /// Returns what happened since the last time.
    fn news(&mut self) -> String {
        let Some(world) = &self.world else { return String::new() };
        let story = world.trace().to_string();
        let lines: Vec<&str> = story.lines().collect();
        let lines = &lines[..lines.len() - 1]; // The last one is the digest.
        let news = lines[self.printed..].iter().map(|line| format!("{line}\n")).collect();
        self.printed = lines.len();
        news
    }
}

/// Turns the knob of a family.
fn turn(plan: &mut Plan, name: &str, value: u64) -> Result<(), Box<dyn Error>> {
    let knobs: &mut Knobs = &mut plan.knobs;
    let count = u32::try_from(value)?;
    let (ratio, time) = (Ratio::percent(count), Duration::from_millis(value));
    match name {
        "seed" => plan.seed = value,
        "clients" => {
            (plan.clients, plan.operations) = (usize::try_from(value)?, 1);
            knobs.client_delay = Delay::ZERO;
        }
        "delay" => knobs.delay = Delay::constant(time),
        "loss" => knobs.loss = ratio,
        "repeat" => knobs.repeat = ratio,
        "reorder" => knobs.reorder = ratio,
        "corrupt" => knobs.corrupt = ratio,
        "stream" => knobs.is_stream = true,
        "slow_link" => knobs.rate = Some(value),
        "queue" => knobs.queue = Some(count),
        "disk_slow" => knobs.sync_latency = Delay::constant(time),
        "power_cut" => knobs.power_cut = ratio,
        "sync_cut" => knobs.sync_cut = ratio,
        "skew" => knobs.max_clock_offset = time,
        "drift" => knobs.max_drift_ppm = count,
        "wander" => knobs.wander = Wander::Linear { ppb: count },
        "early_wake" => knobs.early_wake = ratio,
        "late_wake" => knobs.late_wake = ratio,
        "tie" => knobs.shuffle_ties = true,
        "interleave" => knobs.interleave = ratio,
        "tuning" => knobs.is_tuned = true,
        _ => return Err(format!("no knob is called {name}").into()),
    }
    Ok(())
}

fn fault(name: &str, nodes: &[String], by: i64) -> Result<FaultKind, Box<dyn Error>> {
    let nodes: Vec<NodeId> = nodes.iter().map(|node| parse(node)).collect::<Result<_, _>>()?;
    let one = || nodes.first().copied().ok_or("which node?");
    let two = || nodes.get(1).copied().ok_or("which other node?");
    Ok(match name {
        "split" => FaultKind::Split { nodes },
        "isolate" => FaultKind::Isolate { node: one()? },
        "one_way" => FaultKind::OneWay { from: Some(one()?), to: nodes.get(1).copied() },
        "bridge" => FaultKind::Bridge { node: one()?, half: nodes[1..].to_vec() },
        "ring" => FaultKind::Ring,
        "clog" => FaultKind::Clog { from: one()?, to: two()? },
        "reset" => FaultKind::Reset { from: one()?, to: two()? },
        "crash" => FaultKind::Crash { node: one()? },
        "crash_storm" => FaultKind::CrashStorm,
        "pause" => FaultKind::Pause { node: one()? },
        "wipe" => FaultKind::Wipe { node: one()? },
        "disk_stall" => FaultKind::DiskStall { node: one()? },
        "read_error" => FaultKind::ReadError { node: one()? },
        "misread" => FaultKind::Misread { node: one()? },
        "sync_error" => FaultKind::SyncError { node: one()?, reverts: false },
        "short_write" => FaultKind::ShortWrite { node: one()? },
        "full" => FaultKind::Full { node: one()? },
        "rot" => FaultKind::Rot { node: one()? },
        "misdirect" => FaultKind::Misdirect { node: one()? },
        "lost_write" => FaultKind::LostWrite { node: one()? },
        "step" => FaultKind::Step { node: one()?, by },
        "broken_bound" => FaultKind::BrokenBound { node: one()?, by },
        "reconfigure" => FaultKind::Reconfigure { node: one()? },
        _ => return Err(format!("no fault is called {name}").into()),
    })
}

fn parse(node: &str) -> Result<NodeId, Box<dyn Error>> {
    let number = node.strip_prefix('n').ok_or("a node is written n1")?;
    Ok(NodeId(number.parse()?))
}
