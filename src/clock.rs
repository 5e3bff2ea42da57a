//! The one place that reads the clocks: monotonic [`Moment`]s, and the wall time they stand for.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::event::Moment;

/// Started once by the application, copied to whoever needs the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Of the system's monotonic clock, nanoseconds.
    origin_ns: i64,
    started_at: SystemTime,
}

impl Clock {
    /// Starts the process's time: its `now` is [`Moment`] 0.
    #[allow(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Clock {
        Clock {
            origin_ns: monotonic_ns(),
            started_at: SystemTime::now(),
        }
    }

    /// The present, monotonic.
    #[inline]
    pub fn now(&self) -> Moment {
        Moment(monotonic_ns().saturating_sub(self.origin_ns).max(0) as u64)
    }

    /// The wall time at `moment`, as the wall clock stood when the process started; a clock that was set since
    /// does not move it, so that durations and orders stay true.
    pub fn wall(&self, moment: Moment) -> SystemTime {
        self.started_at + Duration::from_nanos(moment.0)
    }
}

/// Read several times a query: one call of the vDSO and one product, without `Instant`'s wider arithmetic. The system
/// has had this clock for longer than we run on it: the call does not fail.
#[inline]
fn monotonic_ns() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}
