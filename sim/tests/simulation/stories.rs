//! Faults by hand, and what they do.

use std::io::ErrorKind;
use std::time::Duration;

use quorate_core::{NodeId, Storage, WriteId};
use quorate_sim::{Op, Plan, Records, Setting, Violation, ViolationKind, World, ready};

use super::copies::{self, Bug, Copies, Keep, PRIMARY, Store};
use super::on_disk::Journal;

const BACKUP: NodeId = NodeId(2);

fn world<K: Keep>() -> World<Store<K>> {
    copies::world(Plan::calm(3).with_seed(1).with_clients(4), Bug::None)
}

fn applied<K: Keep>(world: &World<Store<K>>, id: NodeId) -> u64 {
    world.node(id).map_or(0, |node| node.application.count)
}

const MILLIS_100: Duration = Duration::from_millis(100);

#[test]
fn what_a_paused_node_missed_comes_in_a_burst() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.run_for(MILLIS_100)?;
    world.pause(BACKUP)?;
    let before = (applied(&world, BACKUP), world.now());
    world.run_for(MILLIS_100)?;
    assert_eq!(applied(&world, BACKUP), before.0);
    world.resume(BACKUP)?;
    let delivered = world.stats().delivered;
    world.run_for(Duration::ZERO)?;
    assert!(delivered + 2 < world.stats().delivered, "all at the same time");
    assert_eq!(world.stats().lost, 0);
    Ok(())
}

#[test]
fn a_cut_is_one_way_and_heals() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.cut(BACKUP, PRIMARY);
    world.run_for(MILLIS_100)?;
    assert_eq!(applied(&world, PRIMARY), 0, "no acknowledgement arrives");
    assert!(world.node(BACKUP).is_some_and(|node| 0 < node.core.count()), "appends do");
    world.heal();
    world.run_for(MILLIS_100)?;
    assert!(0 < applied(&world, PRIMARY));
    Ok(())
}

#[test]
fn an_isolated_node_hears_and_says_nothing() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.isolate(BACKUP);
    world.run_for(MILLIS_100)?;
    assert_eq!(world.node(BACKUP).map(|node| node.core.count()), Some(0));
    assert_eq!(applied(&world, PRIMARY), 0);
    Ok(())
}

#[test]
fn a_node_that_crashed_starts_from_what_was_durable() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.run_for(MILLIS_100)?;
    let committed = applied(&world, PRIMARY);
    world.crash(BACKUP)?;
    assert!(world.node(BACKUP).is_none());
    world.run_for(MILLIS_100)?;
    world.restart(BACKUP)?;
    let node = world.node(BACKUP).expect("it was started");
    assert_eq!((node.incarnation(), node.application.count), (2, 0), "what is volatile is new");
    assert!(committed <= node.core.count());
    Ok(())
}

#[test]
fn what_is_compacted_is_not_replayed_and_writes_count_on() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.run_for(MILLIS_100)?;
    let count = world.with(BACKUP, |node| {
        let count = node.storage.replay().count();
        ready(node.storage.compact(WriteId(3))).expect("records never fail");
        assert_eq!(node.storage.replay().count(), count - 2);
        count
    })?;
    world.run_for(MILLIS_100)?;
    let node = world.node(BACKUP).expect("nothing fails");
    assert_eq!(node.storage.replay().count() as u64, node.core.count() - 2);
    assert!((count as u64) < node.core.count());
    Ok(())
}

#[test]
fn a_command_from_outside_is_drained_at_once() -> Result<(), Violation> {
    let plan = Plan::calm(3).with_seed(1);
    let mut world = copies::world::<Records<Copies>>(plan, Bug::None);
    world.run_for(MILLIS_100)?;
    let sent = world.stats().sent;
    let is_taken = world.with(PRIMARY, |node| node.core.propose(7))?;
    assert!(is_taken);
    world.run_for(Duration::from_millis(10))?;
    assert!(sent + 2 <= world.stats().sent);
    assert_eq!(applied(&world, PRIMARY), 1);
    Ok(())
}

#[test]
fn a_full_disk_is_tried_again() -> Result<(), Violation> {
    let mut world = world::<Journal>();
    world.run_for(MILLIS_100)?;
    world.disk(BACKUP).set_capacity(0);
    world.run_for(MILLIS_100)?;
    let stuck = applied(&world, PRIMARY);
    world.run_for(MILLIS_100)?;
    assert_eq!(applied(&world, PRIMARY), stuck);
    world.disk(BACKUP).clear_capacity();
    world.run_for(MILLIS_100)?;
    assert!(stuck < applied(&world, PRIMARY));
    assert_eq!(world.stats().crashes, 0);
    Ok(())
}

#[test]
fn a_storage_that_fails_stops_its_node_and_loses_nothing() -> Result<(), Violation> {
    let mut world = world::<Journal>();
    world.run_for(MILLIS_100)?;
    world.disk(BACKUP).fail(Op::Sync, 1, ErrorKind::Other);
    world.run_for(Duration::from_secs(10))?;
    assert_eq!((world.stats().crashes, world.stats().boots), (1, 4));
    world.heal_all()?;
    world.stop_clients();
    world.run_for(Duration::from_secs(10))?;
    assert_eq!(applied(&world, BACKUP), applied(&world, PRIMARY));
    assert!(0 < applied(&world, BACKUP));
    Ok(())
}

#[test]
fn a_node_that_cannot_start_is_a_violation() {
    let mut world = world::<Journal>();
    // Its folder has a file of another name.
    world.disk(BACKUP).install("diary", &[7; 40]);
    let violation = world.step().expect_err("a boot is refused");
    assert_eq!(violation.kind, ViolationKind::Start);
    assert!(violation.why.starts_with("n2 cannot start"), "{violation}");
}

#[test]
fn a_panic_is_a_violation_with_its_story() -> Result<(), Violation> {
    let mut world = world::<Records<Copies>>();
    world.run_for(MILLIS_100)?;
    let violation = world.with(PRIMARY, |_| panic!("as asked")).expect_err("it panics");
    assert_eq!((violation.kind, violation.why.as_str()), (ViolationKind::Panic, "as asked"));
    assert!(violation.story.contains("c0.0 calls put 1\n"), "{violation}");
    Ok(())
}

#[test]
fn equal_runs_have_equal_digests_with_and_without_a_story() -> Result<(), Violation> {
    let world = |seed| {
        let plan = Plan::draw(seed, &Setting::new(3..=3)).with_clients(2);
        copies::world::<Records<Copies>>(plan, Bug::None)
    };
    let run = |mut world: World<_>| {
        world.run_for(Duration::from_secs(5)).map(|()| world.trace().digest())
    };
    let digest = |seed| run(world(seed));
    let quiet = |seed| run(world(seed).without_story());
    for seed in 0..10 {
        assert_eq!(digest(seed)?, quiet(seed)?);
    }
    assert_ne!(digest(1)?, digest(2)?);
    Ok(())
}
