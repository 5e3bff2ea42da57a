//! What the database itself says about its tables: keys and constraints, by name. Whoever can ask it fills this in.

use std::collections::{BTreeMap, BTreeSet};

use super::Place;

/// Primary keys, foreign keys and unique columns of the tables that were looked up.
///
/// A table goes by the name that statements use for it: `table`, or `schema.table` where they qualify it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relations {
    tables: BTreeMap<String, TableKeys>,
}

/// The keys of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableKeys {
    /// Columns of the primary key, in its order; empty where it has none.
    pub primary_key: Vec<String>,
    /// Foreign keys of one column: the column, and the place it refers to.
    pub foreign_keys: BTreeMap<String, Place>,
    /// Columns that are unique alone, the primary key's included, by indexes without a condition.
    pub unique: BTreeSet<String>,
}

impl Relations {
    /// Learns the keys of `table`, and forgets what was known of it.
    pub fn learn(&mut self, table: impl Into<String>, keys: TableKeys) {
        self.tables.insert(table.into(), keys);
    }

    /// Forgets `table`.
    pub fn forget(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// Tables it knows.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether it knows no table.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// The primary key's columns; `None` where the table is not known.
    pub fn primary_key(&self, table: &str) -> Option<&[String]> {
        self.tables.get(table).map(|keys| &*keys.primary_key)
    }

    /// Where the values of this column come from, by a foreign key of one column.
    pub fn foreign_key(&self, table: &str, column: &str) -> Option<&Place> {
        self.tables.get(table)?.foreign_keys.get(column)
    }

    /// Whether this column alone is unique; `None` where the table is not known.
    pub fn is_unique(&self, table: &str, column: &str) -> Option<bool> {
        self.tables
            .get(table)
            .map(|keys| keys.unique.contains(column))
    }
}
