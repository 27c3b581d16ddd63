//! Cases for a lock with fencing tokens: one holder, and each holder's token is larger.
//!
//! Source: Burrows, "The Chubby lock service" (2006), 2.4: a sequencer grows with each holder.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use quorate_core::Certainty;

use super::clients::{
    FOR_EVER, Recorder, ServiceCase, Task, call, chance, give_up, give_way, patience, race,
    run_all, run_cases, script,
};
use super::{Checked, Report, Stop, done, ensure, expect, wait, wait_for};
use crate::check::models::{self, LockOp, LockReturn};
use crate::history::Value;

/// A client of a lock.
///
/// An operation is polled by one thread. An acquisition that is dropped while it waits gives the
/// lock back, if it was granted meanwhile: at once, or soon, as a lease of less than a second ends.
pub trait Lock {
    /// Why an operation does not end well. One that is not definite may have happened.
    type Error: Certainty + Debug;

    /// Waits until nobody holds the lock, not even this client, takes it, and returns the token of
    /// this holder: larger than any before.
    fn acquire(&self) -> impl Future<Output = Result<u64, Self::Error>>;

    /// Gives the lock back, if its holder has `token`. Returns `false` if that is not the token of
    /// who holds it now.
    fn release(&self, token: u64) -> impl Future<Output = Result<bool, Self::Error>>;
}

/// Checks a lock. `make` returns so many clients of another one for each case and seed.
///
/// The service works: an operation that fails in a script fails its case. In a history, it counts
/// as what it says: definitely not done, or nobody knows.
pub fn check<L: Lock>(make: impl FnMut(usize) -> Vec<L>) -> Report {
    run_cases("lock", cases(), make)
}

fn cases<L: Lock>() -> Vec<ServiceCase<L>> {
    vec![
        script("a_free_lock_is_granted", 2, a_free_lock_is_granted),
        script("a_held_lock_makes_others_wait", 2, a_held_lock_makes_others_wait),
        script("release_lets_the_next_one_in", 3, release_lets_the_next_one_in),
        script("tokens_rise", 3, tokens_rise),
        script("a_stale_token_is_refused", 2, a_stale_token_is_refused),
        script("a_token_is_released_once", 2, a_token_is_released_once),
        script("an_unknown_token_is_refused", 2, an_unknown_token_is_refused),
        race("a_dropped_waiter_holds_up_nobody", |clients, seed| drop_waiter(clients, seed, 2)),
        race("a_dropped_waiter_is_granted_nothing", |clients, seed| {
            drop_waiter(clients, seed, 3 * HELD_FOR)
        }),
        race("never_two_hold_it", |clients, seed| take_turns(clients, seed, false)),
        race("never_two_hold_it_when_waiters_are_dropped", |clients, seed| {
            take_turns(clients, seed, true)
        }),
        race("histories_are_linearizable", history),
    ]
}

fn a_free_lock_is_granted<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    for client in clients {
        let token = call("acquire", client.acquire())?;
        release(client, token)?;
    }
    Ok(())
}

fn a_held_lock_makes_others_wait<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    let token = call("acquire", clients[0].acquire())?;
    for client in clients {
        if let Some(granted) = wait_for(MOMENT, client.acquire()) {
            return Err(Stop::broken(format!("it is held with {token}, and granted: {granted:?}")));
        }
    }
    Ok(())
}

fn release_lets_the_next_one_in<L: Lock>(clients: &[L], seed: u64) -> Checked {
    let token = call("acquire", clients[0].acquire())?;
    let next: Task<'_> = Box::pin(async {
        let token = done("acquire", clients[1].acquire().await)?;
        ensure_released(clients[1].release(token).await)
    });
    let holder: Task<'_> = Box::pin(async {
        // The other one waits by then, and must be woken.
        give_way(10).await;
        ensure_released(clients[0].release(token).await)
    });
    run_all(seed, [next, holder])
}

fn tokens_rise<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    let mut last = None;
    for client in clients.iter().cycle().take(20) {
        let token = call("acquire", client.acquire())?;
        ensure(last < Some(token), || format!("token {token} follows {last:?}"))?;
        last = Some(token);
        release(client, token)?;
    }
    Ok(())
}

fn a_stale_token_is_refused<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    let stale = call("acquire", clients[0].acquire())?;
    release(&clients[0], stale)?;
    let token = call("acquire", clients[1].acquire())?;
    refused(&clients[0], stale)?;
    still_held(&clients[1], &clients[0], token)
}

fn a_token_is_released_once<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    let token = call("acquire", clients[0].acquire())?;
    release(&clients[0], token)?;
    refused(&clients[0], token)?;
    let next = call("acquire", clients[1].acquire())?;
    release(&clients[1], next)
}

