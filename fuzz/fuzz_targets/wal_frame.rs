//! Headers, frames, seals and footers from any bytes: no panic, no memory beyond the input.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, &[u8])| quorate_wal::fuzzing::decode(input.1, input.0));
