//! `n_plus_one_deferred`: a deferred column, or the whole row, read again for each row of a parent.
//!
//! ```text
//!  SELECT id, name FROM shop_product                                  id 7, 8, 9
//!  SELECT id, description FROM shop_product WHERE id = 7 LIMIT 21
//!  SELECT id, description FROM shop_product WHERE id = 8 LIMIT 21     ...
//! ```

use super::case::FlowCase;
use super::knowledge::Way;

/// Whether the child is the parent's own row, by its primary key.
pub(super) fn is(case: &FlowCase<'_>) -> bool {
    case.relation.way == Way::Same
}
