//! Copies of the figures for those who show them: taken in short holds of the store's lock.

use std::sync::Arc;

use super::delta::ListenerCounts;
use super::history::Column;
use super::names::{Kind, NameId, Names, OTHER_NAME};
use super::series::Totals;
use super::table::{Row, SPARK_POINTS};
use super::{Buckets, Store, lock};
use crate::event::{Moment, Phases, Protocol, Shape, ShapeRef};
use crate::sql::{Fingerprint, Verb};

/// Rows copied in one hold of the lock: some 50 us.
const ROWS_A_HOLD: usize = 256;

/// What `/metrics` shows of queries.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The series by fingerprint; each query of `queries` is counted in exactly one.
    pub series: Vec<Series>,
    /// Shapes of the admitted fingerprints, each once.
    pub shapes: Vec<&'static Shape>,
    /// Queries by database, verb and protocol.
    pub queries: Vec<QuerySample>,
    /// Failed queries by database and SQLSTATE.
    pub errors: Vec<ErrorSample>,
    /// Transactions by listener.
    pub transactions: Vec<TransactionSample>,
    /// Query shapes known.
    pub fingerprints: u64,
    /// Queries whose shape found the table of fingerprints full.
    pub fingerprints_overflow: u64,
    /// Times that a (fingerprint, database) pair got series of its own.
    pub admissions: u64,
}

/// Which queries a series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SeriesName {
    /// Those of one fingerprint, since it was admitted.
    Fingerprint(Fingerprint),
    /// Those that were of no admitted fingerprint when they ran.
    Other,
    /// The history of fingerprints that are admitted no more. The number changes whenever that history does.
    Left(u64),
}

/// One series of the metrics by fingerprint.
#[derive(Debug, Clone)]
pub struct Series {
    /// Which queries it counts.
    pub name: SeriesName,
    /// Their database.
    pub database: Arc<str>,
    /// Their main keyword.
    pub verb: Verb,
    /// What is counted.
    pub totals: Totals,
}

/// One sample of `queries`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "labels and value")]
pub struct QuerySample {
    pub database: Arc<str>,
    pub verb: Verb,
    pub protocol: Protocol,
    pub count: u64,
}

/// One sample of `errors`; the code is `other` for those beyond the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "labels and value")]
pub struct ErrorSample {
    pub database: Arc<str>,
    pub code: String,
    pub count: u64,
}

/// Transactions of one listener, by how they ended, and the time its sessions idled inside of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "label and values")]
pub struct TransactionSample {
    pub listener: Arc<str>,
    pub committed: u64,
    pub rolled_back: u64,
    pub abandoned: u64,
    pub idle_in_transaction_ns: u64,
}

/// All queries together, since the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Queries finished.
    pub queries: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// Where their time went.
    pub phases: Phases,
}

/// One query shape, since the last reset.
#[derive(Debug, Clone)]
pub struct Query {
    /// `None` for the row of all shapes that found the table of fingerprints full.
    pub shape: Option<&'static Shape>,
    /// Queries finished.
    pub calls: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes of the messages that asked.
    pub request_bytes: u64,
    /// Bytes of the messages that answered.
    pub response_bytes: u64,
    /// Sums of the phases.
    pub phases: Phases,
    /// Shortest and longest duration, nanoseconds, exact.
    pub min_ns: u64,
    /// See `min_ns`.
    pub max_ns: u64,
    /// Quantiles 0.5, 0.95 and 0.99 of the duration, microseconds, to two significant digits.
    pub quantiles_us: [u64; 3],
    /// Completion of the first query.
    pub first_seen: Moment,
    /// Completion of the last query.
    pub last_seen: Moment,
    /// Databases it ran in, at most 32.
    pub databases: Vec<Arc<str>>,
    /// Users it ran for, at most 32.
    pub users: Vec<Arc<str>>,
    /// Applications that sent it, at most 32.
    pub applications: Vec<Arc<str>>,
    /// Routes it was tagged with, at most 32.
    pub routes: Vec<Arc<str>>,
    /// Calls in each of the last 60 minutes, oldest first.
    pub spark: [u32; SPARK_POINTS],
}

/// What only the page of one query shows.
#[derive(Debug, Clone)]
pub struct QueryDetail {
    /// As in the list.
    pub query: Query,
    /// Calls by duration.
    pub buckets: Buckets,
    /// Errors by SQLSTATE; those beyond 16 codes under `other`.
    pub codes: Vec<(String, u64)>,
}

/// By what a list of queries is sorted, greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the fields of Query")]
pub enum Sort {
    #[default]
    TotalTime,
    MeanTime,
    MaxTime,
    P95Time,
    Calls,
    Errors,
    Rows,
    Bytes,
    LastSeen,
}

