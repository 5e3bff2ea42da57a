//! `query_loop`: the same look-up with other values again and again, and nobody knows where the values come from.
//!
//! On the wire a loop over constants looks like a cache being warmed: it is suspected, never more.

use super::Settings;
use super::group::{Comparison, Group};
use super::rules;
use crate::sql::Verb;
use crate::sql::facts::Facts;

/// The compared column whose values change, by its place among the group's slots.
pub(super) fn varying_slot(group: &Group, settings: &Settings) -> Option<usize> {
    let of_user_tables =
        |facts: &Facts| rules::reads_user_tables(facts) && !rules::reads_in_parts(facts);
    let is_loop = group.verb == Verb::Select
        && group.count >= settings.n_plus_one_min
        && group.several == 0
        && group.failed == 0
        && group.facts().is_some_and(of_user_tables)
        && !rules::is_interrupted(group);
    if !is_loop {
        return None;
    }
    (0..group.slots.len())
        .filter(|slot| {
            group
                .slots
                .get(*slot)
                .is_some_and(|slot| slot.comparison != Comparison::Assigned)
        })
        .max_by_key(|slot| group.distinct(*slot))
        .filter(|slot| group.distinct(*slot) >= settings.n_plus_one_min)
}
