//! A finished query: as its session saw it, and as the analysis gets it.

use std::sync::Arc;

use super::{Flow, Moment, Phases, Protocol, SessionFacts, SessionId, ShapeRef};
use crate::sql::{Fingerprint, NameHash, Verb};
use crate::wire::{SqlState, TransactionStatus};

/// What the text of a statement turned out to be.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Identity of its shape.
    pub fingerprint: Fingerprint,
    /// Its main keyword.
    pub verb: Verb,
    /// Its shape as people see it; `None` when the table of fingerprints is full.
    pub shape: Option<ShapeRef>,
    /// The identity covers only the first part of the text.
    pub truncated: bool,
}

/// A finished query as the session saw it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The session it ran on.
    pub session: SessionId,
    /// Its number on that session, from 0.
    pub sequence: u64,
    /// What it was.
    pub statement: Statement,
    /// How it came.
    pub protocol: Protocol,
    /// Last byte of its request accepted by the upstream.
    pub requested_at: Moment,
    /// Its CommandComplete (or what stands for it) accepted by the client.
    pub completed_at: Moment,
    /// Where its time went.
    pub phases: Phases,
    /// Requests that belong to it: 1, or more for a cursor or a suspended portal.
    pub round_trips: u32,
    /// Rows returned or changed, by CommandComplete's tag; counted where there is none.
    pub rows: u64,
    /// Bytes of the messages that asked for it.
    pub request_bytes: u64,
    /// Bytes of the messages that answered it.
    pub response_bytes: u64,
    /// Set when it ended in ErrorResponse.
    pub sqlstate: Option<SqlState>,
    /// Transaction status when it was asked.
    pub transaction_before: TransactionStatus,
    /// Transaction status after it, as far as its own ReadyForQuery or verb tells.
    pub transaction_after: TransactionStatus,
    /// Its place among the statements between two ReadyForQuery, from 0.
    pub pipeline_index: u32,
    /// sqlcommenter tags; `None` when it carried none.
    pub tags: Option<Arc<crate::sql::tags::Tags>>,
    /// The text as it was sent, at most 64 KiB; kept only under `--log-literals`.
    pub literal_text: Option<Arc<str>>,
    /// Name of the prepared statement, `unnamed` for extended queries without one, `None` for simple ones.
    pub statement_name: Option<Arc<str>>,
    /// The cursor or portal it was, if its rows came in parts.
    pub cursor: Option<NameHash>,
    /// The values that flowed; `None` with value flow off, or where the limits left no room.
    pub flow: Option<Flow>,
}

/// What an [`Exchange`] has beside its [`QueryEvent`].
#[derive(Debug, Clone, Copy)]
#[allow(
    missing_docs,
    reason = "the fields of the same name in Exchange and its Statement"
)]
pub struct Beside<'a> {
    pub truncated: bool,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub literal_text: Option<&'a Arc<str>>,
    pub statement_name: Option<&'a Arc<str>>,
}

impl Exchange {
    /// Both together.
    pub fn of(event: QueryEvent, beside: Beside<'_>) -> Exchange {
        Exchange {
            session: event.facts.id,
            sequence: event.sequence,
            statement: Statement {
                fingerprint: event.fingerprint,
                verb: event.verb,
                shape: event.shape,
                truncated: beside.truncated,
            },
            protocol: event.protocol,
            requested_at: event.requested_at,
            completed_at: event.completed_at,
            phases: event.phases,
            round_trips: event.round_trips,
            rows: event.rows,
            request_bytes: beside.request_bytes,
            response_bytes: beside.response_bytes,
            sqlstate: event.sqlstate,
            transaction_before: event.transaction_before,
            transaction_after: event.transaction_after,
            pipeline_index: event.pipeline_index,
            tags: event.tags,
            literal_text: beside.literal_text.cloned(),
            statement_name: beside.statement_name.cloned(),
            cursor: event.cursor,
            flow: event.flow,
        }
    }

    /// The one part, of a query on this session.
    pub fn event(&self, facts: &Arc<SessionFacts>) -> QueryEvent {
        QueryEvent {
            facts: Arc::clone(facts),
            sequence: self.sequence,
            fingerprint: self.statement.fingerprint,
            verb: self.statement.verb,
            shape: self.statement.shape,
            protocol: self.protocol,
            requested_at: self.requested_at,
            completed_at: self.completed_at,
            phases: self.phases,
            round_trips: self.round_trips,
            rows: self.rows,
            sqlstate: self.sqlstate,
            transaction_before: self.transaction_before,
            transaction_after: self.transaction_after,
            pipeline_index: self.pipeline_index,
            tags: self.tags.clone(),
            cursor: self.cursor,
            flow: self.flow.clone(),
        }
    }

    /// The other part.
    pub fn beside(&self) -> Beside<'_> {
        Beside {
            truncated: self.statement.truncated,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            literal_text: self.literal_text.as_ref(),
            statement_name: self.statement_name.as_ref(),
        }
    }
}

/// The small, fixed-size part of an [`Exchange`] that the analysis gets through its ring.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the same name in Exchange")]
pub struct QueryEvent {
    /// Who sent it.
    pub facts: Arc<SessionFacts>,
    pub sequence: u64,
    pub fingerprint: Fingerprint,
    pub verb: Verb,
    /// As in [`Statement`]: where the analysis finds the text whose facts it has to fill.
    pub shape: Option<ShapeRef>,
    pub protocol: Protocol,
    pub requested_at: Moment,
    pub completed_at: Moment,
    pub phases: Phases,
    pub round_trips: u32,
    pub rows: u64,
    pub sqlstate: Option<SqlState>,
    pub transaction_before: TransactionStatus,
    pub transaction_after: TransactionStatus,
    pub pipeline_index: u32,
    pub tags: Option<Arc<crate::sql::tags::Tags>>,
    /// The cursor or portal whose rows were told before, as [`RowsEvent`](super::RowsEvent)s.
    pub cursor: Option<NameHash>,
    /// The values that flowed; `None` with value flow off, or where the limits left no room.
    pub flow: Option<Flow>,
}
