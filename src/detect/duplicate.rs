//! `duplicate`: the same statement with the same values again, in one unit, and nothing written between.
//!
//! Two of a kind are what careful code does too (a look-up in a middleware and one in the view): it takes
//! `n_plus_one_min` of them.

use std::time::Duration;

use super::Settings;
use super::group::Group;
use super::rules;
use super::tools::Of;
use crate::sql::Verb;
use crate::sql::facts::{Facts, Lock};

/// Longer than nearly all of the application's pauses inside of a loop (of Django's loops, measured: half take less than
/// 0.5 ms, 95 % less than 2.2 ms), shorter than what lies between two requests where nobody thinks: an accepted
/// connection, the middleware, a response.
const LOOP_GAP: Duration = Duration::from_micros(2_500);

/// Whether all that a unit does, it does again and again: then it may be several requests for one page, which a
/// connection of a pool serves one after the other.
pub(super) fn is_page_again(groups: &[Group]) -> bool {
    let Some(first) = groups.first() else {
        return false;
    };
    let repeats_all =
        |group: &Group| group.count == first.count && group.repeats.most() == first.count;
    if !groups.iter().all(repeats_all) {
        return false;
    }
    // A single statement may be a loop of its own, which goes faster than requests do.
    let gap_ns = u128::from(first.mean_gap_ns());
    groups.len() > 1 || gap_ns > LOOP_GAP.as_nanos()
}

/// Whether there is time between a group's members: who asks again at once waits for nothing.
fn is_waiting(group: &Group) -> bool {
    group.between.paused > 0 || u128::from(group.mean_gap_ns()) > LOOP_GAP.as_nanos()
}

/// Whether a group repeats itself.
pub(super) fn is(group: &Group, of: Of, settings: &Settings) -> bool {
    let of_user_tables =
        |facts: &Facts| facts.lock == Lock::None && rules::reads_user_tables(facts);
    group.verb == Verb::Select
        && group.repeats.most() >= settings.n_plus_one_min
        && group.failed == 0
        // An empty answer asked for again after a while is somebody waiting for work.
        && (group.no_rows < group.count || of == Of::Test || !is_waiting(group))
        && group.facts().is_some_and(of_user_tables)
        && !rules::is_interrupted(group)
}
