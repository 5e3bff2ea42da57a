//! What has been answered so far: rows, bytes, times and the transaction, and the making of each [`QueryEvent`].
//!
//! A finished query is told at once where ReadyForQuery follows it directly. Elsewhere it is held until the next one
//! finishes or ReadyForQuery comes: only then its transaction status is known, and an error at the implicit commit of a
//! Sync still belongs to it.

use std::sync::Arc;

use super::Sink;
use super::asked::{Asked, Origin, Progress};
use super::catalog::Portal;
use super::stopwatch::{Mark, Stopwatch};
use crate::event::{
    Beside, Exchange, Flow, Moment, Protocol, QueryEvent, RowKeys, RowsEvent, SessionEvent,
    SessionFacts, TransactionOutcome,
};
use crate::sql::{NameHash, Verb};
use crate::wire::{SqlState, TransactionStatus};

/// The transaction block, as tags and ReadyForQuery tell it.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub status: TransactionStatus,
}

impl Transaction {
    /// A statement completed with this tag. `ROLLBACK TO SAVEPOINT` has the tag `ROLLBACK` and ends nothing.
    fn completed(&mut self, verb: Verb, tag: &[u8]) -> Option<TransactionOutcome> {
        let outcome = match tag {
            b"BEGIN" | b"START TRANSACTION" => {
                if self.status == TransactionStatus::Idle {
                    self.status = TransactionStatus::InTransaction;
                }
                return None;
            }
            b"COMMIT" | b"PREPARE TRANSACTION" => TransactionOutcome::Committed,
            b"ROLLBACK" if verb == Verb::RollbackTo => {
                self.status = TransactionStatus::InTransaction;
                return None;
            }
            b"ROLLBACK" => TransactionOutcome::RolledBack,
            _ => return None,
        };
        let was = std::mem::take(&mut self.status);
        (was != TransactionStatus::Idle).then_some(outcome)
    }

    fn failed(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }

    /// ReadyForQuery has the last word.
    fn ready(&mut self, status: TransactionStatus) -> Option<TransactionOutcome> {
        let was = std::mem::replace(&mut self.status, status);
        (was != TransactionStatus::Idle && status == TransactionStatus::Idle)
            .then_some(TransactionOutcome::RolledBack)
    }
}

/// What came for the statement now answered.
#[derive(Debug, Default)]
struct Current {
    rows: u64,
    request_bytes: u64,
    response_bytes: u64,
    copy: Copying,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Copying {
    #[default]
    No,
    Yes,
}

/// A part of the rows of a cursor or portal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// The query.
    pub asked: &'a Asked,
    /// The cursor or portal.
    pub cursor: NameHash,
    /// Its first round trip.
    pub first: &'a Progress,
    /// When this part was complete.
    pub completed_at: Moment,
}

/// What is known of what follows when a statement is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// ReadyForQuery does, directly: the query can be told at once.
    Ready(TransactionStatus),
    /// Anything may.
    Unknown,
}

/// A query that is over, until it is told.
#[derive(Debug)]
struct Ended {
    origin: Origin,
    flow: Option<Box<Flow>>,
    progress: Progress,
    sequence: u64,
    sqlstate: Option<SqlState>,
    transaction_after: TransactionStatus,
}

/// A finished query, as a [`Sink`] is told of it: it makes of it what it needs, where it needs it.
#[derive(Debug)]
pub struct Finished<'a> {
    facts: &'a Arc<SessionFacts>,
    ended: &'a mut Ended,
}

