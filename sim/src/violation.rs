//! A law that was broken.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use quorate_core::Instant;

use crate::law::{Broken, ViolationKind};
use crate::plan::Plan;

/// The law that a run broke, and how it came to that.
///
/// `Display` shows the last 200 lines of the story, `{:#}` the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// What kind of law.
    pub kind: ViolationKind,
    /// Its name.
    pub law: String,
    /// How it is broken.
    pub why: String,
    /// Whether faults were to be borne, or had ended.
    pub phase: Phase,
    /// When, by the world's clock.
    pub at: Instant,
    /// The plan of the run.
    pub plan: Box<Plan>,
    /// The last events before it, one per line.
    pub story: Box<str>,
}

/// What a run is about to show.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Phase {
    /// Safety, under faults.
    #[default]
    Faulty,
    /// Liveness, without them.
    Healed,
}

/// What two violations have in common that are of one cause, as far as anybody can tell.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Fingerprint {
    /// What kind of law.
    pub kind: ViolationKind,
    /// Its name; of a panic, what it said, without numbers.
    pub law: String,
    /// Before or after the faults ended.
    pub phase: Phase,
}

impl Violation {
    pub(crate) fn new(
        broken: Broken,
        phase: Phase,
        at: Instant,
        plan: &Plan,
        story: String,
    ) -> Self {
        let Broken { kind, law, why } = broken;
        let plan = Box::new(plan.clone());
        Self { kind, law, why, phase, at, plan, story: story.into() }
    }

    /// Returns what it has in common with others of the same cause.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let law = match self.kind {
            ViolationKind::Panic => {
                self.why.chars().filter(|letter| !letter.is_ascii_digit()).collect()
            }
            _ => self.law.clone(),
        };
        Fingerprint { kind: self.kind, law, phase: self.phase }
    }

    /// Returns the law and how it is broken, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        format!("{}: {}", self.law, self.why)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, plan, story, .. } = self;
        writeln!(f, "{}\nseed {}, at {at}\nplan {plan}", self.headline(), plan.seed)?;
        let count = story.lines().count();
        let skipped = if f.alternate() { 0 } else { count.saturating_sub(LINES_SHOWN) };
        if 0 < skipped {
            writeln!(f, "... {skipped} lines before")?;
        }
        story.lines().skip(skipped).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Error for Violation {}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faulty => "under faults",
            Self::Healed => "after the faults",
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.law, self.phase)
    }
}

/// Returns what a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("something that is no text")
}

/// Runs `run` without a word about what panics in it: that is caught, and told once, as a failure.
pub(crate) fn silently<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENT.get() {
                usual(info);
            }
        }));
    });
    IS_SILENT.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_SILENT.set(false);
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// What fits a terminal's memory and shows what led to it.
const LINES_SHOWN: usize = 200;
