//! Many seeds, one after the other, and what to do with the one that fails.

use std::env;
use std::fmt::{self, Display};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::violation::{Violation, panic_message};

/// Runs `run` with each of `seeds`, the first of them twice, and panics at the first violation.
///
/// `name` is the test's function and `package` its crate, as `env!("CARGO_PKG_NAME")` says. What a
/// run returns is its story: a [`Trace`](crate::Trace), or a `String`.
///
/// With `SEED=42` in the environment only that seed runs, and its story is printed. With
/// `SEEDS=0..2000` those run.
///
/// # Panics
///
/// If a run breaks a law or panics, with its seed, its story and a line to paste; or if two runs of
/// the first seed tell different stories.
#[expect(clippy::print_stdout, reason = "who replays a seed wants to read its story")]
pub fn check_seeds<T: Display>(
    package: &str,
    name: &str,
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, Violation>,
) {
    let only = env::var("SEED").ok().map(|seed| number(&seed));
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => env::var("SEEDS").map_or(seeds, |seeds| range(&seeds)),
    };
    let first = seeds.start;
    for seed in seeds {
        let story = match attempt(seed, &run) {
            Ok(story) => story,
            Err(violation) => {
                let paste = format!(
                    "SEED={seed} cargo test -p {package} --test simulation {name} -- --nocapture"
                );
                if only.is_some() {
                    panic!("{violation:#}\n{paste}");
                }
                panic!("{violation}\n{paste}");
            }
        };
        if seed == first {
            let (story, again) = (story.to_string(), run(seed).map(|story| story.to_string()));
            assert_eq!(Ok(&story), again.as_ref(), "seed {seed} tells two stories");
            if only.is_some() {
                println!("{story}");
            }
        }
    }
}

/// Runs `run` with each of `seeds` and returns in how many a law was broken, or a core panicked.
///
/// For mistakes that a suite must catch.
#[must_use]
pub fn count_caught<T>(seeds: Range<u64>, run: impl Fn(u64) -> Result<T, Violation>) -> Caught {
    let runs = seeds.end.saturating_sub(seeds.start);
    let mut caught = Caught { runs, count: 0, first: None };
    for seed in seeds {
        if let Err(violation) = attempt(seed, &run) {
            caught.count += 1;
            caught.first.get_or_insert(violation);
        }
    }
    caught
}

/// In how many runs a mistake was caught.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Caught {
    /// How many seeds ran.
    pub runs: u64,
    /// In how many a law was broken.
    pub count: u64,
    /// The first violation.
    pub first: Option<Violation>,
}

impl Display for Caught {
    /// Writes one line, as in `caught in 199 of 200 seeds, first in 0 as: two votes in term 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "caught in {} of {} seeds", self.count, self.runs)?;
        let Some(Violation { law, seed, .. }) = &self.first else { return Ok(()) };
        write!(f, ", first in {seed} as: {law}")
    }
}

/// Runs one seed; a panic is a violation as well.
fn attempt<T>(seed: u64, run: &impl Fn(u64) -> Result<T, Violation>) -> Result<T, Violation> {
    catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        Err(Violation::new(format!("panicked: {}", panic_message(&*panic)), seed))
    })
}

fn range(seeds: &str) -> Range<u64> {
    let (start, end) = seeds.split_once("..").expect("SEEDS is a range as 0..2000");
    number(start)..number(end)
}

fn number(seed: &str) -> u64 {
    seed.parse().expect("a seed is a number")
}
