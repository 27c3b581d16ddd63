//! What has changed, and what that concerns.

use std::path::Path;

use crate::shell::git;

/// Returns the files that differ from where this branch left `main`; on `main` itself, from the
/// commit before. `None` if git cannot answer, as in a clone without history.
pub(super) fn changed(root: &Path) -> Option<Vec<String>> {
    let head = git(root, &["rev-parse", "HEAD"])?;
    let base = ["origin/main", "main"]
        .into_iter()
        .filter_map(|main| git(root, &["merge-base", "HEAD", main]))
        .find(|base| *base != head)
        .or_else(|| git(root, &["rev-parse", "HEAD~1"]))?;
    let differ = git(root, &["diff", "--name-only", base.trim()])?;
    let untracked = git(root, &["ls-files", "--others", "--exclude-standard"])?;
    Some(differ.lines().chain(untracked.lines()).map(str::to_owned).collect())
}

/// Returns whether the workspace in `dir` with this `manifest` is built from a changed file. If
/// nobody knows what has changed, it may be.
pub(super) fn concern(dir: &str, manifest: &str, changed: Option<&[String]>) -> bool {
    let Some(changed) = changed else { return true };
    let mut folders: Vec<_> = paths(manifest).map(|path| joined(dir, path)).collect();
    // Every crate stands on this one.
    folders.extend([dir.to_owned(), "core".to_owned()]);
    let mut sources = changed.iter().filter(|file| !file.ends_with(".md"));
    sources.any(|file| {
        file == "Cargo.toml" || folders.iter().any(|it| file.starts_with(&format!("{it}/")))
    })
}

/// Returns the folders that the manifest says its dependencies are in.
fn paths(manifest: &str) -> impl Iterator<Item = &str> {
    manifest.split("path = \"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// Follows `path` from `dir`.
fn joined(dir: &str, path: &str) -> String {
    let mut names: Vec<_> = dir.split('/').collect();
    for name in path.split('/') {
        if name == ".." {
            names.pop();
        } else {
            names.push(name);
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[dependencies]\nquorate-wal = { path = \"../../wal\" }\n";

    #[test]
    fn only_what_it_is_built_from_concerns_it() {
        for (file, expected) in [
            ("benches/peers/src/main.rs", true),
            ("wal/src/log.rs", true),
            ("core/src/lib.rs", true),
            ("Cargo.toml", true),
            ("benches/wal.rs", false),
            ("wal/CHANGELOG.md", false),
            ("walrus/lib.rs", false),
            ("consensus/src/raft.rs", false),
        ] {
            let concerned = concern("benches/peers", MANIFEST, Some(&[file.to_owned()]));
            assert_eq!(concerned, expected, "{file}");
        }
        assert!(!concern("benches/peers", MANIFEST, Some(&[])));
    }

    #[test]
    fn what_nobody_knows_concerns_everybody() {
        assert!(concern("benches/peers", MANIFEST, None));
        assert_eq!(changed(Path::new("/no/such/folder")), None);
    }
}
