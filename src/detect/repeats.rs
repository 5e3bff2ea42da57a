//! Which sets of values a shape comes with again in one unit: the same statement, asked more than once.

use std::num::NonZeroU64;

use smallvec::SmallVec;

use crate::unit::{Hashes, Known, Values};

/// Different sets counted of one shape in one unit.
const SETS_MAX: usize = 1_024;

/// So many sets, of which some came again, are looked through one by one.
const FEW_MAX: usize = 4;

/// How often the members of a group had the same values.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Members that repeated an earlier one's values without a write between.
    pub repeated: u64,
    /// The most members that had the same values, without a write between.
    pub most: u64,
    /// The sets as long as they are few, or each came once: no map, whose memory would have to be waited for.
    listed: SmallVec<[(u64, Set); 1]>,
    /// The others.
    mapped: Hashes<Set>,
}

/// What is known of a set of values.
#[derive(Debug, Clone, Copy)]
struct Set {
    /// Members that had it, without a write between.
    count: u32,
    /// Writes to the shape's tables so far.
    writes: u32,
}

/// What a set takes in the map, which keeps a quarter of its places free, and doubles.
const MAPPED_BYTES: usize = 2 * size_of::<Option<(NonZeroU64, Set)>>();

/// What one takes in the list, but for the first.
const LISTED_BYTES: usize = size_of::<(u64, Set)>();

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
    pub(super) fn note(&mut self, set: u64, values: Values, writes: u64) -> usize {
        let writes = u32::try_from(writes).unwrap_or(u32::MAX);
        match values {
            Values::New => self.list(set, writes),
            Values::PerhapsKnown if self.is_short() => self.note_listed(set, writes),
            Values::PerhapsKnown => self.note_mapped(set, writes),
        }
    }

    /// Whether all that it knows is a short list.
    fn is_short(&self) -> bool {
        self.mapped.is_empty() && self.listed.len() <= FEW_MAX
    }

    /// Notes one that nobody had before.
    fn list(&mut self, set: u64, writes: u32) -> usize {
        if self.listed.len() + self.mapped.len() >= SETS_MAX {
            return 0;
        }
        let is_first = self.listed.is_empty() && self.mapped.is_empty();
        self.listed.push((set, Set { count: 1, writes }));
        self.most = self.most.max(1);
        match is_first {
            true => 0,
            false => LISTED_BYTES,
        }
    }

    /// Notes one that may have come before, while there are few.
    fn note_listed(&mut self, set: u64, writes: u32) -> usize {
        let Some((_, known)) = self.listed.iter_mut().find(|(listed, _)| *listed == set) else {
            return self.list(set, writes);
        };
        self.repeated += u64::from(known.again(writes));
        self.most = self.most.max(u64::from(known.count));
        0
    }

    /// Notes one that may have come before.
    fn note_mapped(&mut self, set: u64, writes: u32) -> usize {
        let held = self.listed.len().saturating_sub(1) * LISTED_BYTES;
        let mapped = self.mapped.len();
        for (set, known) in self.listed.drain(..) {
            self.mapped.set(set, known);
        }
        self.listed.shrink_to_fit();
        let (known, was) = match self.mapped.len() < SETS_MAX {
            true => self.mapped.entry(set, Set { count: 0, writes }),
            false => (self.mapped.get_mut(set), Known::Before),
        };
        if let Some(known) = known {
            let repeats = known.again(writes) && was == Known::Before;
            self.repeated += u64::from(repeats);
            self.most = self.most.max(u64::from(known.count));
        }
        ((self.mapped.len() - mapped) * MAPPED_BYTES).saturating_sub(held)
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
        assert_eq!(repeats.listed.len(), SETS_MAX);
        repeats.note(7, Values::PerhapsKnown, 0);
        repeats.note(u64::MAX, Values::PerhapsKnown, 0);
        assert_eq!((repeats.mapped.len(), repeats.repeated), (SETS_MAX, 1));
    }
}
