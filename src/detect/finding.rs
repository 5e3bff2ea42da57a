//! What a finding is: the plain data that leaves the detectors.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::Moment;
use crate::sql::Fingerprint;
use crate::unit::{Evidence, FindingId, UnitId};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A foreign key followed row by row: `order.customer` in a loop.
    NPlusOneForward,
    /// The rows that point to each row: `order.items.all()` in a loop.
    NPlusOneReverse,
    /// The same through a many-to-many table: `product.tags.all()` in a loop.
    NPlusOneManyToMany,
    /// A deferred column, or the whole row, read again row by row.
    NPlusOneDeferred,
    /// `count()`, `exists()` or an aggregate for each row.
    NPlusOneAggregate,
    /// Look-ups by values that come from no result.
    QueryLoop,
    /// INSERT, UPDATE or DELETE one row at a time.
    WriteLoop,
    /// The same statement with the same values again in one unit.
    Duplicate,
    /// A unit of more statements than the budget.
    ChattyUnit,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Kind; 9] = [
        Kind::NPlusOneForward,
        Kind::NPlusOneReverse,
        Kind::NPlusOneManyToMany,
        Kind::NPlusOneDeferred,
        Kind::NPlusOneAggregate,
        Kind::QueryLoop,
        Kind::WriteLoop,
        Kind::Duplicate,
        Kind::ChattyUnit,
    ];

    /// The word of the API and of the label `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::NPlusOneForward => "n_plus_one_forward",
            Kind::NPlusOneReverse => "n_plus_one_reverse",
            Kind::NPlusOneManyToMany => "n_plus_one_many_to_many",
            Kind::NPlusOneDeferred => "n_plus_one_deferred",
            Kind::NPlusOneAggregate => "n_plus_one_aggregate",
            Kind::QueryLoop => "query_loop",
            Kind::WriteLoop => "write_loop",
            Kind::Duplicate => "duplicate",
            Kind::ChattyUnit => "chatty_unit",
        }
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Confidence {
    /// Repetition only.
    Suspected,
    /// Values flow, but something that proves it is missing.
    Likely,
    /// The values are a run of one column of one parent, in one unit with a certain boundary.
    Proved,
}

impl Confidence {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Suspected => "suspected",
            Confidence::Likely => "likely",
            Confidence::Proved => "proved",
        }
    }
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It occurs.
    Open,
    /// It occurs no more, while the units it occurred in still run.
    Fixed,
    /// Somebody does not want to hear of it.
    Muted,
}

impl Status {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Fixed => "fixed",
            Status::Muted => "muted",
        }
    }
}

/// How much a finding costs: its cost a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Under 10 ms a unit, or only suspected.
    Low,
    /// From 10 ms a unit on: people do not see it yet, a server under load does.
    Medium,
    /// From 100 ms a unit on: people feel it.
    High,
}

impl Severity {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        }
    }
}

/// A query shape in a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Its normalised text; empty where it was not kept.
    pub query: Arc<str>,
    /// The table whose column it is about.
    pub table: Option<Arc<str>>,
    /// That column: of the parent the one whose values flow, of the child the one that is compared with them.
    pub column: Option<Arc<str>>,
}

/// The figures that prove a loop, of the occurrence with the most children.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Parent rows seen.
    pub rows: u64,
    /// Of them, rows whose value is NULL.
    pub nulls: u64,
    /// Different values among the children's.
    pub distinct: u64,
    /// Children whose value is one of the parent's.
    pub matched: u64,
    /// Children whose value came in the parent's order.
    pub in_order: u64,
    /// In words: `shop_order.customer_id -> shop_customer.id, 10 of 10 rows in order`.
    pub pattern: String,
}

/// A loop that runs inside another: one level of a chain, outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The table whose rows it runs over.
    pub parent_table: Option<Arc<str>>,
    /// The column whose values it passes on.
    pub parent_column: Option<Arc<str>>,
    /// The table that it looks up.
    pub child_table: Option<Arc<str>>,
    /// The column that it looks up by.
    pub child_column: Option<Arc<str>>,
    /// What that loop would be called alone.
    pub kind: Kind,
}

/// Something worth fixing, with all that was seen of it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its identity.
    pub id: FindingId,
    /// What it is.
    pub kind: Kind,
    /// What becomes of it.
    pub status: Status,
    /// The surest that it was seen.
    pub confidence: Confidence,
    /// The evidence of the unit in which it was surest.
    pub evidence: Evidence,
    /// What it costs a unit.
    pub severity: Severity,
    /// What repeats.
    pub child: Side,
    /// Whose rows it repeats for; `None` where no parent is known.
    pub parent: Option<Side>,
    /// The loops around it, outermost first; empty for a loop of one level.
    pub chain: Vec<Link>,
    /// Loops seen, one a unit.
    pub occurrences: u64,
    /// Units in which it was seen.
    pub units: u64,
    /// Statements in those loops.
    pub queries: u64,
    /// What the surplus statements took, application gaps included, nanoseconds, in total.
    pub cost_ns: u64,
    /// What the fix would save, nanoseconds, in total: the cost less what the fix itself costs.
    pub saves_ns: u64,
    /// Children for each parent row, over units of different size: 1 is "one query more per row".
    pub children_per_row: f64,
    /// When it was first seen.
    pub first_seen: Moment,
    /// When it was last seen.
    pub last_seen: Moment,
    /// `route`, `controller`, `test`, `callsite` and the values seen of each, at most 8 of a key.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
    /// The figures that prove it; `None` where nothing flows.
    pub proof: Option<Proof>,
    /// Statements of the largest unit in which it was seen.
    pub queries_before: u64,
    /// Statements that unit would have with the fix.
    pub queries_after: u64,
    /// A unit to look at, if it is still kept.
    pub example_unit: Option<UnitId>,
    /// What the child does, for those who word the fix.
    pub detail: Detail,
}

/// What the child statement of a finding does, as far as the wording of a fix depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// What it asks for.
    pub operation: Operation,
    /// Of many-to-many: the table between the two sides.
    pub through: Option<Arc<str>>,
    /// The table whose rows it returns.
    pub main_table: Option<Arc<str>>,
    /// Of a deferred load: the columns that the parent did not have; empty when it had them all.
    pub columns: Vec<Arc<str>>,
    /// What else is known of it.
    pub traits: BTreeSet<Trait>,
    /// Other tables that the same parent column led to: a generic foreign key.
    pub further_tables: Vec<Arc<str>>,
}

impl Detail {
    /// Whether the child or its parent is so.
    pub fn is(&self, one: Trait) -> bool {
        self.traits.contains(&one)
    }
}

/// Something that the wording of a fix depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    /// The child has LIMIT; Django writes `LIMIT 21` for `get()` and `LIMIT 1` for `first()`.
    Limited,
    /// The child has ORDER BY.
    Ordered,
    /// The child has conditions beyond the one on `child_column`.
    Narrowed,
    /// At most one row came each time.
    Single,
    /// The parent's rows came through a server-side cursor (`iterator()`).
    FromCursor,
    /// The parent's column was NULL in some rows.
    Nullable,
}

/// What a child statement asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Operation {
    /// Rows.
    #[default]
    Rows,
    /// Whether there are any.
    Exists,
    /// The value of aggregate functions, by their names in lower case.
    Aggregate(Vec<String>),
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// A SELECT, and an INSERT where it found nothing.
    GetOrCreate,
    /// A SELECT ... FOR UPDATE, then an UPDATE or an INSERT.
    UpdateOrCreate,
    /// An INSERT into the table between two sides.
    Add,
}
