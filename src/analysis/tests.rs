//! The way of events through the analysis.

mod trials;

use super::*;
use crate::aggregate::Settings as StoreSettings;
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
    let mut analysis = Analysis::new(
        Store::new(&StoreSettings::default()),
        Arc::default(),
        Settings::default(),
    )
    .unwrap();
    let feed = analysis.feed();
    let mut watcher = feed.watch();
    (0..5).for_each(|sequence| analysis.observe(Observed::Query(event(sequence))));
    assert_eq!(watcher.read(9).next, 0, "events come with the tick");
    analysis.tick(Moment(0));
    let first = watcher.read(3);
    assert_eq!(
        (sequences(&first), first.next, first.missed),
        (vec![0, 1, 2], 3, 0)
    );
    let second = watcher.read(9);
    assert_eq!((sequences(&second), second.next), (vec![3, 4], 5));

    let many = super::feed::FEED_EVENTS_MAX as u64 + 10;
    (5..5 + many).for_each(|sequence| analysis.observe(Observed::Query(event(sequence))));
    analysis.tick(Moment(0));
    let part = watcher.read(2);
    assert_eq!((sequences(&part), part.missed), (vec![15, 16], 10));
    assert_eq!(feed.position(), 5 + many);
    assert_eq!(feed.watch().read(9).events.len(), 0);
}

#[test]
fn who_begins_to_watch_gets_what_comes_from_then_on_and_has_missed_nothing() {
    let mut analysis = Analysis::new(
        Store::new(&StoreSettings::default()),
        Arc::default(),
        Settings::default(),
    )
    .unwrap();
    let feed = analysis.feed();
    let observe = |analysis: &mut Analysis, sequences: std::ops::Range<u64>| {
        sequences.for_each(|sequence| analysis.observe(Observed::Query(event(sequence))));
    };
    observe(&mut analysis, 0..3);
    let mut first = feed.watch();
    observe(&mut analysis, 3..5);
    analysis.tick(Moment(0));
    let mut second = feed.watch();
    assert_eq!(sequences(&second.read(9)), [0; 0]);
    let mut observe = |sequences| {
        observe(&mut analysis, sequences);
        analysis.tick(Moment(0));
    };
    observe(5..7);
    let part = first.read(9);
    assert_eq!((sequences(&part), part.missed), (vec![3, 4, 5, 6], 0));
    drop(first);
    observe(7..8);
    let part = second.read(9);
    assert_eq!((sequences(&part), part.missed), (vec![5, 6, 7], 0));
    drop(second);
    observe(8..10);
    let mut third = feed.watch();
    observe(10..11);
    let part = third.read(9);
    assert_eq!((sequences(&part), part.missed), (vec![10], 0));
    assert_eq!(part.next, 11);
}

#[test]
fn every_shape_is_parsed_also_those_without_events() {
    let store = Store::new(&StoreSettings::default());
    let worker = store.worker(());
    let count = 3 * PARSER_QUEUE_MAX as u64;
    let shapes: Vec<_> = (0..count)
        .map(|n| {
            let text = || format!("SELECT a FROM shop_order_{n} WHERE id = $1");
            let shape = worker
                .begin()
                .counter()
                .shape(Fingerprint(n), Verb::Select, text)
                .unwrap();
            shape.ended(None);
            shape
        })
        .collect();
    let mut analysis = Analysis::new(store, Arc::default(), Settings::default()).unwrap();
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

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Waits for the parser's thread.
#[allow(clippy::disallowed_methods, reason = "another thread needs real time")]
fn until(mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed().as_secs() < 60, "the parser is stuck");
        std::thread::yield_now();
    }
}

/// An analysis, and one connection.
struct Run {
    analysis: Analysis,
    worker: crate::aggregate::Worker,
    store: Arc<Store>,
    now: u64,
    sequence: u64,
}

impl Run {
    fn new(settings: Settings) -> Run {
        let store = Store::new(&StoreSettings::default());
        let mut analysis = Analysis::new(Arc::clone(&store), Arc::default(), settings).unwrap();
        analysis.tick(Moment(SECOND));
        Run {
            worker: store.worker(()),
            analysis,
            store,
            now: SECOND,
            sequence: 0,
        }
    }

