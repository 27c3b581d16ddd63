//! Laws under faults, from seeds.
//!
//! `SEED=17 cargo test -p quorate-wal --test simulation -- --nocapture` replays one run and prints
//! its story; `SEEDS=1000..9000` runs others. `src/traps.rs` shows that these laws can be broken.

use std::env;
use std::ops::Range;

#[path = "simulation/log.rs"]
mod log;

#[test]
fn nothing_acknowledged_is_lost_and_no_crash_closes_a_log() {
    check(log::run);
}

#[test]
fn equal_seeds_give_equal_traces() {
    assert_eq!(log::run(0), log::run(0));
}

#[expect(clippy::print_stdout, reason = "who replays a seed wants to read its story")]
fn check(run: fn(u64) -> Result<String, String>) {
    let replay = env::var("SEED").ok();
    let seeds = env::var("SEEDS").map_or(SEEDS, |range| between(&range));
    for seed in replay.as_deref().map_or(seeds, only) {
        match run(seed) {
            Ok(trace) if replay.is_some() => println!("{trace}"),
            Ok(_) => {}
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
}

fn only(seed: &str) -> Range<u64> {
    let seed = seed.parse().expect("SEED is a number");
    seed..seed + 1
}

fn between(range: &str) -> Range<u64> {
    let (start, end) = range.split_once("..").expect("SEEDS is a range");
    let number = |text: &str| text.parse().expect("SEEDS is a range of numbers");
    number(start)..number(end)
}

const SEEDS: Range<u64> = 0..1_000;
