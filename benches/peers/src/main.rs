//! Side by side with peers: the same work, the same durability, in the same folder, in turns.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- [family] [--quick] [--json]`
//!
//! A family is `sim` or `wal`; `wal-appends`, `wal-reads`, `wal-waits`, `wal-losses` are its parts.
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

use report::Found;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.first().is_some_and(|it| it == "child") {
        return wal::child::run(&arguments[1..]);
    }
    let has = |flag: &str| arguments.iter().any(|it| it == flag);
    let family = arguments.iter().find(|it| !it.starts_with("--"));
    let is_quick = has("--quick");

    let mut found = Found::default();
    for (name, run) in FAMILIES {
        if family.is_none_or(|it| it == name) {
            found.add(run(is_quick)?);
        }
    }
    for (name, run) in PARTS {
        if family.is_some_and(|it| it == name) {
            found.add(run(is_quick)?);
        }
    }
    if has("--json") {
        found.rows.iter().for_each(|row| println!("{}", row.to_json()));
        eprint!("{}", found.text);
    } else {
        print!("{}{}", report::table(&found.rows), found.text);
    }
    if !is_quick && family.is_none() {
        report::write(&found)?;
    }
    found.failure.map_or(Ok(()), |it| Err(io::Error::other(it)))
}

type Run = fn(bool) -> io::Result<Found>;

const FAMILIES: [(&str, Run); 2] = [("sim", sim::run), ("wal", wal::run)];

/// Parts of a family, for who works on one.
const PARTS: [(&str, Run); 4] = [
    ("wal-appends", wal::appends),
    ("wal-reads", wal::reads),
    ("wal-waits", wal::waits),
    ("wal-losses", wal::losses),
];
