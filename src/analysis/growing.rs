//! Units that are open: when to look at them again, and what they looked like then.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::event::Moment;
use crate::unit::{Round, Unit, UnitId, UnitRecord};

/// A unit is looked at when it is so old, and so often from then on, nanoseconds: a request is over by then, so that
/// looking costs nothing where nobody waits for it.
const LOOK_NS: u64 = 1_000_000_000;

/// A unit of so many statements is looked at before, and whenever it has grown by half.
const MANY_QUERIES: u64 = 200;

#[derive(Debug, Default)]
pub(super) struct Growing {
    open: HashMap<UnitId, Looked, RandomState>,
    /// Those that got statements since the last tick.
    touched: Vec<UnitId>,
    /// Rounds that are over; a tick ends each.
    over: Round,
    /// Those that grew since they were looked at, by when they were.
    grown: BTreeSet<(Moment, UnitId)>,
}

#[derive(Debug)]
struct Looked {
    queries: u64,
    at: Moment,
    record: Option<Arc<UnitRecord>>,
    growth: Growth,
}

/// Whether a unit got something since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    None,
    /// In this tick.
    Fresh,
    /// Also before.
    Known,
}

impl Growing {
    /// A unit got a statement or rows. It remembers that itself until the round is over: one look-up is enough.
    #[inline]
    pub(super) fn touched<P>(&mut self, unit: &mut Unit<P>, now: Moment) {
        let round = self.over.next();
        if unit.touched != round {
            unit.touched = round;
            self.touch(unit.id(), now);
        }
    }

    fn touch(&mut self, unit: UnitId, now: Moment) {
        let looked = self.open.entry(unit).or_insert(Looked {
            queries: 0,
            at: now,
            record: None,
            growth: Growth::None,
        });
        if looked.growth != Growth::Fresh {
            looked.growth = Growth::Fresh;
            self.touched.push(unit);
            self.grown.insert((looked.at, unit));
        }
    }

    /// Forgets all units.
    pub(super) fn start_again(&mut self) {
        *self = Growing {
            over: self.over.next(),
            ..Growing::default()
        };
    }

    pub(super) fn ended(&mut self, unit: UnitId) {
        if let Some(looked) = self.open.remove(&unit) {
            self.grown.remove(&(looked.at, unit));
        }
    }

    /// Those that it is time to look at, oldest first; `queries` tells how many statements an open one has.
    pub(super) fn due(
        &mut self,
        now: Moment,
        queries: impl Fn(UnitId) -> Option<u64>,
    ) -> Vec<UnitId> {
        self.over = self.over.next();
        let is_old = |(at, _): &&(Moment, UnitId)| now.since(*at) >= LOOK_NS;
        let mut due: Vec<UnitId> = self
            .grown
            .iter()
            .take_while(is_old)
            .map(|(_, unit)| *unit)
            .collect();
        for unit in std::mem::take(&mut self.touched) {
            let Some(looked) = self.open.get_mut(&unit) else {
                continue;
            };
            looked.growth = Growth::Known;
            if queries(unit).is_some_and(|queries| looked.is_larger(queries)) {
                due.push(unit);
            }
        }
        due.sort_unstable();
        due.dedup();
        due
    }

    /// It was looked at.
    pub(super) fn looked(&mut self, unit: UnitId, record: UnitRecord, now: Moment) {
        if let Some(looked) = self.open.get_mut(&unit) {
            self.grown.remove(&(looked.at, unit));
            looked.queries = record.queries;
            looked.at = now;
            looked.record = Some(Arc::new(record));
            looked.growth = Growth::None;
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

impl Looked {
    /// Whether a unit of so many statements is looked at although it is no second since.
    fn is_larger(&self, queries: u64) -> bool {
        queries >= MANY_QUERIES && queries.saturating_sub(self.queries) > self.queries / 2
    }
}
