//! `observe(event)`, `tick(now)`, `snapshot()` over `unit`, `detect` and `advise`; synchronous, owned by one thread.
//!
//! ```text
//!  Observed ─► waiting.rs ─► unit::Units ─┬─► detect::Detector ─► found.rs ─┐
//!              (for the facts             │                                 ├─► Snapshot ─► feed.rs ─► export
//!               of new shapes)            └─► kept.rs, growing.rs, routes.rs┘
//! ```
//!
//! *Architecture invariant:* no runtime, no clock, no socket; what others read of it they read through [`Feed`].

mod feed;
mod found;
mod growing;
mod guard;
mod kept;
mod ledger;
mod records;
mod routes;
mod snapshot;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use crate::advise::Guide;
use crate::aggregate::Store;
use crate::detect::{self, Detector, Loops};
use crate::event::{Moment, Observed, QueryEvent};
use crate::sql::facts::{FactsWorker, QueueFull};
use crate::unit::{self, TestId, Unit, Units};

pub use feed::{Feed, FeedPart, Watcher};
pub use guard::Guarded;
pub use ledger::{Entry, Ledger, Pages, ShapeEntry, Shapes, Work};
pub use records::Records;
pub use snapshot::{
    FindingTotals, FoundAndAdvised, IgnoreRuleUse, RouteFigures, Snapshot, UNIT_QUERIES_BOUNDS,
};
pub use waiting::Mark;

use feed::Fresh;
use found::{Change, Found, Haste};
use growing::Growing;
use kept::Kept;
use routes::Routes;
use waiting::{Facts, Next, Waiting};

/// An analysis that came through no tick for so long stands still, nanoseconds.
pub const STUCK_AFTER_NS: u64 = 3_000_000_000;

/// Texts that wait for the parser.
const PARSER_QUEUE_MAX: usize = 256;

/// Limits of the analysis, and what it looks for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How units are told apart.
    pub units: unit::Settings,
    /// What is looked for in them.
    pub detect: detect::Settings,
    /// Units that ended and are kept, and as many open ones that are shown.
    pub units_max: usize,
    /// Routes with figures of their own.
    pub routes_max: usize,
    /// Bytes that the statements of all units may take, those of open units included.
    pub timeline_bytes_max: usize,
    /// Where every unit that ends is written down. Those that go on are not judged before they end then: what is found
    /// shall not depend on when somebody looked.
    pub ledger: Option<Arc<Ledger>>,
    /// How long it stands still on purpose, once ([`crate::fault::Fault::AnalysisHang`]).
    pub hang: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            units: unit::Settings::default(),
            detect: detect::Settings::default(),
            units_max: 1_000,
            routes_max: 100,
            timeline_bytes_max: 32 << 20,
            ledger: None,
            hang: None,
        }
    }
}

/// Turns events into what is known about the application. One thread owns it, feeds it and ticks it.
#[derive(Debug)]
pub struct Analysis {
    store: Arc<Store>,
    guide: Arc<Guide>,
    parser: FactsWorker,
    /// How many of the store's shapes were handed to the parser.
    shapes_parsed: usize,
    feed: Arc<Feed>,
    fresh: Fresh,
    /// The last tick, or the begin of this one.
    now: Moment,
    waiting: Waiting,
    units: Units<Loops>,
    results: Results,
    /// What the last snapshot was made of.
    published: Published,
    /// How long it is still to stand still on purpose.
    hang: Option<Duration>,
}

/// What comes of the units.
#[derive(Debug)]
struct Results {
    detector: Detector,
    growing: Growing,
    kept: Kept,
    units_max: usize,
    routes: Routes,
    found: Found,
    ledger: Option<Arc<Ledger>>,
    /// Statements that were put into units.
    statements: u64,
    /// Units that ended, and open ones that were looked at.
    units: u64,
}

/// What a snapshot shows changes with one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Published {
    statements: u64,
    units: u64,
    open: usize,
}

