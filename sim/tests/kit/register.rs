//! Registers that break one promise each.

use std::cell::Cell;
use std::rc::Rc;

use quorate_core::Certainty;
use quorate_sim::kit::{Outcome, register};

use super::expect_failed;
use super::service::{Gate, pause};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    ComparesThenSets,
    SetsWhatDiffers,
    TakesEmptyForZero,
    ReadsItsCache,
    WritesLater,
    WritesByHalves,
    HoldsUpOthers,
    LosesAnswers,
    DeniesWhatItDid,
}

/// Why there is no answer.
#[derive(Debug)]
struct Failure {
    is_definite: bool,
}

impl Certainty for Failure {
    fn is_definite(&self) -> bool {
        self.is_definite
    }
}

#[derive(Default)]
struct Shared {
    value: Cell<Option<u64>>,
    /// What was acknowledged, and is not written.
    late: Cell<Option<u64>>,
    writes: Cell<u64>,
    gate: Gate,
}

struct Register {
    shared: Rc<Shared>,
    cache: Cell<Option<u64>>,
    fault: Fault,
}

fn clients(count: usize, fault: Fault) -> Vec<Register> {
    let shared = Rc::new(Shared::default());
    (0..count)
        .map(|_| Register { shared: Rc::clone(&shared), cache: Cell::default(), fault })
        .collect()
}

impl Register {
    /// Begins an operation, as on the way to a server.
    async fn begin(&self) {
        pause().await;
        if let Some(value) = self.shared.late.take() {
            self.shared.value.set(Some(value));
        }
    }

    async fn set(&self, value: u64) {
        match self.fault {
            Fault::WritesByHalves => {
                self.shared.value.set(Some(value & !1));
                pause().await;
            }
            Fault::HoldsUpOthers => {
                self.shared.gate.enter().await;
                pause().await;
                self.shared.gate.leave();
            }
            _ => {}
        }
        self.shared.value.set(Some(value));
    }
}

impl register::Register for Register {
    type Error = Failure;

    async fn read(&self) -> Result<Option<u64>, Failure> {
        let is_cached = self.fault == Fault::ReadsItsCache && self.cache.get().is_some();
        if !is_cached {
            pause().await;
            self.cache.set(self.shared.value.get());
            self.begin().await;
        }
        Ok(self.cache.get())
    }

    async fn write(&self, value: u64) -> Result<(), Failure> {
        self.begin().await;
        if self.fault == Fault::WritesLater {
            self.shared.late.set(Some(value));
        } else {
            self.set(value).await;
        }
        pause().await;
        self.shared.writes.set(self.shared.writes.get() + 1);
        let is_answered = !self.shared.writes.get().is_multiple_of(4);
        match self.fault {
            Fault::LosesAnswers if !is_answered => Err(Failure { is_definite: false }),
            Fault::DeniesWhatItDid if !is_answered => Err(Failure { is_definite: true }),
            _ => Ok(()),
        }
    }

    async fn compare_and_set(&self, old: Option<u64>, new: u64) -> Result<bool, Failure> {
        self.begin().await;
        let value = self.shared.value.get();
        let is_equal = match self.fault {
            Fault::TakesEmptyForZero => value.unwrap_or_default() == old.unwrap_or_default(),
            _ => value == old,
        };
        if self.fault == Fault::ComparesThenSets {
            pause().await;
        }
        if is_equal || self.fault == Fault::SetsWhatDiffers {
            self.shared.value.set(Some(new));
        }
        pause().await;
        Ok(is_equal)
    }
}

#[test]
fn a_register_without_a_fault_passes() {
    register::check(|count| clients(count, Fault::None)).expect_passed();
}

#[test]
fn each_fault_of_a_register_is_named() {
    let faults: [(Fault, &[&str]); 8] = [
        (Fault::ComparesThenSets, &["one_of_many_compare_and_sets_wins", "no_increment_is_lost"]),
        (Fault::SetsWhatDiffers, &["compare_and_set_keeps_what_differs"]),
        (Fault::TakesEmptyForZero, &["compare_and_set_tells_empty_from_zero"]),
        (Fault::ReadsItsCache, &["a_read_returns_the_last_write", "histories_are_linearizable"]),
        (Fault::WritesLater, &["histories_are_linearizable"]),
        (Fault::WritesByHalves, &["histories_are_linearizable"]),
        (Fault::DeniesWhatItDid, &["histories_are_linearizable"]),
        (Fault::HoldsUpOthers, &["a_dropped_operation_holds_up_nobody"]),
    ];
    // They mostly wait.
    std::thread::scope(|scope| {
        for (fault, names) in faults {
            scope.spawn(move || {
                expect_failed(&register::check(|count| clients(count, fault)), names);
            });
        }
    });
}

#[test]
fn what_nobody_knows_breaks_no_history() {
    let report = register::check(|count| clients(count, Fault::LosesAnswers));
    // A script needs its answers.
    expect_failed(&report, &["a_read_returns_the_last_write"]);
    let histories =
        ["histories_are_linearizable", "histories_with_dropped_operations_are_linearizable"];
    for name in histories {
        let case = report.case(name).expect("it is a case");
        assert_eq!(case.outcome, Outcome::Passed, "{report}");
    }
}
