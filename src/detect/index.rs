//! Which rows of a long column have a value, so that nobody has to look at each of them for one that is not there.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::sql::value::ValueHash;

/// One key column of a source, by value.
#[derive(Debug)]
pub(super) struct Index {
    /// The place of the column among the key columns.
    pub key: usize,
    rows: HashMap<ValueHash, Occurrences, RandomState>,
}

/// The first and the last row with a value; the first may be forgotten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrences {
    pub first: u64,
    pub last: u64,
}

impl Index {
    /// Of the column `key`, of which there are no rows yet.
    pub(super) fn new(key: usize) -> Index {
        Index {
            key,
            rows: HashMap::default(),
        }
    }

    pub(super) fn add(&mut self, row: u64, value: ValueHash) {
        let only = Occurrences {
            first: row,
            last: row,
        };
        self.rows.entry(value).or_insert(only).last = row;
    }

    /// A row is gone, and all before it.
    pub(super) fn forget(&mut self, row: u64, value: ValueHash) {
        if self.rows.get(&value).is_some_and(|it| it.last <= row) {
            self.rows.remove(&value);
        }
    }

    pub(super) fn get(&self, value: ValueHash) -> Option<Occurrences> {
        self.rows.get(&value).copied()
    }

    /// Bytes that it holds, estimated.
    pub(super) fn held_bytes(&self) -> usize {
        // A map keeps an eighth of its places free, and has a byte of its own for each.
        self.rows.capacity() * (size_of::<(ValueHash, Occurrences)>() + 1) * 8 / 7
    }
}