fn an_unknown_token_is_refused<L: Lock>(clients: &[L], _seed: u64) -> Checked {
    let token = call("acquire", clients[0].acquire())?;
    for other in [token + 1, u64::MAX] {
        refused(&clients[1], other)?;
    }
    still_held(&clients[0], &clients[1], token)
}

/// Of those who wait, one is dropped after `polls` at most: before the lock is released, or when it
/// is its turn.
fn drop_waiter<L: Lock>(clients: &[L], seed: u64, polls: u64) -> Checked {
    let token = call("acquire", clients[0].acquire())?;
    let polls = 1 + chance(seed, 0).below(polls);
    let dropped: Task<'_> = Box::pin(async move {
        match give_up(polls, clients[1].acquire()).await {
            Some(token) => ensure_released(clients[1].release(done("acquire", token)?).await),
            None => Ok(()),
        }
    });
    let next: Task<'_> = Box::pin(async {
        // Mostly, the other one waits before.
        give_way(2).await;
        let token = done("acquire", clients[2].acquire().await)?;
        ensure_released(clients[2].release(token).await)
    });
    let holder: Task<'_> = Box::pin(async {
        give_way(HELD_FOR).await;
        ensure_released(clients[0].release(token).await)
    });
    run_all(seed, [dropped, next, holder])
}

/// All acquire and release again and again. Everybody has a turn.
fn take_turns<L: Lock>(clients: &[L], seed: u64, may_drop: bool) -> Checked {
    let (holder, tokens) = (Cell::new(None), RefCell::new(Vec::new()));
    let (now, all) = (&holder, &tokens);
    run_all(
        seed,
        (1_u64..).zip(clients).map(|(number, client)| -> Task<'_> {
            let mut random = chance(seed, number);
            Box::pin(async move {
                for _ in 0..TURNS {
                    let polls = patience(&mut random, may_drop);
                    let Some(acquired) = give_up(polls, client.acquire()).await else { continue };
                    let token = done("acquire", acquired)?;
                    if let Some(other) = now.replace(Some(number)) {
                        let why = format!("with seed {seed}, {other} and {number} both hold it");
                        return Err(Stop::Broken(why));
                    }
                    all.borrow_mut().push(token);
                    give_way(random.below(4)).await;
                    now.set(None);
                    ensure_released(client.release(token).await)?;
                }
                Ok(())
            })
        }),
    )?;
    let tokens = tokens.borrow();
    let is_rising = tokens.windows(2).all(|pair| pair[0] < pair[1]);
    ensure(is_rising, || format!("with seed {seed}, tokens are {tokens:?}"))
}

fn history<L: Lock>(clients: &[L], seed: u64) -> Checked {
    let recorder = Recorder::<models::Lock>::new();
    run_all(
        seed,
        (1_i64..).zip(clients).map(|(number, lock)| -> Task<'_> {
            let (mut client, mut random) = (recorder.client(), chance(seed, number.unsigned_abs()));
            Box::pin(async move {
                for _ in 0..TURNS {
                    let polls = patience(&mut random, true);
                    let acquire = LockOp::Acquire(Value::Integer(number));
                    let granted = |token| Some(LockReturn::Token(token));
                    let token = client.call(acquire, polls, lock.acquire(), granted).await;
                    let Some(token) = token else { continue };
                    give_way(random.below(3)).await;
                    let release = LockOp::Release(Value::Integer(number));
                    let released = |is_done: bool| is_done.then_some(LockReturn::Released);
                    _ = client.call(release, FOR_EVER, lock.release(token), released).await;
                }
                Ok(())
            })
        }),
    )?;
    recorder.judge(models::Lock, seed)
}

fn release<L: Lock>(client: &L, token: u64) -> Checked {
    ensure_released(wait("release", client.release(token))?)
}

fn ensure_released<E: Debug>(released: Result<bool, E>) -> Checked {
    expect("a release by the holder", done("release", released)?, true)
}

fn refused<L: Lock>(client: &L, token: u64) -> Checked {
    let is_released = call("release", client.release(token))?;
    ensure(!is_released, || format!("a release with {token} is taken, which holds nothing"))
}

/// Fails if the lock is not held by `holder`.
fn still_held<L: Lock>(holder: &L, other: &L, token: u64) -> Checked {
    if let Some(granted) = wait_for(MOMENT, other.acquire()) {
        return Err(Stop::broken(format!("it is held with {token}, and granted: {granted:?}")));
    }
    release(holder, token)
}

/// Long enough for what should not happen.
const MOMENT: Duration = Duration::from_millis(20);

/// So many polls, the holder keeps the lock while others wait.
const HELD_FOR: u64 = 6;

/// Of each client.
const TURNS: u64 = 8;
