//! One row for each query shape: what the API and the page read, and what a reset clears.

use smallvec::SmallVec;

use super::delta::Entry;
use super::latency::Latency;
use super::names::NameId;
use super::read::Summary;
use super::{Buckets, Settings, add_phases};
use crate::event::{Moment, Phases, Shape, ShapeNumber, ShapeRef};
use crate::wire::SqlState;

/// The row of all shapes that found the table full.
pub(super) const OTHER_ROW: u32 = 0;

/// Points of a row's spark line: calls in each of the last 60 minutes, oldest first.
pub const SPARK_POINTS: usize = 60;

const SPARK_POINT_NS: u64 = 60_000_000_000;

/// Names of one kind that a row lists.
const ROW_NAMES_MAX: usize = 32;

/// SQLSTATEs that a row counts apart.
const ROW_CODES_MAX: usize = 16;

/// All rows.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    rows_max: usize,
    /// Sums over all rows.
    pub(super) summary: Summary,
    /// Queries counted in [`OTHER_ROW`] since the start, whatever was reset.
    pub(super) overflow: u64,
}

/// One shape.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// `None` for [`OTHER_ROW`], and for one that nothing was counted in yet.
    pub(super) shape: Option<&'static Shape>,
    pub(super) figures: Figures,
}

/// Names of one kind that used a shape: few, and beside its figures, for they are looked at each time that it is counted.
type Names = SmallVec<[NameId; 4]>;

/// What is known of a shape since the last reset.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) rows: u64,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) phases: Phases,
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
    pub(super) first_seen: Moment,
    pub(super) last_seen: Moment,
    pub(super) buckets: Buckets,
    pub(super) latency: Latency,
    pub(super) databases: Names,
    pub(super) users: Names,
    pub(super) applications: Names,
    pub(super) routes: Names,
    codes: Vec<(SqlState, u64)>,
    codes_beyond: u64,
    spark: Spark,
}

impl Table {
    pub(super) fn new(settings: &Settings) -> Table {
        // Reserved at once: pages that no row touches cost nothing, a vector that doubles costs twice its rows.
        let mut rows = Vec::with_capacity(settings.fingerprints_max.saturating_add(1));
        rows.push(Row::default());
        Table {
            rows,
            rows_max: settings.fingerprints_max,
            summary: Summary::default(),
            overflow: 0,
        }
    }

    /// The row that `entry` counts in: behind [`OTHER_ROW`] they stand in the order of the shapes' numbers.
    pub(super) fn row(&mut self, entry: &Entry) -> u32 {
        let Some(shape) = entry.shape else {
            return OTHER_ROW;
        };
        let row = row_of(shape.number());
        match row as usize {
            place if place < self.rows.len() => row,
            place if place > self.rows_max => OTHER_ROW,
            place => {
                self.rows.resize_with(place + 1, Row::default);
                row
            }
        }
    }

    pub(super) fn add(&mut self, row: u32, entry: &Entry) {
        if row == OTHER_ROW {
            self.overflow += entry.calls();
        }
        self.summary.queries += entry.calls();
        add_phases(&mut self.summary.phases, &entry.phases);
        let Row { shape, figures } = &mut self.rows[row as usize];
        if figures.calls == 0 {
            *shape = entry
                .shape
                .filter(|_| row != OTHER_ROW)
                .map(ShapeRef::shape);
            figures.first_seen = entry.first;
            figures.min_ns = entry.min_ns;
        }
        figures.calls += entry.calls();
        figures.rows = figures.rows.saturating_add(entry.rows);
        figures.request_bytes = figures.request_bytes.saturating_add(entry.request_bytes);
        figures.response_bytes = figures.response_bytes.saturating_add(entry.response_bytes);
        add_phases(&mut figures.phases, &entry.phases);
        figures.min_ns = figures.min_ns.min(entry.min_ns);
        figures.max_ns = figures.max_ns.max(entry.max_ns);
        figures.first_seen = figures.first_seen.min(entry.first);
        figures.last_seen = figures.last_seen.max(entry.last);
        note(&mut figures.databases, entry.key.context.database);
        note(&mut figures.users, entry.key.context.user);
        note(&mut figures.applications, entry.key.context.application);
        for route in entry.routes() {
            note(&mut figures.routes, *route);
        }
        figures.spark.add(entry.last, entry.calls());
    }

