//! Rules for a `.rs` file.

use crate::tree::Tree;

/// Returns what the sources break.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, text) in tree.files().filter(|(name, _)| name.ends_with(".rs")) {
        check_file(name, text, &mut findings);
    }
    findings
}

fn check_file(name: &str, text: &str, findings: &mut Vec<String>) {
    let code_lines = text.lines().take_while(|line| *line != "mod tests {").count();
    if FILE_LINES_MAX < code_lines {
        findings.push(format!("{name}:1: {code_lines} lines before tests, split it by role"));
    }
    if !text.starts_with("//!") && !text.starts_with("#![doc") {
        findings.push(format!("{name}:1: say what the file is, in `//!`"));
    }
    if name.contains("/src/") && super::is_protocol(text) && !text.contains("Source:") {
        findings.push(format!("{name}:1: a protocol has a paper, name it in a `Source:` line"));
    }
    for (index, line) in text.lines().enumerate() {
        check_line(name, index + 1, line, findings);
    }
}

fn check_line(name: &str, at: usize, line: &str, findings: &mut Vec<String>) {
    if LINE_WIDTH_MAX < line.chars().count() && !line.contains("https://") {
        findings.push(format!("{name}:{at}: longer than {LINE_WIDTH_MAX} columns"));
    }
    if !line.is_ascii() {
        findings.push(format!("{name}:{at}: not ASCII"));
    }
    // Whoever implements the trait of a peer has to name it.
    let is_free = name.ends_with("tidy/source.rs") || name.starts_with("benches/peers/");
    for (word, instead) in BANNED_WORDS {
        if line.contains(word) && !is_free {
            findings.push(format!("{name}:{at}: `{word}`: {instead}"));
        }
    }
}

const LINE_WIDTH_MAX: usize = 100;

/// Before tests. What is longer has two subjects.
const FILE_LINES_MAX: usize = 500;

/// Words that hide what a thing does, and what to say instead.
const BANNED_WORDS: &[(&str, &str)] = &[
    ("Manager", "name the one thing it does"),
    ("Helper", "name the one thing it does"),
    ("Processor", "name the one thing it does"),
    ("mod utils", "put the item next to its user"),
    ("mod types", "put the type next to its user"),
    ("master", "say leader or primary"),
    ("slave", "say follower or backup"),
    ("FIXME", "fix it before the merge"),
];

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    #[test]
    fn every_rule_can_be_broken() {
        finds("a.rs", "//! A.\n", &[]);
        finds("a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n", &[]);
        finds("a.md", "\u{2192} Helper\n", &[]);
        finds("a.rs", &"//!\n".repeat(FILE_LINES_MAX + 1), &["split it by role"]);
        finds("a.rs", "fn f() {}\n", &["say what the file is"]);
        finds("a/src/b.rs", "//! B.\n\nimpl Protocol for B {}\n", &["`Source:`"]);
        finds("a.rs", &format!("//! {}\n", "x".repeat(LINE_WIDTH_MAX)), &["longer than"]);
        finds("a.rs", "//! \u{2192}\n", &["not ASCII"]);
        finds("a.rs", "//! A.\n\nstruct LockManager;\n", &["a.rs:3: `Manager`"]);
    }

    #[test]
    fn tests_may_be_long_and_addresses_wide() {
        let tests = "    fn f() {}\n".repeat(FILE_LINES_MAX);
        finds("a.rs", &format!("//! A.\n\nmod tests {{\n{tests}}}\n"), &[]);
        finds("a.rs", &format!("//! https://{}\n", "x".repeat(LINE_WIDTH_MAX)), &[]);
    }

    fn finds(name: &str, text: &str, rules: &[&str]) {
        expect(check, &[(name, text)], rules);
    }
}
