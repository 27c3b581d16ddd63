//! Judges histories: does what clients saw fit a model?
//!
//! `cargo run --release --example sim_check -- linear --model register --format jepsen FILE..`
//! prints a line for each file, and `--explain` why it is not linearizable. Of a folder, all files
//! that end in `.log`, `.txt`, `.json` or `.jsonl` are read in the order of their names.
//!
//! The other judges read JSON lines, and print `FILE valid` or `FILE invalid` with what is wrong:
//!
//! ```text
//! cargo run --release --example sim_check -- list-append --model serializable --explain FILE..
//! FILE invalid G1c G2-item
//! ```
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
#[path = "sim_check/others.rs"]
mod others;
#[path = "sim_check/transactions.rs"]
mod transactions;

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
    /// Which isolation did transactions have that append to lists and read them?
    ListAppend(transactions::Args),
    /// Which isolation did transactions have that write and read registers?
    RwRegister(transactions::Args),
    /// Did each client see its own writes, and nothing go back?
    Session(others::Args),
    /// Can each message of a log be polled, once, in order?
    Log(others::LogArgs),
    /// Did each watch get all that it asked for, once, in order?
    Watch(others::Args),
    /// Is all that was added to a set there in the end?
    Set(others::SetArgs),
    /// Does a counter have all that was added to it in the end?
    Counter(others::Args),
    /// Do all copies agree in the end?
    Converge(others::ConvergeArgs),
}

fn main() -> ExitCode {
    match Cli::parse().judge {
        None => demo::run(),
        Some(Judge::Linear(args)) => linear::run(&args),
        Some(Judge::ListAppend(args)) => transactions::run(transactions::Kind::Lists, &args),
        Some(Judge::RwRegister(args)) => transactions::run(transactions::Kind::Registers, &args),
        Some(Judge::Session(args)) => others::session(&args),
        Some(Judge::Log(args)) => others::log(&args),
        Some(Judge::Watch(args)) => others::watch(&args),
        Some(Judge::Set(args)) => others::set(&args),
        Some(Judge::Counter(args)) => others::counter(&args),
        Some(Judge::Converge(args)) => others::converge(&args),
    }
}
