//! Which statements of a unit came before as they are: the same shape with the same values.

use smallvec::SmallVec;

use super::open::Room;
use crate::hashes::{GATHERED_MAX, Hashes, Known, gather};
use crate::sql::Fingerprint;

/// What a unit was asked, and how much of it again.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Each different statement, its shape and all its values as one hash.
    known: Hashes<()>,
    /// Those that came last: they are looked for together.
    latest: SmallVec<[u64; 1]>,
    /// Whether what is new of the latest may be kept.
    room: Room,
    duplicates: u64,
}

impl Asked {
    /// A statement, with all its values as one hash.
    #[inline]
    pub(super) fn note(&mut self, fingerprint: Fingerprint, values: u64, room: Room) {
        if self.latest.len() >= GATHERED_MAX || self.room != room {
            self.count();
        }
        self.room = room;
        gather(&mut self.latest, values ^ fingerprint.0.rotate_left(17));
    }

    /// Statements that repeated an earlier one.
    pub(super) fn duplicates(&mut self) -> u64 {
        if self.latest.len() > 1 || !self.known.is_empty() {
            self.count();
        }
        self.duplicates
    }

    fn count(&mut self) {
        for both in self.latest.drain(..) {
            let seen = match self.room {
                Room::Left => self.known.insert(both) == Known::Before,
                Room::Full => self.known.contains(both),
            };
            self.duplicates += u64::from(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What repeats is counted, whenever somebody asks; what is new without room is not remembered.
        #[test]
        fn what_repeats_is_counted(
            statements in prop::collection::vec((0u64..60, prop::bool::weighted(0.9), prop::bool::weighted(0.02)), 1..400),
        ) {
            let mut asked = Asked::default();
            let (mut known, mut duplicates) = (HashSet::new(), 0);
            for (values, has_room, is_looked_at) in statements {
                let room = match has_room {
                    true => Room::Left,
                    false => Room::Full,
                };
                asked.note(Fingerprint(7), values, room);
                duplicates += u64::from(match has_room {
                    true => !known.insert(values),
                    false => known.contains(&values),
                });
                if is_looked_at {
                    prop_assert_eq!(asked.duplicates(), duplicates);
                }
            }
            prop_assert_eq!(asked.duplicates(), duplicates);
        }
    }
}
