//! `observe(event)`, `tick(now)`, `snapshot()` over the detectors; synchronous, owned by one thread.
//!
//! *Architecture invariant:* no runtime, no clock, no socket; what others read of it they read through [`Feed`].

mod snapshot;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::aggregate::Store;
use crate::detect::{FindingId, Status};
use crate::event::{Moment, Observed, QueryEvent};
use crate::sql::facts::{FactsWorker, QueueFull};

pub use snapshot::{
    FindingTotals, FoundAndAdvised, IgnoreRuleUse, RouteFigures, Snapshot, UNIT_QUERIES_BOUNDS,
};

/// Events kept for those who watch the stream; who reads slower than that misses some, and is told how many.
const FEED_EVENTS_MAX: usize = 1024;

/// Texts that wait for the parser.
const PARSER_QUEUE_MAX: usize = 256;

/// Turns events into what is known about the application. One thread owns it, feeds it and ticks it.
#[derive(Debug)]
pub struct Analysis {
    store: Arc<Store>,
    parser: FactsWorker,
    /// How many of the store's shapes were handed to the parser.
    shapes_parsed: usize,
    feed: Arc<Feed>,
    /// Events since the last tick, newest last; only so many as the feed would keep.
    fresh: VecDeque<QueryEvent>,
    observed: u64,
}

impl Analysis {
    /// An analysis that has seen nothing; starts the thread on which new shapes are parsed.
    pub fn new(store: Arc<Store>) -> std::io::Result<Analysis> {
        Ok(Analysis {
            store,
            parser: FactsWorker::start(PARSER_QUEUE_MAX)?,
            shapes_parsed: 0,
            feed: Arc::default(),
            fresh: VecDeque::new(),
            observed: 0,
        })
    }

    /// Takes what happened next on some session.
    pub fn observe(&mut self, observed: Observed) {
        let Observed::Query(mut event) = observed else {
            return;
        };
        event.flow = None;
        self.observed += 1;
        if self.fresh.len() == FEED_EVENTS_MAX {
            self.fresh.pop_front();
        }
        self.fresh.push_back(event);
    }

    /// Has new shapes parsed, and publishes the events since the last tick.
    pub fn tick(&mut self, _now: Moment) {
        self.parse_new_shapes();
        self.feed.publish(&mut self.fresh, self.observed);
    }

    /// Hands shapes to the parser, each once: the store knows all of them, those whose events were dropped included.
    /// What finds its queue full comes again with the next tick.
    fn parse_new_shapes(&mut self) {
        for shape in self.store.shapes_from(self.shapes_parsed, PARSER_QUEUE_MAX) {
            let parsed = Arc::clone(&shape);
            let fill = move |facts| {
                // Nobody else sets it, and nobody is told twice.
                let _ = parsed.facts.set(facts);
            };
            match self.parser.submit(Arc::clone(&shape.text), fill) {
                Ok(()) => self.shapes_parsed += 1,
                Err(QueueFull) => return,
            }
        }
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
    snapshot: ArcSwap<Snapshot>,
    /// What somebody does not want to hear of.
    muted: Mutex<BTreeSet<FindingId>>,
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
    /// What the analysis knew at its last tick.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes `snapshot` what readers get from now on.
    pub fn publish_snapshot(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Mutes a finding, or not any more; every snapshot from now on shows it.
    pub fn set_muted(&self, finding: FindingId, muted: bool) {
        // Held until the snapshot is changed, so that two of these calls do not cross.
        let mut all = self.muted.lock().unwrap_or_else(PoisonError::into_inner);
        let status = if muted {
            all.insert(finding);
            Status::Muted
        } else {
            all.remove(&finding);
            Status::Open
        };
        self.snapshot
            .rcu(|snapshot| snapshot.with_status(finding, status));
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Settings;
    use crate::event::{Phases, Protocol, SessionFacts, SessionId};
    use crate::sql::{Fingerprint, Verb};
    use crate::wire::TransactionStatus;

    fn event(sequence: u64) -> QueryEvent {
        QueryEvent {
            facts: Arc::new(SessionFacts {
                id: SessionId(1),
                listener: "default".into(),
                client: "127.0.0.1".into(),
                user: "shop".into(),
                database: "shop".into(),
                application: "web".into(),
                backend_pid: 1,
            }),
            sequence,
            fingerprint: Fingerprint(1),
            verb: Verb::Select,
            shape: None,
            protocol: Protocol::Simple,
            requested_at: Moment(sequence),
            completed_at: Moment(sequence),
            phases: Phases::default(),
            rows: 0,
            sqlstate: None,
            transaction_before: TransactionStatus::Idle,
            transaction_after: TransactionStatus::Idle,
            round_trips: 1,
            pipeline_index: 0,
            tags: None,
            cursor: None,
            flow: None,
        }
    }

    fn sequences(part: &FeedPart) -> Vec<u64> {
        part.events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn a_reader_gets_each_event_once_and_is_told_what_it_missed() {
        let mut analysis = Analysis::new(Store::new(&Settings::default())).unwrap();
        let feed = analysis.feed();
        (0..5).for_each(|sequence| analysis.observe(Observed::Query(event(sequence))));
        assert_eq!(feed.read(0, 9).next, 0, "events come with the tick");
        analysis.tick(Moment(0));
        let first = feed.read(0, 3);
        assert_eq!(
            (sequences(&first), first.next, first.missed),
            (vec![0, 1, 2], 3, 0)
        );
        let second = feed.read(first.next, 9);
        assert_eq!((sequences(&second), second.next), (vec![3, 4], 5));

        let many = FEED_EVENTS_MAX as u64 + 10;
        (5..5 + many).for_each(|sequence| analysis.observe(Observed::Query(event(sequence))));
        analysis.tick(Moment(0));
        let part = feed.read(second.next, 2);
        assert_eq!((sequences(&part), part.missed), (vec![15, 16], 10));
        assert_eq!(feed.position(), 5 + many);
        assert_eq!(feed.read(feed.position(), 9).events.len(), 0);
    }

    #[test]
    fn every_shape_is_parsed_also_those_without_events() {
        let store = Store::new(&Settings::default());
        let worker = store.worker();
        let count = 3 * PARSER_QUEUE_MAX as u64;
        let shapes: Vec<_> = (0..count)
            .map(|n| {
                let text = || format!("SELECT a FROM shop_order_{n} WHERE id = $1");
                worker.shape(Fingerprint(n), Verb::Select, text).unwrap()
            })
            .collect();
        let mut analysis = Analysis::new(store).unwrap();
        // Each tick hands over what fits; dropping the analysis waits for the parser.
        while analysis.shapes_parsed < shapes.len() {
            analysis.tick(Moment(0));
            std::thread::yield_now();
        }
        drop(analysis);
        for (n, shape) in shapes.iter().enumerate() {
            assert_eq!(shape.facts().unwrap().tables, [format!("shop_order_{n}")]);
        }
    }
}
