//! `chatty_unit`: more statements than the budget, after all that has another finding or is a batch.

use super::Settings;
use super::group::Group;
use super::rules;
use crate::sql::Verb;

/// How many statements of a unit count against its budget: each shape that reads in parts or writes in batches
/// counts once, whatever its parts.
pub(super) fn statements<'a>(
    groups: impl Iterator<Item = &'a Group>,
    explained: impl Fn(&Group) -> bool,
) -> u64 {
    groups
        .filter(|group| !explained(group))
        .map(|group| {
            // It counts once in any way, and its facts are not looked for.
            if group.count == 1 {
                return 1;
            }
            let in_parts = group.facts().is_none_or(rules::reads_in_parts);
            let in_batches = group.several > 0
                || (group.verb != Verb::Select && group.many_rows * 5 > group.count);
            if in_parts || in_batches || rules::is_interrupted(group) {
                1
            } else {
                group.count
            }
        })
        .sum()
}

/// Whether that is too many.
pub(super) fn is(statements: u64, settings: &Settings) -> bool {
    settings.queries_max > 0 && statements > settings.queries_max
}
