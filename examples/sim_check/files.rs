//! Which files are judged, and what the judgements come to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is known of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// It fits.
    Good,
    /// It surely does not.
    Bad,
    /// The budget was spent.
    Unknown,
}

/// Judges each file, and returns the exit code. A file that `judge` cannot read is named with what
/// it says, and the others are judged all the same.
pub(super) fn judge_each<E: std::fmt::Display>(
    paths: &[PathBuf],
    mut judge: impl FnMut(&Path) -> Result<Found, E>,
) -> ExitCode {
    let (mut is_bad, mut is_unclear) = (false, false);
    for path in paths {
        let files = files(path).unwrap_or_else(|error| {
            eprintln!("{}: {error}", path.display());
            is_unclear = true;
            Vec::new()
        });
        for file in files {
            match judge(&file) {
                Ok(Found::Good) => {}
                Ok(Found::Bad) => is_bad = true,
                Ok(Found::Unknown) => is_unclear = true,
                Err(error) => {
                    eprintln!("{}: {error}", file.display());
                    is_unclear = true;
                }
            }
        }
    }
    match (is_bad, is_unclear) {
        (true, _) => ExitCode::from(1),
        (false, true) => ExitCode::from(2),
        (false, false) => ExitCode::SUCCESS,
    }
}

/// Returns `path`, or the logs in it in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|it| it.to_str());
        if path.is_file() && extension.is_some_and(|it| EXTENSIONS.contains(&it)) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(io::Error::other(format!("no file ends in {}", EXTENSIONS.join(", "))));
    }
    Ok(files)
}

/// What histories are called. A folder often has a licence or notes beside them.
const EXTENSIONS: [&str; 4] = ["log", "txt", "json", "jsonl"];
