//! The lines of the zoo's table: sound systems, planted bugs, mistakes of a driver.

use std::ops::Range;

use quorate_sim::{Caught, Mistake, Size, Suite, System};

/// One line of the table: something that is run, and what must come of it.
pub(crate) struct Case {
    /// The system that it is about.
    pub(crate) system: &'static str,
    /// Its suite: what a filter is compared with, and what a failure is replayed by.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The laws and judges by which it may be found: found by another, it was not understood.
    by: &'static [&'static str],
    run: Box<dyn Fn() -> Outcome + Send + Sync>,
    replay: Box<dyn Fn() + Send + Sync>,
}

/// What a line must show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A sound system: no seed fails.
    Sound,
    /// A bug: a seed fails soon.
    Bug,
    /// A sound system and a careless driver: a seed fails sooner.
    Mistake,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// No seed failed.
    Holds { seeds: u64 },
    /// A law was broken: which, in which seed first, and how large the shortest such run is.
    Found { law: String, why: String, seed: u64, size: Option<Size> },
}

impl Case {
    /// Runs it. A sound system that fails panics.
    pub(crate) fn run(&self) -> Outcome {
        (self.run)()
    }

    /// Returns what is wrong with what became of it, if anything is.
    pub(crate) fn complaint(&self, outcome: &Outcome) -> Option<String> {
        match outcome {
            Outcome::Holds { .. } if self.kind == Kind::Sound => None,
            Outcome::Holds { .. } => Some("no law was broken".to_owned()),
            Outcome::Found { law, why, .. } if self.may_be_found_by(law, why) => None,
            Outcome::Found { law, why, .. } => {
                Some(format!("expected one of {:?}, found {law}: {why}", self.by))
            }
        }
    }

    /// A panic counts only if it is the one that the system is known to end with.
    fn may_be_found_by(&self, law: &str, why: &str) -> bool {
        self.by.iter().any(|by| match by.split_once("panicked: ") {
            Some((_, text)) => law == "panicked" && why.contains(text),
            None => law == *by,
        })
    }

    /// Runs what the environment asks for, and panics with the story of what fails.
    pub(crate) fn replay(&self) {
        (self.replay)();
    }
}

/// A sound system, and how to make its suite with a bug in it.
pub(crate) struct Zoo<S: System, B> {
    system: &'static str,
    make: fn(&'static str, B) -> Suite<S>,
    cases: Vec<Case>,
}

impl<S: System + Send, B: Copy + Send + Sync + 'static> Zoo<S, B> {
    pub(crate) fn new(system: &'static str, make: fn(&'static str, B) -> Suite<S>) -> Self {
        Self { system, make, cases: Vec::new() }
    }

    /// Adds the system itself, with the bug that is none.
    pub(crate) fn sound(self, name: &'static str, none: B) -> Self {
        let make = self.make;
        let run = move || {
            make(name, none).seeds(SEEDS).run();
            Outcome::Holds { seeds: count_sound_seeds() }
        };
        self.add((name, Kind::Sound, &[]), none, Mistake::None, run)
    }

    /// Adds a bug, which is found `by` some laws or judges, and shrunk as well.
    pub(crate) fn bug(self, name: &'static str, bug: B, by: &'static [&'static str]) -> Self {
        let make = self.make;
        let run = move || match make(name, bug).max_shrink_runs(SHRINK_RUNS).first_failure(SEEDS) {
            None => Outcome::Holds { seeds: SEEDS.end },
            Some(failure) => Outcome::Found {
                law: failure.violation.law,
                why: failure.violation.why,
                seed: failure.seed,
                size: Some(failure.after),
            },
        };
        self.add((name, Kind::Bug, by), bug, Mistake::None, run)
    }

    /// Adds a mistake of a driver, which the sound system must notice `by` some laws or judges.
    pub(crate) fn mistake(
        self,
        name: &'static str,
        none: B,
        mistake: Mistake,
        by: &'static [&'static str],
    ) -> Self {
        let make = self.make;
        let run = move || {
            let suite = make(name, none).mistake(mistake);
            let count = |seed: u64| suite.count_caught(seed..seed + 1);
            match MISTAKE_SEEDS.map(count).find_map(|Caught { first, .. }| first) {
                None => Outcome::Holds { seeds: MISTAKE_SEEDS.end },
                Some((seed, headline)) => {
                    let (law, why) = headline.split_once(": ").unwrap_or((&headline, ""));
                    Outcome::Found { law: law.into(), why: why.into(), seed, size: None }
                }
            }
        };
        self.add((name, Kind::Mistake, by), none, mistake, run)
    }

    /// Returns the lines.
    pub(crate) fn cases(self) -> Vec<Case> {
        self.cases
    }

    fn add(
        mut self,
        (name, kind, by): (&'static str, Kind, &'static [&'static str]),
        bug: B,
        mistake: Mistake,
        run: impl Fn() -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let make = self.make;
        let replay = move || make(name, bug).mistake(mistake).seeds(SEEDS).run();
        let (run, replay) = (Box::new(run), Box::new(replay));
        self.cases.push(Case { system: self.system, name, kind, by, run, replay });
        self
    }
}

/// Returns in how many seeds a sound system ran: the environment may ask for others.
fn count_sound_seeds() -> u64 {
    let asked = std::env::var("SEEDS").ok();
    let range = asked.as_deref().and_then(|range| range.split_once(".."));
    let range = range.and_then(|(start, end)| Some(start.parse().ok()?..end.parse().ok()?));
    let Range { start, end } = range.unwrap_or(SEEDS);
    end.saturating_sub(start)
}

/// Within so many every bug must be found, and none in a sound system.
const SEEDS: Range<u64> = 0..2_000;

/// Within so many a suite must notice a careless driver.
const MISTAKE_SEEDS: Range<u64> = 0..200;

/// Enough for a short plan, and for all of them in a minute.
const SHRINK_RUNS: u32 = 1_000;
