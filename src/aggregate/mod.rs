//! Bounded, exact statistics and histograms per fingerprint; workers hand in deltas, one store owns the histograms.
//!
//! ```text
//!  worker ── record ──► its Delta ──┐  (uncontended lock, small fixed entries, no allocation in steady state)
//!  worker ── record ──► its Delta ──┤ collect, now and then and for each reader: swap, then merge
//!                                   ▼
//!        Store: Table (rows the API reads) · Series (what /metrics shows) · History (the last hour)
//! ```
//!
//! *Architecture invariants:* every query is counted exactly once in each of table, series and history; a full
//! delta is merged at once, never dropped; nothing here reads a clock; every map has a limit, and what the limit
//! refused is counted under `other`.
//! [`Worker::record`] is the way in, [`Store::metrics`], [`Store::queries`] and [`Store::history`] the ways out.

mod delta;
mod health;
mod history;
mod latency;
mod names;
mod read;
mod series;
mod shapes;
mod table;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::event::{Moment, Phases, ShapeRef};
use crate::sql::Fingerprint;

pub use delta::Fill;
pub use health::{Health, HealthCount};
pub use history::{COLUMN_NS, COLUMNS, Column};
pub use read::{
    ErrorSample, Glance, Listed, Listing, Metrics, Query, QueryDetail, QuerySample,
    Series as SeriesSample, SeriesName, Sort, Summary, TransactionSample,
};
pub use series::Totals;
pub use table::SPARK_POINTS;
pub use worker::{Counter, Counting, Whose, Worker};

use delta::Delta;
use history::History;
use names::Names;
use series::Series;
use shapes::Shapes;
use table::Table;
use worker::Till;

/// Upper bounds of the duration buckets, in seconds, as `le` labels; the eighteenth bucket is everything above.
pub const BOUNDS_SECONDS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// [`BOUNDS_SECONDS`] in microseconds. A duration is rounded up to whole microseconds before it is compared, which
/// keeps `duration <= bound` exact because every bound is a whole number of them.
const BOUNDS_US: [u32; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Calls by duration: one count for each of [`BOUNDS_SECONDS`], not cumulative, and one for what is above.
pub type Buckets = [u64; BOUNDS_SECONDS.len() + 1];

/// The limits of the store and the threshold of a slow query.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Query shapes that have a row of their own; the rest share the row `other`.
    pub fingerprints_max: usize,
    /// (fingerprint, database) pairs that have series of their own in the metrics.
    pub admitted_max: usize,
    /// Databases that are names of their own in labels and rows.
    pub databases_max: usize,
    /// Users, and as many application names, that are names of their own in rows.
    pub names_max: usize,
    /// Routes that are names of their own in rows.
    pub routes_max: usize,
    /// SQLSTATEs that are values of their own in the metrics.
    pub error_codes_max: usize,
    /// Bytes of normalised text kept of one shape.
    pub text_bytes_max: usize,
    /// Bytes of normalised text kept of all shapes together; new texts are cut shorter as this fills.
    pub texts_bytes_max: usize,
    /// Duration in nanoseconds from which on a query counts as slow.
    pub slow_threshold_ns: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fingerprints_max: 10_000,
            admitted_max: 200,
            databases_max: 50,
            names_max: 200,
            routes_max: 1_000,
            error_codes_max: 100,
            text_bytes_max: 64 * 1024,
            texts_bytes_max: 24 * 1024 * 1024,
            slow_threshold_ns: 100_000_000,
        }
    }
}

/// All statistics of the process: owns the histograms, shared by workers, collector and readers.
#[derive(Debug)]
pub struct Store {
    slow_threshold_ns: AtomicU64,
    /// Taken before `names`, never while a worker's delta is held by the same thread outside a full delta's merge.
    figures: Mutex<Figures>,
    names: Mutex<Names>,
    shapes: Shapes,
    /// All workers' figures, each also held by its [`Worker`].
    workers: Mutex<Vec<Arc<dyn Till>>>,
    /// An empty delta that changes places with each worker's in turn, so that its memory is used again.
    spare: Mutex<Delta>,
    health: Health,
}

/// Everything that a merge changes, under one lock.
#[derive(Debug)]
struct Figures {
    table: Table,
    series: Series,
    history: History,
    /// Row and series of each entry of the delta being merged; kept for its memory.
    targets: Vec<(u32, series::Target)>,
}

