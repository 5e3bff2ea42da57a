//! Which sets of values a shape comes with again in one unit: the same statement, asked more than once.

use std::num::NonZeroU64;

use smallvec::SmallVec;

use crate::unit::{Hashes, Known, Values};

/// Different sets counted of one shape in one unit.
const SETS_MAX: usize = 1_024;

/// How often the members of a group had the same values.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Members that repeated an earlier one's values without a write between.
    pub repeated: u64,
    /// The most members that had the same values, without a write between.
    pub most: u64,
    /// What is known of each set that may have come again.
    known: Hashes<Set>,
    /// Sets that came once, and after how many writes, as long as none has come again: nearly all come once, and need
    /// no map, whose memory would have to be waited for.
    fresh: SmallVec<[(u64, u32); 1]>,
}

#[derive(Debug, Clone, Copy)]
struct Set {
    count: u32,
    /// Writes to the shape's tables so far.
    writes: u32,
}

/// What a known set takes: a map keeps a quarter of its places free, and doubles.
const KNOWN_BYTES: usize = 2 * size_of::<Option<(NonZeroU64, Set)>>();

/// What a fresh one takes, but for the first.
const FRESH_BYTES: usize = size_of::<(u64, u32)>();

impl Repeats {
    /// Notes the values of a member, after so many writes to its tables; bytes that it holds more than before.
    pub(super) fn note(&mut self, set: u64, values: Values, writes: u64) -> usize {
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        match values {
            Values::New => self.note_new(set, writes),
            Values::PerhapsKnown => self.note_again(set, writes),
        }
    }

    /// Notes one that nobody had before.
    fn note_new(&mut self, set: u64, writes: u32) -> usize {
        if self.fresh.len() + self.known.len() >= SETS_MAX {
            return 0;
        }
        let is_first = self.fresh.is_empty() && self.known.is_empty();
        self.fresh.push((set, writes));
        if is_first {
            return 0;
        }
        self.most = self.most.max(1);
        FRESH_BYTES
    }

    /// Notes one that may have come before.
    fn note_again(&mut self, set: u64, writes: u32) -> usize {
        let mut fresh = std::mem::take(&mut self.fresh);
        let held = fresh.len().saturating_sub(1) * FRESH_BYTES;
        let known = self.known.len();
        for (set, writes) in fresh.drain(..) {
            self.count(set, writes);
        }
        self.count(set, writes);
        ((self.known.len() - known) * KNOWN_BYTES).saturating_sub(held)
    }

    fn count(&mut self, set: u64, writes: u32) {
        let (known, was) = match self.known.len() < SETS_MAX {
            true => self.known.entry(set, Set { count: 0, writes }),
            false => (self.known.get_mut(set), Known::Before),
        };
        let Some(known) = known else { return };
        if was == Known::Before && known.writes == writes {
            self.repeated += 1;
            known.count = known.count.saturating_add(1);
        } else {
            // A write to its tables lies between: it asks what became of it.
            *known = Set { count: 1, writes };
        }
        self.most = self.most.max(u64::from(known.count));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Repetitions are counted as they are defined, by whomever it is told that values are new and whoever does not
        /// know.
        #[test]
        fn what_repeats_is_counted(
            members in prop::collection::vec(
                (1u64..40, prop::bool::weighted(0.05), any::<bool>()), 1..200),
        ) {
            let mut repeats = Repeats::default();
            let (mut writes, mut seen) = (0u32, HashSet::new());
            let mut runs: HashMap<u64, (u64, u32)> = HashMap::new();
            let (mut repeated, mut most) = (0, 0);
            for (set, is_write, is_told) in members {
                writes += u32::from(is_write);
                let run = runs.entry(set).or_insert((0, writes));
                *run = match run.1 == writes {
                    true => (run.0 + 1, writes),
                    false => (1, writes),
                };
                repeated += u64::from(run.0 > 1);
                most = most.max(run.0);
                let values = match seen.insert(set) && is_told {
                    true => Values::New,
                    false => Values::PerhapsKnown,
                };
                repeats.note(set, values, u64::from(writes));
                prop_assert_eq!(repeats.repeated, repeated);
                prop_assert_eq!(repeats.most.max(1), most);
            }
        }
    }

    #[test]
    fn sets_are_bounded() {
        let mut repeats = Repeats::default();
        for set in 1..2 * SETS_MAX as u64 {
            repeats.note(set, Values::New, 0);
        }
        assert_eq!(repeats.fresh.len(), SETS_MAX);
        repeats.note(7, Values::PerhapsKnown, 0);
        repeats.note(u64::MAX, Values::PerhapsKnown, 0);
        assert_eq!((repeats.known.len(), repeats.repeated), (SETS_MAX, 1));
    }
}
