//! Side by side with peers: the same work, the same durability, in the same folder, in turns.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- [family] [--quick] [--json]`
//!
//! A row that has a ratio below 1 is one that we lose; it stays. A full run writes `RESULTS.md`.

// The world of the simulation, as it is: a row needs only one way into it.
#[expect(dead_code, reason = "the rest is for tests")]
#[path = "../../../consensus/tests/simulation/raft.rs"]
mod raft;
mod report;
mod sim;
mod wal;
mod worlds;

use std::env;
use std::io;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|it| it == flag);
    let family = arguments.iter().find(|it| !it.starts_with("--"));
    let is_quick = has("--quick");

    let mut rows = Vec::new();
    for (name, run) in FAMILIES {
        if family.is_none_or(|it| it == name) {
            rows.extend(run(is_quick)?);
        }
    }
    if has("--json") {
        rows.iter().for_each(|row| println!("{}", row.to_json()));
    } else {
        print!("{}", report::table(&rows));
    }
    if !is_quick && family.is_none() {
        report::write(&rows)?;
    }
    Ok(())
}

type Run = fn(bool) -> io::Result<Vec<report::Row>>;

const FAMILIES: [(&str, Run); 2] = [("sim", sim::run), ("wal", wal::run)];
