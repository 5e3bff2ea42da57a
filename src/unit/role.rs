//! What a statement is to a unit of work: a query of the application, housekeeping, or a mark.

use std::sync::LazyLock;

use crate::event::{ByShape, Protocol, QueryEvent, Shape, ShapeRef};
use crate::sql::facts::{Facts, Operand, Predicate};
use crate::sql::{Fingerprint, Verb, VerbClass, scan_all};
use crate::wire::TransactionStatus;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A statement of the application: what units consist of.
    Query(Use),
    /// BEGIN, COMMIT, SET, a driver's look-up of types and the like.
    Housekeeping,
    /// What Django sends to see whether its connection is alive.
    HealthCheck,
    /// What psycopg's pool sends before it hands a connection out.
    PoolCheck,
}

/// What a request does to its session besides its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Nothing: this is the work.
    Work,
    /// One row of one table by one column, as the user is looked up behind the session.
    OneRow,
    /// Django's look-up of a session that has not expired: once a request, when it first asks who is logged in.
    SessionLookup,
    /// The session is written, as the middleware does after the view.
    SessionSave,
}

/// `SELECT 1`.
static BARE_SELECT: LazyLock<Option<Fingerprint>> = LazyLock::new(|| {
    let scanned = scan_all("SELECT 1");
    scanned.first().map(|statement| statement.fingerprint)
});

/// Shapes whose role is remembered; that of further ones is worked out each time.
const SHAPES_MAX: usize = 20_000;

/// The roles of shapes, each worked out once: it takes many comparisons of names.
#[derive(Debug)]
pub(super) struct Roles {
    known: ByShape<(Verb, Role)>,
}

impl Default for Roles {
    fn default() -> Roles {
        Roles {
            known: ByShape::new(SHAPES_MAX),
        }
    }
}

impl Roles {
    #[inline]
    pub(super) fn of(&mut self, event: &QueryEvent) -> Role {
        match event.verb.class() {
            VerbClass::Transaction | VerbClass::Setting | VerbClass::Cursor => Role::Housekeeping,
            VerbClass::Prepared if event.verb != Verb::Execute => Role::Housekeeping,
            VerbClass::Empty => match (event.protocol, event.transaction_before) {
                (Protocol::Simple, TransactionStatus::Idle) => Role::PoolCheck,
                _ => Role::Housekeeping,
            },
            VerbClass::Query => self.of_data(event),
            VerbClass::Prepared
            | VerbClass::Definition
            | VerbClass::Maintenance
            | VerbClass::Notification
            | VerbClass::Other => Role::Query(Use::Work),
        }
    }

    #[inline]
    fn of_data(&mut self, event: &QueryEvent) -> Role {
        if event.verb == Verb::Select && Some(event.fingerprint) == *BARE_SELECT {
            let alone = event.protocol == Protocol::Simple
                && event.transaction_before == TransactionStatus::Idle
                && event.rows == 1;
            return if alone {
                Role::HealthCheck
            } else {
                Role::Housekeeping
            };
        }
        self.of_shape(event.verb, event.shape)
    }

    /// What the shape alone tells: enough for a cursor's query.
    #[inline]
    pub(super) fn of_shape(&mut self, verb: Verb, shape: Option<ShapeRef>) -> Role {
        let Some(shape) = shape else {
            return Role::Query(Use::Work);
        };
        match self.known.get(shape.number()) {
            Some((known, role)) if known == verb => role,
            _ => self.of_new_shape(verb, shape),
        }
    }

    #[cold]
    fn of_new_shape(&mut self, verb: Verb, shape: ShapeRef) -> Role {
        let role = Role::of_shape(verb, &shape);
        // What its tables are may be known later; once it is, it stays.
        if shape.facts().is_some() {
            self.known.set(shape.number(), (verb, role));
        }
        role
    }
}

impl Role {
    fn of_shape(verb: Verb, shape: &Shape) -> Role {
        if verb == Verb::Select && sets_config(&shape.text) {
            return Role::Housekeeping;
        }
        let Some(facts) = shape.facts() else {
            return Role::Query(Use::Work);
        };
        match verb {
            Verb::Select if reads_types(facts) => Role::Housekeeping,
            Verb::Select if looks_session_up(facts) => Role::Query(Use::SessionLookup),
            Verb::Select if reads_one_row(facts) => Role::Query(Use::OneRow),
            Verb::Update if compares(facts, SESSION_KEY, "=") => Role::Query(Use::SessionSave),
            Verb::Insert if facts.tables.iter().any(|table| table == SESSION_TABLE) => {
                Role::Query(Use::SessionSave)
            }
            _ => Role::Query(Use::Work),
        }
    }
}

/// `django.contrib.sessions`, in its documented form: any backend that keeps sessions in a table derives from it.
const SESSION_TABLE: &str = "django_session";
const SESSION_KEY: &str = "session_key";
const SESSION_EXPIRY: &str = "expire_date";

/// `SELECT set_config('TimeZone', ...)`: Django's way to say SET, and how row-level security is told who asks.
fn sets_config(text: &str) -> bool {
    const CALLS: [&str; 2] = ["SELECT set_config(", "SELECT pg_catalog.set_config("];
    CALLS.iter().any(|call| {
        text.get(..call.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(call))
    })
}

/// The look-ups by which drivers learn the object ids of types, once a process.
fn reads_types(facts: &Facts) -> bool {
    let name = |table: &String| {
        table
            .strip_prefix("pg_catalog.")
            .unwrap_or(table)
            .to_owned()
    };
    let mut tables = facts.tables.iter().map(name).peekable();
    let mut types = false;
    tables.peek().is_some()
        && tables.all(|table| {
            types |= table == "pg_type";
            table.starts_with("pg_")
        })
        && types
}

fn looks_session_up(facts: &Facts) -> bool {
    compares(facts, SESSION_KEY, "=") && compares(facts, SESSION_EXPIRY, ">")
}

fn reads_one_row(facts: &Facts) -> bool {
    facts.limit
        && facts.tables.len() == 1
        && matches!(
            facts.predicates.as_slice(),
            [Predicate { operator, operand: Operand::Constant(_), .. }] if operator == "="
        )
}

fn compares(facts: &Facts, column: &str, operator: &str) -> bool {
    facts
        .predicates
        .iter()
        .any(|predicate| &*predicate.column.name == column && predicate.operator == operator)
}
