//! A zoo of small systems: each holds in every seed, and each bug that is planted in it is found,
//! by a law that it is known to break.
//!
//! ```text
//! cargo test -p quorate-sim --test zoo                    the whole table
//! cargo test -p quorate-sim --test zoo lease              what has this in its name
//! SEED=42 cargo test -p quorate-sim --test zoo NAME       the story of one seed
//! ```
//!
//! The harness is its own because its table is to be seen: it says in which seed each bug was found
//! first, by which law, and how short the run became that still shows it.

#![expect(clippy::print_stdout, reason = "it has a harness of its own")]

#[path = "zoo/appender.rs"]
mod appender;
#[path = "zoo/cases.rs"]
mod cases;
#[path = "zoo/commit.rs"]
mod commit;
#[path = "zoo/copy.rs"]
mod copy;
#[path = "zoo/entries.rs"]
mod entries;
#[path = "zoo/last_writer.rs"]
mod last_writer;
#[path = "zoo/lease.rs"]
mod lease;
#[path = "zoo/log.rs"]
mod log;
#[path = "zoo/primary.rs"]
mod primary;
#[path = "zoo/registers.rs"]
mod registers;
#[path = "zoo/replica.rs"]
mod replica;
#[path = "zoo/segments.rs"]
mod segments;
#[path = "zoo/shard.rs"]
mod shard;
#[path = "zoo/station.rs"]
mod station;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cases::{Case, Kind, Outcome};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Flags are for other harnesses, and so is a number behind one.
    let is_word = |it: &&String| it.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let words: Vec<_> = arguments.iter().filter(is_word).collect();
    let is_chosen = |case: &Case| {
        words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()))
    };
    let mut cases = all();
    cases.retain(is_chosen);
    if arguments.iter().any(|it| it == "--list") {
        cases.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    if ["SEED", "PLAN"].iter().any(|name| std::env::var_os(name).is_some()) {
        cases.iter().for_each(Case::replay);
        return ExitCode::SUCCESS;
    }
    if run_all(&cases) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all() -> Vec<Case> {
    [primary::cases(), lease::cases(), commit::cases(), last_writer::cases(), log::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// What became of a case, or what its panic said, and how long it took.
type Done = (Result<Outcome, String>, Duration);

/// Runs the cases, prints the table, and returns whether it is as it must be.
#[expect(clippy::disallowed_methods, reason = "how long it takes is of interest")]
fn run_all(cases: &[Case]) -> bool {
    let began = Instant::now();
    let done: Vec<Mutex<Option<Done>>> = cases.iter().map(|_| Mutex::default()).collect();
    let run = |index: usize| {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| cases[index].run()));
        let outcome = outcome.map_err(|panic| what_it_said(&*panic));
        *done[index].lock().expect("nobody panics with it") = Some((outcome, began.elapsed()));
    };
    // Those take all cores themselves.
    let (sound, others): (Vec<usize>, Vec<usize>) =
        (0..cases.len()).partition(|index| cases[*index].kind == Kind::Sound);
    sound.into_iter().for_each(run);
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(index) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run(*index);
                }
            });
        }
    });
    let done: Vec<Done> = done
        .into_iter()
        .map(|it| it.into_inner().expect("nobody panics with it").expect("all were run"))
        .collect();
    let is_good = print(cases, &done);
    println!("{} cases in {:.1} s", cases.len(), began.elapsed().as_secs_f64());
    is_good
}

/// Prints the table. Returns whether each case is as it must be.
fn print(cases: &[Case], done: &[Done]) -> bool {
    let mut system = "";
    let mut failed = Vec::new();
    for (case, (outcome, took)) in cases.iter().zip(done) {
        if system != case.system {
            system = case.system;
            println!("\n{system:33} {:17} {:>5}  shrunk to", "found by", "seed");
        }
        let complaint = match outcome {
            Ok(outcome) => case.complaint(outcome),
            Err(panic) => Some(panic.clone()),
        };
        let mark = if complaint.is_none() { "" } else { "  <- FAILED" };
        let text = match outcome {
            Ok(Outcome::Holds { seeds }) => format!("holds in {seeds} seeds"),
            Ok(Outcome::Found { law, seed, size: None, .. }) => format!("{law:17} {seed:>5}"),
            Ok(Outcome::Found { law, seed, size: Some(size), .. }) => format!(
                "{law:17} {seed:>5}  {} faults, {} ops, {} nodes, {} events",
                size.faults, size.operations, size.nodes, size.events
            ),
            Err(_) => "does not hold".to_owned(),
        };
        println!("  {:31} {text}{mark}", case.name);
        if let Some(complaint) = complaint {
            failed.push((case, complaint));
        }
        if Duration::from_secs(5) < *took {
            println!("    it took {:.1} s", took.as_secs_f64());
        }
    }
    for (case, why) in &failed {
        println!("\n{} FAILED: {why}", case.name);
    }
    failed.is_empty()
}

fn what_it_said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