/// Which queries to list.
#[derive(Clone, Copy, Default)]
pub struct Listing<'f> {
    /// Greatest first by this.
    pub sort: Sort,
    /// Only those of which this holds; `None` for all.
    pub keep: Option<&'f dyn Fn(&Glance) -> bool>,
    /// Skip so many.
    pub skip: usize,
    /// Return at most so many.
    pub limit: usize,
}

/// A part of the list of queries.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The part.
    pub queries: Vec<Query>,
    /// How many there are in all of its parts.
    pub total: usize,
}

/// One query shape, as far as a list may be filtered by it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "as in `Query`")]
pub struct Glance {
    pub shape: Option<&'static Shape>,
    pub calls: u64,
    pub errors: u64,
    pub total_ns: u64,
    pub databases: Vec<Arc<str>>,
    pub users: Vec<Arc<str>>,
    pub applications: Vec<Arc<str>>,
    pub routes: Vec<Arc<str>>,
}

/// A row before it is chosen.
struct Candidate {
    shape: Option<&'static Shape>,
    key: f64,
    /// What it is filtered by, where a filter is set.
    figures: Option<Box<Filtered>>,
}

/// What a row is filtered by, copied while the store is held; names are looked up when it is not.
struct Filtered {
    calls: u64,
    errors: u64,
    total_ns: u64,
    databases: Vec<NameId>,
    users: Vec<NameId>,
    applications: Vec<NameId>,
    routes: Vec<NameId>,
}

impl Candidate {
    fn new(row: &Row, listing: &Listing<'_>) -> Candidate {
        let figures = &row.figures;
        let filtered = || {
            Box::new(Filtered {
                calls: figures.calls,
                errors: figures.errors,
                total_ns: figures.phases.duration_ns(),
                databases: figures.databases.to_vec(),
                users: figures.users.to_vec(),
                applications: figures.applications.to_vec(),
                routes: figures.routes.to_vec(),
            })
        };
        Candidate {
            shape: row.shape,
            key: sort_key(row, listing.sort),
            figures: listing.keep.is_some().then(filtered),
        }
    }

    fn glance(&self, names: &Names) -> Option<Glance> {
        let figures = self.figures.as_ref()?;
        Some(Glance {
            shape: self.shape,
            calls: figures.calls,
            errors: figures.errors,
            total_ns: figures.total_ns,
            databases: named(&names.databases, &figures.databases),
            users: named(&names.users, &figures.users),
            applications: named(&names.applications, &figures.applications),
            routes: named(&names.routes, &figures.routes),
        })
    }
}

impl Query {
    /// Sum of the durations, nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.phases.duration_ns()
    }
}

impl Store {
    /// What `/metrics` shows of queries, consistent in itself.
    pub fn metrics(&self) -> Metrics {
        let figures = lock(&self.figures);
        let names = lock(&self.names);
        let series = &figures.series;
        let admitted = series.admitted.iter().map(|admitted| Series {
            name: SeriesName::Fingerprint(admitted.fingerprint),
            database: names.databases.name(admitted.database),
            verb: admitted.verb,
            totals: admitted.totals.clone(),
        });
        let other = series.other.iter().map(|other| Series {
            name: SeriesName::Other,
            database: names.databases.name(other.database),
            verb: other.verb,
            totals: other.totals.clone(),
        });
        let left = series.left.iter().map(|((database, verb), left)| Series {
            name: SeriesName::Left(left.generation),
            database: names.databases.name(*database),
            verb: *verb,
            totals: left.totals.clone(),
        });
        let mut fingerprints: Vec<Fingerprint> = series
            .admitted
            .iter()
            .map(|admitted| admitted.fingerprint)
            .collect();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        Metrics {
            series: admitted.chain(other).chain(left).collect(),
            shapes: fingerprints
                .into_iter()
                .filter_map(|fingerprint| self.shapes.get(fingerprint).map(ShapeRef::shape))
                .collect(),
            queries: series
                .queries
                .iter()
                .map(|((database, verb, protocol), count)| QuerySample {
                    database: names.databases.name(*database),
                    verb: *verb,
                    protocol: *protocol,
                    count: *count,
                })
                .collect(),
            errors: series
                .errors
                .iter()
                .map(|((database, code), count)| ErrorSample {
                    database: names.databases.name(*database),
                    code: code
                        .map_or_else(|| OTHER_NAME.to_owned(), |code| code.as_str().to_owned()),
                    count: *count,
                })
                .collect(),
            transactions: series
                .listeners
                .iter()
                .map(|(listener, counts)| {
                    transaction_sample(names.listeners.name(*listener), *counts)
                })
                .collect(),
            fingerprints: self.shapes.count() as u64,
            fingerprints_overflow: figures.table.overflow,
            admissions: series.admissions,
        }
    }

    /// All queries together.
    pub fn summary(&self) -> Summary {
        lock(&self.figures).table.summary.clone()
    }

