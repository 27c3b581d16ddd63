//! One sync fails, and what it should have made durable is gone.
//!
//! ```text
//! append 1 2 3 4 | append 5: its sync fails | append 6 7 | the pages of 5 are gone | open, read
//! ```
//!
//! `strace` makes the call fail. A page of that file, which was to be synced then and was not
//! written since, goes back to what it was: the kernel calls it clean, and forgets it (Rebello et
//! al., "Can Applications Recover from fsync Failures?", ATC 2020).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::wal::child::{Program, mark};
use crate::wal::contest::folder;
use crate::wal::log::Peer;
use crate::wal::session::{Answer, Session};

/// What came of it.
pub enum Found {
    NotTried(String),
    Tried { failed: Answer, later: Vec<Answer>, read: Answer, lost: Vec<u64> },
}

pub fn run(peer: &Peer) -> io::Result<Found> {
    let traces = folder()?;
    let trace = traces.path().join("trace");
    let inject = find_call(peer, &trace)?;
    let folder = folder()?;
    let path = folder.path().to_string_lossy();
    let program = Program::Traced { trace: &trace, inject: Some(inject) };
    let mut session = Session::start(&program)?;
    session.demand(&["open", peer.name, &path])?;
    let mut acknowledged = Vec::new();
    for number in 1..FAILS {
        session.demand(&append(number).each_ref().map(String::as_str))?;
        acknowledged.push(number);
    }
    let before = pages(folder.path())?;
    let mut ask = |number| {
        let answer = session.ask(&append(number).each_ref().map(String::as_str));
        if answer.is_ok() {
            acknowledged.push(number);
        }
        answer
    };
    let failed = ask(FAILS);
    let written = pages(folder.path())?;
    let mut later = Vec::new();
    for number in FAILS + 1..=LAST {
        later.push(ask(number));
        if matches!(later.last(), Some(Answer::Hung | Answer::Died)) {
            break;
        }
    }
    session.exit();
    forget(&failed_file(&trace)?, &before, &written)?;
    let read = super::reopen(peer, &path)?;
    let lost = match &read {
        Answer::Ok(found) => super::lost(&acknowledged, found),
        _ => Vec::new(),
    };
    Ok(Found::Tried { failed, later, read, lost })
}

fn append(number: u64) -> [String; 3] {
    ["append".into(), number.to_string(), RECORD_BYTES.to_string()]
}

/// Finds the call that makes the record durable: its name, and its number in its thread.
fn find_call(peer: &Peer, trace: &Path) -> io::Result<String> {
    let folder = folder()?;
    let mut session = Session::start(&Program::Traced { trace, inject: None })?;
    session.demand(&["open", peer.name, &folder.path().to_string_lossy()])?;
    for number in 1..=FAILS {
        session.demand(&append(number).each_ref().map(String::as_str))?;
    }
    session.exit();
    let trace = fs::read_to_string(trace)?;
    let mut seen: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut is_due = false;
    for line in trace.lines() {
        is_due |= line.contains(&mark(&format!("append-{FAILS}")));
        let Some((thread, call)) = line.split_once(' ') else { continue };
        for name in ["fsync", "fdatasync"] {
            if call.trim_start().starts_with(&format!("{name}(")) {
                let count = seen.entry((thread, name)).or_default();
                *count += 1;
                if is_due {
                    return Ok(format!("inject={name}:error=EIO:when={count}"));
                }
            }
        }
    }
    Err(io::Error::other("no sync was seen"))
}

/// Returns the file whose sync was made to fail.
fn failed_file(trace: &Path) -> io::Result<PathBuf> {
    let trace = fs::read_to_string(trace)?;
    let failed: Vec<&str> = trace.lines().filter(|it| it.contains("(INJECTED)")).collect();
    let [failed] = failed[..] else {
        let count = failed.len();
        return Err(io::Error::other(format!("{count} calls were made to fail, not one")));
    };
    // As in `fdatasync(3</a/path>)`, of which the end may come later, with the thread alone.
    let path = failed.split_once('<').and_then(|it| it.1.split_once('>'));
    Ok(path.ok_or(io::ErrorKind::InvalidData)?.0.into())
}

/// Files, page by page.
type Pages = BTreeMap<PathBuf, Vec<Vec<u8>>>;

fn pages(folder: &Path) -> io::Result<Pages> {
    let mut pages = Pages::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            pages.extend(self::pages(&entry.path())?);
        } else {
            let bytes = fs::read(entry.path())?;
            pages.insert(entry.path(), bytes.chunks(PAGE).map(<[u8]>::to_vec).collect());
        }
    }
    Ok(pages)
}

/// Takes back each page of a file that changed between `before` and `written`, and is still as it
/// was then.
fn forget(path: &Path, before: &Pages, written: &Pages) -> io::Result<()> {
    let last = fs::read(path)?;
    let file = File::options().write(true).open(path)?;
    let written = written.get(path).ok_or(io::ErrorKind::NotFound)?;
    for (number, (page, last)) in written.iter().zip(last.chunks(PAGE)).enumerate() {
        let old = before.get(path).and_then(|it| it.get(number));
        if old != Some(page) && last == page {
            let mut old = old.cloned().unwrap_or_default();
            old.resize(page.len(), 0);
            file.write_all_at(&old, (number * PAGE) as u64)?;
        }
    }
    Ok(())
}

impl Found {
    pub fn not_tried(error: &io::Error) -> Self {
        Self::NotTried(error.to_string())
    }

    pub fn is_loss(&self) -> bool {
        match self {
            Self::NotTried(_) => false,
            Self::Tried { failed, later, lost, .. } => {
                let is_bad = |it: &Answer| !matches!(it, Answer::Err(_));
                is_bad(failed) || later.iter().any(is_bad) || !lost.is_empty()
            }
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTried(why) => write!(f, "not tried: {why} | | | "),
            Self::Tried { failed, later, read, lost } => {
                let later: Vec<&str> = later.iter().map(Answer::word).collect();
                let read = if read.is_ok() { "opens".into() } else { read.short() };
                let lost = if lost.is_empty() { "none".into() } else { format!("{lost:?}") };
                write!(f, "{} | {} | {read} | {lost}", failed.short(), later.join(", "))
            }
        }
    }
}

pub const HEAD: &str = "
One failed sync: records of 8 KiB, each to be made durable; the sync of the fifth fails, and its
pages are lost, as the kernel does. `lost`: acknowledged, before or after, and missing without an
error when the log is opened and read.

| log | the fifth | the sixth and seventh | opened again | lost |
|---|---|---|---|---|
";

/// The record whose sync fails.
const FAILS: u64 = 5;
const LAST: u64 = 7;
/// Two pages.
const RECORD_BYTES: u64 = 8 << 10;
const PAGE: usize = 4 << 10;
