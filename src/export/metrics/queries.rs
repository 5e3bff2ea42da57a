//! Metrics of queries and transactions, from the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::sample::{Samples, counter, descriptions, gauge, histogram, seconds};
use super::{Family, Kind};
use crate::aggregate::{self, SeriesName, Store, Totals};
use crate::event::TransactionOutcome;
use crate::export::words;

/// Characters of a query's text in a label.
const QUERY_CHARACTERS_MAX: usize = 256;

/// Label of the history of shapes that have no series of their own any more.
const LEFT: &str = "left";

pub(super) const DURATION: Family = Family {
    name: "pgprism_query_duration_seconds",
    help: "Time from the last byte of a query's request to its completion, as the client saw it.",
    kind: Kind::Histogram,
    labels: &["fingerprint", "db_namespace", "db_operation_name"],
};

pub(super) const PHASES: Family = Family {
    name: "pgprism_query_phase_seconds_total",
    help: "Time of queries by phase: database until the first reply byte, client while it took no bytes, transfer the rest, application before the query within its transaction or unit.",
    kind: Kind::Counter,
    labels: &["fingerprint", "db_namespace", "phase"],
};

pub(super) const ROWS: Family = Family {
    name: "pgprism_query_rows_total",
    help: "Rows returned or changed by queries.",
    kind: Kind::Counter,
    labels: &["fingerprint", "db_namespace"],
};

pub(super) const BYTES: Family = Family {
    name: "pgprism_query_bytes_total",
    help: "Bytes of the messages of queries, both directions together.",
    kind: Kind::Counter,
    labels: &["fingerprint", "db_namespace"],
};

pub(super) const SLOW: Family = Family {
    name: "pgprism_slow_queries_total",
    help: "Queries that took at least the slow-query threshold.",
    kind: Kind::Counter,
    labels: &["fingerprint", "db_namespace"],
};

pub(super) const INFO: Family = Family {
    name: "pgprism_query_info",
    help: "Text of the query shape behind a fingerprint, without values; always 1.",
    kind: Kind::Gauge,
    labels: &["fingerprint", "db_query_summary", "query"],
};

pub(super) const QUERIES: Family = Family {
    name: "pgprism_queries_total",
    help: "Queries that finished.",
    kind: Kind::Counter,
    labels: &["db_namespace", "db_operation_name", "protocol"],
};

pub(super) const ERRORS: Family = Family {
    name: "pgprism_query_errors_total",
    help: "Queries that ended in an error, by SQLSTATE.",
    kind: Kind::Counter,
    labels: &["db_namespace", "db_response_status_code"],
};

pub(super) const TRANSACTIONS: Family = Family {
    name: "pgprism_transactions_total",
    help: "Transaction blocks that ended.",
    kind: Kind::Counter,
    labels: &["listener", "outcome"],
};

pub(super) const IDLE_IN_TRANSACTION: Family = Family {
    name: "pgprism_idle_in_transaction_seconds_total",
    help: "Time that sessions waited for their client inside a transaction block.",
    kind: Kind::Counter,
    labels: &["listener"],
};

pub(super) const FINGERPRINTS: Family = Family {
    name: "pgprism_fingerprints",
    help: "Query shapes known.",
    kind: Kind::Gauge,
    labels: &[],
};

pub(super) const FINGERPRINTS_OVERFLOW: Family = Family {
    name: "pgprism_fingerprints_overflow_total",
    help: "Queries whose shape was not kept because the table of shapes was full.",
    kind: Kind::Counter,
    labels: &[],
};

pub(super) const ADMITTED: Family = Family {
    name: "pgprism_series_admitted_total",
    help: "Times that a pair of fingerprint and database got series of its own.",
    kind: Kind::Counter,
    labels: &[],
};

/// Collects everything of this file from one copy of the store.
pub(super) struct QueryCollector {
    store: Arc<Store>,
    descriptions: Vec<Desc>,
}

impl QueryCollector {
    pub(super) fn new(store: Arc<Store>) -> QueryCollector {
        let families = [
            &DURATION,
            &PHASES,
            &ROWS,
            &BYTES,
            &SLOW,
            &INFO,
            &QUERIES,
            &ERRORS,
            &TRANSACTIONS,
            &IDLE_IN_TRANSACTION,
            &FINGERPRINTS,
            &FINGERPRINTS_OVERFLOW,
            &ADMITTED,
        ];
        QueryCollector {
            store,
            descriptions: descriptions(&families),
        }
    }
}

