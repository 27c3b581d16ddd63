//! The world, tried on a small sound protocol: it holds in every seed, and no bug or mistake does.

use quorate_sim::{Caught, Faults, Mistake, Plan, check_seeds, count_caught};

#[path = "simulation/copies.rs"]
mod copies;
#[path = "simulation/laws.rs"]
mod laws;
#[path = "simulation/on_disk.rs"]
mod on_disk;
#[path = "simulation/stories.rs"]
mod stories;

use copies::{Bug, run, run_with, world};

const SEEDS: u64 = 200;

fn plan(seed: u64) -> Plan {
    Plan::draw(seed, &Faults::all())
}

#[test]
fn a_sound_protocol_keeps_its_laws() {
    check_seeds(env!("CARGO_PKG_NAME"), "a_sound_protocol_keeps_its_laws", 0..500, |seed| {
        run_with(seed, plan(seed), Bug::None, Mistake::None)
    });
}

#[test]
fn a_sound_storage_keeps_them_on_a_disk() {
    check_seeds(env!("CARGO_PKG_NAME"), "a_sound_storage_keeps_them_on_a_disk", 0..200, |seed| {
        run(world::<on_disk::Journal>(seed, plan(seed), Bug::None))
    });
}

#[test]
fn every_mistake_of_a_driver_is_caught() {
    for mistake in [
        Mistake::Hasty,
        Mistake::ForgetsDeadlines,
        Mistake::ReordersDeliveries,
        Mistake::DropsFetches,
    ] {
        let caught = count_caught(0..SEEDS, |seed| run_with(seed, plan(seed), Bug::None, mistake));
        expect(&format!("{mistake:?}"), &caught);
    }
}

#[test]
fn every_bug_of_a_core_is_caught() {
    for bug in [Bug::AcksBeforeDurable, Bug::AcksBeforePersist, Bug::Idles] {
        let caught = count_caught(0..SEEDS, |seed| run_with(seed, plan(seed), bug, Mistake::None));
        expect(&format!("{bug:?}"), &caught);
    }
}

#[test]
fn the_simulator_keeps_its_promises() {
    for (name, law) in laws::LAWS {
        assert_eq!(law(), Ok(()), "{name}");
    }
}

#[expect(clippy::print_stdout, reason = "in how many seeds it was caught is worth knowing")]
fn expect(name: &str, caught: &Caught) {
    println!("{name}: {caught}");
    assert!(caught.runs <= caught.count * 100, "{name} is hardly ever caught: {caught}");
}
