//! Where values come from: the keys of a unit's results, one virtual column for each column of each query shape.
//!
//! All results of one shape form one sequence of rows, in the order in which they came: the rows of one parent, of a
//! cursor's FETCHes, or of an outer loop's many results.

use std::collections::VecDeque;

use super::index::Index;
use crate::event::{Columns, Moment, RowKeys, Shape};
use crate::sql::value::ValueHash;
use crate::sql::{Fingerprint, NameHash};

/// Columns looked at of one shape, whatever the results carry.
const COLUMNS_MAX: usize = 64;

/// So many hashes are few: a result of them is forgotten when it is convenient, and one by one.
pub(super) const FEW_HASHES: usize = 8;

/// From so many rows on a column that values are looked for in is worth an index.
const INDEXED_FROM: usize = 64;

/// Results of one query shape.
#[derive(Debug)]
pub(super) struct Source {
    pub fingerprint: Fingerprint,
    pub shape: Option<&'static Shape>,
    pub columns: Columns,
    /// Key columns of a row, of which `columns` knows: that need not be in any cache.
    width: u16,
    /// Row-major; the first row kept is number `first_row`.
    keys: VecDeque<Option<ValueHash>>,
    first_row: u64,
    /// The number behind the last row.
    end: u64,
    batches: VecDeque<Batch>,
    /// The number of the first of them, beside what is looked at with each result that comes.
    oldest: u64,
    /// The columns that loops run along, by their place in `columns.keys`.
    followed: Vec<usize>,
    /// Those of them that have an index.
    indexes: Vec<Index>,
    /// Bytes of what grows, as they were told last.
    bytes: usize,
    /// The cursors that are open, and so enclose what happens now.
    pub open_cursor: Option<NameHash>,
}

/// One result, or one FETCH of a cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    /// Its number among all results of the unit.
    pub number: u64,
    pub first_row: u64,
    pub rows: u32,
    pub at: Moment,
    /// The statement of the unit that it is the result of.
    pub index: u32,
    /// The outermost transaction that it was read in.
    pub transaction: Option<u32>,
}

/// What a source holds more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub hashes: usize,
    pub bytes: usize,
}

impl Batch {
    #[inline]
    fn end(&self) -> u64 {
        self.first_row + u64::from(self.rows)
    }
}

impl Source {
    pub(super) fn new(
        fingerprint: Fingerprint,
        shape: Option<&'static Shape>,
        keys: &RowKeys,
    ) -> Source {
        Source {
            fingerprint,
            shape,
            columns: keys.columns.clone(),
            width: u16::try_from(keys.columns.keys.len()).unwrap_or(u16::MAX),
            keys: VecDeque::new(),
            first_row: 0,
            end: 0,
            batches: VecDeque::new(),
            oldest: 0,
            followed: Vec::new(),
            indexes: Vec::new(),
            bytes: 0,
            open_cursor: None,
        }
    }

    /// Key columns of a row.
    pub(super) fn width(&self) -> usize {
        usize::from(self.width)
    }

    /// Which of them are worth a look, by their place in `columns.keys`.
    pub(super) fn key_columns(&self) -> std::ops::Range<usize> {
        0..self.width().min(COLUMNS_MAX)
    }

    /// Takes a result, described by `batch`; what it holds more than before, or `None` where there is nothing to keep.
    /// Those before the result of the unit with the number `kept_from` are forgotten.
    pub(super) fn add(&mut self, keys: &RowKeys, batch: Batch, kept_from: u64) -> Option<Growth> {
        let width = self.width();
        if width == 0 || keys.rows == 0 {
            return None;
        }
        self.forget_before(kept_from);
        let first_row = batch.first_row;
        self.end = batch.end();
        if self.batches.is_empty() {
            self.oldest = batch.number;
        }
        self.batches.push_back(batch);
        let taken = (keys.rows as usize * width).min(keys.keys.len());
        match keys.keys.get(..taken).unwrap_or_default() {
            [only] => self.keys.push_back(*only),
            several => self.keys.extend(several),
        }
        self.index_rows(first_row);
        self.begin_indexes();
        let bytes = self.bytes;
        self.bytes = self.room();
        Some(Growth {
            hashes: taken,
            bytes: self.bytes.saturating_sub(bytes),
        })
    }

