//! Ten thousand query shapes with eight workers stay under 100 MiB: measured, in a process of its own.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a test's deadline is real time")]

use std::sync::Arc;

use pgprism::aggregate::{Settings, Store, Whose};
use pgprism::analysis::{Analysis, Settings as AnalysisSettings};
use pgprism::event::{Exchange, Moment, Phases, Protocol, SessionFacts, SessionId, Statement};
use pgprism::sql::{Fingerprint, Verb};
use pgprism::wire::{SqlState, TransactionStatus};

const LIMIT_BYTES: u64 = 100 * 1024 * 1024;
const WORKERS: u64 = 8;
const SHAPES: u64 = 10_000;
/// So many calls a worker and shape: more than are kept without a histogram.
const ROUNDS: u64 = 10;
const SECOND: u64 = 1_000_000_000;

/// Resident memory of this process. Pages are 4 KiB on the machines this is built for.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Every shape is seen by every worker, with a text of 700 bytes (Django's usual), three databases, errors, and
/// durations from 50 us to 10 s, often enough that each has a histogram of its own.
#[test]
fn ten_thousand_shapes_and_eight_workers() {
    let before = resident_bytes();
    let store = Store::new(&Settings::default());
    let workers: Vec<_> = (0..WORKERS).map(|_| store.worker(())).collect();
    let facts: Vec<Arc<SessionFacts>> = (0..WORKERS)
        .map(|id| {
            Arc::new(SessionFacts {
                id: SessionId(id),
                listener: "default".into(),
                client: "127.0.0.1".into(),
                user: "shop".into(),
                database: format!("db{}", id % 3).into(),
                application: "web".into(),
                backend_pid: 4711,
            })
        })
        .collect();
    let mut now = Moment(SECOND);
    let mut sent = 0_u64;
    // More shapes than the table holds: the rest must cost nothing.
    for round in 0..ROUNDS {
        for n in 0..SHAPES + 2_000 {
            for (worker, facts) in workers.iter().zip(&facts) {
                let fingerprint = Fingerprint(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let text = || {
                    format!(
                        "SELECT {}1 FROM shop_order_{n} WHERE id = $1",
                        "\"shop_order\".\"column\", ".repeat(26)
                    )
                };
                let shape = worker
                    .begin()
                    .counter()
                    .shape(fingerprint, Verb::Select, text);
                sent += 1;
                // Log-uniform, in an order that repeats for no shape.
                let place =
                    (sent.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / (1_u64 << 24) as f64;
                let database_ns = (50_000.0 * 200_000_f64.powf(place)) as u64;
                let exchange = Exchange {
                    session: facts.id,
                    sequence: sent,
                    statement: Statement {
                        fingerprint,
                        verb: Verb::Select,
                        shape,
                        truncated: false,
                    },
                    protocol: Protocol::Simple,
                    requested_at: now,
                    completed_at: now,
                    phases: Phases {
                        database_ns,
                        ..Phases::default()
                    },
                    round_trips: 1,
                    rows: 1,
                    request_bytes: 700,
                    response_bytes: 100,
                    sqlstate: (round == 3).then_some(SqlState(*b"40001")),
                    transaction_before: TransactionStatus::Idle,
                    transaction_after: TransactionStatus::Idle,
                    pipeline_index: 0,
                    tags: None,
                    literal_text: None,
                    statement_name: None,
                    cursor: None,
                    flow: None,
                };
                worker.begin().counter().record(
                    &mut Whose::default(),
                    &exchange.event(facts),
                    exchange.beside(),
                );
            }
            if n % 500 == 0 {
                now.0 += SECOND;
                store.collect(now);
            }
        }
    }
    store.collect(now);
    // What the shapes touch is part of their memory.
    let mut analysis = Analysis::new(
        Arc::clone(&store),
        Arc::default(),
        AnalysisSettings::default(),
    )
    .unwrap();
    let last = store.shapes_from(SHAPES as usize - 1, 1).remove(0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(100);
    while last.facts.get().is_none() {
        assert!(
            std::time::Instant::now() < deadline,
            "the last shape was never parsed"
        );
        analysis.tick(now);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let grown = resident_bytes() - before;
    let metrics = store.metrics();
    assert_eq!(metrics.fingerprints, SHAPES);
    assert_eq!(metrics.fingerprints_overflow, 2_000 * WORKERS * ROUNDS);
    assert_eq!(store.summary().queries, sent);
    println!(
        "{SHAPES} shapes, {WORKERS} workers, {sent} queries: {:.1} MiB",
        grown as f64 / f64::from(1 << 20)
    );
    assert!(grown < LIMIT_BYTES, "{grown} bytes");
}
