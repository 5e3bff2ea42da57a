//! The thread that takes the workers' deltas into the store, and looks after the analysis' thread.
//!
//! It does so as often as the deltas need it. Who reads the store takes them first: figures are no older for that.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::analyst::Analyst;
use super::pace::{Load, Pace};
use crate::aggregate::{Fill, Store};
use crate::clock::Clock;

/// How much less urgent than traffic this thread is, in nice levels.
const NICE: i32 = 5;

/// Ticks that it sleeps at most, and how long: so far the columns of the history are out of step.
const TICKS_MAX: u32 = 10;
const LONGEST: Duration = Duration::from_millis(500);

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
        let mut pace = Pace::new(tick, TICKS_MAX, LONGEST);
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pace.wait()) {
            pace.slept(match self.round() {
                Fill::Little => Load::Little,
                Fill::Fair => Load::Fair,
                Fill::Much => Load::Much,
            });
        }
        self.round();
        self.analyst.stop();
    }

    fn round(&mut self) -> Fill {
        let now = self.clock.now();
        // The figures go on with the next round: a panic costs what was being merged.
        let collected = catch_unwind(AssertUnwindSafe(|| self.store.collect(now)));
        if collected.is_err() {
            self.store.health().event_dropped("collect_panic");
        }
        self.analyst.look_after(now);
        collected.unwrap_or(Fill::Little)
    }
}
