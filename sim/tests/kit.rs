//! The kits pass what is right, and name what is wrong.

#[path = "kit/disk.rs"]
mod disk;
#[path = "kit/lock.rs"]
mod lock;
#[path = "kit/queue.rs"]
mod queue;
#[path = "kit/register.rs"]
mod register;
#[path = "kit/replicated_log.rs"]
mod replicated_log;
#[path = "kit/service.rs"]
mod service;
#[path = "kit/storage.rs"]
mod storage;
#[path = "kit/time_source.rs"]
mod time_source;
#[path = "kit/timer.rs"]
mod timer;
#[path = "kit/transport.rs"]
mod transport;

use quorate_sim::kit::Report;

/// Asserts that the kit rejects an implementation, and names these cases among others.
fn expect_failed(report: &Report, names: &[&str]) {
    for name in names {
        assert!(report.case(name).is_some(), "there is no case {name}");
        assert!(report.failed().any(|failed| failed == *name), "{name} passes\n{report}");
    }
}
