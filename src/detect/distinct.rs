//! How many different values the compared columns of a shape had in one unit.

use std::num::NonZeroU64;

use smallvec::SmallVec;

use crate::hashes::{GATHERED_MAX, Hashes, Known};
use crate::sql::value::ValueHash;

/// Different values counted of one slot in one unit.
const VALUES_MAX: usize = 1_024;

/// What one of them takes: a map keeps a quarter of its places free, and doubles.
const VALUE_BYTES: usize = 2 * size_of::<Option<(NonZeroU64, ())>>();

/// The different values of a shape's slots.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    /// Of the members that came last, one value for each slot, member by member: they are counted together.
    latest: SmallVec<[Option<ValueHash>; 2]>,
    /// Those of each slot; none before they are counted the first time.
    slots: Vec<Slot>,
    counting: Counting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Counting {
    #[default]
    GoesOn,
    /// No slot has room for more.
    Over,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    /// By their bits.
    values: Hashes<()>,
    /// Those of them that may agree with others by chance.
    indistinct: usize,
}

impl Distinct {
    /// The values of a member, one for each slot; bytes that it holds more than before.
    #[inline]
    pub(super) fn note(
        &mut self,
        values: impl ExactSizeIterator<Item = Option<ValueHash>>,
    ) -> usize {
        if self.counting == Counting::Over {
            return 0;
        }
        let slots = values.len();
        let room = self.latest.capacity();
        self.latest.extend(values);
        let grown = (self.latest.capacity() - room) * size_of::<Option<ValueHash>>();
        match self.latest.len() >= GATHERED_MAX {
            true => grown + self.count_latest(slots),
            false => grown,
        }
    }

    /// Counts those that came since, of so many slots; bytes that it holds more than before. Those of a single member
    /// are left: most shapes come once a unit.
    pub(super) fn count(&mut self, slots: usize) -> usize {
        match self.latest.len() > slots || !self.slots.is_empty() {
            true => self.count_latest(slots),
            false => 0,
        }
    }

    #[cold]
    fn count_latest(&mut self, slots: usize) -> usize {
        self.slots.resize_with(slots, Slot::default);
        let mut bytes = 0;
        for (place, slot) in self.slots.iter_mut().enumerate() {
            let values = self.latest.iter().skip(place).step_by(slots.max(1));
            bytes += values
                .flatten()
                .map(|value| slot.add(*value))
                .sum::<usize>();
        }
        self.latest.clear();
        if self.slots.iter().all(Slot::is_full) {
            self.counting = Counting::Over;
        }
        bytes
    }

    /// Different values of a slot, as they were counted last.
    pub(super) fn of(&self, slot: usize) -> u64 {
        self.slots
            .get(slot)
            .map_or(0, |slot| slot.values.len() as u64)
    }

    /// Whether a slot's values, as they were counted last, hardly agree with a column's by chance.
    pub(super) fn are_distinctive(&self, slot: usize) -> bool {
        self.slots
            .get(slot)
            .is_some_and(|slot| !slot.values.is_empty() && slot.indistinct == 0)
    }
}

impl Slot {
    fn is_full(&self) -> bool {
        self.values.len() >= VALUES_MAX
    }

    /// Takes a value; bytes that it holds more than before.
    #[inline]
    fn add(&mut self, value: ValueHash) -> usize {
        if self.is_full() {
            return 0;
        }
        match self.values.insert(value.bits()) {
            Known::Before => 0,
            Known::Now => {
                self.indistinct += usize::from(!value.is_distinctive());
                VALUE_BYTES
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::sql::value::ValueKey;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Each slot's values are counted apart, whenever somebody asks, and no more of them than there is room for.
        #[test]
        fn what_differs_is_counted(
            members in prop::collection::vec(
                (prop::option::of(0u32..1_500), prop::option::of(0u32..9), prop::bool::weighted(0.02)), 2..2_500),
        ) {
            let key = ValueKey::random();
            let hash = |value: u32| key.text(value.to_string().as_bytes());
            let mut distinct = Distinct::default();
            let mut expected = [HashSet::new(), HashSet::new()];
            for (first, second, is_looked_at) in members {
                let values = [first.and_then(hash), second.and_then(hash)];
                distinct.note(values.iter().copied());
                for (seen, value) in expected.iter_mut().zip(values) {
                    if seen.len() < VALUES_MAX {
                        seen.extend(value);
                    }
                }
                if is_looked_at {
                    distinct.count(2);
                }
            }
            distinct.count(2);
            for (slot, seen) in expected.iter().enumerate() {
                prop_assert_eq!(distinct.of(slot), seen.len() as u64);
                let are_distinctive = !seen.is_empty() && seen.iter().all(|value| value.is_distinctive());
                prop_assert_eq!(distinct.are_distinctive(slot), are_distinctive);
            }
        }
    }

    #[test]
    fn a_single_member_differs_from_nothing() {
        let mut distinct = Distinct::default();
        let value = ValueKey::random().text(b"7");
        distinct.note([value].into_iter());
        assert_eq!((distinct.count(1), distinct.of(0)), (0, 0));
        distinct.note([value].into_iter());
        distinct.count(1);
        assert_eq!(distinct.of(0), 1);
    }
}
