//! Node programs as child processes: three threads each, and limits on all that they say.
//!
//! ```text
//! run -- sent, bounded --> writer -- stdin  --> program
//! run <-- said, bounded -- reader <- stdout --    |
//!         last lines    <- stderr thread <--------+
//! ```
//!
//! First its input is closed, then it has a moment, then it is killed. That also happens when a run
//! panics.
//!
//! On Unix each program leads a process group of its own, and what is left of the group is killed
//! with it: what a script started goes, too. Only a process that leaves its group stays. The groups
//! are killed by the program `kill`: std cannot, and it takes no `unsafe` and no other crate. Where
//! `kill` is missing, only the programs themselves are ended. A group gets no Ctrl-C of a terminal:
//! when the run itself is killed, programs see the end of their input, and no more.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::message::{Message, MessageError};

/// How a node program is started.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// What a node said, or that it says nothing any more.
#[derive(Debug)]
pub(super) enum Said {
    Message(Message),
    Unreadable(MessageError),
    Ended,
}

/// All nodes of a run. Dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: Vec<Node>,
    grace: Duration,
    has_ended: bool,
}

#[derive(Debug)]
struct Node {
    child: Child,
    input: Option<SyncSender<String>>,
    stderr: Arc<Mutex<VecDeque<String>>>,
}

