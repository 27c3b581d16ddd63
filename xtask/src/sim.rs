//! The simulations, with seeds that nobody ran before.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metadata::Metadata;
use crate::shell;
use crate::tree::Tree;

/// How long to look, and what to do with what is found.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// How many seeds.
    pub seeds: u64,
    /// The first; drawn from the clock, if `None`.
    pub start: Option<u64>,
    /// Runs so many seeds again and again until so much time has passed.
    pub minutes: Option<u64>,
    /// Whether to go on after a failure, and tell one of each kind.
    pub collects: bool,
}

/// Runs the simulations of one family or of all.
///
/// # Errors
///
/// If a run breaks a law: the lines that replay it.
#[expect(clippy::disallowed_methods, reason = "a person waits for this")]
pub fn run(root: &Path, family: Option<&str>, hunt: Hunt) -> Result<(), String> {
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
    let started = Instant::now();
    let time = Duration::from_secs(60 * hunt.minutes.unwrap_or_default());
    let first = hunt.start.unwrap_or_else(fresh);
    let mut start = first;
    loop {
        let end = start.checked_add(hunt.seeds).ok_or("the last seed is beyond 64 bits")?;
        println!("seeds {start}..{end}");
        let failures: Vec<_> = chosen
            .iter()
            .filter_map(|family| family.check(root, start, end, hunt.collects).err())
            .collect();
        if !failures.is_empty() {
            let folder = Metadata::read(root)?.target_directory.join("sim");
            let place = folder.display();
            return Err(format!("{}\nplans and pictures: {place}", failures.join("\n")));
        }
        start = end;
        if time <= started.elapsed() {
            break;
        }
    }
    println!("sim: {} seeds of {} families hold", start - first, chosen.len());
    Ok(())
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
        files.any(|(_, text)| text.contains("check_seeds") || text.contains(".run();"))
    }

    fn check(&self, root: &Path, start: u64, end: u64, collects: bool) -> Result<(), String> {
        println!("--- {}", self.name);
        let mut command = self.command(root);
        command.env_remove("SEED").env_remove("PLAN").env("SEEDS", format!("{start}..{end}"));
        if collects {
            command.env("COLLECT", "1");
        }
        let (is_good, output) = shell::shown(&mut command).map_err(|error| error.to_string())?;
        if is_good {
            let is_empty = shell::tests_run(&output) == 0;
            let what = format!("{}: no test is called {}", self.name, self.filter);
            return if is_empty { Err(what) } else { Ok(()) };
        }
        let lines = pasted(&output);
        if lines.is_empty() {
            return Err(format!("{}: the simulation failed, and named no seed", self.name));
        }
        Err(format!("{}: a law is broken\n  {}", self.name, lines.join("\n  ")))
    }

    fn command(&self, root: &Path) -> Command {
        let mut command = shell::cargo(root);
        command.args(["test", "--release", "-p", self.package, "--test", "simulation"]);
        command.args(Some(self.filter).filter(|filter| !filter.is_empty()));
        command
    }
}

/// Returns the lines to paste among what tests print: each replays one failure.
fn pasted(output: &str) -> Vec<&str> {
    let is_one = |line: &&str| {
        (line.starts_with("PLAN=") || line.starts_with("SEED=")) && line.contains(" cargo test ")
    };
    output.lines().filter(is_one).collect()
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
    Family { name: "kv", package: "quorate-examples", dir: "examples", filter: "kv_nodes" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_to_paste_are_found() {
        let first = "SEED=17 cargo test -p quorate-wal --test simulation no_crash -- --nocapture";
        let second = "PLAN=target/sim/raft-4.json cargo test -p quorate-consensus --test s raft";
        let output = format!("thread panicked:\nseed 17, at 3.2s\n{first}\nplan\n{second}\nnote\n");
        assert_eq!(pasted(&output), [first, second]);
        assert!(pasted("test a ... FAILED\nSEED=x --test simulation a\n").is_empty());
    }

    #[test]
    fn seeds_that_are_not_taken_are_no_seeds() {
        let family = FAMILIES[1];
        let tree = |text| Tree::of(&[("wal/tests/simulation.rs", text)]);
        assert!(family.takes_seeds(&tree("check_seeds(..)")));
        assert!(family.takes_seeds(&tree("suite(\"a\").run();")));
        assert!(!family.takes_seeds(&tree("const SEEDS: u64 = 5;")));
        assert!(family.exists(&tree("")) && !FAMILIES[0].exists(&tree("")));
    }

    #[test]
    fn two_draws_are_later_than_the_first_line_of_this_file() {
        assert!(1_700_000_000_000 < fresh());
    }
}
