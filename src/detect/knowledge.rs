//! What the statements themselves tell about tables: names behind object ids, primary keys, which columns refer to
//! which.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::called::Called;
use super::constraints::Constraints;
use super::names::{calling, refers, unsuffixed};
use super::rules;
use crate::event::{ByShape, QueryEvent, RowColumns, ShapeRef};
use crate::sql::facts::{Column, Facts, Lock, Output};

/// Entries of each map; a schema of Django's has some hundred tables.
const ENTRIES_MAX: usize = 20_000;

/// A column by name; the table is unknown for an expression, or where raw SQL leaves it open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub table: Option<Arc<str>>,
    pub column: Arc<str>,
}

impl Named {
    pub(super) fn of(column: &Column) -> Named {
        Named {
            table: column.table.clone(),
            column: Arc::clone(&column.name),
        }
    }
}

/// How well a parent's column and a child's column fit a relation of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The names say that it is another relation's column: equal values are chance.
    Contradicted,
    /// Nothing speaks for it but the values.
    Weak,
    /// It has the form of a relation: `..._id` and a primary key.
    Formed,
    /// The names say so, or another statement joins the two columns.
    Strong,
}

/// Which way the values flow along a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From a foreign key to the row that it names.
    Forward,
    /// From a row's key to the rows that refer to it.
    Reverse,
    /// From a row's key to the same row again.
    Same,
}

/// A relation between a parent's and a child's column, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relation {
    pub fit: Fit,
    pub way: Way,
    /// What the relation leads to is its table's primary key, as it is in nearly every relation of Django's.
    pub to_key: bool,
}

/// Learned from every statement that passes.
#[derive(Debug)]
pub(super) struct Knowledge {
    /// Names of tables and of their columns, by database.
    tables: HashMap<(Arc<str>, u32), Arc<str>, RandomState>,
    columns: HashMap<(Arc<str>, u32, i16), Arc<str>, RandomState>,
    /// The first column of a table that may be a key at all: its primary key in nearly every schema that Django made.
    /// What an abstract model adds in front (when a row was made, and when it was changed) is none.
    first_columns: HashMap<Arc<str>, Arc<str>, RandomState>,
    /// All columns that a result had.
    owned: HashSet<Named, RandomState>,
    /// Pairs of columns that some statement joins, both ways round.
    joined: HashSet<(Named, Named), RandomState>,
    constraints: Constraints,
    called: Called,
    learned: ByShape<Learned>,
}

impl Default for Knowledge {
    fn default() -> Knowledge {
        Knowledge {
            tables: HashMap::default(),
            columns: HashMap::default(),
            first_columns: HashMap::default(),
            owned: HashSet::default(),
            joined: HashSet::default(),
            constraints: Constraints::default(),
            called: Called::default(),
            learned: ByShape::new(ENTRIES_MAX),
        }
    }
}

/// How much a shape could teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Learned {
    /// Its names; its result has not been described yet.
    Names,
    All(Reads),
}

/// What a shape reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Which tables and columns there are.
    Catalogue,
    /// The next of a queue that nobody else holds: `FOR UPDATE SKIP LOCKED`.
    Queue,
    /// Something else, as far as is known.
    Other,
}

impl Knowledge {
    /// Learns what a statement's facts and the description of its result tell; what it reads.
    #[inline]
    pub(super) fn learn(&mut self, event: &QueryEvent) -> Reads {
        let Some(shape) = event.shape else {
            return Reads::Other;
        };
        match self.learned.get(shape.number()) {
            Some(Learned::All(reads)) => reads,
            known => self.learn_more(event, shape, known),
        }
    }

