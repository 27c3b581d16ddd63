//! An open file.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::State;
use super::fault::{Op, Strike};
use super::folder::FileId;
use crate::decision::scale;

/// An open file of a [`Disk`](crate::Disk). After a crash every call fails.
pub struct DiskFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) name: Arc<str>,
    pub(super) id: FileId,
    /// The crashes before it was opened.
    pub(super) crashes: u64,
}

impl quorate_core::File for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.run(Op::Len, (0, 0), |state| Ok(state.image(self.id).len() as u64), fail)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let at = (offset, out.len() as u64);
        let mut wrong = None;
        let read = |state: &mut State, struck: Option<Strike>| {
            match struck {
                None => {}
                Some(Strike::Misreads(number)) => wrong = Some(number),
                Some(struck) => return Err(struck.error()),
            }
            let content = state.image(self.id).content();
            let rest = content.get(index(offset)..).unwrap_or_default();
            let count = rest.len().min(out.len());
            out[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        let count = self.run_struck(Op::Read, at, read)?;
        if let Some(number) = wrong.filter(|_| 0 < count) {
            let [bit, ..] = number.to_le_bytes();
            out[index(scale(number, count as u64))] ^= 1 << (bit % 8);
        }
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = (offset, bytes.len() as u64);
        let place = index(offset);
        self.run_struck(Op::Write, at, |state, struck| {
            let fits = index(state.room_of(self.id).saturating_sub(offset)).min(bytes.len());
            let image = state.image(self.id);
            match struck {
                None => image.write(place, &bytes[..fits]),
                Some(Strike::Loses) => image.write_nowhere(place, &bytes[..fits]),
                Some(Strike::Misdirects(number)) => {
                    image.write_elsewhere(place, &bytes[..fits], number);
                }
                Some(struck) => {
                    image.write(place, &bytes[..fits.min(bytes.len() / 2)]);
                    return Err(struck.error());
                }
            }
            if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull) }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let set_len = |state: &mut State| {
            if state.room_of(self.id) < len {
                return Err(io::ErrorKind::StorageFull);
            }
            state.image(self.id).set_len(index(len));
            Ok(())
        };
        self.run(Op::SetLen, (len, 0), set_len, fail)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run_struck(Op::Sync, (0, 0), |state, struck| {
            let image = state.image(self.id);
            match struck {
                None => {
                    image.sync();
                    return Ok(());
                }
                Some(Strike::Reverts) => image.revert(),
                Some(_) => image.mark_clean(),
            }
            Err(struck.map_or(io::ErrorKind::Other, Strike::error))
        })
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        let reserve = |state: &mut State| {
            if state.room_of(self.id) < len {
                return Err(io::ErrorKind::StorageFull);
            }
            state.image(self.id).reserve(len);
            Ok(true)
        };
        self.run(Op::Allocate, (len, 0), reserve, fail)
    }
}

/// Does nothing but fail.
fn fail<T>(_state: &mut State, struck: Strike) -> Result<T, io::ErrorKind> {
    Err(struck.error())
}

impl DiskFile {
    fn run<T>(
        &self,
        op: Op,
        at: (u64, u64),
        operate: impl FnOnce(&mut State) -> Result<T, io::ErrorKind>,
        spoil: impl FnOnce(&mut State, Strike) -> Result<T, io::ErrorKind>,
    ) -> io::Result<T> {
        self.run_struck(op, at, |state, struck| match struck {
            None => operate(state),
            Some(struck) => spoil(state, struck),
        })
    }

    /// Runs an operation on the file, unless it was open when the power went.
    fn run_struck<T>(
        &self,
        op: Op,
        at: (u64, u64),
        operate: impl FnOnce(&mut State, Option<Strike>) -> Result<T, io::ErrorKind>,
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.crashes != self.crashes {
            return Err(io::Error::other("the file was open when the power went"));
        }
        state.run_struck(op, &self.name, at, operate)
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.crashes == self.crashes {
            let image = state.image(self.id);
            image.handles -= 1;
            if image.handles == 0 {
                state.forget_unlinked();
            }
        }
    }
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns `offset` as an index; past the end of memory, one that is past the end of every file.
pub(super) fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
