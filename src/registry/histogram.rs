//! Durations in buckets, counted by many threads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of all buckets but the last, which has none: nanoseconds, inclusive.
pub const BOUNDS_NS: [u64; 17] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// Durations counted in the buckets of [`BOUNDS_NS`].
#[derive(Debug, Default)]
pub struct Histogram {
    pub(super) counts: [AtomicU64; BOUNDS_NS.len() + 1],
    pub(super) sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts one duration. Any number of threads may call it.
    pub fn record(&self, nanoseconds: u64) {
        self.counts[bucket_of(nanoseconds)].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(nanoseconds, Relaxed);
    }

    /// What was counted so far. Counts of one reading may be missing from the sum or the other way round.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            counts: std::array::from_fn(|index| self.counts[index].load(Relaxed)),
            sum_ns: self.sum_ns.load(Relaxed),
        }
    }
}

pub(super) fn bucket_of(nanoseconds: u64) -> usize {
    BOUNDS_NS.partition_point(|bound| *bound < nanoseconds)
}

/// A [`Histogram`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistogramSnapshot {
    /// Readings in each bucket, not cumulated; the last bucket has no upper bound.
    pub counts: [u64; BOUNDS_NS.len() + 1],
    /// Sum of all readings, nanoseconds.
    pub sum_ns: u64,
}

impl HistogramSnapshot {
    /// Readings in all buckets.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn add(&mut self, other: &HistogramSnapshot) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(100_000), 0);
        assert_eq!(bucket_of(100_001), 1);
        assert_eq!(bucket_of(30_000_000_000), 16);
        assert_eq!(bucket_of(u64::MAX), 17);
    }
}
