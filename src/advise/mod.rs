//! A finding in the words of the Django ORM: what to write, and why.
//!
//! [`Case`] is what an advice depends on; [`advise`] makes the words. Names come from the model map ([`Models`]), else
//! by Django's conventions from tables and columns.
//!
//! *Architecture invariant:* it never invents a name. What it cannot know it says.

mod case;
mod conventions;
mod guide;
mod line;
mod models;
mod path;
mod reads;
mod relations;
mod writes;

pub use case::{Case, Condition, Figures, FirstRows, From, Generic, Operation, Place, Write};
pub use guide::{Guide, TABLES_MAX, has_sibling};
pub use models::{
    FILE_BYTES_MAX, Field, Model, Models, ModelsError, Parent, Relation, RelationKind, Through,
    VERSION,
};
pub use relations::{Relations, TableKeys};

use crate::detect::Kind;
use line::Line;
use path::Sources;

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice {
    /// One line: `Fetch customers together with their orders`.
    pub title: String,
    /// The Django line: `Order.objects.select_related("customer")`.
    pub django: String,
    /// Two sentences with the figures.
    pub why: String,
    /// Whether every name in `django` is known; otherwise it says openly what is not.
    pub complete: bool,
}

/// What to write, and why.
///
/// ```
/// use pgprism::advise::{Case, Models, Place, Relations, advise};
/// use pgprism::detect::Kind;
///
/// let case = Case {
///     parent: Some(Place::new("shop_order", "customer_id")),
///     child: Some(Place::new("shop_customer", "id")),
///     ..Case::of_kind(Kind::NPlusOneForward)
/// };
/// let advice = advise(&case, &Models::default(), &Relations::default());
/// assert!(advice.django.starts_with("select_related(\"customer\")  # on the queryset that reads shop_order"));
/// assert!(advice.complete);
/// ```
pub fn advise(case: &Case, models: &Models, relations: &Relations) -> Advice {
    let mut line = Line::new(Sources { models, relations });
    let words = match case.kind {
        Kind::NPlusOneForward | Kind::NPlusOneReverse | Kind::NPlusOneManyToMany => {
            reads::relation(case, &mut line)
        }
        Kind::NPlusOneDeferred => reads::deferred(case, &mut line),
        Kind::NPlusOneAggregate => reads::aggregate(case, &mut line),
        Kind::QueryLoop => reads::lookups(case, &mut line),
        Kind::WriteLoop => writes::writes(case, &mut line),
        Kind::Duplicate => reads::duplicate(case, &line),
        Kind::ChattyUnit => reads::chatty(case),
    };
    Advice {
        title: words.title,
        django: words.django,
        why: why(case),
        complete: line.complete,
    }
}

/// A title and a Django line.
struct Words {
    title: String,
    django: String,
}

/// Two sentences: what was seen, and what the line changes.
fn why(case: &Case) -> String {
    let figures = &case.figures;
    let units = figures.occurrences.max(1);
    let each = figures.queries.div_ceil(units);
    let table = case.child_from.table.as_deref();
    let table = table.or(case.child.as_ref().map(|child| &*child.table));
    let table = table.unwrap_or("the database");
    let statements = if units == 1 {
        format!("One unit of work ran {}", count(each, "statement"))
    } else {
        format!(
            "Each of {units} units of work ran about {}",
            count(each, "statement")
        )
    };
    let seen = match (case.kind, &case.parent) {
        (Kind::WriteLoop, _) => format!("{statements} that write one row of {table} each."),
        (Kind::Duplicate, _) => {
            format!("{statements} on {table} with the same text and the same values.")
        }
        (Kind::ChattyUnit, _) => format!("{statements}, more than the budget allows."),
        (Kind::QueryLoop, _) | (_, None) => {
            format!("{statements} of one shape on {table}, each with other values.")
        }
        (_, Some(parent)) => format!(
            "{statements} on {table}, one for each value of {parent} that a query before them had returned."
        ),
    };
    let cost = milliseconds(figures.cost_ns / units);
    let saves = milliseconds(figures.saves_ns / units);
    let changes = if figures.queries_after < figures.queries_before {
        format!(
            "With the fix the largest unit goes from {} to {}, which saves about {saves} of the {cost} that they take a unit.",
            count(figures.queries_before, "statement"),
            figures.queries_after,
        )
    } else {
        format!("They take {cost} a unit, the pauses between them included.")
    };
    format!("{seen} {changes}")
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn milliseconds(nanoseconds: u64) -> String {
    let tenths = nanoseconds.saturating_add(50_000) / 100_000;
    if tenths < 100 {
        format!("{}.{} ms", tenths / 10, tenths % 10)
    } else {
        format!("{} ms", tenths.saturating_add(5) / 10)
    }
}

#[cfg(test)]
mod tests;
