//! The thread that ticks: takes the workers' deltas into the store, and looks after the analysis' thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::analyst::Analyst;
use crate::aggregate::Store;
use crate::clock::Clock;

/// How much less urgent than traffic this thread is, in nice levels.
const NICE: i32 = 5;

pub(super) struct Collector {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Collector {
    pub(super) fn start(
        store: Arc<Store>,
        clock: Clock,
        tick: Duration,
        analyst: Analyst,
    ) -> io::Result<Collector> {
        let (stop, stopped) = channel();
        let rounds = Rounds {
            store,
            clock,
            analyst,
        };
        let thread = std::thread::Builder::new()
            .name("pgprism-collect".to_owned())
            .spawn(move || rounds.run(&stopped, tick))?;
        Ok(Collector { stop, thread })
    }

    /// Ends the thread after one last round, and the analysis' as far as that comes to an end in time.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the collector ended in a panic");
        }
    }
}

struct Rounds {
    store: Arc<Store>,
    clock: Clock,
    analyst: Analyst,
}

impl Rounds {
    fn run(mut self, stopped: &Receiver<()>, tick: Duration) {
        // On Linux this is the thread's own; where it fails the thread is as urgent as any.
        let _ = rustix::process::nice(NICE);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(tick) {
            self.round();
        }
        self.round();
        self.analyst.stop();
    }

    fn round(&mut self) {
        let now = self.clock.now();
        // The figures go on with the next round: a panic costs what was being merged.
        if catch_unwind(AssertUnwindSafe(|| self.store.collect(now))).is_err() {
            self.store.health().event_dropped("collect_panic");
        }
        self.analyst.look_after(now);
    }
}
