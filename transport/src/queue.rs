//! A queue between tasks, with a limit in items and in bytes.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use parking_lot::Mutex;

/// Many producers, one consumer. Closed once, for good.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    limits: Limits,
}

/// What a queue may hold. One item goes in even if it is larger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_items: usize,
    pub(crate) max_bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    is_closed: bool,
    consumer: Option<Waker>,
    producers: Vec<Waker>,
    /// Who is to be woken once the lock is free: a waker may run anything.
    woken: Vec<Waker>,
}

/// Why an item is not taken. It is given back.
#[derive(Debug)]
pub(crate) enum PushError<T> {
    Full(T),
    Closed(T),
}

impl<T> Queue<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            is_closed: false,
            consumer: None,
            producers: Vec::new(),
            woken: Vec::new(),
        };
        Self { state: Mutex::new(state), limits }
    }

    /// Adds an item, if there is room.
    pub(crate) fn try_push(&self, item: T, bytes: usize) -> Result<(), PushError<T>> {
        self.with(|state| {
            if state.is_closed {
                return Err(PushError::Closed(item));
            }
            if self.is_full(state, bytes) {
                return Err(PushError::Full(item));
            }
            state.push(item, bytes);
            Ok(())
        })
    }

    /// Adds an item, and drops the oldest ones that leave no room for it. Returns how many.
    pub(crate) fn push_dropping_oldest(&self, item: T, bytes: usize) -> u64 {
        self.with(|state| {
            let mut dropped = 0;
            if state.is_closed {
                return 1;
            }
            while self.is_full(state, bytes) && state.pop().is_some() {
                dropped += 1;
            }
            state.push(item, bytes);
            dropped
        })
    }

    /// Adds an item once there is room. Drops it if the queue is closed.
    #[cfg(feature = "tokio")]
    pub(crate) async fn push(&self, item: T, bytes: usize) {
        let mut item = Some(item);
        let waiting = poll_fn(|cx| {
            self.with(|state| {
                if !state.is_closed && self.is_full(state, bytes) {
                    // Many producers may share a task, and each is polled again and again.
                    if !state.producers.iter().any(|it| it.will_wake(cx.waker())) {
                        state.producers.push(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                if let Some(item) = item.take().filter(|_| !state.is_closed) {
                    state.push(item, bytes);
                }
                Poll::Ready(())
            })
        });
        pin!(waiting).await;
    }

    /// Takes the oldest item, or `None` once the queue is closed and empty.
    pub(crate) async fn pop(&self) -> Option<T> {
        let waiting = poll_fn(|cx| {
            self.with(|state| match state.pop() {
                Some(item) => Poll::Ready(Some(item)),
                None if state.is_closed => Poll::Ready(None),
                None => {
                    state.consumer = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        });
        pin!(waiting).await
    }

    /// Takes the oldest item, if there is one.
    pub(crate) fn try_pop(&self) -> Option<T> {
        self.with(State::pop)
    }

    /// Takes no further items, and drops those that wait.
    pub(crate) fn close(&self) {
        let dropped = self.with(|state| {
            state.is_closed = true;
            state.bytes = 0;
            state.woken.extend(state.consumer.take());
            state.woken.append(&mut state.producers);
            std::mem::take(&mut state.items)
        });
        // What waits may be somebody's answer: that is told without the lock, too.
        drop(dropped);
    }

    /// Does `work` under the lock, and then wakes who is to be woken without it.
    fn with<R>(&self, work: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.state.lock();
        let result = work(&mut state);
        let woken = std::mem::take(&mut state.woken);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    fn is_full(&self, state: &State<T>, bytes: usize) -> bool {
        let Limits { max_items, max_bytes } = self.limits;
        let is_over = max_bytes < state.bytes.saturating_add(bytes);
        !state.items.is_empty() && (max_items <= state.items.len() || is_over)
    }
}

impl<T> State<T> {
    fn push(&mut self, item: T, bytes: usize) {
        self.items.push_back((item, bytes));
        self.bytes += bytes;
        self.woken.extend(self.consumer.take());
    }

    fn pop(&mut self) -> Option<T> {
        let (item, bytes) = self.items.pop_front()?;
        self.bytes -= bytes;
        self.woken.append(&mut self.producers);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[test]
    fn limits_hold_in_items_and_bytes() {
        let queue = Queue::new(Limits { max_items: 2, max_bytes: 10 });
        assert!(queue.try_push(1, 20).is_ok(), "one goes in even if it is larger");
        assert!(matches!(queue.try_push(2, 1), Err(PushError::Full(2))));
        assert_eq!(queue.push_dropping_oldest(3, 5), 1);
        assert_eq!(queue.push_dropping_oldest(4, 5), 0);
        assert_eq!(queue.push_dropping_oldest(5, 1), 1);
        assert_eq!([queue.try_pop(), queue.try_pop(), queue.try_pop()], [Some(4), Some(5), None]);
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_producer_that_is_polled_again_waits_once() {
        let queue = Queue::new(Limits { max_items: 1, max_bytes: 10 });
        assert!(queue.try_push(1, 1).is_ok());
        let mut push = pin!(queue.push(2, 1));
        let mut cx = std::task::Context::from_waker(Waker::noop());
        for _ in 0..1000 {
            assert!(push.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(queue.state.lock().producers.len(), 1);
        assert_eq!(queue.try_pop(), Some(1));
        assert!(push.as_mut().poll(&mut cx).is_ready());
    }

    #[test]
    fn closing_ends_the_wait() {
        let queue = Queue::new(Limits { max_items: 2, max_bytes: 10 });
        assert!(queue.try_push(1, 1).is_ok());
        queue.close();
        assert_eq!(block_on(queue.pop()), None);
        assert!(matches!(queue.try_push(2, 1), Err(PushError::Closed(2))));
    }
}
