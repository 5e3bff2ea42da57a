//! `observe(event)`, `tick(now)`, `snapshot()` over the detectors; synchronous, owned by one thread.
//!
//! *Architecture invariant:* no runtime, no clock, no socket; what others read of it they read through [`Feed`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::aggregate::Store;
use crate::event::{Moment, QueryEvent};

/// Events kept for those who watch the stream; who reads slower than that misses some, and is told how many.
const FEED_EVENTS_MAX: usize = 1024;

/// Turns events into what is known about the application. One thread owns it, feeds it and ticks it.
#[derive(Debug)]
pub struct Analysis {
    store: Arc<Store>,
    /// How many of the store's shapes were looked at.
    shapes_seen: usize,
    feed: Arc<Feed>,
    /// Events since the last tick, newest last; only so many as the feed would keep.
    fresh: VecDeque<QueryEvent>,
    observed: u64,
}

impl Analysis {
    /// An analysis that has seen nothing.
    pub fn new(store: Arc<Store>) -> Analysis {
        Analysis {
            store,
            shapes_seen: 0,
            feed: Arc::default(),
            fresh: VecDeque::new(),
            observed: 0,
        }
    }

    /// Takes one finished query.
    pub fn observe(&mut self, event: QueryEvent) {
        self.observed += 1;
        if self.fresh.len() == FEED_EVENTS_MAX {
            self.fresh.pop_front();
        }
        self.fresh.push_back(event);
    }

    /// Publishes what the events since the last tick brought.
    pub fn tick(&mut self, _now: Moment) {
        // The store knows every shape once, also those whose events were dropped.
        let (_shapes, seen) = self.store.shapes_from(self.shapes_seen);
        self.shapes_seen = seen;
        self.feed.publish(&mut self.fresh, self.observed);
    }

    /// Where others read the events from; it stays the same.
    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }
}

/// The latest events, for any number of readers, each at its own pace.
#[derive(Debug, Default)]
pub struct Feed {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<QueryEvent>,
    /// Events published since the start: the number that the next one gets.
    published: u64,
}

/// What a reader of the [`Feed`] gets.
#[derive(Debug)]
pub struct FeedPart {
    /// Events in the order they were observed.
    pub events: Vec<QueryEvent>,
    /// Where to go on from.
    pub next: u64,
    /// Events that were gone already.
    pub missed: u64,
}

impl Feed {
    /// Events observed since the start: a reader that begins here gets only new ones.
    pub fn position(&self) -> u64 {
        self.lock().published
    }

    /// At most `max` events from number `from` on.
    pub fn read(&self, from: u64, max: usize) -> FeedPart {
        let recent = self.lock();
        let oldest = recent.published - recent.events.len() as u64;
        let start = from.clamp(oldest, recent.published);
        let events: Vec<QueryEvent> = recent
            .events
            .iter()
            .skip((start - oldest) as usize)
            .take(max)
            .cloned()
            .collect();
        FeedPart {
            next: start + events.len() as u64,
            missed: start.saturating_sub(from),
            events,
        }
    }

    fn publish(&self, fresh: &mut VecDeque<QueryEvent>, published: u64) {
        let mut recent = self.lock();
        let surplus = (recent.events.len() + fresh.len()).saturating_sub(FEED_EVENTS_MAX);
        let gone = surplus.min(recent.events.len());
        recent.events.drain(..gone);
        recent.events.append(fresh);
        recent.published = published;
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
