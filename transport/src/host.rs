//! A core with its application, and the way to them from other tasks and threads.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use quorate_core::{Certainty, Instant, Protocol};
use thiserror::Error;

use crate::queue::{Limits, PushError, Queue};

/// A core, what it delivers to, and the commands that wait for both: what [`drive`](crate::drive)
/// runs.
pub struct Host<P, A> {
    pub(crate) core: P,
    pub(crate) application: A,
    pub(crate) commands: Arc<Queue<Command<P, A>>>,
}

/// Gives commands to a core that a driver runs. Cheap to clone.
///
/// Commands run in order, one at a time, in the driver's task: they must not block.
#[doc(alias = "singular update queue")]
pub struct Handle<P, A> {
    commands: Arc<Queue<Command<P, A>>>,
    max_commands: usize,
}

/// A command to a core and its application.
pub(crate) type Command<P, A> = Box<dyn FnOnce(&mut P, &mut A, Instant) + Send>;

/// The result of a command, once it has run.
#[derive(Debug)]
#[must_use = "it says whether the command ran"]
pub struct Call<R> {
    answer: oneshot::Receiver<R>,
}

/// Why a command does not run. It definitely never will.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CommandError {
    /// As many wait as may. Try again later.
    #[error("{limit} commands wait already")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The driver has ended.
    #[error("the driver has ended")]
    Closed,
}

impl Certainty for CommandError {
    fn is_definite(&self) -> bool {
        true
    }
}

impl<P: Protocol, A> Host<P, A> {
    /// Joins `core` and `application`. At most `max_commands` wait for the driver.
    #[must_use]
    pub fn new(core: P, application: A, max_commands: usize) -> (Self, Handle<P, A>) {
        let limits = Limits { max_items: max_commands, max_bytes: usize::MAX };
        let commands = Arc::new(Queue::new(limits));
        let handle = Handle { commands: Arc::clone(&commands), max_commands };
        (Self { core, application, commands }, handle)
    }
}

impl<P, A> Handle<P, A> {
    /// Runs `command` in the driver, before it does what the core asks for next.
    ///
    /// Await the [`Call`] for its result, or drop it: the command runs all the same.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: it never runs.
    pub fn with<R: Send + 'static>(
        &self,
        command: impl FnOnce(&mut P, &mut A, Instant) -> R + Send + 'static,
    ) -> Result<Call<R>, CommandError> {
        let (sender, answer) = oneshot::channel();
        let command: Command<P, A> = Box::new(move |core, application, now| {
            // Whoever asked may have gone.
            _ = sender.send(command(core, application, now));
        });
        match self.commands.try_push(command, 0) {
            Ok(()) => Ok(Call { answer }),
            Err(PushError::Full(_)) => Err(CommandError::Full { limit: self.max_commands }),
            Err(PushError::Closed(_)) => Err(CommandError::Closed),
        }
    }
}

impl<R> Future for Call<R> {
    type Output = Result<R, CommandError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map_err(|_| CommandError::Closed)
    }
}

impl<P, A> Drop for Host<P, A> {
    /// Every command that waits gets its answer: it will not run.
    fn drop(&mut self) {
        self.commands.close();
    }
}

impl<P, A> Clone for Handle<P, A> {
    fn clone(&self) -> Self {
        Self { commands: Arc::clone(&self.commands), max_commands: self.max_commands }
    }
}

impl<P: fmt::Debug, A: fmt::Debug> fmt::Debug for Host<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { core, application, .. } = self;
        f.debug_struct("Host")
            .field("core", core)
            .field("application", application)
            .finish_non_exhaustive()
    }
}

impl<P, A> fmt::Debug for Handle<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("max_commands", &self.max_commands).finish_non_exhaustive()
    }
}
