//! A replicated key-value store that survives `kill -9`.
//!
//! `cargo run --release --example kv` starts three nodes, writes to them, kills their leader on the
//! way, and checks that nothing acknowledged is lost. `kv --help` tells the rest.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_examples::kv::main()
}
