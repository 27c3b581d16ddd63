//! The house rules, as a test, so that `cargo test` is all that has to pass.

use std::path::Path;

use xtask::tidy;

#[test]
fn tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let findings = tidy::findings(root).expect("the sources are readable");
    assert!(findings.is_empty(), "untidy:\n{}", findings.join("\n"));
}
