//! Rules for what belongs beside a crate: its front page, its history, its four kinds of tests.

use crate::tree::{Package, Tree};

/// Returns what the published crates lack.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for package in tree.packages().filter(Package::is_published) {
        check_page(tree, package, &mut findings);
        check_tests(tree, package, &mut findings);
    }
    findings
}

fn check_page(tree: &Tree, Package { dir, path, .. }: Package<'_>, findings: &mut Vec<String>) {
    let read = |file: &str| tree.text(&format!("{dir}/{file}")).unwrap_or_default();
    if !read("src/lib.rs").starts_with("#![doc = include_str!(\"../README.md\")]\n") {
        findings.push(format!("{path}:1: let the README be the documentation of `lib.rs`"));
    }
    let page = read("README.md");
    for section in ["## What it promises", "## What it does not do", "## Trade-offs", "```rust"] {
        if !page.contains(section) {
            findings.push(format!("{path}:1: the README lacks `{section}`"));
        }
    }
    if !read("CHANGELOG.md").contains("## [Unreleased]") {
        findings.push(format!("{path}:1: add `CHANGELOG.md`, with `## [Unreleased]`"));
    }
}

/// A crate with a protocol is tested in four ways, under the same four names everywhere.
fn check_tests(tree: &Tree, Package { dir, path, .. }: Package<'_>, findings: &mut Vec<String>) {
    if !tree.below(&format!("{dir}/src")).any(|(_, text)| super::is_protocol(text)) {
        return;
    }
    for kind in ["scripts", "properties", "simulation", "conformance"] {
        if !tree.has(&format!("{dir}/tests/{kind}.rs")) {
            findings.push(format!("{path}:1: add `tests/{kind}.rs`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    const PAGE: &str = "# A\n```rust\n```\n## What it promises\n## What it does not do\n\
        ## Trade-offs\n";

    #[test]
    fn every_part_of_a_crate_can_be_missing() {
        let good = [
            ("a/Cargo.toml", "[package]\n"),
            ("a/CHANGELOG.md", "## [Unreleased]\n"),
            ("a/README.md", PAGE),
            ("a/src/a.rs", "//! A.\n\nimpl Protocol for A {}\n"),
            ("a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n\nmod a;\n"),
            ("a/tests/conformance.rs", ""),
            ("a/tests/properties.rs", ""),
            ("a/tests/scripts.rs", ""),
            ("a/tests/simulation.rs", ""),
        ];
        expect(check, &good, &[]);
        let shorter = PAGE.replace("## Trade-offs", "## Prices");
        for (at, text, rule) in [
            (1, "## 1.0\n", "add `CHANGELOG.md`"),
            (2, shorter.as_str(), "lacks `## Trade-offs`"),
            (4, "//! A.\n", "let the README be the documentation"),
        ] {
            let mut files = good;
            files[at].1 = text;
            expect(check, &files, &[rule]);
        }
        expect(check, &good[..8], &["add `tests/simulation.rs`"]);
        let plain: Vec<_> = good[..5].iter().filter(|it| it.0 != "a/src/a.rs").copied().collect();
        expect(check, &plain, &[]);
    }
}