    /// A statement with these values, a millisecond long and one behind the other.
    fn observe(&mut self, text: &str, values: u64) {
        let scanned = crate::sql::scan_all(text);
        let (fingerprint, verb) = (scanned[0].fingerprint, scanned[0].verb);
        let shape = self
            .worker
            .begin()
            .counter()
            .shape(fingerprint, verb, || text.to_owned());
        shape.iter().for_each(|shape| shape.ended(None));
        let requested_at = Moment(self.now);
        self.now += MS;
        let queried = QueryEvent {
            fingerprint,
            verb,
            shape,
            requested_at,
            completed_at: Moment(self.now),
            rows: 1,
            phases: Phases {
                database_ns: MS,
                ..Phases::default()
            },
            flow: Some(crate::event::Flow {
                constants: Default::default(),
                values,
                result: None,
            }),
            ..event(self.sequence)
        };
        self.sequence += 1;
        self.analysis.observe(Observed::Query(queried));
    }

    fn tick(&mut self) -> Arc<Snapshot> {
        self.analysis.tick(Moment(self.now));
        self.analysis.feed().snapshot()
    }

    /// Ticks, time standing still, until the facts are there and all is taken.
    fn settle(&mut self) -> Arc<Snapshot> {
        until(|| {
            self.tick();
            self.analysis.waiting.since().is_none()
        });
        // Findings are described again a few times a second.
        self.now += SECOND / 4;
        self.tick()
    }

    fn close(&mut self) {
        self.analysis
            .observe(Observed::Closed(crate::event::ClosedEvent {
                facts: event(0).facts,
                at: Moment(self.now),
                queries: self.sequence,
            }));
    }

    /// A request that writes rows one by one, on a connection of its own.
    fn write_loop(&mut self, rows: u64) {
        (0..rows).for_each(|row| self.observe("INSERT INTO shop_note (text) VALUES ($1)", row));
        self.close();
        self.sequence = 0;
        self.now += SECOND;
    }
}

#[test]
fn what_is_found_in_a_unit_is_published_with_it() {
    let mut run = Run::new(Settings::default());
    run.write_loop(10);
    let snapshot = run.settle();
    let [found] = snapshot.findings.as_slice() else {
        panic!("{} findings", snapshot.findings.len())
    };
    assert_eq!(found.finding.kind, detect::Kind::WriteLoop);
    assert!(
        found.advice.django.contains("bulk_create"),
        "{}",
        found.advice.django
    );
    let units: Vec<_> = snapshot.units.iter().collect();
    let [unit] = units.as_slice() else {
        panic!("{} units", units.len())
    };
    assert_eq!(unit.findings, [found.finding.id]);
    assert_eq!(
        (unit.queries, unit.evidence),
        (10, unit::Evidence::Connection)
    );
    assert_eq!((snapshot.statements, snapshot.units_open), (10, 0));
    assert_eq!(snapshot.totals.len(), 1);
    let routes: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| (&*route.route, route.queries_sum))
        .collect();
    assert_eq!(routes, [("", 10)]);

    let again = run.tick();
    assert!(Arc::ptr_eq(&snapshot, &again), "nothing changed");
}

#[test]
fn events_wait_for_the_facts_of_their_shapes_and_not_for_ever() {
    let mut run = Run::new(Settings::default());
    // A shape that no parser will ever see: it is not the store's.
    let mut strange = event(0);
    strange.shape = Some(crate::event::Shape::kept(crate::event::Shape {
        fingerprint: Fingerprint(1),
        number: crate::event::ShapeNumber(9),
        verb: Verb::Select,
        text: "SELECT a FROM b".into(),
        facts: std::sync::OnceLock::new(),
        parsed: crate::event::Parsed::yes(),
    }));
    run.analysis.tick(Moment(run.now));
    run.analysis.observe(Observed::Query(strange));
    run.sequence = 1;
    run.observe("SELECT c FROM d WHERE e = $1", 1);
    run.tick();
    let behind = run.store.shapes_from(0, 1).remove(0);
    until(|| behind.facts.get().is_some());
    run.now += SECOND;
    assert_eq!(run.tick().statements, 0);
    run.now += SECOND;
    run.tick();
    assert_eq!(run.settle().statements, 2);
    let dropped = run.store.health().events_dropped();
    assert_eq!((dropped[0].reason, dropped[0].count), ("facts_late", 1));
}

