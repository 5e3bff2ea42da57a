//! The thread on which shapes are parsed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::{Facts, extract};

/// What `sqlparser`'s deepest allowed tree needs, with a wide margin.
const STACK_BYTES: usize = 32 * 1024 * 1024;

type Done = Box<dyn FnOnce(Option<Facts>) + Send>;

/// A shape whose facts are wanted.
struct Job {
    normalized: Arc<str>,
    done: Done,
}

/// The queue was full (or its thread gone): the job was not taken. Its facts stay unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue of texts to parse is full")]
pub struct QueueFull;

/// A thread with a large stack that reads the facts of shapes, one after the other. It ends when this is dropped,
/// after the jobs that were taken.
#[derive(Debug)]
pub struct FactsWorker {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl FactsWorker {
    /// Starts the thread; at most `queue_max` jobs wait.
    pub fn start(queue_max: usize) -> std::io::Result<FactsWorker> {
        let (jobs, waiting) = sync_channel(queue_max);
        let thread = Builder::new()
            .name("sql-facts".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&waiting))?;
        Ok(FactsWorker {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Has `normalized` read; `done` is called on the worker's thread, with `None` when the facts stay unknown.
    pub fn submit(
        &self,
        normalized: impl Into<Arc<str>>,
        done: impl FnOnce(Option<Facts>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        let job = Job {
            normalized: normalized.into(),
            done: Box::new(done),
        };
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => {
                Err(QueueFull)
            }
        }
    }
}

impl Drop for FactsWorker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was caught where it happened.
            let _ = thread.join();
        }
    }
}

fn work(waiting: &Receiver<Job>) {
    while let Ok(job) = waiting.recv() {
        let facts = catch_unwind(|| extract(&job.normalized)).unwrap_or(None);
        let done = job.done;
        let _ = catch_unwind(AssertUnwindSafe(|| done(facts)));
    }
}
