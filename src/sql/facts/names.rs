//! One copy of each table's and column's name: ten thousand shapes of one schema name the same few hundred.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

/// Names kept; a schema of Django's has some thousand columns.
const NAMES_MAX: usize = 20_000;

thread_local! {
    /// All shapes are parsed on one thread.
    static NAMES: RefCell<HashSet<Arc<str>>> = RefCell::default();
}

/// The copy of `name` that all facts share.
pub(super) fn shared(name: &str) -> Arc<str> {
    NAMES.with_borrow_mut(|names| {
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        if names.len() < NAMES_MAX {
            names.insert(Arc::clone(&name));
        }
        name
    })
}