#[test]
fn the_queue_before_the_parser_is_bounded() {
    let mut run = Run::new(Settings::default());
    let shape = crate::event::Shape::kept(crate::event::Shape {
        fingerprint: Fingerprint(1),
        number: crate::event::ShapeNumber(9),
        verb: Verb::Select,
        text: "SELECT a FROM b".into(),
        facts: std::sync::OnceLock::new(),
        parsed: crate::event::Parsed::yes(),
    });
    for sequence in 0..20_000 {
        let mut event = event(sequence);
        event.shape = Some(shape);
        run.analysis.observe(Observed::Query(event));
    }
    assert_eq!(run.tick().statements, 20_000 - 16_384);
}

#[test]
fn a_unit_that_goes_on_is_judged_and_shown() {
    let mut run = Run::new(Settings::default());
    (0..20).for_each(|row| run.observe("INSERT INTO shop_note (text) VALUES ($1)", row));
    let young = run.settle();
    assert_eq!(
        (young.units_open, young.open.len(), young.findings.len()),
        (1, 0, 0),
        "a request would be over before anybody looks"
    );
    let mut run = Run::new(Settings::default());
    (0..1_100).for_each(|row| run.observe("INSERT INTO shop_note (text) VALUES ($1)", row));
    let snapshot = run.settle();
    let [open] = snapshot.open.as_slice() else {
        panic!("{} are open", snapshot.open.len())
    };
    assert_eq!(open.state, unit::UnitState::Open);
    assert_eq!((open.queries, open.findings.len()), (1_100, 1));
    assert_eq!(snapshot.findings[0].finding.id, open.findings[0]);
    run.now += SECOND;
    let snapshot = run.settle();
    assert_eq!((snapshot.open.len(), snapshot.units.len()), (0, 1));
    assert_eq!(
        snapshot.findings[0].finding.occurrences, 1,
        "counted once, however often it was judged"
    );
}

#[test]
fn what_is_muted_is_shown_so_at_once_and_stays_so() {
    let mut run = Run::new(Settings::default());
    run.write_loop(10);
    let id = run.settle().findings[0].finding.id;
    let feed = run.analysis.feed();
    let status = || feed.snapshot().findings[0].finding.status;
    feed.set_muted(id, true);
    assert_eq!(status(), detect::Status::Muted);
    run.write_loop(10);
    run.settle();
    assert_eq!(status(), detect::Status::Muted);
    feed.set_muted(id, false);
    run.tick();
    assert_eq!(status(), detect::Status::Open);
}

#[test]
fn who_mutes_while_a_snapshot_is_made_waits_for_nothing_and_is_heard() {
    let mut run = Run::new(Settings::default());
    run.write_loop(10);
    let made = run.settle();
    let id = made.findings[0].finding.id;
    let feed = run.analysis.feed();
    let status = || feed.snapshot().findings[0].finding.status;
    let known = feed.muted();
    feed.set_muted(id, true);
    feed.publish_made((*made).clone(), &known);
    assert_eq!(status(), detect::Status::Muted);
    let muted = feed.snapshot();
    let known = feed.muted();
    feed.set_muted(id, false);
    feed.publish_made((*muted).clone(), &known);
    assert_eq!(status(), detect::Status::Open);
}

#[test]
fn it_tells_when_it_came_through_a_tick() {
    let mut run = Run::new(Settings::default());
    let feed = run.analysis.feed();
    run.analysis.tick(Moment(5_000));
    assert_eq!(feed.silent_ns(Moment(9_000)), 4_000);
}

#[test]
fn ignore_rules_are_changed_by_a_reload() {
    let mut run = Run::new(Settings::default());
    run.write_loop(10);
    assert_eq!(run.settle().findings.len(), 1);
    run.analysis
        .feed()
        .set_ignore_rules(vec![detect::IgnoreRule {
            kind: Some(detect::Kind::WriteLoop),
            text: "kind = \"write_loop\"".into(),
            ..detect::IgnoreRule::default()
        }]);
    run.now += SECOND;
    run.write_loop(10);
    let snapshot = run.settle();
    assert_eq!(snapshot.findings.len(), 0);
    assert_eq!(&*snapshot.ignore_rules[0].rule, "kind = \"write_loop\"");
    assert!(snapshot.ignore_rules[0].matched > 0);
}

