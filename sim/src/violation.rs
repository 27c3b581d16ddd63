//! A law that was broken.

use std::any::Any;
use std::error::Error;
use std::fmt;

use quorate_core::Instant;

/// The law that a run broke, and how it came to that.
///
/// `Display` shows the last 200 lines of the story, `{:#}` the whole.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Violation {
    /// The law and why it is broken.
    pub law: String,
    /// The seed that shows it again.
    pub seed: u64,
    /// When, by the world's clock.
    pub at: Instant,
    /// The plan of the run, in one line.
    pub plan: Box<str>,
    /// The last events before it, one per line.
    pub story: Box<str>,
}

impl Violation {
    /// Makes a violation of a law that a test states itself, after a run: one that no
    /// [`check`](crate::System::check) could see.
    #[must_use]
    pub fn new(law: impl Into<String>, seed: u64) -> Self {
        let nothing = Box::from("");
        Self {
            law: law.into(),
            seed,
            at: Instant::default(),
            plan: Box::clone(&nothing),
            story: nothing,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, seed, at, plan, story } = self;
        writeln!(f, "{law}\nseed {seed}, at {at}\nplan {plan}")?;
        let count = story.lines().count();
        let skipped = if f.alternate() { 0 } else { count.saturating_sub(LINES_SHOWN) };
        if 0 < skipped {
            writeln!(f, "... {skipped} lines before, SEED={seed} shows them")?;
        }
        story.lines().skip(skipped).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Error for Violation {}

/// Returns what a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("with something that is no text")
}

/// What fits a terminal's memory and shows what led to it.
const LINES_SHOWN: usize = 200;
