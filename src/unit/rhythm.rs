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
#[repr(C)]
pub(super) struct Rhythm {
    filled: u8,
    next: u8,
    gaps_us: [u32; GAPS],
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
        gap_ns >= unit_gap_ns || (gap_ns >= PAUSE_MIN_NS && gap_ns >= self.outstanding_ns())
    }

    /// From where on a gap stands out; 0 while there are too few gaps to speak of a rhythm.
    fn outstanding_ns(&self) -> u64 {
        let filled = usize::from(self.filled);
        let mut gaps = self.gaps_us;
        let Some(gaps) = gaps.get_mut(..filled).filter(|gaps| gaps.len() >= GAPS_MIN) else {
            return 0;
        };
        gaps.sort_unstable();
        let at_ns = |index: usize| {
            gaps.get(index)
                .map_or(0, |gap_us| u64::from(*gap_us) * 1_000)
        };
        // Of up to ten gaps p90 is not the longest: one slow import makes no rhythm.
        let p90 = at_ns((filled - 1) * 9 / 10);
        let median = at_ns((filled - 1) / 2);
        TIMES_P90
            .saturating_mul(p90)
            .min(TIMES_MEDIAN.saturating_mul(median))
    }
}

/// Whether a gap is too long to vouch for two statements of one request when nothing is known of the connection.
pub(super) fn is_long(gap_ns: u64) -> bool {
    gap_ns >= PAUSE_MIN_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

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
