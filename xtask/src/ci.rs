//! What CI runs, so that nobody has to push to find out.

mod changes;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::metadata::Metadata;
use crate::shell;

/// Runs every step in the workspace at `root`, up to the first that fails.
///
/// # Errors
///
/// If a step fails: which one.
#[expect(clippy::disallowed_methods, reason = "a person waits for this")]
pub fn run(root: &Path) -> Result<(), String> {
    let steps = steps(root, &Metadata::read(root)?);
    let started = Instant::now();
    for step in &steps {
        println!("--- {}", step.line());
        let began = Instant::now();
        let status = step.command(root).status();
        let is_good = status.is_ok_and(|status| status.success());
        let mark = if is_good { "ok" } else { "FAILED" };
        println!("{mark}: {} ({:.1} s)", step.line(), began.elapsed().as_secs_f64());
        if !is_good {
            return Err(format!("ci: `{}` failed", step.line()));
        }
    }
    println!("ci: {} steps passed ({:.1} s)", steps.len(), started.elapsed().as_secs_f64());
    Ok(())
}

/// A command of cargo.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Step {
    /// Split at spaces.
    arguments: String,
    /// A variable of the environment, if it needs one.
    variable: Option<(&'static str, &'static str)>,
    /// Whether the first argument names a toolchain.
    names_toolchain: bool,
}

impl Step {
    fn new(arguments: impl Into<String>) -> Self {
        Self { arguments: arguments.into(), ..Self::default() }
    }

    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self { variable: Some((name, value)), ..self }
    }

    /// Returns the line that one would type.
    fn line(&self) -> String {
        let variable = self.variable.map(|(name, value)| format!("{name}={value:?} "));
        format!("{}cargo {}", variable.unwrap_or_default(), self.arguments)
    }

    fn command(&self, root: &Path) -> Command {
        let mut command = if self.names_toolchain {
            // Only the cargo of the path, if it is that of rustup, knows what a toolchain is.
            let mut command = Command::new("cargo");
            command.current_dir(root);
            command
        } else {
            shell::cargo(root)
        };
        // The same cases each time: a merge must not fail by chance. At a desk they are fresh ones.
        command.env("PROPTEST_RNG_SEED", "20");
        command.args(self.arguments.split(' ')).envs(self.variable);
        // An example that reads until its input ends must not wait for a person.
        command.stdin(Stdio::null());
        command
    }
}

fn steps(root: &Path, metadata: &Metadata) -> Vec<Step> {
    let mut steps = always(metadata);
    steps.extend(examples(root, metadata));
    steps.push(Step::new("bench --workspace -- --test"));
    let changed = changes::changed(root);
    steps.extend(elsewhere(root, changed.as_deref()));
    steps.extend(model(root, changed.as_deref()));
    steps.extend(smoke(root, changed.as_deref()));
    let has = |tool| shell::answers(shell::cargo(root).args([tool, "--version"]));
    if has("hack") {
        steps.push(Step::new("hack check --workspace --ignore-private --each-feature"));
    }
    if has("deny") {
        steps.push(Step::new("deny check"));
    }
    steps.extend(oldest_compiler(metadata).filter(|_| is_installed(&oldest(metadata))));
    steps
}

/// Returns what every run does. `tidy` is one of the tests.
fn always(metadata: &Metadata) -> Vec<Step> {
    let mut steps = vec![
        Step::new("fmt --all --check"),
        Step::new("clippy --workspace --all-targets --all-features -- -D warnings"),
        Step::new("test --workspace"),
    ];
    let has_features = metadata.published().filter(|it| it.features.keys().any(is_optional));
    steps.extend(has_features.map(|it| Step::new(format!("test -p {} --all-features", it.name))));
    let doc = Step::new("doc --workspace --no-deps --all-features");
    steps.push(doc.with("RUSTDOCFLAGS", "-D warnings"));
    steps
}

fn is_optional(feature: &String) -> bool {
    feature != "default"
}

/// Each example asserts at its end that it showed what it says.
fn examples(root: &Path, metadata: &Metadata) -> Vec<Step> {
    let step = |(package, name): (&str, &str)| {
        let line = format!("run --release -p {package} --example {name}");
        let arguments = EXAMPLE_ARGUMENTS.iter().find(|(example, _)| *example == name);
        Step::new(line + arguments.map_or("", |(_, arguments)| arguments))
    };
    metadata.examples(root).map(step).collect()
}

/// The workspaces of their own, if what they are built from has changed.
fn elsewhere(root: &Path, changed: Option<&[String]>) -> Vec<Step> {
    let step = |(dir, flags): &(&str, Option<&'static str>)| {
        let manifest = format!("{dir}/Cargo.toml");
        let text = std::fs::read_to_string(root.join(&manifest)).ok()?;
        if !changes::concern(dir, &text, changed) {
            println!("{dir}: nothing changed that it is built from, not checked");
            return None;
        }
        let step = Step::new(format!("check --manifest-path {manifest}"));
        Some(match flags {
            Some(flags) => step.with("RUSTFLAGS", flags),
            None => step,
        })
    };
    ELSEWHERE.iter().filter_map(step).collect()
}

/// The threads of the log in every interleaving, if it has changed.
fn model(root: &Path, changed: Option<&[String]>) -> Option<Step> {
    if !root.join("wal").is_dir() {
        return None;
    }
    if !changes::concern("wal", "", changed) {
        println!("wal: nothing changed in it, its model is not run");
        return None;
    }
    let step = Step::new("test -p quorate-wal --release --test loom");
    Some(step.with("RUSTFLAGS", "--cfg loom"))
}

