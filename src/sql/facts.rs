//! What a new query shape touches: tables, predicate columns, joins, by `sqlparser`, guarded.
//!
//! *Architecture invariant:* the only place that knows `sqlparser`. What it cannot parse is unknown, never an error;
//! what could exhaust its stack is not shown to it ([`extract`]), and it runs on a thread with a stack of its own
//! ([`FactsWorker`]).

mod budget;
mod keys;
mod modifiers;
mod names;
mod read;
mod relations;
mod results;
mod worker;

pub use worker::{FactsWorker, QueueFull};

use std::sync::Arc;

use super::Verb;

/// Most entries of each list of [`Facts`]; what is beyond is left out.
pub const FACTS_MAX: usize = 64;
/// Longest summary, bytes, as OpenTelemetry's `db.query.summary` asks.
pub const SUMMARY_BYTES_MAX: usize = 255;

/// Facts of one shape, taken from its normalised text.
///
/// Names are as PostgreSQL knows them: quotes gone, unquoted ones in lower case. At most [`FACTS_MAX`] entries a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Tables and views it names (`schema.table` where qualified), sorted; names of CTEs are left out.
    pub tables: Vec<String>,
    /// The columns of WHERE, HAVING and ON conditions that are compared with something.
    pub predicates: Vec<Predicate>,
    /// Its joins, in the order in which they stand, those of subqueries included.
    pub joins: Vec<Join>,
    /// The statement itself (not only a subquery) has LIMIT or FETCH FIRST.
    pub limit: bool,
    /// The statement itself has OFFSET.
    pub offset: bool,
    /// Aggregate functions it calls, in lower case, sorted.
    pub aggregates: Vec<String>,
    /// What the statement itself orders by, as written: `shop_book.title DESC`.
    pub ordering: Vec<String>,
    /// What the statement itself returns, in order; of a write, what RETURNING names.
    pub outputs: Vec<Output>,
    /// The table it is about: the first of its own FROM, or the one it writes.
    pub main_table: Option<String>,
    /// What it locks.
    pub lock: Lock,
    /// The columns that an INSERT fills (its first row) or an UPDATE sets, and with what.
    pub assignments: Vec<(String, Operand)>,
    /// The foreign keys that a CREATE TABLE or an ALTER TABLE makes.
    pub references: Vec<Reference>,
    /// The statement itself has GROUP BY, DISTINCT, UNION or their like: a row of it is no row of a table.
    pub grouped: bool,
    /// OpenTelemetry's `db.query.summary`: `SELECT shop_book shop_author`, tables in the order in which they stand.
    pub summary: String,
}

/// A column, as far as the text says whose it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// Its table, aliases resolved; `None` where an unqualified name could be of several.
    pub table: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
}

/// A column that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// What is compared, casts and functions around it left out.
    pub column: Column,
    /// `=`, `>`, `IN`, `LIKE`, `IS NULL`, `@>`, ...; a `NOT ` in front where it is negated.
    pub operator: String,
    /// What it is compared with.
    pub operand: Operand,
}

/// The other side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// `$n` of the normalised text, its number; for IN and BETWEEN the first of them.
    Constant(u32),
    /// Another column.
    Column(Column),
    /// A subquery.
    Subquery,
    /// Nothing: `IS NULL` and its like.
    None,
    /// Anything else.
    Expression,
}

/// One column of what a statement returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A column of a table.
    Column(Column),
    /// `*` or `t.*`: any number of columns.
    All,
    /// `$n`: `SELECT 1`.
    Constant,
    /// An aggregate function's value, its name in lower case.
    Aggregate(String),
    /// Anything else.
    Expression,
}

/// What a statement locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lock {
    /// Nothing.
    #[default]
    None,
    /// The rows it returns (`FOR UPDATE`, `FOR SHARE`).
    Rows,
    /// The rows it returns, those that others have locked left out (`SKIP LOCKED`), a subquery of it included: what
    /// queues do.
    SkipLocked,
}

/// How two tables are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keywords of SQL")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

/// One JOIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Its kind.
    pub kind: JoinKind,
    /// The table that is joined; `None` for a subquery or a function.
    pub table: Option<String>,
    /// The equalities of its ON condition whose sides are both columns.
    pub on: Vec<(Column, Column)>,
}

/// A foreign key that a definition makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The column that refers.
    pub key: Column,
    /// The table whose rows it refers to.
    pub to_table: Arc<str>,
    /// Their column; `None` where it is the primary key, whatever that is.
    pub to_column: Option<Arc<str>>,
}

/// The facts of the first statement of `normalized`; `None` when it does not parse or is too large to try.
///
/// Needs up to 16 MiB of stack: call it on a [`FactsWorker`] unless the text is known to be harmless.
pub fn extract(normalized: &str) -> Option<Facts> {
    if !budget::allows(normalized) {
        return None;
    }
    read::facts(normalized)
}

/// The summary of a statement whose facts are unknown.
pub fn summary_of(verb: Verb) -> &'static str {
    verb.as_str()
}

#[cfg(test)]
mod tests;
