//! Laws of the disk and of plans, over any input.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use proptest::prelude::*;
use quorate_core::{Disk as _, File as _};
use quorate_sim::{Delay, Disk, Family, Faults, Plan, Ratio, Setting, mix};

#[derive(Clone, Debug)]
enum Call {
    Create(u8),
    Write { name: u8, offset: u64, byte: u8, count: usize },
    SetLen { name: u8, len: u64 },
    Sync(u8),
    SyncDir,
    Rename(u8, u8),
    Remove(u8),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let name = || 0..3_u8;
    let call = prop_oneof![
        2 => name().prop_map(Call::Create),
        6 => (name(), 0..3_000_u64, 1..u8::MAX, 0..3_000_usize)
            .prop_map(|(name, offset, byte, count)| Call::Write { name, offset, byte, count }),
        1 => (name(), 0..6_000_u64).prop_map(|(name, len)| Call::SetLen { name, len }),
        2 => name().prop_map(Call::Sync),
        2 => Just(Call::SyncDir),
        1 => (name(), name()).prop_map(|(from, to)| Call::Rename(from, to)),
        1 => name().prop_map(Call::Remove),
    ];
    prop::collection::vec(call, 0..60)
}

/// The disk as if nothing ever failed: a map.
type Model = BTreeMap<String, Vec<u8>>;

fn call(disk: &Disk, model: &mut Model, call: &Call) {
    let name = |name: u8| format!("file-{name}");
    match call {
        Call::Create(id) => {
            let is_new = !model.contains_key(&name(*id));
            assert_eq!(disk.create_new(&name(*id)).is_ok(), is_new);
            model.entry(name(*id)).or_default();
        }
        Call::Write { name: id, offset, byte, count } => {
            let Ok(file) = disk.open(&name(*id)) else { return };
            let bytes = vec![*byte; *count];
            assert!(file.write_all_at(*offset, &bytes).is_ok());
            let content = model.get_mut(&name(*id)).expect("it could be opened");
            let start = usize::try_from(*offset).expect("small");
            if !bytes.is_empty() {
                content.resize(content.len().max(start + count), 0);
                content[start..start + count].copy_from_slice(&bytes);
            }
        }
        Call::SetLen { name: id, len } => {
            let Ok(file) = disk.open(&name(*id)) else { return };
            assert!(file.set_len(*len).is_ok());
            let content = model.get_mut(&name(*id)).expect("it could be opened");
            content.resize(usize::try_from(*len).expect("small"), 0);
        }
        Call::Sync(id) => {
            if let Ok(file) = disk.open(&name(*id)) {
                assert!(file.sync_data().is_ok());
            }
        }
        Call::SyncDir => assert!(disk.sync_dir().is_ok()),
        Call::Rename(from, to) => {
            let content = model.get(&name(*from)).cloned();
            assert_eq!(disk.rename(&name(*from), &name(*to)).is_ok(), content.is_some());
            if let Some(content) = content {
                model.remove(&name(*from));
                model.insert(name(*to), content);
            }
        }
        Call::Remove(id) => {
            let error = disk.remove(&name(*id)).err().map(|error| error.kind());
            let is_gone = model.remove(&name(*id)).is_none();
            assert_eq!(error, is_gone.then_some(ErrorKind::NotFound));
        }
    }
}

fn content(disk: &Disk) -> Model {
    let names = disk.list().expect("nothing fails");
    let read = |name: String| (name.clone(), disk.content(&name).expect("it is listed"));
    names.into_iter().map(read).collect()
}

