//! `n_plus_one_reverse`: the rows that refer to it, for each row of a parent.
//!
//! ```text
//!  SELECT ... FROM shop_order                                         id 7, 8, 9
//!  SELECT ... FROM shop_orderitem WHERE order_id = 7
//!  SELECT ... FROM shop_orderitem WHERE order_id = 8                  ...
//! ```

use super::case::FlowCase;
use super::knowledge::Way;

/// Whether the child's column names the parent's row.
pub(super) fn is(case: &FlowCase<'_>) -> bool {
    case.relation.way == Way::Reverse
}
