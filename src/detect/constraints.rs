//! Foreign keys whose making was seen: a test's database is made before its tests, through the same proxy.
//!
//! What they say does not depend on which statements came first, as a join of some other page does.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::knowledge::{Fit, Named};
use crate::sql::facts::Facts;

/// Foreign keys kept; a schema of Django's has some hundred.
const KEYS_MAX: usize = 20_000;

/// What each foreign key refers to, by its column.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    to: HashMap<Named, Target, RandomState>,
}

#[derive(Debug)]
struct Target {
    table: Arc<str>,
    /// `None` where it is the primary key, whatever that is.
    column: Option<Arc<str>>,
}

impl Constraints {
    pub(super) fn learn(&mut self, facts: &Facts) {
        for reference in &facts.references {
            if self.to.len() < KEYS_MAX {
                let target = Target {
                    table: Arc::clone(&reference.to_table),
                    column: reference.to_column.clone(),
                };
                self.to.insert(Named::of(&reference.key), target);
            }
        }
    }

    /// How well `key` does for a foreign key that refers to `target`, whose table has that primary key; `None` where
    /// no constraint says so.
    pub(super) fn fit(&self, key: &Named, target: &Named, primary_key: &str) -> Option<Fit> {
        let to = self.to.get(key)?;
        let table = target.table.as_ref()?;
        if *table == to.table {
            let column = to.column.as_deref().unwrap_or(primary_key);
            return (*target.column == *column).then_some(Fit::Strong);
        }
        // A row of an inherited model is known by the key of the one that it inherits from.
        let inherits = self.to.get(target).map(|inherited| &inherited.table);
        (inherits != Some(&to.table)).then_some(Fit::Contradicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(table: &str, column: &str) -> Named {
        Named {
            table: Some(Arc::from(table)),
            column: Arc::from(column),
        }
    }

    #[test]
    fn a_foreign_key_leads_where_its_constraint_says() {
        let mut constraints = Constraints::default();
        for sql in [
            "ALTER TABLE shop_order ADD CONSTRAINT c FOREIGN KEY (made_by_id) REFERENCES auth_user (id)",
            "CREATE TABLE crm_agent (user_ptr_id int PRIMARY KEY REFERENCES auth_user)",
        ] {
            constraints.learn(&crate::sql::facts::extract(sql).unwrap());
        }
        let made_by = named("shop_order", "made_by_id");
        let fit = |key: &Named, target: (&str, &str)| {
            constraints.fit(key, &named(target.0, target.1), "id")
        };
        assert_eq!(fit(&made_by, ("auth_user", "id")), Some(Fit::Strong));
        assert_eq!(fit(&made_by, ("shop_tag", "id")), Some(Fit::Contradicted));
        assert_eq!(fit(&made_by, ("auth_user", "email")), None);
        assert_eq!(
            fit(&made_by, ("crm_agent", "user_ptr_id")),
            None,
            "it inherits"
        );
        let pointer = named("crm_agent", "user_ptr_id");
        assert_eq!(fit(&pointer, ("auth_user", "id")), Some(Fit::Strong));
        assert_eq!(
            fit(&named("shop_order", "tag_id"), ("shop_tag", "id")),
            None
        );
    }
}
