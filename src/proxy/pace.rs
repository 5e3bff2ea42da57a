//! How reads come to a relaying thread: whether it pays to gather those of several wake-ups.

use crate::event::Moment;

/// So many reads in so short a time, few in each wake-up, are a brisk pace. It goes on while there are so many from beat
/// to beat.
const BRISK_READS: usize = 16;
const BRISK_WITHIN_NS: u64 = 4_000_000;

/// Wake-ups with so many reads on average have enough to show: they pay for what they fetch into the caches.
const ENOUGH_A_WAKE_UP: usize = 3;

/// How reads come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Once in a while, or many at a time: nothing waits while the thread does. So many came since then.
    Calm { since: Moment, came: Came },
    /// Few at a time, and there will be more soon; so many came since the last beat.
    Brisk { came: Came },
}

impl Pace {
    /// It begins.
    pub(super) const CALM: Pace = Pace::Calm {
        since: Moment(0),
        came: Came::NOTHING,
    };
    const BRISK: Pace = Pace::Brisk {
        came: Came::NOTHING,
    };

    /// A wake-up, which brings some reads.
    #[inline]
    pub(super) fn woken(&mut self) {
        match self {
            Pace::Calm { came, .. } | Pace::Brisk { came } => came.wake_ups += 1,
        }
    }

    /// A read came.
    #[inline]
    pub(super) fn came(&mut self, at: Moment) {
        let (since, came) = match self {
            Pace::Brisk { came } => {
                came.reads += 1;
                return;
            }
            Pace::Calm { since, came } => (since, came),
        };
        if came.reads == 0 {
            *since = at;
        }
        came.reads += 1;
        if came.reads >= BRISK_READS {
            let is_brisk = came.briskly() && at.since(*since) <= BRISK_WITHIN_NS;
            *self = if is_brisk { Pace::BRISK } else { Pace::CALM };
        }
    }

    /// Time has passed since the last beat.
    pub(super) fn beat(&mut self) {
        *self = match self {
            Pace::Brisk { came } if came.briskly() => Pace::BRISK,
            Pace::Brisk { .. } | Pace::Calm { .. } => Pace::CALM,
        };
    }
}

/// Reads, and the wake-ups that brought them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    reads: usize,
    wake_ups: usize,
}

impl Came {
    const NOTHING: Came = Came {
        reads: 0,
        wake_ups: 0,
    };

    /// Whether there were many of them, and few at a time.
    fn briskly(self) -> bool {
        self.reads >= BRISK_READS && self.reads < ENOUGH_A_WAKE_UP * self.wake_ups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wake-ups of so many reads each, one after the other and again from the first, every so many nanoseconds, with a
    /// beat behind each forty; whether it was brisk behind the last of so many.
    fn brisk(sizes: &[usize], every: u64, wake_ups: usize) -> bool {
        let mut pace = Pace::CALM;
        for (number, reads) in sizes.iter().cycle().take(wake_ups).enumerate() {
            let at = Moment(number as u64 * every);
            for left in (0..*reads).rev() {
                if left == 0 {
                    pace.woken();
                }
                pace.came(at);
            }
            if number % 40 == 39 {
                pace.beat();
            }
        }
        matches!(pace, Pace::Brisk { .. })
    }

    const SLOWLY: u64 = 1_000_000;
    const BRISKLY: u64 = 100_000;

    #[test]
    fn few_reads_at_a_time_and_soon_are_brisk() {
        for (sizes, every, expected) in [
            (&[1][..], BRISKLY, true),
            (&[1, 2, 1, 3], BRISKLY, true),
            (&[3, 5], BRISKLY, false),
            (&[8], BRISKLY, false),
            (&[1], SLOWLY, false),
            (&[2], SLOWLY, false),
        ] {
            assert_eq!(brisk(sizes, every, 110), expected, "{sizes:?}, {every} ns");
        }
        // A beat later, or as soon as there were enough.
        assert!(!brisk(&[1], BRISKLY, BRISK_READS - 1));
        assert!(brisk(&[1], BRISKLY, BRISK_READS));
    }

    #[test]
    fn it_is_brisk_from_beat_to_beat() {
        let behind = |wake_ups: usize, reads: usize| {
            let mut pace = Pace::BRISK;
            for _ in 0..wake_ups {
                pace.woken();
                (0..reads).for_each(|_| pace.came(Moment(1)));
            }
            pace.beat();
            pace
        };
        assert_eq!(behind(BRISK_READS, 1), Pace::BRISK);
        assert_eq!(behind(BRISK_READS, 2), Pace::BRISK);
        assert_eq!(behind(BRISK_READS, 3), Pace::CALM);
        assert_eq!(behind(BRISK_READS - 1, 1), Pace::CALM);
        assert_eq!(behind(0, 0), Pace::CALM);
    }
}
