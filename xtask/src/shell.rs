//! Other programs.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the cargo that runs us, to be started at `root`.
#[must_use]
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root);
    command
}

/// Returns whether the program answers this call without a complaint. Shows nothing.
#[must_use]
pub fn answers(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Returns what git prints, or `None` where it cannot answer.
#[must_use]
pub fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the program, shows what it prints, and returns that with whether it succeeded.
///
/// # Errors
///
/// If the program cannot be started or its output cannot be read.
pub fn shown(command: &mut Command) -> io::Result<(bool, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("it is piped");
    let mut text = String::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    Ok((child.wait()?.success(), text))
}

/// Returns how many tests ran, by the words of their runner.
#[must_use]
pub fn tests_run(output: &str) -> u64 {
    let counts = output.lines().filter_map(|line| {
        let (count, word) = line.strip_prefix("running ")?.split_once(' ')?;
        word.starts_with("test").then(|| count.parse::<u64>().ok())?
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_over_all_runs() {
        assert_eq!(tests_run("running 2 tests\ntest a ... ok\n\nrunning 1 test\n"), 3);
        assert_eq!(tests_run("running 0 tests\n"), 0);
        assert_eq!(tests_run("running late\n"), 0);
    }

    #[test]
    fn what_is_shown_is_kept() {
        let (is_good, text) = shown(Command::new("git").arg("--version")).expect("git is here");
        assert!(is_good && text.starts_with("git version"), "{text}");
        assert!(!answers(&mut Command::new("no-such-program-anywhere")));
    }
}