    /// Queries since the start whose shape found the table of fingerprints full.
    pub fn fingerprints_overflow(&self) -> u64 {
        lock(&self.figures).table.overflow
    }

    /// A part of the list of queries.
    pub fn queries(&self, listing: &Listing<'_>, now: Moment) -> Listed {
        let mut candidates = Vec::new();
        self.each_row(|row| candidates.push(Candidate::new(row, listing)));
        if let Some(keep) = listing.keep {
            candidates.retain(|candidate| {
                let glance = candidate.glance(&lock(&self.names));
                glance.is_some_and(|glance| keep(&glance))
            });
        }
        // The sort is stable and rows keep their order, so that equal ones do not change places between pages.
        candidates.sort_by(|a, b| b.key.total_cmp(&a.key));
        let figures = lock(&self.figures);
        let names = lock(&self.names);
        let chosen = candidates.iter().skip(listing.skip).take(listing.limit);
        let queries = chosen
            .filter_map(|candidate| figures.table.find(candidate.shape))
            .map(|row| query(row, &names, now))
            .collect();
        Listed {
            queries,
            total: candidates.len(),
        }
    }

    /// One query shape; `None` asks for the row of all that found the table of fingerprints full.
    pub fn query(&self, fingerprint: Option<Fingerprint>, now: Moment) -> Option<QueryDetail> {
        let shape = match fingerprint {
            Some(fingerprint) => Some(self.shape(fingerprint)?),
            None => None,
        };
        let figures = lock(&self.figures);
        let names = lock(&self.names);
        let row = figures.table.find(shape.as_deref())?;
        Some(QueryDetail {
            query: query(row, &names, now),
            buckets: row.figures.buckets,
            codes: row.figures.codes(),
        })
    }

    /// The last hour, oldest column first.
    pub fn history(&self) -> Vec<Column> {
        lock(&self.figures).history.columns()
    }

    /// Clears what [`Store::summary`], [`Store::queries`] and [`Store::history`] tell; the metrics go on.
    pub fn reset(&self) {
        let mut figures = lock(&self.figures);
        figures.table.reset();
        figures.history.reset();
    }

    /// Shows every row with calls, without holding the lock for all of them.
    fn each_row(&self, mut see: impl FnMut(&Row)) {
        let mut from = 0;
        loop {
            let figures = lock(&self.figures);
            figures.table.rows(from, ROWS_A_HOLD).for_each(&mut see);
            from += ROWS_A_HOLD;
            if from >= figures.table.len() {
                return;
            }
        }
    }
}

fn sort_key(row: &Row, sort: Sort) -> f64 {
    let figures = &row.figures;
    let total_ns = figures.phases.duration_ns() as f64;
    match sort {
        Sort::TotalTime => total_ns,
        Sort::MeanTime => total_ns / figures.calls.max(1) as f64,
        Sort::MaxTime => figures.max_ns as f64,
        Sort::P95Time => figures.latency.quantile_us(0.95) as f64,
        Sort::Calls => figures.calls as f64,
        Sort::Errors => figures.errors as f64,
        Sort::Rows => figures.rows as f64,
        Sort::Bytes => figures.request_bytes.saturating_add(figures.response_bytes) as f64,
        Sort::LastSeen => figures.last_seen.0 as f64,
    }
}

fn query(row: &Row, names: &Names, now: Moment) -> Query {
    let figures = &row.figures;
    let max_us = figures.max_ns.div_ceil(1_000);
    Query {
        shape: row.shape,
        calls: figures.calls,
        errors: figures.errors,
        rows: figures.rows,
        request_bytes: figures.request_bytes,
        response_bytes: figures.response_bytes,
        phases: figures.phases,
        min_ns: figures.min_ns,
        max_ns: figures.max_ns,
        // A histogram answers with the upper end of its step, which may lie above the longest duration.
        quantiles_us: [0.5, 0.95, 0.99]
            .map(|quantile| figures.latency.quantile_us(quantile).min(max_us)),
        first_seen: figures.first_seen,
        last_seen: figures.last_seen,
        databases: named(&names.databases, &figures.databases),
        users: named(&names.users, &figures.users),
        applications: named(&names.applications, &figures.applications),
        routes: named(&names.routes, &figures.routes),
        spark: figures.spark(now),
    }
}

fn named(kind: &Kind, ids: &[NameId]) -> Vec<Arc<str>> {
    ids.iter().map(|id| kind.name(*id)).collect()
}

fn transaction_sample(listener: Arc<str>, counts: ListenerCounts) -> TransactionSample {
    TransactionSample {
        listener,
        committed: counts.committed,
        rolled_back: counts.rolled_back,
        abandoned: counts.abandoned,
        idle_in_transaction_ns: counts.idle_in_transaction_ns,
    }
}
