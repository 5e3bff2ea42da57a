//! An analysis that cannot take the statistics with it: whatever panics in it costs its findings and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{Analysis, Feed, Mark};
use crate::aggregate::Store;
use crate::event::{Moment, Observed};
use crate::unit::TestId;

/// So many panics in a row, and the analysis rests: what it stumbles over comes again and again.
const PANICS_MAX: u32 = 16;

/// So long it rests then, nanoseconds; panics that lie further apart are not in a row.
const REST_NS: u64 = 3_600_000_000_000;

/// Owns an [`Analysis`]; after a panic in it, it begins anew, and what it had in hand is counted as dropped.
#[derive(Debug)]
pub struct Guarded {
    analysis: Analysis,
    store: Arc<Store>,
    panics: u32,
    last_panic: Moment,
}

impl Guarded {
    /// Guards `analysis`; panics are counted in its store's health.
    pub fn new(analysis: Analysis) -> Guarded {
        Guarded {
            store: Arc::clone(&analysis.store),
            analysis,
            panics: 0,
            last_panic: Moment::default(),
        }
    }

    /// [`Analysis::observe_all`]. A panic costs the event that was in hand, and the others wait for the next time. While
    /// the analysis rests, events are dropped and counted.
    pub fn observe_all<'a>(
        &mut self,
        now: Moment,
        events: impl Iterator<Item = &'a mut Option<Observed>>,
    ) {
        if !self.rests() {
            return self.guarded(now, |analysis| analysis.observe_all(now, events));
        }
        for _ in events {
            self.store.health().event_dropped("analysis_rests");
        }
    }

    /// [`Analysis::tick`], unless it rests.
    pub fn tick(&mut self, now: Moment) {
        if self.panics > 0 && now.since(self.last_panic) >= REST_NS {
            self.panics = 0;
        }
        if self.rests() {
            self.analysis.feed.ticked(now);
        } else {
            self.guarded(now, |analysis| analysis.tick(now));
        }
    }

    /// [`Analysis::mark`].
    pub fn mark(&self) -> Mark {
        self.analysis.mark()
    }

    /// [`Analysis::is_behind`].
    pub fn is_behind(&self) -> bool {
        self.analysis.is_behind()
    }

    /// [`Analysis::has_unparsed_shapes`]; while it rests, nobody would have them parsed.
    pub fn has_unparsed_shapes(&self) -> bool {
        !self.rests() && self.analysis.has_unparsed_shapes()
    }

    /// Does [`Analysis::settle`] once [`Analysis::is_past`] `mark`, and says so; never while it rests.
    pub fn settle(&mut self, mark: Mark, test: Option<TestId>, now: Moment) -> bool {
        if self.rests() || !self.analysis.is_past(mark) {
            return false;
        }
        self.guarded(now, |analysis| analysis.settle(test, now));
        true
    }

    /// Goes on after its thread ended in the middle of something.
    pub fn resume(&mut self) {
        self.store.health().event_dropped("analysis_restarted");
        let analysis = &mut self.analysis;
        let _ = catch_unwind(AssertUnwindSafe(|| analysis.start_again()));
    }

    /// [`Analysis::feed`].
    pub fn feed(&self) -> Arc<Feed> {
        self.analysis.feed()
    }

    #[cfg(test)]
    pub(super) fn into_inner(self) -> Analysis {
        self.analysis
    }

    fn rests(&self) -> bool {
        self.panics >= PANICS_MAX
    }

    fn guarded(&mut self, at: Moment, call: impl FnOnce(&mut Analysis)) {
        let analysis = &mut self.analysis;
        if catch_unwind(AssertUnwindSafe(|| call(analysis))).is_ok() {
            return;
        }
        self.store.health().event_dropped("analysis_panic");
        self.panics += 1;
        self.last_panic = at;
        // What is half changed may not even be droppable.
        let _ = catch_unwind(AssertUnwindSafe(|| analysis.start_again()));
        if self.rests() {
            tracing::error!("the analysis ended in a panic again and rests for an hour");
        } else {
            tracing::error!("the analysis ended in a panic and begins anew");
        }
    }
}
