//! Benchmarks live in `benches/*.rs`, one file per crate.