/// A minute of each fuzz target of the log, the same inputs each time, if what they reach has
/// changed.
fn smoke(root: &Path, changed: Option<&[String]>) -> Option<Step> {
    let is_here = |name: &str| root.join(name).is_dir();
    if !is_here("fuzz") || !is_here("wal") {
        return None;
    }
    if !changes::concern("fuzz", REACHED, changed) {
        println!("fuzz: nothing changed that reads a log, not run");
        return None;
    }
    Some(Step::new("xtask fuzz wal --seconds 60 --seed 20"))
}

/// Returns a check of the libraries with the oldest compiler that they promise to build with.
fn oldest_compiler(metadata: &Metadata) -> impl Iterator<Item = Step> {
    let packages: String = metadata.published().map(|it| format!(" -p {}", it.name)).collect();
    let line = format!("+{} check --lib --all-features{packages}", oldest(metadata));
    [Step { names_toolchain: true, ..Step::new(line) }].into_iter()
}

fn oldest(metadata: &Metadata) -> String {
    metadata.published().find_map(|it| it.rust_version.clone()).unwrap_or_default()
}

/// Asks rustup, because to call what is missing could download it.
fn is_installed(version: &str) -> bool {
    let output = Command::new("rustup").args(["toolchain", "list"]).output();
    let list = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    list.is_ok_and(|list| names(&list, version))
}

/// Returns whether rustup's `list` has the toolchain that `+version` names.
fn names(list: &str, version: &str) -> bool {
    let rest = |line: &str| line.strip_prefix(version)?.chars().next();
    !version.is_empty() && list.lines().filter_map(rest).any(|next| next == '-')
}

/// What an example is given, so that it takes seconds.
const EXAMPLE_ARGUMENTS: &[(&str, &str)] = &[("kv", " -- --json --writes 2000")];

/// What the fuzz targets of the log are built from, as a manifest says it.
const REACHED: &str = "quorate-wal = { path = \"../wal\" }";

/// Workspaces below this one, and the flags without which they do not build.
const ELSEWHERE: &[(&str, Option<&str>)] =
    &[("benches/peers", None), ("fuzz", Some("--cfg fuzzing"))];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{Package, Target};

    fn package(name: &str, features: &[&str], publish: Option<Vec<String>>) -> Package {
        Package {
            name: name.into(),
            manifest_path: "/w/examples/Cargo.toml".into(),
            rust_version: Some("1.88".into()),
            features: features.iter().map(|it| ((*it).to_owned(), Vec::new())).collect(),
            publish,
            targets: vec![Target { name: "kv".into(), kind: vec!["example".into()] }],
        }
    }

    fn lines(steps: impl IntoIterator<Item = Step>) -> Vec<String> {
        steps.into_iter().map(|it| it.line()).collect()
    }

    #[test]
    fn the_command_of_the_readme_is_a_step() {
        let packages = vec![package("a", &["default"], None), package("b", &["tokio"], None)];
        let steps = always(&Metadata { packages, target_directory: "/t".into() });
        let lines = lines(steps);
        assert!(lines.contains(&"cargo test --workspace".to_owned()), "{lines:?}");
        assert!(lines.contains(&"cargo test -p b --all-features".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|it| it.contains("-p a")), "{lines:?}");
        assert_eq!(lines[4].split(' ').next(), Some("RUSTDOCFLAGS=\"-D"), "{lines:?}");
    }

    #[test]
    fn examples_run_with_what_makes_them_short() {
        let packages = vec![package("quorate-examples", &[], Some(Vec::new()))];
        let metadata = Metadata { packages, target_directory: "/t".into() };
        let lines = lines(examples(Path::new("/w"), &metadata));
        let line = "cargo run --release -p quorate-examples --example kv -- --json --writes 2000";
        assert_eq!(lines, [line]);
    }

    #[test]
    fn the_log_is_modelled_where_it_has_changed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let model = |file: &str| model(root, Some(&[file.to_owned()])).map(|it| it.line());
        let line = "RUSTFLAGS=\"--cfg loom\" cargo test -p quorate-wal --release --test loom";
        assert_eq!(model("wal/src/ack.rs").as_deref(), Some(line));
        assert_eq!(model("fuzz/Cargo.toml"), None);
    }

    #[test]
    fn the_log_is_fuzzed_where_it_has_changed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let smoke = |file: &str| smoke(root, Some(&[file.to_owned()])).map(|it| it.line());
        let line = "cargo xtask fuzz wal --seconds 60 --seed 20".to_owned();
        for file in ["wal/src/log.rs", "core/src/disk.rs", "fuzz/seeds/wal_open/closed"] {
            assert_eq!(smoke(file), Some(line.clone()), "{file}");
        }
        assert_eq!(smoke("consensus/src/lib.rs"), None);
        assert_eq!(smoke("wal/README.md"), None);
    }

    #[test]
    fn the_oldest_compiler_checks_what_is_published() {
        let packages = vec![package("a", &[], None), package("b", &[], Some(Vec::new()))];
        let metadata = Metadata { packages, target_directory: "/t".into() };
        assert_eq!(
            lines(oldest_compiler(&metadata)),
            ["cargo +1.88 check --lib --all-features -p a"]
        );
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\n1.88-x86_64-linux-gnu\n";
        assert!(names(list, "1.88"));
        assert!(!names(list, "1.8") && !names(list, "1.89") && !names(list, ""));
    }

    #[test]
    fn a_step_that_fails_is_a_failure() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(shell::answers(&mut Step::new("--version").command(root)));
        assert!(!shell::answers(&mut Step::new("no-such-command").command(root)));
    }
}
