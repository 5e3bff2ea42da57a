//! The facts of a finding that its advice depends on, as plain data.

use std::sync::Arc;

use crate::detect::{Finding, Kind};
use crate::sql::facts::{Column, Facts, Lock, Operand, Output};

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
    /// The parent's rows have a column for a content type, by its usual name.
    pub parent_is_typed: bool,
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

/// What a child asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// All rows: `.all()`, `.filter()`.
    Rows,
    /// The one row: `.get()`, a forward relation.
    One,
    /// The first by an order, as written (`shop_review.created_at DESC`): `.first()`, `.latest()`, `[:n]`.
    First(Vec<String>),
    /// `.count()`.
    Count,
    /// `.exists()`.
    Exists,
    /// An aggregate function in lower case, and its column.
    Aggregate(String, Option<String>),
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
    /// INSERT, with its columns; `ON CONFLICT DO NOTHING` is how Django adds to a many-to-many relation.
    Insert {
        /// Its columns.
        columns: Vec<String>,
        /// It has ON CONFLICT.
        on_conflict: bool,
    },
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
            parent_is_typed: false,
            child: None,
            child_from: From::default(),
            operation: Operation::Rows,
            conditions: Vec::new(),
            columns: Vec::new(),
            write: None,
            chain: Vec::new(),
            cursor: false,
            siblings: false,
            figures: Figures::default(),
        }
    }

    /// What `finding` says, with the facts of its two shapes where they are known.
    ///
    /// A `write_loop` whose child is a SELECT is taken for get_or_create, or update_or_create where it locks; so is one
    /// whose child is an INSERT and whose parent is a look-up in the same table.
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
            parent_is_typed: finding
                .parent
                .as_ref()
                .and_then(|side| side.table.as_deref())
                .zip(parent)
                .is_some_and(|(table, facts)| {
                    let columns = returned(facts, table);
                    columns.iter().any(|name| name.ends_with("content_type_id"))
                }),
            child_from: From::of(child),
            operation: child.map_or(Operation::Rows, |facts| {
                operation(facts, &finding.child.query)
            }),
            conditions: conditions(child, child_place.as_ref()),
            columns: missing_columns(child, parent, child_place.as_ref()),
            write: write(finding, child, parent),
            child: child_place,
            // A chain with a gap leads nowhere from its start.
            chain: if chain.len() == finding.chain.len() {
                chain
            } else {
                Vec::new()
            },
            cursor: false,
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
        let place = |column: &Column| Some(Place::new(column.table.clone()?, &*column.name));
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

fn operation(facts: &Facts, query: &str) -> Operation {
    match &*facts.outputs {
        [Output::Aggregate(name)] if name == "count" => Operation::Count,
        [Output::Aggregate(name)] => {
            Operation::Aggregate(name.clone(), aggregated_column(query, name))
        }
        [Output::Constant] if facts.limit => Operation::Exists,
        _ if !facts.limit => Operation::Rows,
        // `.get()` takes any order away before it asks; whoever wants the first of several keeps it.
        _ if facts.ordering.is_empty() => Operation::One,
        _ => Operation::First(facts.ordering.clone()),
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
                predicate.column.name == column
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
            table: predicate.column.table.clone(),
            column: predicate.column.name.clone(),
            operator: predicate.operator.clone(),
        })
        .collect()
}

/// The columns that the child asks for and the parent's rows do not have; empty when they had all of them.
fn missing_columns(
    child: Option<&Facts>,
    parent: Option<&Facts>,
    place: Option<&Place>,
) -> Vec<String> {
    let (Some(child), Some(place)) = (child, place) else {
        return Vec::new();
    };
    let had: Vec<&str> = parent.map_or_else(Vec::new, |facts| returned(facts, &place.table));
    returned(child, &place.table)
        .into_iter()
        .filter(|column| *column != place.column && !had.contains(column))
        .map(str::to_owned)
        .collect()
}

fn returned<'f>(facts: &'f Facts, table: &str) -> Vec<&'f str> {
    let own = |column: &'f Column| {
        let is_own = column.table.as_deref().is_none_or(|it| it == table);
        is_own.then_some(&*column.name)
    };
    facts
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Column(column) => own(column),
            Output::All | Output::Constant | Output::Aggregate(_) | Output::Expression => None,
        })
        .collect()
}

fn write(finding: &Finding, child: Option<&Facts>, parent: Option<&Facts>) -> Option<Write> {
    if finding.kind != Kind::WriteLoop {
        return None;
    }
    let child = child?;
    let columns = || child.assignments.iter().map(|(name, _)| name.clone());
    Some(match child.summary.split(' ').next()? {
        "INSERT" if parent.is_some_and(|parent| is_lookup(parent, child)) => Write::GetOrCreate,
        "INSERT" => Write::Insert {
            columns: columns().collect(),
            on_conflict: finding.child.query.contains(" ON CONFLICT"),
        },
        "UPDATE" => Write::Update {
            columns: columns().collect(),
            computed: child
                .assignments
                .iter()
                .all(|(_, value)| matches!(value, Operand::Column(_) | Operand::Expression)),
        },
        "DELETE" => Write::Delete,
        "SELECT" if child.lock == Lock::None => Write::GetOrCreate,
        "SELECT" => Write::UpdateOrCreate,
        _ => return None,
    })
}

/// Whether `parent` is a `.get()` in the table that is written: LIMIT without an order, by a constant.
fn is_lookup(parent: &Facts, written: &Facts) -> bool {
    let by_constant = parent.predicates.iter().any(|predicate| {
        predicate.operator == "=" && matches!(predicate.operand, Operand::Constant(_))
    });
    parent.main_table == written.main_table
        && parent.summary.starts_with("SELECT")
        && parent.limit
        && parent.ordering.is_empty()
        && by_constant
}
