//! Laws over any input.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_wal::{Config, Index, Memory, Preallocate, Wal};

#[derive(Clone, Debug)]
enum Call {
    Append(Vec<u8>),
    AppendBatch(Vec<Vec<u8>>),
    /// So many before the end.
    TruncateSuffix(u64),
    /// So many after the first; may be beyond the end.
    TruncatePrefix(u64),
    SetState(Vec<u8>),
    Sync,
    Reopen,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let record = || prop::collection::vec(any::<u8>(), 0..200);
    let call = prop_oneof![
        4 => record().prop_map(Call::Append),
        2 => prop::collection::vec(record(), 0..5).prop_map(Call::AppendBatch),
        1 => (0..10_u64).prop_map(Call::TruncateSuffix),
        1 => (0..10_u64).prop_map(Call::TruncatePrefix),
        1 => record().prop_map(Call::SetState),
        2 => Just(Call::Sync),
        1 => Just(Call::Reopen),
    ];
    prop::collection::vec(call, 0..100)
}

/// The log, in ten lines.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    first: u64,
    next: u64,
    state: Vec<u8>,
    records: BTreeMap<u64, Vec<u8>>,
}

impl Model {
    fn append(&mut self, record: Vec<u8>) {
        self.records.insert(self.next, record);
        self.next += 1;
    }

    fn truncate_prefix(&mut self, to: u64) {
        self.records = self.records.split_off(&to);
        (self.first, self.next) = (to, self.next.max(to));
    }
}

fn view(wal: &Wal<Memory>) -> Model {
    let records = wal.records(..).map(|item| item.expect("memory does not rot"));
    Model {
        first: wal.first_index().0,
        next: wal.next_index().0,
        state: wal.state().to_vec(),
        records: records.map(|(index, record)| (index.0, record.to_vec())).collect(),
    }
}

fn call(wal: &Wal<Memory>, model: &mut Model, call: Call) {
    match call {
        Call::Append(record) => {
            let ack = wal.append(record.clone()).expect("within limits");
            assert_eq!(ack.indexes(), Index(model.next)..Index(model.next + 1));
            model.append(record);
        }
        Call::AppendBatch(records) => {
            let ack = wal.append_batch(records.clone()).expect("within limits");
            assert_eq!(ack.indexes().end.0, model.next + records.len() as u64);
            records.into_iter().for_each(|record| model.append(record));
        }
        Call::TruncateSuffix(count) => {
            let from = model.next.saturating_sub(count).max(model.first);
            drop(wal.truncate_suffix(Index(from)).expect("within the log"));
            model.records.split_off(&from);
            model.next = from;
        }
        Call::TruncatePrefix(count) => {
            wal.truncate_prefix(Index(model.first + count)).expect("memory has room");
            model.truncate_prefix(model.first + count);
        }
        Call::SetState(state) => {
            drop(wal.set_state(state.clone()).expect("within limits"));
            model.state = state;
        }
        Call::Sync => assert_eq!(wal.sync().expect("memory has room").0, model.next),
        Call::Reopen => {}
    }
}

fn config(is_zeroed: bool, verify_sealed: bool) -> Config {
    let mut config = Config::default();
    config.segment_bytes = 1_024;
    config.verify_sealed = verify_sealed;
    if !is_zeroed {
        config.preallocate = Preallocate::None;
    }
    config
}

proptest! {
    #[test]
    fn a_log_is_its_model_also_when_it_is_opened_again(
        calls in calls(), is_zeroed: bool, verify_sealed: bool,
    ) {
        let config = config(is_zeroed, verify_sealed);
        let disk = Memory::new();
        let (mut wal, _) = Wal::open_on(disk.clone(), config.clone()).expect("it is empty");
        let mut model = Model { first: 1, next: 1, ..Model::default() };
        for made in calls {
            let is_reopen = matches!(made, Call::Reopen);
            call(&wal, &mut model, made);
            if is_reopen {
                wal.close().expect("memory has room");
                wal = Wal::open_on(disk.clone(), config.clone()).expect("it was closed").0;
            }
            prop_assert_eq!(&view(&wal), &model);
            for index in [model.first, model.first + 1, model.next - 1, model.next] {
                let expect = model.records.get(&index).map(Vec::as_slice);
                let found = wal.read(Index(index)).ok().flatten();
                prop_assert_eq!(found.as_deref(), expect, "record {}", index);
            }
        }
    }

    #[test]
    fn no_bytes_make_open_panic(
        bytes: Vec<u8>, tail in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let disk = Memory::new();
        disk.set_content("00000000000000000001.wal", bytes);
        prop_assert!(Wal::open_on(disk, Config::default()).is_err(), "a name implies a header");

        // Whatever lies behind a header is cut off, if nothing there promises anything.
        let disk = Memory::new();
        let (wal, _) = Wal::open_on(disk.clone(), config(false, true)).expect("it is empty");
        wal.append("one").and_then(|ack| ack.wait()).expect("memory has room");
        drop(wal);
        let name = "00000000000000000001.wal";
        let mut content = disk.content(name).expect("it is there");
        content.extend(tail);
        disk.set_content(name, content);
        let (wal, recovered) = Wal::open_on(disk, Config::default()).expect("its tail is torn");
        prop_assert_eq!(recovered.range, Index(1)..Index(2));
        prop_assert_eq!(view(&wal).records.len(), 1);
    }
}
