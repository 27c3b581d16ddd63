//! A record of Raft from any bytes: no panic, and what decodes is what its encoding decodes to.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use quorate_consensus::raft::Record;
use quorate_core::Wire as _;

fuzz_target!(|input: &[u8]| {
    let Ok(record) = Record::decode(&mut Bytes::copy_from_slice(input)) else { return };
    let mut encoded = BytesMut::new();
    record.encode(&mut encoded);
    assert!(encoded.len() <= input.len());
    let mut encoded = encoded.freeze();
    assert_eq!(Record::decode(&mut encoded), Ok(record));
    assert!(encoded.is_empty());
});
