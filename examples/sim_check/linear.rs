//! `sim_check linear`.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use quorate_sim::History;
use quorate_sim::check::models::{Counter, Kv, Lock, Queue, Register, Set, Stack, Versioned};
use quorate_sim::check::{At, Each, Linearizable, Model, Verdict, Whole};
use quorate_sim::history::{ReadError, Vocabulary, jepsen, kv, lines, load};

use super::files::{Found, judge_each};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What the clients used
    #[arg(long, value_enum)]
    model: ModelName,
    /// How the files are written
    #[arg(long, value_enum, default_value = "lines")]
    format: Format,
    /// Judge all keys together: slower, and the same verdict
    #[arg(long)]
    no_partition: bool,
    /// Show why a history is not linearizable, as a table of intervals
    #[arg(long)]
    explain: bool,
    /// How many operations may be tried for a file
    #[arg(long, default_value_t = 200_000_000)]
    max_steps: u64,
    /// How much memory may be used for a file, in MiB
    #[arg(long, default_value_t = 1024)]
    max_mib: usize,
    /// Histories, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModelName {
    /// read, write, cas
    Register,
    /// the same, each answer with its version
    Versioned,
    /// get, put, append, delete, cas
    Kv,
    /// add, remove, contains, read
    Set,
    /// enqueue, dequeue, len
    Queue,
    /// push, pop, len
    Stack,
    /// add, read
    Counter,
    /// acquire with a fencing token, release
    Lock,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Logs of a register by Jepsen
    Jepsen,
    /// Logs of a key-value store as those of porcupine
    Kv,
    /// JSON lines, one for each call and each return
    Lines,
    /// What `kv load --history` writes
    Load,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match args.model {
        ModelName::Register => judge(args, Register),
        ModelName::Versioned => judge(args, Versioned),
        ModelName::Kv => judge(args, Kv),
        ModelName::Set => judge(args, Set),
        ModelName::Queue => judge(args, Queue),
        ModelName::Stack => judge(args, Stack),
        ModelName::Counter => judge(args, Counter),
        ModelName::Lock => judge(args, Lock),
    }
}

fn judge<M>(args: &Args, model: M) -> ExitCode
where
    M: Model<Operation: Display, Return: Display> + Copy,
    M: Vocabulary<Operation = <M as Model>::Operation, Return = <M as Model>::Return>,
{
    judge_each(&args.files, |path| {
        let history = read(path, args.format, &Each(model))?;
        if history.spans().is_empty() {
            eprintln!("{}: there is no operation in it", path.display());
        }
        let verdict = if args.no_partition {
            check(args, Linearizable::whole(Whole(Each(model))), &history)
        } else {
            check(args, Linearizable::by_key(Each(model)), &history)
        };
        let (word, found) = match verdict {
            Verdict::Linearizable => ("linearizable", Found::Good),
            Verdict::Violation(_) => ("not linearizable", Found::Bad),
            Verdict::Unknown { .. } => ("unknown", Found::Unknown),
        };
        println!("{} {word}", path.display());
        match verdict {
            Verdict::Violation(why) if args.explain => print!("{why}"),
            Verdict::Unknown { spent } if args.explain => println!("after {spent} steps"),
            _ => {}
        }
        Ok::<_, Error>(found)
    })
}

fn check<M>(
    args: &Args,
    checker: Linearizable<M>,
    history: &History<M::Operation, M::Return>,
) -> Verdict
where
    M: Model<Operation: Display, Return: Display>,
{
    let max_bytes = args.max_mib.saturating_mul(1 << 20);
    checker.max_steps(args.max_steps).max_bytes(max_bytes).check(history)
}

type Of<V> = History<<V as Vocabulary>::Operation, <V as Vocabulary>::Return>;

fn read<M: Vocabulary>(
    path: &Path,
    format: Format,
    vocabulary: &Each<M>,
) -> Result<Of<Each<M>>, Error>
where
    Each<M>: Vocabulary<Operation = At<M::Operation>, Return = M::Return>,
{
    let input = BufReader::new(File::open(path)?);
    let history = match format {
        Format::Jepsen => jepsen::read(vocabulary, input),
        Format::Kv => kv::read(vocabulary, input),
        Format::Lines => lines::read(vocabulary, input),
        Format::Load => load::read(vocabulary, input),
    };
    Ok(history?)
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Open(#[from] io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
}
