//! What is known of tests.

use super::*;

#[test]
fn who_settles_finds_the_units_of_the_test_ended_and_published() {
    let store = Store::new(&StoreSettings::default());
    let worker = store.worker(());
    let mut analysis =
        Analysis::new(Arc::clone(&store), Arc::default(), Settings::default()).unwrap();
    let tags = |id: u64| {
        let text = format!("/*test='t{id}',test_id='{id}'*/");
        crate::sql::tags::parse(text.as_bytes()).map(Arc::new)
    };
    let shape = worker
        .begin()
        .counter()
        .shape(Fingerprint(1), Verb::Select, || {
            "SELECT a FROM b".to_owned()
        })
        .unwrap();
    shape.ended(None);
    for sequence in 0..4 {
        analysis.observe(Observed::Query(QueryEvent {
            tags: tags(sequence / 2),
            rows: 7,
            shape: Some(shape),
            ..event(sequence)
        }));
    }
    let mark = analysis.mark();
    assert!(!analysis.is_past(mark), "nobody has parsed the shape");
    while !analysis.is_past(mark) {
        analysis.tick(Moment(4));
        std::thread::yield_now();
    }
    analysis.settle(Some(TestId::of("1")), Moment(5));
    let snapshot = analysis.feed().snapshot();
    let ended: Vec<_> = snapshot
        .units
        .iter()
        .map(|unit| (unit.test.as_deref(), unit.queries, unit.rows))
        .collect();
    assert_eq!(ended, [(Some("t1"), 2, 14)]);
    assert_eq!(snapshot.units_open, 1, "that of the other test");
}

#[test]
fn the_ledger_has_every_unit_and_what_it_ran() {
    let store = Store::new(&StoreSettings::default());
    let worker = store.worker(());
    let ledger = Arc::new(Ledger::new(3));
    let settings = Settings {
        ledger: Some(Arc::clone(&ledger)),
        units_max: 1,
        ..Settings::default()
    };
    let mut analysis = Analysis::new(Arc::clone(&store), Arc::default(), settings).unwrap();
    let text = || "SELECT a FROM shop_book".to_owned();
    let shape = worker
        .begin()
        .counter()
        .shape(Fingerprint(7), Verb::Select, text)
        .unwrap();
    shape.ended(None);
    let run = |sequence: u64, tags: &str| QueryEvent {
        tags: crate::sql::tags::parse(tags.as_bytes()).map(Arc::new),
        rows: 3 + sequence,
        fingerprint: Fingerprint(7),
        shape: Some(shape),
        phases: Phases {
            database_ns: MS,
            ..Phases::default()
        },
        ..event(sequence)
    };
    let tags = [
        "",
        "/*test='t',test_id='1'*/",
        "/*test='t',test_id='1'*/",
        "/*test='t',test_id='1',request_id='r',route='books/'*/",
        "/*test='t',test_id='2'*/",
    ];
    for (sequence, tags) in tags.iter().enumerate() {
        analysis.observe(Observed::Query(run(sequence as u64, tags)));
    }
    let mark = analysis.mark();
    while !analysis.is_past(mark) {
        analysis.tick(Moment(4));
        std::thread::yield_now();
    }
    for test in ["1", "2"] {
        analysis.settle(Some(TestId::of(test)), Moment(5));
    }
    let pages = ledger.read();
    let units: Vec<_> = pages
        .units
        .iter()
        .map(|unit| {
            (
                unit.test_id.as_deref(),
                unit.of,
                unit.route.as_deref(),
                unit.queries,
                unit.queries_ns,
            )
        })
        .collect();
    assert_eq!(
        units,
        [
            (None, Work::Unknown, None, 1, MS),
            (Some("1"), Work::Test, None, 2, 2 * MS),
            (Some("1"), Work::Request, Some("books/"), 1, MS),
        ]
    );
    assert_eq!(pages.units_left_out, 1);
    assert_eq!(pages.units[0].first.as_deref(), Some("SELECT shop_book"));
    let shape = &pages.of_tests[&Fingerprint(7)];
    assert_eq!(
        (
            shape.calls,
            shape.calls_max,
            shape.rows_max,
            shape.unit_index
        ),
        (3, 2, 6, 1)
    );
    assert_eq!(pages.of_others[&Fingerprint(7)].calls, 1);
}