    #[cold]
    fn learn_more(&mut self, event: &QueryEvent, shape: ShapeRef, known: Option<Learned>) -> Reads {
        let Some(facts) = shape.facts() else {
            return Reads::Other;
        };
        let reads = if rules::reads_catalogue(facts) {
            Reads::Catalogue
        } else if facts.lock == Lock::SkipLocked {
            Reads::Queue
        } else {
            Reads::Other
        };
        // What it teaches could not be marked as learned.
        if shape.number().0 as usize >= ENTRIES_MAX {
            return reads;
        }
        if known.is_none() {
            self.learn_names(facts);
        }
        let described = event.flow.as_ref().and_then(|flow| flow.result.as_ref());
        if let Some(result) = described {
            self.learn_columns(&event.facts.database, facts, &result.columns);
        }
        let learned = if described.is_some() || facts.outputs.is_empty() {
            Learned::All(reads)
        } else {
            Learned::Names
        };
        self.learned.set(shape.number(), learned);
        reads
    }

    fn learn_names(&mut self, facts: &Facts) {
        for table in &facts.tables {
            self.called.learn(table, ENTRIES_MAX);
        }
        self.constraints.learn(facts);
        for (left, right) in facts.joins.iter().flat_map(|join| &join.on) {
            let (left, right) = (Named::of(left), Named::of(right));
            if self.joined.len() < ENTRIES_MAX {
                self.joined.insert((right.clone(), left.clone()));
                self.joined.insert((left, right));
            }
        }
    }

    fn learn_columns(&mut self, database: &Arc<str>, facts: &Facts, columns: &RowColumns) {
        let only = match facts.tables.as_slice() {
            [only] => Some(only.as_str()),
            _ => None,
        };
        let whole = facts.outputs.len() == columns.all.len();
        for (index, column) in columns.all.iter().enumerate() {
            if column.table_oid == 0 || self.columns.len() >= ENTRIES_MAX {
                continue;
            }
            let (table, name) = match facts.outputs.get(index) {
                Some(Output::Column(named)) if whole => {
                    let table = named.table.as_deref();
                    // By a CTE's name a column is no table's that has one.
                    if table.is_some_and(|table| !is_table(facts, table)) {
                        continue;
                    }
                    (table.or(only), &*named.name)
                }
                _ => (only, &*column.name),
            };
            let Some(table) = table else { continue };
            let (table, name): (Arc<str>, Arc<str>) = (Arc::from(table), Arc::from(name));
            let oid = (Arc::clone(database), column.table_oid);
            self.tables.insert(oid, Arc::clone(&table));
            self.owned.insert(Named {
                table: Some(Arc::clone(&table)),
                column: Arc::clone(&name),
            });
            self.columns.insert(
                (Arc::clone(database), column.table_oid, column.attribute),
                name,
            );
        }
        self.learn_first_columns(database, columns);
    }

    /// The first column that may be a key, of each table that a result has from its first column on.
    fn learn_first_columns(&mut self, database: &Arc<str>, columns: &RowColumns) {
        let may_be_key = |index: usize| columns.keys.iter().any(|key| usize::from(*key) == index);
        let mut in_order: Vec<(u32, i16, bool)> = columns
            .all
            .iter()
            .enumerate()
            .filter(|(_, column)| column.table_oid != 0)
            .map(|(index, column)| (column.table_oid, column.attribute, may_be_key(index)))
            .collect();
        in_order.sort_unstable();
        in_order.dedup();
        let mut next = (0, 1);
        for (table_oid, attribute, is_key) in in_order {
            if next.0 != table_oid {
                next = (table_oid, 1);
            }
            if next.1 != attribute {
                continue;
            }
            if !is_key {
                next.1 += 1;
                continue;
            }
            next.1 = 0;
            let table = self.tables.get(&(Arc::clone(database), table_oid));
            let column = (Arc::clone(database), table_oid, attribute);
            if let (Some(table), Some(column)) = (table, self.columns.get(&column)) {
                self.first_columns
                    .insert(Arc::clone(table), Arc::clone(column));
            }
        }
    }

