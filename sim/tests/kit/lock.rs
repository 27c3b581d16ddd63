//! Locks that break one promise each.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use quorate_sim::kit::lock;

use super::expect_failed;
use super::service::pause;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    LooksThenTakes,
    IsReentrant,
    TakesAnyToken,
    ForgetsWhatItReleased,
    CountsModuloThree,
    WakesNobody,
    WakesTheFirst,
    GrantsToTheDropped,
}

#[derive(Default)]
struct Shared {
    /// Who holds it, and the token.
    holder: Cell<Option<(usize, u64)>>,
    last: Cell<u64>,
    waiting: RefCell<VecDeque<Waker>>,
}

struct Lock {
    id: usize,
    shared: Rc<Shared>,
    fault: Fault,
}

fn clients(count: usize, fault: Fault) -> Vec<Lock> {
    let shared = Rc::new(Shared::default());
    (0..count).map(|id| Lock { id, shared: Rc::clone(&shared), fault }).collect()
}

impl Lock {
    fn take(&self) -> u64 {
        self.shared.last.set(self.shared.last.get() + 1);
        let token = match self.fault {
            Fault::CountsModuloThree => self.shared.last.get() % 3,
            _ => self.shared.last.get(),
        };
        self.shared.holder.set(Some((self.id, token)));
        token
    }

    fn free(&self) {
        self.shared.holder.set(None);
        match self.fault {
            Fault::WakesNobody => {}
            Fault::WakesTheFirst => {
                self.shared.waiting.borrow_mut().pop_front().into_iter().for_each(Waker::wake);
            }
            _ => self.shared.waiting.take().into_iter().for_each(Waker::wake),
        }
    }

    fn is_free_for_me(&self) -> bool {
        let holder = self.shared.holder.get();
        let is_mine = holder.is_some_and(|(id, _)| id == self.id);
        holder.is_none() || (is_mine && self.fault == Fault::IsReentrant)
    }
}

/// Gives the lock back, unless its token was told.
struct Granted<'a> {
    lock: &'a Lock,
    token: u64,
    is_told: bool,
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        let is_kept = self.is_told || self.lock.fault == Fault::GrantsToTheDropped;
        let is_mine = self.lock.shared.holder.get() == Some((self.lock.id, self.token));
        if !is_kept && is_mine {
            self.lock.free();
        }
    }
}

impl lock::Lock for Lock {
    type Error = Infallible;

    async fn acquire(&self) -> Result<u64, Infallible> {
        let token = poll_fn(|cx| {
            if self.is_free_for_me() {
                let is_late = self.fault == Fault::LooksThenTakes;
                return Poll::Ready(if is_late { 0 } else { self.take() });
            }
            self.shared.waiting.borrow_mut().push_back(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut granted = Granted { lock: self, token, is_told: false };
        pause().await;
        if self.fault == Fault::LooksThenTakes {
            granted.token = self.take();
        }
        granted.is_told = true;
        Ok(granted.token)
    }

    async fn release(&self, token: u64) -> Result<bool, Infallible> {
        pause().await;
        let is_held = match self.fault {
            Fault::TakesAnyToken => true,
            _ => self.shared.holder.get().is_some_and(|(_, held)| held == token),
        };
        if is_held {
            self.free();
        }
        let was_held = self.fault == Fault::ForgetsWhatItReleased
            && self.shared.holder.get().is_none()
            && token <= self.shared.last.get();
        Ok(is_held || was_held)
    }
}

#[test]
fn a_lock_without_a_fault_passes() {
    lock::check(|count| clients(count, Fault::None)).expect_passed();
}

#[test]
fn each_fault_of_a_lock_is_named() {
    let faults: [(Fault, &[&str]); 8] = [
        (Fault::LooksThenTakes, &["never_two_hold_it", "histories_are_linearizable"]),
        (Fault::IsReentrant, &["a_held_lock_makes_others_wait"]),
        (Fault::TakesAnyToken, &["a_stale_token_is_refused", "an_unknown_token_is_refused"]),
        (Fault::ForgetsWhatItReleased, &["a_token_is_released_once"]),
        (Fault::CountsModuloThree, &["tokens_rise"]),
        (Fault::WakesNobody, &["release_lets_the_next_one_in", "never_two_hold_it"]),
        (Fault::WakesTheFirst, &["a_dropped_waiter_holds_up_nobody"]),
        (Fault::GrantsToTheDropped, &["a_dropped_waiter_is_granted_nothing"]),
    ];
    // They mostly wait.
    std::thread::scope(|scope| {
        for (fault, names) in faults {
            scope.spawn(move || expect_failed(&lock::check(|count| clients(count, fault)), names));
        }
    });
}
