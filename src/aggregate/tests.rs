//! Values in, figures out: whole stores, driven by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::event::{
    Exchange, Protocol, SessionEvent, SessionFacts, SessionId, Statement, TransactionOutcome,
};
use crate::sql::{Fingerprint, Verb};
use crate::wire::{SqlState, TransactionStatus};

mod series;
mod worker;

use series::{Scrape, scrape};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn facts_of(id: u64, database: &str, user: &str, application: &str) -> Arc<SessionFacts> {
    Arc::new(SessionFacts {
        id: SessionId(id),
        listener: Arc::from("default"),
        client: Arc::from("127.0.0.1"),
        user: Arc::from(user),
        database: Arc::from(database),
        application: Arc::from(application),
        backend_pid: 4711,
    })
}

fn facts(database: &str) -> Arc<SessionFacts> {
    facts_of(1, database, "shop", "web")
}

fn exchange(worker: &Worker, fingerprint: u64, duration_ns: u64, at: Moment) -> Exchange {
    counted(&mut worker.begin().counter(), fingerprint, duration_ns, at)
}

fn counted(counter: &mut Counter<'_>, fingerprint: u64, duration_ns: u64, at: Moment) -> Exchange {
    let fingerprint = Fingerprint(fingerprint);
    let shape = counter.shape(fingerprint, Verb::Select, || {
        format!("SELECT {fingerprint} FROM shop_order")
    });
    Exchange {
        session: SessionId(1),
        sequence: 0,
        statement: Statement {
            fingerprint,
            verb: Verb::Select,
            shape,
            truncated: false,
        },
        protocol: Protocol::Simple,
        requested_at: Moment(at.0.saturating_sub(duration_ns)),
        completed_at: at,
        phases: Phases {
            database_ns: duration_ns,
            ..Phases::default()
        },
        round_trips: 1,
        rows: 1,
        request_bytes: 10,
        response_bytes: 90,
        sqlstate: None,
        transaction_before: TransactionStatus::Idle,
        transaction_after: TransactionStatus::Idle,
        pipeline_index: 0,
        tags: None,
        literal_text: None,
        statement_name: None,
        cursor: None,
        flow: None,
    }
}

fn record(worker: &Worker, whose: &mut Whose, exchange: &Exchange, facts: &Arc<SessionFacts>) {
    let mut counting = worker.begin();
    let mut counter = counting.counter();
    counter.record(whose, &exchange.event(facts), exchange.beside());
}

#[test]
fn counts_a_query_in_table_series_and_history() {
    let store = Store::new(&Settings::default());
    let worker = store.worker(());
    let facts = facts("shop");
    let at = Moment(SECOND);
    let mut failed = exchange(&worker, 7, 3 * MILLISECOND, at);
    failed.sqlstate = Some(SqlState(*b"23505"));
    let whose = &mut Whose::default();
    record(&worker, whose, &failed, &facts);
    let slow = exchange(&worker, 7, 200 * MILLISECOND, at);
    record(&worker, whose, &slow, &facts);
    for event in [
        SessionEvent::TransactionEnded(TransactionOutcome::Committed),
        SessionEvent::IdledInTransaction(5),
    ] {
        let mut counting = worker.begin();
        counting.counter().session_event(whose, &facts, event);
    }
    store.collect(at);

    let detail = store.query(Some(Fingerprint(7)), at).expect("a row");
    assert_eq!(
        (detail.query.calls, detail.query.errors, detail.query.rows),
        (2, 1, 2)
    );
    assert_eq!(
        (detail.query.min_ns, detail.query.max_ns),
        (3 * MILLISECOND, 200 * MILLISECOND)
    );
    assert_eq!(detail.query.total_ns(), 203 * MILLISECOND);
    assert_eq!(detail.codes, [("23505".to_owned(), 1)]);
    assert_eq!(detail.query.databases, [Arc::from("shop")]);
    assert_eq!(detail.buckets.iter().sum::<u64>(), 2);
    assert_eq!(
        detail.buckets[5], 1,
        "3 ms is above 2.5 ms and not above 5 ms"
    );

    let metrics = store.metrics();
    assert_eq!(metrics.series.len(), 1);
    assert_eq!(
        metrics.series[0].name,
        SeriesName::Fingerprint(Fingerprint(7))
    );
    assert_eq!(metrics.series[0].totals.slow, 1);
    assert_eq!(
        metrics
            .queries
            .iter()
            .map(|sample| sample.count)
            .sum::<u64>(),
        2
    );
    assert_eq!(metrics.errors[0].code, "23505");
    assert_eq!(
        (
            metrics.transactions[0].committed,
            metrics.transactions[0].idle_in_transaction_ns
        ),
        (1, 5)
    );

    let history = store.history();
    assert_eq!(
        (
            history.last().unwrap().calls,
            history.last().unwrap().errors
        ),
        (2, 1)
    );
    assert_eq!(store.summary().queries, 2);
}

