//! How reads come to a relaying thread: whether it pays to gather those of several wake-ups.

use crate::event::Moment;

/// So many reads in so short a time, few in each wake-up, are a brisk pace. It goes on while there are so many from beat
/// to beat.
const BRISK_READS: usize = 16;
const BRISK_WITHIN_NS: u64 = 4_000_000;

/// Wake-ups that bring so many reads in so many have enough to show: they pay for what they fetch into the caches.
///
/// Of 8 clients they bring 1.3 to 1.8, whether these are gathered or not, of 32 some 5 to 7. A thread that gathers, and so
/// has nothing to show, looks sooner and finds fewer: where 31 clients join one whose reads are gathered, 2.6 to 3.9. They
/// are to be told from a few all the same.
const ENOUGH: Came = Came {
    reads: 9,
    wake_ups: 4,
};

/// How reads come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    now: Now,
    came: Came,
    wake_up: WakeUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Now {
    /// Once in a while, or many at a time: nothing waits while the thread does. They are counted since then.
    Calm { since: Moment },
    /// Few at a time, and there will be more soon. They are counted since the last beat.
    Brisk,
}

/// Whether the wake-up that goes on has brought a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WakeUp {
    New,
    Counted,
}

impl Pace {
    /// It begins, or begins again.
    pub(super) const CALM: Pace = Pace {
        now: Now::Calm { since: Moment(0) },
        came: Came::NOTHING,
        wake_up: WakeUp::New,
    };

    /// Whether it pays to gather what comes.
    #[inline]
    pub(super) fn is_brisk(&self) -> bool {
        self.now == Now::Brisk
    }

    /// The thread was woken: perhaps reads come.
    #[inline]
    pub(super) fn woken(&mut self) {
        self.wake_up = WakeUp::New;
    }

    /// A read came.
    #[inline]
    pub(super) fn came(&mut self, at: Moment) {
        if self.wake_up == WakeUp::New {
            self.wake_up = WakeUp::Counted;
            self.came.wake_ups += 1;
        }
        self.came.reads += 1;
        let Now::Calm { since } = &mut self.now else {
            return;
        };
        if self.came.reads == 1 {
            *since = at;
        }
        if self.came.reads >= BRISK_READS {
            let is_brisk = self.came.briskly() && at.since(*since) <= BRISK_WITHIN_NS;
            self.go_on(is_brisk);
        }
    }

    /// Time has passed since the last beat.
    pub(super) fn beat(&mut self) {
        self.go_on(self.is_brisk() && self.came.briskly());
    }

    /// Briskly or not, from now on.
    fn go_on(&mut self, is_brisk: bool) {
        self.came = Came::NOTHING;
        self.now = match is_brisk {
            true => Now::Brisk,
            false => Now::Calm { since: Moment(0) },
        };
    }
}

/// Reads, and the wake-ups that brought any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Came {
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
        let few_at_a_time = self.reads * ENOUGH.wake_ups < ENOUGH.reads * self.wake_ups;
        self.reads >= BRISK_READS && few_at_a_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wake-up that brings so many reads.
    fn wake_up(pace: &mut Pace, reads: usize, at: u64) {
        pace.woken();
        (0..reads).for_each(|_| pace.came(Moment(at)));
    }

    /// Wake-ups of so many reads each, one after the other and again from the first, every so many nanoseconds, with a
    /// beat behind each forty; whether it was brisk behind the last of so many.
    fn brisk(sizes: &[usize], every: u64, wake_ups: usize) -> bool {
        let mut pace = Pace::CALM;
        for (number, reads) in sizes.iter().cycle().take(wake_ups).enumerate() {
            wake_up(&mut pace, *reads, number as u64 * every);
            if number % 40 == 39 {
                pace.beat();
            }
        }
        pace.is_brisk()
    }

    const SLOWLY: u64 = 1_000_000;
    const BRISKLY: u64 = 100_000;

    #[test]
    fn few_reads_at_a_time_and_soon_are_brisk() {
        for (sizes, every, expected) in [
            (&[1][..], BRISKLY, true),
            (&[1, 2, 1, 3], BRISKLY, true),
            (&[3, 2], BRISKLY, false),
            (&[8], BRISKLY, false),
            (&[1], SLOWLY, false),
            (&[2], SLOWLY, false),
            // Wake-ups without a read are none.
            (&[0, 0, 0, 6], BRISKLY / 4, false),
        ] {
            assert_eq!(brisk(sizes, every, 110), expected, "{sizes:?}, {every} ns");
        }
        // As soon as there were enough.
        assert!(!brisk(&[1], BRISKLY, BRISK_READS - 1));
        assert!(brisk(&[1], BRISKLY, BRISK_READS));
    }

    #[test]
    fn it_is_brisk_from_beat_to_beat() {
        let behind = |wake_ups: usize, reads: usize| {
            let mut pace = Pace::CALM;
            (0..BRISK_READS).for_each(|_| wake_up(&mut pace, 1, 1));
            assert!(pace.is_brisk());
            (0..wake_ups).for_each(|_| wake_up(&mut pace, reads, 1));
            pace.beat();
            pace.is_brisk()
        };
        assert!(behind(BRISK_READS, 1));
        assert!(behind(BRISK_READS, 2));
        assert!(!behind(BRISK_READS, 3));
        assert!(!behind(BRISK_READS - 1, 1));
        assert!(!behind(0, 0));
    }

    #[test]
    fn it_is_calm_when_many_join_a_few() {
        let mut pace = Pace::CALM;
        (0..BRISK_READS).for_each(|_| wake_up(&mut pace, 1, 1));
        assert!(pace.is_brisk());
        (0..10).for_each(|_| wake_up(&mut pace, 7, 2));
        pace.beat();
        assert!(!pace.is_brisk());
        (0..100).for_each(|_| wake_up(&mut pace, 7, 3));
        assert!(!pace.is_brisk());
    }
}
