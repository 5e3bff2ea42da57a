//! Where a session's results go: its worker's delta, the analysis' ring, the slow log's queue, the connection's status.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;

use super::{Observer, Shared};
use crate::aggregate::{Store, Worker};
use crate::event::{
    ClosedEvent, ConnectionState, ConnectionStatus, Direction, Exchange, Held, Moment, Observed,
    QueryEvent, RowsEvent, SessionEvent, SessionFacts, Shape, SlowQuery,
};
use crate::fault;
use crate::session::{Session, Sink};
use crate::sql::{Fingerprint, Verb, Written};

/// One session's way out.
pub(super) struct WorkerSink {
    pub store: Arc<Store>,
    pub status: Arc<ConnectionStatus>,
    shared: Arc<Shared>,
    worker: Arc<Mutex<Worker>>,
    ring: Arc<ArrayQueue<Observed>>,
    shown: ConnectionState,
    shown_facts: Option<Arc<SessionFacts>>,
    /// Lines that this session has in the slow log.
    log_lines: u64,
    /// Queries that were offered to the analysis.
    offered: u64,
}

impl WorkerSink {
    pub(super) fn new(observer: &Observer, status: Arc<ConnectionStatus>) -> WorkerSink {
        WorkerSink {
            store: Arc::clone(&observer.store),
            status,
            shared: Arc::clone(&observer.shared),
            worker: Arc::clone(&observer.worker),
            ring: Arc::clone(&observer.ring),
            shown: ConnectionState::Starting,
            shown_facts: None,
            log_lines: 0,
            offered: 0,
        }
    }

    fn offer(&self, observed: Observed) {
        if self.shared.drops_on_purpose() {
            self.store.health().event_dropped("on_purpose");
        } else if self.ring.push(observed).is_err() {
            self.store.health().event_dropped("ring_full");
        }
    }

    /// The connection of a session that was no longer followed is over. Nobody knows how many queries it had since: one
    /// more than were told says that the unit they belong to was not seen whole.
    pub(super) fn closed_unobserved(&mut self, at: Moment) {
        if self.offered == 0 {
            return;
        }
        if let Some(facts) = &self.shown_facts {
            self.offer(Observed::Closed(ClosedEvent {
                facts: Arc::clone(facts),
                at,
                queries: self.offered + 1,
            }));
        }
    }

    fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what the connection does now, if that changed.
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
    }
}

/// Adds one; there is only one writer.
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Sink for WorkerSink {
    fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        written: Written<'_>,
    ) -> Option<Arc<Shape>> {
        self.worker()
            .shape(fingerprint, verb, || written.shown(fingerprint))
    }

    fn exchange(&mut self, facts: &Arc<SessionFacts>, mut exchange: Exchange) {
        count(&self.status.queries);
        let worker = self.worker();
        worker.record(facts, &exchange);
        if self.shared.panics.load(Ordering::Relaxed) {
            fault::strike();
        }
        drop(worker);
        let event = QueryEvent {
            facts: Arc::clone(facts),
            sequence: exchange.sequence,
            fingerprint: exchange.statement.fingerprint,
            verb: exchange.statement.verb,
            shape: exchange.statement.shape.clone(),
            protocol: exchange.protocol,
            requested_at: exchange.requested_at,
            completed_at: exchange.completed_at,
            phases: exchange.phases,
            round_trips: exchange.round_trips,
            rows: exchange.rows,
            sqlstate: exchange.sqlstate,
            transaction_before: exchange.transaction_before,
            transaction_after: exchange.transaction_after,
            pipeline_index: exchange.pipeline_index,
            tags: exchange.tags.clone(),
            cursor: exchange.cursor,
            flow: exchange.flow.take(),
        };
        self.offered = event.sequence + 1;
        self.offer(Observed::Query(event));
        if exchange.phases.duration_ns() >= self.shared.slow_threshold_ns.load(Ordering::Relaxed) {
            let line = self.log_lines + 1;
            self.log_lines += 2;
            let slow = SlowQuery {
                facts: Arc::clone(facts),
                line,
                exchange,
            };
            if self.shared.slow.push(slow).is_err() {
                self.store.health().slow_log_dropped("queue_full");
            }
        }
    }

    fn rows(&mut self, rows: RowsEvent) {
        self.offer(Observed::Rows(rows));
    }

    fn closed(&mut self, closed: ClosedEvent) {
        self.offer(Observed::Closed(closed));
    }

    fn hold(&mut self, bytes: usize) -> Option<Held> {
        let held = self.shared.flow.take(bytes);
        if held.is_none() {
            self.store.health().event_dropped("flow_full");
        }
        held
    }

    fn event(&mut self, facts: &Arc<SessionFacts>, event: SessionEvent, at: Moment) {
        if matches!(event, SessionEvent::TransactionEnded(_)) {
            count(&self.status.transactions);
        }
        self.worker().session_event(facts, event, at);
    }

    fn unknown_message(&mut self, direction: Direction, _: u8) {
        self.store
            .health()
            .decode_error(direction, "unknown_message");
    }
}