/// A store with a worker, driven by what a test says.
struct Bench {
    store: Arc<Store>,
    worker: Worker,
    now: Moment,
}

impl Bench {
    fn new(settings: &Settings) -> Bench {
        let store = Store::new(settings);
        Bench {
            worker: store.worker(()),
            store,
            now: Moment(SECOND),
        }
    }

    fn run(&mut self, fingerprint: u64, database: &str, duration_ns: u64) {
        let facts = facts_of(fingerprint, database, "shop", "web");
        let exchange = exchange(&self.worker, fingerprint, duration_ns, self.now);
        record(&self.worker, &mut Whose::default(), &exchange, &facts);
    }

    fn pass(&mut self, time_ns: u64) {
        self.now.0 += time_ns;
        self.store.collect(self.now);
    }
}

fn small() -> Settings {
    Settings {
        fingerprints_max: 40,
        admitted_max: 16,
        databases_max: 3,
        error_codes_max: 2,
        ..Settings::default()
    }
}

#[test]
fn names_and_codes_beyond_their_limits_are_other() {
    let settings = Settings {
        names_max: 2,
        ..small()
    };
    let store = Store::new(&settings);
    let worker = store.worker(());
    // As of a session whose facts are replaced.
    let whose = &mut Whose::default();
    for number in 0..20_u8 {
        let facts = facts_of(
            u64::from(number),
            &format!("db{number}"),
            &format!("u{number}"),
            &format!("a\n{number}"),
        );
        let mut failed = exchange(&worker, 1, MILLISECOND, Moment(SECOND));
        failed.sqlstate = Some(SqlState([b'4', b'2', b'0', b'0', b'A' + number]));
        record(&worker, whose, &failed, &facts);
    }
    store.collect(Moment(SECOND));
    let metrics = store.metrics();
    let databases: std::collections::BTreeSet<_> = metrics
        .queries
        .iter()
        .map(|sample| &*sample.database)
        .collect();
    assert_eq!(
        databases.into_iter().collect::<Vec<_>>(),
        ["db0", "db1", "db2", "other"]
    );
    let codes: std::collections::BTreeSet<_> =
        metrics.errors.iter().map(|sample| &*sample.code).collect();
    assert_eq!(
        codes.into_iter().collect::<Vec<_>>(),
        ["4200A", "4200B", "other"]
    );
    assert_eq!(
        metrics
            .errors
            .iter()
            .map(|sample| sample.count)
            .sum::<u64>(),
        20
    );
    let detail = store.query(Some(Fingerprint(1)), Moment(SECOND)).unwrap();
    assert_eq!(detail.query.users.len(), 3, "two and `other`");
    assert_eq!(detail.codes.iter().map(|(_, count)| count).sum::<u64>(), 20);
    assert_eq!(detail.codes.len(), 17, "sixteen and `other`");
}

#[test]
fn a_database_named_other_makes_no_second_series() {
    let settings = Settings {
        databases_max: 1,
        ..small()
    };
    let mut bench = Bench::new(&settings);
    for database in ["shop", "other", "third"] {
        bench.run(1, database, MILLISECOND);
    }
    bench.pass(SECOND);
    scrape(&bench.store, &settings, &mut Scrape::new());
    assert_eq!(bench.store.metrics().series.len(), 2);
}

