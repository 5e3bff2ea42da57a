//! A list of units that is published again and again while little of it changes: what stays is shared, part by part.
//!
//! To copy the list one by one would touch each of its units, which are in no cache, at every tick.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;
use std::sync::Arc;

use crate::unit::UnitRecord;

/// Units of a part.
const PART: usize = 64;

/// Several units that are always published together.
pub(super) type Part = Arc<[Arc<UnitRecord>]>;

/// Units in order, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Records {
    parts: Vec<Part>,
}

impl Records {
    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<UnitRecord>> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn push(&mut self, part: Part) {
        if !part.is_empty() {
            self.parts.push(part);
        }
    }
}

impl FromIterator<Arc<UnitRecord>> for Records {
    fn from_iter<I: IntoIterator<Item = Arc<UnitRecord>>>(units: I) -> Records {
        let mut records = Records::default();
        records.push(units.into_iter().collect());
        records
    }
}

/// A queue of units whose list is made of parts.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Newest last.
    units: VecDeque<Arc<UnitRecord>>,
    /// Whole parts of it. Before them are `broken` units of a part that others have left, behind them those that are too
    /// few for one.
    whole: VecDeque<Part>,
    broken: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn push_back(&mut self, unit: Arc<UnitRecord>) {
        self.units.push_back(unit);
        let begin = self.rest();
        if self.units.len() >= begin + PART {
            self.whole
                .push_back(self.units.range(begin..).cloned().collect());
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<UnitRecord>> {
        let unit = self.units.pop_front()?;
        if self.broken > 0 {
            self.broken -= 1;
        } else if let Some(part) = self.whole.pop_front() {
            self.broken = part.len().saturating_sub(1);
        }
        Some(unit)
    }

    /// All of them, at the end of `records`.
    pub(super) fn list(&self, records: &mut Records) {
        records.push(copy(self.units.range(..self.broken)));
        self.whole
            .iter()
            .cloned()
            .for_each(|part| records.push(part));
        records.push(copy(self.units.range(self.rest()..)));
    }

    /// Where those begin that are in no whole part yet.
    fn rest(&self) -> usize {
        self.broken + self.whole.iter().map(|part| part.len()).sum::<usize>()
    }
}

fn copy(units: Iter<'_, Arc<UnitRecord>>) -> Part {
    units.cloned().collect()
}
