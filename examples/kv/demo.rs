//! The main job: three processes, many writes, a leader killed on the way, and nothing lost.

use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use super::client::{Client, ClientError};
use super::cluster::Cluster;
use super::report::Report;
use super::wire::Operation;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) writes: u64,
    pub(super) value_bytes: usize,
    pub(super) clients: usize,
}

/// What the clients share.
struct Load {
    options: Options,
    endpoints: Vec<String>,
    began: Instant,
    next: AtomicU64,
    acknowledged: AtomicU64,
    /// How each write ended.
    ends: Vec<AtomicU8>,
}

/// When a write was acknowledged, and how long that took.
#[derive(Clone, Copy)]
struct Acknowledged {
    at: Duration,
    took: Duration,
}

/// When what happened to the nodes.
struct Events {
    /// The node that was killed.
    leader: u64,
    killed: Duration,
    restarted: Duration,
}

const NOT_TRIED: u8 = 0;
const DONE: u8 = 1;
const REFUSED: u8 = 2;
const UNKNOWN: u8 = 3;

/// Runs it all.
#[expect(clippy::disallowed_methods, reason = "people want to know how long it took")]
pub(super) async fn run(options: Options) -> io::Result<Report> {
    let mut cluster = Cluster::start(3)?;
    let raw_syncs_per_second = measure_syncs(cluster.folder())?;
    cluster.wait_for_leader().await?;
    let load = Arc::new(Load {
        options,
        endpoints: cluster.endpoints(),
        began: Instant::now(),
        next: AtomicU64::new(0),
        acknowledged: AtomicU64::new(0),
        ends: (0..options.writes).map(|_| AtomicU8::new(NOT_TRIED)).collect(),
    });

    let bar = progress("writing", options.writes);
    let writers: Vec<_> =
        (0..options.clients).map(|_| tokio::spawn(write(Arc::clone(&load), bar.clone()))).collect();
    let events = disturb(&mut cluster, &load).await?;
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.map_err(io::Error::other)?);
    }
    bar.finish_and_clear();
    let wrote = load.began.elapsed();

    let (lost, wrong, reads_per_second) = read_back(&load).await?;
    let mut report = Report {
        writes: options.writes,
        value_bytes: options.value_bytes,
        clients: options.clients,
        acknowledged: load.acknowledged.load(Ordering::Relaxed),
        lost,
        wrong,
        refused: load.count(REFUSED),
        unknown: load.count(UNKNOWN),
        reads_per_second,
        raw_syncs_per_second,
        seconds: load.began.elapsed().as_secs_f64(),
        ..Report::default()
    };
    summarize(&mut report, &mut acknowledged, &events, wrote);
    let statuses = cluster.statuses().await;
    report.forgotten = statuses.iter().map(|it| it.first_index - 1).collect();
    for status in statuses.iter().filter(|it| it.id != events.leader) {
        // The first leader that a node hears of is no fail-over.
        report.failovers = report.failovers.max(status.leader_changes.saturating_sub(1));
        let writes = status.delivered.max(1) as f64;
        report.fsyncs_per_1000_writes.push((1000.0 * status.syncs as f64 / writes).round());
    }
    if !report.is_good() {
        eprintln!("{}", cluster.logs());
    }
    Ok(report)
}

/// Kills the leader at a third of the way, and starts it again at two thirds.
async fn disturb(cluster: &mut Cluster, load: &Load) -> io::Result<Events> {
    load.wait_for(load.options.writes / 3).await;
    let leader = cluster.wait_for_leader().await?;
    let killed = load.began.elapsed();
    cluster.kill(leader)?;
    cluster.wait_for_leader().await?;
    load.wait_for(load.options.writes * 2 / 3).await;
    let restarted = load.began.elapsed();
    cluster.start_node(leader)?;
    Ok(Events { leader, killed, restarted })
}

impl Load {
    /// Waits until so many writes have ended.
    async fn wait_for(&self, count: u64) {
        while self.next.load(Ordering::Relaxed) < count.saturating_add(self.options.clients as u64)
            && self.acknowledged.load(Ordering::Relaxed) < count
        {
            sleep(Duration::from_millis(2)).await;
        }
    }

    fn count(&self, end: u8) -> u64 {
        self.ends.iter().filter(|it| it.load(Ordering::Relaxed) == end).count() as u64
    }

    fn key(number: u64) -> Bytes {
        format!("key-{number:08}").into()
    }

    /// The one value that is ever written to a key.
    fn value(&self, number: u64) -> Bytes {
        let word = format!("value-{number:08}-");
        word.bytes().cycle().take(self.options.value_bytes).collect()
    }
}