impl Analysis {
    /// An analysis that has seen nothing; starts the thread on which new shapes are parsed.
    pub fn new(
        store: Arc<Store>,
        guide: Arc<Guide>,
        settings: Settings,
    ) -> std::io::Result<Analysis> {
        // What is open may be there twice, as it grows and as it was shown; what ended has the other half.
        let open = unit::Settings {
            timeline_bytes_max: settings.timeline_bytes_max / 4,
            ..settings.units
        };
        Ok(Analysis {
            store,
            guide,
            parser: FactsWorker::start(PARSER_QUEUE_MAX)?,
            shapes_parsed: 0,
            feed: Arc::default(),
            fresh: Fresh::default(),
            now: Moment::default(),
            waiting: Waiting::default(),
            units: Units::new(open),
            results: Results {
                detector: Detector::new(settings.detect),
                growing: Growing::default(),
                kept: Kept::new(settings.units_max, settings.timeline_bytes_max / 2),
                units_max: settings.units_max,
                routes: Routes::new(settings.routes_max),
                found: Found::default(),
                ledger: settings.ledger,
                statements: 0,
                units: 0,
            },
            published: Published::default(),
            hang: settings.hang,
        })
    }

    /// Takes what happened next on some session: at once where the facts of its shape are known, and nothing waits.
    pub fn observe(&mut self, observed: Observed) {
        self.take_ignore_rules();
        self.observe_next(&mut Some(observed));
    }

