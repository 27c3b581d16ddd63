//! The thread that reads entries back.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use futures::channel::oneshot;
use quorate_consensus::raft::{Answer, Query};
use quorate_core::{Disk, StorageError};

use super::Shared;

/// Answers queries on a thread of its own, which ends with it.
#[derive(Debug)]
pub(super) struct Reader {
    /// Raft has few queries under way: one for each follower, and one of its own.
    questions: Option<Sender<Question>>,
    thread: Option<JoinHandle<()>>,
}

type Question = (Query, oneshot::Sender<Result<Answer, StorageError>>);

impl Reader {
    pub(super) fn start<D: Disk + 'static>(shared: Arc<Shared<D>>) -> io::Result<Self> {
        let (questions, asked) = channel::<Question>();
        let thread = thread::Builder::new().name("kv-reader".into()).spawn(move || {
            for (query, answer) in asked {
                // Whoever asked may have gone.
                _ = answer.send(shared.read(&query));
            }
        })?;
        Ok(Self { questions: Some(questions), thread: Some(thread) })
    }

    pub(super) async fn read(&self, query: Query) -> Result<Answer, StorageError> {
        let (sender, answer) = oneshot::channel();
        if let Some(questions) = &self.questions {
            _ = questions.send((query, sender));
        }
        answer.await.unwrap_or_else(|_| Err(StorageError::failed("the reader's thread is gone")))
    }
}

impl Drop for Reader {
    /// Waits for the thread: the log is closed after it, and can be opened again.
    fn drop(&mut self) {
        self.questions = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