impl Store {
    /// An empty store with these limits.
    pub fn new(settings: &Settings) -> Arc<Store> {
        Arc::new(Store {
            slow_threshold_ns: AtomicU64::new(settings.slow_threshold_ns),
            figures: Mutex::new(Figures {
                table: Table::new(settings),
                series: Series::new(settings),
                history: History::default(),
                targets: Vec::new(),
            }),
            names: Mutex::new(Names::new(settings)),
            shapes: Shapes::new(settings),
            workers: Mutex::new(Vec::new()),
            spare: Mutex::new(Delta::default()),
            health: Health::default(),
        })
    }

    /// A new way in, for one proxy worker, which has `beside` under one lock with its figures.
    pub fn worker<T: Send + 'static>(self: &Arc<Self>, beside: T) -> Worker<T> {
        Worker::new(Arc::clone(self), beside)
    }

    /// Takes every worker's delta and merges it: before somebody reads, and as often as the deltas have no room for more.
    /// How full they were.
    ///
    /// A worker is held up only while its delta changes places with an empty one.
    pub fn collect(&self, now: Moment) -> Fill {
        let mut fill = Fill::Little;
        let mut spare = lock(&self.spare);
        // The list is cloned so that a worker that starts meanwhile does not wait for the merge.
        let workers: Vec<_> = lock(&self.workers).clone();
        for worker in &workers {
            worker.exchange(&mut spare);
            fill = fill.max(spare.fill());
            self.merge(&mut spare, now);
        }
        let mut figures = lock(&self.figures);
        figures.series.settle(now);
        figures.history.advance(now);
        drop(figures);
        // A worker that ended is known by its figures having no other owner than the list and the clone above.
        lock(&self.workers).retain(|worker| Arc::strong_count(worker) > 2 || !worker.is_empty());
        fill
    }

    /// What had to be given up, by reason.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Changes the duration from which on a query counts as slow.
    pub fn set_slow_threshold_ns(&self, threshold_ns: u64) {
        self.slow_threshold_ns
            .store(threshold_ns, Ordering::Relaxed);
    }

    /// At most `max` shapes from the `from`th on, in the order in which they came.
    pub fn shapes_from(&self, from: usize, max: usize) -> Vec<ShapeRef> {
        self.shapes.from(from, max)
    }

    /// The shape of `fingerprint`, if it is known.
    pub fn shape(&self, fingerprint: Fingerprint) -> Option<ShapeRef> {
        self.shapes.get(fingerprint)
    }

    /// Merges `delta` and leaves it empty.
    fn merge(&self, delta: &mut Delta, now: Moment) {
        if !delta.is_empty() {
            merge_into(&mut lock(&self.figures), delta, now);
        }
        delta.clear();
    }
}

/// Adds each query of `delta` once to the table, once to the series and once to the history.
fn merge_into(figures: &mut Figures, delta: &Delta, now: Moment) {
    let Figures {
        table,
        series,
        history,
        targets,
    } = figures;
    targets.clear();
    let column = history.column(now);
    for entry in delta.entries() {
        let row = table.row(entry);
        let target = series.target(entry, now);
        table.add(row, entry);
        series.add(target, entry);
        column.add(entry);
        targets.push((row, target));
    }
    for &(entry, duration_us) in delta.durations() {
        let Some(&(row, target)) = targets.get(entry as usize) else {
            continue;
        };
        let bucket = bucket(duration_us);
        table.add_duration(row, duration_us, bucket);
        series.add_duration(target, bucket);
        column.buckets[bucket] += 1;
    }
    for &(entry, code) in delta.errors() {
        let (Some(&(row, _)), Some(of)) = (
            targets.get(entry as usize),
            delta.entries().get(entry as usize),
        ) else {
            continue;
        };
        table.add_error(row, code);
        series.add_error(of.key.context.database, code);
        column.errors += 1;
    }
    series.add_transactions(delta.listeners());
}

/// Index into [`Buckets`] of a duration.
fn bucket(duration_us: u32) -> usize {
    BOUNDS_US.partition_point(|bound| *bound < duration_us)
}

/// Index into [`Buckets`] of a duration in nanoseconds.
pub fn bucket_of(duration_ns: u64) -> usize {
    bucket(u32::try_from(duration_ns.div_ceil(1_000)).unwrap_or(u32::MAX))
}

/// Adds phases to phases.
fn add_phases(sum: &mut Phases, more: &Phases) {
    sum.database_ns = sum.database_ns.saturating_add(more.database_ns);
    sum.transfer_ns = sum.transfer_ns.saturating_add(more.transfer_ns);
    sum.client_ns = sum.client_ns.saturating_add(more.client_ns);
    sum.application_ns = sum.application_ns.saturating_add(more.application_ns);
}

/// Locks, also after a panic of another holder: what it left half done costs at most the query it was counting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
