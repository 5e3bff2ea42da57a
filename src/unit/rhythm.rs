//! How fast an application goes from one statement to the next on a connection, and which pause stands out from that.

/// Gaps remembered: enough for a 90th percentile, few enough to follow a machine that gets busy.
const GAPS: usize = 32;

/// Fewer are no rhythm.
const GAPS_MIN: usize = 4;

/// A shorter pause never stands out: inside loops on a quiet machine the 99th percentile is 5 to 7 ms, and nobody
/// asks for the next page within twice that.
const PAUSE_MIN_NS: u64 = 15_000_000;

/// A pause stands out that is so many times the 90th percentile, or so many times the median: in loops p99 was measured
/// at five times p90 and fourteen times the median. The median is the one that a few hiccups do not move.
const TIMES_P90: u64 = 8;
const TIMES_MEDIAN: u64 = 20;

/// The latest gaps inside units of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Rhythm {
    gaps_us: [u32; GAPS],
    filled: u8,
    next: u8,
}

impl Rhythm {
    /// A gap that separated nothing, and does not stand out.
    #[inline]
    pub(super) fn note(&mut self, gap_ns: u64) {
        let gap_us = u32::try_from(gap_ns / 1_000).unwrap_or(u32::MAX);
        let next = usize::from(self.next);
        if let Some(slot) = self.gaps_us.get_mut(next) {
            *slot = gap_us;
        }
        self.next = ((next + 1) % GAPS) as u8;
        self.filled = self.filled.saturating_add(1).min(GAPS as u8);
    }

    /// Whether a gap may separate two units.
    #[inline]
    pub(super) fn stands_out(&self, gap_ns: u64, unit_gap_ns: u64) -> bool {
        gap_ns >= unit_gap_ns || (gap_ns >= PAUSE_MIN_NS && self.is_outstanding(gap_ns))
    }

    /// Whether a gap is so long beside those that are known; any is while there are too few to speak of a rhythm.
    ///
    /// It is so many times a percentile where enough of them are so many times shorter: nothing needs to be sorted.
    fn is_outstanding(&self, gap_ns: u64) -> bool {
        let filled = usize::from(self.filled);
        let Some(gaps) = self.gaps_us.get(..filled) else {
            return true;
        };
        if filled < GAPS_MIN {
            return true;
        }
        let shorter = |times: u64| {
            let most_us = gap_ns / 1_000 / times;
            let most_us = u32::try_from(most_us).unwrap_or(u32::MAX);
            gaps.iter().filter(|gap_us| **gap_us <= most_us).count()
        };
        // Of up to ten gaps p90 is not the longest: one slow import makes no rhythm.
        let (p90, median) = ((filled - 1) * 9 / 10, (filled - 1) / 2);
        shorter(TIMES_P90) > p90 || shorter(TIMES_MEDIAN) > median
    }
}

/// Whether a gap is too long to vouch for two statements of one request when nothing is known of the connection.
pub(super) fn is_long(gap_ns: u64) -> bool {
    gap_ns >= PAUSE_MIN_NS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    proptest! {
        /// What is counted is what the percentiles say.
        #[test]
        fn a_gap_stands_out_from_percentiles(
            gaps in prop::collection::vec(
                prop_oneof![8 => 0u64..4 * MS, 1 => 0u64..40 * MS], 0..80),
            at in any::<prop::sample::Index>(),
            times in prop::sample::select(vec![1, TIMES_P90, TIMES_MEDIAN]),
            besides_us in -1i64..2,
            anything in 0u64..60 * MS,
        ) {
            // As often as not right at what is so many times one of them.
            let gap_ns = match gaps.get(at.index(gaps.len().max(1))) {
                Some(one) if anything % 2 == 0 => {
                    (one / 1_000 * times).saturating_add_signed(besides_us) * 1_000
                }
                Some(_) | None => anything,
            };
            let mut rhythm = Rhythm::default();
            gaps.iter().for_each(|gap_ns| rhythm.note(*gap_ns));
            let mut latest: Vec<u64> = gaps.iter().rev().take(GAPS).map(|gap_ns| gap_ns / 1_000).collect();
            latest.sort_unstable();
            let at_ns = |index: usize| latest.get(index).map_or(0, |gap_us| gap_us * 1_000);
            let last = latest.len().saturating_sub(1);
            let from_ns = match latest.len() < GAPS_MIN {
                true => 0,
                false => (TIMES_P90 * at_ns(last * 9 / 10)).min(TIMES_MEDIAN * at_ns(last / 2)),
            };
            let expected = gap_ns >= 50 * MS || (gap_ns >= PAUSE_MIN_NS && gap_ns >= from_ns);
            prop_assert_eq!(rhythm.stands_out(gap_ns, 50 * MS), expected);
        }
    }

    #[test]
    fn a_pause_stands_out_from_the_rhythm_it_interrupts() {
        let gap = 50 * MS;
        let mut quiet = Rhythm::default();
        assert!(!quiet.stands_out(14 * MS, gap));
        assert!(quiet.stands_out(15 * MS, gap), "nothing is known yet");
        (0..100).for_each(|_| quiet.note(MS / 2));
        assert!(quiet.stands_out(20 * MS, gap));

        let mut cold = Rhythm::default();
        (0..4).for_each(|_| cold.note(MS / 2));
        cold.note(9 * MS);
        assert!(cold.stands_out(20 * MS, gap), "one slow import");

        cold.note(5 * MS);
        assert!(cold.stands_out(20 * MS, gap), "and another");

        let mut busy = Rhythm::default();
        (0..GAPS).for_each(|n| busy.note(if n % 4 == 0 { 4 * MS } else { 2 * MS }));
        assert!(!busy.stands_out(20 * MS, gap), "a machine under load");
        assert!(busy.stands_out(32 * MS, gap));
        (0..GAPS).for_each(|_| busy.note(30 * MS));
        assert!(
            busy.stands_out(50 * MS, gap),
            "the setting has the last word"
        );
    }
}
