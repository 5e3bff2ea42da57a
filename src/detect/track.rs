//! Whether the values of a loop run along one column of one source.

use super::source::Source;
use smallvec::SmallVec;

use crate::event::Moment;
use crate::sql::value::ValueHash;

/// How a child's value stands to the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The next row's, or one further on; or the present row's again.
    InOrder,
    /// It is one of the column's, but not in its order.
    OutOfOrder,
    /// The column does not have it.
    Missed,
}

/// The values of one slot of a loop, followed along one column.
#[derive(Debug, Clone)]
pub(super) struct Track {
    /// The source, by its place among the unit's.
    pub source: usize,
    /// The column, by its place among the source's key columns.
    pub key: usize,
    /// Which compared column of the child it is.
    pub slot: usize,
    /// The same column in the children's own results, where each row of a table refers to another one of it: the
    /// child's row may name the next child.
    pub own: Option<(usize, usize)>,
    /// The row whose value came last.
    row: Option<u64>,
    /// The first row of the first result that a value came from.
    pub first_row: u64,
    pub matched: u64,
    pub in_order: u64,
    pub missed: u64,
    /// Members before the first that it follows: look-ups of something else by the same shape.
    pub skipped: u64,
    /// Children whose value an earlier child's own row named.
    pub chained: u64,
    /// Rows whose value came, each counted once as long as they come in order.
    pub covered: u64,
    /// Rows with a value, and rows with NULL, from the first row up to the present one.
    passed: (u64, u64),
    /// Children that ran while the source's cursor was open.
    pub enclosed: u64,
}

impl Track {
    pub(super) fn new(source: usize, key: usize, slot: usize) -> Track {
        Track {
            source,
            key,
            slot,
            own: None,
            row: None,
            first_row: 0,
            matched: 0,
            in_order: 0,
            missed: 0,
            skipped: 0,
            chained: 0,
            covered: 0,
            passed: (0, 0),
            enclosed: 0,
        }
    }

    /// What the next value would be, without taking it.
    pub(super) fn peek(&self, source: &Source, value: ValueHash) -> Step {
        match self.place(source, value) {
            Some(Place::Ahead(_) | Place::Again) => Step::InOrder,
            Some(Place::Behind) => Step::OutOfOrder,
            None => Step::Missed,
        }
    }

    /// Takes the next value; says which row gave it.
    pub(super) fn take(
        &mut self,
        sources: &[Source],
        value: Option<ValueHash>,
        requested_at: Moment,
    ) -> (Step, Option<u64>) {
        let Some(source) = sources.get(self.source) else {
            return (Step::Missed, None);
        };
        let place = value.and_then(|value| self.place(source, value));
        let place = match place {
            // Over several connections events may come out of order: no child is older than its parent.
            Some(Place::Ahead(row))
                if source
                    .batch_of(row)
                    .is_some_and(|batch| batch.at > requested_at) =>
            {
                None
            }
            place => place,
        };
        if source.open_cursor.is_some() {
            self.enclosed += 1;
        }
        match place {
            Some(Place::Ahead(row)) => {
                let from = match self.row {
                    Some(present) => present + 1,
                    None => {
                        self.first_row = source.batch_of(row).map_or(row, |batch| batch.first_row);
                        self.first_row
                    }
                };
                let (values, nulls) = source.count(self.key, from, row + 1);
                self.passed.0 += values;
                self.passed.1 += nulls;
                self.row = Some(row);
                self.covered += 1;
                self.matched += 1;
                self.in_order += 1;
                (Step::InOrder, Some(row))
            }
            Some(Place::Again) => {
                self.matched += 1;
                self.in_order += 1;
                (Step::InOrder, self.row)
            }
            Some(Place::Behind) => {
                self.matched += 1;
                (Step::OutOfOrder, None)
            }
            None if value.is_some_and(|value| self.is_chained(sources, value)) => {
                self.chained += 1;
                (Step::OutOfOrder, None)
            }
            None => {
                self.missed += 1;
                (Step::Missed, None)
            }
        }
    }

    /// Whether an earlier child's own row names the value.
    pub(super) fn is_chained(&self, sources: &[Source], value: ValueHash) -> bool {
        self.own.is_some_and(|(own, key)| {
            sources
                .get(own)
                .is_some_and(|own| own.find(key, value, 0, u64::MAX).is_some())
        })
    }

    fn place(&self, source: &Source, value: ValueHash) -> Option<Place> {
        let next = match self.row {
            Some(row) => row + 1,
            None => 0,
        };
        if self.row.is_some() {
            if source.value(self.key, next) == Some(value) {
                return Some(Place::Ahead(next));
            }
            if self
                .row
                .is_some_and(|row| source.value(self.key, row) == Some(value))
            {
                return Some(Place::Again);
            }
        }
        if let Some(row) = source.find(self.key, value, next, u64::MAX) {
            return Some(Place::Ahead(row));
        }
        source.find(self.key, value, 0, next).map(|_| Place::Behind)
    }

    /// The row whose value came last.
    pub(super) fn row(&self) -> Option<u64> {
        self.row
    }

    /// Rows with a value and rows with NULL: up to the present row, and of all results touched.
    pub(super) fn rows(&self, source: &Source) -> Rows {
        let rest = self.row.map_or((0, 0), |row| {
            let end = source
                .batch_of(row)
                .map_or(row + 1, |batch| batch.first_row + u64::from(batch.rows));
            source.count(self.key, row + 1, end)
        });
        Rows {
            so_far: self.passed.0,
            all: self.passed.0 + rest.0,
            nulls: self.passed.1 + rest.1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Ahead(u64),
    Again,
    Behind,
}

/// Rows of the results that a track touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    /// With a value, up to the row that came last.
    pub so_far: u64,
    /// With a value, to the end of the last result touched.
    pub all: u64,
    /// With NULL.
    pub nulls: u64,
}

/// The first values of a loop, kept so that its source can be found late.
#[derive(Debug, Default)]
pub(super) struct History {
    members: Vec<Past>,
}

/// One child: when it was asked for, and the values of its slots.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// Its number among the unit's statements.
    pub index: u32,
    pub requested_at: Moment,
    pub values: SlotValues,
}

/// The values of one member's slots: look-ups have one or two.
pub(super) type SlotValues = SmallVec<[Option<ValueHash>; 2]>;

/// Members kept: enough to tell a run of values from chance.
const HISTORY_MAX: usize = 48;

impl History {
    /// Keeps the first ones.
    pub(super) fn push(&mut self, past: Past) {
        if !self.is_full() {
            if self.members.is_empty() {
                self.members.reserve_exact(1);
            }
            self.members.push(past);
        }
    }

    /// Whether the first ones are there.
    pub(super) fn is_full(&self) -> bool {
        self.members.len() >= HISTORY_MAX
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Past> {
        self.members.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}
