//! What a disk must keep through a crash, and what it may never leave.

use std::io::ErrorKind;

use quorate_core::{Disk, File};

use super::{content, create, fails, holds, named_holds};
use crate::kit::{Checked, Report, Stop, done, ensure};

/// Runs the cases, each many times: what a crash leaves may be drawn.
pub(super) fn run<D: Disk>(
    report: &mut Report,
    make: &mut dyn FnMut() -> D,
    crash: &mut dyn FnMut(&D),
) {
    for (name, case) in cases() {
        report.run(name, || {
            (0..TRIES).try_for_each(|_| {
                let disk = make();
                case(&disk, &mut || crash(&disk))
            })
        });
    }
}

type CrashCase<D> = (&'static str, fn(&D, &mut dyn FnMut()) -> Checked);

fn cases<D: Disk>() -> Vec<CrashCase<D>> {
    vec![
        ("synced_data_survives", synced_data_survives),
        ("a_synced_length_survives", a_synced_length_survives),
        ("later_writes_spoil_nothing_synced", later_writes_spoil_nothing_synced),
        ("a_created_file_survives_after_sync_dir", a_created_file_survives_after_sync_dir),
        ("a_renamed_file_survives_after_sync_dir", a_renamed_file_survives_after_sync_dir),
        ("a_rename_is_atomic", a_rename_is_atomic),
        ("a_removed_file_stays_removed_after_sync_dir", a_removed_file_stays_removed),
        ("what_is_listed_can_be_opened", what_is_listed_can_be_opened),
        ("a_crash_frees_every_lock", a_crash_frees_every_lock),
    ]
}

fn synced_data_survives(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    let bytes = super::pattern(9_001);
    let file = create_durable(disk, "log", b"")?;
    for chunk in 0..3 {
        let start = chunk * 3_000;
        let end = bytes.len().min(start + 3_001);
        done("write_all_at", file.write_all_at(start as u64, &bytes[start..end]))?;
        done("sync_data", file.sync_data())?;
    }
    drop(file);
    for _ in 0..2 {
        crash();
        named_holds(disk, "log", &bytes)?;
    }
    Ok(())
}

fn a_synced_length_survives(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    let file = create_durable(disk, "log", b"0123456789")?;
    done("set_len", file.set_len(4))?;
    done("sync_data", file.sync_data())?;
    drop(file);
    crash();
    let file = done("open", disk.open("log"))?;
    holds(&file, b"0123")?;
    done("set_len", file.set_len(700))?;
    done("sync_data", file.sync_data())?;
    drop(file);
    crash();
    let mut expected = b"0123".to_vec();
    expected.resize(700, 0);
    named_holds(disk, "log", &expected)
}

fn later_writes_spoil_nothing_synced(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    let synced = super::pattern(700);
    let file = create_durable(disk, "log", &synced)?;
    done("write_all_at", file.write_all_at(700, &[0xff; 5_000]))?;
    drop(file);
    crash();
    let found = content(&done("open", disk.open("log"))?)?;
    ensure(found.starts_with(&synced), || {
        "a write behind what was synced, itself not synced, spoiled it".to_owned()
    })
}

fn a_created_file_survives_after_sync_dir(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    drop(create_durable(disk, "one", b"first")?);
    drop(create_durable(disk, "two", b"second")?);
    crash();
    named_holds(disk, "one", b"first")?;
    named_holds(disk, "two", b"second")
}

fn a_renamed_file_survives_after_sync_dir(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    drop(create_durable(disk, "from", b"new")?);
    drop(create_durable(disk, "to", b"old")?);
    done("rename", disk.rename("from", "to"))?;
    done("sync_dir", disk.sync_dir())?;
    crash();
    named_holds(disk, "to", b"new")?;
    fails("open of the old name", disk.open("from"), ErrorKind::NotFound)
}

fn a_rename_is_atomic(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    drop(create_durable(disk, "to", b"old content")?);
    let file = done("create_new", disk.create_new("from"))?;
    done("write_all_at", file.write_all_at(0, b"new"))?;
    done("sync_data", file.sync_data())?;
    drop(file);
    done("rename", disk.rename("from", "to"))?;
    crash();
    let found = content(&done("open after a crash around a rename", disk.open("to"))?)?;
    match found.as_slice() {
        b"old content" | b"new" => Ok(()),
        found => Err(Stop::broken(format!("it left neither the old nor the new, but {found:?}"))),
    }
}

fn a_removed_file_stays_removed(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    drop(create_durable(disk, "log", b"old")?);
    done("remove", disk.remove("log"))?;
    done("sync_dir", disk.sync_dir())?;
    crash();
    fails("open of a removed name", disk.open("log"), ErrorKind::NotFound)
}

fn what_is_listed_can_be_opened(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    drop(create_durable(disk, "kept", b"kept")?);
    drop(create(disk, "unsynced", b"perhaps")?);
    drop(create(disk, "other", b"perhaps")?);
    done("rename", disk.rename("other", "renamed"))?;
    crash();
    let names = done("list", disk.list())?;
    ensure(names.iter().any(|name| name == "kept"), || format!("only {names:?} are listed"))?;
    for name in names {
        content(&done("open of a listed name", disk.open(&name))?)?;
    }
    named_holds(disk, "kept", b"kept")
}

fn a_crash_frees_every_lock(disk: &impl Disk, crash: &mut dyn FnMut()) -> Checked {
    let before = done("lock", disk.lock("lock"))?;
    crash();
    let lock = done("lock after a crash", disk.lock("lock"))?;
    // Its process is gone: it must not free what another has.
    drop(before);
    fails("a second lock", disk.lock("lock"), ErrorKind::WouldBlock)?;
    drop(lock);
    Ok(())
}

fn create_durable<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Checked<D::File> {
    let file = create(disk, name, bytes)?;
    done("sync_data", file.sync_data())?;
    done("sync_dir", disk.sync_dir())?;
    Ok(file)
}

/// Enough that a choice of one in two that is wrong is seen.
const TRIES: u32 = 32;
