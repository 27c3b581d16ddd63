//! Small logs for tests: short segments, so that a few records fill several.

use bytes::Bytes;
use quorate_core::Disk;
use quorate_wal::{Config, Preallocate, Wal};

/// Segments of 1 KiB, nothing written ahead, no record in memory once it is written, and the same
/// log id each time.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    config.tail_cache_bytes = 0;
    config
}

/// Returns all records, of a log without damage.
pub(crate) fn read_all<D: Disk>(wal: &Wal<D>) -> Vec<Bytes> {
    wal.records(..).map(|item| item.expect("nothing is rotten").1).collect()
}
