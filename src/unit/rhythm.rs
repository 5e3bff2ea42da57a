//! How fast an application goes from one statement to the next on a connection, and which pause stands out from that.

/// Gaps remembered: enough for a 90th percentile, few enough to follow a machine that gets busy.
const GAPS: usize = 32;

/// A shorter pause never stands out: inside loops on a quiet machine the 99th percentile is 5 to 7 ms, and nobody
/// asks for the next page within twice that.
const PAUSE_MIN_NS: u64 = 15_000_000;

/// A pause stands out that is so many times the 90th percentile. Measured in loops: p99 is at most five times p90.
const TIMES: u64 = 8;

/// The latest gaps inside units of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Rhythm {
    gaps_us: [u32; GAPS],
    filled: u8,
    next: u8,
}

impl Rhythm {
    /// A gap that separated nothing.
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
    pub(super) fn stands_out(&self, gap_ns: u64, unit_gap_ns: u64) -> bool {
        gap_ns >= unit_gap_ns
            || (gap_ns >= PAUSE_MIN_NS && gap_ns >= TIMES.saturating_mul(self.p90_ns()))
    }

    fn p90_ns(&self) -> u64 {
        let filled = usize::from(self.filled);
        let mut gaps = self.gaps_us;
        let Some(gaps) = gaps.get_mut(..filled) else {
            return 0;
        };
        gaps.sort_unstable();
        gaps.get(filled * 9 / 10)
            .map_or(0, |gap_us| u64::from(*gap_us) * 1_000)
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

        let mut busy = Rhythm::default();
        (0..GAPS).for_each(|n| busy.note(if n % 8 == 0 { 4 * MS } else { MS }));
        assert!(!busy.stands_out(20 * MS, gap), "a machine under load");
        assert!(busy.stands_out(32 * MS, gap));
        (0..GAPS).for_each(|_| busy.note(30 * MS));
        assert!(
            busy.stands_out(50 * MS, gap),
            "the setting has the last word"
        );
    }
}