    /// The name of a result's column.
    pub(super) fn column(
        &self,
        database: &Arc<str>,
        facts: Option<&Facts>,
        columns: &RowColumns,
        index: usize,
    ) -> Named {
        let described = columns.all.get(index);
        let outputs = facts.map_or(&[][..], |facts| &facts.outputs);
        if outputs.len() == columns.all.len()
            && let Some(Output::Column(column)) = outputs.get(index)
            && let (Some(table), Some(facts)) = (&column.table, facts)
            && is_table(facts, table)
        {
            return Named::of(column);
        }
        let Some(described) = described else {
            return Named {
                table: None,
                column: Arc::from("?"),
            };
        };
        let key = (
            Arc::clone(database),
            described.table_oid,
            described.attribute,
        );
        let column = self.columns.get(&key).cloned();
        let named = Named {
            table: self.tables.get(&(key.0, key.1)).cloned(),
            column: column.unwrap_or_else(|| Arc::from(&*described.name)),
        };
        if named.table.is_some() {
            return named;
        }
        // Through a CTE, a subquery or a union no column is a table's: it is the only table's that has one of the name.
        let is_figure = outputs.len() == columns.all.len()
            && !matches!(
                outputs.get(index),
                Some(Output::Column(_) | Output::All) | None
            );
        let of_only_table = facts
            .and_then(|facts| match facts.tables.as_slice() {
                [only] => Some(Arc::from(only.as_str())),
                _ => None,
            })
            .map(|table| Named {
                table: Some(table),
                column: Arc::clone(&named.column),
            });
        of_only_table
            .filter(|column| !is_figure && self.owned.contains(column))
            .unwrap_or(named)
    }

    /// The primary key's column of a table, as far as that is known.
    pub(super) fn primary_key(&self, table: &str) -> &str {
        self.first_columns
            .get(table)
            .map_or("id", |column| column.as_ref())
    }

    pub(super) fn is_primary_key(&self, column: &Named) -> bool {
        let first = column.table.as_deref().map(|table| self.primary_key(table));
        &*column.column == "id" || first == Some(&*column.column)
    }

    /// What relation values would follow from `parent` to `child`.
    pub(super) fn relation(&self, parent: &Named, child: &Named) -> Relation {
        let parent_is_key = self.is_primary_key(parent);
        let child_is_key = self.is_primary_key(child);
        let same_table = parent.table.is_some() && parent.table == child.table;
        if same_table && parent.column == child.column {
            let fit = if child_is_key { Fit::Strong } else { Fit::Weak };
            return Relation {
                fit,
                way: Way::Same,
                to_key: child_is_key,
            };
        }
        let forward = self.fit(parent, child);
        let reverse = self.fit(child, parent);
        let joined =
            !self.joined.is_empty() && self.joined.contains(&(parent.clone(), child.clone()));
        let (fit, way) = match (parent_is_key, child_is_key) {
            (false, true) => (forward, Way::Forward),
            (true, false) => (reverse, Way::Reverse),
            // Two primary keys: the same row of two tables where one names the other (model inheritance, a
            // one-to-one that is the primary key), else ids that agree by chance.
            (true, true) if reverse == Fit::Strong => (reverse, Way::Reverse),
            (true, true) if forward == Fit::Strong => (forward, Way::Forward),
            (true, true) => (Fit::Contradicted, Way::Forward),
            // A key by another name (`to_field`), or two keys that refer to the same third table.
            (false, false) if forward == Fit::Strong => (forward, Way::Forward),
            (false, false) if reverse == Fit::Strong => (reverse, Way::Reverse),
            (false, false) if parent.column == child.column => {
                // Two foreign keys of one name refer to the same third table.
                let fit = refers(&child.column).map_or(Fit::Weak, |_| Fit::Formed);
                (fit, Way::Reverse)
            }
            (false, false) => {
                let way = match refers(&child.column) {
                    Some(_) => Way::Reverse,
                    None => Way::Forward,
                };
                let contradicted = forward.min(reverse) == Fit::Contradicted;
                let fit = if contradicted {
                    Fit::Contradicted
                } else {
                    Fit::Weak
                };
                (fit, way)
            }
        };
        // The way is the names' to tell, whatever is joined by then: a finding stays what it is.
        let fit = if joined { Fit::Strong } else { fit };
        let to_key = match way {
            Way::Reverse => parent_is_key,
            Way::Forward | Way::Same => child_is_key,
        };
        Relation { fit, way, to_key }
    }

