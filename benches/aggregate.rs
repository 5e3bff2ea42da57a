//! What counting a query costs a worker, and what collecting costs the collector.
//!
//! `cargo bench --bench aggregate`. The store is collected every 5,000 queries, as a busy worker's would be.

use std::sync::Arc;

use divan::Bencher;
use pgprism::aggregate::{Settings, Store, Whose, Worker};
use pgprism::event::{
    Exchange, Moment, Phases, Protocol, QueryEvent, SessionFacts, SessionId, Statement,
};
use pgprism::sql::tags::Tags;
use pgprism::sql::{Fingerprint, Verb};
use pgprism::wire::TransactionStatus;

fn main() {
    divan::main();
}

/// Queries between two collections.
const QUERIES: u64 = 5_000;

fn facts(sessions: u64) -> Vec<Arc<SessionFacts>> {
    (0..sessions)
        .map(|id| {
            Arc::new(SessionFacts {
                id: SessionId(id),
                listener: "default".into(),
                client: "127.0.0.1".into(),
                user: "shop".into(),
                database: "shop".into(),
                application: "web".into(),
                backend_pid: 4711,
            })
        })
        .collect()
}

fn exchanges(worker: &Worker, shapes: u64, tags: Option<&Arc<Tags>>) -> Vec<Exchange> {
    (0..shapes)
        .map(|n| {
            let fingerprint = Fingerprint(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let shape = worker
                .begin()
                .counter()
                .shape(fingerprint, Verb::Select, || {
                    format!("SELECT a FROM t{n} WHERE id = $1")
                });
            Exchange {
                session: SessionId(0),
                sequence: n,
                statement: Statement {
                    fingerprint,
                    verb: Verb::Select,
                    shape,
                    truncated: false,
                },
                protocol: Protocol::Extended,
                requested_at: Moment(n),
                completed_at: Moment(n + 1),
                phases: Phases {
                    database_ns: 200_000 + n * 7_919 % 1_000_000,
                    transfer_ns: 10_000,
                    client_ns: 0,
                    application_ns: 50_000,
                },
                round_trips: 1,
                rows: 1,
                request_bytes: 300,
                response_bytes: 900,
                sqlstate: None,
                transaction_before: TransactionStatus::Idle,
                transaction_after: TransactionStatus::Idle,
                pipeline_index: 0,
                tags: tags.cloned(),
                literal_text: None,
                statement_name: None,
                cursor: None,
                flow: None,
            }
        })
        .collect()
}

/// Each of them as it is told, on 100 sessions.
fn told(exchanges: &[Exchange]) -> Vec<(QueryEvent, Exchange)> {
    let facts = facts(100);
    (0..exchanges.len().max(facts.len()))
        .map(|query| {
            let exchange = &exchanges[query * 31 % exchanges.len()];
            (
                exchange.event(&facts[query % facts.len()]),
                exchange.clone(),
            )
        })
        .collect()
}

/// Counting one query, merges left out: `shapes` shapes on 100 sessions.
#[divan::bench(args = [1, 100, 1000])]
fn record(bencher: Bencher, shapes: u64) {
    count(bencher, shapes, None);
}

/// The same with a `route` tag on every query.
#[divan::bench]
fn record_tagged(bencher: Bencher) {
    let pairs = vec![("route".into(), "shop/orders/<int:id>".into())];
    count(bencher, 100, Some(&Arc::new(Tags { pairs })));
}

fn count(bencher: Bencher, shapes: u64, tags: Option<&Arc<Tags>>) {
    let store = Store::new(&Settings::default());
    let worker = store.worker(());
    let told = told(&exchanges(&worker, shapes, tags));
    bencher
        .counter(divan::counter::ItemsCount::new(QUERIES))
        .with_inputs(|| store.collect(Moment(0)))
        .bench_local_values(|_| {
            for query in 0..QUERIES as usize {
                let (event, exchange) = &told[query % told.len()];
                worker
                    .begin()
                    .counter()
                    .record(&mut Whose::default(), event, exchange.beside());
            }
        });
}

/// Merging what one worker counted in a tick.
#[divan::bench(args = [1, 100, 1000])]
fn collect(bencher: Bencher, shapes: u64) {
    let store = Store::new(&Settings::default());
    let worker = store.worker(());
    let told = told(&exchanges(&worker, shapes, None));
    bencher
        .counter(divan::counter::ItemsCount::new(QUERIES))
        .with_inputs(|| {
            for query in 0..QUERIES as usize {
                let (event, exchange) = &told[query % told.len()];
                worker
                    .begin()
                    .counter()
                    .record(&mut Whose::default(), event, exchange.beside());
            }
        })
        .bench_local_values(|()| store.collect(Moment(0)));
}