proptest! {
    #[test]
    fn readers_see_a_disk_that_never_failed(calls in calls()) {
        let (disk, mut model) = (Disk::new(), Model::new());
        for it in &calls {
            call(&disk, &mut model, it);
            prop_assert_eq!(&content(&disk), &model);
        }
    }

    #[test]
    fn what_was_all_synced_survives_any_crash(calls in calls(), entropy: u64) {
        let (disk, mut model) = (Disk::new(), Model::new());
        for it in &calls {
            call(&disk, &mut model, it);
        }
        for name in model.keys() {
            disk.open(name).and_then(|file| file.sync_data()).expect("nothing fails");
        }
        disk.sync_dir().expect("nothing fails");
        disk.crash(entropy);
        prop_assert_eq!(content(&disk), model);
    }

    #[test]
    fn what_a_crash_left_survives_the_next(calls in calls(), first: u64, second: u64) {
        let (disk, mut model) = (Disk::new(), Model::new());
        for it in &calls {
            call(&disk, &mut model, it);
        }
        disk.crash(first);
        let left = content(&disk);
        disk.crash(second);
        prop_assert_eq!(content(&disk), left);
    }

    #[test]
    fn equal_crashes_of_equal_disks_are_equal(calls in calls(), entropy: u64) {
        let play = || {
            let (disk, mut model) = (Disk::new(), Model::new());
            for it in &calls {
                call(&disk, &mut model, it);
            }
            disk.crash(entropy);
            content(&disk)
        };
        prop_assert_eq!(play(), play());
    }

    #[test]
    fn a_sector_is_new_or_old_or_garbage_where_it_was_written(
        offset in 0..2_000_usize,
        count in 1..9_000_usize,
        entropy: u64,
    ) {
        let disk = Disk::new();
        disk.install("log", &[1; 12_000]);
        let file = disk.open("log").expect("it is there");
        prop_assert!(file.write_all_at(offset as u64, &vec![2; count]).is_ok());
        disk.crash(entropy);
        let content = disk.content("log").expect("it was durable");
        prop_assert_eq!(content.len(), 12_000);
        let outside = content[..offset].iter().chain(&content[offset + count..]);
        prop_assert!(outside.into_iter().all(|byte| *byte == 1));
    }

    #[test]
    fn a_plan_is_a_function_of_its_seed(seed: u64) {
        let mut setting = Setting::new(1..=5);
        let plan = Plan::draw(seed, &setting);
        prop_assert_eq!(&plan, &Plan::draw(seed, &setting));
        prop_assert_eq!(plan.to_string().lines().count(), 1);
        setting.faults = Faults::none();
        let none = Plan::draw(seed, &setting);
        prop_assert_eq!(none.count_faults(), 0);
        prop_assert_eq!(none.nodes, plan.nodes);
    }

    #[test]
    fn a_plan_survives_its_file(seed: u64) {
        let mut setting = Setting::new(1..=5);
        setting.faults = Family::ALL.into_iter().fold(setting.faults, Faults::with);
        let plan = Plan::draw(seed, &setting);
        prop_assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
    }

    #[test]
    fn any_bytes_are_a_plan(bytes: Vec<u8>) {
        let plan = Plan::from_bytes(&bytes, &Setting::new(3..=3));
        prop_assert_eq!(Plan::from_json(&plan.to_json()), Ok(plan));
    }

    #[test]
    fn a_delay_is_in_its_bounds(number: u64, min in 0..1_000_u64, more in 1..1_000_000_u64) {
        let uniform = Delay::Uniform { min_nanos: min, end_nanos: min + more }.draw(number);
        prop_assert!((min..min + more).contains(&uniform));
        let exponential = Delay::Exponential { min_nanos: min, mean_nanos: more }.draw(number);
        prop_assert!((min..=min + more * 151 / 20).contains(&exponential));
        // The longest of all, which chance would hardly ever draw.
        let longest = Delay::Exponential { min_nanos: min, mean_nanos: more }.draw(u64::MAX >> 8);
        prop_assert!((min + more * 150 / 20..=min + more * 151 / 20).contains(&longest));
        let (fast_nanos, slow_nanos, slow) = (min, min + more, Ratio::percent(10));
        let bimodal = Delay::Bimodal { fast_nanos, slow_nanos, slow }.draw(number);
        prop_assert!(bimodal == min || bimodal == min + more);
        let pareto = Delay::Pareto { min_nanos: more }.draw(number);
        prop_assert!((more..=more << 16).contains(&pareto));
    }

    #[test]
    fn a_larger_ratio_hits_wherever_a_smaller_does(a: u32, b: u32, number: u64) {
        let (less, more) = (Ratio(a.min(b)), Ratio(a.max(b)));
        prop_assert!(!less.is_hit(number) || more.is_hit(number));
        prop_assert_eq!(mix(number, 1, 2), mix(number, 1, 2));
    }
}
