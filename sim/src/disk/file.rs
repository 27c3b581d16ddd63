//! An open file.

use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::State;
use super::fault::Op;
use super::folder::FileId;

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
        self.run(Op::Len, (0, 0), |state| Ok(state.image(self.id).content().len() as u64), |_| ())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let at = (offset, out.len() as u64);
        let read = |state: &mut State| {
            let content = state.image(self.id).content();
            let rest = content.get(index(offset)..).unwrap_or_default();
            let count = rest.len().min(out.len());
            out[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        self.run(Op::Read, at, read, |_| ())
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = (offset, bytes.len() as u64);
        let write = |state: &mut State| {
            let fits = index(state.room_of(self.id).saturating_sub(offset)).min(bytes.len());
            state.image(self.id).write(index(offset), &bytes[..fits]);
            if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull) }
        };
        let half = &bytes[..bytes.len() / 2];
        self.run(Op::Write, at, write, |state| state.image(self.id).write(index(offset), half))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let set_len = |state: &mut State| {
            if state.room_of(self.id) < len {
                return Err(io::ErrorKind::StorageFull);
            }
            state.image(self.id).set_len(index(len));
            Ok(())
        };
        self.run(Op::SetLen, (len, 0), set_len, |_| ())
    }

    fn sync_data(&self) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.image(self.id).sync();
            Ok(())
        };
        self.run(Op::Sync, (0, 0), sync, |state| state.image(self.id).mark_clean())
    }

    fn allocate(&self, len: u64) -> io::Result<bool> {
        let reserve = |state: &mut State| {
            if state.room_of(self.id) < len {
                return Err(io::ErrorKind::StorageFull);
            }
            state.image(self.id).reserve(len);
            Ok(true)
        };
        self.run(Op::Allocate, (len, 0), reserve, |_| ())
    }
}

impl DiskFile {
    /// Runs an operation on the file, unless it was open when the power went.
    fn run<T>(
        &self,
        op: Op,
        at: (u64, u64),
        operate: impl FnOnce(&mut State) -> Result<T, io::ErrorKind>,
        spoil: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.crashes != self.crashes {
            return Err(io::Error::other("the file was open when the power went"));
        }
        state.run_or_spoil(op, &self.name, at, operate, spoil)
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
