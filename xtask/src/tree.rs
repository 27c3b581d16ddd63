//! The files of the workspace, in memory: what rules look at.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Paths from the root, with `/`, and what the files hold.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

/// A package of the workspace, or of one below it.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// The folder, from the root.
    pub dir: &'a str,
    /// The path of the manifest, from the root.
    pub path: &'a str,
    /// What the manifest says.
    pub manifest: &'a str,
}

impl Tree {
    /// Reads what git tracks in the folder `root`, and what it does not ignore. Without git, reads
    /// everything but `target` and `.git`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for name in listed(root).map_or_else(|| walked(root), Ok)? {
            let path = root.join(&name);
            // A path that git lists may be deleted here, or be a folder of its own.
            if path.is_file() {
                let bytes = fs::read(path)?;
                files.insert(name, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(Self { files })
    }

    /// Makes a tree of these paths and texts.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let owned = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: owned.collect() }
    }

    /// Returns all files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Returns the files in the folder `dir` and below.
    pub fn below(&self, dir: &str) -> impl Iterator<Item = (&str, &str)> {
        let prefix = format!("{dir}/");
        self.files().filter(move |(path, _)| path.starts_with(&prefix))
    }

    /// Returns what a file holds.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Returns whether there is such a file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.below(path.trim_end_matches('/')).next().is_some()
    }

    /// Returns all packages.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.files().filter_map(|(path, manifest)| {
            let dir = path.strip_suffix("/Cargo.toml")?;
            manifest.contains("[package]").then_some(Package { dir, path, manifest })
        })
    }
}

impl<'a> Package<'a> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        let package = self.section("package").find_map(|line| line.strip_prefix("name = "));
        package.unwrap_or_default().trim_matches('"')
    }

    /// Returns whether others may depend on it.
    #[must_use]
    pub fn is_published(&self) -> bool {
        !self.manifest.contains("publish = false")
    }

    /// Returns the lines of the section `[header]`.
    pub fn section(&self, header: &str) -> impl Iterator<Item = &'a str> {
        let header = format!("[{header}]");
        let lines = self.manifest.lines().skip_while(move |line| *line != header).skip(1);
        lines.take_while(|line| !line.starts_with('['))
    }

    /// Returns the packages it needs when it is built, tests aside.
    pub fn dependencies(&self) -> impl Iterator<Item = &'a str> {
        let mut is_inside = false;
        self.manifest.lines().filter_map(move |line| {
            if let Some(header) = line.strip_prefix('[') {
                let header = header.trim_end_matches(']');
                is_inside = KINDS.iter().any(|kind| {
                    header == *kind || header.strip_suffix(kind).is_some_and(|it| it.ends_with('.'))
                });
                return KINDS.iter().find_map(|kind| header.strip_prefix(kind)?.strip_prefix('.'));
            }
            let name = line.split(['.', ' ', '=']).next()?;
            (is_inside && !name.is_empty() && !name.starts_with('#')).then_some(name)
        })
    }
}

const KINDS: [&str; 2] = ["dependencies", "build-dependencies"];

fn listed(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let names: Vec<_> =
        text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}

fn walked(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if !entry.file_type()?.is_dir() {
                names.push(path);
            } else if !["target", ".git"].contains(&name.as_str()) {
                folders.push(path);
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"quorate-a\"\n\n[dependencies]\n# why\n\
        bytes.workspace = true\nb = { path = \"../b\" }\n\n[dependencies.c]\npath = \"../c\"\n\n\
        [target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n\n[build-dependencies]\nd = \"1\"\n\n\
        [dev-dependencies]\ne = \"1\"\n";

    #[test]
    fn a_manifest_is_read_by_section() {
        let tree = Tree::of(&[("a/Cargo.toml", MANIFEST), ("Cargo.toml", "[workspace]\n")]);
        let packages: Vec<_> = tree.packages().collect();
        let [package] = packages[..] else { panic!("one package, not {packages:?}") };
        assert_eq!((package.dir, package.name()), ("a", "quorate-a"));
        assert!(package.is_published());
        let dependencies: Vec<_> = package.dependencies().collect();
        assert_eq!(dependencies, ["bytes", "b", "c", "rustix", "d"]);
    }

    #[test]
    fn a_folder_is_what_has_files_below() {
        let tree = Tree::of(&[("a/b/c.rs", "")]);
        assert!(tree.has("a/b/c.rs") && tree.has("a/b") && tree.has("a/b/"));
        assert!(!tree.has("a/b/c") && !tree.has("b"));
    }

    #[test]
    fn git_and_a_walk_agree_on_what_is_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let walked = walked(root).expect("the sources are readable");
        assert!(walked.contains(&"src/tree.rs".to_owned()), "{walked:?}");
        let listed = listed(root).unwrap_or_else(|| walked.clone());
        assert!(listed.contains(&"src/tree.rs".to_owned()), "{listed:?}");
    }
}
