//! docs/patterns.md, checked cell by cell: what it says is there, is.
//!
//! ```text
//! | pattern | type | source | script | simulation | example | bench | left out |
//! |---|---|---|---|---|---|---|---|
//! | Generation Clock | `a_crate::Term` | .. | `a/path` | `a/path::a_word_in_it` | - | .. | why - |
//! ```
//!
//! A cell names one thing or several, each in backquotes; `-` stands for nothing, and then the last
//! cell says why.

mod item;

use std::path::Path;

use crate::tree::Tree;

pub(crate) use item::has_word;

/// Prints what does not resolve, what is missing, and how many rows name something in each cell.
///
/// # Errors
///
/// If a cell does not resolve.
pub fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root).map_err(|error| format!("the sources are unreadable: {error}"))?;
    let rows = rows(tree.text(PAGE).ok_or_else(|| format!("there is no {PAGE}"))?)?;
    let findings = findings(&tree);
    findings.iter().for_each(|finding| println!("{finding}"));
    for row in rows.iter().filter(|row| !row.is_complete()) {
        println!("{}: without {}", row.pattern(), row.missing().join(", "));
    }
    let complete = rows.iter().filter(|row| row.is_complete()).count();
    println!("rows complete/total: {complete}/{}", rows.len());
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("{} cells of {PAGE} do not resolve", findings.len()))
}

/// Returns the cells that do not resolve, as `path:line: what to do instead`.
#[must_use]
pub fn findings(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text(PAGE) else { return vec![format!("{PAGE}:1: write it")] };
    match rows(text) {
        Ok(rows) => rows.iter().flat_map(|row| row.findings(tree)).collect(),
        Err(why) => vec![format!("{PAGE}:1: {why}")],
    }
}

/// A pattern.
#[derive(Clone, Debug)]
struct Row<'a> {
    /// The number of the line.
    at: usize,
    cells: [&'a str; COLUMNS.len()],
}

impl<'a> Row<'a> {
    fn pattern(&self) -> &'a str {
        self.cells[0]
    }

    /// Returns whether each cell names something.
    fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// Returns the columns that name nothing.
    fn missing(&self) -> Vec<&'static str> {
        let named = COLUMNS.into_iter().zip(self.cells).take(LEFT_OUT);
        named.filter(|(_, cell)| *cell == NOTHING).map(|(column, _)| column).collect()
    }

    fn findings(&self, tree: &Tree) -> Vec<String> {
        let mut findings = Vec::new();
        let mut find = |what: String| findings.push(format!("{PAGE}:{}: {what}", self.at));
        for (column, cell) in COLUMNS.into_iter().zip(self.cells).take(LEFT_OUT).skip(1) {
            let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
            if cell == NOTHING || column == "source" {
                if cell.is_empty() {
                    find(format!("name the {column}, or say `{NOTHING}`"));
                }
            } else if names.is_empty() {
                find(format!("name the {column} in backquotes, or say `{NOTHING}`"));
            } else if column == "type" {
                let unknown = names.iter().filter(|name| !item::exists(tree, name));
                unknown.for_each(|name| find(format!("no crate has a public `{name}`")));
            } else {
                let unknown = names.iter().filter(|name| !is_in(tree, name));
                unknown.for_each(|name| find(format!("there is no {column} `{name}`")));
            }
        }
        if !self.is_complete() && [NOTHING, ""].contains(&self.cells[LEFT_OUT]) {
            find(format!("say in `left out` why there is no {}", self.missing().join(", ")));
        }
        findings
    }
}

/// Returns whether there is a file or folder `path`; or, for `path::word`, the word in the file.
fn is_in(tree: &Tree, name: &str) -> bool {
    match name.split_once("::") {
        None => tree.has(name),
        Some((path, word)) => tree.text(path).is_some_and(|text| has_word(text, word)),
    }
}

