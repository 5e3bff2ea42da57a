//! The last hour in columns of five seconds.

use std::collections::VecDeque;

use super::{Buckets, add_phases};
use crate::event::{Moment, Phases};

use super::delta::Entry;

/// Columns kept: an hour.
pub const COLUMNS: usize = 720;

/// Width of a column, nanoseconds.
pub const COLUMN_NS: u64 = 5_000_000_000;

/// What finished in five seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// When the column begins.
    pub at: Moment,
    /// Queries.
    pub calls: u64,
    /// Queries that ended in an error.
    pub errors: u64,
    /// Where their time went.
    pub phases: Phases,
    /// Their durations.
    pub buckets: Buckets,
}

impl Column {
    pub(super) fn add(&mut self, entry: &Entry) {
        self.calls += entry.calls();
        add_phases(&mut self.phases, &entry.phases);
    }
}

/// The columns, oldest first, without gaps.
#[derive(Debug, Default)]
pub(super) struct History {
    columns: VecDeque<Column>,
}

impl History {
    /// The column that `now` falls into; a time before the newest column counts in that.
    pub(super) fn column(&mut self, now: Moment) -> &mut Column {
        self.advance(now);
        let last = self.columns.len() - 1;
        &mut self.columns[last]
    }

    /// Appends columns until the newest holds `now`, and forgets the oldest.
    pub(super) fn advance(&mut self, now: Moment) {
        let at = now.0 - now.0 % COLUMN_NS;
        let newest = self
            .columns
            .back()
            .map_or(at.saturating_sub(COLUMN_NS), |column| column.at.0);
        // After a long pause only the columns that are kept are made.
        let first = (newest + COLUMN_NS).max(at.saturating_sub(COLUMN_NS * (COLUMNS as u64 - 1)));
        for begin in (first..=at).step_by(COLUMN_NS as usize) {
            self.columns.push_back(Column {
                at: Moment(begin),
                ..Column::default()
            });
        }
        if self.columns.is_empty() {
            self.columns.push_back(Column {
                at: Moment(at),
                ..Column::default()
            });
        }
        while self.columns.len() > COLUMNS {
            self.columns.pop_front();
        }
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        self.columns.iter().cloned().collect()
    }

    pub(super) fn reset(&mut self) {
        self.columns.clear();
    }
}
