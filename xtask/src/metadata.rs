//! What cargo knows of the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::shell;

/// A part of what `cargo metadata` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The members of the workspace.
    pub packages: Vec<Package>,
    /// Where what is built goes.
    pub target_directory: PathBuf,
}

/// A member of the workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Where its manifest is.
    pub manifest_path: PathBuf,
    /// The oldest compiler it promises to build with.
    pub rust_version: Option<String>,
    /// Its features, and what each of them turns on.
    pub features: BTreeMap<String, Vec<String>>,
    /// Where it may be published; nowhere, if empty.
    pub publish: Option<Vec<String>>,
    /// What is built of it.
    pub targets: Vec<Target>,
}

/// A library, a program, a test.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What it is, as in `example`.
    pub kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo about the workspace at `root`.
    ///
    /// # Errors
    ///
    /// If cargo cannot answer.
    pub fn read(root: &Path) -> Result<Self, String> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1"];
        let output = shell::cargo(root)
            .args(arguments)
            .output()
            .map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Self::parse(&output.stdout)
    }

    fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// Returns the package and the name of each example in the folder `examples` of `root`.
    pub fn examples(&self, root: &Path) -> impl Iterator<Item = (&str, &str)> {
        let folder = root.join("examples");
        let packages = self.packages.iter().filter(move |it| it.manifest_path.starts_with(&folder));
        packages.flat_map(|package| {
            let is_example = |it: &&Target| it.kind.iter().any(|kind| kind == "example");
            package
                .targets
                .iter()
                .filter(is_example)
                .map(|target| (package.name.as_str(), target.name.as_str()))
        })
    }

    /// Returns the packages that are for others.
    pub fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|it| it.publish.as_ref().is_none_or(|it| !it.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_those_of_the_folder() {
        let json = br#"{"target_directory": "/t", "packages": [
            {"name": "quorate-wal", "manifest_path": "/w/wal/Cargo.toml", "rust_version": "1.88",
             "features": {}, "publish": null,
             "targets": [{"name": "own", "kind": ["example"]}]},
            {"name": "quorate-examples", "manifest_path": "/w/examples/Cargo.toml",
             "rust_version": null, "features": {}, "publish": [],
             "targets": [{"name": "quorate_examples", "kind": ["lib"]},
                         {"name": "kv", "kind": ["example"]}]}]}"#;
        let metadata = Metadata::parse(json).expect("it is what cargo prints");
        let examples: Vec<_> = metadata.examples(Path::new("/w")).collect();
        assert_eq!(examples, [("quorate-examples", "kv")]);
        let published: Vec<_> = metadata.published().map(|it| it.name.as_str()).collect();
        assert_eq!(published, ["quorate-wal"]);
        assert!(Metadata::parse(b"{}").is_err());
    }
}
