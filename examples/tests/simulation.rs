//! The node of `kv` in the simulator: Raft over the write-ahead log, on disks that lose power.
//!
//! The worlds and their laws are those of `quorate-consensus`, which runs them over records in
//! memory. Here every vote and every entry goes through frames, segments and recovery.

use quorate_consensus::raft::Raft;
use quorate_examples::raft_store::RaftStore;
use quorate_sim::{Boot, Disk, Mistake, World, check_seeds};
use quorate_wal::{Config, Preallocate, RecordStore};

#[path = "../../consensus/tests/simulation/raft.rs"]
mod raft;

impl raft::RaftStorage for RaftStore<Disk> {
    fn open(boot: &Boot<'_, Raft>) -> Result<Self, String> {
        let mut config = Config::default();
        config.seed = Some(boot.seed());
        // Short segments, so that the log rolls now and then.
        config.segment_bytes = 16 << 10;
        config.preallocate = Preallocate::ZeroAhead { step: 4096 };
        let opened = RecordStore::open_inline(boot.disk(), config);
        opened.map(|(records, _)| Self::inline(records)).map_err(|error| error.to_string())
    }
}

type Node = RaftStore<Disk>;

const SEEDS: u64 = 40;
const HUNTED_SEEDS: u64 = 3;

#[test]
fn kv_nodes_keep_the_laws_of_raft() {
    raft::suite::<Node>("kv_nodes_keep_the_laws_of_raft").seeds(0..SEEDS).run();
}

#[test]
fn kv_nodes_keep_the_laws_of_raft_while_power_fails() {
    let name = "kv_nodes_keep_the_laws_of_raft_while_power_fails";
    raft::shaky::<Node>(name).seeds(0..SEEDS).run();
}

#[test]
fn kv_nodes_keep_the_laws_of_raft_while_leaders_crash() {
    let name = "kv_nodes_keep_the_laws_of_raft_while_leaders_crash";
    check_seeds(env!("CARGO_PKG_NAME"), name, 0..HUNTED_SEEDS, |seed| {
        raft::run_hunt::<Node>(seed).map(World::into_trace)
    });
}

#[test]
fn a_hasty_driver_is_caught() {
    let caught = raft::suite::<Node>("hasty").mistake(Mistake::Hasty).count_caught(0..SEEDS);
    println!("Hasty: {caught}");
    assert!(0 < caught.count, "{caught}");
}
