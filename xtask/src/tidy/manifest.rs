//! Rules for a `Cargo.toml`.

use crate::tree::{Package, Tree};

/// Returns what the manifests break.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    // A workspace of its own, such as the fuzz targets, has its own ways.
    for package in tree.packages().filter(|it| !it.manifest.contains("[workspace]")) {
        check_benches(tree, package, &mut findings);
        check_examples(tree, package, &mut findings);
        if package.is_published() {
            check_lints(package, &mut findings);
            check_arrows(package, &mut findings);
        }
    }
    findings
}

fn check_lints(package: Package<'_>, findings: &mut Vec<String>) {
    if !package.section("lints").any(|line| line == "workspace = true") {
        let path = package.path;
        findings.push(format!("{path}:1: add `[lints] workspace = true`, no crate inherits it"));
    }
}

/// The runner of a library's unit tests does not know the flags of criterion.
fn check_benches(tree: &Tree, package: Package<'_>, findings: &mut Vec<String>) {
    let Package { dir, path, .. } = package;
    let is_off = |header: &str| package.section(header).any(|line| line == "bench = false");
    let has = |header| package.manifest.lines().any(|line| line == header);
    let has_library = has("[lib]") || tree.has(&format!("{dir}/src/lib.rs"));
    for (is_there, header) in [(has_library, "lib"), (has("[[bin]]"), "[bin]")] {
        if is_there && !is_off(header) {
            findings.push(format!("{path}:1: add `[{header}] bench = false` for criterion"));
        }
    }
}

/// Arrows point down only.
fn check_arrows(package: Package<'_>, findings: &mut Vec<String>) {
    let (path, from) = (package.path, package.name());
    let below = ARROWS.iter().find(|(name, _)| *name == from).map_or(LEAF, |(_, to)| *to);
    for to in package.dependencies().filter(|it| it.starts_with("quorate-")) {
        if !below.contains(&to) {
            findings.push(format!("{path}:1: {from} must not know {to}: join them in examples"));
        }
    }
}

/// A program that no manifest names is never run.
fn check_examples(tree: &Tree, package: Package<'_>, findings: &mut Vec<String>) {
    let Package { dir, path, manifest } = package;
    if dir != "examples" && !dir.starts_with("examples/") {
        return;
    }
    for (file, text) in tree.below(dir).filter(|(file, _)| file.ends_with(".rs")) {
        let is_of_another = tree.packages().any(|other| {
            dir.len() < other.dir.len() && file.starts_with(&format!("{}/", other.dir))
        });
        let is_program = text
            .lines()
            .any(|line| line.starts_with("fn main(") || line.starts_with("async fn main("));
        let name = &file[dir.len() + 1..];
        let is_quiet = is_of_another || !is_program || name.starts_with("src/bin/");
        if !is_quiet && !manifest.contains(&format!("path = \"{name}\"")) {
            findings.push(format!("{path}:1: no `[[example]]` has the path `{name}`"));
        }
    }
}

/// Which crates of the workspace a crate may depend on, if not on [`LEAF`] alone.
const ARROWS: &[(&str, &[&str])] = &[
    ("quorate-core", &[]),
    ("quorate-coordination", &["quorate-core", "quorate-consensus", "quorate-clocks"]),
    ("quorate-crdt", &["quorate-core", "quorate-clocks"]),
    ("quorate-transactions", &["quorate-core", "quorate-clocks"]),
];

const LEAF: &[&str] = &["quorate-core"];

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    const GOOD: &str = "[package]\nname = \"quorate-wal\"\n\n[lib]\nbench = false\n\n\
        [dependencies]\nquorate-core.workspace = true\n\n\
        [dev-dependencies]\nquorate-sim.workspace = true\n\n[lints]\nworkspace = true\n";

    #[test]
    fn every_rule_for_a_manifest_can_be_broken() {
        let finds = |text: &str, rules: &[&str]| {
            expect(check, &[("wal/Cargo.toml", text), ("wal/src/lib.rs", "")], rules);
        };
        finds(GOOD, &[]);
        finds(&GOOD.replace("[lints]", "[lint]"), &["`[lints] workspace = true`"]);
        finds(&GOOD.replace("bench = false", ""), &["`[lib] bench = false`"]);
        finds(&GOOD.replace("[lib]\nbench = false\n", ""), &["`[lib] bench = false`"]);
        let upward = GOOD.replace("[dev-", "quorate-consensus.workspace = true\n[dev-");
        finds(&upward, &["quorate-wal must not know quorate-consensus"]);
        let hidden = format!("{GOOD}\n[target.'cfg(unix)'.dependencies]\nquorate-sim = \"1\"\n");
        finds(&hidden, &["quorate-wal must not know quorate-sim"]);
        finds(&GOOD.replace("quorate-wal", "quorate-core"), &["must not know quorate-core"]);
    }

    #[test]
    fn a_crate_may_know_what_is_drawn_below_it() {
        let crdt = GOOD
            .replace("quorate-wal", "quorate-crdt")
            .replace("[dev-", "quorate-clocks.workspace = true\n[dev-");
        expect(check, &[("crdt/Cargo.toml", &crdt)], &[]);
        let private = "[package]\nname = \"quorate-benches\"\npublish = false\n\
            [dependencies]\nquorate-wal.workspace = true\n";
        expect(check, &[("benches/Cargo.toml", private)], &[]);
    }

    #[test]
    fn a_program_without_a_benchless_bin_is_found() {
        let tool = "[package]\nname = \"xtask\"\npublish = false\n[[bin]]\nname = \"xtask\"\n";
        expect(check, &[("xtask/Cargo.toml", tool)], &["`[[bin]] bench = false`"]);
        let own = format!("{tool}[workspace]\n");
        expect(check, &[("fuzz/Cargo.toml", &own)], &[]);
    }

    #[test]
    fn an_example_that_no_manifest_names_is_found() {
        let manifest = "[package]\nname = \"quorate-examples\"\npublish = false\n\
            [[example]]\nname = \"kv\"\npath = \"kv/main.rs\"\n";
        let finds = |file: &str, text: &str, rules: &[&str]| {
            let nested =
                ("examples/mini/Cargo.toml", "[package]\npath = \"main.rs\"\npublish = false");
            expect(check, &[("examples/Cargo.toml", manifest), (file, text), nested], rules);
        };
        finds("examples/kv/main.rs", "//! K.\nfn main() {}\n", &[]);
        finds("examples/kv/node.rs", "//! K.\nfn f() {}\n", &[]);
        finds("examples/mini/main.rs", "//! K.\nfn main() {}\n", &[]);
        finds("examples/wal.rs", "//! K.\nfn main() {}\n", &["the path `wal.rs`"]);
        finds("examples/w/main.rs", "//! K.\nasync fn main() {}\n", &["the path `w/main.rs`"]);
    }
}
