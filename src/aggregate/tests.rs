//! Values in, figures out: whole stores, driven by hand.

use std::sync::Arc;

use super::*;
use crate::event::{
    Exchange, Protocol, SessionEvent, SessionFacts, SessionId, Statement, TransactionOutcome,
};
use crate::sql::{Fingerprint, Verb};
use crate::wire::{SqlState, TransactionStatus};

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
    let fingerprint = Fingerprint(fingerprint);
    let shape = worker.shape(fingerprint, Verb::Select, || {
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
    }
}

#[test]
fn counts_a_query_in_table_series_and_history() {
    let store = Store::new(&Settings::default());
    let worker = store.worker();
    let facts = facts("shop");
    let at = Moment(SECOND);
    let mut failed = exchange(&worker, 7, 3 * MILLISECOND, at);
    failed.sqlstate = Some(SqlState(*b"23505"));
    worker.record(&facts, &failed);
    worker.record(&facts, &exchange(&worker, 7, 200 * MILLISECOND, at));
    worker.session_event(
        &facts,
        SessionEvent::TransactionEnded(TransactionOutcome::Committed),
        at,
    );
    worker.session_event(&facts, SessionEvent::IdledInTransaction(5), at);
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
