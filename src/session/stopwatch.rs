//! Splits the time of a query into its phases.

use crate::event::{Moment, Phases};

/// A moment together with the time for which the client had refused bytes up to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    pub at: Moment,
    blocked_ns: u64,
}

impl Mark {
    /// Before everything else.
    pub(super) const NEVER: Mark = Mark {
        at: Moment(0),
        blocked_ns: 0,
    };

    fn later(self, other: Mark) -> Mark {
        if other.at > self.at { other } else { self }
    }
}

/// What one connection needs to remember to time its queries.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    /// Nanoseconds for which the client refused bytes, in runs that are over.
    blocked_ns: u64,
    /// Since when it refuses them now.
    refused_at: Option<Moment>,
    /// First byte of the replies that belong to the statement now answered.
    first_reply: Option<Mark>,
    /// When the statement before it was completed.
    completed: Mark,
    /// When the upstream was last ready for a query; `None` while one runs.
    ready_at: Option<Moment>,
    /// The application's time before the request now running.
    application_ns: u64,
}

impl Stopwatch {
    pub(super) fn refused(&mut self, at: Moment) {
        self.refused_at.get_or_insert(at);
    }

    pub(super) fn accepted(&mut self, at: Moment) {
        if let Some(since) = self.refused_at.take() {
            self.blocked_ns += at.since(since);
        }
    }

    /// Marks a moment that is the present.
    #[inline]
    pub(super) fn mark(&self, at: Moment) -> Mark {
        Mark {
            at,
            blocked_ns: self.blocked_ns + self.refused_at.map_or(0, |since| at.since(since)),
        }
    }

    /// The first ReadyForQuery: requests that were sent before it waited for the login, not for the database.
    #[inline]
    pub(super) fn opened(&mut self, at: Moment) {
        self.completed = self.mark(at);
    }

    /// ReadyForQuery, with nothing more in flight: the application has the word.
    #[inline]
    pub(super) fn ready(&mut self, at: Moment) {
        self.ready_at = Some(at);
        self.first_reply = None;
    }

    /// The first byte of a request: the application's time ends. Returns how long it was, if it was at rest.
    #[inline]
    pub(super) fn request_begins(&mut self, at: Moment) -> Option<u64> {
        self.ready_at.take().map(|ready| at.since(ready))
    }

    /// Charges the application's time to the next query that completes.
    #[inline]
    pub(super) fn charge_application(&mut self, idle_ns: u64) {
        self.application_ns = idle_ns;
    }

    /// A query was asked while nothing was running: replies that came before it (to a Parse of its own) are not its.
    #[inline]
    pub(super) fn forget_replies(&mut self) {
        self.first_reply = None;
    }

    /// A byte of a reply that belongs to the statement at the front.
    #[inline]
    pub(super) fn reply(&mut self, at: Moment) {
        if self.first_reply.is_none() {
            self.first_reply = Some(self.mark(at));
        }
    }

    /// The statement that was asked at `requested` is complete at `at`: where its time went.
    #[inline]
    pub(super) fn complete(&mut self, requested: Mark, at: Moment) -> Phases {
        let end = self.mark(at);
        let start = requested.later(self.completed);
        let first = self.first_reply.take().unwrap_or(end).later(start);
        self.completed = end;
        let client_ns = end.blocked_ns.saturating_sub(start.blocked_ns);
        let waited = first.blocked_ns.saturating_sub(start.blocked_ns);
        Phases {
            database_ns: first.at.since(start.at).saturating_sub(waited),
            transfer_ns: end
                .at
                .since(first.at)
                .saturating_sub(client_ns.saturating_sub(waited)),
            client_ns,
            application_ns: std::mem::take(&mut self.application_ns),
        }
    }
}
