//! The fuzz targets, with the compiler that developers use.
//!
//! `cargo fuzz` needs a nightly compiler for its sanitizers. Without `unsafe` they have little to
//! find; what makes a fuzzer find new paths, the counters at each branch, any compiler builds in.
//!
//! ```text
//! fuzz/seeds/<target>/      where it starts: in the repository
//! fuzz/corpus/<target>/     what it found since, on this machine
//! fuzz/artifacts/<target>/  what it failed on, and its words
//! ```

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::metadata::Metadata;
use crate::shell;
use crate::tree::Tree;

/// What to run, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Hunt<'a> {
    /// A target, or the first word of several; all that there are, if `None`.
    pub target: Option<&'a str>,
    /// How long each runs.
    pub seconds: u64,
    /// The same inputs each time, from the seeds alone. `None`: others each time, and what is found
    /// is kept for the next.
    pub seed: Option<u32>,
}

/// Builds targets, and runs them, as many at once as there are processors.
///
/// # Errors
///
/// If a target cannot be built, or fails: the path of the input that it fails on.
pub fn run(root: &Path, hunt: Hunt<'_>) -> Result<(), String> {
    let tree = Tree::read(root).map_err(|error| format!("the sources are unreadable: {error}"))?;
    let targets = chosen(&tree, hunt.target)?;
    let folder = root.join("fuzz");
    let host = host()?;
    build(root, &host, &targets)?;
    let output = Metadata::read(&folder)?.target_directory;
    let programs = output.join(&host).join("release");
    let grown = if hunt.seed.is_some() { output.join("smoke") } else { folder.join("corpus") };

    let jobs = thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let queue: Mutex<VecDeque<&str>> = Mutex::new(targets.iter().map(String::as_str).collect());
    let next = || queue.lock().expect("nobody panics with it").pop_front();
    let work = || {
        let mut failures = Vec::new();
        while let Some(target) = next() {
            let target = Target { name: target, folder: &folder, grown: &grown };
            failures.extend(target.run(&programs, hunt).err());
        }
        failures
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|it| it.join().expect("it does not panic")).collect()
    });
    if failures.is_empty() {
        println!("fuzz: {} targets, {} s each: no failure", targets.len(), hunt.seconds);
        return Ok(());
    }
    Err(failures.join("\n"))
}

/// Returns the targets that `wanted` names, in the order of their names.
fn chosen(tree: &Tree, wanted: Option<&str>) -> Result<Vec<String>, String> {
    let name = |path: &str| Some(path.rsplit('/').next()?.strip_suffix(".rs")?.to_owned());
    let all: Vec<_> = tree.below(TARGETS).filter_map(|(path, _)| name(path)).collect();
    let is_wanted = |name: &&String| {
        wanted.is_none_or(|wanted| {
            name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    };
    let targets: Vec<_> = all.iter().filter(is_wanted).cloned().collect();
    if targets.is_empty() {
        let wanted = wanted.unwrap_or_default();
        return Err(format!("no target is called {wanted}: there are {}", all.join(", ")));
    }
    Ok(targets)
}

/// Returns the name of the platform. With it named, flags are for targets, not for build scripts.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not say where it is".to_owned())
}

fn build(root: &Path, host: &str, targets: &[String]) -> Result<(), String> {
    let mut command = shell::cargo(root);
    command.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", host]);
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    command.env("RUSTFLAGS", FLAGS.join(" "));
    let is_good = command.status().is_ok_and(|status| status.success());
    if is_good { Ok(()) } else { Err("the fuzz targets do not build".to_owned()) }
}

struct Target<'a> {
    name: &'a str,
    /// The workspace of the targets.
    folder: &'a Path,
    /// Where what is found is kept.
    grown: &'a Path,
}

impl Target<'_> {
    fn run(&self, programs: &Path, hunt: Hunt<'_>) -> Result<(), String> {
        let name = self.name;
        let (success, words, log) =
            self.words(programs, hunt).map_err(|error| format!("{name}: {error}"))?;
        let done = words.lines().rev().find(|line| line.contains("DONE") || line.contains("cov:"));
        println!("{name}: {}", done.unwrap_or("no word of it").trim());
        if success {
            return Ok(());
        }
        let last: Vec<_> = words.lines().rev().take(LINES_SHOWN).collect();
        last.iter().rev().for_each(|line| println!("{line}"));
        let input = artifact(&words).unwrap_or("no input was written");
        Err(format!("{name} failed\n  on    {input}\n  words {}", log.display()))
    }

    /// Runs it, and returns whether it went well, what it said, and where that is kept.
    fn words(&self, programs: &Path, hunt: Hunt<'_>) -> io::Result<(bool, String, PathBuf)> {
        let artifacts = self.folder.join("artifacts").join(self.name);
        let grown = self.grown.join(self.name);
        if hunt.seed.is_some() && grown.exists() {
            fs::remove_dir_all(&grown)?;
        }
        fs::create_dir_all(&grown)?;
        fs::create_dir_all(&artifacts)?;
        let log = artifacts.join("words.log");
        let seeds = self.folder.join("seeds").join(self.name);
        let mut command = Command::new(programs.join(self.name));
        command.current_dir(self.folder).arg(&grown).args(Some(&seeds).filter(|it| it.is_dir()));
        command.arg(format!("-max_total_time={}", hunt.seconds));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.args(hunt.seed.map(|seed| format!("-seed={seed}")));
        command.args(LIMITS);
        let file = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status()?;
        let words = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        Ok((status.success(), words, log))
    }
}

/// Returns the path of the input that a target says it failed on.
fn artifact(words: &str) -> Option<&str> {
    words.lines().rev().find_map(|line| line.split("Test unit written to ").nth(1))
}

/// Where the targets are.
const TARGETS: &str = "fuzz/fuzz_targets";

/// A counter at each branch, and the operands of comparisons. As `cargo fuzz` has it, but for the
/// sanitizers.
const FLAGS: &[&str] = &[
    "--cfg fuzzing",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// An input that takes so long, or so much, is a failure.
const LIMITS: [&str; 2] = ["-timeout=20", "-rss_limit_mb=1024"];

/// How much of what a target said before it failed is shown.
const LINES_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_names_its_targets() {
        let path = |name: &str| format!("{TARGETS}/{name}.rs");
        let paths = ["raft_message", "wal_frame", "wal_open", "walrus"].map(path);
        let files = paths.each_ref().map(|path| (path.as_str(), ""));
        let tree = Tree::of(&files);
        let chosen = |wanted| chosen(&tree, wanted).map(|targets| targets.join(" "));
        assert_eq!(chosen(Some("wal")), Ok("wal_frame wal_open".to_owned()));
        assert_eq!(chosen(Some("wal_open")), Ok("wal_open".to_owned()));
        assert_eq!(chosen(None).map(|it| it.split(' ').count()), Ok(4));
        let refused = chosen(Some("wa")).expect_err("no word");
        assert!(refused.contains("wal_frame"), "{refused}");
    }

    #[test]
    fn the_input_that_it_failed_on_is_found() {
        let words = "artifact_prefix='a/'; Test unit written to a/crash-1\nBase64: AA==\n";
        assert_eq!(artifact(words), Some("a/crash-1"));
        assert_eq!(artifact("Done 7 runs\n"), None);
    }

    #[test]
    fn the_platform_is_known() {
        let host = host().expect("it compiled this");
        assert!(host.contains('-'), "{host}");
    }
}
