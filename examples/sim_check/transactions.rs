//! `sim_check list-append` and `sim_check rw-register`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use quorate_sim::check::transactions::{
    ConsistencyModel, ListAppend, RwRegister, Verdict, WrittenTwice,
};
use quorate_sim::history::{ReadError, transactions};

use super::files::{Found, judge_each};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the store promises, as in serializable, snapshot, read-committed, strong-snapshot
    #[arg(long, default_value = "strict-serializable")]
    model: ConsistencyModel,
    /// Each register alone is linearizable: its values are in the order of time
    #[arg(long)]
    linearizable_keys: bool,
    /// Show one case of each anomaly, and which models are left
    #[arg(long)]
    explain: bool,
    /// Histories, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What the transactions use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Lists,
    Registers,
}

pub(super) fn run(kind: Kind, args: &Args) -> ExitCode {
    judge_each(&args.files, |path| {
        let input = BufReader::new(File::open(path)?);
        let verdict = match kind {
            Kind::Lists => ListAppend.check(&transactions::read(&ListAppend, input)?)?,
            Kind::Registers => {
                let mut judge = RwRegister::default();
                judge.linearizable_keys = args.linearizable_keys;
                judge.check(&transactions::read(&judge, input)?)?
            }
        };
        let found = found(&verdict, args.model);
        let word = match found {
            Found::Good => "valid".to_owned(),
            Found::Bad => {
                let names = verdict.against(args.model).map(|it| it.kind.to_string());
                format!("invalid {}", names.collect::<Vec<_>>().join(" "))
            }
            Found::Unknown => "unknown".to_owned(),
        };
        println!("{} {word}", path.display());
        if args.explain && !verdict.anomalies().is_empty() {
            print!("{verdict:#}");
        }
        Ok::<_, Error>(found)
    })
}

fn found(verdict: &Verdict, model: ConsistencyModel) -> Found {
    if !verdict.permits(model) {
        Found::Bad
    } else if verdict.is_complete() {
        Found::Good
    } else {
        Found::Unknown
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    WrittenTwice(#[from] WrittenTwice),
}
