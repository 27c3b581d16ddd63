//! The simulations, with seeds that nobody ran before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metadata::Metadata;
use crate::shell;
use crate::tree::Tree;

/// Runs `count` seeds from `start` on, or from one drawn from the clock, of one family or of all.
///
/// # Errors
///
/// If a seed breaks a law: which one, the line that replays it, and where its trace is.
pub fn run(
    root: &Path,
    family: Option<&str>,
    count: u64,
    start: Option<u64>,
) -> Result<(), String> {
    let start = start.unwrap_or_else(fresh);
    let end = start.checked_add(count).ok_or("the last seed is beyond 64 bits")?;
    let tree = Tree::read(root).map_err(|error| format!("the sources are unreadable: {error}"))?;
    let chosen: Vec<_> = FAMILIES
        .iter()
        .filter(|it| family.map_or(it.exists(&tree), |name| it.name == name))
        .collect();
    for family in &chosen {
        if !family.exists(&tree) {
            return Err(format!("{}: no simulation yet, {}.rs", family.name, family.test()));
        }
        if !family.takes_seeds(&tree) {
            return Err(format!("{}: {}.rs does not take SEEDS", family.name, family.test()));
        }
    }
    println!("seeds {start}..{end}");
    let failures: Vec<_> =
        chosen.iter().filter_map(|family| family.check(root, start, end).err()).collect();
    if failures.is_empty() {
        println!("sim: {count} seeds of {} families hold", chosen.len());
        return Ok(());
    }
    Err(failures.join("\n"))
}

/// Returns the names of the families.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name)
}

/// Returns milliseconds since 1970: no two runs share seeds, but those of the same second.
#[expect(clippy::disallowed_methods, reason = "seeds of a run by hand ought to differ")]
fn fresh() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    elapsed.as_millis().try_into().unwrap_or_default()
}

/// What is simulated, and by which test.
#[derive(Clone, Copy, Debug)]
struct Family {
    name: &'static str,
    package: &'static str,
    dir: &'static str,
    /// The tests that run seeds; all, if empty.
    filter: &'static str,
}

impl Family {
    /// Returns the path of the test, without its ending.
    fn test(&self) -> String {
        format!("{}/tests/simulation", self.dir)
    }

    fn exists(&self, tree: &Tree) -> bool {
        tree.has(&format!("{}.rs", self.test()))
    }

    /// Returns whether it reads the seeds from outside: else it would repeat its own, and tell
    /// nothing new.
    fn takes_seeds(&self, tree: &Tree) -> bool {
        let main = format!("{}.rs", self.test());
        let mut files = tree
            .below(self.dir)
            .filter(|(path, _)| *path == main || path.starts_with(&format!("{}/", self.test())));
        files.any(|(_, text)| text.contains("check_seeds") || text.contains("\"SEEDS\""))
    }

    fn check(&self, root: &Path, start: u64, end: u64) -> Result<(), String> {
        println!("--- {}", self.name);
        let mut command = self.command(root, self.filter);
        command.env_remove("SEED").env("SEEDS", format!("{start}..{end}"));
        let (is_good, output) = shell::shown(&mut command).map_err(|error| error.to_string())?;
        if is_good {
            let is_empty = shell::tests_run(&output) == 0;
            let what = format!("{}: no test is called {}", self.name, self.filter);
            return if is_empty { Err(what) } else { Ok(()) };
        }
        let failures = failures(&output);
        if failures.is_empty() {
            return Err(format!("{}: the simulation failed, and named no seed", self.name));
        }
        let told = failures.iter().map(|failure| self.tell(root, failure));
        Err(told.collect::<Vec<_>>().join("\n"))
    }

