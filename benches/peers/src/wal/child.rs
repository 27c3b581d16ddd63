//! The same program as a child, so that what hangs, aborts or is watched is not this one.
//!
//! ```text
//! parent                                  child session
//! open <peer> <folder> ------------------>
//!                     <------------------ ok
//! append <number> <bytes> --------------->   statx /quorate-mark/append-<number>, append_durable
//!                     <------------------ ok | err <why> | panic <why>
//! read ---------------------------------->
//!                     <------------------ ok <numbers of the records that are as they were made>
//! close | exit -------------------------->   in order | at once, as after a kill
//! ```
//!
//! Each answer begins with the number of its question, so that a late one is not taken for another.
//! A mark asks for a file that is not there: it shows up in a trace, and costs nothing.

use std::any::Any;
use std::env;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use super::log::{Log, Options, number_of, peer, record};
use super::loss::flips::Copies;

/// Runs the child that the arguments ask for.
pub fn run(arguments: &[String]) -> io::Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["count", name, folder, work] => count(name, Path::new(folder), work),
        ["session"] => session(),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// How a child is started.
pub enum Program<'a> {
    /// With a limit to its memory.
    Plain,
    /// Under `strace`.
    Traced {
        /// Where the calls are written to.
        trace: &'a Path,
        /// A call that fails, as `strace` has it.
        inject: Option<String>,
    },
}

impl Program<'_> {
    /// Returns a command that runs this program again as a child.
    pub fn command(&self, arguments: &[String]) -> io::Result<Command> {
        let this = env::current_exe()?;
        let mut command = match self {
            Self::Plain => {
                let mut command = Command::new("sh");
                let limited = format!("ulimit -v {MEMORY_KIB}; exec \"$@\"");
                command.args(["-c", &limited, "sh"]);
                command
            }
            Self::Traced { trace, inject } => {
                let mut command = Command::new("strace");
                command.args(["--seccomp-bpf", "-f", "-qq", "-y", "-e", CALLS, "-o"]).arg(trace);
                if let Some(inject) = inject {
                    command.args(["-e", inject]);
                }
                command
            }
        };
        command.arg(this).arg("child").args(arguments);
        Ok(command)
    }
}

/// Leaves a mark in the trace.
fn leave(mark: &str) {
    _ = fs::metadata(self::mark(mark));
}

/// Returns how a mark looks in the trace.
pub fn mark(name: &str) -> String {
    format!("/quorate-mark/{name}")
}

fn count(name: &str, folder: &Path, work: &str) -> io::Result<()> {
    let work: super::work::Work = work.parse()?;
    let log = (peer(name).open)(folder, work.options())?;
    work.warm(&*log)?;
    leave("begin");
    let elapsed = work.run(&*log)?;
    leave("end");
    // For who starts it by hand.
    println!("{:.1} us/append", elapsed.as_secs_f64() * 1e6 / work.appends() as f64);
    process::exit(0)
}

fn session() -> io::Result<()> {
    panic::set_hook(Box::new(|_| PANICKED.store(true, Ordering::SeqCst)));
    let mut session = Session { log: None, copies: None };
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line?;
        PANICKED.store(false, Ordering::SeqCst);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| session.answer(&line)));
        let answer = match outcome {
            // Of a thread of its own.
            Ok(_) if PANICKED.load(Ordering::SeqCst) => "panic in a thread".to_owned(),
            Ok(Ok(answer)) => format!("ok {answer}"),
            Ok(Err(error)) => format!("err {}", describe(&error)),
            Err(payload) => format!("panic {}", panic_text(&*payload)),
        };
        println!("{number} {}", answer.replace('\n', " "));
        io::stdout().flush()?;
    }
    process::exit(0)
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// Returns an error with its causes.
fn describe(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(it) = cause {
        text.push_str(": ");
        text.push_str(&it.to_string());
        cause = it.source();
    }
    text
}

struct Session {
    log: Option<Box<dyn Log>>,
    copies: Option<Copies>,
}

impl Session {
    fn answer(&mut self, line: &str) -> io::Result<String> {
        let words: Vec<&str> = line.split('\t').collect();
        let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
        match words[..] {
            ["open", name, folder] => {
                self.log = Some((peer(name).open)(Path::new(folder), Options::default())?);
            }
            ["append", id, bytes] => {
                leave(&format!("append-{id}"));
                let record = record(number(id)?, number(bytes)? as usize);
                self.log()?.append_durable(0, &record)?;
            }
            ["read"] => return numbers(self.log()?),
            ["close"] => {
                let log = self.log.take().ok_or(io::ErrorKind::NotFound)?;
                log.close()?;
            }
            ["exit"] => process::exit(0),
            ["copies", name, folder, scratch] => {
                let scratch = Path::new(scratch);
                self.copies = Some(Copies::load(peer(name), Path::new(folder), scratch)?);
            }
            ["flip", file, bit] => {
                let copies = self.copies.as_ref().ok_or(io::ErrorKind::NotFound)?;
                return copies.flip(number(file)? as usize, number(bit)?);
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(String::new())
    }

    fn log(&self) -> io::Result<&dyn Log> {
        self.log.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Reads all. A record that is not as it was made is a `!`.
pub fn numbers(log: &dyn Log) -> io::Result<String> {
    let mut found = Vec::new();
    log.scan(&mut |record| {
        found.push(number_of(record).map_or_else(|| "!".to_owned(), |it| it.to_string()));
    })?;
    Ok(found.join(" "))
}

static PANICKED: AtomicBool = AtomicBool::new(false);

/// All that makes something durable, and the marks.
const CALLS: &str = "trace=fsync,fdatasync,sync_file_range,msync,statx";
/// A length that was flipped must not take the machine down.
const MEMORY_KIB: u64 = 8 << 20;
