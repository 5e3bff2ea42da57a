//! Where a session's results go: its worker's delta, the analysis' ring, the slow log's queue, the connection's status.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;

use super::ring::{RingFull, Writing};
use super::{Observer, Shared};
use crate::aggregate::{Counter, Store, Whose};
use crate::cache;
use crate::event::{
    Beside, ClosedEvent, ConnectionState, ConnectionStatus, Direction, Exchange, Flow, Held,
    Moment, Observed, QueryEvent, RowsEvent, SessionEvent, SessionFacts, ShapeRef, SlowQuery,
};
use crate::fault;
use crate::session::{Finished, Session, Sink};
use crate::sql::{Fingerprint, Verb, Written};

/// One session's way out.
pub(super) struct Outlet {
    pub store: Arc<Store>,
    pub status: Arc<ConnectionStatus>,
    shared: Arc<Shared>,
    shown: ConnectionState,
    shown_facts: Option<Arc<SessionFacts>>,
    spare_facts: SpareFacts,
    /// Lines that this session has in the slow log.
    log_lines: u64,
    /// Queries that were offered to the analysis.
    offered: u64,
    whose: Whose,
}

/// Some owners of a session's facts, for its next events.
///
/// Who makes one waits until all that it wrote before has reached its cache, and takes the count of the owners from the
/// thread that drops the events: once for all of these.
#[derive(Default)]
struct SpareFacts(SmallVec<[Arc<SessionFacts>; 8]>);

impl SpareFacts {
    /// One of `facts`.
    #[inline(always)]
    fn take(&mut self, facts: &Arc<SessionFacts>) -> Arc<SessionFacts> {
        match self.0.pop() {
            Some(spare) if Arc::ptr_eq(&spare, facts) => spare,
            Some(_) | None => self.renew(facts),
        }
    }

    #[inline(never)]
    fn renew(&mut self, facts: &Arc<SessionFacts>) -> Arc<SessionFacts> {
        self.0.clear();
        let owners = std::iter::repeat_n(facts, self.0.inline_size());
        self.0.extend(owners.map(Arc::clone));
        Arc::clone(facts)
    }
}

/// It, and where the worker counts and puts its events, for as long as the session is looked at.
pub(super) struct WorkerSink<'s> {
    pub outlet: &'s mut Outlet,
    pub counter: Counter<'s>,
    pub writing: Writing<'s>,
}

impl Outlet {
    pub(super) fn new(observer: &Observer, status: Arc<ConnectionStatus>) -> Outlet {
        Outlet {
            store: Arc::clone(&observer.store),
            status,
            shared: Arc::clone(&observer.shared),
            shown: ConnectionState::Starting,
            shown_facts: None,
            spare_facts: SpareFacts::default(),
            log_lines: 0,
            offered: 0,
            whose: Whose::default(),
        }
    }

    /// Has fetched what the next query will change.
    #[inline]
    pub(super) fn expect(&self) {
        cache::fetch(&self.status.queries);
        if let Some(facts) = &self.shown_facts {
            cache::fetch(&**facts);
        }
    }

    #[cold]
    fn dropped(&self, reason: &'static str) {
        self.store.health().event_dropped(reason);
    }

    /// Shows what the connection does now, if that changed.
    #[inline]
    pub(super) fn show(&mut self, session: &Session, at: Moment) {
        let state = session.state();
        if state != self.shown {
            self.shown = state;
            self.status.state.store(state as u8, Ordering::Relaxed);
            self.status.since.store(at.0, Ordering::Relaxed);
        }
        let facts = session.facts();
        if self
            .shown_facts
            .as_ref()
            .is_none_or(|shown| !Arc::ptr_eq(shown, facts))
        {
            self.show_facts(facts);
        }
    }

    #[cold]
    fn show_facts(&mut self, facts: &Arc<SessionFacts>) {
        self.status.backend_pid.store(
            u64::from(facts.backend_pid.unsigned_abs()),
            Ordering::Relaxed,
        );
        let mut application = self
            .status
            .application
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *application = Some(Arc::clone(&facts.application));
        self.shown_facts = Some(Arc::clone(facts));
    }

    /// Whether an event is to be dropped on purpose: it is counted then.
    #[inline]
    fn drops_on_purpose(&self) -> bool {
        let drops = self.shared.drops_on_purpose();
        if drops {
            self.dropped("on_purpose");
        }
        drops
    }

