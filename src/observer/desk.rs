//! Where one worker's sessions are looked at, one at a time: what is used for it, and where the results go.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::ring::{Bounds, Parts, Writing};
use super::sink::{Outlet, WorkerSink};
use crate::aggregate::{Counting, Store, Worker};
use crate::session::Scratch;

/// What the sessions of one worker share.
///
/// All of it is under one lock, the figures included, which is taken once for all reads that are shown together. It is
/// hardly ever waited for: the worker's own two threads sit there, of which the other one has a session while it logs in
/// or leaves, and the analysis and the store change something full for something empty. Behind it the store's own locks
/// may follow, whose holders wait for none of these. It makes the observer `Send`, and knows of a panic.
pub(super) struct Desk {
    worker: Worker<Tools>,
    ring: Bounds,
}

/// What is used to look at a session, beside its worker's figures.
struct Tools {
    scratch: Scratch,
    events: Parts,
    /// How often there was a new scratch.
    #[cfg(test)]
    renewals: usize,
}

impl Tools {
    /// A panic costs the scratch: what is half changed serves no other session.
    #[cold]
    fn renew(&mut self) {
        let renewed = self.scratch.renewed();
        let broken = std::mem::replace(&mut self.scratch, renewed);
        #[cfg(test)]
        {
            self.renewals += 1;
        }
        // It may not even be droppable.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
    }
}

impl Desk {
    /// One where queries are counted for `store`, and at most `events_max` of them, or some more, wait for the analysis.
    pub(super) fn new(store: &Arc<Store>, fingerprint_bytes_max: usize, events_max: usize) -> Desk {
        Desk {
            worker: store.worker(Tools {
                scratch: Scratch::new(fingerprint_bytes_max),
                events: Parts::default(),
                #[cfg(test)]
                renewals: 0,
            }),
            ring: Bounds::of(events_max),
        }
    }

    /// How many events may wait.
    pub(super) fn ring(&self) -> &Bounds {
        &self.ring
    }

    /// Has the events that wait.
    pub(super) fn with_events<R>(&self, have: impl FnOnce(&mut Parts) -> R) -> R {
        let mut sitting = Sitting::at(self);
        have(&mut sitting.counting.beside().events)
    }
}

/// At the desk of one worker, for one look at a session or for several: its lock is taken once.
pub struct Sitting<'a> {
    desk: &'a Desk,
    counting: Counting<'a, Tools>,
}

impl<'a> Sitting<'a> {
    #[inline]
    pub(super) fn at(desk: &'a Desk) -> Sitting<'a> {
        Sitting {
            desk,
            counting: desk.worker.begin_or_mend(Tools::renew),
        }
    }

    #[cfg(test)]
    pub(super) fn renewals(&mut self) -> usize {
        self.counting.beside().renewals
    }

    /// Somebody has panicked with the tools.
    pub(super) fn renew(&mut self) {
        self.counting.beside().renew();
    }

    /// What is used to look at a session, and where its results go.
    #[inline]
    pub(super) fn lend<'s>(
        &'s mut self,
        outlet: &'s mut Outlet,
    ) -> (&'s mut Scratch, WorkerSink<'s>) {
        let (counter, tools) = self.counting.split();
        let sink = WorkerSink {
            outlet,
            counter,
            writing: Writing {
                bounds: &self.desk.ring,
                parts: &mut tools.events,
            },
        };
        (&mut tools.scratch, sink)
    }
}
