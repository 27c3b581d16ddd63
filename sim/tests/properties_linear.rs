//! Laws of the checker over any history: it agrees with every order tried out, finds what an atomic
//! object did, and takes no more memory than it may.

use std::fmt::Display;

use proptest::prelude::*;
use quorate_core::SplitMix64;
use quorate_sim::check::models::{
    Lock, LockOp, LockReturn, Queue, QueueOp, Register, RegisterOp, RegisterReturn, SequenceReturn,
};
use quorate_sim::check::{At, Each, Linearizable, Model, Verdict, Whole};
use quorate_sim::history::{Outcome, Vocabulary, lines};
use quorate_sim::{History, Instant};

/// An operation by small numbers: when it was called, how long it took, which it is, what it
/// returned, and how it ended.
type Drawn = (u64, u64, u8, u8, u8);

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    prop::collection::vec((0..12_u64, 0..6_u64, 0..8_u8, 0..8_u8, 0..8_u8), 1..=7)
}

/// Makes a history; `ends` says how many of 8 are unknown.
fn history<O, R>(
    drawn: &[Drawn],
    unknown: u8,
    make: impl Fn(u8, u8, u64) -> (O, R),
) -> History<O, R> {
    let mut history = History::new();
    for (number, (called, took, what, result, end)) in (0..).zip(drawn) {
        let process = history.start();
        let (operation, returned) = make(*what, *result, number % 3);
        let (called, at) = (Instant::from_nanos(*called), Instant::from_nanos(called + took));
        let call = history.invoke(process, called, operation);
        match end {
            end if *end < unknown => history.info(call, at),
            7 => _ = history.fail(call, at),
            _ => _ = history.ok(call, at, returned),
        }
    }
    history
}

fn register(what: u8, result: u8, _client: u64) -> (RegisterOp, RegisterReturn) {
    let value = |it: u8| i64::from(it).into();
    let done = |operation| (operation, RegisterReturn::Done);
    match what {
        0..3 => (RegisterOp::Read, RegisterReturn::Found(value(result % 3))),
        3..5 => done(RegisterOp::Write(value(what % 3))),
        _ => {
            let cas = RegisterOp::Cas { old: value(what % 3), new: value(result % 3) };
            if result < 5 { done(cas) } else { (cas, RegisterReturn::Differs) }
        }
    }
}

fn queue(what: u8, result: u8, _client: u64) -> (QueueOp, SequenceReturn) {
    match (what, result) {
        (0..4, _) => (QueueOp::Enqueue(i64::from(what % 3).into()), SequenceReturn::Done),
        (4, _) => (QueueOp::Len, SequenceReturn::Len(u64::from(result % 3))),
        (_, 0) => (QueueOp::Dequeue, SequenceReturn::Empty),
        _ => (QueueOp::Dequeue, SequenceReturn::Taken(i64::from(result % 3).into())),
    }
}

fn lock(what: u8, result: u8, client: u64) -> (LockOp, LockReturn) {
    let client = i64::try_from(client).expect("it is small").into();
    match (what, result) {
        (0..4, 0) => (LockOp::Acquire(client), LockReturn::Held),
        (0..4, _) => (LockOp::Acquire(client), LockReturn::Token(u64::from(result % 5) + 1)),
        _ => (LockOp::Release(client), LockReturn::Released),
    }
}

/// Tries every order. `done` has a bit for each operation that needs no other place.
fn any_order<M: Model>(
    model: &M,
    history: &History<M::Operation, M::Return>,
    state: &M::State,
    done: u32,
) -> bool {
    let spans = history.spans();
    let is_left = |index: &usize| done & (1 << index) == 0;
    let left = (0..spans.len()).filter(is_left);
    let mut left = left.filter(|index| !matches!(spans[*index].outcome, Outcome::Fail { .. }));
    let ends = |index: &usize| match &spans[*index].outcome {
        Outcome::Ok { at, .. } => Some(*at),
        Outcome::Fail { .. } | Outcome::Info { .. } => None,
    };
    let Some(first_end) = left.clone().filter_map(|it| ends(&it)).min() else { return true };
    left.any(|index| {
        let span = &spans[index];
        span.called <= first_end
            && model
                .step(state, &span.operation, span.outcome.returned())
                .is_some_and(|next| any_order(model, history, &next, done | 1 << index))
    })
}

