//! The statements of a unit, as it grows and as it is shown.

use std::iter::{Chain, FlatMap};
use std::slice;
use std::sync::Arc;

use crate::event::{Moment, Phases, Shape};
use crate::sql::{Fingerprint, Verb};
use crate::wire::SqlState;

/// Statements of one part: it is of a size that the allocator has at hand, and no pages of its own.
const PART_MAX: usize = 64;

/// One statement of a unit.
#[derive(Debug, Clone)]
pub struct TimelineEntry {
    /// When its request had been sent.
    pub requested_at: Moment,
    /// When its answer was complete.
    pub completed_at: Moment,
    /// Its shape's identity.
    pub fingerprint: Fingerprint,
    /// Its main keyword.
    pub verb: Verb,
    /// Its shape; `None` where the table of shapes was full.
    pub shape: Option<&'static Shape>,
    /// Where its time went. `application` is the pause before it.
    pub phases: Phases,
    /// Rows it returned or changed.
    pub rows: u64,
    /// Set when it failed.
    pub sqlstate: Option<SqlState>,
    /// The statement of this timeline whose rows gave it its values, by index; set by the detectors.
    pub parent: Option<u32>,
    /// Which outermost transaction of the unit it lies in, from 0.
    pub transaction: Option<u32>,
}

/// Statements in the order in which they were told. A clone has all but the last of them in common with its original:
/// a unit is shown again and again while it grows.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// Each of [`PART_MAX`].
    full: Vec<Arc<Vec<TimelineEntry>>>,
    last: Vec<TimelineEntry>,
    latest: Option<Latest>,
    order: Order,
}

/// What is asked of the statement that was told last, which is itself in no cache by then.
#[derive(Debug, Clone, Copy)]
struct Latest {
    requested_at: Moment,
    fingerprint: Fingerprint,
}

/// Whether they were told in the order in which they were requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    OfRequests,
    /// With several connections, and with cursors that are told late, that is another one.
    Other,
}

/// A timeline's statements.
pub type Statements<'a> = Chain<
    FlatMap<
        slice::Iter<'a, Arc<Vec<TimelineEntry>>>,
        slice::Iter<'a, TimelineEntry>,
        fn(&'a Arc<Vec<TimelineEntry>>) -> slice::Iter<'a, TimelineEntry>,
    >,
    slice::Iter<'a, TimelineEntry>,
>;

impl Timeline {
    /// How many statements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.full.len() * PART_MAX + self.last.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there is room for.
    pub fn capacity(&self) -> usize {
        self.full.len() * PART_MAX + self.last.capacity()
    }

    /// All of them.
    pub fn iter(&self) -> Statements<'_> {
        let entries: fn(&Arc<Vec<TimelineEntry>>) -> slice::Iter<'_, TimelineEntry> =
            |part| part.iter();
        self.full.iter().flat_map(entries).chain(&self.last)
    }

    /// One of them, from 0.
    pub fn get(&self, index: usize) -> Option<&TimelineEntry> {
        match self.full.get(index / PART_MAX) {
            Some(part) => part.get(index % PART_MAX),
            None => self
                .last
                .get(index.checked_sub(self.full.len() * PART_MAX)?),
        }
    }

    /// The same, to be changed: its time of request stays.
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut TimelineEntry> {
        let before = self.full.len() * PART_MAX;
        match self.full.get_mut(index / PART_MAX) {
            Some(part) => Arc::make_mut(part).get_mut(index % PART_MAX),
            None => self.last.get_mut(index.checked_sub(before)?),
        }
    }

    /// The shape of the one that was told last.
    #[inline]
    pub(super) fn latest_shape(&self) -> Option<Fingerprint> {
        self.latest.map(|latest| latest.fingerprint)
    }

    /// Puts one at the end.
    #[inline]
    pub fn push(&mut self, entry: TimelineEntry) {
        let latest = Latest {
            requested_at: entry.requested_at,
            fingerprint: entry.fingerprint,
        };
        match self.latest.replace(latest) {
            // Many units have one statement only, and there may be thousands of units.
            None => self.last.reserve_exact(1),
            Some(before) if before.requested_at > entry.requested_at => self.order = Order::Other,
            Some(_) => {}
        }
        self.last.push(entry);
        if self.last.len() == PART_MAX {
            self.close_part();
        }
    }

    #[cold]
    fn close_part(&mut self) {
        let part = std::mem::replace(&mut self.last, Vec::with_capacity(PART_MAX));
        self.full.push(Arc::new(part));
    }

    /// Sorted by request.
    pub(super) fn in_order(self) -> Timeline {
        match self.order {
            Order::OfRequests => self,
            Order::Other => self.sorted(),
        }
    }

    fn sorted(self) -> Timeline {
        let mut order: Vec<(u32, &TimelineEntry)> = (0..).zip(self.iter()).collect();
        order.sort_by_key(|(_, entry)| entry.requested_at);
        let mut place = vec![0; order.len()];
        for (now, (was, _)) in (0u32..).zip(&order) {
            if let Some(place) = place.get_mut(*was as usize) {
                *place = now;
            }
        }
        let place_of = |parent: u32| place.get(parent as usize).copied();
        let moved = order.iter().map(|(_, entry)| TimelineEntry {
            parent: entry.parent.and_then(place_of),
            ..(*entry).clone()
        });
        moved.collect()
    }
}

