//! What a new query shape touches: tables, predicate columns, joins, by `sqlparser`, guarded.

/// Facts of one shape, taken from its normalised text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Tables and views it names, as written (`schema.table` where qualified), sorted, CTE names left out.
    pub tables: Vec<String>,
}
