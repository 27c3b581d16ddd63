//! The last three groups of a short log, none of which was synced: every subset of their sectors,
//! each as it was, as it was written, or garbage.

use bytes::Bytes;
use quorate_wal::{Batch, Config, Durability, Index, Memory, Wal};

use small::{config, read_all};

#[path = "small/log.rs"]
mod small;

const NAME: &str = "00000000000000000001.wal";
const SECTOR_BYTES: usize = 512;

fn unsynced() -> Config {
    let mut config = config();
    config.segment_bytes = 1 << 20;
    config.durability = Durability::Never;
    config
}

/// A log of a synced group and three that are only written, and what it held after each of them.
struct Groups {
    disk: Memory,
    /// The file after the synced group, and after the last.
    before: Vec<u8>,
    after: Vec<u8>,
    views: Vec<Vec<Bytes>>,
}

/// Writes the groups of `batches`; all but the first three fourths are written only.
fn groups(batches: impl IntoIterator<Item = Batch>) -> Groups {
    let disk = Memory::new();
    let (wal, _) = Wal::open_on(disk.clone(), unsynced()).expect("the disk is empty");
    wal.append(vec![1; 300]).and_then(|ack| ack.wait()).expect("memory has room");
    wal.sync().expect("memory does not fail");
    let before = disk.content(NAME).expect("it is there");
    let mut views = vec![read_all(&wal)];
    for batch in batches {
        wal.write(batch).and_then(|ack| ack.wait()).expect("memory has room");
        views.push(read_all(&wal));
    }
    drop(wal);
    let after = disk.content(NAME).expect("it is there");
    Groups { disk, before, after, views }
}

/// Opens the log with each combination of sectors. Returns how many there were, and how often it
/// held which view.
fn open_each(groups: &Groups) -> (usize, Vec<usize>) {
    let Groups { disk, before, after, views } = groups;
    let mut old = before.clone();
    old.resize(after.len(), 0);
    let sectors: Vec<usize> = (0..after.len().div_ceil(SECTOR_BYTES))
        .filter(|sector| chunk(&old, *sector) != chunk(after, *sector))
        .collect();
    assert!((3..=8).contains(&sectors.len()), "{sectors:?}");
    let states = 3_usize.pow(u32::try_from(sectors.len()).expect("few"));
    let mut counts = vec![0; views.len()];
    for state in 0..states {
        let mut content = after.clone();
        let mut rest = state;
        for sector in &sectors {
            let range = sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(after.len());
            match rest % 3 {
                0 => content[range.clone()].copy_from_slice(&old[range]),
                // What was durable in a sector stays: it is overwritten with what it held.
                1 => garble(&mut content[range.start.max(before.len())..range.end], state),
                _ => {}
            }
            rest /= 3;
        }
        let copy = disk.fork();
        copy.set_content(NAME, content);
        let opened = Wal::open_on(copy.clone(), unsynced());
        let (wal, _) = opened.unwrap_or_else(|error| panic!("state {state}: {error:?}"));
        let found = read_all(&wal);
        let view = views.iter().rposition(|view| *view == found);
        counts[view.unwrap_or_else(|| panic!("state {state}: {} records", found.len()))] += 1;
        // Nothing of what was cut off comes back behind a shorter group.
        wal.append("more").and_then(|ack| ack.wait()).expect("memory has room");
        drop(wal);
        let (wal, recovered) = Wal::open_on(copy, unsynced()).expect("it was made whole");
        let again = read_all(&wal);
        assert!(recovered.cut.is_none() && again[..found.len()] == found, "state {state}");
        assert_eq!(wal.next_index(), Index(found.len() as u64 + 2), "state {state}");
    }
    (states, counts)
}

fn chunk(content: &[u8], sector: usize) -> &[u8] {
    &content[sector * SECTOR_BYTES..((sector + 1) * SECTOR_BYTES).min(content.len())]
}

/// Fills `bytes` with what depends on `seed`.
fn garble(bytes: &mut [u8], seed: usize) {
    let mut random = quorate_core::SplitMix64::new(seed as u64);
    bytes.fill_with(|| random.next_u64().to_le_bytes()[3]);
}

#[test]
fn every_subset_of_the_sectors_of_three_groups_opens_with_a_prefix_of_them() {
    let appends = [900, 1_200, 1_400].map(|bytes| Batch::new().append(vec![2; bytes]));
    let groups = groups(appends);
    let (states, counts) = open_each(&groups);
    println!("{states} states, which held so many groups: {counts:?}");
    assert!(counts.iter().all(|count| 0 < *count), "{counts:?}");
}

#[test]
fn every_subset_of_the_sectors_of_a_conflict_opens_with_the_old_or_the_new_suffix() {
    let rewrite = |byte: u8| {
        let batch = Batch::new().truncate_suffix(Index(2)).set_state(vec![byte; 40]);
        batch.append(vec![byte; 400]).append(vec![byte; 60])
    };
    let groups = groups([Batch::new().append(vec![9; 200]).append("x"), rewrite(2), rewrite(3)]);
    let (states, counts) = open_each(&groups);
    println!("{states} states, which held so many groups: {counts:?}");
    assert!(counts.iter().all(|count| 0 < *count), "{counts:?}");
}
