//! What happens between two operations of the disk: files that are used again while somebody reads
//! or restores them, and waits that lose what they wait for.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use quorate_wal::{Wal, WriteError};

use hooked::{At, Hooked};
use small::config;

#[path = "small/hooked.rs"]
mod hooked;
#[path = "small/log.rs"]
mod small;

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_waits_for_what_was_flushed_is_woken_when_the_disk_is_full() {
    let disk = Hooked::default();
    let (wal, _) = Wal::open_on(disk.clone(), config()).expect("the disk is empty");
    let mut flushed = wal.append("a").expect("within limits");
    wal.flush().expect("there is room");
    let late = wal.append("b").expect("within limits");
    disk.disk.set_capacity(disk.disk.used_bytes());
    let woken = Arc::new(Woken::default());
    let (waker, (sender, receiver)) = (Waker::from(Arc::clone(&woken)), mpsc::channel());
    disk.before(At::Write, 1, move || {
        let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending(), "another leads");
        sender.send(flushed).expect("it is waited for");
    });
    assert!(matches!(late.wait(), Err(WriteError::DiskFull)));
    disk.disk.clear_capacity();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1, "nobody leads now");
    let mut flushed = receiver.recv().expect("it was polled");
    let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(poll, Poll::Ready(Ok(()))));
}

#[test]
fn who_waits_for_what_was_flushed_is_woken_when_the_thread_ends() {
    for round in 0..50 {
        let (wal, _) = Wal::open_on(Hooked::default(), config()).expect("the disk is empty");
        let mut flushed = wal.append("a").expect("within limits");
        wal.flush().expect("there is room");
        let thread = wal.spawn_io_thread().expect("there is one");
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let poll = Pin::new(&mut flushed).poll(&mut Context::from_waker(&waker));
        drop(thread);
        assert!(poll.is_ready() || 0 < woken.0.load(Ordering::SeqCst), "round {round}");
    }
}
