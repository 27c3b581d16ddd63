//! A log of any bytes behind a sound header: it opens or is refused, and what opens can be read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_wal::{Config, Memory, Preallocate, Wal};

const FIRST: &str = "00000000000000000001.wal";

fuzz_target!(|input: (bool, bool, u16, &[u8])| {
    let (is_raw, verify_sealed, at, bytes) = input;
    let mut config = Config::default();
    config.seed = Some(1);
    config.segment_bytes = 1_024;
    config.preallocate = Preallocate::None;
    config.verify_sealed = verify_sealed;

    let disk = Memory::new();
    if is_raw {
        disk.set_content(FIRST, bytes);
    } else {
        // Damage in a log of two segments.
        let (wal, _) = Wal::open_on(disk.clone(), config.clone()).unwrap();
        for record in [&[1; 600][..], &[2; 600], b"three"] {
            wal.append(record).unwrap().wait().unwrap();
        }
        drop(wal);
        let names = [FIRST, "00000000000000000002.wal"];
        let name = names[usize::from(at) % 2];
        let mut content = disk.content(name).unwrap();
        let start = usize::from(at / 2).min(content.len());
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
        disk.set_content(name, content);
    }
    if let Ok((wal, recovered)) = Wal::open_on(disk.clone(), config.clone()) {
        let read = wal.records(..).take_while(|item| item.is_ok()).count() as u64;
        assert!(!verify_sealed || read == recovered.range.end.0 - recovered.range.start.0);
        wal.append("more").unwrap().wait().unwrap();
        drop(wal);
        Wal::open_on(disk, config).expect("what was repaired opens again");
    }
});
