//! Where values come from: the keys of a unit's results, one virtual column for each column of each query shape.
//!
//! All results of one shape form one sequence of rows, in the order in which they came: the rows of one parent, of a
//! cursor's FETCHes, or of an outer loop's many results.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::{Moment, RowColumns, RowKeys, Shape};
use crate::sql::value::ValueHash;
use crate::sql::{Fingerprint, NameHash};

/// Columns looked at of one shape, whatever the results carry.
const COLUMNS_MAX: usize = 64;

/// Results of one query shape.
#[derive(Debug)]
pub(super) struct Source {
    pub fingerprint: Fingerprint,
    pub shape: Option<Arc<Shape>>,
    pub columns: Arc<RowColumns>,
    /// Row-major; the first row kept is number `first_row`.
    keys: VecDeque<Option<ValueHash>>,
    first_row: u64,
    batches: VecDeque<Batch>,
    /// The cursors that are open, and so enclose what happens now.
    pub open_cursor: Option<NameHash>,
}

/// One result, or one FETCH of a cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub first_row: u64,
    pub rows: u32,
    pub at: Moment,
    /// The statement of the unit that it is the result of.
    pub index: u32,
    /// The outermost transaction that it was read in.
    pub transaction: Option<u32>,
}

impl Batch {
    fn end(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }
}

impl Source {
    pub(super) fn new(
        fingerprint: Fingerprint,
        shape: Option<Arc<Shape>>,
        keys: &RowKeys,
    ) -> Source {
        Source {
            fingerprint,
            shape,
            columns: Arc::clone(&keys.columns),
            keys: VecDeque::new(),
            first_row: 0,
            batches: VecDeque::new(),
            open_cursor: None,
        }
    }

    /// Key columns of a row.
    pub(super) fn width(&self) -> usize {
        self.columns.keys.len()
    }

    /// Which of them are worth a look, by their place in `columns.keys`.
    pub(super) fn key_columns(&self) -> std::ops::Range<usize> {
        0..self.width().min(COLUMNS_MAX)
    }

    pub(super) fn add(&mut self, keys: &RowKeys, at: Moment, index: u32, transaction: Option<u32>) {
        let width = self.width();
        if width == 0 || keys.rows == 0 {
            return;
        }
        self.batches.push_back(Batch {
            first_row: self.end(),
            rows: keys.rows,
            at,
            index,
            transaction,
        });
        self.keys
            .extend(keys.keys.iter().take(keys.rows as usize * width));
    }

    /// Forgets the oldest result; how many hashes that freed, or `None` when there is none.
    pub(super) fn forget_oldest(&mut self) -> Option<usize> {
        let batch = self.batches.pop_front()?;
        let freed = (batch.rows as usize * self.width()).min(self.keys.len());
        self.keys.drain(..freed);
        self.first_row = batch.end();
        Some(freed)
    }

    pub(super) fn oldest(&self) -> Option<Moment> {
        self.batches.front().map(|batch| batch.at)
    }

    pub(super) fn hashes(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// Bytes that it holds, estimated.
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Source>()
            + self.keys.capacity() * 8
            + self.batches.capacity() * size_of::<Batch>()
    }

    /// Rows that the largest of its results has.
    pub(super) fn rows_at_most(&self) -> u32 {
        self.batches
            .iter()
            .map(|batch| batch.rows)
            .max()
            .unwrap_or(0)
    }

    /// The number behind the last row.
    pub(super) fn end(&self) -> u64 {
        self.batches.back().map_or(self.first_row, Batch::end)
    }

    /// The value of a row; `None` for NULL, and for a row that is gone or not there.
    pub(super) fn value(&self, key: usize, row: u64) -> Option<ValueHash> {
        let offset = usize::try_from(row.checked_sub(self.first_row)?).ok()?;
        *self.keys.get(offset.checked_mul(self.width())? + key)?
    }

    pub(super) fn batch_of(&self, row: u64) -> Option<&Batch> {
        let index = self.batches.partition_point(|batch| batch.end() <= row);
        self.batches
            .get(index)
            .filter(|batch| batch.first_row <= row)
    }

    pub(super) fn last_batch(&self) -> Option<&Batch> {
        self.batches.back()
    }

    /// The first row from `from` on (and before `to`) with this value.
    pub(super) fn find(&self, key: usize, value: ValueHash, from: u64, to: u64) -> Option<u64> {
        let from = from.max(self.first_row);
        let skip = usize::try_from(from - self.first_row).ok()?;
        let count = usize::try_from(to.min(self.end()).saturating_sub(from)).ok()?;
        let width = self.width().max(1);
        self.keys
            .iter()
            .skip(skip.checked_mul(width)? + key)
            .step_by(width)
            .take(count)
            .position(|found| *found == Some(value))
            .map(|offset| from + offset as u64)
    }

    /// Rows between two numbers whose value is there, and whose value is NULL.
    pub(super) fn count(&self, key: usize, from: u64, to: u64) -> (u64, u64) {
        let from = from.max(self.first_row);
        let to = to.min(self.end());
        let mut counts = (0, 0);
        for row in from..to {
            match self.value(key, row) {
                Some(_) => counts.0 += 1,
                None => counts.1 += 1,
            }
        }
        counts
    }
}
