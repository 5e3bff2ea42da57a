//! The facts of a finding that its advice depends on, as plain data.

use std::sync::Arc;

use crate::detect::{self, Finding, Kind, Side, Trait};
use crate::sql::facts::{Column, FACTS_MAX, Facts, Operand, Output};

/// A column and its table; the table is `schema.table` where the statement qualifies it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "explained above")]
pub struct Place {
    pub table: String,
    pub column: String,
}

impl Place {
    /// A place from its two names.
    pub fn new(table: impl Into<String>, column: impl Into<String>) -> Place {
        Place {
            table: table.into(),
            column: column.into(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// What an advice is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What was found.
    pub kind: Kind,
    /// The column of the parent's rows that the children's values come from; `None` where no parent is known.
    pub parent: Option<Place>,
    /// The table that the parent's query is about, where it differs from `parent.table`, and its joins' equalities.
    pub parent_from: From,
    /// What says that the parent's column may lead to rows of any table.
    pub generic: Generic,
    /// The column that a child compares with such a value.
    pub child: Option<Place>,
    /// The table that a child's query is about, and its joins.
    pub child_from: From,
    /// What a child asks for.
    pub operation: Operation,
    /// The conditions of a child beside the one on `child.column` and those of its joins.
    pub conditions: Vec<Condition>,
    /// Columns a child asks for, for deferred loads: those the parent's rows did not have.
    pub columns: Vec<String>,
    /// What a child writes.
    pub write: Option<Write>,
    /// The parent's query joins the child's table by these very columns, and reads columns of it.
    pub joined_already: bool,
    /// The loops around this one, outermost first: from a parent's column to a child's.
    pub chain: Vec<(Place, Place)>,
    /// The parent's rows came through a server-side cursor: `.iterator()`.
    pub cursor: bool,
    /// Another count or aggregate runs for the same parent rows, so that both would be joined into one query.
    pub siblings: bool,
    /// How often, and what it costs.
    pub figures: Figures,
}

/// The tables of one query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct From {
    /// The table behind FROM.
    pub table: Option<String>,
    /// The equalities of its joins.
    pub joins: Vec<(Place, Place)>,
}

/// Whether a parent's column is a generic foreign key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generic {
    /// Nothing says so.
    Unlikely,
    /// The parent's rows have a content type too.
    Possible,
    /// Its values were looked up in several tables.
    Certain,
}

/// What a child asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// All rows: `.all()`, `.filter()`.
    Rows,
    /// The one row: `.get()`, a forward relation.
    One,
    /// The first ones by an order: `.first()`, `.latest()`, `[:n]`.
    First {
        /// The order as written: `shop_review.created_at DESC`.
        ordering: Vec<String>,
        /// How many at most.
        rows: FirstRows,
    },
    /// `.count()`.
    Count,
    /// `.exists()`.
    Exists,
    /// An aggregate function in lower case, and its column.
    Aggregate(String, Option<String>),
}

/// How many rows a child with LIMIT got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstRows {
    /// One at most, each time: `.first()`, `.latest()`.
    One,
    /// More: a slice.
    Several,
}

/// A further condition of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in sql::facts::Predicate")]
pub struct Condition {
    pub table: Option<String>,
    pub column: String,
    pub operator: String,
}

/// What a child writes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// INSERT, with its columns.
    Insert {
        /// Its columns.
        columns: Vec<String>,
    },
    /// INSERT into the table between the two sides of a many-to-many relation.
    Add,
    /// UPDATE, with the columns that it sets.
    Update {
        /// Its columns.
        columns: Vec<String>,
        /// All new values are made of columns (`stock = stock - 1`).
        computed: bool,
    },
    /// DELETE.
    Delete,
    /// A look-up, and an INSERT where it found nothing.
    GetOrCreate,
    /// The same with a lock, and an UPDATE where it found something.
    UpdateOrCreate,
}

/// How often, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Loops seen.
    pub occurrences: u64,
    /// Statements in all of them.
    pub queries: u64,
    /// What the surplus statements took in all of them, nanoseconds.
    pub cost_ns: u64,
    /// What the fix would save of it, nanoseconds.
    pub saves_ns: u64,
    /// Statements of the largest unit.
    pub queries_before: u64,
    /// Statements that unit would have with the fix.
    pub queries_after: u64,
}

