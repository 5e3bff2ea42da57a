//! Every unit that ended, in a few figures each: for who judges all of them, and not the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::detect::{Verdict, is_of_user_tables};
use crate::event::Shape;
use crate::sql::tags::Tags;
use crate::sql::{Fingerprint, VerbClass};
use crate::unit::{Completeness, Timeline, TimelineEntry, Unit, UnitRecord};

/// Units that ended, and the shapes that they ran, from the start of the process on.
#[derive(Debug)]
pub struct Ledger {
    pages: Mutex<Pages>,
    units_max: usize,
}

/// What a [`Ledger`] holds.
#[derive(Debug, Default, Clone)]
pub struct Pages {
    /// In the order in which they ended.
    pub units: Vec<Entry>,
    /// Units beyond the limit, of which nothing is known.
    pub units_left_out: u64,
    /// What tests ran, by shape.
    pub of_tests: Shapes,
    /// What everything else ran.
    pub of_others: Shapes,
}

/// Figures by shape.
pub type Shapes = HashMap<Fingerprint, ShapeEntry, RandomState>;

/// One unit.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The tag `test`.
    pub test: Option<Arc<str>>,
    /// The tag `test_id`.
    pub test_id: Option<Arc<str>>,
    /// The tag `route`.
    pub route: Option<Arc<str>>,
    /// What its first query is about.
    pub first: Option<Arc<str>>,
    /// Whether a request was at work, by its tags: a test's own statements have none of a request's.
    pub of: Work,
    /// Statements, housekeeping left out.
    pub queries: u64,
    /// Rows that they returned or changed.
    pub rows: u64,
    /// PostgreSQL's time, and that of the rows on their way, nanoseconds.
    pub queries_ns: u64,
    /// Whether all of it was seen.
    pub completeness: Completeness,
    /// What was found in it.
    pub findings: Vec<Verdict>,
}

/// Whose code sent a unit's statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The application's, that serves a request.
    Request,
    /// A test's own, or what it calls directly.
    Test,
    /// Not known: nothing of it is tagged.
    Unknown,
}

/// One shape, over all units.
#[derive(Debug, Clone)]
pub struct ShapeEntry {
    /// Its text and facts; `None` where the table of shapes was full.
    pub shape: Option<&'static Shape>,
    /// Statements.
    pub calls: u64,
    /// The most of them in one unit.
    pub calls_max: u64,
    /// The most rows of one of them.
    pub rows_max: u64,
    /// What they took together, nanoseconds.
    pub total_ns: u64,
    /// Where in [`Pages::units`] the unit is that had the most calls; of several, the first.
    pub unit_index: usize,
}

impl Work {
    /// By its tags.
    pub(super) fn of<P>(unit: &Unit<P>) -> Work {
        let is_request = |tags: &Tags| {
            let names = ["request_id", "traceparent", "route"];
            names.iter().any(|name| tags.value(name).is_some())
        };
        match unit.tags() {
            Some(tags) if is_request(tags) => Work::Request,
            _ if unit.is_of_test() => Work::Test,
            _ => Work::Unknown,
        }
    }
}

impl Ledger {
    /// A ledger of at most so many units.
    pub fn new(units_max: usize) -> Ledger {
        Ledger {
            pages: Mutex::default(),
            units_max,
        }
    }

    /// What it holds now.
    pub fn read(&self) -> Pages {
        self.lock().clone()
    }

    /// Takes a unit that ended.
    pub(super) fn enter(
        &self,
        unit: &UnitRecord,
        route: Option<&Arc<str>>,
        of: Work,
        found: &[Verdict],
    ) {
        let mut pages = self.lock();
        let pages = &mut *pages;
        if pages.units.len() >= self.units_max {
            pages.units_left_out += 1;
            return;
        }
        let unit_index = pages.units.len();
        let first = match route {
            // It is what stands there where nobody names a route.
            None => unit.route.clone(),
            Some(_) => None,
        };
        pages.units.push(Entry {
            test: unit.test.clone(),
            test_id: unit.test_id.clone(),
            route: route.cloned(),
            first,
            of,
            queries: unit.queries,
            rows: unit.rows,
            queries_ns: unit.phases.duration_ns(),
            completeness: unit.completeness,
            findings: found.to_vec(),
        });
        let shapes = match unit.test_id {
            Some(_) => &mut pages.of_tests,
            None => &mut pages.of_others,
        };
        for (fingerprint, run) in runs(&unit.timeline) {
            shapes
                .entry(fingerprint)
                .and_modify(|entry| entry.add(&run, unit_index))
                .or_insert_with(|| ShapeEntry {
                    unit_index,
                    ..run.clone()
                });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShapeEntry {
    fn add(&mut self, run: &ShapeEntry, unit_index: usize) {
        if run.calls_max > self.calls_max {
            self.calls_max = run.calls_max;
            self.unit_index = unit_index;
        }
        self.calls += run.calls;
        self.rows_max = self.rows_max.max(run.rows_max);
        self.total_ns = self.total_ns.saturating_add(run.total_ns);
    }
}

/// What a unit ran of each shape that reads or writes the application's tables.
fn runs(timeline: &Timeline) -> Shapes {
    let mut shapes = Shapes::default();
    for statement in timeline {
        if !is_work(statement) {
            continue;
        }
        let duration_ns = statement.phases.duration_ns();
        let run = shapes
            .entry(statement.fingerprint)
            .or_insert_with(|| ShapeEntry {
                shape: statement.shape,
                calls: 0,
                calls_max: 0,
                rows_max: 0,
                total_ns: 0,
                unit_index: 0,
            });
        run.calls += 1;
        run.calls_max += 1;
        run.rows_max = run.rows_max.max(statement.rows);
        run.total_ns = run.total_ns.saturating_add(duration_ns);
    }
    shapes
}

fn is_work(statement: &TimelineEntry) -> bool {
    let facts = statement.shape.and_then(|shape| shape.facts());
    statement.verb.class() != VerbClass::Definition && facts.is_some_and(is_of_user_tables)
}