    /// How well `key` does for a foreign key that refers to `target`.
    fn fit(&self, key: &Named, target: &Named) -> Fit {
        let target_table = target.table.as_deref();
        let primary_key = self.primary_key(target_table.unwrap_or_default());
        if let Some(fit) = self.constraints.fit(key, target, primary_key) {
            return fit;
        }
        let Some(stem) = refers(&key.column) else {
            return match target_table {
                Some(table) => unsuffixed(&key.column, table, &target.column, |name| {
                    self.called.is_called(name, table)
                }),
                None => Fit::Weak,
            };
        };
        let name = calling(stem);
        if target_table.is_some_and(|table| self.called.is_called(&name, table)) {
            return Fit::Strong;
        }
        // `category_id` of product categories, beside another app's categories.
        let ends_so = |table: &str| {
            let table = table.to_ascii_lowercase();
            name.len() >= 4 && (table.ends_with(&name) || table.ends_with(&format!("{name}s")))
        };
        if target_table.is_some_and(ends_so) {
            return Fit::Formed;
        }
        // `category_id` is no supplier's id, and no category's own: `author_id` of a book names no book.
        if self.called.names_another(&name, target_table) {
            // What is no table's may be that other table's.
            return match target_table {
                Some(_) => Fit::Contradicted,
                None => Fit::Weak,
            };
        }
        // `created_by_id`, `author_id`, `parent_id`: a role.
        Fit::Formed
    }
}

