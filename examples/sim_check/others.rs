//! `sim_check session`, `log`, `watch`, `set`, `counter` and `converge`.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use quorate_sim::check::counter::Counters;
use quorate_sim::check::log::{Logs, SentTwice};
use quorate_sim::check::models::{Counter, Set};
use quorate_sim::check::session::Sessions;
use quorate_sim::check::set::Sets;
use quorate_sim::check::{converge, watch};
use quorate_sim::history::{ReadError, lines};

use super::files::{Found, judge_each};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Show the first cases of each fault
    #[arg(long)]
    explain: bool,
    /// Histories, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct LogArgs {
    #[command(flatten)]
    args: Args,
    /// The clients polled everything: what nobody saw is wrong
    #[arg(long)]
    read_to_the_end: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct SetArgs {
    #[command(flatten)]
    args: Args,
    /// A read without an element that was known before it is wrong
    #[arg(long)]
    linearizable: bool,
}

#[derive(clap::Args, Debug)]
pub(super) struct ConvergeArgs {
    #[command(flatten)]
    args: Args,
    /// How long after the heal all copies must agree
    #[arg(long, default_value_t = 10_000)]
    within_ms: u64,
}

pub(super) fn session(args: &Args) -> ExitCode {
    judge(args, |input| {
        let report = Sessions.check(&lines::read(&Sessions, input)?);
        Ok((report.is_valid(), report))
    })
}

pub(super) fn log(args: &LogArgs) -> ExitCode {
    judge(&args.args, |input| {
        let mut logs = Logs::default();
        logs.is_read_to_the_end = args.read_to_the_end;
        let report = logs.check(&lines::read(&logs, input)?)?;
        Ok((report.is_valid(), report))
    })
}

pub(super) fn watch(args: &Args) -> ExitCode {
    judge(args, |input| {
        let (changes, watches) = watch::read(input)?;
        let report = watch::check(&changes, &watches);
        Ok((report.is_valid(), report))
    })
}

pub(super) fn set(args: &SetArgs) -> ExitCode {
    judge(&args.args, |input| {
        let mut sets = Sets::default();
        sets.linearizable = args.linearizable;
        let verdict = sets.check(&lines::read(&Set, input)?);
        Ok((verdict.is_valid(), verdict))
    })
}

pub(super) fn counter(args: &Args) -> ExitCode {
    judge(args, |input| {
        let verdict = Counters.check(&lines::read(&Counter, input)?);
        Ok((verdict.is_valid(), verdict))
    })
}

pub(super) fn converge(args: &ConvergeArgs) -> ExitCode {
    let within = Duration::from_millis(args.within_ms);
    judge(&args.args, |input| {
        let verdict = converge::read(input)?.check(within);
        Ok((verdict.is_converged(), verdict))
    })
}

/// Prints a line for each file: its name, and `valid` or what is wrong.
fn judge<V: Display>(
    args: &Args,
    mut check: impl FnMut(BufReader<File>) -> Result<(bool, V), Error>,
) -> ExitCode {
    judge_each(&args.files, |path| {
        let (is_valid, verdict) = check(BufReader::new(File::open(path)?))?;
        if is_valid {
            println!("{} valid", path.display());
        } else {
            println!("{} invalid {verdict}", path.display());
        }
        if args.explain {
            println!("{}", format!("{verdict:#}").trim_end());
        }
        Ok::<_, Error>(if is_valid { Found::Good } else { Found::Bad })
    })
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    SentTwice(#[from] SentTwice),
}
