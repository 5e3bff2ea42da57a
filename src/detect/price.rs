//! What a loop costs, and what its fix would cost instead.

use super::Kind;
use super::group::Group;

/// What Django needs for one row more of a result that it reads anyway, nanoseconds: the model instance of a joined
/// or prefetched row is made with the fix as without it.
const ROW_NS: u64 = 20_000;

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
        let whole_ns = group.cost_ns();
        let cost_ns = u64::try_from(u128::from(whole_ns) * u128::from(surplus) / u128::from(count))
            .unwrap_or(u64::MAX);
        let rows_ns = group.rows.saturating_mul(ROW_NS).min(cost_ns / 2);
        Price {
            surplus,
            cost_ns,
            saves_ns: cost_ns - rows_ns,
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
