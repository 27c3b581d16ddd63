//! What fuzzing starts from: the released bytes, one file each, in `fuzz/seeds/<target>`.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p quorate-wal --test seeds` writes the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use golden::{CHUNK, EMPTY, END_MARK, HEADER, HELLO, MARK, SEAL, SNAPSHOT, TRAILER};

#[path = "small/golden.rs"]
mod golden;

/// Returns the files, by target and name. What stands before the bytes, the target says.
fn seeds() -> BTreeMap<&'static str, Vec<(&'static str, Vec<u8>)>> {
    let killed = bytes(&[HEADER, HELLO, EMPTY]);
    let closed = bytes(&[HEADER, HELLO, EMPTY, MARK]);
    let sealed = bytes(&[HEADER, HELLO, EMPTY, SEAL, TRAILER]);
    let cut_by = |count| killed[..killed.len() - count].to_vec();
    let zeros_behind = [&killed[..], &[0; 64]].concat();
    let snapshot = bytes(&[SNAPSHOT, CHUNK, END_MARK]);
    let segment = |flags, segment: &[u8]| [&[flags, 0, 0], segment].concat();
    let damage = |flags, at: u16, bytes: &[u8]| [&[flags], &at.to_le_bytes()[..], bytes].concat();
    BTreeMap::from([
        (
            "wal_header",
            vec![
                ("header", bytes(&[HEADER])),
                ("header_without_state", bytes(&[HEADER])[..64].to_vec()),
                ("segment", closed.clone()),
            ],
        ),
        (
            "wal_frame",
            vec![
                ("batch", bytes(&[HELLO, EMPTY])),
                ("batch_and_mark", bytes(&[HELLO, EMPTY, MARK])),
                ("batch_and_seal", bytes(&[HELLO, EMPTY, SEAL, TRAILER])),
                ("empty", bytes(&[EMPTY])),
                ("hello", bytes(&[HELLO])),
                ("mark", bytes(&[MARK])),
            ],
        ),
        (
            "wal_footer",
            vec![
                ("footer", bytes(&[SEAL])[24..92].to_vec()),
                ("seal", bytes(&[SEAL])),
                ("seal_and_trailer", bytes(&[SEAL, TRAILER])),
                ("trailer", bytes(&[TRAILER])),
            ],
        ),
        (
            "wal_open",
            vec![
                ("closed", segment(3, &closed)),
                ("closed_then_fit", segment(7, &closed)),
                ("cut_in_a_head", segment(1, &cut_by(8))),
                ("cut_in_a_header", segment(1, &killed[..60])),
                ("cut_in_a_payload", segment(1, &cut_by(28))),
                ("cut_refused", segment(9, &cut_by(8))),
                ("damage_of_the_first", damage(2, 100, b"\x01")),
                ("damage_of_the_last", damage(0x30, 0xc000 | 90, b"\xff\xff\xff\xff")),
                ("damage_then_fit", damage(0x26, 72, b"\x20")),
                ("killed", segment(3, &killed)),
                ("sealed", segment(3, &sealed)),
                ("sealed_then_fit", segment(7, &sealed)),
                ("sound", damage(0x32, 0, b"")),
                ("zeros_behind", segment(1, &zeros_behind)),
            ],
        ),
        (
            "wal_snapshot",
            vec![
                ("chunk", damage(0, 72, &bytes(&[CHUNK]))),
                ("cut", damage(1, 0, &snapshot[..snapshot.len() - 24])),
                ("damage", damage(0, 90, b"\xff")),
                ("damage_then_fit", damage(2, 72, b"\x08")),
                ("snapshot", damage(1, 0, &snapshot)),
                ("snapshot_then_fit", damage(3, 0, &snapshot)),
            ],
        ),
    ])
}

#[test]
fn seeds_are_the_released_bytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    if !folder.is_dir() {
        println!("{} is not here: this crate is a package of its own", folder.display());
        return;
    }
    let expected: BTreeMap<PathBuf, Vec<u8>> = seeds()
        .into_iter()
        .flat_map(|(target, seeds)| {
            seeds.into_iter().map(move |(name, bytes)| (Path::new(target).join(name), bytes))
        })
        .collect();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some_and(|it| it == "1") {
        write(&folder, &expected);
    }
    let found = read(&folder);
    for (path, bytes) in &expected {
        let hint = "run this test with UPDATE_GOLDENFILES=1";
        assert_eq!(found.get(path), Some(bytes), "{}: {hint}", path.display());
    }
    let stray = found.keys().find(|path| !expected.contains_key(*path));
    assert_eq!(stray, None, "no test makes it");
}

fn write(folder: &Path, seeds: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in read(folder).keys() {
        fs::remove_file(folder.join(path)).expect("it is listed");
    }
    for (path, bytes) in seeds {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
        fs::write(path, bytes).expect("there is room");
    }
}

/// Reads the files of the targets of this crate.
fn read(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).expect("it can be listed");
        entries.map(|entry| entry.expect("it can be listed").path()).collect::<Vec<_>>()
    };
    let is_ours = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wal_"))
    };
    let files = entries(folder).into_iter().filter(is_ours).flat_map(|target| entries(&target));
    files
        .map(|file| {
            let path = file.strip_prefix(folder).expect("it is in there").to_path_buf();
            (path, fs::read(&file).expect("it can be read"))
        })
        .collect()
}

fn bytes(parts: &[&str]) -> Vec<u8> {
    let digits: Vec<u8> = parts.concat().bytes().filter(|digit| *digit != b' ').collect();
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("hexadecimal digits");
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("8 bits");
    digits.chunks(2).map(byte).collect()
}