impl Finished<'_> {
    /// Its number on its session, from 0.
    pub fn sequence(&self) -> u64 {
        self.ended.sequence
    }

    /// Who asked.
    #[inline]
    pub fn facts(&self) -> &Arc<SessionFacts> {
        self.facts
    }

    /// What the analysis gets of it, with [`Finished::facts`], but for the values: [`Finished::take_flow`] has them.
    #[inline(always)]
    pub fn event(&self, facts: Arc<SessionFacts>) -> QueryEvent {
        let Ended {
            origin, progress, ..
        } = &*self.ended;
        let wording = origin.wording();
        QueryEvent {
            facts,
            sequence: self.ended.sequence,
            fingerprint: wording.statement.fingerprint,
            verb: wording.statement.verb,
            shape: wording.statement.shape,
            protocol: progress.protocol,
            requested_at: progress.requested_at,
            completed_at: progress.completed_at,
            phases: progress.phases,
            round_trips: progress.round_trips,
            rows: progress.rows,
            sqlstate: self.ended.sqlstate,
            transaction_before: progress.transaction_before,
            transaction_after: self.ended.transaction_after,
            pipeline_index: progress.pipeline_index,
            tags: wording.tags.clone(),
            cursor: progress.cursor,
            flow: None,
        }
    }

    /// Its values, which are large: moved once, to where they stay.
    #[inline(always)]
    pub fn take_flow(&mut self) -> Option<Box<Flow>> {
        self.ended.flow.take()
    }

    /// What the analysis does not get.
    #[inline]
    pub fn beside(&self) -> Beside<'_> {
        let wording = self.ended.origin.wording();
        Beside {
            truncated: wording.statement.truncated,
            request_bytes: self.ended.progress.request_bytes,
            response_bytes: self.ended.progress.response_bytes,
            literal_text: wording.literal_text(),
            statement_name: wording.name.as_ref(),
        }
    }

    /// All of it.
    pub fn exchange(mut self) -> Exchange {
        let flow = self.take_flow().map(|flow| *flow);
        let event = QueryEvent {
            flow,
            ..self.event(Arc::clone(self.facts))
        };
        Exchange::of(event, self.beside())
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub stopwatch: Stopwatch,
    pub transaction: Transaction,
    current: Current,
    sequence: u64,
    pipeline_index: u32,
    /// The query that waits to be told, in a place that is there until the server is ready: nearly all are told at once.
    pending: Option<Box<Option<Ended>>>,
}

impl Ledger {
    /// A reply message that belongs to the statement at the front.
    #[inline]
    pub(super) fn reply(&mut self, at: Moment, bytes: u64) {
        self.stopwatch.reply(at);
        self.current.response_bytes += bytes;
    }

    #[inline]
    pub(super) fn row(&mut self) {
        self.rows_came(1);
    }

    #[inline]
    pub(super) fn rows_came(&mut self, rows: u64) {
        self.current.rows += rows;
    }

    /// CopyData of the client.
    pub(super) fn fed(&mut self, bytes: u64) {
        self.current.request_bytes += bytes;
    }

    /// The statement turned out to be a COPY.
    pub(super) fn copies(&mut self) {
        self.current.copy = Copying::Yes;
    }

    /// Closes the account of the statement now answered.
    ///
    /// `rows` is what its tag says; without a number the DataRows count.
    #[inline]
    pub(super) fn measure(
        &mut self,
        protocol: Protocol,
        requested: Mark,
        request_bytes: u64,
        rows: Option<u64>,
        at: Moment,
    ) -> Progress {
        let current = std::mem::take(&mut self.current);
        let pipeline_index = self.pipeline_index;
        self.pipeline_index = self.pipeline_index.saturating_add(1);
        Progress {
            requested_at: requested.at,
            completed_at: at,
            phases: self.stopwatch.complete(requested, at),
            round_trips: 1,
            rows: rows.unwrap_or(current.rows),
            request_bytes: request_bytes + current.request_bytes,
            response_bytes: current.response_bytes,
            transaction_before: self.transaction.status,
            pipeline_index,
            protocol: match current.copy {
                Copying::Yes => Protocol::Copy,
                Copying::No => protocol,
            },
            cursor: None,
        }
    }

    /// A statement completed with `tag`: what it does to the transaction.
    #[inline]
    pub(super) fn transaction_step(
        &mut self,
        facts: &Arc<SessionFacts>,
        verb: Verb,
        tag: &[u8],
        at: Moment,
        sink: &mut impl Sink,
    ) {
        if let Some(outcome) = self.transaction.completed(verb, tag) {
            sink.event(facts, SessionEvent::TransactionEnded(outcome), at);
        }
    }

    /// A query is over: it waits for the next one or for ReadyForQuery, where that does not follow at once. Where it does,
    /// returns what it was asked by, for which there is no further use here.
    #[inline]
    pub(super) fn report(
        &mut self,
        facts: &Arc<SessionFacts>,
        asked: Asked,
        progress: &Progress,
        sqlstate: Option<SqlState>,
        behind: Behind,
        sink: &mut impl Sink,
    ) -> Option<Origin> {
        self.flush(facts, sink);
        if sqlstate.is_some() {
            self.transaction.failed();
        }
        let Asked { origin, flow, .. } = asked;
        let sequence = self.sequence;
        self.sequence += 1;
        let ended = |transaction_after| Ended {
            origin,
            flow,
            progress: *progress,
            sequence,
            sqlstate,
            transaction_after,
        };
        match behind {
            Behind::Ready(status) => {
                let mut told = ended(status);
                let ended = &mut told;
                sink.query(Finished { facts, ended });
                Some(told.origin)
            }
            Behind::Unknown => {
                let place = self.pending.get_or_insert_default();
                **place = Some(ended(self.transaction.status));
                None
            }
        }
    }

