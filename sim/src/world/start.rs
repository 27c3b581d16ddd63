//! How nodes start, for the first time and after a crash.

use super::site::Happening;
use super::{Kind, World};
use crate::decision::nanos;
use crate::law::{Broken, ViolationKind};
use crate::stream::Purpose;
use crate::system::{Boot, Node, System};
use crate::trace::What;

impl<S: System> World<S> {
    /// Starts every node and every client, once.
    pub(super) fn start(&mut self) -> Result<(), Broken> {
        if self.is_started {
            return Ok(());
        }
        self.is_started = true;
        for index in 0..self.plan.faults.len() {
            let at = nanos(self.plan.faults[index].at);
            self.queue.push(at, Happening::Fault { index });
        }
        for node in 0..self.sites.len() {
            self.boot(node)?;
        }
        self.start_clients();
        Ok(())
    }

    pub(super) fn boot(&mut self, node: usize) -> Result<(), Broken> {
        self.note(Kind::Boot, node, || What::Boots);
        let site = &mut self.sites[node];
        let seed = site.begin(&self.plan.knobs);
        let id = self.nodes.ids[node];
        let incarnation = u64::from(site.epoch) + 1;
        let now = site.clock.local(self.now);
        let tuning_number = crate::mix(self.plan.seed, Purpose::Tuning as u64, 0);
        let boot = Boot {
            id,
            ids: &self.nodes.ids,
            now,
            seed,
            incarnation,
            tuning_number,
            is_tuned: self.plan.knobs.is_tuned,
            clock: &site.wall,
            disk: &site.disk,
            log: &site.log,
        };
        self.stats.boots += 1;
        let strikes = site.disk.count_strikes();
        let (core, storage) = match self.system.boot(&boot) {
            Ok(parts) => parts,
            Err(refused) if strikes < site.disk.count_strikes() && !site.is_spoiled => {
                // The disk failed in the middle of it: whoever is on duty starts it again.
                site.end();
                let epoch = site.epoch;
                let at = self.now.saturating_add(RETRY_BOOT_NANOS);
                self.queue.push(at, Happening::Restart { node, epoch });
                self.note(Kind::Crash, node, || {
                    What::Chose(format!("cannot start, its disk fails: {refused}"))
                });
                return Ok(());
            }
            Err(refused) if site.is_spoiled => {
                site.is_refusing = true;
                self.stats.refused += 1;
                self.note(Kind::Crash, node, || {
                    What::Chose(format!("refuses to start, as it should: {refused}"))
                });
                return Ok(());
            }
            Err(refused) => {
                let why = format!("{id} cannot start: {refused}");
                return Err(Broken::new(ViolationKind::Start, "start", why));
            }
        };
        let application = S::Application::default();
        let live = Node { id, core, storage, application, now, incarnation };
        self.laws.iter_mut().for_each(|law| law.booted(&live));
        self.nodes.slots[node] = Some(live);
        self.settle(node)
    }
}

/// How soon a node is started again whose disk failed while it started.
const RETRY_BOOT_NANOS: u64 = 100_000_000;
