//! Laws of the judges of transactions over any history: what a serializable store made is never
//! blamed, what is planted is found under its name, and the work grows as the history does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use quorate_core::SplitMix64;
use quorate_sim::check::transactions::{
    ConsistencyModel, ListAppend, ListHistory, ListOp, RegisterHistory, RwOp, RwRegister, Verdict,
};
use quorate_sim::history::Outcome;
use quorate_sim::{History, Instant};

#[path = "transactions/laws.rs"]
#[expect(dead_code, reason = "the laws are those of another file")]
mod laws;

/// A store in which one transaction happens after the other.
#[derive(Clone, Copy)]
struct Store {
    seed: u64,
    transactions: u64,
    processes: u64,
    /// Whether each happens between its call and its return; else at any time.
    is_strict: bool,
    /// Of 8, how many fail, and how many have no answer.
    fails: u64,
    infos: u64,
}

impl Store {
    const fn new(seed: u64, transactions: u64) -> Self {
        Self { seed, transactions, processes: 8, is_strict: true, fails: 1, infos: 1 }
    }

    /// Returns for each transaction its process, its stamps, its operations and its end.
    fn plan(&self) -> Vec<Planned> {
        let mut random = SplitMix64::new(self.seed);
        let mut free = vec![(0, 0); usize::try_from(self.processes).expect("few")];
        let mut next_process = self.processes;
        for (number, slot) in (0..).zip(&mut free) {
            slot.0 = number;
        }
        let mut planned = Vec::new();
        for number in 0..self.transactions {
            let slot = random.below(free.len() as u64);
            let slot = &mut free[usize::try_from(slot).expect("few")];
            let called = slot.1 + 1 + random.below(8);
            let happens = called + random.below(8);
            let returned = happens + random.below(8);
            let end = match random.below(8) {
                it if it < self.fails => End::Fail,
                it if it < self.fails + self.infos => End::Info(random.below(2) == 0),
                _ => End::Ok,
            };
            let process = slot.0;
            slot.1 = returned;
            if matches!(end, End::Info(_)) {
                slot.0 = next_process;
                next_process += 1;
            }
            let happens = if self.is_strict { happens } else { random.below(1 << 20) };
            // Ten keys are open at a time; each is left after 32 transactions or so.
            let ops = (0..1 + random.below(8))
                .map(|_| (number / 32 + random.below(10), random.below(2) == 0))
                .collect();
            let order = (happens, random.below(1 << 20));
            planned.push(Planned { process, called, returned, order, ops, end });
        }
        planned
    }

    fn lists(&self) -> ListHistory {
        let mut state: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut element = 0;
        self.run(|ops, is_done| {
            let (mut operation, mut returned) = (Vec::new(), Vec::new());
            for (key, is_read) in ops {
                let list = state.entry(*key).or_default();
                let key = name(*key);
                if *is_read {
                    operation.push(ListOp::Read { key });
                    returned.push(list.clone());
                } else {
                    element += 1;
                    operation.push(ListOp::Append { key, element });
                    if is_done {
                        list.push(element);
                    }
                }
            }
            (operation, returned)
        })
    }

    fn registers(&self) -> RegisterHistory {
        let mut state: BTreeMap<u64, i64> = BTreeMap::new();
        let mut written = 0;
        self.run(|ops, is_done| {
            let (mut operation, mut returned) = (Vec::new(), Vec::new());
            for (key, is_read) in ops {
                let name = name(*key);
                if *is_read {
                    operation.push(RwOp::Read { key: name });
                    returned.push(state.get(key).copied());
                } else {
                    written += 1;
                    operation.push(RwOp::Write { key: name, value: written });
                    if is_done {
                        state.insert(*key, written);
                    }
                }
            }
            (operation, returned)
        })
    }

    /// Lets all happen in order, and records them in the order of their calls.
    fn run<O: Clone, R: Clone>(
        &self,
        mut happen: impl FnMut(&[(u64, bool)], bool) -> (O, R),
    ) -> History<O, R> {
        let planned = self.plan();
        let mut order: Vec<usize> = (0..planned.len()).collect();
        order.sort_by_key(|index| planned[*index].order);
        let mut results: Vec<Option<(O, R)>> = planned.iter().map(|_| None).collect();
        for index in order {
            let it = &planned[index];
            let is_done = !matches!(it.end, End::Fail | End::Info(false));
            results[index] = Some(happen(&it.ops, is_done));
        }
        let mut history = History::new();
        let mut idle: BTreeMap<u64, _> = BTreeMap::new();
        for (it, result) in planned.iter().zip(results) {
            let (operation, returned) = result.expect("all have happened");
            let process = idle.remove(&it.process).unwrap_or_else(|| history.start());
            let (called, at) = (Instant::from_nanos(it.called), Instant::from_nanos(it.returned));
            let call = history.invoke(process, called, operation);
            let process = match it.end {
                End::Ok => history.ok(call, at, returned),
                End::Fail => history.fail(call, at),
                End::Info(_) => {
                    history.info(call, at);
                    continue;
                }
            };
            idle.insert(it.process, process);
        }
        history
    }
}

