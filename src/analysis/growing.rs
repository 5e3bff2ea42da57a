//! Units that are open: when to look at them again, and what they looked like then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::event::Moment;
use crate::unit::{UnitId, UnitRecord};

/// A unit is looked at when it is so old, and so often from then on, nanoseconds: a request is over by then, so that
/// looking costs nothing where nobody waits for it.
const LOOK_NS: u64 = 1_000_000_000;

/// A unit of so many statements is looked at before, and whenever it has grown by half.
const MANY_QUERIES: u64 = 200;

#[derive(Debug, Default)]
pub(super) struct Growing {
    open: HashMap<UnitId, Looked>,
    /// Those that got statements since they were looked at.
    grown: BTreeSet<UnitId>,
}

#[derive(Debug)]
struct Looked {
    queries: u64,
    at: Moment,
    record: Option<Arc<UnitRecord>>,
}

impl Growing {
    /// A unit got a statement or rows.
    pub(super) fn touched(&mut self, unit: UnitId, now: Moment) {
        self.grown.insert(unit);
        self.open.entry(unit).or_insert(Looked {
            queries: 0,
            at: now,
            record: None,
        });
    }

    pub(super) fn ended(&mut self, unit: UnitId) {
        self.open.remove(&unit);
        self.grown.remove(&unit);
    }

    /// Those that may be worth a look.
    pub(super) fn grown(&self) -> Vec<UnitId> {
        self.grown.iter().copied().collect()
    }

    /// Whether a unit of so many statements is to be looked at now.
    pub(super) fn is_due(&self, unit: UnitId, queries: u64, now: Moment) -> bool {
        self.open.get(&unit).is_some_and(|looked| {
            let by_half = queries.saturating_sub(looked.queries) > looked.queries / 2;
            now.since(looked.at) >= LOOK_NS || (queries >= MANY_QUERIES && by_half)
        })
    }

    /// It was looked at.
    pub(super) fn looked(&mut self, unit: UnitId, record: UnitRecord, now: Moment) {
        self.grown.remove(&unit);
        if let Some(looked) = self.open.get_mut(&unit) {
            looked.queries = record.queries;
            looked.at = now;
            looked.record = Some(Arc::new(record));
        }
    }

    /// What is known of at most `max` open units, oldest first.
    pub(super) fn list(&self, max: usize) -> Vec<Arc<UnitRecord>> {
        let mut records: Vec<_> = self
            .open
            .values()
            .filter_map(|looked| looked.record.clone())
            .collect();
        records.sort_by_key(|record| record.id);
        records.truncate(max);
        records
    }
}
