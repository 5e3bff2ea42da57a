//! Which relations a statement names, and by which names they go in it.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectName, Query, TableFactor, Visitor};

/// Longest name or ordering that is kept, bytes.
const NAME_BYTES_MAX: usize = 256;

/// First visit: which relations there are, and by which names they go.
#[derive(Default)]
pub(super) struct Relations {
    tables: Vec<String>,
    /// CTEs and functions in FROM: relations, but no tables.
    no_tables: HashSet<String>,
    pub(super) aliases: HashMap<String, String>,
}

impl Relations {
    /// Tables in the order in which they stand, each once.
    pub(super) fn tables(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        self.tables
            .iter()
            .filter(|table| !self.no_tables.contains(*table) && seen.insert(*table))
            .cloned()
            .collect()
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.no_tables.insert(name_of(&cte.alias.name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.tables.extend(table_name(relation));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table {
            name, alias, args, ..
        } = factor
            && let Some(table) = table_name(name)
        {
            if args.is_some() {
                self.no_tables.insert(table);
            } else {
                let called = match (alias, name.0.last().and_then(|part| part.as_ident())) {
                    (Some(alias), _) => name_of(&alias.name),
                    (None, Some(last)) => name_of(last),
                    (None, None) => return ControlFlow::Continue(()),
                };
                self.aliases.insert(called, table);
            }
        }
        ControlFlow::Continue(())
    }
}

pub(super) fn name_of(ident: &Ident) -> String {
    let mut name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    cut(&mut name);
    name
}

pub(super) fn cut(text: &mut String) {
    if text.len() > NAME_BYTES_MAX {
        let end = (0..=NAME_BYTES_MAX)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
}

pub(super) fn table_name(name: &ObjectName) -> Option<String> {
    let parts: Option<Vec<_>> = name
        .0
        .iter()
        .map(|part| part.as_ident().map(name_of))
        .collect();
    parts.map(|parts| parts.join("."))
}
