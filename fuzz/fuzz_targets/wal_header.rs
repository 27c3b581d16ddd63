//! The start of a segment from any bytes: decoded or refused; what is decoded has these bytes and
//! no others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_fuzz::bounded;
use quorate_wal::fuzzing;

fuzz_target!(|input: &[u8]| bounded(input.len(), 6, || fuzzing::header(input)));
