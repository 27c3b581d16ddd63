//! Every named mistake, planted: a simulation that sees none of them proves nothing.

use std::path::Path;

use crate::shell;
use crate::tree::Tree;

/// What can be asked for: crates, or the families in them.
pub const NAMES: [&str; 4] = ["raft", "consensus", "wal", "sim"];

/// Plants the traps of one crate, or of all, and prints in how many seeds each is caught.
///
/// # Errors
///
/// If one survives, or is never planted.
pub fn run(root: &Path, family: Option<&str>) -> Result<(), String> {
    let tree = Tree::read(root).map_err(|error| format!("the sources are unreadable: {error}"))?;
    let dir = family.map(|name| if name == "raft" { "consensus" } else { name });
    let packages = tree.packages().filter(|package| dir.is_none_or(|dir| dir == package.dir));
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for package in packages {
        let Some(source) = tree.text(&format!("{}/src/traps.rs", package.dir)) else { continue };
        let mut command = shell::cargo(root);
        command.args(["test", "--release", "-p", package.name(), "--lib", TEST]);
        // Traps are caught by panics: where is of no use.
        command.args(["--", "--nocapture"]).env("RUST_BACKTRACE", "0");
        let (is_good, output) = shell::shown(&mut command).map_err(|error| error.to_string())?;
        let verdicts: Vec<_> = output.lines().filter_map(Verdict::read).collect();
        if !is_good {
            failures.push(format!("{}: {TEST} failed", package.dir));
        }
        failures.extend(missing(source, &verdicts).map(|why| format!("{}: {why}", package.dir)));
        rows.extend(verdicts.into_iter().map(|verdict| (package.dir, verdict)));
    }
    println!("\n| crate | trap | seeds until caught | caught | of | as |");
    println!("|---|---|---:|---:|---:|---|");
    for (dir, Verdict { trap, first, count, runs, law }) in &rows {
        let shown = |number: Option<u64>| number.map_or("-".to_owned(), |it| it.to_string());
        let (until, count, runs) = (shown(first.map(|it| it + 1)), shown(*count), shown(*runs));
        println!("| {dir} | {trap} | {until} | {count} | {runs} | {law} |");
    }
    match (failures.is_empty(), rows.len()) {
        (true, 0) => Err("no crate has traps".into()),
        (true, count) => {
            println!("mutants: {count} planted, none survives");
            Ok(())
        }
        (false, _) => Err(failures.join("\n")),
    }
}

/// What became of a trap.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Verdict {
    trap: String,
    /// The first seed, from 0, that caught it, if seeds were tried.
    first: Option<u64>,
    /// In how many runs it was caught, if runs were counted.
    count: Option<u64>,
    runs: Option<u64>,
    /// The law that it broke.
    law: String,
}

impl Verdict {
    /// Reads `Trap: caught in 199 of 200 seeds, first in 0 as: two votes`, or `Trap: caught by
    /// ["law"]`.
    fn read(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once(": caught ")?;
        // The runner may have begun the line.
        let trap = name.rsplit(' ').next()?.to_owned();
        if let Some(laws) = rest.strip_prefix("by ") {
            let law = laws.trim_matches(['[', ']']).replace('"', "");
            let count = law.is_empty().then_some(0);
            return Some(Self { trap, first: None, count, runs: None, law });
        }
        let (count, rest) = rest.strip_prefix("in ")?.split_once(" of ")?;
        let (runs, rest) = rest.split_once(" seeds")?;
        let (first, law) = rest.split_once(" as: ").unwrap_or_default();
        let first = first.rsplit(' ').next().and_then(|seed| seed.parse().ok());
        let (count, runs) = (count.parse().ok(), runs.parse().ok());
        Some(Self { trap, first, count, runs, law: law.to_owned() })
    }
}

/// Returns what is wrong with the verdicts on the traps that `source` names.
fn missing<'a>(source: &'a str, verdicts: &'a [Verdict]) -> impl Iterator<Item = String> + use<'a> {
    traps(source).filter_map(move |trap| match verdicts.iter().find(|it| it.trap == trap) {
        None => Some(format!("{trap} was not tried")),
        Some(Verdict { count: Some(0), .. }) => Some(format!("{trap} survives")),
        Some(_) => None,
    })
}

/// Returns the variants of `enum Trap`.
fn traps(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().skip_while(|line| !line.ends_with("enum Trap {")).skip(1);
    lines.take_while(|line| *line != "}").filter_map(|line| {
        let name = line.trim().strip_suffix(',')?;
        name.chars().all(char::is_alphanumeric).then_some(name)
    })
}

const TEST: &str = "every_trap_is_caught";

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "pub(crate) enum Trap {\n    /// Why, or\n    /// why not,\n    \
        VotesTwice,\n    /// Two.\n    Idles,\n}\n\nfn f() {}\n";

    #[test]
    fn verdicts_are_read_from_what_tests_print() {
        let read = |line| {
            let verdict = Verdict::read(line).expect(line);
            (verdict.trap, verdict.first, verdict.count, verdict.runs, verdict.law)
        };
        let line = "VotesTwice: caught in 199 of 200 seeds, first in 0 as: two votes: n1, n2";
        assert_eq!(
            read(line),
            ("VotesTwice".into(), Some(0), Some(199), Some(200), "two votes: n1, n2".into())
        );
        let line = "test traps::tests::every_trap_is_caught ... Idles: caught in 0 of 9 seeds";
        assert_eq!(read(line), ("Idles".into(), None, Some(0), Some(9), String::new()));
        let line = "Idles: caught by [\"a\", \"b\"]";
        assert_eq!(read(line), ("Idles".into(), None, None, None, "a, b".into()));
        assert_eq!(read("Idles: caught by []").2, Some(0));
        assert_eq!(Verdict::read("test result: ok. 1 passed"), None);
    }

    #[test]
    fn a_trap_that_survives_or_was_not_tried_is_a_failure() {
        let verdicts = |lines: &[&str]| -> Vec<Verdict> {
            lines.iter().filter_map(|line| Verdict::read(line)).collect()
        };
        let why = |lines: &[&str]| missing(SOURCE, &verdicts(lines)).collect::<Vec<_>>().join("; ");
        let (votes, idles) =
            ("VotesTwice: caught in 9 of 9 seeds, first as: x", "Idles: caught by [\"a\"]");
        assert_eq!(why(&[votes, idles]), "");
        assert_eq!(why(&[votes]), "Idles was not tried");
        assert_eq!(why(&[votes, "Idles: caught in 0 of 9 seeds"]), "Idles survives");
    }
}
