//! How a session is ended gently: when it is idle, when its time is up, and what it is told.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::relay::End;
use super::session::{Place, Session, Until};
use super::{Shared, cancel};
use crate::event::{Moment, Rest, Tap};

/// How long a drain waits for clients that have not logged in to do so.
///
/// A login is a few round trips; a client that has said nothing, and one whose server does not answer, would keep the
/// drain for as long as it may last.
const LOGIN_GRACE: Duration = Duration::from_secs(5);
/// How long a cancelled query has to end before its session is ended without it.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);
/// How much longer than any session's own end the drain waits for what is stuck.
const LAST_CALL: Duration = Duration::from_secs(4);
/// A session that is busy is looked at again after this at the latest; each look costs a timer.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(5);

/// When a drain that has begun ends which session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    began_at: Moment,
    deadline: Instant,
    last_logins: Instant,
    idle_grace: Duration,
}

impl Plan {
    pub(super) fn begin(shared: &Shared) -> Plan {
        let timeouts = shared.tunables.load().timeouts;
        let now = Instant::now();
        Plan {
            began_at: shared.clock.now(),
            deadline: now + timeouts.drain_timeout,
            last_logins: now + timeouts.drain_timeout.min(LOGIN_GRACE),
            idle_grace: timeouts.drain_idle_grace,
        }
    }

    /// When clients that have not logged in are ended.
    pub(super) fn last_logins(&self) -> Instant {
        self.last_logins
    }

    /// When whatever is left is ended without further ado.
    pub(super) fn last_call(&self) -> Instant {
        self.deadline + LAST_CALL
    }
}

/// How a drained session ended.
#[derive(Debug)]
pub(super) enum Drained {
    /// By itself.
    Ended(End),
    /// Its time is up, and it can be told so (57P01).
    Tell,
    /// Its time is up, and there is no place for a word of ours.
    Close,
}

/// Relays until the session may be ended: an idle one after the grace, as is one whose server has left it, any other at
/// the deadline, its query cancelled.
///
/// Idle is counted from the drain's begin or from the session's last byte, whichever is later, so that a web request
/// is not ended between two of its queries.
pub(super) async fn wait<T: Tap>(session: &mut Session<T>, plan: Plan, place: &Place) -> Drained {
    loop {
        let idle_since = session.relay.last_read_at().max(plan.began_at);
        let idle = Duration::from_nanos(place.shared.clock.now().since(idle_since));
        if idle >= plan.idle_grace {
            // Its server has said its last word: there is nothing to wait for but a client that keeps its socket.
            if session.relay.client_is_finished() {
                return Drained::Close;
            }
            if session.rest() == Rest::Idle {
                return Drained::Tell;
            }
        }
        let left = plan.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return at_deadline(session, place).await;
        }
        let next_look = plan
            .idle_grace
            .saturating_sub(idle)
            .max(LOOK_AGAIN_MIN)
            .min(left);
        if let Ok(Some(end)) = timeout(next_look, session.relay_until(Until::Ended, place)).await {
            return Drained::Ended(end);
        }
    }
}

async fn at_deadline<T: Tap>(session: &mut Session<T>, place: &Place) -> Drained {
    if let Rest::Idle | Rest::InTransaction = session.rest() {
        return Drained::Tell;
    }
    if let Some(key) = session.facts.key.clone() {
        // The answer to the cancelled query comes through the relay, which must go on meanwhile.
        let cancelled =
            tokio::task::spawn_local(async move { cancel::send(&key, CANCEL_LIMIT).await });
        let ended = timeout(CANCEL_LIMIT, session.relay_until(Until::Rest, place)).await;
        cancelled.abort();
        if let Ok(Some(end)) = ended {
            return Drained::Ended(end);
        }
    }
    match session.rest() {
        Rest::Idle | Rest::InTransaction | Rest::BetweenMessages => Drained::Tell,
        Rest::InMessage | Rest::Over | Rest::Unknown => Drained::Close,
    }
}
