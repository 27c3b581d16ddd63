//! A recording becomes lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::{Lane, Recording};

/// The first line.
#[derive(Serialize)]
struct Header<'a> {
    v: u64,
    name: &'a str,
    seed: u64,
    nodes: &'a [Lane],
    plan: &'a Value,
}

impl Recording {
    /// Writes the file that [`read`](Self::read) reads: a header, then a line per event.
    ///
    /// `out` gets many small writes: give it a buffer.
    ///
    /// # Errors
    ///
    /// Those of `out`. What was written until then is there.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let Self { name, seed, nodes, plan, events } = self;
        serde_json::to_writer(&mut out, &Header { v: VERSION, name, seed: *seed, nodes, plan })?;
        out.write_all(b"\n")?;
        for event in events {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// The format that is written and read.
pub(super) const VERSION: u64 = 1;
