//! In which order the log asks things of its disk.

use std::collections::BTreeSet;

use quorate_sim::{Op, Operation};

/// Checks the operations of a step: nothing is renamed into a segment before it is synced, and no
/// segment goes while a change of another is not durable.
pub(super) fn check(operations: &[Operation]) -> Result<(), String> {
    let mut unsynced: BTreeSet<&str> = BTreeSet::new();
    for operation in operations.iter().filter(|it| it.error.is_none()) {
        let name = &*operation.name;
        match operation.op {
            Op::Write | Op::SetLen => _ = unsynced.insert(name),
            Op::Sync => _ = unsynced.remove(name),
            Op::Rename if unsynced.contains(name) => {
                return Err(format!("{name} got its name before it was synced"));
            }
            Op::Remove if name.ends_with(".tmp") => _ = unsynced.remove(name),
            Op::Remove if name.ends_with(".wal") && !unsynced.is_empty() => {
                return Err(format!("{name} was removed, not durable are {unsynced:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}
