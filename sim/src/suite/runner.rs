//! Runs plans: those that failed before, then those of the seeds, on all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Failure, Suite};
use crate::decision::mix;
use crate::plan::Plan;
use crate::seeds::{Caught, number, range};
use crate::shrink::{Failed, shrink};
use crate::system::System;
use crate::violation::{Fingerprint, silently};

/// What the environment says about a campaign.
struct Orders {
    seeds: Range<u64>,
    /// Whether it is a single seed, whose story is wanted.
    is_single: bool,
    plan: Option<PathBuf>,
    jobs: usize,
    trace: Option<PathBuf>,
    collects: bool,
}

impl Orders {
    fn read(seeds: &Range<u64>) -> Self {
        let single = env::var("SEED").ok().map(|seed| number(&seed));
        let seeds = match single {
            Some(seed) => seed..seed + 1,
            None => env::var("SEEDS").map_or_else(|_| seeds.clone(), |seeds| range(&seeds)),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = env::var("JOBS").map_or(cores, |jobs| jobs.parse().expect("JOBS is a number"));
        Self {
            seeds,
            is_single: single.is_some(),
            plan: env::var_os("PLAN").map(PathBuf::from),
            jobs: jobs.max(1),
            trace: env::var_os("TRACE").map(PathBuf::from),
            collects: env::var_os("COLLECT").is_some(),
        }
    }
}

/// What all threads of a campaign share.
#[derive(Default)]
struct Shared {
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    seen: Mutex<BTreeSet<&'static str>>,
    failed: Mutex<BTreeMap<Fingerprint, (u64, Box<Failed>)>>,
}

impl<S: System + Send> Suite<S> {
    /// Runs the plans in `tests/simulation/plans` whose name starts with that of the suite, and
    /// then all seeds.
    ///
    /// The environment may say otherwise: `SEED=42` runs one seed and prints its story,
    /// `SEEDS=0..2000` other seeds, `PLAN=file.json` one plan, `JOBS=1` with one thread,
    /// `TRACE=dir` writes the story of every run there, `COLLECT=1` goes on after a failure and
    /// tells one for each fingerprint.
    ///
    /// # Panics
    ///
    /// If a run breaks a law, with the shortest one that breaks it for the same reason; if two
    /// runs of one seed differ; if something that must be seen was not.
    pub fn run(&self) {
        let orders = Orders::read(&self.seeds);
        let failures = match &orders.plan {
            Some(path) => self.replay(path, orders.trace.as_deref()).into_iter().collect(),
            None => {
                for path in self.kept_plans() {
                    if let Some(failure) = self.replay(&path, orders.trace.as_deref()) {
                        panic!("{failure}\nthe plan is {}", path.display());
                    }
                }
                self.campaign(&orders)
            }
        };
        let told: Vec<String> = failures.iter().map(Failure::to_string).collect();
        assert!(told.is_empty(), "{}", told.join("\n"));
    }

    /// Runs seeds on this thread alone, up to the first failure, and returns it, shrunk.
    #[must_use]
    pub fn first_failure(&self, seeds: Range<u64>) -> Option<Failure> {
        let failed = seeds.into_iter().find_map(|seed| self.attempt(self.plan(seed)).err())?;
        Some(self.shrink(&failed))
    }

    /// Runs a plan, and returns how it fails, shrunk.
    #[must_use]
    pub fn failure_of(&self, plan: Plan) -> Option<Failure> {
        self.attempt(plan).err().map(|failed| self.shrink(&failed))
    }

    /// Runs seeds on this thread alone and returns in how many a law was broken.
    ///
    /// For mistakes that a suite must catch.
    #[must_use]
    pub fn count_caught(&self, seeds: Range<u64>) -> Caught {
        crate::seeds::count_caught(seeds, |seed| {
            self.attempt(self.plan(seed)).map(|_| ()).map_err(|failed| failed.violation)
        })
    }

    /// Plays a plan without its story; and, if it fails, once more with it.
    fn attempt(&self, plan: Plan) -> Result<(u64, Vec<&'static str>), Box<Failed>> {
        match silently(|| self.play_with(self.world(plan.clone()).without_story())) {
            Ok(world) => Ok((world.trace().digest(), world.seen())),
            Err(_) => match silently(|| self.play_with(self.world(plan))) {
                Err(failed) => Err(failed),
                Ok(_) => panic!("a run fails without its story, and not with it"),
            },
        }
    }