impl Case {
    /// A case of which nothing is known but its kind.
    pub fn of_kind(kind: Kind) -> Case {
        Case {
            kind,
            parent: None,
            parent_from: From::default(),
            generic: Generic::Unlikely,
            child: None,
            child_from: From::default(),
            operation: Operation::Rows,
            conditions: Vec::new(),
            columns: Vec::new(),
            write: None,
            joined_already: false,
            chain: Vec::new(),
            cursor: false,
            siblings: false,
            figures: Figures::default(),
        }
    }

    /// What `finding` says, with the facts of its two shapes where they are known.
    /// `siblings` is for whoever sees all findings to set.
    pub fn of(finding: &Finding, child: Option<&Facts>, parent: Option<&Facts>) -> Case {
        let place = |table: &Option<Arc<str>>, column: &Option<Arc<str>>| match (table, column) {
            (Some(table), Some(column)) => Some(Place::new(&**table, &**column)),
            _ => None,
        };
        let child_place = place(&finding.child.table, &finding.child.column);
        let chain = finding
            .chain
            .iter()
            .map_while(|link| {
                place(&link.parent_table, &link.parent_column)
                    .zip(place(&link.child_table, &link.child_column))
            })
            .collect::<Vec<_>>();
        Case {
            kind: finding.kind,
            parent: finding
                .parent
                .as_ref()
                .and_then(|parent| place(&parent.table, &parent.column)),
            parent_from: From::of(parent),
            generic: generic(finding, parent),
            child_from: From {
                table: child
                    .and_then(|facts| facts.main_table.clone())
                    .or_else(|| finding.detail.main_table.as_deref().map(str::to_owned)),
                ..From::of(child)
            },
            operation: operation(finding, child),
            conditions: conditions(child, child_place.as_ref()),
            columns: finding
                .detail
                .columns
                .iter()
                .map(|column| column.to_string())
                .collect(),
            write: write(finding, child),
            joined_already: joined_already(finding, parent),
            // What get_or_create looks up by, its INSERT does not say, nor does the UPDATE by the primary key that follows.
            child: child_place.filter(|place| {
                let compares = |facts: &Facts| {
                    let mut compared = facts.predicates.iter();
                    compared.any(|predicate| *predicate.column.name == *place.column)
                };
                let is_lookup = |facts: &Facts| facts.summary.starts_with("SELECT");
                match finding.detail.operation {
                    _ if finding.kind != Kind::WriteLoop => true,
                    detect::Operation::GetOrCreate | detect::Operation::UpdateOrCreate => {
                        child.is_some_and(|facts| is_lookup(facts) && compares(facts))
                    }
                    _ => child.is_none_or(compares),
                }
            }),
            // A chain with a gap leads nowhere from its start.
            chain: if chain.len() == finding.chain.len() {
                chain
            } else {
                Vec::new()
            },
            cursor: finding.detail.is(Trait::FromCursor),
            siblings: false,
            figures: Figures {
                occurrences: finding.occurrences,
                queries: finding.queries,
                cost_ns: finding.cost_ns,
                saves_ns: finding.saves_ns,
                queries_before: finding.queries_before,
                queries_after: finding.queries_after,
            },
        }
    }
}

impl From {
    fn of(facts: Option<&Facts>) -> From {
        let place = |column: &Column| Some(Place::new(&**column.table.as_ref()?, &*column.name));
        From {
            table: facts.and_then(|facts| facts.main_table.clone()),
            joins: facts
                .into_iter()
                .flat_map(|facts| &facts.joins)
                .flat_map(|join| &join.on)
                .filter_map(|(one, other)| Some((place(one)?, place(other)?)))
                .collect(),
        }
    }
}

fn joined_already(finding: &Finding, parent: Option<&Facts>) -> bool {
    let (Some(side), Some(facts)) = (&finding.parent, parent) else {
        return false;
    };
    let is = |place: &Column, side: &Side| {
        place.table.as_deref() == side.table.as_deref()
            && side.column.as_deref() == Some(&*place.name)
    };
    let joined = facts
        .joins
        .iter()
        .flat_map(|join| &join.on)
        .any(|(one, other)| {
            (is(one, side) && is(other, &finding.child))
                || (is(other, side) && is(one, &finding.child))
        });
    let reads = facts.outputs.iter().any(|output| match output {
        Output::Column(column) => column.table.as_deref() == finding.child.table.as_deref(),
        Output::All => true,
        Output::Constant | Output::Aggregate(_) | Output::Expression => false,
    });
    // Of a list that was cut nobody knows what it goes on with.
    joined && (reads || facts.outputs.len() >= FACTS_MAX)
}

