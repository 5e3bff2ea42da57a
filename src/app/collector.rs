//! The thread that ticks: takes the workers' deltas into the store and their events to the analysis.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use crate::advise::Guide;
use crate::aggregate::Store;
use crate::analysis::{self, Analysis, Feed, Guarded};
use crate::clock::Clock;
use crate::event::Observed;

/// How much less urgent than traffic this thread is, in nice levels.
const NICE: i32 = 5;

pub(super) struct Collector {
    feed: Arc<Feed>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Collector {
    pub(super) fn start(
        store: Arc<Store>,
        rings: Vec<Arc<ArrayQueue<Observed>>>,
        clock: Clock,
        tick: Duration,
        guide: Arc<Guide>,
        settings: analysis::Settings,
    ) -> io::Result<Collector> {
        let analysis = Guarded::new(Analysis::new(Arc::clone(&store), guide, settings)?);
        let feed = analysis.feed();
        let (stop, stopped) = channel();
        let mut rounds = Rounds {
            store,
            rings,
            clock,
            analysis,
        };
        let thread = std::thread::Builder::new()
            .name("pgprism-collect".to_owned())
            .spawn(move || rounds.run(&stopped, tick))?;
        Ok(Collector { feed, stop, thread })
    }

    pub(super) fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Ends the thread after one last round.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the collector ended in a panic");
        }
    }
}

struct Rounds {
    store: Arc<Store>,
    rings: Vec<Arc<ArrayQueue<Observed>>>,
    clock: Clock,
    analysis: Guarded,
}

impl Rounds {
    fn run(&mut self, stopped: &Receiver<()>, tick: Duration) {
        // On Linux this is the thread's own; where it fails the thread is as urgent as any.
        let _ = rustix::process::nice(NICE);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(tick) {
            self.round();
        }
        self.round();
    }

    fn round(&mut self) {
        let now = self.clock.now();
        self.store.collect(now);
        for ring in &self.rings {
            // At most one ringful: a worker that fills it as fast as it is emptied does not hold the others up.
            for _ in 0..ring.capacity() {
                let Some(event) = ring.pop() else { break };
                self.analysis.observe(event);
            }
        }
        self.analysis.tick(now);
    }
}
