//! Laws under faults, from seeds.
//!
//! `SEED=17 cargo test -p quorate-wal --test simulation -- --nocapture` replays one run and prints
//! its story; `SEEDS=1000..9000` runs others. `src/traps.rs` shows that these laws can be broken.

use quorate_sim::check_seeds;

#[path = "simulation/log.rs"]
mod log;

#[test]
fn nothing_acknowledged_is_lost_and_no_crash_closes_a_log() {
    let name = "nothing_acknowledged_is_lost_and_no_crash_closes_a_log";
    check_seeds(env!("CARGO_PKG_NAME"), name, 0..1_000, log::run);
}