/// Whether a statement's columns may be those of a table of this name: a CTE's name is none.
fn is_table(facts: &Facts, name: &str) -> bool {
    fn last(name: &str) -> Option<&str> {
        name.rsplit('.').next()
    }
    facts
        .tables
        .iter()
        .any(|table| table == name || last(table) == last(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RowColumn;

    fn named(table: &str, column: &str) -> Named {
        Named {
            table: Some(Arc::from(table)),
            column: Arc::from(column),
        }
    }

    fn knowing(tables: &[&str]) -> Knowledge {
        let mut knowledge = Knowledge::default();
        tables
            .iter()
            .for_each(|table| knowledge.called.learn(table, ENTRIES_MAX));
        knowledge
    }

    fn relation(knowledge: &Knowledge, parent: (&str, &str), child: (&str, &str)) -> (Fit, Way) {
        let relation = knowledge.relation(&named(parent.0, parent.1), &named(child.0, child.1));
        (relation.fit, relation.way)
    }

    #[test]
    fn relations_by_their_names() {
        let knowledge = knowing(&["shop_order", "shop_customer", "shop_tag", "auth_user"]);
        let order = |column| ("shop_order", column);
        let customer = |column| ("shop_customer", column);
        let fits = |parent, child| relation(&knowledge, parent, child);
        assert_eq!(
            fits(order("customer_id"), customer("id")),
            (Fit::Strong, Way::Forward)
        );
        assert_eq!(
            fits(customer("id"), order("customer_id")),
            (Fit::Strong, Way::Reverse)
        );
        assert_eq!(
            fits(order("created_by_id"), ("auth_user", "id")),
            (Fit::Formed, Way::Forward)
        );
        assert_eq!(
            fits(("auth_user", "id"), order("author_id")),
            (Fit::Formed, Way::Reverse)
        );
        assert_eq!(
            fits(order("id"), order("parent_id")),
            (Fit::Formed, Way::Reverse)
        );
        assert_eq!(
            fits(order("parent_id"), order("id")),
            (Fit::Formed, Way::Forward)
        );
        assert_eq!(fits(order("id"), order("id")), (Fit::Strong, Way::Same));
        assert_eq!(
            fits(("shop_tag", "id"), customer("id")).0,
            Fit::Contradicted
        );
        assert_eq!(
            fits(("shop_tag", "id"), order("customer_id")).0,
            Fit::Contradicted
        );
        assert_eq!(fits(order("tag_id"), customer("id")).0, Fit::Contradicted);
        assert_eq!(fits(order("id"), order("customer_id")).0, Fit::Contradicted);
        assert_eq!(fits(order("quantity"), customer("id")).0, Fit::Weak);
        assert_eq!(
            fits(order("country_id"), ("geo_country", "code")),
            (Fit::Strong, Way::Forward)
        );
        assert_eq!(
            fits(("geo_country", "code"), order("country_id")),
            (Fit::Strong, Way::Reverse)
        );
        assert_eq!(
            fits(order("customer_id"), ("crm_keycustomer", "id")),
            (Fit::Formed, Way::Forward)
        );
        assert_eq!(
            fits(("shop_product", "supplier_code"), ("shop_supplier", "code")),
            (Fit::Strong, Way::Forward)
        );
        assert_eq!(
            fits(
                ("clinic_patient", "current_ward"),
                ("hospital_ward_register", "id")
            ),
            (Fit::Formed, Way::Forward)
        );
        assert_eq!(
            fits(
                ("hospital_ward_register", "id"),
                ("clinic_patient", "current_ward")
            ),
            (Fit::Formed, Way::Reverse)
        );
        assert_eq!(
            fits(("a_place", "id"), ("a_bar", "place_ptr_id")).0,
            Fit::Strong
        );
        assert_eq!(
            fits(("a_bar", "owner_id"), ("a_foo", "owner_id")).0,
            Fit::Formed
        );
    }

    /// A result whose columns are a table's, from attribute 1 on; those of `keys` may be keys.
    fn described(names: &[&str], keys: &[u16]) -> RowColumns {
        let columns = names.iter().zip(1..).map(|(name, attribute)| RowColumn {
            name: (*name).into(),
            table_oid: 9,
            attribute,
            type_oid: 1043,
        });
        RowColumns {
            all: columns.collect(),
            keys: keys.into(),
        }
    }

    #[test]
    fn what_an_abstract_model_puts_in_front_is_no_key() {
        let database: Arc<str> = Arc::from("uni");
        let facts = crate::sql::facts::extract(
            r#"SELECT "made_at", "changed_at", "code", "title" FROM "uni_course""#,
        )
        .expect("facts");
        let names = ["made_at", "changed_at", "code", "title"];
        let mut knowledge = knowing(&["uni_course"]);
        assert_eq!(knowledge.primary_key("uni_course"), "id");
        knowledge.learn_columns(&database, &facts, &described(&names, &[2, 3]));
        assert_eq!(knowledge.primary_key("uni_course"), "code");
        // A result that does not begin with the first column says nothing.
        let mut knowledge = knowing(&["uni_course"]);
        let mut partial = described(&names, &[2, 3]);
        partial.all[0].table_oid = 0;
        knowledge.learn_columns(&database, &facts, &partial);
        assert_eq!(knowledge.primary_key("uni_course"), "id");
    }

    #[test]
    fn a_column_behind_a_common_table_expression_is_the_only_tables() {
        let database: Arc<str> = Arc::from("uni");
        let extract = |text| crate::sql::facts::extract(text).expect("facts");
        let plain = extract(r#"SELECT "id", "slug" FROM "uni_topic""#);
        let mut knowledge = knowing(&["uni_topic"]);
        knowledge.learn_columns(&database, &plain, &described(&["id", "slug"], &[0, 1]));
        let below = extract("WITH b AS (SELECT id, slug FROM uni_topic) SELECT * FROM b");
        let mut columns = described(&["id", "slug", "depth"], &[0, 1, 2]);
        columns.all.iter_mut().for_each(|column| {
            (column.table_oid, column.attribute) = (0, 0);
        });
        let table = |index| {
            let named = knowledge.column(&database, Some(&below), &columns, index);
            named.table.as_deref().map(str::to_owned)
        };
        assert_eq!(table(1).as_deref(), Some("uni_topic"));
        assert_eq!(table(2), None);
    }

    #[test]
    fn a_join_elsewhere_says_what_names_do_not() {
        let mut knowledge = knowing(&["a", "b"]);
        let pair = (named("a", "x"), named("b", "y"));
        knowledge.joined.insert(pair);
        assert_eq!(relation(&knowledge, ("a", "x"), ("b", "y")).0, Fit::Strong);
    }
}
