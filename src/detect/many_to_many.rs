//! `n_plus_one_many_to_many`: `product.tags.all()` for each row of a parent.
//!
//! ```text
//!  SELECT ... FROM shop_product                                       id 7, 8, 9
//!  SELECT ... FROM shop_tag INNER JOIN shop_product_tags ON (shop_tag.id = shop_product_tags.tag_id)
//!         WHERE shop_product_tags.product_id = 7                      ...
//! ```

use super::case::FlowCase;
use super::names::refers;
use crate::sql::facts::{Column, Facts};

/// Whether the child looks up by one foreign key of a table that it joins by another.
pub(super) fn is(case: &FlowCase<'_>) -> bool {
    through(
        case.facts,
        case.slot.column.table.as_deref(),
        &case.slot.column.column,
    )
    .is_some()
}

/// The table that joins the two sides.
pub(super) fn through<'a>(facts: &Facts, table: Option<&'a str>, column: &str) -> Option<&'a str> {
    let table = table?;
    if facts.main_table.as_deref() == Some(table) {
        return None;
    }
    // A row of the table between is found by one of its references, and refers to the other side by another: its own
    // `id` is neither.
    let is_reference = |name: &str| name != "id";
    if !is_reference(column) {
        return None;
    }
    let is_other_key = |side: &Column| {
        side.table.as_deref() == Some(table) && &*side.name != column && is_reference(&side.name)
    };
    let is_row = |side: &Column| refers(&side.name).is_none();
    facts
        .joins
        .iter()
        .flat_map(|join| &join.on)
        .any(|(left, right)| {
            (is_other_key(left) && is_row(right)) || (is_other_key(right) && is_row(left))
        })
        .then_some(table)
}
