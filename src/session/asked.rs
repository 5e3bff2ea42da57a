//! A statement that was asked for, and what it has cost and returned.

use std::sync::Arc;

use crate::event::{Moment, Phases, Protocol, Statement};
use crate::sql::tags::Tags;
use crate::sql::{NameHash, Verb};
use crate::wire::TransactionStatus;

/// One statement that was asked for, with what its text told.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// What it is reported as: a DECLARE's SELECT, an EXECUTE's prepared statement, else itself.
    pub statement: Statement,
    /// The keyword that decides what its completion changes here: DECLARE, FETCH, PREPARE, DEALLOCATE ...
    pub verb: Verb,
    /// The cursor or prepared statement it names.
    pub subject: Option<NameHash>,
    /// What a PREPARE prepares.
    pub prepares: Option<Box<Statement>>,
    /// Whether a DECLAREd cursor outlives its transaction.
    pub holdable: bool,
    pub tags: Option<Arc<Tags>>,
    pub literal_text: Option<Arc<str>>,
    /// Name of the protocol-level statement; `None` for a Query's statement.
    pub name: Option<Arc<str>>,
}

impl Asked {
    /// The statement that this PREPARE prepares.
    pub(super) fn prepared(&self) -> Option<Asked> {
        let statement = self.prepares.as_deref()?.clone();
        Some(Asked {
            verb: statement.verb,
            statement,
            subject: None,
            prepares: None,
            holdable: false,
            tags: self.tags.clone(),
            literal_text: None,
            name: None,
        })
    }
}

/// What a query has cost and returned so far.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub requested_at: Moment,
    pub completed_at: Moment,
    pub phases: Phases,
    pub round_trips: u32,
    pub rows: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub transaction_before: TransactionStatus,
    pub pipeline_index: u32,
    pub protocol: Protocol,
}

impl Progress {
    /// The same without rows: a DECLARE, MOVE or CLOSE returns none, whatever number its tag has.
    pub(super) fn without_rows(self) -> Progress {
        Progress { rows: 0, ..self }
    }

    /// The first round trip of a cursor: its DECLARE.
    pub(super) fn of_a_cursor(self) -> Progress {
        Progress {
            protocol: Protocol::Cursor,
            ..self.without_rows()
        }
    }

    /// Both round trips together.
    pub(super) fn and(mut self, more: &Progress) -> Progress {
        self.add(more);
        self
    }

    /// A further round trip of the same query.
    pub(super) fn add(&mut self, more: &Progress) {
        self.completed_at = more.completed_at;
        self.phases.database_ns += more.phases.database_ns;
        self.phases.transfer_ns += more.phases.transfer_ns;
        self.phases.client_ns += more.phases.client_ns;
        self.phases.application_ns += more.phases.application_ns;
        self.round_trips = self.round_trips.saturating_add(more.round_trips);
        self.rows += more.rows;
        self.request_bytes += more.request_bytes;
        self.response_bytes += more.response_bytes;
    }
}
