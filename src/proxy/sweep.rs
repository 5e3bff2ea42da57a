//! Limits on how long sessions stay: for being idle and in all, which are off unless configured, and for their login.
//!
//! No session has a timer for them. Each worker sweeps: now and then it writes down the time and wakes its sessions,
//! which compare. A session that is busy compares with the last sweep each time it comes to rest.

use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, Timeouts};
use crate::event::Moment;

/// What the last sweep of a worker saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sweep {
    at: Moment,
    client_idle_ns: Option<u64>,
    session_max_ns: Option<u64>,
}

/// Why a session has to end: one that is idle outside a transaction, or one that has not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Its login takes too long.
    Login,
    /// It has been idle for this long.
    Idle(Duration),
    /// It has lived for this long.
    Old(Duration),
}

/// A session that is old enough is ended in a pause of this length, so that a request is not cut between two of its
/// statements;
const OLD_REST: Duration = Duration::from_millis(100);
/// without such a pause it may grow older by this part of the limit.
const OLDER_BY: u64 = 8;

/// Between two sweeps without a limit: only to notice that a reload has set one.
const PAUSE_MAX: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(50);

impl Sweep {
    pub(super) fn now(shared: &Shared) -> Sweep {
        let timeouts = shared.tunables.load().timeouts;
        Sweep {
            at: shared.clock.now(),
            client_idle_ns: timeouts.client_idle.map(nanoseconds),
            session_max_ns: timeouts.session_max.map(nanoseconds),
        }
    }

    /// Whether there is a limit at all.
    pub(super) fn is_on(&self) -> bool {
        self.client_idle_ns.is_some() || self.session_max_ns.is_some()
    }

    /// Whether a login of a client that was accepted at this time has taken `limit`.
    pub(super) fn exceeds_login(&self, accepted_at: Moment, limit: Duration) -> bool {
        self.at.since(accepted_at) >= nanoseconds(limit)
    }

    /// Whether a session that was accepted and last moved bytes at these times has to end, if it is idle.
    pub(super) fn overdue(&self, accepted_at: Moment, last_read_at: Moment) -> Option<Overdue> {
        let exceeds = |limit_ns: Option<u64>, since: Moment| {
            limit_ns.filter(|limit_ns| self.at.since(since) >= *limit_ns)
        };
        let rests = self.at.since(last_read_at) >= nanoseconds(OLD_REST);
        let much_older = |limit_ns: u64| {
            self.at.since(accepted_at) >= limit_ns.saturating_add(limit_ns / OLDER_BY)
        };
        let old = exceeds(self.session_max_ns, accepted_at)
            .filter(|limit_ns| rests || much_older(*limit_ns))
            .map(|limit_ns| Overdue::Old(Duration::from_nanos(limit_ns)));
        old.or_else(|| {
            exceeds(self.client_idle_ns, last_read_at)
                .map(|limit_ns| Overdue::Idle(Duration::from_nanos(limit_ns)))
        })
    }
}

/// When to sweep next: often enough that a limit is exceeded by a quarter, or a second, at most.
pub(super) fn next(timeouts: &Timeouts) -> Instant {
    let limits = [
        timeouts.client_idle,
        timeouts.session_max,
        Some(timeouts.login),
    ];
    let shortest = limits.into_iter().flatten().min();
    let pause = shortest.map_or(PAUSE_MAX, |limit| (limit / 4).clamp(PAUSE_MIN, PAUSE_MAX));
    Instant::now() + pause
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_overdue_by_age_or_by_idleness_and_age_comes_first() {
        let second = 1_000_000_000;
        let sweep = |client_idle_ns, session_max_ns| Sweep {
            at: Moment(10 * second),
            client_idle_ns,
            session_max_ns,
        };
        let (accepted, read) = (Moment(second), Moment(7 * second));
        assert_eq!(sweep(None, None).overdue(accepted, read), None);
        assert!(!sweep(None, None).is_on());
        assert_eq!(
            sweep(Some(4 * second), Some(10 * second)).overdue(accepted, read),
            None
        );
        let idle = Some(Overdue::Idle(Duration::from_secs(3)));
        assert_eq!(sweep(Some(3 * second), None).overdue(accepted, read), idle);
        let old = Some(Overdue::Old(Duration::from_secs(9)));
        assert_eq!(
            sweep(Some(3 * second), Some(9 * second)).overdue(accepted, read),
            old
        );
        // A busy one has a little more time.
        let busy = Moment(10 * second - 1);
        assert_eq!(sweep(None, Some(9 * second)).overdue(accepted, busy), None);
        let old = Some(Overdue::Old(Duration::from_secs(8)));
        assert_eq!(sweep(None, Some(8 * second)).overdue(accepted, busy), old);
        // What happened after the sweep is not overdue by it.
        assert_eq!(
            sweep(Some(1), Some(1)).overdue(Moment(11 * second), Moment(12 * second)),
            None
        );
    }
}
