//! Judges histories: does what clients saw fit a model?
//!
//! `cargo run --release --example sim_check -- linear --model register --format jepsen FILE..`
//! prints a line for each file, and `--explain` why it is not linearizable. Of a folder, all files
//! that end in `.log`, `.txt`, `.json` or `.jsonl` are read in the order of their names.
//!
//! Exit code 0: all are good. 1: one is not. 2: a file is not a history, or nothing was decided.
//!
//! Without arguments it judges histories that everybody knows, and asserts what is known of them.

#[path = "sim_check/demo.rs"]
mod demo;
#[path = "sim_check/files.rs"]
mod files;
#[path = "sim_check/linear.rs"]
mod linear;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Judges histories of clients.
#[derive(Debug, Parser)]
#[command(name = "sim_check")]
struct Cli {
    #[command(subcommand)]
    judge: Option<Judge>,
}

/// One for each judge of `quorate_sim::check`, in a file of its own.
#[derive(Debug, Subcommand)]
enum Judge {
    /// Is there one order of all operations that explains what each returned?
    Linear(linear::Args),
}

fn main() -> ExitCode {
    match Cli::parse().judge {
        None => demo::run(),
        Some(Judge::Linear(args)) => linear::run(&args),
    }
}
