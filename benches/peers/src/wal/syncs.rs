//! Counts syncs from outside: the same work, once more and short, in a child under `strace`.
//!
//! Rows are measured without it. It stops a child at syncs alone, but that makes them slower:
//! where writers share a sync, groups are larger than in the row.

use std::fs;
use std::io;
use std::process::Stdio;

use super::child::{self, Program};
use super::contest::folder;
use super::log::Peer;
use super::work::Work;

/// What was counted.
#[derive(Clone, Copy)]
pub struct Counted {
    pub syncs: u64,
    /// Of a mapping, which say nothing of a file that is not mapped.
    pub mapped: u64,
    pub appends: u64,
}

/// Counts the syncs of `work`. `None`: there is no `strace`, or the log fails.
pub fn count(peer: &Peer, work: Work) -> io::Result<Option<Counted>> {
    let (place, traces) = (folder()?, folder()?);
    let trace = traces.path().join("trace");
    let arguments =
        ["count", peer.name, &place.path().to_string_lossy(), &work.to_string()].map(str::to_owned);
    let mut command = Program::Traced { trace: &trace, inject: None }.command(&arguments)?;
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !status.is_ok_and(|it| it.success()) {
        return Ok(None);
    }
    let trace = fs::read_to_string(trace)?;
    let between = trace
        .split_once(&child::mark("begin"))
        .and_then(|(_, rest)| rest.split_once(&child::mark("end")));
    let Some((between, _)) = between else { return Ok(None) };
    let calls = |name: &str| between.matches(&format!(" {name}(")).count() as u64;
    Ok(Some(Counted {
        syncs: calls("fsync") + calls("fdatasync") + calls("sync_file_range"),
        mapped: calls("msync"),
        appends: work.appends(),
    }))
}

impl Counted {
    pub fn per_append(self) -> f64 {
        self.syncs as f64 / self.appends as f64
    }

    /// Returns why a log is out, if it syncs less than once for all that its writers can share.
    pub fn lack(self, groups: u64) -> Option<String> {
        let Self { syncs, mapped, appends } = self;
        (syncs < groups)
            .then(|| format!("{syncs} syncs and {mapped} of a mapping in {appends} appends:"))
    }
}
