//! Cases for a register with compare-and-set: one value, which all clients see alike.

use std::cell::Cell;
use std::fmt::Debug;
use std::future::Future;

use quorate_core::{Certainty, SplitMix64};

use super::clients::{
    Client, Recorder, ServiceCase, Task, call, chance, give_up, give_way, patience, race, run_all,
    run_cases, script,
};
use super::{Checked, Report, done, ensure, expect};
use crate::check::models::{self, RegisterOp, RegisterReturn};
use crate::history::Value;

/// A client of a register.
///
/// An operation is polled by one thread. One that is dropped may have happened, or may happen
/// later, but not by halves, and it holds up nobody.
pub trait Register {
    /// Why an operation does not end well. One that is not definite may have happened.
    type Error: Certainty + Debug;

    /// Returns what the register holds; `None` before the first write.
    fn read(&self) -> impl Future<Output = Result<Option<u64>, Self::Error>>;

    /// Has the register hold `value`.
    fn write(&self, value: u64) -> impl Future<Output = Result<(), Self::Error>>;

    /// Has the register hold `new` if it holds `old`, and returns whether it did.
    fn compare_and_set(
        &self,
        old: Option<u64>,
        new: u64,
    ) -> impl Future<Output = Result<bool, Self::Error>>;
}

/// Checks a register. `make` returns so many clients of another one for each case and seed.
///
/// The service works: an operation that fails in a script fails its case. In a history, it counts
/// as what it says: definitely not done, or nobody knows.
///
/// # Examples
///
/// A register that compares, and then sets:
///
/// ```
/// # use std::convert::Infallible;
/// use std::{cell::Cell, rc::Rc};
/// # use std::{future::poll_fn, task::Poll};
/// use quorate_sim::kit::register::{self, Register};
///
/// #[derive(Clone, Default)]
/// struct Hasty(Rc<Cell<Option<u64>>>);
///
/// impl Register for Hasty {
///     type Error = Infallible;
///
///     async fn compare_and_set(&self, old: Option<u64>, new: u64) -> Result<bool, Infallible> {
///         let is_equal = self.read().await? == old;
///         if is_equal {
///             self.write(new).await?;
///         }
///         Ok(is_equal)
///     }
///     // ..
/// #   async fn read(&self) -> Result<Option<u64>, Infallible> {
/// #       pause().await;
/// #       Ok(self.0.get())
/// #   }
/// #   async fn write(&self, value: u64) -> Result<(), Infallible> {
/// #       pause().await;
/// #       self.0.set(Some(value));
/// #       Ok(())
/// #   }
/// }
/// # async fn pause() {
/// #     let mut is_over = false;
/// #     poll_fn(|cx| {
/// #         cx.waker().wake_by_ref();
/// #         if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
/// #     })
/// #     .await
/// # }
///
/// let report = register::check(|clients| vec![Hasty::default(); clients]);
/// assert!(report.failed().any(|name| name == "one_of_many_compare_and_sets_wins"), "{report}");
/// ```
pub fn check<R: Register>(make: impl FnMut(usize) -> Vec<R>) -> Report {
    run_cases("register", cases(), make)
}

fn cases<R: Register>() -> Vec<ServiceCase<R>> {
    vec![
        script("a_new_register_is_empty", 2, a_new_register_is_empty),
        script("a_read_returns_the_last_write", 2, a_read_returns_the_last_write),
        script("compare_and_set_replaces_what_matches", 2, replaces_what_matches),
        script("compare_and_set_keeps_what_differs", 2, keeps_what_differs),
        script("compare_and_set_tells_empty_from_zero", 1, tells_empty_from_zero),
        race("one_of_many_compare_and_sets_wins", one_wins),
        race("no_increment_is_lost", no_increment_is_lost),
        race("a_dropped_operation_holds_up_nobody", a_dropped_operation_holds_up_nobody),
        race("histories_are_linearizable", |clients, seed| history(clients, seed, false)),
        race("histories_with_dropped_operations_are_linearizable", |clients, seed| {
            history(clients, seed, true)
        }),
    ]
}

fn a_new_register_is_empty<R: Register>(clients: &[R], _seed: u64) -> Checked {
    clients.iter().try_for_each(|client| holds(client, None))
}

fn a_read_returns_the_last_write<R: Register>(clients: &[R], _seed: u64) -> Checked {
    for value in [7, 0, u64::from(u32::MAX), 7] {
        for writer in clients {
            call("write", writer.write(value + 1))?;
            call("write", writer.write(value))?;
            clients.iter().try_for_each(|client| holds(client, Some(value)))?;
        }
    }
    Ok(())
}

fn replaces_what_matches<R: Register>(clients: &[R], _seed: u64) -> Checked {
    let mut old = None;
    for (new, client) in (1..=10).zip(clients.iter().cycle()) {
        let is_set = call("compare_and_set", client.compare_and_set(old, new))?;
        expect("a compare-and-set of what is there", is_set, true)?;
        old = Some(new);
        clients.iter().try_for_each(|client| holds(client, old))?;
    }
    Ok(())
}

fn keeps_what_differs<R: Register>(clients: &[R], _seed: u64) -> Checked {
    let differs = |client: &R, old, held| {
        let is_set = call("compare_and_set", client.compare_and_set(old, 99))?;
        expect("a compare-and-set of what is not there", is_set, false)?;
        clients.iter().try_for_each(|client| holds(client, held))
    };
    differs(&clients[0], Some(5), None)?;
    call("write", clients[0].write(6))?;
    clients.iter().try_for_each(|client| {
        differs(client, Some(5), Some(6))?;
        differs(client, None, Some(6))
    })
}

