//! How reads come to a relaying thread: whether it pays to gather those of several wake-ups, and which.

use crate::event::Moment;

/// So many reads in so short a time are a brisk pace. It goes on while there are so many from beat to beat.
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
    /// Once in a while: nothing waits while the thread does. They are counted since then.
    Calm { since: Moment },
    /// There will be more soon. They are counted since the last beat.
    Brisk(Crowd),
}

/// How many reads a wake-up brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Of a client or a few: too few to pay for what they fetch into the caches.
    Few,
    /// Enough.
    Many,
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

    /// Whose reads come briskly; `None` where they do not.
    #[inline]
    pub(super) fn brisk(&self) -> Option<Crowd> {
        match self.now {
            Now::Calm { .. } => None,
            Now::Brisk(crowd) => Some(crowd),
        }
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
            let is_brisk = at.since(*since) <= BRISK_WITHIN_NS;
            self.go_on(is_brisk);
        }
    }

    /// Time has passed since the last beat.
    pub(super) fn beat(&mut self) {
        self.go_on(self.brisk().is_some() && self.came.reads >= BRISK_READS);
    }

    /// Briskly or not, from now on.
    fn go_on(&mut self, is_brisk: bool) {
        let came = std::mem::replace(&mut self.came, Came::NOTHING);
        self.now = match is_brisk {
            true => Now::Brisk(came.crowd()),
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

    /// Whose they were.
    fn crowd(self) -> Crowd {
        match self.reads * ENOUGH.wake_ups < ENOUGH.reads * self.wake_ups {
            true => Crowd::Few,
            false => Crowd::Many,
        }
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
    /// beat behind each forty; how it was behind the last of so many.
    fn brisk(sizes: &[usize], every: u64, wake_ups: usize) -> Option<Crowd> {
        let mut pace = Pace::CALM;
        for (number, reads) in sizes.iter().cycle().take(wake_ups).enumerate() {
            wake_up(&mut pace, *reads, number as u64 * every);
            if number % 40 == 39 {
                pace.beat();
            }
        }
        pace.brisk()
    }

    const SLOWLY: u64 = 1_000_000;
    const BRISKLY: u64 = 100_000;

    #[test]
    fn reads_that_come_soon_are_brisk() {
        let (few, many) = (Some(Crowd::Few), Some(Crowd::Many));
        for (sizes, every, expected) in [
            (&[1][..], BRISKLY, few),
            (&[1, 2, 1, 3], BRISKLY, few),
            (&[3, 2], BRISKLY, many),
            (&[8], BRISKLY, many),
            (&[1], SLOWLY, None),
            (&[2], SLOWLY, None),
            // Wake-ups without a read are none.
            (&[0, 0, 0, 6], BRISKLY / 4, many),
        ] {
            assert_eq!(brisk(sizes, every, 110), expected, "{sizes:?}, {every} ns");
        }
        // As soon as there were enough.
        assert_eq!(brisk(&[1], BRISKLY, BRISK_READS - 1), None);
        assert_eq!(brisk(&[1], BRISKLY, BRISK_READS), few);
    }

    #[test]
    fn it_is_brisk_from_beat_to_beat() {
        let behind = |wake_ups: usize, reads: usize| {
            let mut pace = Pace::CALM;
            (0..BRISK_READS).for_each(|_| wake_up(&mut pace, 1, 1));
            assert_eq!(pace.brisk(), Some(Crowd::Few));
            (0..wake_ups).for_each(|_| wake_up(&mut pace, reads, 1));
            pace.beat();
            pace.brisk()
        };
        assert_eq!(behind(BRISK_READS, 1), Some(Crowd::Few));
        assert_eq!(behind(BRISK_READS, 2), Some(Crowd::Few));
        assert_eq!(behind(BRISK_READS, 3), Some(Crowd::Many));
        assert_eq!(behind(BRISK_READS - 1, 1), None);
        assert_eq!(behind(0, 0), None);
    }

    #[test]
    fn many_that_join_a_few_are_many() {
        let mut pace = Pace::CALM;
        (0..BRISK_READS).for_each(|_| wake_up(&mut pace, 1, 1));
        assert_eq!(pace.brisk(), Some(Crowd::Few));
        (0..10).for_each(|_| wake_up(&mut pace, 7, 2));
        for _ in 0..10 {
            pace.beat();
            assert_eq!(pace.brisk(), Some(Crowd::Many));
            (0..10).for_each(|_| wake_up(&mut pace, 7, 3));
        }
    }
}