impl Collector for QueryCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = self.store.metrics();
        let mut families = vec![
            durations(&metrics),
            infos(&metrics),
            queries(&metrics),
            errors(&metrics),
            single(&FINGERPRINTS, gauge(metrics.fingerprints as f64)),
            single(
                &FINGERPRINTS_OVERFLOW,
                counter(metrics.fingerprints_overflow as f64),
            ),
            single(&ADMITTED, counter(metrics.admissions as f64)),
        ];
        families.extend(by_database(&metrics));
        families.extend(transactions(&metrics));
        families
    }
}

/// Values of the labels `fingerprint` and, for what left, `left`.
fn labels(name: SeriesName) -> (String, Option<String>) {
    match name {
        SeriesName::Fingerprint(fingerprint) => (fingerprint.to_string(), None),
        SeriesName::Other => (words::OTHER.to_owned(), None),
        SeriesName::Left(generation) => (words::OTHER.to_owned(), Some(generation.to_string())),
    }
}

fn durations(metrics: &aggregate::Metrics) -> MetricFamily {
    let mut durations = Samples::new(&DURATION);
    for series in &metrics.series {
        let (fingerprint, left) = labels(series.name);
        durations.add_with(
            &[
                &fingerprint,
                &series.database,
                words::operation(series.verb),
            ],
            left.as_deref().map(|left| (LEFT, left)),
            histogram(&series.totals.buckets, series.totals.duration_ns),
        );
    }
    durations.family()
}

/// The families without the label of the operation: the series of several operations are one here.
fn by_database(metrics: &aggregate::Metrics) -> [MetricFamily; 4] {
    let mut sums: BTreeMap<(String, Option<String>, &str), Totals> = BTreeMap::new();
    for series in &metrics.series {
        let (fingerprint, left) = labels(series.name);
        sums.entry((fingerprint, left, &series.database))
            .or_default()
            .add(&series.totals);
    }
    let mut phases = Samples::new(&PHASES);
    let mut rows = Samples::new(&ROWS);
    let mut bytes = Samples::new(&BYTES);
    let mut slow = Samples::new(&SLOW);
    for ((fingerprint, left, database), totals) in &sums {
        let left = left.as_deref().map(|left| (LEFT, left));
        for (phase, time_ns) in words::phases(&totals.phases) {
            phases.add_with(
                &[fingerprint, database, phase],
                left,
                counter(seconds(time_ns)),
            );
        }
        rows.add_with(&[fingerprint, database], left, counter(totals.rows as f64));
        bytes.add_with(&[fingerprint, database], left, counter(totals.bytes as f64));
        slow.add_with(&[fingerprint, database], left, counter(totals.slow as f64));
    }
    [
        phases.family(),
        rows.family(),
        bytes.family(),
        slow.family(),
    ]
}

fn infos(metrics: &aggregate::Metrics) -> MetricFamily {
    let mut infos = Samples::new(&INFO);
    for shape in &metrics.shapes {
        let text: String = shape.shown().chars().take(QUERY_CHARACTERS_MAX).collect();
        infos.add(
            &[
                &shape.fingerprint.to_string(),
                &words::summary(shape),
                &text,
            ],
            gauge(1.0),
        );
    }
    infos.family()
}

fn queries(metrics: &aggregate::Metrics) -> MetricFamily {
    let mut queries = Samples::new(&QUERIES);
    for sample in &metrics.queries {
        queries.add(
            &[
                &sample.database,
                words::operation(sample.verb),
                sample.protocol.as_str(),
            ],
            counter(sample.count as f64),
        );
    }
    queries.family()
}

fn errors(metrics: &aggregate::Metrics) -> MetricFamily {
    let mut errors = Samples::new(&ERRORS);
    for sample in &metrics.errors {
        errors.add(
            &[&sample.database, &sample.code],
            counter(sample.count as f64),
        );
    }
    errors.family()
}

fn transactions(metrics: &aggregate::Metrics) -> [MetricFamily; 2] {
    let mut ended = Samples::new(&TRANSACTIONS);
    let mut idle = Samples::new(&IDLE_IN_TRANSACTION);
    for sample in &metrics.transactions {
        for (outcome, count) in [
            (TransactionOutcome::Committed, sample.committed),
            (TransactionOutcome::RolledBack, sample.rolled_back),
            (TransactionOutcome::Abandoned, sample.abandoned),
        ] {
            ended.add(&[&sample.listener, outcome.as_str()], counter(count as f64));
        }
        idle.add(
            &[&sample.listener],
            counter(seconds(sample.idle_in_transaction_ns)),
        );
    }
    [ended.family(), idle.family()]
}

fn single(family: &'static Family, metric: prometheus::proto::Metric) -> MetricFamily {
    let mut samples = Samples::new(family);
    samples.add(&[], metric);
    samples.family()
}
