//! Many clients, and a history of what each of them saw, for a checker of linearizability.
//!
//! A line of the history is one operation:
//! `{"client","op","key","value","start_ns","end_ns","outcome"}`. The value is what was written, or
//! what was read (`null` if nothing); of a `cas` it is `[old, new]`. The outcome is `ok`, `fail`
//! (definitely not done) or `unknown`; after `unknown` a client goes on under a new number, because
//! its last operation may still happen.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quorate_core::SplitMix64;
use serde::Serialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::wire::{Operation, Response};

/// How much load, and where its history goes.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) endpoints: Vec<String>,
    pub(super) clients: u64,
    pub(super) writes: u64,
    pub(super) value_bytes: usize,
    pub(super) keys: u64,
    pub(super) history: Option<PathBuf>,
}

/// One operation as one client saw it.
#[derive(Debug, Serialize)]
struct Line {
    client: u64,
    op: &'static str,
    key: String,
    value: Value,
    start_ns: u64,
    end_ns: u64,
    outcome: &'static str,
}

/// How often things ended how.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) ok: u64,
    pub(super) fail: u64,
    pub(super) unknown: u64,
}

/// Runs the load, writes its history, and returns how it went.
#[expect(clippy::disallowed_methods, reason = "a history has times")]
pub(super) async fn run(options: Options) -> io::Result<Counts> {
    let (options, began) = (Arc::new(options), Instant::now());
    // Each client that saw `unknown` goes on as another.
    let last_client = Arc::new(AtomicU64::new(options.clients));
    let workers: Vec<_> = (1..=options.clients)
        .map(|number| {
            let share = (options.writes + options.clients - number) / options.clients.max(1);
            let worker = Worker {
                options: Arc::clone(&options),
                began,
                number,
                last_client: Arc::clone(&last_client),
                random: SplitMix64::new(number),
            };
            tokio::spawn(worker.run(share))
        })
        .collect();
    let mut lines = Vec::new();
    for worker in workers {
        lines.extend(worker.await.map_err(io::Error::other)?);
    }
    lines.sort_by_key(|line| line.start_ns);
    if let Some(path) = &options.history {
        let mut file = BufWriter::new(File::create(path)?);
        for line in &lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        file.into_inner()?.sync_all()?;
    }
    let count = |outcome| lines.iter().filter(|line| line.outcome == outcome).count() as u64;
    Ok(Counts { ok: count("ok"), fail: count("fail"), unknown: count("unknown") })
}

struct Worker {
    options: Arc<Options>,
    began: Instant,
    number: u64,
    last_client: Arc<AtomicU64>,
    random: SplitMix64,
}

impl Worker {
    async fn run(mut self, writes: u64) -> Vec<Line> {
        let mut client = Client::new(&self.options.endpoints, PATIENCE);
        let (mut lines, mut written) = (Vec::new(), 0);
        let mut seen: Option<(String, String)> = None;
        while written < writes {
            let key = format!("key-{}", self.random.below(self.options.keys.max(1)));
            let what = self.random.below(10);
            let value = self.value(written);
            let start_ns = self.now_ns();
            let (op, value, result) = match (&seen, what) {
                (_, 0..3) => {
                    let found = client.get(key.clone().into()).await;
                    let text = found.as_ref().ok().and_then(|it| it.as_ref().map(text));
                    seen = text.clone().map(|text| (key.clone(), text));
                    ("get", json!(text), found.map(|_| Response::Done))
                }
                (Some((seen_key, old)), 3..5) => {
                    let (key, old) = (seen_key.clone(), old.clone());
                    let cas = Operation::Cas {
                        key: key.clone().into(),
                        old: old.clone().into(),
                        new: value.clone().into(),
                    };
                    let result = client.change(cas).await;
                    lines.push(self.line("cas", key, json!([old, value]), start_ns, &result));
                    written += 1;
                    seen = None;
                    self.renew(&result, &mut client);
                    continue;
                }
                (_, 5) => {
                    written += 1;
                    let delete = Operation::Delete { key: key.clone().into() };
                    ("delete", Value::Null, client.change(delete).await)
                }
                _ => {
                    written += 1;
                    let put =
                        Operation::Put { key: key.clone().into(), value: value.clone().into() };
                    ("put", json!(value), client.change(put).await)
                }
            };
            lines.push(self.line(op, key, value, start_ns, &result));
            self.renew(&result, &mut client);
        }
        lines
    }

    fn line(
        &self,
        op: &'static str,
        key: String,
        value: Value,
        start_ns: u64,
        result: &Result<Response, ClientError>,
    ) -> Line {
        let outcome = match result {
            Ok(Response::Differs(_)) | Err(ClientError::Refused(_)) => "fail",
            Ok(_) => "ok",
            Err(ClientError::Unknown(_)) => "unknown",
        };
        Line { client: self.number, op, key, value, start_ns, end_ns: self.now_ns(), outcome }
    }

    /// Goes on as another client if the last operation may still happen.
    fn renew(&mut self, result: &Result<Response, ClientError>, client: &mut Client) {
        if matches!(result, Err(ClientError::Unknown(_))) {
            self.number = self.last_client.fetch_add(1, Ordering::Relaxed) + 1;
            *client = Client::new(&self.options.endpoints, PATIENCE);
        }
    }

    /// A value that nobody else writes.
    fn value(&self, written: u64) -> String {
        let word = format!("c{}-{written}-", self.number);
        let length = self.options.value_bytes.max(word.len());
        word.chars().chain(std::iter::repeat('x')).take(length).collect()
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// How long a client goes on with one operation.
const PATIENCE: Duration = Duration::from_secs(10);
