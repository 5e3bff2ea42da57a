//! `duplicate`: the same statement with the same values again, in one unit, and nothing written between.
//!
//! Two of a kind are what careful code does too (a look-up in a middleware and one in the view): it takes
//! `n_plus_one_min` of them.

use super::Settings;
use super::group::Group;
use super::rules;
use crate::sql::Verb;
use crate::sql::facts::Lock;

/// Whether a group repeats itself.
pub(super) fn is(group: &Group, settings: &Settings) -> bool {
    let Some(facts) = group.facts() else {
        return false;
    };
    group.verb == Verb::Select
        && group.repeated_most >= settings.n_plus_one_min
        && group.failed == 0
        && facts.lock == Lock::None
        // An empty answer asked for again is somebody waiting for work.
        && group.no_rows < group.count
        && rules::reads_user_tables(facts)
        && !rules::is_interrupted(group)
}
