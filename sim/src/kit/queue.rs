//! Cases for a queue: what is put in comes out once, in the same order.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;

use quorate_core::{Certainty, SplitMix64};

use super::clients::{
    Client, Recorder, ServiceCase, Task, call, chance, give_up, give_way, patience, race, run_all,
    run_cases, script,
};
use super::{Checked, Report, Stop, done, ensure, expect};
use crate::check::models::{self, QueueOp, SequenceReturn};
use crate::history::Value;

/// A client of a queue.
///
/// An operation is polled by one thread. One that is dropped may have happened, or may happen
/// later: what a dropped [`dequeue`](Self::dequeue) took is lost, and no more than that.
pub trait Queue {
    /// Why an operation does not end well. One that is not definite may have happened.
    type Error: Certainty + Debug;

    /// Puts `value` behind all others. No value is put in twice.
    fn enqueue(&self, value: u64) -> impl Future<Output = Result<(), Self::Error>>;

    /// Takes the first value out; `None` if there is none. It waits for nobody to put one in.
    fn dequeue(&self) -> impl Future<Output = Result<Option<u64>, Self::Error>>;
}

/// Checks a queue. `make` returns so many clients of another one for each case and seed.
///
/// The service works: an operation that fails in a script fails its case. In a history, it counts
/// as what it says: definitely not done, or nobody knows. It has room for 1,000 values.
pub fn check<Q: Queue>(make: impl FnMut(usize) -> Vec<Q>) -> Report {
    run_cases("queue", cases(), make)
}

fn cases<Q: Queue>() -> Vec<ServiceCase<Q>> {
    vec![
        script("a_new_queue_is_empty", 2, a_new_queue_is_empty),
        script("what_is_first_in_is_first_out", 2, first_in_first_out),
        script("a_value_is_taken_once", 3, a_value_is_taken_once),
        script("an_emptied_queue_goes_on", 2, an_emptied_queue_goes_on),
        script("many_values_have_room", 1, many_values_have_room),
        race("nothing_is_lost_or_taken_twice", nothing_is_lost),
        race("values_of_one_client_keep_their_order", values_of_one_client),
        race("a_dropped_operation_holds_up_nobody", a_dropped_operation_holds_up_nobody),
        race("a_dropped_dequeue_takes_one_value_at_most", a_dropped_dequeue),
        race("histories_are_linearizable", |clients, seed| history(clients, seed, false)),
        race("histories_with_dropped_operations_are_linearizable", |clients, seed| {
            history(clients, seed, true)
        }),
    ]
}

fn a_new_queue_is_empty<Q: Queue>(clients: &[Q], _seed: u64) -> Checked {
    clients.iter().try_for_each(|client| gives(client, None))
}

fn first_in_first_out<Q: Queue>(clients: &[Q], _seed: u64) -> Checked {
    put(clients, &[3, 1, 2])?;
    gives(&clients[0], Some(3))?;
    put(clients, &[4])?;
    for (value, client) in [1, 2, 4].into_iter().zip(clients.iter().cycle()) {
        gives(client, Some(value))?;
    }
    gives(&clients[0], None)
}

fn a_value_is_taken_once<Q: Queue>(clients: &[Q], _seed: u64) -> Checked {
    put(clients, &[7])?;
    gives(&clients[2], Some(7))?;
    clients.iter().try_for_each(|client| gives(client, None))
}

fn an_emptied_queue_goes_on<Q: Queue>(clients: &[Q], _seed: u64) -> Checked {
    for round in 1..10 {
        put(clients, &[2 * round, 2 * round + 1])?;
        gives(&clients[0], Some(2 * round))?;
        gives(&clients[1], Some(2 * round + 1))?;
        gives(&clients[0], None)?;
    }
    Ok(())
}

fn many_values_have_room<Q: Queue>(clients: &[Q], _seed: u64) -> Checked {
    let client = &clients[0];
    (0..ROOM).try_for_each(|value| call("enqueue", client.enqueue(value)))?;
    (0..ROOM).try_for_each(|value| gives(client, Some(value)))?;
    gives(client, None)
}

fn nothing_is_lost<Q: Queue>(clients: &[Q], seed: u64) -> Checked {
    let taken = take_in_turns(clients, seed)?;
    let mut seen = BTreeSet::new();
    for value in taken {
        ensure(seen.insert(value), || format!("with seed {seed}, {value} is taken twice"))?;
    }
    let all: BTreeSet<u64> = (1..=clients.len() as u64).flat_map(values_of).collect();
    ensure(seen == all, || {
        let lost: Vec<u64> = all.difference(&seen).copied().collect();
        let more: Vec<u64> = seen.difference(&all).copied().collect();
        format!("with seed {seed}, {lost:?} are lost, and {more:?} were never put in")
    })
}

fn values_of_one_client<Q: Queue>(clients: &[Q], seed: u64) -> Checked {
    let (first, rest) = clients.split_first().expect("there are some");
    run_all(seed, (1..).zip(rest).map(|(number, client)| enqueue_all(client, number)))?;
    let taken = empty(first)?;
    for number in 1..=rest.len() as u64 {
        let expected: Vec<u64> = values_of(number).collect();
        let found: Vec<u64> =
            taken.iter().copied().filter(|value| expected.contains(value)).collect();
        ensure(found == expected, || {
            format!("with seed {seed}, {expected:?} were put in by one, and {found:?} come out")
        })?;
    }
    Ok(())
}

