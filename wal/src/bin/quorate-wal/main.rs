//! Looks at a log, checks it, copies what is right of a damaged one, or plays with one.
//!
//! ```text
//! quorate-wal inspect DIR [--frames] [--json]   segments, ranges, sizes, promises; frames
//! quorate-wal verify DIR                        every byte
//! quorate-wal repair DIR --out DIR2             what is right, into a new log; never in place
//! quorate-wal shell                             commands on standard input, a line each
//! ```
//!
//! Exit code 0: fine. 1: the tail is torn, nothing that was certified is lost. 2: corrupt. 3: wrong
//! arguments, no log, or a disk that fails.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

mod look;
mod shell;

use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;

use quorate_wal::inspect::Verdict;
use quorate_wal::{Config, Directory, Instant, Wal, copy, inspect};

use crate::shell::Shell;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["inspect", rest @ ..] => look::inspect(rest),
        ["verify", path] => verify(path),
        ["repair", path, "--out", out] => repair(path, out),
        ["shell"] => play(std::io::stdin().lock()),
        ["-h" | "--help"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(USAGE.into()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("quorate-wal: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            eprintln!("  because {error}");
            source = error.source();
        }
        ExitCode::from(OTHER)
    })
}

type Done = Result<ExitCode, Box<dyn std::error::Error>>;

/// Opens a folder that is there: one that is made by looking at it would be no log.
fn folder(path: &str) -> Result<Directory, Box<dyn std::error::Error>> {
    if !Path::new(path).is_dir() {
        return Err(format!("{path} is no folder").into());
    }
    Ok(Directory::new(path)?)
}

fn exit_code(verdict: &Verdict) -> ExitCode {
    match verdict {
        Verdict::Whole(_) => ExitCode::SUCCESS,
        Verdict::Torn(..) => ExitCode::from(TORN),
        Verdict::Refused(quorate_wal::OpenError::Unsupported { .. }) => ExitCode::from(OTHER),
        Verdict::Damaged(..) | Verdict::Refused(_) => ExitCode::from(CORRUPT),
        _ => ExitCode::from(OTHER),
    }
}

fn verify(path: &str) -> Done {
    let found = inspect::log(&folder(path)?)?;
    for damage in found.segments.iter().flat_map(|segment| &segment.damaged) {
        println!("damaged: {damage}");
    }
    println!("{}", found.verdict);
    Ok(exit_code(&found.verdict))
}

/// Runs the shell until the input ends. What is open then is dropped.
#[expect(clippy::disallowed_methods, reason = "a program has a clock")]
fn play(input: impl BufRead) -> Done {
    let mut shell = Shell::new(|path| Directory::new(path));
    let start = std::time::Instant::now();
    for line in input.lines() {
        shell.handle_timeout(Instant::default() + start.elapsed());
        if let Some(answer) = shell.run(&line?) {
            println!("{answer}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn repair(path: &str, out: &str) -> Done {
    let from = folder(path)?;
    let (to, _) = Wal::open(out, Config::default())?;
    let copied = copy(&from, &to)?;
    to.close()?;
    for damage in &copied.damaged {
        println!("damaged: {damage}");
    }
    println!("copied records {}..{}", copied.range.start, copied.range.end);
    if copied.range.end < copied.found_end {
        println!("lost records {}..{}", copied.range.end, copied.found_end);
        return Ok(ExitCode::from(CORRUPT));
    }
    Ok(ExitCode::SUCCESS)
}

const USAGE: &str = "\
usage: quorate-wal inspect DIR [--frames] [--json]
       quorate-wal verify DIR
       quorate-wal repair DIR --out DIR2
       quorate-wal shell";

const TORN: u8 = 1;
const CORRUPT: u8 = 2;
const OTHER: u8 = 3;
