//! Us and others, side by side. The programs are a workspace of their own, in `benches/peers`, so
//! that nothing else builds them.

use std::path::Path;

use crate::shell;

/// Measures all families, or one.
///
/// # Errors
///
/// If there is nothing to run, or it fails.
pub fn run(root: &Path, family: Option<&str>, quick: bool, json: bool) -> Result<(), String> {
    if !root.join(MANIFEST).is_file() {
        return Err(format!("there is no {MANIFEST}: nothing to compare with"));
    }
    let status = shell::cargo(root)
        .args(arguments(family, quick, json))
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err("the comparison failed".into()) }
}

fn arguments(family: Option<&str>, quick: bool, json: bool) -> Vec<&str> {
    let mut arguments = vec!["run", "--release", "--manifest-path", MANIFEST, "--"];
    arguments.extend(family);
    arguments.extend(quick.then_some("--quick"));
    arguments.extend(json.then_some("--json"));
    arguments
}

const MANIFEST: &str = "benches/peers/Cargo.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_passed_on() {
        let given = |family, quick, json| arguments(family, quick, json)[5..].join(" ");
        assert_eq!(given(None, false, false), "");
        assert_eq!(given(Some("wal"), true, false), "wal --quick");
        assert_eq!(given(None, true, true), "--quick --json");
    }

    #[test]
    fn without_peers_there_is_nothing_to_run() {
        let nowhere = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let why = run(&nowhere, None, false, false).expect_err("there are no peers");
        assert!(why.contains("benches/peers"), "{why}");
    }
}
