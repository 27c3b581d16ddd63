//! Stories of logs, one per file of `scripts/`: commands of the shell, its answers, and what
//! happens to the disk.
//!
//! ```text
//! append 01              a command of the shell: see `quorate-wal shell`
//! = ok 1                 its answer; `= err corrupt ..` is one that begins so
//! ! crash                the power fails: what was not synced is gone
//! ! kill                 the process dies: what was written is there
//! ! flip SEQ OFFSET      a bit of a segment's file flips
//! ! cut SEQ LEN          the file is cut off
//! ! zero SEQ FROM TO     a range of it becomes zeros
//! ! full BYTES | ! room  so many bytes are left; there is room again
//! ! fail sync            the next sync fails
//! ! time MS              it is so late
//! ! files                answers with the names in the folder
//! # ..                   the story
//! ```

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use quorate_core::{Disk as _, Instant};
use quorate_sim::{Disk, Op};

use shell::Shell;

#[path = "../src/bin/quorate-wal/shell.rs"]
mod shell;

thread_local! {
    static DISK: RefCell<Disk> = RefCell::default();
}

/// A story on a disk of its own.
struct Story {
    disk: Disk,
    shell: Shell<Disk>,
}

impl Story {
    fn new() -> Self {
        let disk = Disk::new();
        DISK.set(disk.clone());
        let shell = Shell::new(|_| Ok::<_, io::Error>(DISK.with_borrow(Disk::clone)));
        Self { disk, shell }
    }

    /// Lets something happen to the disk. Returns an answer if there is one.
    fn happen(&mut self, words: &[&str]) -> Option<String> {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        let name = |sequence: &str| format!("{:020}.wal", number(sequence));
        match words {
            ["crash"] => {
                self.shell.run("drop");
                self.disk.crash_losing_unsynced();
            }
            ["kill"] => _ = self.shell.run("drop"),
            ["flip", sequence, offset] => {
                assert!(self.disk.flip(&name(sequence), number(offset), 3), "it is that long");
            }
            ["cut", sequence, len] => self.change(&name(sequence), |content| {
                content.truncate(usize::try_from(number(len)).expect("small"));
            }),
            ["zero", sequence, from, to] => self.change(&name(sequence), |content| {
                let [from, to] = [from, to].map(|it| usize::try_from(number(it)).expect("small"));
                content[from..to].fill(0);
            }),
            ["full", bytes] => self.disk.set_capacity(self.disk.used_bytes() + number(bytes)),
            ["room"] => self.disk.clear_capacity(),
            ["fail", "sync"] => self.disk.fail(Op::Sync, 1, io::ErrorKind::Other),
            ["time", millis] => {
                let now = Instant::default() + Duration::from_millis(number(millis));
                self.shell.handle_timeout(now);
            }
            ["files"] => return Some(self.disk.list().expect("it can be listed").join(" ")),
            _ => panic!("nothing like that happens: {words:?}"),
        }
        None
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.disk.content(name).expect("it is there");
        change(&mut content);
        self.disk.install(name, &content);
    }
}

/// Tells the story, and panics where an answer is another.
fn tell(path: &Path) {
    let name = path.display();
    let text = fs::read_to_string(path).expect("a story can be read");
    let mut story = Story::new();
    let mut answer: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(expected) = line.strip_prefix("= ") {
            let found = answer.take().unwrap_or_else(|| panic!("{name}:{number}: no answer"));
            let is_right = match expected.strip_suffix("..") {
                Some(start) => found.starts_with(start),
                None => found == expected,
            };
            assert!(is_right, "{name}:{number}: expected `{expected}`, found `{found}`");
            continue;
        }
        assert_eq!(answer, None, "{name}:{number}: an answer that nobody expected");
        answer = match line.strip_prefix("! ") {
            Some(event) => story.happen(&event.split_whitespace().collect::<Vec<_>>()),
            None => story.shell.run(line),
        };
    }
    assert_eq!(answer, None, "{name}: an answer that nobody expected");
}

#[test]
fn the_stories_are_true() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(folder).expect("there are stories");
    let mut paths: Vec<_> = entries.map(|it| it.expect("it can be listed").path()).collect();
    paths.sort();
    assert!(7 < paths.len(), "{paths:?}");
    paths.iter().for_each(|path| tell(path));
}

#[test]
#[should_panic(expected = "expected `ok 2`, found `ok 1`")]
fn a_story_that_is_not_true_is_seen() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("wrong");
    fs::write(&path, "open a\n= ok 1 1 1 cut=0\nappend 01\n= ok 2\n").expect("there is room");
    tell(&path);
}
