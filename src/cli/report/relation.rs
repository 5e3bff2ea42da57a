//! What a finding is about, in words that fit a line.

use super::api::Finding;

/// Values of a tag that are told; `and 3 more` stands for the rest.
const VALUES_MAX: usize = 3;

/// `shop_order.customer_id -> shop_customer.id`, the loops around it before it; `None` where no relation is known.
pub(super) fn relation(finding: &Finding) -> Option<String> {
    let levels = levels(finding);
    (!levels.is_empty()).then(|| levels.join(", "))
}

/// The loops of a finding, outermost first, its own last.
pub(super) fn levels(finding: &Finding) -> Vec<String> {
    let side = |table: &Option<String>, column: &Option<String>| match (table, column) {
        (Some(table), Some(column)) => Some(format!("{table}.{column}")),
        (table, column) => table.clone().or_else(|| column.clone()),
    };
    let link = |parent: Option<String>, child: Option<String>| match (parent, child) {
        (Some(parent), Some(child)) => Some(format!("{parent} -> {child}")),
        (parent, child) => child.or(parent),
    };
    let mut levels: Vec<String> = finding
        .chain
        .iter()
        .filter_map(|level| {
            link(
                side(&level.parent_table, &level.parent_column),
                side(&level.child_table, &level.child_column),
            )
        })
        .collect();
    levels.extend(link(
        side(&finding.parent_table, &finding.parent_column),
        side(&finding.child_table, &finding.child_column),
    ));
    levels
}

/// Where it was seen: routes, or controllers where there are none.
pub(super) fn places(finding: &Finding) -> Option<String> {
    let values = ["route", "controller"]
        .iter()
        .filter_map(|key| finding.tags.get(*key))
        .find(|values| !values.is_empty())?;
    let mut places = values
        .iter()
        .take(VALUES_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = values
        .len()
        .checked_sub(VALUES_MAX)
        .filter(|more| *more > 0)
    {
        places = format!("{places} and {more} more");
    }
    Some(places)
}
