//! One bit of a log is flipped in a copy, which is opened and read.
//!
//! Ten records of 100 B, each synced; closed, or killed. Every bit up to the last byte of a file
//! that is not zero, and a few of the zeros behind it. Each beginning of their order is an even
//! sample, and they end with the time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::wal::child::{Program, numbers};
use crate::wal::contest::folder;
use crate::wal::log::{Options, Peer};
use crate::wal::session::{Answer, Session};

/// The files of a log, which are written again for each flip.
pub struct Copies {
    peer: &'static Peer,
    files: Vec<Content>,
    scratch: PathBuf,
}

/// A file, without the zeros at its end.
struct Content {
    path: PathBuf,
    bytes: Vec<u8>,
    len: u64,
}

impl Copies {
    /// Loads the log in `folder`. Copies go to `scratch`.
    pub fn load(peer: &'static Peer, folder: &Path, scratch: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        load(folder, Path::new(""), &mut files)?;
        Ok(Self { peer, files, scratch: scratch.to_path_buf() })
    }

    /// Flips a bit in a new copy, opens and reads it, and says what came of it.
    pub fn flip(&self, file: usize, bit: u64) -> io::Result<String> {
        let copy = tempfile::tempdir_in(&self.scratch)?;
        for (number, content) in self.files.iter().enumerate() {
            let path = copy.path().join(&content.path);
            fs::create_dir_all(path.parent().ok_or(io::ErrorKind::NotFound)?)?;
            let target = File::create_new(path)?;
            target.set_len(content.len)?;
            target.write_all_at(&content.bytes, 0)?;
            if number == file {
                let byte = content.bytes.get((bit / 8) as usize).copied().unwrap_or(0);
                target.write_all_at(&[byte ^ 1 << (bit % 8)], bit / 8)?;
            }
        }
        let Ok(log) = (self.peer.open)(copy.path(), Options::default()) else {
            return Ok("refused".into());
        };
        let found = numbers(&*log);
        // As if killed: logdb waits for 5 s when it is dropped and nothing was appended.
        mem::forget(log);
        let Ok(found) = found else { return Ok("unreadable".into()) };
        let whole: Vec<String> = (0..RECORDS).map(|it| it.to_string()).collect();
        let is_exact = found == whole.join(" ");
        let is_last = found == whole[..whole.len() - 1].join(" ");
        Ok(if is_exact {
            "exact"
        } else if is_last {
            "last"
        } else {
            "silent"
        }
        .into())
    }
}

fn load(root: &Path, inside: &Path, files: &mut Vec<Content>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(inside))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            load(root, &path, files)?;
            continue;
        }
        let mut bytes = fs::read(entry.path())?;
        let len = bytes.len() as u64;
        bytes.truncate(bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1));
        files.push(Content { path, bytes, len });
    }
    Ok(())
}

/// What came of all flips of a log.
pub struct Found {
    name: String,
    is_closed: bool,
    bits: usize,
    tried: u64,
    counts: BTreeMap<&'static str, u64>,
    /// The first flip of each kind.
    first: BTreeMap<&'static str, String>,
}

/// Flips the bits of one log.
pub fn run(peer: &'static Peer, is_closed: bool, is_quick: bool) -> io::Result<Found> {
    let folder = folder()?;
    let path = folder.path().to_string_lossy();
    write(peer, &path, is_closed)?;
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempdir()? };
    let scratch_path = scratch.path().to_string_lossy();
    let copies = Copies::load(peer, folder.path(), scratch.path())?;
    let bits = bits(&copies.files);
    let mut found = Found::new(super::name(peer), is_closed, bits.len());
    let (most, budget) = if is_quick { (LEAST, QUICK) } else { (bits.len(), FULL) };
    let start = Instant::now();
    let mut child: Option<(Session, u32)> = None;
    for (file, bit) in evenly(&bits).take(most) {
        if budget < start.elapsed() && LEAST as u64 <= found.tried || LIMIT < start.elapsed() {
            break;
        }
        let (mut session, flips) = match child.take() {
            Some(it) if it.1 < FLIPS_PER_CHILD => it,
            _ => {
                let mut session = Session::start(&Program::Plain)?;
                session.demand(&["copies", peer.name, &path, &scratch_path])?;
                (session, 0)
            }
        };
        let answer = session.ask(&["flip", &file.to_string(), &bit.to_string()]);
        let place = format!("{} bit {bit}", copies.files[file].path.display());
        if !matches!(answer, Answer::Died | Answer::Hung) {
            child = Some((session, flips + 1));
        }
        found.add(&answer, place);
    }
    Ok(found)
}

