//! Cases for a [`Disk`]: names, contents, lengths, locks, and what a crash leaves.

mod crash;

use std::io::{self, ErrorKind};

use quorate_core::{Disk, File};

use super::{Checked, Report, Stop, done, ensure, expect};

/// Checks a disk without crashes. `make` returns another one for each case, without files.
pub fn check<D: Disk>(mut make: impl FnMut() -> D) -> Report {
    let mut report = Report::new("disk");
    run(&mut report, &mut make, &cases());
    report
}

/// Checks a disk, and what is left after `crash`, which cuts its power and restores it.
///
/// The files that were open are closed before. The same disk is used after it. What survives may be
/// drawn anew by each crash: every case runs many times. A disk that keeps what was not synced
/// passes, since no real one promises to lose it.
///
/// # Examples
///
/// ```
/// use quorate_sim::{Disk, kit};
///
/// let mut entropy = 0;
/// let crash = |disk: &Disk| {
///     entropy += 1;
///     disk.crash(entropy);
/// };
/// kit::disk::check_with_crash(Disk::new, crash).expect_passed();
/// ```
pub fn check_with_crash<D: Disk>(mut make: impl FnMut() -> D, mut crash: impl FnMut(&D)) -> Report {
    let mut report = check(&mut make);
    crash::run(&mut report, &mut make, &mut crash);
    report
}

type DiskCase<D> = (&'static str, fn(&D) -> Checked);

fn run<D: Disk>(report: &mut Report, make: &mut impl FnMut() -> D, cases: &[DiskCase<D>]) {
    for (name, case) in cases {
        report.run(name, || case(&make()));
    }
}

fn cases<D: Disk>() -> Vec<DiskCase<D>> {
    vec![
        ("create_new_makes_an_empty_file", create_new_makes_an_empty_file),
        ("create_new_refuses_an_existing_name", create_new_refuses_an_existing_name),
        ("a_missing_name_is_not_found", a_missing_name_is_not_found),
        ("a_read_returns_what_was_written", a_read_returns_what_was_written),
        ("a_read_past_the_end_is_empty", a_read_past_the_end_is_empty),
        ("a_write_replaces_only_its_bytes", a_write_replaces_only_its_bytes),
        ("a_write_beyond_the_end_fills_with_zeros", a_write_beyond_the_end_fills_with_zeros),
        ("a_large_write_is_whole", a_large_write_is_whole),
        ("set_len_shrinks", set_len_shrinks),
        ("set_len_grows_with_zeros", set_len_grows_with_zeros),
        ("set_len_brings_nothing_back", set_len_brings_nothing_back),
        ("allocate_keeps_the_content", allocate_keeps_the_content),
        ("two_handles_see_one_content", two_handles_see_one_content),
        ("a_closed_file_keeps_its_content", a_closed_file_keeps_its_content),
        ("files_are_kept_apart", files_are_kept_apart),
        ("a_sync_changes_nothing", a_sync_changes_nothing),
        ("rename_moves_the_content", rename_moves_the_content),
        ("rename_replaces", rename_replaces),
        ("an_open_file_follows_its_rename", an_open_file_follows_its_rename),
        ("remove_frees_the_name", remove_frees_the_name),
        ("list_is_sorted_and_complete", list_is_sorted_and_complete),
        ("lock_excludes_a_second", lock_excludes_a_second),
        ("a_dropped_lock_is_free", a_dropped_lock_is_free),
        ("locks_of_other_names_are_free", locks_of_other_names_are_free),
    ]
}

fn create_new_makes_an_empty_file(disk: &impl Disk) -> Checked {
    let file = done("create_new", disk.create_new("new"))?;
    expect("the length of a new file", done("len", file.len())?, 0)?;
    holds(&done("open", disk.open("new"))?, b"")
}

fn create_new_refuses_an_existing_name(disk: &impl Disk) -> Checked {
    create(disk, "log", b"kept")?;
    fails("create_new of a name that is there", disk.create_new("log"), ErrorKind::AlreadyExists)?;
    named_holds(disk, "log", b"kept")
}

fn a_missing_name_is_not_found(disk: &impl Disk) -> Checked {
    fails("open of a missing name", disk.open("missing"), ErrorKind::NotFound)?;
    fails("rename of a missing name", disk.rename("missing", "other"), ErrorKind::NotFound)?;
    fails("remove of a missing name", disk.remove("missing"), ErrorKind::NotFound)?;
    expect("the list", done("list", disk.list())?, Vec::new())
}

fn a_read_returns_what_was_written(disk: &impl Disk) -> Checked {
    let bytes = pattern(10_000);
    let file = create(disk, "log", &bytes)?;
    holds(&file, &bytes)?;
    for (start, len) in [(0, 1), (1, 511), (511, 2), (4_095, 4_098), (9_999, 1)] {
        let mut out = vec![0; len];
        expect("the count of bytes read", read_full(&file, start as u64, &mut out)?, len)?;
        ensure(out == bytes[start..start + len], || format!("{len} bytes at {start} are wrong"))?;
    }
    let count = done("a read of no bytes", file.read_at(0, &mut []))?;
    expect("the count of a read of no bytes", count, 0)
}

fn a_read_past_the_end_is_empty(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"12345")?;
    let mut out = [7; 8];
    for offset in [5, 6, 1_000_000] {
        let count = done("a read past the end", file.read_at(offset, &mut out))?;
        expect("the count of a read past the end", count, 0)?;
    }
    expect("the count of a read across the end", read_full(&file, 3, &mut out)?, 2)?;
    ensure(out == *b"45\x07\x07\x07\x07\x07\x07", || format!("it read {out:?} across the end"))
}

