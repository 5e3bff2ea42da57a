//! What a scraper may rely on while shapes are admitted and leave.

use proptest::prelude::*;

use super::*;

/// All series of a scrape: name, database and verb to count and sum of durations.
pub(super) type Scrape = BTreeMap<String, (u64, u64)>;

/// Scrapes, and checks what holds for every scrape and between two of them.
#[track_caller]
pub(super) fn scrape(store: &Store, settings: &Settings, before: &mut Scrape) {
    let metrics = store.metrics();
    let mut scrape = Scrape::new();
    for series in &metrics.series {
        let name = format!("{:?} {} {:?}", series.name, series.database, series.verb);
        let values = (series.totals.calls(), series.totals.duration_ns);
        assert_eq!(
            scrape.insert(name.clone(), values),
            None,
            "two series have the labels {name}"
        );
    }
    let counted: u64 = scrape.values().map(|(count, _)| count).sum();
    let queries: u64 = metrics.queries.iter().map(|sample| sample.count).sum();
    assert_eq!(
        counted, queries,
        "the sum of all _count is pgprism_queries_total"
    );
    let of_others = |name: &SeriesName| matches!(name, SeriesName::Other);
    let pairs = metrics
        .series
        .iter()
        .filter(|series| !of_others(&series.name))
        .count();
    assert!(pairs <= settings.admitted_max, "{pairs} series of pairs");
    for (name, values) in &scrape {
        let older = before.get(name).copied().unwrap_or_default();
        assert!(
            values.0 >= older.0 && values.1 >= older.1,
            "{name} fell from {older:?} to {values:?}"
        );
        // Also what is gone now must not come back lower: names are kept.
        before.insert(name.clone(), *values);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn series_add_up_and_never_fall_while_shapes_come_and_go(
        steps in prop::collection::vec((0_u64..50, 0_u8..5, 1_u64..2_000, 0_u64..30), 1..600),
        phase in 10_usize..120,
    ) {
        let settings = small();
        let mut bench = Bench::new(&settings);
        let mut before = Scrape::new();
        for (step, (fingerprint, database, duration_ms, seconds)) in steps.into_iter().enumerate() {
            // Which shapes are hot moves on, so that pairs leave and come back.
            let fingerprint = (fingerprint / 5 + (step / phase) as u64 * 13) % 50;
            bench.run(fingerprint, &format!("db{database}"), duration_ms * MILLISECOND);
            if seconds > 0 {
                bench.pass(seconds * SECOND);
                scrape(&bench.store, &settings, &mut before);
            }
        }
        bench.pass(SECOND);
        scrape(&bench.store, &settings, &mut before);
    }
}

#[test]
fn a_pair_leaves_for_a_costlier_one_and_comes_back_where_it_stopped() {
    let settings = small();
    let mut bench = Bench::new(&settings);
    let mut before = Scrape::new();
    let admitted = |store: &Store, fingerprint: u64| {
        let name = SeriesName::Fingerprint(Fingerprint(fingerprint));
        store
            .metrics()
            .series
            .iter()
            .find(|series| series.name == name)
            .map(|series| series.totals.calls())
    };
    for fingerprint in 0..16 {
        bench.run(fingerprint, "shop", (fingerprint + 1) * MILLISECOND);
    }
    bench.pass(SECOND);
    assert_eq!(admitted(&bench.store, 0), Some(1));
    bench.run(100, "shop", 50 * MILLISECOND);
    bench.pass(SECOND);
    assert_eq!(admitted(&bench.store, 100), None, "all places are taken");
    scrape(&bench.store, &settings, &mut before);

    bench.pass(180 * SECOND);
    scrape(&bench.store, &settings, &mut before);
    assert_eq!(
        admitted(&bench.store, 0),
        None,
        "the one with the least time left"
    );
    // The history of what left takes one place, so that it takes a second change until the new one is in.
    bench.run(100, "shop", 50 * MILLISECOND);
    bench.pass(180 * SECOND);
    scrape(&bench.store, &settings, &mut before);
    bench.run(100, "shop", 50 * MILLISECOND);
    bench.pass(SECOND);
    assert_eq!(
        admitted(&bench.store, 100),
        Some(1),
        "only what ran since it was admitted"
    );

    for _ in 0..40 {
        bench.run(0, "shop", 900 * MILLISECOND);
        bench.pass(30 * SECOND);
        scrape(&bench.store, &settings, &mut before);
    }
    let calls = admitted(&bench.store, 0).expect("it came back");
    let row = bench.store.query(Some(Fingerprint(0)), bench.now).unwrap();
    assert!(
        calls > 1,
        "its one query from before is in it again, {calls} of {}",
        row.query.calls
    );
}

#[test]
fn twenty_thousand_shapes_stay_within_the_limits_and_other_counts_the_rest() {
    let settings = Settings::default();
    let mut bench = Bench::new(&settings);
    let mut before = Scrape::new();
    for fingerprint in 0..20_000 {
        bench.run(fingerprint, "shop", MILLISECOND);
        if fingerprint % 500 == 0 {
            bench.pass(SECOND);
            scrape(&bench.store, &settings, &mut before);
        }
    }
    bench.pass(SECOND);
    scrape(&bench.store, &settings, &mut before);
    let metrics = bench.store.metrics();
    assert_eq!(metrics.fingerprints, 10_000);
    assert_eq!(metrics.fingerprints_overflow, 10_000);
    assert_eq!(
        bench
            .store
            .query(None, bench.now)
            .expect("the row of the rest")
            .query
            .calls,
        10_000
    );
    let other: u64 = metrics
        .series
        .iter()
        .filter(|series| !matches!(series.name, SeriesName::Fingerprint(_)))
        .map(|series| series.totals.calls())
        .sum();
    assert_eq!(other, 19_800);
    let all = bench.store.queries(
        &Listing {
            limit: 20_000,
            ..Listing::default()
        },
        bench.now,
    );
    assert_eq!((all.queries.len(), all.total), (10_001, 10_001));
    assert_eq!(
        all.queries.iter().map(|query| query.calls).sum::<u64>(),
        20_000
    );
}

#[test]
fn a_migration_does_not_take_the_places_of_what_comes_after_it() {
    let settings = small();
    let mut bench = Bench::new(&settings);
    let mut before = Scrape::new();
    let create = |bench: &Bench, fingerprint: u64, duration_ns: u64| {
        let mut exchange = exchange(&bench.worker, fingerprint, duration_ns, bench.now);
        exchange.statement.verb = Verb::Create;
        record(
            &bench.worker,
            &mut Whose::default(),
            &exchange,
            &facts("shop"),
        );
    };
    for fingerprint in 0..20 {
        create(&bench, fingerprint, MILLISECOND);
    }
    bench.pass(SECOND);
    let own = |store: &Store| {
        let metrics = store.metrics();
        let own = metrics
            .series
            .iter()
            .filter_map(|series| match series.name {
                SeriesName::Fingerprint(fingerprint) => Some(fingerprint.0),
                SeriesName::Other | SeriesName::Left(_) => None,
            });
        own.collect::<Vec<_>>()
    };
    assert!(own(&bench.store).is_empty());
    for fingerprint in 30..35 {
        bench.run(fingerprint, "shop", 100 * MILLISECOND);
    }
    create(&bench, 36, 2 * SECOND);
    bench.pass(SECOND);
    scrape(&bench.store, &settings, &mut before);
    assert_eq!(own(&bench.store), [30, 31, 32, 33, 34], "at first sight");
    bench.pass(10 * SECOND);
    create(&bench, 36, 2 * SECOND);
    bench.pass(SECOND);
    scrape(&bench.store, &settings, &mut before);
    assert!(
        own(&bench.store).contains(&36),
        "its time is worth a series"
    );
}

#[test]
fn equals_do_not_push_each_other_out() {
    let settings = small();
    let mut bench = Bench::new(&settings);
    for round in 0..120 {
        for fingerprint in 0..20 {
            // The four that found no room take half as much again.
            let duration_ms = if fingerprint < 16 { 10 } else { 15 };
            bench.run(fingerprint, "shop", duration_ms * MILLISECOND);
        }
        bench.pass(10 * SECOND);
        assert_eq!(bench.store.metrics().admissions, 16, "round {round}");
    }
}
