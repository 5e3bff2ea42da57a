//! The one place that reads the clocks: monotonic [`Moment`]s, and the wall time they stand for.

use std::time::{Duration, Instant, SystemTime};

use crate::event::Moment;

/// Started once by the application, copied to whoever needs the time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    started_at: SystemTime,
}

impl Clock {
    /// Starts the process's time: its `now` is [`Moment`] 0.
    #[allow(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Clock {
        Clock {
            origin: Instant::now(),
            started_at: SystemTime::now(),
        }
    }

    /// The present, monotonic.
    #[allow(clippy::disallowed_methods, reason = "this is the place")]
    pub fn now(&self) -> Moment {
        Moment(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The wall time at `moment`, as the wall clock stood when the process started; a clock that was set since
    /// does not move it, so that durations and orders stay true.
    pub fn wall(&self, moment: Moment) -> SystemTime {
        self.started_at + Duration::from_nanos(moment.0)
    }
}