/// A node does not take what it is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl Nodes {
    pub(super) fn new(grace: Duration) -> Self {
        Self { nodes: Vec::new(), grace, has_ended: false }
    }

    /// Starts one more node, whose words go to `said` with its index.
    pub(super) fn start(
        &mut self,
        program: &Program,
        said: SyncSender<(usize, Said)>,
        max_queue: usize,
    ) -> io::Result<()> {
        // A name alone would be looked for in `PATH` only.
        let is_here = program.path.components().count() == 1 && program.path.is_file();
        let path = if is_here { Path::new(".").join(&program.path) } else { program.path.clone() };
        let mut command = Command::new(path);
        command
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let index = self.nodes.len();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = child.stderr.take();
        let (input, lines) = sync_channel(max_queue);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        // From here on dropping `self` ends the child, also if a thread does not start.
        self.nodes.push(Node { child, input: Some(input), stderr: Arc::clone(&tail) });
        if let Some(stdin) = stdin {
            thread(index, "in", move || write(stdin, &lines))?;
        }
        if let Some(stdout) = stdout {
            thread(index, "out", move || read(BufReader::new(stdout), index, &said))?;
        }
        if let Some(stderr) = stderr {
            thread(index, "err", move || keep_last(BufReader::new(stderr), &tail))?;
        }
        Ok(())
    }

    /// Sends a line to a node. One that has ended takes everything.
    pub(super) fn send(&self, index: usize, line: String) -> Result<(), Full> {
        let Some(input) = &self.nodes[index].input else { return Ok(()) };
        match input.try_send(line) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Full),
        }
    }

    /// Returns how a node ended, if it does within the grace.
    #[expect(clippy::disallowed_methods, reason = "processes live in real time")]
    pub(super) fn status(&mut self, index: usize) -> Option<ExitStatus> {
        let deadline = Instant::now() + self.grace;
        loop {
            let status = self.nodes[index].child.try_wait().ok()?;
            if status.is_some() || deadline <= Instant::now() {
                return status;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Returns the last lines that a node wrote to its standard error.
    pub(super) fn stderr(&self, index: usize) -> Vec<String> {
        self.nodes[index].stderr.lock().iter().cloned().collect()
    }

    /// Ends all nodes with what they started, and returns those that had to be killed.
    #[expect(clippy::disallowed_methods, reason = "processes live in real time")]
    pub(super) fn end(&mut self) -> Vec<usize> {
        // Only once: later their ids may be those of others.
        if std::mem::replace(&mut self.has_ended, true) {
            return Vec::new();
        }
        for node in &mut self.nodes {
            node.input = None;
        }
        let deadline = Instant::now() + self.grace;
        let has_ended = |node: &mut Node| !matches!(node.child.try_wait(), Ok(None));
        while !self.nodes.iter_mut().all(has_ended) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        let all = self.nodes.iter_mut().enumerate();
        let lingering: Vec<usize> =
            all.filter_map(|(index, node)| (!has_ended(node)).then_some(index)).collect();
        self.kill_groups();
        for index in &lingering {
            let child = &mut self.nodes[*index].child;
            _ = child.kill();
            _ = child.wait();
        }
        lingering
    }

    /// Kills what is left of all process groups. Whether there was anything does not matter.
    fn kill_groups(&self) {
        if cfg!(unix) && !self.nodes.is_empty() {
            let groups = self.nodes.iter().map(|node| format!("-{}", node.child.id()));
            _ = Command::new("kill")
                .args(["-KILL", "--"])
                .args(groups)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.end();
    }
}

fn thread(index: usize, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(format!("n{} {name}", index + 1)).spawn(work).map(drop)
}

/// Writes lines until there are no more senders or the node is gone; whatever is there at once.
fn write(stdin: ChildStdin, lines: &Receiver<String>) {
    let mut output = BufWriter::new(stdin);
    while let Ok(line) = lines.recv() {
        let mut next = Some(line);
        while let Some(mut line) = next {
            line.push('\n');
            if output.write_all(line.as_bytes()).is_err() {
                return;
            }
            next = lines.try_recv().ok();
        }
        if output.flush().is_err() {
            return;
        }
    }
}

fn read(mut stdout: BufReader<impl io::Read>, index: usize, said: &SyncSender<(usize, Said)>) {
    loop {
        let what = match Message::read(&mut stdout) {
            Ok(Some(message)) => Said::Message(message),
            Ok(None) => Said::Ended,
            Err(error) => Said::Unreadable(error),
        };
        let is_last = !matches!(what, Said::Message(_));
        if said.send((index, what)).is_err() || is_last {
            return;
        }
    }
}

fn keep_last(mut stderr: BufReader<impl io::Read>, tail: &Mutex<VecDeque<String>>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stderr).take(STDERR_LINE_BYTES_MAX);
        if !matches!(limited.read_until(b'\n', &mut line), Ok(1..)) {
            return;
        }
        let mut tail = tail.lock();
        if tail.len() == STDERR_LINES_MAX {
            tail.pop_front();
        }
        tail.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// How often a process is asked whether it has ended: much less than a person notices.
const POLL: Duration = Duration::from_millis(5);
/// What fits on a screen.
const STDERR_LINES_MAX: usize = 20;
/// What is longer continues on the next line.
const STDERR_LINE_BYTES_MAX: u64 = 1024;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "processes live in real time")]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// This program, as one that does nothing for a minute.
    fn sleeper() -> Program {
        let name = "maelstrom::process::tests::sleeps_if_it_is_a_child";
        Program {
            path: std::env::current_exe().expect("this program has a path"),
            arguments: ["--exact", name].map(OsString::from).to_vec(),
            environment: vec![(CHILD.into(), "1".into())],
        }
    }

    const CHILD: &str = "QUORATE_SLEEPS";

    #[test]
    fn sleeps_if_it_is_a_child() {
        if std::env::var_os(CHILD).is_some() {
            std::thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn no_process_outlives_a_panic() {
        let mut id = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let (says, _said) = sync_channel(1);
            let mut nodes = Nodes::new(Duration::from_millis(50));
            nodes.start(&sleeper(), says, 1).expect("this program starts");
            id = nodes.nodes[0].child.id();
            panic!("in the middle of a run");
        }));
        assert!(result.is_err() && id != 0);
        assert!(!is_there(id), "process {id} is still there");
    }

    /// Returns whether a process is there, where that can be seen.
    fn is_there(id: u32) -> bool {
        Path::new("/proc").exists() && Path::new(&format!("/proc/{id}")).exists()
    }
}