    /// A loop runs along this column: values will be looked for in it.
    pub(super) fn follow(&mut self, key: usize) {
        if !self.followed.contains(&key) {
            self.followed.push(key);
            self.begin_indexes();
            self.bytes = self.room();
        }
    }

    #[inline]
    fn begin_indexes(&mut self) {
        if self.indexes.len() == self.followed.len() {
            return;
        }
        let is_long = self.keys.len() >= INDEXED_FROM * self.width();
        if !is_long {
            return;
        }
        for key in &self.followed {
            if self.indexes.iter().any(|index| index.key == *key) {
                continue;
            }
            let mut index = Index::new(*key);
            for row in self.first_row..self.end() {
                if let Some(value) = self.value(*key, row) {
                    index.add(row, value);
                }
            }
            self.indexes.push(index);
        }
    }

    /// Adds the rows from `first` on to the indexes.
    fn index_rows(&mut self, first: u64) {
        if self.indexes.is_empty() {
            return;
        }
        let mut indexes = std::mem::take(&mut self.indexes);
        for index in &mut indexes {
            for row in first..self.end() {
                if let Some(value) = self.value(index.key, row) {
                    index.add(row, value);
                }
            }
        }
        self.indexes = indexes;
    }

    /// Forgets the results that came before that of the unit with this number.
    #[inline]
    pub(super) fn forget_before(&mut self, number: u64) {
        while self.oldest < number && !self.batches.is_empty() {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(batch) = self.batches.pop_front() else {
            return;
        };
        if !self.indexes.is_empty() {
            self.forget_rows(&batch);
        }
        let freed = (batch.rows as usize * self.width()).min(self.keys.len());
        if freed <= FEW_HASHES {
            (0..freed).for_each(|_| {
                self.keys.pop_front();
            });
        } else {
            self.keys.drain(..freed);
        }
        self.first_row = batch.end();
        self.oldest = self.batches.front().map_or(0, |oldest| oldest.number);
    }

    /// Takes a result's rows out of the indexes.
    fn forget_rows(&mut self, batch: &Batch) {
        let mut indexes = std::mem::take(&mut self.indexes);
        for index in &mut indexes {
            for row in batch.first_row..batch.end() {
                if let Some(value) = self.value(index.key, row) {
                    index.forget(row, value);
                }
            }
        }
        self.indexes = indexes;
    }

    #[inline]
    fn index_bytes(&self) -> usize {
        if self.indexes.is_empty() {
            return 0;
        }
        self.indexes.iter().map(Index::held_bytes).sum()
    }

    /// Bytes that it holds, estimated.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        size_of::<Source>() + self.room()
    }

