//! Frames from any bytes: decoded or refused; what is decoded has these bytes and no others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::bounded;
use quorate_wal::fuzzing;

/// That of log 1, segment 1: what the seeds are.
const SALT: u32 = 0x7b1d_cdaf;

fuzz_target!(|input: &[u8]| bounded(input.len(), 4, || fuzzing::frames(input, SALT)));
