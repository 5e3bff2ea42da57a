//! `write_loop`: INSERT, UPDATE or DELETE one row at a time.

use super::Settings;
use super::case::Scene;
use super::group::Group;
use super::rules;
use crate::sql::Verb;
use crate::sql::facts::Facts;

/// Whether a group writes row by row what one statement could write.
///
/// Where only pauses hold a unit together, writes with a pause between any two are requests; in one that has a hard
/// boundary they are a loop that takes its time.
pub(super) fn is(group: &Group, scene: &Scene, settings: &Settings) -> bool {
    let of_user_table = |facts: &Facts| {
        let table = facts.main_table.as_deref();
        table.is_some_and(rules::is_user_table)
    };
    matches!(group.verb, Verb::Insert | Verb::Update | Verb::Delete)
        && group.count.saturating_sub(group.failed) >= settings.n_plus_one_min
        && group.many_rows * 5 <= group.count
        && group.several * 5 <= group.count
        && group.facts().is_some_and(of_user_table)
        && (scene.evidence.is_hard() || !group.is_paced())
        && !rules::is_tasks(group, scene.evidence)
        && !rules::is_broken(group)
        // One job a round, taken with SKIP LOCKED: a queue's worker.
        && !group.mostly(group.between.queued)
}