fn tells_empty_from_zero<R: Register>(clients: &[R], _seed: u64) -> Checked {
    let client = &clients[0];
    let is_set = call("compare_and_set", client.compare_and_set(Some(0), 1))?;
    expect("a compare-and-set of 0 when it is empty", is_set, false)?;
    call("write", client.write(0))?;
    let is_set = call("compare_and_set", client.compare_and_set(None, 1))?;
    expect("a compare-and-set of nothing when it holds 0", is_set, false)?;
    holds(client, Some(0))
}

fn one_wins<R: Register>(clients: &[R], seed: u64) -> Checked {
    let (wins, winner) = (Cell::new(0), Cell::new(None));
    let (all_wins, last) = (&wins, &winner);
    run_all(
        seed,
        (1..).zip(clients).map(|(number, client)| -> Task<'_> {
            Box::pin(async move {
                let is_set = client.compare_and_set(None, number).await;
                if done("compare_and_set", is_set)? {
                    all_wins.set(all_wins.get() + 1);
                    last.set(Some(number));
                }
                Ok(())
            })
        }),
    )?;
    expect("the count of those who set an empty register", wins.get(), 1)?;
    holds(&clients[0], winner.get())
}

fn no_increment_is_lost<R: Register>(clients: &[R], seed: u64) -> Checked {
    call("write", clients[0].write(0))?;
    run_all(
        seed,
        clients.iter().map(|client| -> Task<'_> {
            Box::pin(async move {
                let mut left = INCREMENTS;
                // Whoever fails lost to another one, who succeeded.
                for _ in 0..INCREMENTS * clients.len() as u64 {
                    let old = done("read", client.read().await)?;
                    let new = old.unwrap_or_default() + 1;
                    let is_set = client.compare_and_set(old, new).await;
                    left -= u64::from(done("compare_and_set", is_set)?);
                    if left == 0 {
                        return Ok(());
                    }
                }
                ensure(false, || format!("{left} increments of {INCREMENTS} never succeed"))
            })
        }),
    )?;
    holds(&clients[0], Some(INCREMENTS * clients.len() as u64))
}

fn a_dropped_operation_holds_up_nobody<R: Register>(clients: &[R], seed: u64) -> Checked {
    let (first, rest) = clients.split_first().expect("there are some");
    let mut random = chance(seed, 0);
    for _ in 0..3 {
        let polls = 1 + random.below(3);
        let dropped: Task<'_> = Box::pin(async move {
            _ = give_up(polls, first.write(1)).await;
            _ = give_up(polls, first.read()).await;
            _ = give_up(polls, first.compare_and_set(Some(1), 2)).await;
            Ok(())
        });
        let others = rest.iter().map(|client| -> Task<'_> {
            Box::pin(async move { done("write", client.write(3).await) })
        });
        run_all(seed, std::iter::once(dropped).chain(others))?;
    }
    call("read", first.read()).map(drop)
}

fn history<R: Register>(clients: &[R], seed: u64, may_drop: bool) -> Checked {
    let recorder = Recorder::<models::Register>::new();
    run_all(
        seed,
        (1..).zip(clients).map(|(number, register)| -> Task<'_> {
            let (mut client, mut random) = (recorder.client(), chance(seed, number));
            Box::pin(async move {
                for _ in 0..OPERATIONS {
                    let polls = patience(&mut random, may_drop);
                    do_something(&mut client, register, &mut random, polls).await;
                    give_way(random.below(3)).await;
                }
                Ok(())
            })
        }),
    )?;
    recorder.judge(models::Register, seed)
}

async fn do_something<R: Register>(
    client: &mut Client<'_, models::Register>,
    register: &R,
    random: &mut SplitMix64,
    polls: u64,
) {
    let value = |number: u64| Value::Integer(i64::try_from(number).expect("it is small"));
    let (kind, old, new) = (random.below(3), random.below(VALUES), random.below(VALUES));
    let done = |is_set| if is_set { RegisterReturn::Done } else { RegisterReturn::Differs };
    match kind {
        0 => {
            let found =
                |found: Option<u64>| Some(RegisterReturn::Found(found.map_or(Value::Null, value)));
            _ = client.call(RegisterOp::Read, polls, register.read(), found).await;
        }
        1 => {
            let write = RegisterOp::Write(value(new));
            let written = |()| Some(RegisterReturn::Done);
            _ = client.call(write, polls, register.write(new), written).await;
        }
        _ => {
            let cas = RegisterOp::Cas { old: value(old), new: value(new) };
            let calling = register.compare_and_set(Some(old), new);
            _ = client.call(cas, polls, calling, |is_set| Some(done(is_set))).await;
        }
    }
}

/// Fails unless `client` reads `expected`.
fn holds<R: Register>(client: &R, expected: Option<u64>) -> Checked {
    expect("what is read", call("read", client.read())?, expected)
}

/// Of each client.
const INCREMENTS: u64 = 5;

/// Of each client.
const OPERATIONS: u64 = 8;

/// Few, so that a compare-and-set often finds what it expects.
const VALUES: u64 = 4;