    /// Counts a query whose values are not in the event yet, and has it written down if it took long.
    #[inline]
    fn counts(&mut self, counter: &mut Counter<'_>, event: &QueryEvent, beside: Beside<'_>) {
        counter.record(&mut self.whose, event, beside);
        let threshold_ns = self.shared.slow_threshold_ns.load(Ordering::Relaxed);
        if event.phases.duration_ns() >= threshold_ns {
            self.log(event, beside);
        }
    }

    /// Has a query that took long written down.
    #[cold]
    fn log(&mut self, event: &QueryEvent, beside: Beside<'_>) {
        let line = self.log_lines + 1;
        self.log_lines += 2;
        let slow = Box::new(SlowQuery {
            facts: Arc::clone(&event.facts),
            line,
            exchange: Exchange::of(event.clone(), beside),
        });
        if self.shared.slow.push(slow).is_err() {
            self.store.health().slow_log_dropped("queue_full");
        }
        self.shared.slow_bell.ring();
    }
}

impl WorkerSink<'_> {
    fn offer(&mut self, observed: Observed) {
        if !self.outlet.drops_on_purpose() && self.writing.push(observed).is_err() {
            self.outlet.dropped("ring_full");
        }
    }

    /// The connection of a session that was no longer followed is over. Nobody knows how many queries it had since: one
    /// more than were told says that the unit they belong to was not seen whole.
    pub(super) fn closed_unobserved(&mut self, at: Moment) {
        if self.outlet.offered == 0 {
            return;
        }
        if let Some(facts) = &self.outlet.shown_facts {
            let closed = ClosedEvent {
                facts: Arc::clone(facts),
                at,
                queries: self.outlet.offered + 1,
            };
            self.offer(Observed::Closed(closed));
        }
    }
}

/// Adds one; there is only one writer.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Sink for WorkerSink<'_> {
    fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        written: Written<'_>,
    ) -> Option<ShapeRef> {
        self.counter
            .shape(fingerprint, verb, || written.shown(fingerprint))
    }

    #[inline]
    fn query(&mut self, mut query: Finished<'_>) {
        self.outlet.offered = query.sequence() + 1;
        // Its memory is elsewhere, and need not be waited for: nothing is read from it.
        let queries = &self.outlet.status.queries;
        queries.store(self.outlet.offered, Ordering::Relaxed);
        let room = match self.outlet.drops_on_purpose() {
            true => None,
            false => self
                .writing
                .room()
                .map_err(|RingFull| self.outlet.dropped("ring_full"))
                .ok(),
        };
        match room {
            // Where it stays: it is large.
            Some(mut room) => {
                let facts = self.outlet.spare_facts.take(query.facts());
                if let Some(Observed::Query(event)) =
                    room.put(|| Observed::Query(query.event(facts)))
                {
                    self.outlet.counts(&mut self.counter, event, query.beside());
                    // None is there; a compiler that sees it copies them once.
                    if event.flow.is_none()
                        && let Some(flow) = query.take_flow()
                    {
                        // In the pieces in which they were written: all at once is a copy in others, which waits for them.
                        let Flow {
                            constants,
                            values,
                            result,
                        } = *flow;
                        event.flow = Some(Flow {
                            constants,
                            values,
                            result,
                        });
                    }
                }
            }
            None => {
                let event = query.event(Arc::clone(query.facts()));
                self.outlet
                    .counts(&mut self.counter, &event, query.beside());
            }
        }
        if self.outlet.shared.panics.load(Ordering::Relaxed) {
            fault::strike();
        }
    }

    fn rows(&mut self, rows: RowsEvent) {
        self.offer(Observed::Rows(Box::new(rows)));
    }

    fn closed(&mut self, closed: ClosedEvent) {
        self.offer(Observed::Closed(closed));
    }

    fn hold(&mut self, bytes: usize) -> Option<Held> {
        let held = self.outlet.shared.flow.take(bytes);
        if held.is_none() {
            self.outlet.dropped("flow_full");
        }
        held
    }

    fn event(&mut self, facts: &Arc<SessionFacts>, event: SessionEvent, _: Moment) {
        match event {
            SessionEvent::LoggedIn => return,
            SessionEvent::TransactionEnded(_) => count(&self.outlet.status.transactions),
            SessionEvent::IdledInTransaction(_) => {}
        }
        self.counter
            .session_event(&mut self.outlet.whose, facts, event);
    }

    fn unknown_message(&mut self, direction: Direction, _: u8) {
        self.outlet
            .store
            .health()
            .decode_error(direction, "unknown_message");
    }
}
