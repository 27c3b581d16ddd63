//! What is asked of a disk, what it is told to get wrong, and what it remembers of both.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

/// An operation on a disk or on a file of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_enums, reason = "one per method of `Disk` and `File` that can fail")]
pub enum Op {
    /// `Disk::create_new`.
    Create,
    /// `Disk::open`.
    Open,
    /// `Disk::rename`.
    Rename,
    /// `Disk::remove`.
    Remove,
    /// `Disk::list`.
    List,
    /// `Disk::sync_dir`.
    SyncDir,
    /// `Disk::lock`.
    Lock,
    /// `File::len`.
    Len,
    /// `File::read_at`.
    Read,
    /// `File::write_all_at`.
    Write,
    /// `File::set_len`.
    SetLen,
    /// `File::sync_data`.
    Sync,
    /// `File::allocate`.
    Allocate,
}

impl Op {
    /// Returns whether the operation changes something that a crash could lose or keep.
    #[must_use]
    pub const fn is_change(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Lock | Self::Len | Self::Read)
    }
}

/// One operation that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operation {
    /// What was asked.
    pub op: Op,
    /// Of which file; empty for `list` and `sync_dir`.
    pub name: Arc<str>,
    /// Where in the file, or its new length; 0 where neither makes sense.
    pub offset: u64,
    /// How many bytes; 0 where it makes no sense.
    pub bytes: u64,
    /// Why it failed, if it did.
    pub error: Option<io::ErrorKind>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, name, offset, bytes, error } = self;
        write!(f, "{op:?} {name} {offset}+{bytes}")?;
        error.map_or(Ok(()), |kind| write!(f, " failed: {kind}"))
    }
}

/// Faults to come, and operations that were.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    counts: [u64; OPS],
    changes: u64,
    /// How many faults happened.
    pub(super) strikes: u64,
    log: VecDeque<Operation>,
    /// How many more changes there are before the power goes.
    pub(super) changes_left: Option<u64>,
}

#[derive(Debug)]
struct Armed {
    op: Op,
    /// How many more are fine.
    fine: u64,
    strike: Strike,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Strike {
    /// It fails; of a write the first half is done.
    Fails(io::ErrorKind),
    /// A sync fails, and what it was to write is gone for readers, too.
    Reverts,
    /// A write is reported, and never reaches the medium.
    Loses,
    /// A write reaches another sector instead of its own.
    Misdirects(u64),
    /// A read returns a wrong byte.
    Misreads(u64),
}

impl Strike {
    /// Returns the error that the caller gets, if the operation does not do better.
    pub(super) const fn error(self) -> io::ErrorKind {
        match self {
            Self::Fails(kind) => kind,
            _ => io::ErrorKind::Other,
        }
    }
}

impl Faults {
    /// Lets the `nth` `op` from now on go wrong, the first being 1.
    pub(super) fn arm(&mut self, op: Op, nth: u64, strike: Strike) {
        assert!(0 < nth, "operations count from 1");
        self.armed.push(Armed { op, fine: nth - 1, strike });
    }

    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Counts an `op`, and returns the fault that was armed for it.
    pub(super) fn strike(&mut self, op: Op) -> Option<Strike> {
        self.counts[op as usize] += 1;
        self.changes += u64::from(op.is_change());
        let mut struck = None;
        self.armed.retain_mut(|armed| {
            if armed.op != op {
                return true;
            }
            if armed.fine == 0 && struck.is_none() {
                struck = Some(armed.strike);
                return false;
            }
            armed.fine = armed.fine.saturating_sub(1);
            true
        });
        self.strikes += u64::from(struck.is_some());
        struck
    }

    pub(super) fn record(&mut self, operation: Operation) {
        if self.log.len() == LOG_OPERATIONS_MAX {
            self.log.pop_front();
        }
        self.log.push_back(operation);
    }

    pub(super) fn count(&self, op: Op) -> u64 {
        self.counts[op as usize]
    }

    pub(super) const fn count_changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn log(&self) -> Vec<Operation> {
        self.log.iter().cloned().collect()
    }

    pub(super) fn clear_log(&mut self) {
        self.log.clear();
    }
}

/// How many there are of [`Op`].
const OPS: usize = Op::Allocate as usize + 1;

/// Enough for a story, and no leak in a long run.
const LOG_OPERATIONS_MAX: usize = 10_000;
