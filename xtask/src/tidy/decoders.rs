//! Every decoder of bytes from outside has a fuzz target.

use crate::tree::{Package, Tree};

/// Returns the decoders without a target, and the targets that are never built.
pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for package in tree.packages().filter(Package::is_published) {
        for (path, text) in tree.below(&format!("{}/src", package.dir)) {
            let Some(index) = text.lines().position(is_decoder) else { continue };
            let at = index + 1;
            match TARGETS.iter().find(|(file, _)| *file == path) {
                None => findings.push(format!("{path}:{at}: name its fuzz target in {HERE}")),
                Some((_, target)) if !tree.has(&format!("fuzz/fuzz_targets/{target}.rs")) => {
                    findings.push(format!("{path}:{at}: add `fuzz/fuzz_targets/{target}.rs`"));
                }
                Some(_) => {}
            }
        }
    }
    let manifest = tree.text("fuzz/Cargo.toml").unwrap_or_default();
    for (path, _) in tree.below("fuzz/fuzz_targets") {
        let name = path.trim_start_matches("fuzz/");
        if !manifest.contains(&format!("path = \"{name}\"")) {
            findings.push(format!("{path}:1: name it in `fuzz/Cargo.toml`, or it is never built"));
        }
    }
    findings
}

/// Returns whether the line begins what turns bytes into a value.
fn is_decoder(line: &str) -> bool {
    let is_wire = line.starts_with("impl") && line.contains("Wire for ");
    let is_public = line.trim_start().starts_with("pub");
    is_wire
        || is_public
            && ["fn decode(", "fn next_frame(", "fn read(source", "fn from_json("]
                .iter()
                .any(|it| line.contains(it))
}

const HERE: &str = "xtask/src/tidy/decoders.rs";

/// Files with decoders, and the fuzz target that reaches them.
const TARGETS: &[(&str, &str)] = &[
    ("consensus/src/raft/message.rs", "raft_message"),
    ("consensus/src/raft/record.rs", "raft_record"),
    // No decoder of bytes, but a reader of files from outside.
    ("sim/src/history/transactions.rs", "sim_transactions"),
    ("sim/src/maelstrom/message.rs", "sim_maelstrom"),
    ("sim/src/plan/json.rs", "sim_plan"),
    ("sim/src/recording/read.rs", "sim_recording"),
    ("transport/src/frame/decoder.rs", "transport_frame"),
    ("transport/src/frame/hello.rs", "transport_hello"),
    ("wal/src/format/frame.rs", "wal_frame"),
    ("wal/src/format/header.rs", "wal_header"),
    ("wal/src/format/seal.rs", "wal_footer"),
    ("wal/src/format/snapshot.rs", "wal_snapshot"),
];

#[cfg(test)]
mod tests {
    use super::super::expect;
    use super::*;

    const PACKAGE: (&str, &str) = ("consensus/Cargo.toml", "[package]\n");
    const WIRE: &str = "//! M.\n\nimpl Wire for Message {\n}\n";
    const RECORD: &str = "consensus/src/raft/record.rs";

    #[test]
    fn a_decoder_without_a_target_is_found() {
        expect(check, &[PACKAGE, (RECORD, WIRE)], &["record.rs:3: add `fuzz/fuzz_targets/raft_"]);
        expect(check, &[PACKAGE, ("consensus/src/new.rs", WIRE)], &["new.rs:3: name its fuzz"]);
        let own = "//! O.\nimpl O {\n    pub fn decode(bytes: &[u8]) {}\n}\n";
        expect(check, &[PACKAGE, ("consensus/src/o.rs", own)], &["o.rs:3: name its fuzz target"]);
        let private = own.replace("pub fn", "fn");
        expect(check, &[PACKAGE, ("consensus/src/o.rs", &private)], &[]);
        expect(check, &[PACKAGE, ("consensus/tests/new.rs", WIRE)], &[]);
    }

    #[test]
    fn a_target_that_is_never_built_is_found() {
        let target = ("fuzz/fuzz_targets/raft_record.rs", "");
        let named = ("fuzz/Cargo.toml", "[[bin]]\npath = \"fuzz_targets/raft_record.rs\"\n");
        expect(check, &[PACKAGE, (RECORD, WIRE), target, named], &[]);
        expect(check, &[PACKAGE, (RECORD, WIRE), target], &["name it in `fuzz/Cargo.toml`"]);
    }
}