fn check_all_orders<M>(model: M, history: &History<M::Operation, M::Return>)
where
    M: Model,
    M::Operation: Display,
    M::Return: Display,
{
    let expected = any_order(&model, history, &model.initial(), 0);
    let verdict = Linearizable::whole(model).check(history);
    assert!(!matches!(verdict, Verdict::Unknown { .. }));
    assert_eq!(verdict.is_linearizable(), expected, "{verdict:#}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_register_is_judged_as_by_every_order(drawn in drawn(), unknown in 0..4_u8) {
        check_all_orders(Register, &history(&drawn, unknown, register));
    }

    #[test]
    fn a_queue_is_judged_as_by_every_order(drawn in drawn(), unknown in 0..4_u8) {
        check_all_orders(Queue, &history(&drawn, unknown, queue));
    }

    #[test]
    fn a_lock_is_judged_as_by_every_order(drawn in drawn(), unknown in 0..4_u8) {
        check_all_orders(Lock, &history(&drawn, unknown, lock));
    }

    /// Herlihy and Wing's theorem, on two registers.
    #[test]
    fn each_key_or_all_at_once_is_the_same(drawn in drawn(), unknown in 0..4_u8) {
        let of_key = |what: u8, result: u8, client: u64| {
            let (operation, returned) = register(what, result, client);
            (At::new(i64::from(result % 2), operation), returned)
        };
        let history = history(&drawn, unknown, of_key);
        let by_key = Linearizable::by_key(Each(Register)).check(&history);
        let whole = Linearizable::whole(Whole(Each(Register))).check(&history);
        prop_assert_eq!(by_key.is_linearizable(), whole.is_linearizable());
    }

    #[test]
    fn json_lines_undo_themselves(mut drawn in drawn(), unknown in 0..4_u8) {
        drawn.sort_by_key(|it| it.0);
        check_lines(&Register, &history(&drawn, unknown, register));
        check_lines(&Queue, &history(&drawn, unknown, queue));
        check_lines(&Lock, &history(&drawn, unknown, lock));
    }
}

fn check_lines<V: Vocabulary>(vocabulary: &V, history: &History<V::Operation, V::Return>)
where
    V::Operation: PartialEq + std::fmt::Debug,
    V::Return: PartialEq + std::fmt::Debug,
{
    let mut text = Vec::new();
    lines::write(vocabulary, history, &mut text).expect("memory can be written");
    let again = lines::read(vocabulary, &*text).expect("what we write is sound");
    assert_eq!(&again, history, "{}", String::from_utf8_lossy(&text));
}