    /// Replays a failure, keeps its trace, and says where.
    fn tell(&self, root: &Path, failure: &Failure) -> String {
        let Failure { seed, test } = failure;
        let test = test.as_deref().unwrap_or(self.filter);
        let package = self.package;
        let mut command = self.command(root, test);
        command.args(["--", "--nocapture"]).env_remove("SEEDS").env("SEED", seed.to_string());
        let kept = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())
            .and_then(|trace| self.keep(root, *seed, &trace));
        let place = match kept {
            Ok(path) => format!("trace {}", path.display()),
            Err(why) => format!("no trace: {why}"),
        };
        let line =
            format!("SEED={seed} cargo test -p {package} --test simulation {test} -- --nocapture");
        let line = line.replace("  ", " ");
        format!("{}: seed {seed} breaks a law\n  {line}\n  {place}", self.name)
    }

    fn keep(&self, root: &Path, seed: u64, trace: &Output) -> Result<PathBuf, String> {
        let folder = Metadata::read(root)?.target_directory.join("sim");
        let path = folder.join(format!("{}-{seed}.txt", self.name));
        let text = [trace.stdout.as_slice(), trace.stderr.as_slice()].concat();
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn command(&self, root: &Path, filter: &str) -> Command {
        let mut command = shell::cargo(root);
        command.args(["test", "--release", "-p", self.package, "--test", "simulation"]);
        command.args(Some(filter).filter(|filter| !filter.is_empty()));
        command
    }
}

/// A seed that broke a law.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Failure {
    seed: u64,
    /// The test, if it said so.
    test: Option<String>,
}

/// Finds the failures in what tests print: the line to paste of `check_seeds`, or else the first
/// `seed 17` of a panic.
fn failures(output: &str) -> Vec<Failure> {
    let mut found: Vec<_> = output.lines().filter_map(pasted).collect();
    if found.is_empty() {
        let seeds = output.lines().filter_map(|line| number(line.split_once("seed ")?.1));
        found.extend(seeds.take(1).map(|seed| Failure { seed, test: None }));
    }
    found.dedup();
    found
}

fn pasted(line: &str) -> Option<Failure> {
    let seed = number(line.strip_prefix("SEED=")?)?;
    let (_, rest) = line.split_once(" --test simulation ")?;
    let test = rest.split(' ').next().filter(|test| !test.starts_with("--"))?;
    Some(Failure { seed, test: Some(test.to_owned()) })
}

/// Reads the number that `text` starts with.
fn number(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

const FAMILIES: &[Family] = &[
    Family {
        name: "raft",
        package: "quorate-consensus",
        dir: "consensus",
        filter: "raft_keeps_its_laws",
    },
    Family { name: "wal", package: "quorate-wal", dir: "wal", filter: "" },
    Family { name: "sim", package: "quorate-sim", dir: "sim", filter: "a_sound" },
    Family { name: "kv", package: "quorate-examples", dir: "examples", filter: "" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_names_seed_and_test() {
        let output = "thread panicked:\ntwo votes in term 4\nseed 17, at 3.2s\nplan loss\n\
            SEED=17 cargo test -p quorate-consensus --test simulation raft_keeps_its_laws -- \
            --nocapture\nnote: run with `RUST_BACKTRACE=1`\n";
        let test = Some("raft_keeps_its_laws".to_owned());
        assert_eq!(failures(output), [Failure { seed: 17, test }]);
    }

    #[test]
    fn a_bare_seed_will_do() {
        let output = "panicked at wal/tests/simulation.rs:28:27:\nseed 408: record 7 is lost\n";
        assert_eq!(failures(output), [Failure { seed: 408, test: None }]);
        assert_eq!(failures("test a ... FAILED\nSEED=x --test simulation a\n"), []);
    }

    #[test]
    fn seeds_that_are_not_taken_are_no_seeds() {
        let family = FAMILIES[1];
        let tree = |text| Tree::of(&[("wal/tests/simulation.rs", text)]);
        assert!(family.takes_seeds(&tree("check_seeds(..)")));
        assert!(family.takes_seeds(&tree("env::var(\"SEEDS\")")));
        assert!(!family.takes_seeds(&tree("const SEEDS: u64 = 5;")));
        assert!(family.exists(&tree("")) && !FAMILIES[0].exists(&tree("")));
    }

    #[test]
    fn two_draws_are_later_than_the_first_line_of_this_file() {
        assert!(1_700_000_000_000 < fresh());
    }
}
