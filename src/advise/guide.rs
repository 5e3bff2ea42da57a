//! What advice is drawn from, shared: the analysis asks it, a reload and the catalogue connection change it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{Advice, Case, Models, Relations, advise};
use crate::detect::{Finding, Kind, Operation};
use crate::sql::facts::Facts;

/// Tables remembered for the catalogue at most: a project with more is rare, and what is beyond goes by its names.
pub const TABLES_MAX: usize = 1_000;

/// The model map, the database's constraints, and the tables that somebody would like to know more of.
#[derive(Debug, Default)]
pub struct Guide {
    models: ArcSwap<Models>,
    relations: ArcSwap<Relations>,
    revision: AtomicU64,
    tables: Mutex<BTreeSet<String>>,
}

impl Guide {
    /// What to do about `finding`, with the facts of its two shapes where they are known.
    ///
    /// `siblings`: whether [`has_sibling`] says so of it.
    pub fn advise(
        &self,
        finding: &Finding,
        child: Option<&Facts>,
        parent: Option<&Facts>,
        siblings: bool,
    ) -> Advice {
        let case = Case {
            siblings,
            ..Case::of(finding, child, parent)
        };
        self.note(&case);
        advise(&case, &self.models.load(), &self.relations.load())
    }

    /// Goes up whenever advice given before may be worded otherwise now.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Takes a model map in place of the one before.
    pub fn set_models(&self, models: Arc<Models>) {
        self.models.store(models);
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Takes what the database says in place of what it said before.
    pub fn set_relations(&self, relations: Relations) {
        if **self.relations.load() == relations {
            return;
        }
        self.relations.store(Arc::new(relations));
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// What the database says, as far as it was asked.
    pub fn relations(&self) -> Arc<Relations> {
        self.relations.load_full()
    }

    /// All tables of the findings that were advised on, at most [`TABLES_MAX`].
    pub fn tables(&self) -> Vec<String> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().cloned().collect()
    }

    fn note(&self, case: &Case) {
        let places = case.parent.iter().chain(&case.child);
        let chain = case
            .chain
            .iter()
            .flat_map(|(parent, child)| [parent, child]);
        let places = places.chain(chain).map(|place| &place.table);
        let from = [&case.parent_from.table, &case.child_from.table];
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for table in places.chain(from.into_iter().flatten()) {
            if tables.len() < TABLES_MAX && !tables.contains(table) {
                tables.insert(table.clone());
            }
        }
    }
}

/// Whether one query would have to count or work out another figure beside that of `finding`: another of `all` is about
/// the rows of the same parent.
pub fn has_sibling<'f>(finding: &Finding, all: impl IntoIterator<Item = &'f Finding>) -> bool {
    let is_figure = |finding: &Finding| {
        finding.kind == Kind::NPlusOneAggregate && finding.detail.operation != Operation::Exists
    };
    let parent = |finding: &Finding| {
        let parent = finding.parent.as_ref()?;
        Some((parent.fingerprint, parent.table.clone()))
    };
    let own = parent(finding);
    own.is_some()
        && is_figure(finding)
        && all
            .into_iter()
            .any(|other| other.id != finding.id && is_figure(other) && parent(other) == own)
}
