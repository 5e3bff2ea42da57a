//! The tables that are known, by what a foreign key's name would call them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::names::callings;

/// Which table answers to which name. All names are [`super::names::calling`]'s.
#[derive(Debug, Default)]
pub(super) struct Called {
    tables: HashMap<String, Vec<Arc<str>>, RandomState>,
    known: HashSet<Arc<str>, RandomState>,
}

impl Called {
    /// Takes a table, as long as there are no more than `most`.
    pub(super) fn learn(&mut self, table: &str, most: usize) {
        if self.known.contains(table) || self.known.len() >= most {
            return;
        }
        let table: Arc<str> = Arc::from(table);
        for name in callings(&table) {
            let called = self.tables.entry(name).or_default();
            called.push(Arc::clone(&table));
        }
        self.known.insert(table);
    }

    /// Whether `table`, known or not, is one that `name` calls.
    pub(super) fn is_called(&self, name: &str, table: &str) -> bool {
        if !self.known.contains(table) {
            return callings(table).any(|calling| calling == name);
        }
        let called = self.tables.get(name);
        called.is_some_and(|called| called.iter().any(|known| **known == *table))
    }

    /// Whether `name` calls a table that is known, other than `table`.
    pub(super) fn names_another(&self, name: &str, table: Option<&str>) -> bool {
        let called = self.tables.get(name);
        called.is_some_and(|called| called.iter().any(|known| Some(&**known) != table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::names::calling;

    #[test]
    fn a_table_is_called_the_same_whether_it_is_known_or_not() {
        let tables = [
            "shop_orderitem",
            "order_items",
            "catalog.categories",
            "auth_user",
        ];
        let stems = ["order_item", "category", "user", "item", "shop_order_item"];
        let mut known = Called::default();
        tables.iter().for_each(|table| known.learn(table, 100));
        let unknown = Called::default();
        let mut answers = Vec::new();
        for table in tables {
            for stem in stems {
                let name = calling(stem);
                let answer = known.is_called(&name, table);
                assert_eq!(answer, unknown.is_called(&name, table), "{stem} {table}");
                answers.push(answer);
            }
        }
        assert!(answers.contains(&true) && answers.contains(&false));
        assert!(known.names_another("user", Some("order_items")));
        assert!(!known.names_another("user", Some("auth_user")));
    }
}
