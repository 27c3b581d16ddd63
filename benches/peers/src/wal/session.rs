//! A child that is told what to do, and has a time to do it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::child::Program;

/// A child session. Killed when it is dropped, unless it ended before.
pub struct Session {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
    asked: u64,
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    Ok(String),
    Err(String),
    Panic(String),
    /// The child is gone.
    Died,
    /// No answer in time.
    Hung,
}

impl Session {
    pub fn start(program: &Program<'_>) -> io::Result<Self> {
        let mut command = program.command(&["session".to_owned()])?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, answers) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            _ = lines.try_for_each(|line| sender.send(line));
        });
        Ok(Self { child, stdin, answers, asked: 0 })
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, words: &[&str]) -> Answer {
        if writeln!(self.stdin, "{}", words.join("\t")).is_err() {
            return Answer::Died;
        }
        let prefix = format!("{} ", self.asked);
        self.asked += 1;
        loop {
            let line = match self.answers.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Answer::Died,
                Err(RecvTimeoutError::Timeout) => return Answer::Hung,
            };
            // Else it is late, and its question given up.
            if let Some(line) = line.strip_prefix(&prefix) {
                return match line.split_once(' ').unwrap_or((line, "")) {
                    ("ok", text) => Answer::Ok(text.to_owned()),
                    ("err", text) => Answer::Err(text.to_owned()),
                    (_, text) => Answer::Panic(text.to_owned()),
                };
            }
        }
    }

    /// Asks, and fails unless that is done.
    pub fn demand(&mut self, words: &[&str]) -> io::Result<String> {
        match self.ask(words) {
            Answer::Ok(text) => Ok(text),
            other => Err(io::Error::other(format!("{words:?}: {}", other.short()))),
        }
    }

    /// Ends it as a kill would: nothing is closed or dropped.
    pub fn exit(mut self) {
        _ = writeln!(self.stdin, "exit");
        _ = self.answers.recv_timeout(PATIENCE);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Answer {
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }

    /// Returns a word for a table.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Err(_) => "error",
            Self::Panic(_) => "panic",
            Self::Died => "dies",
            Self::Hung => "hangs",
        }
    }

    /// Returns the word and what was said.
    pub fn short(&self) -> String {
        match self {
            Self::Err(text) | Self::Panic(text) => {
                let text: String = text.replace('|', "/").chars().take(80).collect();
                format!("{}: {text}", self.word())
            }
            _ => self.word().to_owned(),
        }
    }
}

/// Nothing that is asked takes a second.
const PATIENCE: Duration = Duration::from_secs(10);
