//! What several detectors ask of a group of statements.

use super::group::Group;
use crate::sql::facts::{Facts, Operand};
use crate::unit::Evidence;

/// PostgreSQL's own tables: what drivers, migrations and tools read.
pub(super) fn is_user_table(table: &str) -> bool {
    let (schema, name) = table.rsplit_once('.').unwrap_or(("", table));
    !name.starts_with("pg_") && !schema.starts_with("pg_") && schema != "information_schema"
}

/// The tables of PostgreSQL's catalogue that say which tables and columns there are; types are looked up by drivers.
const CATALOGUE: [&str; 4] = ["pg_class", "pg_attribute", "pg_constraint", "pg_index"];

/// Whether a statement reads what tables there are.
pub(super) fn reads_catalogue(facts: &Facts) -> bool {
    facts.tables.iter().any(|table| {
        let name = table.rsplit('.').next().unwrap_or(table);
        CATALOGUE.contains(&name)
    })
}

/// Whether a statement reads tables at all, and none of PostgreSQL's own.
pub fn reads_user_tables(facts: &Facts) -> bool {
    !facts.tables.is_empty() && facts.tables.iter().all(|table| is_user_table(table))
}

/// Whether a statement reads one part of many: by OFFSET, or by a key above the last one, with a LIMIT.
pub(super) fn reads_in_parts(facts: &Facts) -> bool {
    facts.offset
        || facts.predicates.iter().any(|predicate| {
            matches!(
                predicate.operator.as_str(),
                ">" | "<" | ">=" | "<=" | "BETWEEN"
            ) && matches!(predicate.operand, Operand::Constant(_))
                && (facts.limit || predicate.operator == "BETWEEN")
                && facts
                    .ordering
                    .iter()
                    .any(|ordering| ordering.contains(&*predicate.column.name))
        })
}

/// Whether something lies between its members that speaks against one loop: a pause each time (a poller, a worker,
/// one request after the other), or what breaks it.
pub(super) fn is_interrupted(group: &Group) -> bool {
    group.is_paced() || is_broken(group)
}

/// Whether its members are tasks: each waits, and then has a transaction of its own. They may follow a list of what is
/// due, row by row, and be no loop over it; only a trace tells that one request did them all.
pub(super) fn is_tasks(group: &Group, evidence: Evidence) -> bool {
    evidence != Evidence::Trace && group.is_paced() && group.mostly(group.between.apart)
}

/// Whether something breaks it: a definition each time (a migration), a failure each time (a retry).
pub(super) fn is_broken(group: &Group) -> bool {
    group.mostly(group.between.defined) || group.mostly(group.between.failed)
}