    /// Those of them that grow.
    #[inline]
    fn room(&self) -> usize {
        self.keys.capacity() * 8 + self.batches.capacity() * size_of::<Batch>() + self.index_bytes()
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
    #[inline]
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The value of a row; `None` for NULL, and for a row that is gone or not there.
    #[inline]
    pub(super) fn value(&self, key: usize, row: u64) -> Option<ValueHash> {
        let offset = usize::try_from(row.checked_sub(self.first_row)?).ok()?;
        *self.keys.get(offset.checked_mul(self.width())? + key)?
    }

    pub(super) fn batch_of(&self, row: u64) -> Option<&Batch> {
        // Mostly the last one.
        if let Some(last) = self.batches.back()
            && last.first_row <= row
        {
            return (row < last.end()).then_some(last);
        }
        let index = self.batches.partition_point(|batch| batch.end() <= row);
        self.batches
            .get(index)
            .filter(|batch| batch.first_row <= row)
    }

    pub(super) fn last_batch(&self) -> Option<&Batch> {
        self.batches.back()
    }

    /// Whether some row has this value.
    pub(super) fn has(&self, key: usize, value: ValueHash) -> bool {
        self.find(key, value, 0, u64::MAX).is_some()
    }

    /// The first row from `from` on (and before `to`) with this value.
    pub(super) fn find(&self, key: usize, value: ValueHash, from: u64, to: u64) -> Option<u64> {
        let mut from = from.max(self.first_row);
        if let Some(index) = self.indexes.iter().find(|index| index.key == key) {
            let rows = index.get(value)?;
            if rows.last < from {
                return None;
            }
            from = from.max(rows.first);
        }
        let rows = usize::try_from(to.min(self.end()).checked_sub(from)?).ok()?;
        let skipped = usize::try_from(from - self.first_row).ok()?;
        let place = skipped.checked_mul(self.width())?.checked_add(key)?;
        let found = self.row_behind(place, rows, value)?;
        from.checked_add(found as u64)
    }

    /// Which of `rows` rows has the value, counted from the one whose hash stands at `place`.
    fn row_behind(&self, place: usize, rows: usize, value: ValueHash) -> Option<usize> {
        let width = self.width().max(1);
        let first = |keys: &[Option<ValueHash>], rows: usize| {
            let mut column = keys.iter().step_by(width).take(rows);
            column.position(|key| *key == Some(value))
        };
        let (front, back) = self.keys.as_slices();
        let in_front = front.get(place..).unwrap_or_default();
        if let Some(row) = first(in_front, rows) {
            return Some(row);
        }
        let passed = in_front.len().div_ceil(width);
        let place = (place + passed * width).checked_sub(front.len())?;
        let row = first(back.get(place..)?, rows.checked_sub(passed)?)?;
        Some(passed + row)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::{Held, RowColumn, RowColumns};
    use crate::sql::value::ValueKey;

    fn result(key: ValueKey, values: &[Option<u8>]) -> RowKeys {
        wide_result(key, 1, values)
    }

    /// A result of so many key columns.
    fn wide_result(key: ValueKey, width: usize, values: &[Option<u8>]) -> RowKeys {
        let hash = |value: &Option<u8>| value.map(|value| key.int(i64::from(value)));
        let column = RowColumn {
            name: "id".into(),
            table_oid: 1,
            attribute: 1,
            type_oid: 23,
        };
        let rows = values.len() / width;
        RowKeys {
            columns: Columns::from(RowColumns {
                all: vec![column; width].into(),
                keys: (0..width as u16).collect(),
            }),
            keys: values.iter().take(rows * width).map(hash).collect(),
            rows: u32::try_from(rows).expect("few"),
            rows_total: rows as u64,
            held: Held::default(),
        }
    }

    /// Adds the result of the unit with this number, of which those before `kept_from` are forgotten.
    fn add(source: &mut Source, result: &RowKeys, number: u64, kept_from: u64) {
        let batch = Batch {
            number,
            first_row: source.end(),
            rows: result.rows,
            at: Moment(number),
            index: 0,
            transaction: None,
        };
        source.add(result, batch, kept_from);
    }

    proptest! {
        /// What is found is the first row that has the value, wherever the rows lie in memory.
        #[test]
        fn the_first_row_is_found(
            results in prop::collection::vec(prop::collection::vec(prop::option::of(0u8..12), 1..24), 1..24),
            width in 1usize..4,
            kept in 1usize..5,
            value in 0u8..14,
            from in 0u64..100,
            to in 0u64..120,
        ) {
            let key = ValueKey::random();
            let value = key.int(i64::from(value));
            let mut source = Source::new(Fingerprint(1), None, &wide_result(key, width, &[]));
            for (index, rows) in results.iter().enumerate() {
                let kept_from = (index + 1).saturating_sub(kept) as u64;
                add(&mut source, &wide_result(key, width, rows), index as u64, kept_from);
            }
            for column in 0..width {
                let expected = (from..to.min(source.end())).find(|row| source.value(column, *row) == Some(value));
                prop_assert_eq!(source.find(column, value, from, to), expected);
            }
        }

        /// With an index the same rows are found as without.
        #[test]
        fn an_index_changes_no_answer(
            results in prop::collection::vec(prop::collection::vec(prop::option::of(0u8..60), 1..60), 1..8),
            forgotten in 0usize..6,
            value in 0u8..64,
            from in 0u64..300,
            to in 0u64..300,
        ) {
            let key = ValueKey::random();
            let value = key.int(i64::from(value));
            let mut plain = Source::new(Fingerprint(1), None, &result(key, &[]));
            let mut followed = Source::new(Fingerprint(1), None, &result(key, &[]));
            followed.follow(0);
            for (index, rows) in results.iter().enumerate() {
                for source in [&mut plain, &mut followed] {
                    let kept_from = forgotten.min(index) as u64;
                    add(source, &result(key, rows), index as u64, kept_from);
                }
            }
            prop_assert_eq!(plain.find(0, value, from, to), followed.find(0, value, from, to));
            prop_assert_eq!(plain.find(0, value, 0, u64::MAX), followed.find(0, value, 0, u64::MAX));
        }
    }
}