    fn shrink(&self, failed: &Failed) -> Failure {
        let mut run = |plan: &Plan| {
            silently(|| self.play_with(self.world(plan.clone()).without_story()))
                .err()
                .map(|it| *it)
        };
        #[expect(clippy::disallowed_methods, reason = "a person waits for this")]
        let started = std::time::Instant::now();
        let may_go_on = || started.elapsed() < SHRINK_TIME_MAX;
        let limits = (*self.setting.nodes.start(), self.max_shrink_runs);
        let (shortest, runs) = shrink(failed.clone(), limits, &mut run, &may_go_on);
        let mut failure = match self.attempt(shortest.plan) {
            Err(shrunk) => Failure::new(self.name, failed, &shrunk, runs),
            Ok(_) => Failure::new(self.name, failed, failed, runs),
        };
        self.write(&mut failure);
        failure
    }

    fn campaign(&self, orders: &Orders) -> Vec<Failure> {
        let shared = Shared { next: AtomicU64::new(orders.seeds.start), ..Shared::default() };
        std::thread::scope(|scope| {
            let jobs: Vec<_> =
                (0..orders.jobs).map(|_| scope.spawn(|| self.work(orders, &shared))).collect();
            for job in jobs {
                job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
        let failed = shared.failed.into_inner();
        let failures: Vec<Failure> = failed
            .into_values()
            .map(|(count, failed)| Failure { count, ..self.shrink(&failed) })
            .collect();
        let seen = shared.seen.into_inner();
        let count = orders.seeds.end.saturating_sub(orders.seeds.start);
        if failures.is_empty() && SEEDS_TO_SEE <= count {
            let missing: Vec<_> = self.must_see.iter().filter(|it| !seen.contains(*it)).collect();
            assert!(missing.is_empty(), "{}: {missing:?} never occurred; {seen:?} did", self.name);
        }
        failures
    }

    /// Takes one seed after the other, until there are none or one failed.
    fn work(&self, orders: &Orders, shared: &Shared) {
        loop {
            let seed = shared.next.fetch_add(1, Ordering::Relaxed);
            if orders.seeds.end <= seed || shared.stop.load(Ordering::Relaxed) {
                return;
            }
            match self.attempt(self.plan(seed)) {
                Ok((digest, seen)) => {
                    shared.seen.lock().extend(seen);
                    let is_first = seed == orders.seeds.start;
                    if is_first || mix(seed, TWICE, 0).is_multiple_of(100) {
                        self.compare(seed, digest, is_first && orders.is_single);
                    }
                }
                Err(failed) => {
                    let mut all = shared.failed.lock();
                    let entry = all.entry(failed.violation.fingerprint());
                    let (count, first) = entry.or_insert_with(|| (0, failed.clone()));
                    *count += 1;
                    if seed < first.plan.seed {
                        *first = failed;
                    }
                    shared.stop.fetch_or(!orders.collects, Ordering::Relaxed);
                }
            }
            if let Some(dir) = &orders.trace {
                self.write_story(dir, seed);
            }
            self.show_progress(shared, orders);
        }
    }

    /// Plays a seed twice more, and compares what happened word by word.
    #[expect(clippy::print_stdout, reason = "who replays a seed wants to read its story")]
    fn compare(&self, seed: u64, digest: u64, is_shown: bool) {
        let tell = || match self.play(self.plan(seed)) {
            Ok(world) => (world.trace().digest(), world.trace().to_string()),
            Err(violation) => (0, violation.story.to_string()),
        };
        let (first, second) = (tell(), tell());
        if is_shown {
            println!("{}", first.1);
        }
        let differing = first.1.lines().zip(second.1.lines()).find(|(a, b)| a != b);
        assert!(
            first == second && first.0 == digest,
            "{}: seed {seed} is not deterministic, {}",
            self.name,
            match differing {
                Some((a, b)) => format!("the first line that differs:\n{a}\n{b}"),
                None => format!("its digests are {digest:x}, {:x}, {:x}", first.0, second.0),
            }
        );
    }

    /// Plays a plan from a file. The environment may ask for its story.
    #[expect(clippy::print_stdout, reason = "who replays a plan wants to know the end")]
    fn replay(&self, path: &Path, trace: Option<&Path>) -> Option<Failure> {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let plan =
            Plan::from_json(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match self.attempt(plan.clone()) {
            Ok(_) => {
                println!("{}: {} holds", self.name, path.display());
                if let (Some(dir), Ok(world)) = (trace, self.play(plan)) {
                    self.write_text(dir, world.plan().seed, &world.trace().to_string());
                }
                None
            }
            Err(failed) => {
                let mut failure = Failure::new(self.name, &failed, &failed, 0);
                self.write(&mut failure);
                Some(failure)
            }
        }
    }

    /// Returns the plans that failed once and were kept.
    fn kept_plans(&self) -> Vec<PathBuf> {
        let Some(root) = env::var_os("CARGO_MANIFEST_DIR") else { return Vec::new() };
        let folder = Path::new(&root).join("tests/simulation/plans");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let start = format!("{}-", self.name);
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&start) && path.extension().is_some_and(|it| it == "json")
        };
        let mut plans: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
        plans.sort();
        plans
    }

    /// Writes plan and picture of a failure, and says how to replay it.
    fn write(&self, failure: &mut Failure) {
        let stem = target().join(format!("{}-{}", self.name, failure.seed));
        failure.paste = format!("SEED={} {}", failure.seed, self.command());
        let plan_path = stem.with_extension("json");
        let plan = failure.violation.plan.to_json();
        let written = fs::create_dir_all(target()).and_then(|()| fs::write(&plan_path, plan));
        if written.is_err() {
            return;
        }
        failure.paste = format!("PLAN={} {}", plan_path.display(), self.command());
        failure.plan_path = Some(plan_path);
        let Some(recording) = &failure.recording else { return };
        let mut lines = Vec::new();
        let page_path = stem.with_extension("html");
        let written = recording
            .write(&mut lines)
            .and_then(|()| fs::write(stem.with_extension("jsonl"), lines))
            .and_then(|()| fs::write(&page_path, recording.to_html()));
        failure.page_path = written.is_ok().then_some(page_path);
    }

    fn command(&self) -> String {
        let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".into());
        let test = env::current_exe().ok().and_then(|path| {
            let stem = path.file_stem()?.to_str()?.to_owned();
            stem.rsplit_once('-').map(|(name, _)| name.to_owned())
        });
        let test = test.unwrap_or_else(|| "simulation".into());
        format!("cargo test -p {package} --test {test} {} -- --nocapture", self.name)
    }

    fn write_story(&self, dir: &Path, seed: u64) {
        let story = match silently(|| self.play(self.plan(seed))) {
            Ok(world) => world.trace().to_string(),
            Err(violation) => format!("{violation:#}"),
        };
        self.write_text(dir, seed, &story);
    }

    fn write_text(&self, dir: &Path, seed: u64, story: &str) {
        let path = dir.join(format!("{}-{seed}.txt", self.name));
        let written = fs::create_dir_all(dir).and_then(|()| fs::write(&path, story));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn show_progress(&self, shared: &Shared, orders: &Orders) {
        let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
        let all = orders.seeds.end - orders.seeds.start;
        let mut out = std::io::stderr();
        if !out.is_terminal() || all < SEEDS_TO_SHOW {
            return;
        }
        let width = usize::try_from(done * 30 / all).unwrap_or(30);
        let end = if done == all { "\n" } else { "" };
        _ = write!(out, "\r{} [{:30}] {done}/{all} seeds{end}", self.name, "#".repeat(width));
        _ = out.flush();
    }
}

/// Returns where plans of failures are written: `target/sim`, wherever the target folder is.
fn target() -> PathBuf {
    let exe = env::current_exe().unwrap_or_default();
    // target/debug/deps/test-0123
    exe.ancestors().nth(3).map_or_else(|| PathBuf::from("target"), Path::to_path_buf).join("sim")
}

/// The stream that decides which seeds run twice.
const TWICE: u64 = 0x7477_6963;

/// How long a person waits for a shorter plan.
const SHRINK_TIME_MAX: Duration = Duration::from_secs(30);

/// Fewer seeds than that need not see everything.
const SEEDS_TO_SEE: u64 = 50;

/// Fewer seeds than that are done before one looks.
const SEEDS_TO_SHOW: u64 = 20;
