//! A disk is full for a while.
//!
//! A file system in memory, which becomes larger when the log has hit its end. Needs the rights to
//! mount one.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::wal::child::Program;
use crate::wal::log::Peer;
use crate::wal::session::{Answer, Session};

/// What came of it.
pub enum Found {
    NotTried(String),
    Tried { full: Answer, opened_full: Answer, later: Answer, read: Answer, lost: Vec<u64> },
}

pub fn run(peer: &Peer) -> io::Result<Found> {
    // Once to see whether it opens while there is no room.
    let disk = Mounted::new()?;
    let path = disk.0.path().join("log");
    let path = path.to_string_lossy();
    let (session, _, _) = fill(peer, &path)?;
    session.exit();
    let opened_full = super::reopen(peer, &path)?;
    drop(disk);

    // And once to go on.
    let disk = Mounted::new()?;
    let path = disk.0.path().join("log");
    let path = path.to_string_lossy();
    let (mut session, full, mut acknowledged) = fill(peer, &path)?;
    disk.grow()?;
    let first = acknowledged.len() as u64 + 1;
    let mut later = Answer::Died;
    for number in first..first + TRIES {
        later = session.ask(&["append", &number.to_string(), RECORD_BYTES]);
        match later {
            Answer::Ok(_) => acknowledged.push(number),
            Answer::Died | Answer::Hung => break,
            Answer::Err(_) | Answer::Panic(_) => {}
        }
    }
    session.exit();
    let read = super::reopen(peer, &path)?;
    let lost = match &read {
        Answer::Ok(found) => super::lost(&acknowledged, found),
        _ => Vec::new(),
    };
    Ok(Found::Tried { full, opened_full, later, read, lost })
}

/// Appends until that fails. Returns what was acknowledged.
fn fill(peer: &Peer, path: &str) -> io::Result<(Session, Answer, Vec<u64>)> {
    fs::create_dir_all(path)?;
    let mut session = Session::start(&Program::Plain)?;
    session.demand(&["open", peer.name, path])?;
    let mut acknowledged = Vec::new();
    for number in 0..MOST {
        match session.ask(&["append", &number.to_string(), RECORD_BYTES]) {
            Answer::Ok(_) => acknowledged.push(number),
            full => return Ok((session, full, acknowledged)),
        }
    }
    Err(io::Error::other("it writes over what its store has taken, and is never full"))
}

/// A small file system, for as long as it lives.
struct Mounted(TempDir);

impl Mounted {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        mount(&["-t", "tmpfs", "-o", "size=16m", "tmpfs"], folder.path())?;
        Ok(Self(folder))
    }

    fn grow(&self) -> io::Result<()> {
        mount(&["-o", "remount,size=64m"], self.0.path())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], place: &Path) -> io::Result<()> {
    let mut command = Command::new("mount");
    let status = command.args(arguments).arg(place).stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("nothing can be mounted")) }
}

impl Found {
    pub fn not_tried(error: &io::Error) -> Self {
        Self::NotTried(error.to_string())
    }

    pub fn is_loss(&self) -> bool {
        match self {
            Self::NotTried(_) => false,
            Self::Tried { full, opened_full, later, read, lost } => {
                let is_clear = matches!(full, Answer::Err(_));
                let is_ok = opened_full.is_ok() && later.is_ok() && read.is_ok();
                !is_clear || !is_ok || !lost.is_empty()
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried(why) => write!(f, "not tried: {why} | | | | "),
            Self::Tried { full, opened_full, later, read, lost } => {
                let opens = |it: &Answer| if it.is_ok() { "opens".into() } else { it.short() };
                let (opened_full, read) = (opens(opened_full), opens(read));
                let later = if later.is_ok() { "goes on".into() } else { later.short() };
                let lost = match lost[..] {
                    [] => "none".into(),
                    [first, ..] => format!("{}, from {first}", lost.len()),
                };
                write!(f, "{} | {opened_full} | {later} | {read} | {lost}", full.short())
            }
        }
    }
}

pub const HEAD: &str = "
A full disk: 16 MiB, filled with records of 64 KiB, each made durable, until one fails; then more
room, and three more. `lost`: acknowledged, and missing without an error when the log is opened and
read.

| log | when full | opened while full | with room again | opened again | lost |
|---|---|---|---|---|---|
";

const RECORD_BYTES: &str = "65536";
/// How often it is tried with room again.
const TRIES: u64 = 3;
/// More than there is room for.
const MOST: u64 = 1_000;
