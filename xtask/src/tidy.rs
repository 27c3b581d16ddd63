//! House rules that no compiler checks.

mod decoders;
mod front;
mod links;
mod manifest;
mod places;
mod scripts;
mod source;

use std::path::Path;

use crate::patterns;
use crate::tree::Tree;

/// Prints what breaks a rule in the workspace at `root`.
///
/// # Errors
///
/// If anything does.
pub fn run(root: &Path) -> Result<(), String> {
    let findings = findings(root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("untidy in {count} places")),
    }
}

/// Returns what breaks a rule in the workspace at `root`, as `path:line: what to do instead`.
///
/// # Errors
///
/// If the sources cannot be read.
pub fn findings(root: &Path) -> Result<Vec<String>, String> {
    let tree = Tree::read(root).map_err(|error| format!("the sources are unreadable: {error}"))?;
    let rules = [
        source::check,
        manifest::check,
        front::check,
        scripts::check,
        decoders::check,
        places::check,
        links::check,
        patterns::findings,
    ];
    Ok(rules.iter().flat_map(|rule| rule(&tree)).collect())
}

/// Returns whether the file holds a protocol.
fn is_protocol(text: &str) -> bool {
    text.contains("\nimpl Protocol for ")
}

/// Asserts that the tree of `files` breaks exactly the rules that say `expected`, in order.
#[cfg(test)]
fn expect(rule: fn(&Tree) -> Vec<String>, files: &[(&str, &str)], expected: &[&str]) {
    let findings = rule(&Tree::of(files));
    assert_eq!(findings.len(), expected.len(), "{expected:?}: {findings:?}");
    for (finding, expected) in findings.iter().zip(expected) {
        assert!(finding.contains(expected), "{expected:?}: {findings:?}");
    }
}