fn a_write_replaces_only_its_bytes(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"0123456789")?;
    done("write_all_at", file.write_all_at(3, b"abc"))?;
    holds(&file, b"012abc6789")?;
    done("write_all_at", file.write_all_at(8, b"defg"))?;
    holds(&file, b"012abc67defg")
}

fn a_write_beyond_the_end_fills_with_zeros(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"start")?;
    done("write_all_at", file.write_all_at(9_000, b"end"))?;
    let mut expected = b"start".to_vec();
    expected.resize(9_000, 0);
    expected.extend_from_slice(b"end");
    holds(&file, &expected)
}

fn a_large_write_is_whole(disk: &impl Disk) -> Checked {
    let bytes = pattern((1 << 20) + 13);
    let file = create(disk, "log", &bytes)?;
    holds(&file, &bytes)
}

fn set_len_shrinks(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"0123456789")?;
    done("set_len", file.set_len(4))?;
    holds(&file, b"0123")?;
    done("set_len", file.set_len(0))?;
    holds(&file, b"")
}

fn set_len_grows_with_zeros(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"0123")?;
    done("set_len", file.set_len(5_000))?;
    let mut expected = b"0123".to_vec();
    expected.resize(5_000, 0);
    holds(&file, &expected)
}

fn set_len_brings_nothing_back(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"0123456789")?;
    done("set_len", file.set_len(4))?;
    done("set_len", file.set_len(10))?;
    holds(&file, b"0123\0\0\0\0\0\0")
}

fn allocate_keeps_the_content(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"0123")?;
    done("allocate", file.allocate(4_096))?;
    let mut out = [0; 4];
    expect("the count of bytes read", read_full(&file, 0, &mut out)?, 4)?;
    expect("the content after allocate", out, *b"0123")
}

fn two_handles_see_one_content(disk: &impl Disk) -> Checked {
    let first = create(disk, "log", b"old")?;
    let second = done("open", disk.open("log"))?;
    holds(&second, b"old")?;
    done("write_all_at", first.write_all_at(0, b"newer"))?;
    holds(&second, b"newer")?;
    done("set_len", second.set_len(2))?;
    holds(&first, b"ne")
}

fn a_closed_file_keeps_its_content(disk: &impl Disk) -> Checked {
    drop(create(disk, "log", b"kept")?);
    named_holds(disk, "log", b"kept")
}

fn files_are_kept_apart(disk: &impl Disk) -> Checked {
    let (one, two) = (create(disk, "one", b"first")?, create(disk, "two", b"second")?);
    done("write_all_at", one.write_all_at(0, b"F"))?;
    holds(&one, b"First")?;
    holds(&two, b"second")
}

fn a_sync_changes_nothing(disk: &impl Disk) -> Checked {
    let file = create(disk, "log", b"kept")?;
    done("sync_data", file.sync_data())?;
    done("sync_dir", disk.sync_dir())?;
    done("sync_data", file.sync_data())?;
    holds(&file, b"kept")?;
    named_holds(disk, "log", b"kept")
}

fn rename_moves_the_content(disk: &impl Disk) -> Checked {
    drop(create(disk, "from", b"moved")?);
    done("rename", disk.rename("from", "to"))?;
    named_holds(disk, "to", b"moved")?;
    fails("open of the old name", disk.open("from"), ErrorKind::NotFound)
}

