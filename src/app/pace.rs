//! How long a thread that ticks sleeps: one tick where there is much for it, and longer where there is little.

use std::time::Duration;

/// The sleeps of one thread.
#[derive(Debug)]
pub(super) struct Pace {
    tick: Duration,
    longest: Duration,
    wait: Duration,
}

/// How much there was for it after a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// It could have slept twice as long.
    Little,
    /// It was in time.
    Fair,
    /// It must not sleep for longer than a tick.
    Much,
}

impl Pace {
    /// Sleeps of a tick, up to `ticks_max` of them, as far as that is no longer than `longest`.
    pub(super) fn new(tick: Duration, ticks_max: u32, longest: Duration) -> Pace {
        Pace {
            tick,
            longest: tick.saturating_mul(ticks_max).min(longest).max(tick),
            wait: tick,
        }
    }

    /// How long the next sleep is.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Whether it is longer than a tick: then somebody has to wake the thread when much comes.
    pub(super) fn is_slow(&self) -> bool {
        self.wait > self.tick
    }

    /// Takes what the last sleep was good for.
    pub(super) fn slept(&mut self, load: Load) {
        self.wait = match load {
            Load::Little => self.wait.saturating_mul(2).min(self.longest),
            Load::Fair => self.wait,
            Load::Much => self.tick,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    #[test]
    fn it_sleeps_longer_while_there_is_little() {
        let mut pace = Pace::new(TICK, 4, Duration::from_millis(250));
        let mut waits = |loads: &[Load]| -> Vec<u128> {
            let wait = |load: &Load| {
                pace.slept(*load);
                pace.wait().as_millis()
            };
            loads.iter().map(wait).collect()
        };
        let [little, fair, much] = [Load::Little, Load::Fair, Load::Much];
        assert_eq!(
            waits(&[fair, little, fair, little, little]),
            [50, 100, 100, 200, 200]
        );
        assert_eq!(waits(&[much, much, little]), [50, 50, 100]);
        assert!(pace.is_slow());
    }

    #[test]
    fn a_tick_that_is_longer_than_the_longest_sleep_is_that() {
        let mut pace = Pace::new(Duration::from_secs(1), 4, Duration::from_millis(250));
        pace.slept(Load::Little);
        assert_eq!(pace.wait(), Duration::from_secs(1));
        assert!(!pace.is_slow());
    }
}
