//! Many seeds, one after the other, and what to do with the one that fails.

use std::env;
use std::fmt::{self, Display};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::violation::panic_message;

/// Runs `run` with each of `seeds`, the first of them twice, and panics at the first that fails:
/// for simulations that have no [`World`](crate::World), such as one of a storage alone.
///
/// `name` is the test's function and `package` its crate, as `env!("CARGO_PKG_NAME")` says. What a
/// run returns is its story.
///
/// With `SEED=42` in the environment only that seed runs, and its story is printed. With
/// `SEEDS=0..2000` those run.
///
/// # Panics
///
/// If a run fails or panics, with its seed, what it says and a line to paste; or if two runs of
/// the first seed tell different stories.
#[expect(clippy::print_stdout, reason = "who replays a seed wants to read its story")]
pub fn check_seeds<T: Display, E: Display>(
    package: &str,
    name: &str,
    seeds: Range<u64>,
    run: impl Fn(u64) -> Result<T, E>,
) {
    let only = env::var("SEED").ok().map(|seed| number(&seed));
    let seeds = match only {
        Some(seed) => seed..seed + 1,
        None => env::var("SEEDS").map_or(seeds, |seeds| range(&seeds)),
    };
    let first = seeds.start;
    let tell = |seed| {
        let told = catch_unwind(AssertUnwindSafe(|| run(seed)));
        told.unwrap_or_else(|panic| panic!("seed {seed} panicked: {}", panic_message(&*panic)))
    };
    for seed in seeds {
        let story = tell(seed).unwrap_or_else(|why| {
            panic!(
                "{why}\nSEED={seed} cargo test -p {package} --test simulation {name} -- --nocapture"
            )
        });
        if seed == first {
            let (story, again) = (story.to_string(), tell(seed).ok().map(|it| it.to_string()));
            assert_eq!(Some(&story), again.as_ref(), "seed {seed} tells two stories");
            if only.is_some() {
                println!("{story}");
            }
        }
    }
}

/// Runs `run` with each of `seeds` and returns in how many it failed.
///
/// For mistakes that a simulation must catch.
#[must_use]
pub fn count_caught<T, E: Display>(seeds: Range<u64>, run: impl Fn(u64) -> Result<T, E>) -> Caught {
    let runs = seeds.end.saturating_sub(seeds.start);
    let mut caught = Caught { runs, count: 0, first: None };
    for seed in seeds {
        let why = match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(Ok(_)) => continue,
            Ok(Err(why)) => why.to_string(),
            Err(panic) => format!("panicked: {}", panic_message(&*panic)),
        };
        caught.count += 1;
        let headline = why.lines().next().unwrap_or_default().to_owned();
        caught.first.get_or_insert((seed, headline));
    }
    caught
}

/// In how many runs a mistake was caught.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Caught {
    /// How many seeds ran.
    pub runs: u64,
    /// How many failed.
    pub count: u64,
    /// The first that failed, and the first line of what it said.
    pub first: Option<(u64, String)>,
}

impl Display for Caught {
    /// Writes one line, as in `caught in 199 of 200 seeds, first in 0 as: two votes in term 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "caught in {} of {} seeds", self.count, self.runs)?;
        let Some((seed, law)) = &self.first else { return Ok(()) };
        write!(f, ", first in {seed} as: {law}")
    }
}

pub(crate) fn range(seeds: &str) -> Range<u64> {
    let (start, end) = seeds.split_once("..").expect("SEEDS is a range as 0..2000");
    number(start)..number(end)
}

pub(crate) fn number(seed: &str) -> u64 {
    seed.parse().expect("a seed is a number")
}
