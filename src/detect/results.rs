//! Which results of a unit are kept, over all its sources: a bounded number, in the order in which they came.

use std::collections::VecDeque;

/// Results kept of one unit, however small.
const RESULTS_MAX: usize = 4_096;

/// The results that are kept of one unit; their rows are with their sources.
#[derive(Debug, Default)]
pub(super) struct Results {
    kept: VecDeque<Kept>,
    /// Hashes of all of them.
    hashes: usize,
    /// Results so far: the number of the next one.
    came: u64,
}

/// A result that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub source: u32,
    pub hashes: u32,
}

impl Results {
    /// The number of the next one.
    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.came
    }

    /// The number of the first one that is kept.
    #[inline]
    pub(super) fn kept_from(&self) -> u64 {
        self.came - self.kept.len() as u64
    }

    /// Takes the next one; bytes that this holds more than before.
    #[inline]
    pub(super) fn push(&mut self, result: Kept) -> usize {
        let room = self.kept.capacity();
        self.came += 1;
        self.hashes += result.hashes as usize;
        self.kept.push_back(result);
        (self.kept.capacity() - room) * size_of::<Kept>()
    }

    /// Gives up the oldest one where they are too many, or have too many hashes; the newest stays, whatever it takes.
    #[inline]
    pub(super) fn give_up(&mut self, hashes_max: usize) -> Option<Kept> {
        let too_many = self.hashes > hashes_max || self.kept.len() > RESULTS_MAX;
        if !too_many || self.kept.len() <= 1 {
            return None;
        }
        let oldest = self.kept.pop_front()?;
        self.hashes -= oldest.hashes as usize;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_is_kept_and_the_newest_always() {
        let mut results = Results::default();
        for source in 0..2 * RESULTS_MAX as u32 {
            results.push(Kept { source, hashes: 1 });
            while let Some(gone) = results.give_up(usize::MAX) {
                assert_eq!(u64::from(gone.source) + 1, results.kept_from());
            }
        }
        assert_eq!(results.kept.len(), RESULTS_MAX);
        assert_eq!(results.hashes, RESULTS_MAX);
        let large = Kept {
            source: 7,
            hashes: 1_000,
        };
        results.push(large);
        while results.give_up(100).is_some() {}
        assert_eq!(results.kept, [large]);
        assert_eq!(results.next(), results.kept_from() + 1);
    }
}
