//! A lease holder: a server, a store, and one to three workers that answer reads from a copy.
//!
//! It promises that the register is linearizable, whatever happens to messages and nodes, as long
//! as no clock gains or loses more than 5 in 100.

use std::time::Duration;

use quorate_sim::check::models::{RegisterOp, RegisterReturn};
use quorate_sim::quorate_core::Storage as _;
use quorate_sim::{
    Boot, Delay, Done, Invoked, Knobs, Law, Mistake, Node, NodeId, Nodes, OpId, Records, Refused,
    Suite, System,
};

use crate::cases::{Case, Zoo};
use crate::registers;
use crate::station::{Delivery, Event, Request, SERVER, STORE, Station};

/// A mistake in a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bug {
    None,
    /// A worker relies on its lease as long as the server's clock would let it.
    IgnoresDrift,
    /// A worker counts the time from when the lease arrives, not from when it was asked for.
    CountsFromReceipt,
    /// The store takes what comes with an old token.
    TokenUnchecked,
    /// The server does not make its last token durable.
    TokenReused,
    /// The server grants a lease right after a restart.
    GrantsAtOnce,
    /// A worker counts its requests from 1 at each start: it takes answers to an older self.
    AnswersOldIncarnation,
    /// The store does a write again that comes again.
    AppliesTwice,
    /// The store acknowledges before it is durable.
    AcksBeforeSync,
    /// Nothing is done.
    Idles,
}

/// Returns the suite, its bugs, and the mistakes of a driver that it must notice.
pub(crate) fn cases() -> Vec<Case> {
    Zoo::new("lease holder", suite)
        .sound("lease_holder", Bug::None)
        .bug("lease_ignores_drift", Bug::IgnoresDrift, &["linearizable", "one holder"])
        .bug("lease_counts_from_receipt", Bug::CountsFromReceipt, &["linearizable", "one holder"])
        .bug("lease_token_unchecked", Bug::TokenUnchecked, &["linearizable", "one holder"])
        .bug("lease_token_reused", Bug::TokenReused, &["linearizable", "one holder"])
        .bug("lease_grants_at_once", Bug::GrantsAtOnce, &["linearizable", "one holder"])
        .bug(
            "lease_answers_old_incarnation",
            Bug::AnswersOldIncarnation,
            &["linearizable", "one holder"],
        )
        .bug("lease_applies_twice", Bug::AppliesTwice, &["linearizable", "one holder"])
        .bug("lease_acks_before_sync", Bug::AcksBeforeSync, &["linearizable", "one holder"])
        .bug("lease_idles", Bug::Idles, &["progress"])
        .mistake("lease_hasty", Bug::None, Mistake::Hasty, &["linearizable", "one holder"])
        .mistake("lease_forgets_deadlines", Bug::None, Mistake::ForgetsDeadlines, &["progress"])
        .cases()
}

fn suite(name: &'static str, bug: Bug) -> Suite<Stations> {
    let calm = Knobs::calm().down_for;
    Suite::new(name, Stations { bug })
        .nodes(3..=5)
        .clients(4)
        .operations(25)
        .time(Duration::from_secs(10))
        .workload(registers::draw)
        .law(OneHolder::default())
        .judge(("linearizable", registers::linearizable))
        // Each of them is needed: one may fail, but none is to spare in the end.
        .spare(|_| 0)
        .adjust(move |plan| {
            plan.max_down = 1;
            plan.knobs.max_drift_ppm *= 100;
            // In half of the runs who crashes is back before the others know.
            if plan.knobs.down_for != calm && plan.seed.is_multiple_of(2) {
                plan.knobs.down_for = Delay::exponential(Duration::ZERO, Duration::from_millis(20));
            }
        })
        .converges(Duration::from_secs(20), |_| Ok(()))
        .must_see(["crash", "power cut", "pause", "next holder", "token rejected", "read"])
}

/// The system: a server, a store, workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stations {
    bug: Bug,
}

impl System for Stations {
    type Core = Station;
    type Storage = Records<Station>;
    type Application = ();
    type Operation = RegisterOp;
    type Return = RegisterReturn;

    fn boot(&self, boot: &Boot<'_, Station>) -> Result<(Station, Records<Station>), Refused> {
        let records = boot.records_without_fetch();
        let kept: Result<Vec<_>, _> = records.replay().collect();
        let kept = kept.map_err(Refused::new)?;
        let station = match boot.id() {
            SERVER => Station::server(&kept, boot.now(), self.bug),
            STORE => Station::store(&kept, self.bug),
            _ => Station::worker(boot.seed(), self.bug),
        };
        Ok((station, records))
    }

    fn invoke(
        &self,
        node: &mut Node<Self>,
        id: OpId,
        operation: &RegisterOp,
        _: &mut Done<RegisterReturn>,
    ) -> Invoked {
        if [SERVER, STORE].contains(&node.id) {
            return Invoked::redirect(Some(NodeId(3)));
        }
        let now = node.now();
        let request = match operation {
            RegisterOp::Write(_) => Request::Write(id.unique()),
            _ => Request::Read,
        };
        node.core.request(now, id, request);
        Invoked::Started
    }

    fn deliver(&self, _: &mut Node<Self>, delivery: Delivery, done: &mut Done<RegisterReturn>) {
        match delivery {
            Delivery::Written { id } => done.ok(id, RegisterReturn::Done),
            Delivery::Found { id, value } => {
                done.ok(id, registers::found(value));
            }
            Delivery::Unknown { id } => done.info(id),
            Delivery::Granted { .. } => {}
        }
    }
}

/// Tokens rise, whoever relies on a lease has the last one that was granted, and as long as nobody
/// else opened the store, a holder's copy is what the store has.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneHolder {
    granted: u64,
    is_used: bool,
    is_rejected: bool,
}

impl Law<Stations> for OneHolder {
    fn name(&self) -> &'static str {
        "one holder"
    }

    fn delivered(&mut self, _: &Node<Stations>, delivery: &Delivery) -> Result<(), String> {
        let Delivery::Granted { token } = *delivery else { return Ok(()) };
        if token <= self.granted {
            return Err(format!("{token} is granted after {}", self.granted));
        }
        self.granted = token;
        Ok(())
    }

    fn told(&mut self, node: &Node<Stations>, event: &Event) -> Result<(), String> {
        match *event {
            Event::Used { token } if token < self.granted => {
                return Err(format!("{} relies on {token}, and {} holds", node.id, self.granted));
            }
            Event::Used { .. } => self.is_used = true,
            Event::Rejected => self.is_rejected = true,
        }
        Ok(())
    }

    fn check(&mut self, nodes: &Nodes<Stations>, _: &Node<Stations>) -> Result<(), String> {
        let Some(stored) = nodes.get(STORE).and_then(|node| node.core.stored()) else {
            return Ok(());
        };
        for node in nodes.iter() {
            if let Some(copy) = node.core.copy().filter(|copy| copy.0 == stored.0)
                && copy != stored
            {
                return Err(format!("{} has {:?}, and the store {:?}", node.id, copy.1, stored.1));
            }
        }
        Ok(())
    }

    fn seen(&self) -> Vec<&'static str> {
        let seen = [
            (1 < self.granted, "next holder"),
            (self.is_used, "read"),
            (self.is_rejected, "token rejected"),
        ];
        seen.into_iter().filter(|(is_seen, _)| *is_seen).map(|(_, name)| name).collect()
    }
}
