//! The end of a sealed segment from any bytes: decoded or refused; what is decoded has these bytes
//! and no others, and its records are found.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::bounded;
use quorate_wal::fuzzing;

/// That of log 1, segment 1: what the seeds are.
const SALT: u32 = 0x7b1d_cdaf;

/// Where the Seal of the seeds stands.
const OFFSET: u32 = 128;

// A run of one record is 20 bytes there, and 40 with an allocation of 4 here.
fuzz_target!(|input: &[u8]| bounded(input.len(), 64, || fuzzing::footer(input, OFFSET, SALT)));
