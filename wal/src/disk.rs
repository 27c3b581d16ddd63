//! Where a log lies: the shipped implementations of [`Disk`](quorate_core::Disk).

mod directory;
mod memory;

pub use directory::{Directory, DirectoryFile, DirectoryLock};
pub use memory::{Memory, MemoryFile, MemoryLock};