/// Plays clients of an atomic register: each operation takes effect at one moment between its call
/// and its return. One of `lose` answers is lost; half of those operations happen all the same.
fn atomic(clients: u64, count: u64, lose: u64, seed: u64) -> History<RegisterOp, RegisterReturn> {
    let mut random = SplitMix64::new(seed);
    let (mut history, mut state, mut now) = (History::new(), Register.initial(), 0);
    let mut idle: Vec<_> = (0..clients).map(|_| history.start()).collect();
    let mut waiting = Vec::new();
    let mut called = 0;
    while called < count || !waiting.is_empty() {
        now += 1;
        let at = Instant::from_nanos(now);
        if called < count && !idle.is_empty() && random.below(2) == 0 {
            let place = usize::try_from(random.below(idle.len() as u64)).expect("it is small");
            let (old, new) = (random.below(5), random.below(5));
            let value = |it: u64| i64::try_from(it).expect("it is small").into();
            let operation = match random.below(3) {
                0 => RegisterOp::Read,
                1 => RegisterOp::Write(value(new)),
                _ => RegisterOp::Cas { old: value(old), new: value(new) },
            };
            let call = history.invoke(idle.swap_remove(place), at, operation.clone());
            waiting.push((call, operation, None));
            called += 1;
        } else if !waiting.is_empty() {
            let place = usize::try_from(random.below(waiting.len() as u64)).expect("it is small");
            let (_, operation, returned) = &mut waiting[place];
            let is_lost = returned.is_none() && 0 < lose && random.below(lose) == 0;
            if returned.is_none() && !(is_lost && random.below(2) == 0) {
                let result = match operation {
                    RegisterOp::Read => RegisterReturn::Found(state.clone()),
                    RegisterOp::Cas { old, .. } if *old != state => RegisterReturn::Differs,
                    RegisterOp::Write(_) | RegisterOp::Cas { .. } => RegisterReturn::Done,
                };
                state = Register.step(&state, operation, Some(&result)).expect("it just did that");
                *returned = Some(result);
                if !is_lost {
                    continue;
                }
            }
            match waiting.swap_remove(place) {
                (call, _, Some(returned)) if !is_lost => {
                    idle.push(history.ok(call, at, returned));
                }
                (call, _, _) => {
                    history.info(call, at);
                    idle.push(history.start());
                }
            }
        }
    }
    history
}

#[test]
fn what_an_atomic_register_did_is_linearizable() {
    for seed in 0..60 {
        let (clients, lose) = (2 + seed % 12, [0, 50, 10][usize::try_from(seed % 3).unwrap()]);
        let history = atomic(clients, 400, lose, seed);
        let verdict = Linearizable::whole(Register).check(&history);
        assert!(verdict.is_linearizable(), "seed {seed}, {clients} clients: {verdict:#}");
    }
}

#[test]
fn a_million_operations_in_a_row_are_judged() {
    let history = atomic(1, 1_000_000, 0, 7);
    let verdict = Linearizable::whole(Register).max_bytes(512 << 20).check(&history);
    assert!(verdict.is_linearizable(), "{verdict}");
}

#[test]
fn a_million_operations_of_ten_clients_are_judged() {
    let history = atomic(10, 1_000_000, 0, 8);
    let verdict = Linearizable::whole(Register).max_bytes(512 << 20).check(&history);
    assert!(verdict.is_linearizable(), "{verdict}");
}

/// 5,000 at the same time: nobody can try all orders, so memory and time must have an end.
#[test]
fn five_thousand_concurrent_operations_end_within_the_budget() {
    for (lose, is_sound) in [(0, true), (0, false), (3, false)] {
        let mut random = SplitMix64::new(lose);
        let mut history = History::new();
        let (start, end) = (Instant::from_nanos(1), Instant::from_nanos(2));
        for number in 0..5_000_i64 {
            let value = |it: u64| i64::try_from(it).expect("it is small").into();
            let (operation, returned) = match random.below(3) {
                0 if is_sound => (RegisterOp::Read, RegisterReturn::Found(number.into())),
                0 => (RegisterOp::Read, RegisterReturn::Found(value(random.below(10_000)))),
                1 => (
                    RegisterOp::Cas { old: value(random.below(50)), new: value(random.below(50)) },
                    RegisterReturn::Done,
                ),
                _ => (RegisterOp::Write(number.into()), RegisterReturn::Done),
            };
            let process = history.start();
            let call = history.invoke(process, start, operation);
            if 0 < lose && random.below(lose) == 0 {
                history.info(call, end);
            } else {
                _ = history.ok(call, end, returned);
            }
        }
        let checker = Linearizable::whole(Register).max_steps(5_000_000).max_bytes(64 << 20);
        let verdict = checker.check(&history);
        println!("lost 1 of {lose}, sound {is_sound}: {verdict}");
        assert!(!verdict.is_linearizable());
    }
}