impl FromIterator<TimelineEntry> for Timeline {
    fn from_iter<I: IntoIterator<Item = TimelineEntry>>(entries: I) -> Timeline {
        let mut timeline = Timeline::default();
        entries.into_iter().for_each(|entry| timeline.push(entry));
        timeline.last.shrink_to_fit();
        timeline
    }
}

impl<'a> IntoIterator for &'a Timeline {
    type Item = &'a TimelineEntry;
    type IntoIter = Statements<'a>;

    fn into_iter(self) -> Statements<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(requested_at: u64, parent: Option<u32>) -> TimelineEntry {
        TimelineEntry {
            requested_at: Moment(requested_at),
            completed_at: Moment(requested_at),
            fingerprint: Fingerprint(requested_at),
            verb: Verb::Select,
            shape: None,
            phases: Phases::default(),
            rows: 0,
            sqlstate: None,
            parent,
            transaction: None,
        }
    }

    fn rows(timeline: &Timeline) -> Vec<u64> {
        timeline.iter().map(|entry| entry.rows).collect()
    }

    proptest! {
        /// It is a list, and what was shown of it stays what it was.
        #[test]
        fn it_is_a_list(
            changes in prop::collection::vec(
                prop_oneof![9 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)], 1..600),
        ) {
            let (mut timeline, mut list) = (Timeline::default(), Vec::<u64>::new());
            let mut shown = Vec::new();
            for (number, change) in (0..).zip(&changes) {
                match change {
                    Some(index) if !list.is_empty() => {
                        let index = index.index(list.len());
                        shown.push((timeline.clone(), list.clone()));
                        timeline.get_mut(index).unwrap().rows = number;
                        list[index] = number;
                    }
                    _ => {
                        timeline.push(TimelineEntry { rows: number, ..entry(number, None) });
                        list.push(number);
                    }
                }
                prop_assert_eq!(timeline.len(), list.len());
                let latest = timeline.len().checked_sub(1).and_then(|last| timeline.get(last));
                prop_assert_eq!(timeline.latest_shape(), latest.map(|entry| entry.fingerprint));
                prop_assert!(timeline.capacity() >= timeline.len());
            }
            shown.push((timeline, list));
            for (timeline, list) in &shown {
                prop_assert_eq!(&rows(timeline), list);
                let each = (0..=list.len()).map_while(|index| timeline.get(index));
                prop_assert_eq!(&each.map(|entry| entry.rows).collect::<Vec<_>>(), list);
            }
        }

        /// Sorted, each statement still has the parent that it had.
        #[test]
        fn parents_stay_with_their_children(
            times in prop::collection::vec((0u64..1_000, any::<prop::sample::Index>()), 1..400),
        ) {
            let timeline: Timeline = (0u32..).zip(&times).map(|(index, (at, parent))| {
                let parent = (index > 0).then(|| parent.index(index as usize) as u32);
                entry(*at * 1_000 + u64::from(index), parent)
            }).collect();
            let parents = |timeline: &Timeline| {
                let parent = |entry: &TimelineEntry| {
                    let parent = timeline.get(entry.parent? as usize);
                    Some(parent.unwrap().requested_at)
                };
                let mut parents: Vec<_> = timeline.iter().map(|it| (it.requested_at, parent(it))).collect();
                parents.sort();
                parents
            };
            let before = parents(&timeline);
            let sorted = timeline.in_order();
            prop_assert!(sorted.iter().is_sorted_by_key(|entry| entry.requested_at));
            prop_assert_eq!(parents(&sorted), before);
        }
    }
}
