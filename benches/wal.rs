//! What the log costs beside the disk: appending and framing in memory, and opening. Every log here
//! lies in memory, so no sync is measured; for those see `benches/peers`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quorate_wal::{Config, Memory, Wal};

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal/append");
    for record_bytes in [128, 1_024, 16_384] {
        let record = Bytes::from(vec![7; record_bytes]);
        group.throughput(Throughput::Bytes(record_bytes as u64));
        let (wal, _) = Wal::open_on(Memory::new(), Config::default()).unwrap();
        let mut count = 0;
        group.bench_function(BenchmarkId::new("unsynced", record_bytes), |b| {
            b.iter(|| {
                drop(wal.append(black_box(record.clone())).unwrap());
                count += record_bytes;
                if 1 << 20 < count {
                    count = 0;
                    wal.sync().unwrap();
                    free(&wal);
                }
            });
        });
    }
    for records in [10, 1_000] {
        let batch = vec![Bytes::from(vec![7; 128]); records];
        group.throughput(Throughput::Elements(records as u64));
        let (wal, _) = Wal::open_on(Memory::new(), Config::default()).unwrap();
        group.bench_function(BenchmarkId::new("batch", records), |b| {
            b.iter(|| {
                wal.append_batch(black_box(batch.iter().cloned())).unwrap().wait().unwrap();
                free(&wal);
            });
        });
    }
    group.finish();
}

/// Keeps memory bounded: one segment is enough.
fn free(wal: &Wal<Memory>) {
    if wal.first_index().0 + 500_000 < wal.next_index().0 {
        wal.truncate_prefix(wal.next_index()).unwrap();
    }
}

fn frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal/frame");
    for record_bytes in [128, 1_024, 16_384] {
        let (_, wal) = log(record_bytes, 4 << 20);
        group.throughput(Throughput::Bytes(4 << 20));
        group.bench_function(BenchmarkId::new("scan", record_bytes), |b| {
            b.iter(|| wal.records(..).map(|item| item.unwrap().1.len()).sum::<usize>());
        });
        let mut next = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("read", record_bytes), |b| {
            b.iter(|| {
                next = (next + 7_919) % (wal.next_index().0 - 1);
                wal.read(quorate_wal::Index(next + 1)).unwrap()
            });
        });
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("wal/open");
    let (disk, wal) = log(1_024, 32 << 20);
    wal.close().unwrap();
    for (name, verify_sealed) in [("verified", true), ("footers", false)] {
        let mut config = config();
        config.verify_sealed = verify_sealed;
        group.throughput(Throughput::Bytes(32 << 20));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new(name, 32 << 20), |b| {
            b.iter_batched(
                || config.clone(),
                |config| Wal::open_on(disk.clone(), config).unwrap().1,
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn config() -> Config {
    let mut config = Config::default();
    config.segment_bytes = 4 << 20;
    config
}

/// Makes a log of about `log_bytes`.
fn log(record_bytes: usize, log_bytes: usize) -> (Memory, Wal<Memory>) {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), config()).unwrap();
    let record = Bytes::from(vec![7; record_bytes]);
    for _ in 0..log_bytes / record_bytes {
        drop(wal.append(record.clone()).unwrap());
    }
    wal.sync().unwrap();
    (disk, wal)
}

criterion_group!(benches, append, frame, open);
criterion_main!(benches);
