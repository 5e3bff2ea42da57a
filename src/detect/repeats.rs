//! Which sets of values a shape comes with again in one unit: the same statement, asked more than once.

use std::num::NonZeroU64;

use smallvec::SmallVec;

use crate::hashes::{GATHERED_MAX, Hashes, Known, gather};

/// Different sets counted of one shape in one unit.
const SETS_MAX: usize = 1_024;

/// How often the members of a group had the same values.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// As they were counted last.
    repeated: u64,
    most: u64,
    /// The sets of those that came last, and how many writes there were before: they are looked for together.
    latest: SmallVec<[(u64, u32); 1]>,
    /// The others.
    known: Hashes<Set>,
}

/// What is known of a set of values.
#[derive(Debug, Clone, Copy)]
struct Set {
    /// Members that had it, without a write between.
    count: u32,
    /// Writes to the shape's tables so far.
    writes: u32,
}

/// What a set takes: the map keeps a quarter of its places free, and doubles.
const SET_BYTES: usize = 2 * size_of::<Option<(NonZeroU64, Set)>>();

impl Set {
    /// It came once more, after so many writes. Whether that repeated what was asked before.
    fn again(&mut self, writes: u32) -> bool {
        let repeats = self.writes == writes;
        self.count = match repeats {
            true => self.count.saturating_add(1),
            // A write to its tables lies between: it asks what became of it.
            false => 1,
        };
        self.writes = writes;
        repeats
    }
}

impl Repeats {
    /// Notes the values of a member, after so many writes to its tables; bytes that it holds more than before.
    #[inline]
    pub(super) fn note(&mut self, set: u64, writes: u64) -> usize {
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        let grown = gather(&mut self.latest, (set, writes));
        match self.latest.len() >= GATHERED_MAX {
            true => grown + self.count_latest(),
            false => grown,
        }
    }

    /// Counts those that came since; bytes that it holds more than before. A single one repeats nothing: most shapes
    /// come once a unit.
    pub(super) fn count(&mut self) -> usize {
        match self.latest.len() > 1 || !self.known.is_empty() {
            true => self.count_latest(),
            false => {
                self.most = self.latest.len() as u64;
                0
            }
        }
    }

    /// Members that repeated an earlier one's values without a write between, as they were counted last.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The most members that had the same values, without a write between, as they were counted last.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    #[cold]
    fn count_latest(&mut self) -> usize {
        let before = self.known.len();
        for (set, writes) in self.latest.drain(..) {
            let (known, was) = match self.known.len() < SETS_MAX {
                true => self.known.entry(set, Set { count: 0, writes }),
                false => (self.known.get_mut(set), Known::Before),
            };
            if let Some(known) = known {
                let repeats = known.again(writes) && was == Known::Before;
                self.repeated += u64::from(repeats);
                self.most = self.most.max(u64::from(known.count));
            }
        }
        (self.known.len() - before) * SET_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Repetitions are counted as they are defined, whenever somebody asks.
        #[test]
        fn what_repeats_is_counted(
            members in prop::collection::vec(
                (1u64..40, prop::bool::weighted(0.05), prop::bool::weighted(0.1)), 1..300),
        ) {
            let mut repeats = Repeats::default();
            let mut writes = 0u32;
            let mut runs: HashMap<u64, (u64, u32)> = HashMap::new();
            let (mut repeated, mut most) = (0, 0);
            for (set, is_write, is_looked_at) in members {
                writes += u32::from(is_write);
                let run = runs.entry(set).or_insert((0, writes));
                *run = match run.1 == writes {
                    true => (run.0 + 1, writes),
                    false => (1, writes),
                };
                repeated += u64::from(run.0 > 1);
                most = most.max(run.0);
                repeats.note(set, u64::from(writes));
                if is_looked_at {
                    repeats.count();
                    prop_assert_eq!((repeats.repeated(), repeats.most()), (repeated, most));
                }
            }
            repeats.count();
            prop_assert_eq!((repeats.repeated(), repeats.most()), (repeated, most));
        }
    }

    #[test]
    fn sets_are_bounded() {
        let mut repeats = Repeats::default();
        for set in 1..2 * SETS_MAX as u64 {
            repeats.note(set, 0);
        }
        repeats.note(7, 0);
        repeats.note(u64::MAX, 0);
        repeats.count();
        assert_eq!((repeats.known.len(), repeats.repeated()), (SETS_MAX, 1));
        assert!(repeats.latest.is_empty());
    }
}