#[test]
fn texts_share_a_budget() {
    let settings = Settings {
        texts_bytes_max: 200_000,
        ..Settings::default()
    };
    let store = Store::new(&settings);
    let worker = store.worker(());
    let long = "é".repeat(100_000);
    let mut kept = 0;
    for fingerprint in 0..2_000 {
        let shape = worker
            .begin()
            .counter()
            .shape(Fingerprint(fingerprint), Verb::Select, || long.clone())
            .unwrap();
        assert!(shape.text.len() <= settings.text_bytes_max);
        assert!(shape.text.len() >= 255, "people can tell it by");
        kept += shape.text.len();
    }
    assert!(kept <= 200_000 + 2_000 * 256, "{kept}");
    let again = worker
        .begin()
        .counter()
        .shape(Fingerprint(3), Verb::Select, || panic!("it is known"));
    assert!(again.is_some());
}

#[test]
fn quantiles_are_within_two_digits() {
    for count in [1_u32, 10, 64, 65, 1_000, 70_000] {
        let mut latency = latency::Latency::default();
        // Log-uniform from 50 us to 50 s, in an order that is none.
        let mut values: Vec<u32> = (0..count)
            .map(|n| {
                (50.0 * 1e6_f64.powf(f64::from(n.wrapping_mul(7_919) % count) / f64::from(count)))
                    as u32
            })
            .collect();
        values.iter().for_each(|value| latency.record(*value));
        values.sort_unstable();
        for quantile in [0.5, 0.95, 0.99] {
            let rank = (quantile * f64::from(count)).ceil() as usize;
            let exact = f64::from(values[rank - 1]);
            let told = latency.quantile_us(quantile) as f64;
            assert!(
                (told - exact).abs() <= exact * 0.01 + 1.0,
                "{count} values, {quantile}: {told} for {exact}"
            );
        }
    }
}

#[test]
fn quantiles_and_buckets_agree() {
    let mut bench = Bench::new(&Settings::default());
    for query in 0..5_000_u64 {
        bench.run(1, "shop", 40_000 + query * query * 37);
    }
    bench.pass(SECOND);
    let detail = bench.store.query(Some(Fingerprint(1)), bench.now).unwrap();
    for (quantile, told_us) in [0.5, 0.95, 0.99].into_iter().zip(detail.query.quantiles_us) {
        let rank = (quantile * 5_000.0_f64).ceil() as u64;
        let mut below = 0;
        let holder = detail.buckets.iter().position(|count| {
            below += count;
            below >= rank
        });
        let told = bucket(u32::try_from(told_us).unwrap());
        assert!(
            holder.unwrap().abs_diff(told) <= 1,
            "{quantile}: bucket {holder:?} and {told}"
        );
    }
}

#[test]
fn a_bound_belongs_to_its_bucket() {
    let mut bench = Bench::new(&Settings::default());
    for duration_ns in [
        0,
        100_000,
        100_001,
        30 * SECOND,
        30 * SECOND + 1,
        u64::MAX / 4,
    ] {
        bench.run(1, "shop", duration_ns);
    }
    bench.pass(SECOND);
    let buckets = bench
        .store
        .query(Some(Fingerprint(1)), bench.now)
        .unwrap()
        .buckets;
    assert_eq!(
        (buckets[0], buckets[1], buckets[16], buckets[17]),
        (2, 1, 1, 2)
    );
}

#[test]
fn reset_clears_the_rows_and_never_a_metric() {
    let mut bench = Bench::new(&Settings::default());
    let mut before = Scrape::new();
    bench.run(1, "shop", MILLISECOND);
    bench.pass(SECOND);
    scrape(&bench.store, &Settings::default(), &mut before);
    bench.store.reset();
    assert_eq!(bench.store.summary(), Summary::default());
    assert!(
        bench
            .store
            .queries(
                &Listing {
                    limit: 10,
                    ..Listing::default()
                },
                bench.now
            )
            .queries
            .is_empty()
    );
    assert!(bench.store.query(Some(Fingerprint(1)), bench.now).is_none());
    assert!(bench.store.history().is_empty());
    bench.run(1, "shop", 2 * MILLISECOND);
    bench.pass(SECOND);
    scrape(&bench.store, &Settings::default(), &mut before);
    let query = bench
        .store
        .query(Some(Fingerprint(1)), bench.now)
        .unwrap()
        .query;
    assert_eq!((query.calls, query.min_ns), (1, 2 * MILLISECOND));
    assert_eq!(bench.store.metrics().series[0].totals.calls(), 2);
}