/// Reads the one table whose columns are [`COLUMNS`].
fn rows(text: &str) -> Result<Vec<Row<'_>>, String> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let is_header = |line: &str| cells(line).is_some_and(|cells| cells == COLUMNS);
    if !lines.any(|(_, line)| is_header(line)) {
        return Err(format!("give the table the columns {}", COLUMNS.join(" | ")));
    }
    let table = lines.skip(1).take_while(|(_, line)| line.starts_with('|'));
    let row = |(at, line)| {
        let cells = cells(line).ok_or_else(|| format!("line {at} needs {} cells", COLUMNS.len()));
        cells.map(|cells| Row { at, cells })
    };
    table.map(row).collect()
}

fn cells(line: &str) -> Option<[&str; COLUMNS.len()]> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = inner.split('|').map(str::trim).collect();
    cells.try_into().ok()
}

const PAGE: &str = "docs/patterns.md";
const COLUMNS: [&str; 8] =
    ["pattern", "type", "source", "script", "simulation", "example", "bench", "left out"];
const LEFT_OUT: usize = COLUMNS.len() - 1;
const NOTHING: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "# Patterns\n\n\
        | pattern | type | source | script | simulation | example | bench | left out |\n\
        |---|---|---|---|---|---|---|---|\n";

    fn found(row: &str) -> Vec<String> {
        let page = format!("{HEADER}{row}\n\nMore.\n");
        findings(&Tree::of(&[
            (PAGE, &page),
            ("a/Cargo.toml", "[package]\nname = \"quorate-a\"\n"),
            ("a/src/term.rs", "//! T.\n\npub struct Term(pub u64);\n"),
            ("a/tests/scripts/vote", "n1: Vote\n"),
            ("a/tests/simulation.rs", "fn it_holds() {}\n"),
            ("benches/a.rs", ""),
            ("examples/a.rs", ""),
        ]))
    }

    #[test]
    fn what_is_there_resolves() {
        let complete = "| T | `quorate_a::Term` | Me (1) | `a/tests/scripts/vote`, \
            `a/tests/scripts` | `a/tests/simulation.rs::it_holds` | `examples/a.rs` | \
            `benches/a.rs` | - |";
        assert_eq!(found(complete), [""; 0]);
        let partial = "| T | `quorate_a::Term` | Me (1) | - | - | - | - | all of it: too young |";
        assert_eq!(found(partial), [""; 0]);
    }

    #[test]
    fn every_cell_can_be_wrong() {
        let good = ["T", "`quorate_a::Term`", "Me", "`a/tests/scripts/vote`", "-", "-", "-", "x"];
        for (column, cell, finding) in [
            (1, "`quorate_a::Termite`", "no crate has a public `quorate_a::Termite`"),
            (1, "`quorate_b::Term`", "no crate has a public `quorate_b::Term`"),
            (1, "Term", "name the type in backquotes"),
            (2, "", "name the source"),
            (3, "`a/tests/scripts/veto`", "there is no script `a/tests/scripts/veto`"),
            (4, "`a/tests/simulation.rs::it_hold`", "there is no simulation"),
            (5, "`examples/b.rs`", "there is no example `examples/b.rs`"),
            (6, "soon", "name the bench in backquotes"),
            (7, "-", "say in `left out` why there is no simulation, example, bench"),
            (7, "", "say in `left out`"),
        ] {
            let mut cells = good;
            cells[column] = cell;
            let findings = found(&format!("| {} |", cells.join(" | ")));
            let [one] = &findings[..] else { panic!("{cell}: {findings:?}") };
            assert!(one.starts_with("docs/patterns.md:5: ") && one.contains(finding), "{one}");
        }
    }

    #[test]
    fn a_table_of_another_shape_is_none() {
        assert!(found("| T | `quorate_a::Term` |")[0].contains("line 5 needs 8 cells"));
        let other = Tree::of(&[(PAGE, "| pattern | type |\n|---|---|\n")]);
        assert!(findings(&other)[0].contains("give the table the columns"));
        assert!(findings(&Tree::default())[0].contains("write it"));
    }

    #[test]
    fn rows_are_complete_or_say_what_is_missing() {
        let text = format!(
            "{HEADER}| A | a | b | c | d | e | f | - |\n| B | a | b | c | - | e | - | x |\n"
        );
        let rows = rows(&text).expect("a table");
        assert!(rows[0].is_complete());
        assert_eq!(rows[1].missing(), ["simulation", "bench"]);
    }
}
