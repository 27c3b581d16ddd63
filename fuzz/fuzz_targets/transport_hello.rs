//! What a stranger says first, from any bytes: no panic, and what decodes is what its encoding
//! decodes to.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use quorate_transport::Hello;

fuzz_target!(|input: &[u8]| {
    if let Ok(hello) = Hello::decode(Bytes::copy_from_slice(input)) {
        assert_eq!(Hello::decode(hello.encode()), Ok(hello));
    }
});