struct Planned {
    process: u64,
    called: u64,
    returned: u64,
    order: (u64, u64),
    ops: Vec<(u64, bool)>,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    Ok,
    Fail,
    /// Nobody knows; whether it happened.
    Info(bool),
}

fn name(key: u64) -> quorate_sim::history::Value {
    i64::try_from(key).expect("it is small").into()
}

fn judge_lists(history: &ListHistory) -> Verdict {
    ListAppend.check(history).expect("each is appended once")
}

fn judge_registers(judge: RwRegister, history: &RegisterHistory) -> Verdict {
    judge.check(history).expect("each is written once")
}

#[test]
fn a_strict_store_is_never_blamed() {
    for seed in 0..300 {
        let store = Store::new(seed, 20 + seed);
        let verdict = judge_lists(&store.lists());
        assert_eq!(verdict.to_string(), "valid", "seed {seed}: {verdict:#}");
        for judge in [RwRegister::default(), RwRegister::with_linearizable_keys()] {
            let verdict = judge_registers(judge, &store.registers());
            assert_eq!(verdict.to_string(), "valid", "seed {seed}: {verdict:#}");
        }
    }
}

#[test]
fn a_store_that_is_only_serializable_is_blamed_for_time_alone() {
    let mut blamed = 0;
    for seed in 0..300 {
        let store = Store { is_strict: false, ..Store::new(seed, 20 + seed) };
        let verdict = judge_lists(&store.lists());
        assert!(verdict.permits(ConsistencyModel::SERIALIZABLE), "seed {seed}: {verdict:#}");
        blamed += u64::from(!verdict.permits(ConsistencyModel::STRICT_SERIALIZABLE));
        let verdict = judge_registers(RwRegister::default(), &store.registers());
        assert!(verdict.permits(ConsistencyModel::SERIALIZABLE), "seed {seed}: {verdict:#}");
    }
    assert!(290 < blamed, "{blamed} of 300");
}

/// Each with the anomaly that must be found, whatever else is.
const PLANTED: &[(&str, &str)] = &[
    ("G0", "ap1aq1 | ap2aq2 | rp12rq21"),
    ("G0-process", "3: ap1 ; 3: ap2 ; rp21"),
    ("G0-realtime", "ap1 ; ap2 ; rp21"),
    ("G1a", "!ap1 | rp1"),
    ("G1b", "ap1ap2 | rp1"),
    ("G1c", "ap1rq1 | ap2aq1 | rp12rq1"),
    ("G1c-process", "3: rp1 ; 3: ap1"),
    ("G1c-realtime", "rp1 ; ap1"),
    ("G-single", "ap1aq1 | ap2rq- | rp12"),
    ("G-single-process", "3: ap1 ; 3: rp-"),
    ("G-single-realtime", "ap1 ; rp-"),
    ("G-nonadjacent", "ap1 | aq1 | rp1rq- | rp-rq1"),
    ("G2-item", "ap1rq- | aq1rp-"),
    ("internal", "ap1rp-"),
    ("dirty-update", "!ap1 | ap2 | rp12"),
    ("future-read", "rp1ap1"),
    ("incompatible-order", "ap1 | ap2 | rp1 | rp2"),
    ("duplicate-elements", "ap1 | rp11"),
    ("garbage-read", "rp1"),
    ("lost-update", "rp-ap1 | rp-ap2"),
];

#[test]
fn what_is_planted_is_found_under_its_name() {
    for (name, text) in PLANTED {
        for seed in 0..20 {
            let sound = Store::new(seed, 100).lists();
            let planted = laws::lists(text);
            let alone = judge_lists(&planted).to_string();
            let verdict = judge_lists(&merged(&sound, &planted));
            let found = verdict.to_string();
            assert!(found.split(' ').any(|it| it == *name), "{name}: {verdict:#}");
            assert_eq!(found, alone, "{name}, seed {seed}: {verdict:#}");
        }
    }
}

/// Returns one history of both, which have no key and no process in common.
fn merged(one: &ListHistory, two: &ListHistory) -> ListHistory {
    let mut both = History::new();
    for history in [one, two] {
        let mut idle: BTreeMap<u64, _> = BTreeMap::new();
        for span in history.spans() {
            let process = idle.remove(&span.process).unwrap_or_else(|| both.start());
            let call = both.invoke(process, span.called, span.operation.clone());
            let process = match &span.outcome {
                Outcome::Ok { at, returned } => both.ok(call, *at, returned.clone()),
                Outcome::Fail { at } => both.fail(call, *at),
                Outcome::Info { at } => {
                    both.info(call, at.unwrap_or(span.called));
                    continue;
                }
            };
            idle.insert(span.process, process);
        }
    }
    both
}

#[test]
fn steps_grow_as_the_history_does() {
    let steps = |transactions| {
        let store = Store { fails: 0, infos: 0, ..Store::new(1, transactions) };
        let verdict = judge_lists(&store.lists());
        assert_eq!(verdict.to_string(), "valid");
        verdict.steps()
    };
    let (one, two, four) = (steps(2_000), steps(4_000), steps(8_000));
    println!("steps: {one}, {two}, {four}");
    assert!(two * 10 < one * 22 && four * 10 < two * 22, "{one}, {two}, {four}");
}