fn a_dropped_operation_holds_up_nobody<Q: Queue>(clients: &[Q], seed: u64) -> Checked {
    let (first, rest) = clients.split_first().expect("there are some");
    let mut random = chance(seed, 0);
    for round in 1..4 {
        let polls = 1 + random.below(3);
        let dropped: Task<'_> = Box::pin(async move {
            _ = give_up(polls, first.enqueue(1_000 * round)).await;
            _ = give_up(polls, first.dequeue()).await;
            Ok(())
        });
        let others = (1..).zip(rest).map(|(number, client)| -> Task<'_> {
            Box::pin(async move {
                done("enqueue", client.enqueue(1_000 * round + number).await)?;
                done("dequeue", client.dequeue().await).map(drop)
            })
        });
        run_all(seed, std::iter::once(dropped).chain(others))?;
    }
    call("dequeue", first.dequeue()).map(drop)
}

fn a_dropped_dequeue<Q: Queue>(clients: &[Q], seed: u64) -> Checked {
    let expected: Vec<u64> = values_of(1).collect();
    put(clients, &expected)?;
    let mut random = chance(seed, 0);
    let (polls, drops) = (random.below(4), 3);
    let first = &clients[0];
    let dropped: Task<'_> = Box::pin(async move {
        for _ in 0..drops {
            if let Some(Err(error)) = give_up(polls, first.dequeue()).await {
                return Err(Stop::Broken(format!("dequeue failed: {error:?}")));
            }
        }
        Ok(())
    });
    run_all(seed, [dropped])?;
    let left = empty(&clients[1])?;
    ensure(expected.len() <= left.len() + drops, || {
        let count = expected.len() - left.len();
        format!("with seed {seed}, {drops} dequeues took {count} values: {left:?} are left")
    })?;
    let is_good = left.is_sorted_by(|one, next| one < next);
    ensure(is_good, || format!("with seed {seed}, what is left is {left:?}"))
}

fn history<Q: Queue>(clients: &[Q], seed: u64, may_drop: bool) -> Checked {
    let recorder = Recorder::<models::Queue>::new();
    run_all(
        seed,
        (1..).zip(clients).map(|(number, queue)| -> Task<'_> {
            let (mut client, mut random) = (recorder.client(), chance(seed, number));
            Box::pin(async move {
                for value in values_of(number) {
                    let polls = patience(&mut random, may_drop);
                    do_something(&mut client, queue, &mut random, (value, polls)).await;
                    give_way(random.below(3)).await;
                }
                Ok(())
            })
        }),
    )?;
    recorder.judge(models::Queue, seed)
}

async fn do_something<Q: Queue>(
    client: &mut Client<'_, models::Queue>,
    queue: &Q,
    random: &mut SplitMix64,
    (value, polls): (u64, u64),
) {
    let of = |number: u64| Value::Integer(i64::try_from(number).expect("it is small"));
    if random.below(2) == 0 {
        let enqueue = QueueOp::Enqueue(of(value));
        let put = |()| Some(SequenceReturn::Done);
        _ = client.call(enqueue, polls, queue.enqueue(value), put).await;
    } else {
        let taken = |taken: Option<u64>| {
            Some(taken.map_or(SequenceReturn::Empty, |value| SequenceReturn::Taken(of(value))))
        };
        _ = client.call(QueueOp::Dequeue, polls, queue.dequeue(), taken).await;
    }
}

/// Has each client put its values in, and take some out. Returns what was taken, and what was left.
fn take_in_turns<Q: Queue>(clients: &[Q], seed: u64) -> Checked<Vec<u64>> {
    let taken = RefCell::new(Vec::new());
    let all = &taken;
    run_all(
        seed,
        (1..).zip(clients).map(|(number, client)| -> Task<'_> {
            let mut random = chance(seed, number);
            Box::pin(async move {
                for value in values_of(number) {
                    done("enqueue", client.enqueue(value).await)?;
                    give_way(random.below(3)).await;
                    let value = done("dequeue", client.dequeue().await)?;
                    all.borrow_mut().extend(value);
                }
                Ok(())
            })
        }),
    )?;
    let mut taken = taken.into_inner();
    taken.extend(empty(&clients[0])?);
    Ok(taken)
}

fn enqueue_all<Q: Queue>(client: &Q, number: u64) -> Task<'_> {
    Box::pin(async move {
        for value in values_of(number) {
            done("enqueue", client.enqueue(value).await)?;
        }
        Ok(())
    })
}

/// Takes all out.
fn empty<Q: Queue>(client: &Q) -> Checked<Vec<u64>> {
    let mut taken = Vec::new();
    while let Some(value) = call("dequeue", client.dequeue())? {
        taken.push(value);
        ensure(taken.len() <= 10_000, || "it never gets empty".to_owned())?;
    }
    Ok(taken)
}

fn put<Q: Queue>(clients: &[Q], values: &[u64]) -> Checked {
    let mut clients = clients.iter().cycle();
    values
        .iter()
        .zip(&mut clients)
        .try_for_each(|(value, client)| call("enqueue", client.enqueue(*value)))
}

/// Fails unless `client` takes out `expected`.
fn gives<Q: Queue>(client: &Q, expected: Option<u64>) -> Checked {
    expect("what is taken out", call("dequeue", client.dequeue())?, expected)
}

/// The values that one client puts in, in order.
fn values_of(client: u64) -> impl Iterator<Item = u64> {
    (1..=VALUES).map(move |value| 100 * client + value)
}

/// Of each client.
const VALUES: u64 = 8;

const ROOM: u64 = 1_000;
