//! What the services of these tests have in common.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Lets others go on once: what is before it and after it is not one step.
pub(crate) async fn pause() {
    let mut is_over = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Who enters it must leave it, or nobody else enters.
#[derive(Default)]
pub(crate) struct Gate {
    is_taken: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    pub(crate) async fn enter(&self) {
        poll_fn(|cx| {
            if !self.is_taken.replace(true) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn leave(&self) {
        self.is_taken.set(false);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}