    /// A cursor or suspended portal is over: one logical query, however many round trips it took.
    pub(super) fn report_portal(
        &mut self,
        facts: &Arc<SessionFacts>,
        portal: Portal,
        sink: &mut impl Sink,
    ) {
        if let Some(progress) = portal.progress {
            let behind = Behind::Unknown;
            self.report(facts, portal.asked, &progress, None, behind, sink);
        }
    }

    /// An error at the end of a group: the implicit commit failed, and with it the query that waits.
    pub(super) fn fail_pending(&mut self, sqlstate: SqlState) {
        if let Some(pending) = self.pending() {
            pending.sqlstate.get_or_insert(sqlstate);
        }
        self.transaction.failed();
    }

    /// ReadyForQuery.
    #[inline]
    pub(super) fn ready(
        &mut self,
        facts: &Arc<SessionFacts>,
        status: TransactionStatus,
        at: Moment,
        sink: &mut impl Sink,
    ) {
        let outcome = self.transaction.ready(status);
        if let Some(pending) = self.pending() {
            pending.transaction_after = status;
            self.flush(facts, sink);
        }
        if let Some(outcome) = outcome {
            sink.event(facts, SessionEvent::TransactionEnded(outcome), at);
        }
        self.pipeline_index = 0;
        self.current = Current::default();
    }

    /// The first byte of a request that follows ReadyForQuery.
    #[inline]
    pub(super) fn request_begins(
        &mut self,
        facts: &Arc<SessionFacts>,
        unit_gap_ns: u64,
        at: Moment,
        sink: &mut impl Sink,
    ) {
        let Some(idle_ns) = self.stopwatch.request_begins(at) else {
            return;
        };
        let in_transaction = self.transaction.status != TransactionStatus::Idle;
        if in_transaction {
            sink.event(facts, SessionEvent::IdledInTransaction(idle_ns), at);
        }
        let counts = in_transaction || idle_ns <= unit_gap_ns;
        self.stopwatch
            .charge_application(if counts { idle_ns } else { 0 });
    }

    /// A cursor or portal that stays open returned rows, after whatever was reported before.
    pub(super) fn rows(
        &mut self,
        facts: &Arc<SessionFacts>,
        rows: Part<'_>,
        result: RowKeys,
        sink: &mut impl Sink,
    ) {
        self.flush(facts, sink);
        sink.rows(RowsEvent {
            queries: self.sequence,
            facts: Arc::clone(facts),
            fingerprint: rows.asked.wording().statement.fingerprint,
            shape: rows.asked.wording().statement.shape,
            cursor: rows.cursor,
            requested_at: rows.first.requested_at,
            transaction_before: rows.first.transaction_before,
            tags: rows.asked.wording().tags.clone(),
            completed_at: rows.completed_at,
            result,
        });
    }

    /// How many queries were reported: the number of the next one.
    pub(super) fn reported(&self) -> u64 {
        self.sequence
    }

    /// The query that waits.
    #[inline]
    fn pending(&mut self) -> Option<&mut Ended> {
        self.pending.as_mut()?.as_mut().as_mut()
    }

    /// Hands on the query that waits.
    #[inline]
    pub(super) fn flush(&mut self, facts: &Arc<SessionFacts>, sink: &mut impl Sink) {
        let Some(place) = &mut self.pending else {
            return;
        };
        if let Some(ended) = place.as_mut() {
            sink.query(Finished { facts, ended });
        }
        **place = None;
    }

    /// The same, where nothing waits for a while: its place is given back.
    #[inline]
    pub(super) fn put_away(&mut self, facts: &Arc<SessionFacts>, sink: &mut impl Sink) {
        self.flush(facts, sink);
        self.pending = None;
    }

    /// The connection is over, perhaps inside a transaction.
    pub(super) fn end_of_session(
        &mut self,
        facts: &Arc<SessionFacts>,
        at: Moment,
        sink: &mut impl Sink,
    ) {
        if self.transaction.status == TransactionStatus::Idle {
            return;
        }
        if let Some(idle_ns) = self.stopwatch.request_begins(at) {
            sink.event(facts, SessionEvent::IdledInTransaction(idle_ns), at);
        }
        sink.event(
            facts,
            SessionEvent::TransactionEnded(TransactionOutcome::Abandoned),
            at,
        );
        self.transaction.status = TransactionStatus::Idle;
    }
}