fn rename_replaces(disk: &impl Disk) -> Checked {
    drop(create(disk, "from", b"new")?);
    drop(create(disk, "to", b"old and longer")?);
    done("rename onto a name that is there", disk.rename("from", "to"))?;
    named_holds(disk, "to", b"new")?;
    expect("the list", done("list", disk.list())?, vec!["to".to_owned()])
}

fn an_open_file_follows_its_rename(disk: &impl Disk) -> Checked {
    let file = create(disk, "from", b"old")?;
    done("rename", disk.rename("from", "to"))?;
    done("write_all_at", file.write_all_at(0, b"new"))?;
    named_holds(disk, "to", b"new")
}

fn remove_frees_the_name(disk: &impl Disk) -> Checked {
    drop(create(disk, "log", b"old")?);
    done("remove", disk.remove("log"))?;
    fails("open of a removed name", disk.open("log"), ErrorKind::NotFound)?;
    expect("the list", done("list", disk.list())?, Vec::new())?;
    create(disk, "log", b"")?;
    named_holds(disk, "log", b"")
}

fn list_is_sorted_and_complete(disk: &impl Disk) -> Checked {
    for name in ["b", "a.wal", "10", "9", "c"] {
        drop(create(disk, name, b"")?);
    }
    let names: Vec<&str> = vec!["10", "9", "a.wal", "b", "c"];
    expect("the list", done("list", disk.list())?, names.into_iter().map(str::to_owned).collect())
}

fn lock_excludes_a_second(disk: &impl Disk) -> Checked {
    let lock = done("lock", disk.lock("lock"))?;
    fails("a second lock", disk.lock("lock"), ErrorKind::WouldBlock)?;
    fails("a third lock", disk.lock("lock"), ErrorKind::WouldBlock)?;
    drop(lock);
    Ok(())
}

fn a_dropped_lock_is_free(disk: &impl Disk) -> Checked {
    for _ in 0..3 {
        drop(done("lock after the last was dropped", disk.lock("lock"))?);
    }
    Ok(())
}

fn locks_of_other_names_are_free(disk: &impl Disk) -> Checked {
    let one = done("lock", disk.lock("one"))?;
    let two = done("lock of another name", disk.lock("two"))?;
    drop(one);
    fails("a lock that is held", disk.lock("two"), ErrorKind::WouldBlock)?;
    drop(two);
    Ok(())
}

fn create<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Checked<D::File> {
    let file = done("create_new", disk.create_new(name))?;
    done("write_all_at", file.write_all_at(0, bytes))?;
    Ok(file)
}

fn named_holds(disk: &impl Disk, name: &str, expected: &[u8]) -> Checked {
    holds(&done("open", disk.open(name))?, expected)
}

fn holds(file: &impl File, expected: &[u8]) -> Checked {
    let content = content(file)?;
    expect("the length", content.len(), expected.len())?;
    match content.iter().zip(expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(at) => Err(Stop::Broken(format!(
            "the byte at {at} is {:#04x}, expected {:#04x}",
            content[at], expected[at]
        ))),
    }
}

/// Reads everything, and holds the length against it.
fn content(file: &impl File) -> Checked<Vec<u8>> {
    let len = usize::try_from(done("len", file.len())?).unwrap_or(usize::MAX);
    ensure(len <= CONTENT_BYTES_MAX, || format!("the length is {len}"))?;
    // One more than there should be: reads must end where the length says.
    let mut out = vec![0; len + 1];
    let count = read_full(file, 0, &mut out)?;
    expect("the count of bytes before the end", count, len)?;
    out.truncate(count);
    Ok(out)
}

/// Reads until `out` is full, or the file ends. Reads may be short.
fn read_full(file: &impl File, offset: u64, out: &mut [u8]) -> Checked<usize> {
    let mut filled = 0;
    while filled < out.len() {
        match done("read_at", file.read_at(offset + filled as u64, &mut out[filled..]))? {
            0 => break,
            count => filled += count,
        }
        ensure(filled <= out.len(), || "it read more than it was asked for".to_owned())?;
    }
    Ok(filled)
}

fn fails<T>(what: &str, result: io::Result<T>, kind: ErrorKind) -> Checked {
    match result {
        Ok(_) => Err(Stop::Broken(format!("{what} succeeds, expected {kind:?}"))),
        Err(error) => ensure(error.kind() == kind, || {
            format!("{what} fails with {error:?}, expected {kind:?}")
        }),
    }
}

/// Bytes that differ from their neighbors, and from those a page away.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

/// No case writes more.
const CONTENT_BYTES_MAX: usize = 4 << 20;
