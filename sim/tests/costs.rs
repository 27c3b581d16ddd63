//! What a run costs, counted: allocations and memory, never time.

use std::time::Duration;

use quorate_sim::{Plan, World};

#[expect(dead_code, reason = "habits are for another test")]
#[path = "promises/pulse.rs"]
mod pulse;

use pulse::{Habit, Pulses};

/// For habits that nobody has here.
fn entropy() -> u64 {
    0
}

fn world() -> World<Pulses> {
    World::new(Pulses::new(Habit::None), Plan::calm(5)).without_story()
}

#[test]
fn a_message_costs_no_allocation_once_the_world_is_warm() {
    let mut world = world();
    world.run_for(Duration::from_secs(2)).expect("nothing can go wrong");
    let before = world.stats().delivered;
    let counted = allocation_counter::measure(|| {
        world.run_for(Duration::from_secs(10)).expect("nothing can go wrong");
    });
    assert!(before + 10_000 < world.stats().delivered);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn memory_does_not_grow_with_the_run() {
    let mut world = world();
    let mut peak = |seconds| {
        let run = || world.run_for(Duration::from_secs(seconds)).expect("nothing can go wrong");
        allocation_counter::measure(run).bytes_max
    };
    // 5 nodes that wake 100 times per second, and tell 4 others.
    let (first, rest) = (peak(10), peak(4_000));
    assert!(rest < first + 1_024, "{first} bytes in 10 s, and {rest} more in 4000 s");
    assert!(10_000_000 < world.stats().events, "{:?}", world.stats());
}

#[test]
fn a_story_keeps_no_more_than_it_shows() {
    let mut world = World::new(Pulses::new(Habit::None), Plan::calm(5));
    world.run_for(Duration::from_secs(10)).expect("nothing can go wrong");
    let counted = allocation_counter::measure(|| {
        world.run_for(Duration::from_secs(100)).expect("nothing can go wrong");
    });
    assert!(counted.bytes_max < 4_096, "{counted:?}");
    assert!(100_000 < world.trace().forgotten());
}
