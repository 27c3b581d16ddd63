//! What is told about a run that failed.

use std::fmt;
use std::path::PathBuf;

use crate::recording::Recording;
use crate::shrink::{Failed, Size};
use crate::violation::Violation;

/// A run that failed: how, and the shortest one that fails for the same reason.
///
/// `Display` is what a test prints: the law, both sizes, the plan, the end of the story, the path
/// of the plan, and the line to paste.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The test.
    pub suite: &'static str,
    /// The run of the shortest plan.
    pub violation: Violation,
    /// How large the run was that failed first.
    pub before: Size,
    /// How large the shortest one is.
    pub after: Size,
    /// How many runs it took to shrink it.
    pub runs: u32,
    /// How many runs failed so.
    pub count: u64,
    /// The seed that failed first.
    pub seed: u64,
    /// Where the plan of the shortest run is, if it could be written.
    pub plan_path: Option<PathBuf>,
    /// Where the picture of the shortest run is, a page for any browser. Beside it is the recording
    /// that it was drawn from.
    pub page_path: Option<PathBuf>,
    /// The shortest run.
    pub recording: Option<Box<Recording>>,
    pub(crate) paste: String,
}

impl Failure {
    pub(crate) fn new(suite: &'static str, first: &Failed, shrunk: &Failed, runs: u32) -> Self {
        Self {
            suite,
            violation: shrunk.violation.clone(),
            before: first.size(),
            after: shrunk.size(),
            runs,
            count: 1,
            seed: first.plan.seed,
            plan_path: None,
            page_path: None,
            recording: shrunk.recording.clone(),
            paste: String::new(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.suite, self.violation)?;
        writeln!(f, "{}: {}", self.suite, self.violation.headline())?;
        writeln!(f, "  {}, at {}", self.violation.fingerprint(), self.violation.at)?;
        if 1 < self.count {
            writeln!(f, "  {} seeds fail so, {} is the first", self.count, self.seed)?;
        }
        writeln!(f, "  seed {}: {}", self.seed, self.before)?;
        writeln!(f, "  shrunk in {} runs to: {}", self.runs, self.after)?;
        for fault in &self.violation.plan.faults {
            writeln!(f, "    {fault}")?;
        }
        if let Some(path) = &self.plan_path {
            writeln!(f, "  plan: {}", path.display())?;
        }
        if let Some(path) = &self.page_path {
            writeln!(f, "  picture: {}", path.display())?;
        }
        write!(f, "{}", self.paste)
    }
}
