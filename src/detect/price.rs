//! What a loop costs, and what its fix would cost instead.
//!
//! The fix leaves some statements, and it works on the same rows: docs/price.md has the measurements behind both.

use super::Kind;
use super::group::{Group, Span};
use crate::sql::Verb;

/// What Django needs for one row more of a result that it reads anyway, nanoseconds: the model instance of a joined
/// or prefetched row is made with the fix as without it.
const ROW_NS: u64 = 20_000;

/// What Django needs for one row of a `bulk_update`, nanoseconds: it builds and resolves an expression for each.
const UPDATED_ROW_NS: u64 = 150_000;

/// The same in tenths of what it needs between two statements of a loop: on a faster machine both are shorter.
const UPDATED_ROW_TENTHS: u64 = 4;

/// Statements around one that writes many rows, outside a transaction: BEGIN and COMMIT.
const AROUND_BULK: u64 = 2;

/// A loop's price in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Price {
    /// Statements that the fix makes unnecessary.
    pub surplus: u64,
    /// What they took, the application's gaps included, nanoseconds.
    pub cost_ns: u64,
    /// What the fix would save, nanoseconds.
    pub saves_ns: u64,
}

impl Price {
    /// Of all members of a group, of which `remaining` statements stay with the fix.
    pub(super) fn of(group: &Group, remaining: u64) -> Price {
        let count = group.count.max(1);
        let surplus = count.saturating_sub(remaining);
        let cost_ns = part(group.cost_ns(), surplus, count);
        let fix_ns = rows_ns(group) + around_ns(group, remaining);
        Price {
            surplus,
            cost_ns,
            saves_ns: cost_ns - fix_ns.min(cost_ns / 2),
        }
    }

    /// With another loop that the same fix removes.
    pub(super) fn and(self, other: Price) -> Price {
        Price {
            surplus: self.surplus + other.surplus,
            cost_ns: self.cost_ns + other.cost_ns,
            saves_ns: self.saves_ns + other.saves_ns,
        }
    }

    /// How many statements a fix of this kind leaves.
    pub(super) fn remaining(kind: Kind, single: bool) -> u64 {
        match kind {
            // A join, a column more, an annotation: no statement of its own.
            Kind::NPlusOneForward | Kind::NPlusOneDeferred | Kind::NPlusOneAggregate => 0,
            // A reverse one-to-one is joined too.
            Kind::NPlusOneReverse if single => 0,
            Kind::NPlusOneReverse
            | Kind::NPlusOneManyToMany
            | Kind::QueryLoop
            | Kind::WriteLoop
            | Kind::Duplicate
            | Kind::ChattyUnit => 1,
        }
    }
}

/// What the fix does with the rows of a group.
fn rows_ns(group: &Group) -> u64 {
    let row_ns = match group.verb {
        Verb::Update => UPDATED_ROW_NS.min(group.mean_gap_ns() * UPDATED_ROW_TENTHS / 10),
        _ => ROW_NS,
    };
    group.rows.saturating_mul(row_ns)
}

/// What the fix of a loop that writes sends beside its statement: Django puts what writes many rows into a
/// transaction, and then each of the three is a round trip.
fn around_ns(group: &Group, remaining: u64) -> u64 {
    let writes = matches!(group.verb, Verb::Insert | Verb::Update | Verb::Delete);
    if writes && remaining > 0 && group.span == Span::One(None) {
        part(group.duration_ns, AROUND_BULK, group.count.max(1))
    } else {
        0
    }
}

/// `part` of `whole` equal parts.
fn part(total_ns: u64, part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(total_ns) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX)
}
