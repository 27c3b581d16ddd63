//! How much an open log reads and keeps in memory.

use allocation_counter::{AllocationInfo, measure};
use quorate_sim::kit;
use quorate_wal::{Config, Durability, Index, Preallocate, Wal};

use counted::Counted;

#[path = "small/counted.rs"]
mod counted;

fn config(segment_bytes: u32) -> Config {
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = segment_bytes;
    config.preallocate = Preallocate::None;
    config.durability = Durability::Never;
    config
}

/// Makes a closed log of `count` records of zeros.
fn log(config: &Config, count: u64, record_bytes: usize) -> Counted {
    let disk = Counted::default();
    let (wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("the disk is empty");
    for _ in 0..count {
        wal.append(vec![0; record_bytes]).and_then(|ack| ack.wait()).expect("there is room");
    }
    wal.close().expect("there is room");
    disk
}

#[test]
fn a_disk_that_counts_is_a_disk() {
    let report = kit::disk::check(Counted::default);
    let failed = report.cases.iter().filter(|it| it.outcome != kit::Outcome::Passed);
    let names: Vec<&str> = failed.map(|it| it.name).collect();
    assert!(names.iter().all(|name| name.contains("lock")), "it has no locks, but {names:?}");
}

#[test]
fn opening_reads_less_than_a_hundredth_of_sealed_segments() {
    let config = config(1 << 20);
    let disk = log(&config, 17_000, 1_000);
    disk.forget_reads();
    let (wal, recovered) = Wal::open_on(disk.clone(), config).expect("it is whole");
    let read = disk.read_bytes();
    let (_, sealed) = read.split_last().expect("there are segments");
    let [len, bytes] = [0, 1].map(|at| sealed.iter().map(|it| [it.0, it.1][at]).sum::<u64>());
    println!("{} segments: {bytes} of {len} bytes", sealed.len());
    assert!(16 <= sealed.len() && bytes * 100 < len, "{bytes} of {len}");
    assert_eq!(recovered.range, Index(1)..Index(17_001));
    drop(wal);
}

#[test]
fn a_record_is_found_by_decoding_eight_at_most() {
    let config = config(1 << 20);
    let disk = log(&config, 5_000, 1_000);
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("it is whole");
    for index in [1, 7, 8, 9, 2_500, 5_000] {
        disk.forget_reads();
        wal.read(Index(index)).expect("nothing is damaged").expect("it is there");
        let bytes: u64 = disk.read_bytes().iter().map(|it| it.1).sum();
        assert!(bytes <= 9 * 1_024 + 4_096, "{bytes} bytes for record {index}");
    }
}

#[test]
fn memory_does_not_grow_with_the_log() {
    const GIB: u64 = 1 << 30;
    let config = config(64 << 20);
    let record_bytes = 256 << 10;
    let disk = log(&config, GIB / record_bytes as u64, record_bytes);
    let (mut scanned, mut opened) = (AllocationInfo::default(), None);
    let open = measure(|| opened = Some(Wal::open_on(disk.clone(), config.clone())));
    let (wal, _) = opened.expect("it was opened").expect("it is whole");
    let mut bytes = 0;
    scanned.bytes_max = measure(|| {
        for item in wal.records(..) {
            bytes += item.expect("nothing is damaged").1.len() as u64;
        }
    })
    .bytes_max;
    let verified = measure(|| _ = wal.verify().expect("nothing is damaged"));
    let [open, scan, verify] = [open, scanned, verified].map(|it| it.bytes_max);
    println!("open {open}, scan {scan}, verify {verify} bytes at most");
    assert_eq!(bytes, GIB);
    // A window each, of a record with its head, and what says where records are.
    let window = 2 * (record_bytes as u64 + 64);
    assert!(open < window + (1 << 20) && scan < 3 * window && verify < window + (1 << 20));
}

#[test]
fn what_stays_in_memory_of_records_and_footers_is_limited() {
    let mut config = config(256 << 10);
    config.tail_cache_bytes = 64 << 10;
    config.footer_cache_bytes = 8 << 10;
    config.durability = Durability::Always;
    let disk = Counted::default();
    let (wal, _) = Wal::open_on(disk.clone(), config).expect("the disk is empty");
    // Buffers are as large as they get.
    for _ in 0..1_000 {
        wal.append(vec![0; 100]).and_then(|ack| ack.wait()).expect("there is room");
    }
    let stored = disk.stored_bytes();
    let grown = measure(|| {
        for _ in 0..40_000 {
            wal.append(vec![0; 100]).and_then(|ack| ack.wait()).expect("there is room");
        }
    });
    // What the disk keeps, and what its maps cost, is not the log's.
    let stored = i64::try_from(disk.stored_bytes() - stored).expect("small");
    let log_bytes = grown.bytes_current - stored - stored / 200;
    println!("{log_bytes} bytes more after 40,000 records of 100 bytes");
    // The records in memory, the footers, and 24 segments whose rows and files are known.
    assert!(log_bytes < (64 << 10) + (8 << 10) + (64 << 10), "{log_bytes}");
}

#[test]
fn opening_keeps_no_more_footers_than_it_may() {
    let peak = |count: u64| {
        let mut config = config(64 << 10);
        config.footer_cache_bytes = 8 << 10;
        config.initial_state = vec![7; 1_000].into();
        let disk = Counted::default();
        let (wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("the disk is empty");
        for _ in 0..count / 1_000 {
            drop(wal.append_batch(vec![Vec::new(); 1_000]).expect("within limits"));
            wal.sync().expect("there is room");
        }
        wal.close().expect("there is room");
        let mut opened = None;
        let open = measure(|| opened = Some(Wal::open_on(disk.clone(), config.clone())));
        let (wal, _) = opened.expect("it was opened").expect("it is whole");
        assert_eq!(wal.next_index(), Index(count + 1));
        wal.read(Index(1)).expect("nothing is damaged").expect("it is there");
        open.bytes_max
    };
    let [few, many] = [100_000, 800_000].map(peak);
    println!("{few} bytes for 40 segments, {many} for 320");
    // What is known of a segment, and a list of names.
    assert!(many < few + 280 * 1_000, "{few} bytes for 40 segments, {many} for 320");
}