fn generic(finding: &Finding, parent: Option<&Facts>) -> Generic {
    if !finding.detail.further_tables.is_empty() {
        return Generic::Certain;
    }
    let table = finding
        .parent
        .as_ref()
        .and_then(|side| side.table.as_deref());
    let has_type = table.zip(parent).is_some_and(|(table, facts)| {
        facts.outputs.iter().any(|output| match output {
            Output::Column(column) => {
                let is_own = column.table.as_deref().is_none_or(|it| it == table);
                is_own && column.name.ends_with("content_type_id")
            }
            Output::All | Output::Constant | Output::Aggregate(_) | Output::Expression => false,
        })
    });
    if has_type {
        Generic::Possible
    } else {
        Generic::Unlikely
    }
}

fn operation(finding: &Finding, facts: Option<&Facts>) -> Operation {
    let detail = &finding.detail;
    match &detail.operation {
        detect::Operation::Exists => return Operation::Exists,
        detect::Operation::Aggregate(names) => {
            let name = names.first().map_or("count", String::as_str);
            return if name == "count" {
                Operation::Count
            } else {
                let column = aggregated_column(&finding.child.query, name);
                Operation::Aggregate(name.to_owned(), column)
            };
        }
        detect::Operation::Rows
        | detect::Operation::Insert
        | detect::Operation::Update
        | detect::Operation::Delete
        | detect::Operation::GetOrCreate
        | detect::Operation::UpdateOrCreate
        | detect::Operation::Add => {}
    }
    let (ordered, single) = (detail.is(Trait::Ordered), detail.is(Trait::Single));
    if !detail.is(Trait::Limited) {
        return Operation::Rows;
    }
    // `.get()` takes any order away before it asks; whoever wants the first of several keeps it.
    if !ordered && single {
        return Operation::One;
    }
    Operation::First {
        ordering: facts.map_or_else(Vec::new, |facts| facts.ordering.clone()),
        rows: if single {
            FirstRows::One
        } else {
            FirstRows::Several
        },
    }
}

/// `stars` of `AVG("shop_review"."stars")`, where a column alone is aggregated.
fn aggregated_column(query: &str, function: &str) -> Option<String> {
    let start = query.to_ascii_lowercase().find(&format!("{function}("))? + function.len() + 1;
    let inside = query.get(start..)?.split(')').next()?;
    let inside = inside.strip_prefix("DISTINCT ").unwrap_or(inside);
    let name = inside.rsplit('.').next()?.trim_matches('"');
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

fn conditions(facts: Option<&Facts>, child: Option<&Place>) -> Vec<Condition> {
    let Some(facts) = facts else {
        return Vec::new();
    };
    let mut own = child.map(|place| (&*place.table, &*place.column));
    facts
        .predicates
        .iter()
        .filter(|predicate| {
            if matches!(predicate.operand, Operand::Column(_)) {
                return false;
            }
            let is_own = own.is_some_and(|(table, column)| {
                &*predicate.column.name == column
                    && predicate
                        .column
                        .table
                        .as_deref()
                        .is_none_or(|it| it == table)
                    && matches!(&*predicate.operator, "=" | "IN")
            });
            if is_own {
                own = None;
            }
            !is_own
        })
        .map(|predicate| Condition {
            table: predicate.column.table.as_deref().map(str::to_owned),
            column: predicate.column.name.to_string(),
            operator: predicate.operator.clone(),
        })
        .collect()
}

fn write(finding: &Finding, child: Option<&Facts>) -> Option<Write> {
    let assignments = child.map_or(&[][..], |facts| &facts.assignments);
    let columns = || assignments.iter().map(|(name, _)| name.clone()).collect();
    Some(match &finding.detail.operation {
        detect::Operation::Insert => Write::Insert { columns: columns() },
        detect::Operation::Add => Write::Add,
        detect::Operation::Update => Write::Update {
            columns: columns(),
            computed: !assignments.is_empty()
                && assignments
                    .iter()
                    .all(|(_, value)| matches!(value, Operand::Column(_) | Operand::Expression)),
        },
        detect::Operation::Delete => Write::Delete,
        detect::Operation::GetOrCreate => Write::GetOrCreate,
        detect::Operation::UpdateOrCreate => Write::UpdateOrCreate,
        detect::Operation::Rows | detect::Operation::Exists | detect::Operation::Aggregate(_) => {
            return None;
        }
    })
}