#[test]
fn history_and_spark_move_with_time() {
    let mut bench = Bench::new(&Settings::default());
    bench.run(1, "shop", MILLISECOND);
    bench.pass(0);
    bench.now = Moment(2 * 3600 * SECOND);
    bench.run(1, "shop", MILLISECOND);
    bench.run(1, "shop", MILLISECOND);
    bench.pass(0);
    bench.pass(61 * SECOND);
    let history = bench.store.history();
    assert_eq!(history.len(), COLUMNS);
    assert!(
        history
            .windows(2)
            .all(|pair| pair[1].at.since(pair[0].at) == COLUMN_NS)
    );
    assert_eq!(
        history.iter().map(|column| column.calls).sum::<u64>(),
        2,
        "the first is more than an hour ago"
    );
    let spark = bench
        .store
        .query(Some(Fingerprint(1)), bench.now)
        .unwrap()
        .query
        .spark;
    assert_eq!(spark[57..], [0, 2, 0]);
    assert_eq!(spark.iter().sum::<u32>(), 2);
}

#[test]
fn the_list_is_sorted_searched_and_paged() {
    let mut bench = Bench::new(&Settings::default());
    for fingerprint in 1..=5 {
        for _ in 0..fingerprint {
            bench.run(
                fingerprint,
                "shop",
                (6 - fingerprint) * (6 - fingerprint) * MILLISECOND,
            );
        }
    }
    bench.pass(SECOND);
    let list = |sort, keep: Option<&dyn Fn(&Glance) -> bool>, skip, limit| {
        let listing = Listing {
            sort,
            keep,
            skip,
            limit,
        };
        let listed = bench.store.queries(&listing, bench.now);
        let fingerprints = listed
            .queries
            .iter()
            .map(|query| query.shape.unwrap().fingerprint.0);
        (fingerprints.collect::<Vec<_>>(), listed.total)
    };
    assert_eq!(list(Sort::Calls, None, 0, 2), (vec![5, 4], 5));
    assert_eq!(list(Sort::Calls, None, 2, 3), (vec![3, 2, 1], 5));
    assert_eq!(list(Sort::MeanTime, None, 0, 9), (vec![1, 2, 3, 4, 5], 5));
    assert_eq!(list(Sort::TotalTime, None, 0, 9), (vec![2, 3, 1, 4, 5], 5));
    assert_eq!(list(Sort::P95Time, None, 0, 1), (vec![1], 5));
    let of_shop = |glance: &Glance| glance.calls > 2 && *glance.databases == [Arc::from("shop")];
    assert_eq!(list(Sort::Calls, Some(&of_shop), 0, 2), (vec![5, 4], 3));
    assert_eq!(list(Sort::Calls, Some(&|_| false), 0, 9), (vec![], 0));
}

#[test]
fn health_counts_by_reason() {
    let store = Store::new(&Settings::default());
    let health = store.health();
    health.decode_error(crate::event::Direction::UpstreamToClient, "bad_length");
    health.decode_error(crate::event::Direction::UpstreamToClient, "bad_length");
    health.event_dropped("ring_full");
    assert!(
        health
            .decode_errors(crate::event::Direction::ClientToUpstream)
            .is_empty()
    );
    let told = health.decode_errors(crate::event::Direction::UpstreamToClient);
    assert_eq!(
        told,
        [HealthCount {
            reason: "bad_length",
            count: 2
        }]
    );
    assert_eq!(
        health.events_dropped(),
        [HealthCount {
            reason: "ring_full",
            count: 1
        }]
    );
}
