//! A primary and its backups, in every order of messages, writes, losses and crashes.

use std::time::Duration;

use quorate_core::{Instant, NodeId};

#[path = "exhaustive/adapter.rs"]
mod adapter;
#[expect(dead_code, reason = "the suites are for other tests")]
#[path = "simulation/copies.rs"]
mod copies;

use adapter::{Limits, Scope, explore};
use copies::{Bug, Copies, Value};

/// Three copies of two values.
#[derive(Clone, Debug)]
struct TwoValues(Bug);

impl Scope for TwoValues {
    type Core = Copies;

    fn nodes(&self) -> u64 {
        3
    }

    fn limits(&self) -> Limits {
        Limits { timeouts: 0, crashes: 1, losses: 1 }
    }

    fn start(&self, id: NodeId, records: &[Value], now: Instant) -> Copies {
        let ids = [NodeId(1), NodeId(2), NodeId(3)];
        Copies::new(id, &ids, records, now + Duration::from_secs(1), self.0)
    }

    fn command(&self, core: &mut Copies) {
        core.propose(7);
        core.propose(8);
    }

    fn view(&self, core: &Copies) -> String {
        format!("{core:?}")
    }

    /// What one of them delivered, all have written: the others will not lose it.
    fn holds(&self, cores: &[Copies]) -> bool {
        let delivered = cores.iter().map(Copies::delivered).max();
        cores.iter().all(|core| Some(core.count()) >= delivered)
    }

    fn is_reached(&self, cores: &[Copies]) -> bool {
        cores.iter().any(|core| core.delivered() == 2)
    }

    fn is_within(&self, _: &[Copies]) -> bool {
        true
    }
}

#[test]
fn what_is_delivered_is_written_everywhere_whatever_happens() {
    assert_eq!(explore(TwoValues(Bug::None)), 5_256);
}

#[test]
#[should_panic(expected = "the law breaks")]
fn an_acknowledgement_before_its_write_breaks_the_law() {
    explore(TwoValues(Bug::AcksBeforeDurable));
}