    /// The same for all events that come, at the time of a tick: where they lie, unless one has to wait.
    pub fn observe_all<'a>(
        &mut self,
        now: Moment,
        events: impl Iterator<Item = &'a mut Option<Observed>>,
    ) {
        self.now = now;
        self.take_ignore_rules();
        for event in events {
            self.observe_next(event);
        }
    }

    /// Takes it where it stands, for it is large, or has it wait.
    #[inline]
    fn observe_next(&mut self, next: &mut Option<Observed>) {
        let Some(observed) = next else { return };
        if let Observed::Query(event) = observed {
            if self.feed.is_watched() {
                // The values are for the detectors alone.
                let flow = event.flow.take();
                self.fresh.keep(event.clone());
                event.flow = flow;
            } else {
                self.fresh.pass();
            }
        }
        if self.waiting.lets_pass(observed) {
            self.take(observed);
        } else if let Some(observed) = next.take() {
            self.waiting.push(observed, self.now);
        }
    }

    /// What ends from now on is judged by them.
    fn take_ignore_rules(&mut self) {
        if let Some(rules) = self.feed.take_ignore_rules() {
            self.results.detector.set_ignore_rules(rules);
        }
    }

    /// Has new shapes parsed, takes the events whose facts are known, and publishes what came of them.
    pub fn tick(&mut self, now: Moment) {
        self.now = now;
        self.take_ignore_rules();
        self.parse_new_shapes();
        while let Some(Next { event, facts }) = self.waiting.next(now) {
            if facts == Facts::Late {
                self.store.health().event_dropped("facts_late");
            }
            self.take(&event);
        }
        // For units it is no later than the events that they have seen.
        let seen = self.waiting.since().map_or(now, |since| since.min(now));
        let results = &mut self.results;
        self.units.tick(seen, &mut |unit| results.ended(unit));
        let units = &mut self.units;
        let queries = |id| units.get(id).map(Unit::queries);
        for id in results.growing.due(now, queries) {
            if let Some(unit) = units.get_mut(id) {
                results.look(unit, now);
            }
        }
        results.detector.tick(now);
        self.publish(now, Haste::None);
        self.feed.ticked(now);
    }

    /// The end of what was observed up to now.
    pub fn mark(&self) -> Mark {
        self.waiting.mark()
    }

    /// Whether all that was observed before `mark` has been taken: it may have had to wait for the facts of its shape.
    pub fn is_past(&self, mark: Mark) -> bool {
        self.waiting.is_past(mark)
    }

    /// Whether something that came has not been taken yet: it waits for the facts of a shape.
    pub fn is_behind(&self) -> bool {
        self.waiting.since().is_some()
    }

    /// Whether there are shapes that the parser had no room for at the last tick, or that came since.
    pub fn has_unparsed_shapes(&self) -> bool {
        !self.store.shapes_from(self.shapes_parsed, 1).is_empty()
    }

    /// Ends what is open of `test`, and publishes all that is known by now.
    pub fn settle(&mut self, test: Option<TestId>, now: Moment) {
        self.now = now;
        if let Some(test) = test {
            let results = &mut self.results;
            self.units.end_test(test, &mut |unit| results.ended(unit));
        }
        self.publish(now, Haste::Now);
    }

    /// Where others read from; it stays the same.
    pub fn feed(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Forgets what may be half changed after a panic. What only counts stays, and so do the events that wait, the
    /// ignore rules and what is muted.
    fn start_again(&mut self) {
        self.units.start_again();
        self.results.growing.start_again();
        self.results.detector.start_again();
    }

    fn take(&mut self, event: &Observed) {
        let results = &mut self.results;
        let mut ended = Vec::new();
        match event {
            Observed::Query(event) => {
                let detector = &results.detector;
                let continues = |unit: &Unit<Loops>, event: &QueryEvent, apart| {
                    detector.continues(unit, event, apart)
                };
                let joined = self
                    .units
                    .query(event, continues, &mut |unit| ended.push(unit));
                if !ended.is_empty() {
                    ended.into_iter().for_each(|unit| results.ended(unit));
                }
                if let Some((unit, joined)) = joined {
                    results.statements += u64::from(!joined.housekeeping);
                    results.growing.touched(unit, self.now);
                    results.detector.query(unit, event, &joined);
                }
            }
            Observed::Rows(event) => {
                let unit = self.units.rows(event, &mut |unit| ended.push(unit));
                ended.into_iter().for_each(|unit| results.ended(unit));
                if let Some(unit) = unit {
                    results.growing.touched(unit, self.now);
                    results.detector.rows(unit, event);
                }
            }
            Observed::Closed(event) => {
                self.units.closed(event, &mut |unit| results.ended(unit));
                results.detector.closed(event.facts.id);
            }
        }
    }

    /// Hands shapes to the parser, each once: the store knows all of them, those whose events were dropped included.
    /// What finds its queue full comes again with the next tick.
    fn parse_new_shapes(&mut self) {
        for shape in self.store.shapes_from(self.shapes_parsed, PARSER_QUEUE_MAX) {
            let fill = move |facts| {
                // Nobody else sets it, and nobody is told twice.
                let _ = shape.facts.set(facts);
            };
            match self.parser.submit(Arc::clone(&shape.text), fill) {
                Ok(()) => self.shapes_parsed += 1,
                Err(QueueFull) => return,
            }
        }
    }

    fn publish(&mut self, now: Moment, haste: Haste) {
        self.feed.publish(&mut self.fresh);
        self.hang();
        let results = &mut self.results;
        let muted = self.feed.muted();
        let before = results.detector.revision();
        results.detector.set_muted(&muted);
        let haste = if results.detector.revision() == before {
            haste
        } else {
            Haste::Now
        };
        let found =
            results
                .found
                .refresh(&results.detector, now, haste, (&self.guide, &self.store));
        let state = Published {
            statements: results.statements,
            units: results.units,
            open: self.units.open_count(),
        };
        if found == Change::None && state == self.published {
            return;
        }
        self.published = state;
        if found != Change::None {
            let examples = results.found.list.iter();
            results
                .kept
                .set_examples(examples.filter_map(|found| found.finding.example_unit));
        }
        let snapshot = Snapshot {
            findings: results.found.list.clone(),
            units: results.kept.list(),
            units_open: state.open as u64,
            open: results.growing.list(results.units_max),
            statements: state.statements,
            units_cut: results.detector.units_cut(),
            routes: results.routes.list(),
            totals: results.found.totals.clone(),
            ignore_rules: results.found.ignore_rules.clone(),
        };
        self.feed.publish_made(snapshot, &muted);
        if found == Change::News {
            self.feed.has_news();
        }
    }

    /// The fault: once it has had events, it stands still.
    fn hang(&mut self) {
        if self.fresh.observed() > 0
            && let Some(hang) = self.hang.take()
        {
            std::thread::sleep(hang);
        }
    }
}

impl Results {
    /// A unit is over: it is judged, counted and kept.
    fn ended(&mut self, mut unit: Unit<Loops>) {
        let verdicts = self.detector.ended(&mut unit);
        self.growing.ended(unit.id());
        let duration_ns = unit.ended_at().since(unit.started_at());
        self.routes.count(unit.route(), unit.queries(), duration_ns);
        let route = unit.route().cloned();
        let work = Work::of(&unit);
        let mut record = unit.into_record();
        record.findings = verdicts.iter().map(|verdict| verdict.finding).collect();
        if let Some(ledger) = &self.ledger {
            ledger.enter(&record, route.as_ref(), work, &verdicts);
        }
        self.kept.push(record);
        self.units += 1;
    }

    /// A unit goes on: it is judged and shown as it is by now.
    fn look(&mut self, unit: &mut Unit<Loops>, now: Moment) {
        let verdicts = match self.ledger {
            None => self.detector.grown(unit),
            Some(_) => Vec::new(),
        };
        let mut record = unit.record();
        record.findings = verdicts.iter().map(|verdict| verdict.finding).collect();
        self.growing.looked(unit.id(), record, now);
        self.units += 1;
    }
}