    pub(super) fn add_duration(&mut self, row: u32, duration_us: u32, bucket: usize) {
        let figures = &mut self.rows[row as usize].figures;
        figures.buckets[bucket] += 1;
        figures.latency.record(duration_us);
    }

    pub(super) fn add_error(&mut self, row: u32, code: SqlState) {
        let figures = &mut self.rows[row as usize].figures;
        figures.errors += 1;
        self.summary.errors += 1;
        if let Some((_, count)) = figures.codes.iter_mut().find(|(known, _)| *known == code) {
            *count += 1;
        } else if figures.codes.len() < ROW_CODES_MAX {
            figures.codes.push((code, 1));
        } else {
            figures.codes_beyond += 1;
        }
    }

    /// Rows that are not empty, [`OTHER_ROW`] among them.
    pub(super) fn rows(&self, from: usize, count: usize) -> impl Iterator<Item = &Row> {
        let end = from.saturating_add(count).min(self.rows.len());
        self.rows[from.min(end)..end]
            .iter()
            .filter(|row| row.figures.calls > 0)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of a shape, or of all that found the table full for `None`; `None` while it has no calls.
    pub(super) fn find(&self, shape: Option<&Shape>) -> Option<&Row> {
        let row = shape.map_or(OTHER_ROW, |shape| row_of(shape.number));
        self.rows
            .get(row as usize)
            .filter(|row| row.figures.calls > 0)
    }

    pub(super) fn reset(&mut self) {
        self.summary = Summary::default();
        for row in &mut self.rows {
            row.figures = Figures::default();
        }
    }
}

/// The row of the shape with this number.
fn row_of(number: ShapeNumber) -> u32 {
    number.0.saturating_add(1)
}

impl Figures {
    /// Counts by SQLSTATE, those beyond the limit under `other`.
    pub(super) fn codes(&self) -> Vec<(String, u64)> {
        let named = self
            .codes
            .iter()
            .map(|(code, count)| (code.as_str().to_owned(), *count));
        let other = (self.codes_beyond > 0)
            .then(|| (super::names::OTHER_NAME.to_owned(), self.codes_beyond));
        named.chain(other).collect()
    }

    /// Calls in each of the last minutes up to the one of `now`, oldest first.
    pub(super) fn spark(&self, now: Moment) -> [u32; SPARK_POINTS] {
        let mut spark = self.spark.clone();
        spark.add(now, 0);
        let newest = (spark.minute % SPARK_POINTS as u64) as usize;
        let mut points = spark.calls;
        points.rotate_left((newest + 1) % SPARK_POINTS);
        points
    }
}

/// Notes a name in a row's list while there is room.
fn note(names: &mut Names, name: NameId) {
    if names.len() < ROW_NAMES_MAX && !names.contains(&name) {
        names.push(name);
    }
}

/// Calls a minute, as a ring: minute `m` is at `m % SPARK_POINTS`.
#[derive(Debug, Clone)]
struct Spark {
    minute: u64,
    calls: [u32; SPARK_POINTS],
}

impl Default for Spark {
    fn default() -> Spark {
        Spark {
            minute: 0,
            calls: [0; SPARK_POINTS],
        }
    }
}

impl Spark {
    fn add(&mut self, at: Moment, calls: u64) {
        let minute = at.0 / SPARK_POINT_NS;
        // Only the minutes that passed since are emptied, at most all of them.
        let passed = minute.saturating_sub(self.minute).min(SPARK_POINTS as u64);
        for step in 0..passed {
            self.calls[((minute - step) % SPARK_POINTS as u64) as usize] = 0;
        }
        self.minute = self.minute.max(minute);
        if self.minute - minute < SPARK_POINTS as u64 {
            let point = &mut self.calls[(minute % SPARK_POINTS as u64) as usize];
            *point = point.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
        }
    }
}