#[test]
fn many_readers_before_many_writers_need_few_edges() {
    let steps = |count: i64| {
        let at = Instant::from_nanos;
        let mut history = History::new();
        for element in 0..count {
            let key = || "x".into();
            let ops =
                vec![ListOp::Read { key: key() }, ListOp::Append { key: "y".into(), element }];
            let process = history.start();
            let call = history.invoke(process, at(1), ops);
            _ = history.ok(call, at(2), vec![Vec::new()]);
            let process = history.start();
            let append = ListOp::Append { key: key(), element };
            let call = history.invoke(process, at(1), vec![append]);
            _ = history.ok(call, at(2), Vec::new());
        }
        let verdict = judge_lists(&history);
        assert_eq!(verdict.to_string(), "valid");
        verdict.steps()
    };
    assert!(steps(20_000) < 20 * 20_000 * 2);
}

/// A few transactions of one to three operations on two keys: for each its process, its stamps, and
/// for each operation the key, whether it reads, and what.
type Drawn = Vec<(u64, u64, Vec<(u8, bool, u8)>)>;

fn drawn() -> impl Strategy<Value = Drawn> {
    let op = (0..2_u8, any::<bool>(), 0..16_u8);
    let transaction = (0..6_u64, 0..4_u64, prop::collection::vec(op, 1..=3));
    prop::collection::vec(transaction, 1..=5)
}

/// Makes a history of what was drawn: reads are starts of one order of all appends, most of them
/// as long as an order in time would have them.
fn small(drawn: &Drawn) -> ListHistory {
    let mut history = History::new();
    let mut orders: [Vec<i64>; 2] = [Vec::new(), Vec::new()];
    let mut element = 0;
    for (called, took, ops) in drawn {
        let (mut operation, mut returned) = (Vec::new(), Vec::new());
        for (key, is_read, what) in ops {
            let order = &mut orders[usize::from(*key)];
            let name = name(u64::from(*key));
            if *is_read {
                operation.push(ListOp::Read { key: name });
                let cut = usize::from(what.saturating_sub(11)).min(order.len());
                returned.push(order[..order.len() - cut].to_vec());
            } else {
                element += 1;
                operation.push(ListOp::Append { key: name, element });
                let place = order.len() - usize::from(*what == 15).min(order.len());
                order.insert(place, element);
            }
        }
        let process = history.start();
        let call = history.invoke(process, Instant::from_nanos(*called), operation);
        _ = history.ok(call, Instant::from_nanos(called + took), returned);
    }
    history
}

/// Whether some order explains all reads; `is_strict` if it must be one of real time.
fn has_order(history: &ListHistory, is_strict: bool, done: u32, state: &[Vec<i64>; 2]) -> bool {
    let spans = history.spans();
    if done.count_ones() as usize == spans.len() {
        return true;
    }
    let is_left = |index: &usize| done & (1 << index) == 0;
    (0..spans.len()).filter(is_left).any(|index| {
        let span = &spans[index];
        let is_late = (0..spans.len())
            .filter(is_left)
            .any(|other| is_strict && spans[other].outcome.at() < Some(span.called));
        let mut state = state.clone();
        let mut found = span.outcome.returned().into_iter().flatten();
        let fits = !is_late
            && span.operation.iter().all(|op| {
                let key = usize::from(*op.key() != name(0));
                match op {
                    ListOp::Append { element, .. } => {
                        state[key].push(*element);
                        true
                    }
                    ListOp::Read { .. } => found.next() == Some(&state[key]),
                }
            });
        fits && has_order(history, is_strict, done | 1 << index, &state)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// What every order tried out can explain is not blamed.
    #[test]
    fn what_has_an_order_is_valid(drawn in drawn()) {
        let history = small(&drawn);
        let verdict = judge_lists(&history);
        let state = [Vec::new(), Vec::new()];
        for (model, is_strict) in
            [(ConsistencyModel::SERIALIZABLE, false), (ConsistencyModel::STRICT_SERIALIZABLE, true)]
        {
            if has_order(&history, is_strict, 0, &state) {
                prop_assert!(verdict.permits(model), "{model}: {verdict:#}");
            }
        }
    }
}

/// How often nothing is found though no order explains a history: only where the order of two
/// appends that nobody read matters.
#[test]
fn little_is_missed() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut bad, mut found) = (0, 0);
    for _ in 0..20_000 {
        let drawn = drawn().new_tree(&mut runner).expect("it is drawn").current();
        let history = small(&drawn);
        if !has_order(&history, true, 0, &[Vec::new(), Vec::new()]) {
            bad += 1;
            let verdict = judge_lists(&history);
            found += u32::from(!verdict.permits(ConsistencyModel::STRICT_SERIALIZABLE));
        }
    }
    println!("{found} of {bad} bad histories were found");
    assert!(1_000 < bad && bad * 99 < found * 100, "{found} of {bad}");
}
