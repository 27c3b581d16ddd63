//! The world, tried on a small sound protocol: it holds in every seed, and no bug or mistake does.

use quorate_sim::{Caught, Mistake, Records};

#[path = "simulation/copies.rs"]
mod copies;
#[path = "simulation/laws.rs"]
mod laws;
#[path = "simulation/on_disk.rs"]
mod on_disk;
#[path = "simulation/stories.rs"]
mod stories;

use copies::{Bug, Copies, suite};

type Memory = Records<Copies>;

const SEEDS: u64 = 200;

#[test]
fn a_sound_protocol_keeps_its_laws() {
    suite::<Memory>("a_sound_protocol_keeps_its_laws", Bug::None)
        .seeds(0..500)
        .must_see(["loss", "repeat", "crash", "power cut", "pause", "partition"])
        .run();
}

#[test]
fn a_sound_storage_keeps_them_on_a_disk() {
    suite::<on_disk::Journal>("a_sound_storage_keeps_them_on_a_disk", Bug::None)
        .seeds(0..200)
        .run();
}

#[test]
fn every_mistake_of_a_driver_is_caught() {
    for mistake in [
        Mistake::Hasty,
        Mistake::ForgetsDeadlines,
        Mistake::ReordersDeliveries,
        Mistake::DropsFetches,
    ] {
        let caught = suite::<Memory>("mistake", Bug::None).mistake(mistake).count_caught(0..SEEDS);
        expect(&format!("{mistake:?}"), &caught);
    }
}

#[test]
fn every_bug_of_a_core_is_caught() {
    for bug in [Bug::AcksBeforeDurable, Bug::AcksBeforePersist, Bug::Idles] {
        let caught = suite::<Memory>("bug", bug).count_caught(0..SEEDS);
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
