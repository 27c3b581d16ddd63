//! Queues that break one promise each.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use quorate_sim::kit::queue;

use super::expect_failed;
use super::service::{Gate, pause};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    IsAStack,
    LooksThenTakes,
    RepeatsTheLast,
    DropsWhatIsTooMuch,
    PutsInLater,
    IsEmptyWhileBusy,
    TakesTwo,
    LeavesTwo,
    HoldsUpOthers,
}

#[derive(Default)]
struct Shared {
    values: RefCell<VecDeque<u64>>,
    /// What was acknowledged, and is not in the queue.
    late: RefCell<Vec<u64>>,
    last: Cell<Option<u64>>,
    busy: Cell<u32>,
    gate: Gate,
}

struct Queue {
    shared: Rc<Shared>,
    fault: Fault,
}

fn clients(count: usize, fault: Fault) -> Vec<Queue> {
    let shared = Rc::new(Shared::default());
    (0..count).map(|_| Queue { shared: Rc::clone(&shared), fault }).collect()
}

/// Counts the operations that are under way.
struct Busy<'a>(&'a Cell<u32>);

impl<'a> Busy<'a> {
    fn new(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl queue::Queue for Queue {
    type Error = Infallible;

    async fn enqueue(&self, value: u64) -> Result<(), Infallible> {
        let Shared { values, late, busy, gate, .. } = &*self.shared;
        let _busy = Busy::new(busy);
        pause().await;
        match self.fault {
            Fault::IsAStack => values.borrow_mut().push_front(value),
            Fault::PutsInLater => {
                // It goes with the next one, and behind it.
                let before = late.replace(vec![value]);
                values.borrow_mut().extend(before);
            }
            Fault::DropsWhatIsTooMuch if 100 <= values.borrow().len() => {}
            Fault::HoldsUpOthers => {
                gate.enter().await;
                pause().await;
                values.borrow_mut().push_back(value);
                gate.leave();
            }
            _ => values.borrow_mut().push_back(value),
        }
        pause().await;
        Ok(())
    }

    async fn dequeue(&self) -> Result<Option<u64>, Infallible> {
        let Shared { values, last, busy, .. } = &*self.shared;
        let _busy = Busy::new(busy);
        pause().await;
        if self.fault == Fault::IsEmptyWhileBusy && 1 < busy.get() {
            return Ok(None);
        }
        if self.fault == Fault::LooksThenTakes {
            let first = values.borrow().front().copied();
            pause().await;
            values.borrow_mut().pop_front();
            return Ok(first);
        }
        let first = values.borrow_mut().pop_front();
        if self.fault == Fault::TakesTwo {
            let second = values.borrow_mut().pop_front();
            pause().await;
            second.into_iter().for_each(|second| values.borrow_mut().push_front(second));
        }
        if let (Fault::LeavesTwo, Some(first)) = (self.fault, first) {
            // Until it is told that it was taken.
            values.borrow_mut().push_front(first);
            values.borrow_mut().push_front(first);
            pause().await;
            values.borrow_mut().drain(..2);
        }
        pause().await;
        let again = last.get().filter(|_| self.fault == Fault::RepeatsTheLast);
        last.set(first);
        Ok(first.or(again))
    }
}

#[test]
fn a_queue_without_a_fault_passes() {
    queue::check(|count| clients(count, Fault::None)).expect_passed();
}

#[test]
fn each_fault_of_a_queue_is_named() {
    let faults: [(Fault, &[&str]); 9] = [
        (Fault::IsAStack, &["what_is_first_in_is_first_out"]),
        (Fault::LooksThenTakes, &["nothing_is_lost_or_taken_twice", "histories_are_linearizable"]),
        (Fault::RepeatsTheLast, &["a_value_is_taken_once", "an_emptied_queue_goes_on"]),
        (Fault::DropsWhatIsTooMuch, &["many_values_have_room"]),
        (Fault::PutsInLater, &["nothing_is_lost_or_taken_twice"]),
        (Fault::IsEmptyWhileBusy, &["histories_are_linearizable"]),
        (Fault::TakesTwo, &["a_dropped_dequeue_takes_one_value_at_most"]),
        (Fault::LeavesTwo, &["a_dropped_dequeue_takes_one_value_at_most"]),
        (Fault::HoldsUpOthers, &["a_dropped_operation_holds_up_nobody"]),
    ];
    // They mostly wait.
    std::thread::scope(|scope| {
        for (fault, names) in faults {
            scope.spawn(move || expect_failed(&queue::check(|count| clients(count, fault)), names));
        }
    });
}