#[test]
fn the_units_kept_are_bounded() {
    let mut run = Run::new(Settings {
        units_max: 5,
        ..Settings::default()
    });
    (0..20).for_each(|_| run.write_loop(4));
    let snapshot = run.settle();
    assert_eq!(snapshot.units.len(), 5);
    assert_eq!(snapshot.routes[0].queries_sum, 80);
    assert!(snapshot.units.iter().is_sorted_by_key(|unit| unit.id));
}

/// Panics while `bad` is set, when the units ask whether a connection is waiting for an answer.
fn stumbling(bad: &Arc<std::sync::atomic::AtomicBool>) -> Settings {
    let bad = Arc::clone(bad);
    let asked = move |_| {
        assert!(!bad.load(std::sync::atomic::Ordering::Relaxed), "stumbled");
        false
    };
    let mut settings = Settings::default();
    settings.units.running = unit::Running(Arc::new(asked));
    settings
}

fn dropped(store: &Store) -> Vec<(&'static str, u64)> {
    let drops = store.health().events_dropped();
    drops.iter().map(|drop| (drop.reason, drop.count)).collect()
}

#[test]
fn a_panic_costs_what_is_half_done_and_nothing_that_comes_later() {
    let bad = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut run = Run::new(stumbling(&bad));
    run.write_loop(10);
    let before = run.settle();
    let (totals, id) = (before.totals.clone(), before.findings[0].finding.id);
    run.analysis.feed().set_muted(id, true);
    run.observe("INSERT INTO shop_note (text) VALUES ($1)", 1);
    run.settle();
    let Run { analysis, .. } = run;
    let mut guarded = Guarded::new(analysis);
    let feed = guarded.feed();
    let (position, now) = (feed.position(), run.now + 2 * SECOND);
    bad.store(true, std::sync::atomic::Ordering::Relaxed);
    guarded.tick(Moment(now));
    assert_eq!(dropped(&run.store), [("analysis_panic", 1)]);
    bad.store(false, std::sync::atomic::Ordering::Relaxed);
    guarded.tick(Moment(now + SECOND));
    let snapshot = feed.snapshot();
    assert_eq!((snapshot.units_open, snapshot.findings.len()), (0, 0));
    let sum = |totals: &[FindingTotals]| totals.iter().map(|it| it.queries).sum::<u64>();
    assert_eq!(
        sum(&snapshot.totals),
        sum(&totals),
        "no counter ever decreases"
    );
    assert_eq!(snapshot.units.len(), 1, "what is kept stays");

    run = Run {
        analysis: guarded.into_inner(),
        now: now + 2 * SECOND,
        sequence: 0,
        ..run
    };
    run.write_loop(10);
    let after = run.settle();
    assert!(run.analysis.feed().position() > position);
    let found = &after.findings[0].finding;
    assert_eq!((found.id, found.status), (id, detect::Status::Muted));
    let ids: Vec<_> = after.units.iter().map(|unit| unit.id).collect();
    assert!(ids[0] < ids[1], "no id is given twice");
}

#[test]
fn an_analysis_that_always_stumbles_rests() {
    let bad = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let run = Run::new(stumbling(&bad));
    let store = Arc::clone(&run.store);
    let mut guarded = Guarded::new(run.analysis);
    let mut now = run.now;
    let observe = |guarded: &mut Guarded, now| {
        let mut events = [Some(Observed::Query(event(0)))];
        guarded.observe_all(Moment(now), events.iter_mut());
    };
    for _ in 0..20 {
        observe(&mut guarded, now);
        now += 2 * SECOND;
        guarded.tick(Moment(now));
        now += 2 * SECOND;
        guarded.tick(Moment(now));
    }
    assert_eq!(
        dropped(&store),
        [("analysis_panic", 16), ("analysis_rests", 4)]
    );
    bad.store(false, std::sync::atomic::Ordering::Relaxed);
    guarded.tick(Moment(now + 3_600 * SECOND));
    observe(&mut guarded, now + 3_600 * SECOND);
    guarded.tick(Moment(now + 3_601 * SECOND));
    assert_eq!(dropped(&store)[1], ("analysis_rests", 4));
    assert!(guarded.feed().snapshot().statements > 0);
}

#[test]
fn what_may_be_muted_is_bounded() {
    let feed = Feed::default();
    for n in 0..25_000 {
        feed.set_muted(detect::FindingId(n), true);
    }
    assert!(feed.muted().len() <= 10_000);
}