/// Writes a log, and closes it, or ends its process.
fn write(peer: &Peer, path: &str, is_closed: bool) -> io::Result<()> {
    let mut writer = Session::start(&Program::Plain)?;
    writer.demand(&["open", peer.name, path])?;
    for number in 0..RECORDS {
        writer.demand(&["append", &number.to_string(), "100"])?;
    }
    if is_closed {
        writer.demand(&["close"])?;
    }
    writer.exit();
    Ok(())
}

/// Returns all bits that are worth it: of each file up to its last byte that is not zero, and a few
/// behind.
fn bits(files: &[Content]) -> Vec<(usize, u64)> {
    let mut bits = Vec::new();
    for (file, content) in files.iter().enumerate() {
        let (written, all) = (content.bytes.len() as u64 * 8, content.len * 8);
        bits.extend((0..written).map(|bit| (file, bit)));
        let step = ((all - written) / ZEROS).max(1);
        bits.extend((written..all).step_by(step as usize).map(|bit| (file, bit)));
    }
    bits
}

/// Returns all of them, in an order of which each beginning is spread evenly.
fn evenly(bits: &[(usize, u64)]) -> impl Iterator<Item = (usize, u64)> {
    let count = bits.len().max(1);
    let divides = |step: usize| (2..=step).any(|it| step % it == 0 && count % it == 0);
    // About the golden ratio.
    let step = (count * 618 / 1_000 + 1..).find(|it| !divides(*it)).expect("a prime is near");
    (0..bits.len()).map(move |number| bits[number * step % count])
}

impl Found {
    fn new(name: String, is_closed: bool, bits: usize) -> Self {
        let (counts, first) = (BTreeMap::new(), BTreeMap::new());
        Self { name, is_closed, bits, tried: 0, counts, first }
    }

    fn add(&mut self, answer: &Answer, place: String) {
        let what = match answer {
            Answer::Ok(text) => match text.as_str() {
                "refused" => "refused",
                "unreadable" => "unreadable",
                "exact" => "exact",
                // Nothing tells it from a write that was torn, unless the log was closed.
                "last" if !self.is_closed => "last",
                _ => "silent",
            },
            Answer::Err(_) | Answer::Panic(_) | Answer::Died => "panic",
            Answer::Hung => "hang",
        };
        self.tried += 1;
        *self.counts.entry(what).or_default() += 1;
        self.first.entry(what).or_insert(place);
    }

    fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Returns whether it must not be so.
    pub fn is_loss(&self) -> bool {
        0 < self.count("silent") + self.count("panic") + self.count("hang")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_closed { "closed" } else { "killed" };
        write!(f, "{} | {how} | {} of {}", self.name, self.tried, self.bits)?;
        for what in ["refused", "unreadable", "exact", "last", "silent"] {
            write!(f, " | {}", self.count(what))?;
        }
        write!(f, " | {}", self.count("panic") + self.count("hang"))?;
        let first = |what| self.first.get(what).map(|place| format!("first {what}: {place}"));
        let notes: Vec<String> =
            ["silent", "panic", "hang"].into_iter().filter_map(first).collect();
        write!(f, " | {}", notes.join("; "))
    }
}

pub const FOOT: &str = "
When ours opens after a torn write, it says so in `Recovered::cut`; wal-db has `truncated_on_open`.
Neither is counted as an error.
";

pub const HEAD: &str = "
Flipped bits: 10 records of 100 B, each synced; one bit flipped in a copy; opened with defaults, and
read. `silent`: no error, and acknowledged records missing or changed. `last only`: killed, and the
last record alone missing, which no log can tell from a torn write unless more was written behind.

| log | end | bits tried | refused | error on read | exact | last only | silent | panic, hang | |
|---|---|---|---:|---:|---:|---:|---:|---:|---|
";

const RECORDS: u64 = 10;
/// How many of the zeros at the end of a file are flipped.
const ZEROS: u64 = 64;
/// What each log is tried with, whatever the time.
const LEAST: usize = 256;
const QUICK: Duration = Duration::from_secs(10);
const FULL: Duration = Duration::from_secs(60);
/// Even if each flip hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// Each leaves an open log behind.
const FLIPS_PER_CHILD: u32 = 50;
