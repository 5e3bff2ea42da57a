//! `n_plus_one_aggregate`: `count()`, `exists()`, `aggregate()` for each row of a parent.
//!
//! ```text
//!  SELECT ... FROM shop_order                                         id 7, 8, 9
//!  SELECT COUNT(*) AS "__count" FROM shop_item WHERE order_id = 7
//!  SELECT COUNT(*) AS "__count" FROM shop_item WHERE order_id = 8     ...
//! ```

use super::case::FlowCase;

/// Whether the child returns a figure: only aggregates, or a bare constant (`SELECT 1 AS "a" ... LIMIT 1`).
pub(super) fn is(case: &FlowCase<'_>) -> bool {
    case.figures()
        .is_some_and(|names| !names.is_empty() || case.facts.limit)
}