/// One client: it takes the next key, and writes it.
#[expect(clippy::disallowed_methods, reason = "the latency of each write is measured")]
async fn write(load: Arc<Load>, bar: ProgressBar) -> Vec<Acknowledged> {
    let mut client = Client::new(&load.endpoints, PATIENCE);
    let mut acknowledged = Vec::new();
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        let Some(end) = usize::try_from(number).ok().and_then(|number| load.ends.get(number))
        else {
            return acknowledged;
        };
        let began = Instant::now();
        let put = Operation::Put { key: Load::key(number), value: load.value(number) };
        let result = client.change(put).await;
        end.store(
            match result {
                Ok(_) => DONE,
                Err(ClientError::Refused(_)) => REFUSED,
                Err(ClientError::Unknown(_)) => UNKNOWN,
            },
            Ordering::Relaxed,
        );
        if result.is_ok() {
            load.acknowledged.fetch_add(1, Ordering::Relaxed);
            acknowledged.push(Acknowledged { at: load.began.elapsed(), took: began.elapsed() });
        }
        bar.inc(1);
    }
}

/// Reads every key, and returns how many are lost, how many are wrong, and how fast that was.
#[expect(clippy::disallowed_methods, reason = "the reads are measured")]
async fn read_back(load: &Arc<Load>) -> io::Result<(u64, u64, f64)> {
    let bar = progress("reading", load.options.writes);
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..load.options.clients)
        .map(|_| tokio::spawn(read(Arc::clone(load), Arc::clone(&next), bar.clone())))
        .collect();
    let (mut lost, mut wrong) = (0, 0);
    for reader in readers {
        let found = reader.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        lost += found.0;
        wrong += found.1;
    }
    bar.finish_and_clear();
    let per_second = load.options.writes as f64 / began.elapsed().as_secs_f64();
    Ok((lost, wrong, per_second.round()))
}

async fn read(
    load: Arc<Load>,
    next: Arc<AtomicU64>,
    bar: ProgressBar,
) -> Result<(u64, u64), ClientError> {
    let mut client = Client::new(&load.endpoints, PATIENCE);
    let (mut lost, mut wrong) = (0, 0);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(end) = usize::try_from(number).ok().and_then(|number| load.ends.get(number))
        else {
            return Ok((lost, wrong));
        };
        match (client.get(Load::key(number)).await?, end.load(Ordering::Relaxed)) {
            (Some(value), DONE | UNKNOWN) if value == load.value(number) => {}
            (None, REFUSED | UNKNOWN | NOT_TRIED) => {}
            (None, _) => lost += 1,
            (Some(_), _) => wrong += 1,
        }
        bar.inc(1);
    }
}

/// Fills in what follows from when each write was acknowledged.
fn summarize(
    report: &mut Report,
    acknowledged: &mut [Acknowledged],
    events: &Events,
    wrote: Duration,
) {
    let rate = |from: Duration, to: Duration| {
        let count = acknowledged.iter().filter(|it| from <= it.at && it.at < to).count();
        (count as f64 / to.saturating_sub(from).as_secs_f64().max(1e-9)).round()
    };
    report.writes_per_second_before = rate(Duration::ZERO, events.killed);
    report.writes_per_second_during = rate(events.killed, events.restarted);
    report.writes_per_second_after = rate(events.restarted, wrote);

    acknowledged.sort_by_key(|it| it.at);
    let around_kill = acknowledged.windows(2).filter(|pair| events.killed <= pair[1].at);
    let gaps = around_kill.map(|pair| pair[1].at - pair[0].at.max(events.killed).min(pair[1].at));
    report.leaderless_ms = millis(gaps.max().unwrap_or_default());

    let mut took: Vec<Duration> = acknowledged.iter().map(|it| it.took).collect();
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1000).copied().unwrap_or_default();
    report.latency_p50_ms = millis(at(500));
    report.latency_p99_ms = millis(at(990));
    report.latency_max_ms = millis(took.last().copied().unwrap_or_default());
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 1e2
}

/// What this disk can do: one writer, 4 KiB and an fdatasync, again and again.
#[expect(clippy::disallowed_methods, reason = "the disk is measured")]
fn measure_syncs(folder: &Path) -> io::Result<f64> {
    let path = folder.join("raw");
    let mut file = std::fs::File::create(&path)?;
    // Over what is there already: a file that grows has to have its length synced, too.
    file.write_all(&vec![0; RAW_FILE_BYTES as usize])?;
    file.sync_all()?;
    let (block, began) = ([7; 4096], Instant::now());
    let mut count = 0_u32;
    while began.elapsed() < RAW_FOR {
        if (u64::from(count) * 4096).is_multiple_of(RAW_FILE_BYTES) {
            file.rewind()?;
        }
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    std::fs::remove_file(path)?;
    Ok((f64::from(count) / began.elapsed().as_secs_f64()).round())
}

/// A bar on a terminal, and nothing elsewhere.
fn progress(what: &'static str, count: u64) -> ProgressBar {
    let style = "{msg} {bar:40} {pos}/{len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(style).expect("the template is good");
    ProgressBar::new(count).with_style(style).with_message(what)
}

/// How long a client goes on with one key.
const PATIENCE: Duration = Duration::from_secs(30);

const RAW_FILE_BYTES: u64 = 4 << 20;
const RAW_FOR: Duration = Duration::from_millis(500);
