//! `n_plus_one_forward`: a foreign key followed for each row of a parent.
//!
//! ```text
//!  SELECT ... FROM shop_order                                         customer_id 7, 8, NULL, 7
//!  SELECT ... FROM shop_customer WHERE id = 7 LIMIT 21
//!  SELECT ... FROM shop_customer WHERE id = 8 LIMIT 21                ...
//! ```

use super::case::FlowCase;
use super::knowledge::Way;

/// Whether the parent's column names the row that the child looks up.
pub(super) fn is(case: &FlowCase<'_>) -> bool {
    case.relation.way == Way::Forward
}
