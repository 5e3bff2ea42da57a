//! Matches requests with replies on one connection and says what each query was and when it ended.
//!
//! ```text
//!  client ─► frontend.rs ─► Awaited, Awaited, Awaited ─► backend.rs ◄─ upstream
//!             (a request:     (pipeline.rs: what the       (a reply: ends the front one,
//!              text.rs says    server owes, in order)       ledger.rs times it and hands
//!              what it is)                                  its QueryEvent to the Sink)
//! ```
//!
//! A request is put down through `owing.rs`, in `queue.rs`. What nearly all queries are is taken at once (`cycle.rs`),
//! and a Parse that came before is known by its bytes (`parses.rs`).
//!
//! Pipelining, several Syncs in flight and the skip to Sync after an error all fall out of the queue of [`Awaited`]:
//! a reply ends the entry at its front, an error drops entries up to the next Sync, a ReadyForQuery drops what is
//! left of its group.
//!
//! *Architecture invariant:* no clock, no socket, no lock. Time comes in as an argument, results leave through
//! [`Sink`]. What the session cannot follow is a [`Lost`], never a guess.
//!
//! [`Awaited`]: awaited::Awaited

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

mod asked;
mod awaited;
mod backend;
mod catalog;
mod columns;
mod cycle;
mod dialect;
mod found;
mod frontend;
mod ledger;
mod outcome;
mod owing;
mod parameters;
mod parses;
mod pipeline;
mod queue;
mod rows;
mod stopwatch;
mod text;
mod types;
mod wordings;
#[cfg(test)]
mod tests;

use std::mem::offset_of;
use std::sync::Arc;

use thiserror::Error;

use crate::cache::{self, Lines};
use crate::event::{
    Ahead, ClosedEvent, ConnectionState, Direction, Held, Moment, Rest, RowsEvent, SessionEvent,
    SessionFacts, SessionStart, ShapeRef,
};
use crate::sql::value::ValueKey;
use crate::sql::{Dialect, Fingerprint, Verb, Written};
use crate::wire::TransactionStatus;
use crate::wire::frame::{FrameError, Walker};

pub use ledger::Finished;
pub use text::Scratch;

/// Limits and wishes of a session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of a statement that its identity covers.
    pub fingerprint_bytes_max: usize,
    /// Bytes of a statement's text kept for people.
    pub text_bytes_max: usize,
    /// Named statements remembered; the least used is forgotten.
    pub statements_max: usize,
    /// Open cursors and suspended portals followed; the oldest is reported early.
    pub portals_max: usize,
    /// Messages in flight; a longer pipeline is not followed.
    pub awaited_max: usize,
    /// An idle time up to this, in nanoseconds, counts as the application's even outside a transaction.
    pub unit_gap_ns: u64,
    /// Whether statements keep their text as it was sent.
    pub literals: Literals,
    /// What values are hashed with; `None` turns the value flow off.
    pub values: Option<ValueKey>,
    /// Rows of one result whose keys are kept.
    pub result_rows_max: usize,
    /// Hashes of one result that are kept.
    pub result_keys_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            fingerprint_bytes_max: 1 << 20,
            text_bytes_max: 64 << 10,
            statements_max: 256,
            portals_max: 64,
            awaited_max: 65_536,
            unit_gap_ns: 50_000_000,
            literals: Literals::Dropped,
            values: Some(ValueKey::random()),
            result_rows_max: 1024,
            result_keys_max: 8192,
        }
    }
}

/// What becomes of the values in a statement's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Literals {
    /// They are hashed and forgotten.
    #[default]
    Dropped,
    /// The text is kept until the query ended, for the slow log (`--log-literals`).
    Kept,
}

/// Where a session's results go.
pub trait Sink {
    /// The shape of a statement, admitted if it is new. `None` when no more fit.
    fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        written: Written<'_>,
    ) -> Option<ShapeRef>;
    /// A query ended.
    fn query(&mut self, query: Finished<'_>);
    /// A cursor or portal that stays open returned rows.
    fn rows(&mut self, rows: RowsEvent);
    /// A session that had logged in is over.
    fn closed(&mut self, closed: ClosedEvent);
    /// Room for a result of so many bytes on its way to whoever compares it; `None`: there is none, it is left out.
    fn hold(&mut self, bytes: usize) -> Option<Held>;
    /// Something else happened.
    fn event(&mut self, facts: &Arc<SessionFacts>, event: SessionEvent, at: Moment);
    /// A message of a type nobody knows was skipped by its length.
    fn unknown_message(&mut self, direction: Direction, tag: u8);
}

/// Why a session cannot be followed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Lost {
    /// The bytes are no message stream.
    #[error("{}: {error}", direction.as_str())]
    Frame {
        /// Which way they travelled.
        direction: Direction,
        /// What was wrong.
        error: FrameError,
    },
    /// A message's body does not fit its type.
    #[error("{}: message {:?} of {body_bytes} bytes", direction.as_str(), char::from(*tag))]
    Malformed {
        /// Which way it travelled.
        direction: Direction,
        /// Its type byte.
        tag: u8,
        /// Bytes of its body.
        body_bytes: u32,
    },
    /// A reply came that nothing asked for.
    #[error("reply {:?} answers no request", char::from(*tag))]
    OutOfStep {
        /// Type byte of the reply.
        tag: u8,
    },
    /// More messages are in flight than the session may remember.
    #[error("more than {awaited_max} messages in flight")]
    PipelineTooLong {
        /// The limit.
        awaited_max: usize,
    },
}

impl Lost {
    /// The value of the metrics' label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Lost::Frame { error, .. } => error.reason(),
            Lost::Malformed { .. } => "malformed",
            Lost::OutOfStep { .. } => "out_of_step",
            Lost::PipelineTooLong { .. } => "pipeline_too_long",
        }
    }

    /// Which way the offending bytes travelled.
    pub fn direction(&self) -> Direction {
        match self {
            Lost::Frame { direction, .. } | Lost::Malformed { direction, .. } => *direction,
            Lost::OutOfStep { .. } => Direction::UpstreamToClient,
            Lost::PipelineTooLong { .. } => Direction::ClientToUpstream,
        }
    }

    /// Whether the bytes were wrong, as opposed to a limit of ours that was reached.
    pub fn is_decode_error(&self) -> bool {
        !matches!(self, Lost::PipelineTooLong { .. })
    }
}

/// How far the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Authentication is going on; nothing is a query yet.
    Login,
    /// The first ReadyForQuery came.
    Open,
}

/// Everything of a connection but its two positions in the byte streams.
struct Conversation {
    facts: Arc<SessionFacts>,
    settings: Arc<Settings>,
    phase: Phase,
    /// How the server reads the strings of what is asked now, as far as it has told.
    dialect: Dialect,
    requests: frontend::Requests,
    pipeline: pipeline::Pipeline,
    catalog: catalog::Catalog,
    ledger: ledger::Ledger,
    results: rows::Results,
    /// What the RowDescription or ParameterDescription that is arriving belongs to.
    describing: backend::Describing,
    /// A statement whose rows were described, and that does not know yet.
    untold: Option<(Arc<parameters::Prepared>, columns::Described)>,
    /// The server sent FATAL: nothing comes behind it.
    is_over: bool,
    lost: Option<Lost>,
}

/// One observed connection, from the bytes behind its StartupMessage to its end.
pub struct Session {
    client: Walker,
    upstream: Walker,
    conversation: Conversation,
}

/// Where a part of a [`Session`] lies.
macro_rules! lines {
    ($part:ty, $($field:tt)+) => {
        Lines::of(offset_of!(Session, $($field)+), size_of::<$part>())
    };
}

/// What every query changes when it is asked.
const ASKED: Lines = lines!(Walker, client)
    .and(lines!(Walker, upstream))
    .and(lines!(pipeline::Pipeline, conversation.pipeline))
    .and(lines!(stopwatch::Stopwatch, conversation.ledger.stopwatch));

/// What every query changes when it is answered.
const ANSWERED: Lines = ASKED
    .and(lines!(ledger::Ledger, conversation.ledger))
    .and(lines!(rows::Results, conversation.results));

/// Statements and portals.
const NAMED: Lines = lines!(catalog::Catalog, conversation.catalog);

impl Session {
    /// A connection whose StartupMessage was just forwarded.
    pub fn open(start: &SessionStart, settings: Arc<Settings>) -> Session {
        let facts = SessionFacts {
            id: start.id,
            listener: start.listener.clone(),
            client: start.client.clone(),
            user: start.user.clone(),
            database: start.database.clone(),
            application: start.application.clone(),
            backend_pid: 0,
        };
        Session {
            client: Walker::default(),
            upstream: Walker::default(),
            conversation: Conversation {
                facts: Arc::new(facts),
                phase: Phase::Login,
                dialect: Dialect::default(),
                requests: frontend::Requests::default(),
                pipeline: pipeline::Pipeline::default(),
                catalog: catalog::Catalog::new(settings.statements_max, settings.portals_max),
                ledger: ledger::Ledger::default(),
                results: rows::Results::default(),
                describing: backend::Describing::Nothing,
                untold: None,
                is_over: false,
                settings,
                lost: None,
            },
        }
    }

    /// Bytes of one direction will be told soon: has fetched what they change, a part each time it is told, since a
    /// core waits for some lines at a time and no more.
    #[inline]
    pub fn expect(&self, direction: Direction, ahead: Ahead) {
        let conversation = &self.conversation;
        match (ahead, direction) {
            (Ahead::Sockets, Direction::ClientToUpstream) => self.fetch(ASKED),
            (Ahead::Sockets, Direction::UpstreamToClient) => self.fetch(ANSWERED),
            (Ahead::TwoReads, Direction::ClientToUpstream) => self.fetch(NAMED),
            (Ahead::TwoReads, Direction::UpstreamToClient) => {
                self.fetch(NAMED);
                conversation.pipeline.expect();
            }
            (Ahead::OneRead, Direction::ClientToUpstream) => conversation.catalog.expect(),
            (Ahead::OneRead, Direction::UpstreamToClient) => {
                conversation.pipeline.expect_values();
            }
        }
    }

    #[inline]
    fn fetch(&self, lines: Lines) {
        let at = offset_of!(Session, conversation.is_over);
        cache::fetch_lines(&self.conversation.is_over, at, lines);
    }

    /// Who this session is by now.
    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.conversation.facts
    }

    /// The next bytes of one direction, accepted by its peer at `at`. After an error the session must not be used.
    #[inline(always)]
    pub fn relayed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: Moment,
        scratch: &mut Scratch,
        sink: &mut impl Sink,
    ) -> Result<(), Lost> {
        let conversation = &mut self.conversation;
        conversation.pipeline.borrow(&mut scratch.queues);
        let walked = match direction {
            Direction::ClientToUpstream => self.client.walk(
                bytes,
                &mut frontend::Frontend {
                    conversation,
                    scratch,
                    sink,
                    at,
                },
            ),
            Direction::UpstreamToClient => self.upstream.walk(
                bytes,
                &mut backend::Backend {
                    conversation,
                    scratch,
                    sink,
                    at,
                },
            ),
        };
        walked.map_err(|error| Lost::Frame { direction, error })?;
        self.conversation.pipeline.give_back(&mut scratch.queues);
        self.conversation.lost.map_or(Ok(()), Err)
    }

    /// The client began to refuse bytes.
    pub fn refused(&mut self, at: Moment) {
        self.conversation.ledger.stopwatch.refused(at);
    }

    /// The client has taken all that waited.
    pub fn accepted(&mut self, at: Moment) {
        self.conversation.ledger.stopwatch.accepted(at);
    }

    /// The connection is over: what is still running ended with it.
    pub fn closed(&mut self, at: Moment, sink: &mut impl Sink) {
        self.conversation.closed(at, sink);
    }

    /// What the connection is doing, in pg_stat_activity's words.
    pub fn state(&self) -> ConnectionState {
        let conversation = &self.conversation;
        match (
            conversation.phase,
            conversation.at_rest(),
            conversation.ledger.transaction.status,
        ) {
            (Phase::Login, ..) => ConnectionState::Starting,
            (Phase::Open, false, _) => ConnectionState::Active,
            (Phase::Open, true, TransactionStatus::Idle) => ConnectionState::Idle,
            (Phase::Open, true, TransactionStatus::InTransaction) => {
                ConnectionState::IdleInTransaction
            }
            (Phase::Open, true, TransactionStatus::Failed) => {
                ConnectionState::IdleInTransactionAborted
            }
        }
    }

    /// Whether the connection could be ended here without cutting anything.
    pub fn rest(&self) -> Rest {
        let conversation = &self.conversation;
        let upstream_between = self.upstream.at_boundary();
        let resting = conversation.phase == Phase::Open
            && conversation.at_rest()
            && self.client.at_boundary();
        match (
            upstream_between,
            resting,
            conversation.ledger.transaction.status,
        ) {
            (false, ..) => Rest::InMessage,
            (true, ..) if conversation.is_over => Rest::Over,
            (true, true, TransactionStatus::Idle) => Rest::Idle,
            (true, true, _) => Rest::InTransaction,
            (true, false, _) => Rest::BetweenMessages,
        }
    }

    /// Bytes this session holds between reads, for the account of all sessions' memory.
    pub fn held_bytes(&self) -> usize {
        let conversation = &self.conversation;
        self.client.carried_bytes()
            + self.upstream.carried_bytes()
            + conversation.requests.held_bytes()
            + conversation.pipeline.held_bytes()
            + conversation.catalog.held_bytes()
            + conversation.results.held_bytes()
    }
}

impl Conversation {
    /// Nothing is owed and nothing is half asked.
    fn at_rest(&self) -> bool {
        self.pipeline.is_empty() && !self.requests.in_message()
    }

    fn lose(&mut self, lost: Lost) {
        self.lost.get_or_insert(lost);
    }

    fn malformed(&mut self, direction: Direction, header: crate::wire::frame::Header) {
        self.lose(Lost::Malformed {
            direction,
            tag: header.tag,
            body_bytes: header.body_bytes,
        });
    }

    fn closed(&mut self, at: Moment, sink: &mut impl Sink) {
        if self.phase == Phase::Login {
            return;
        }
        self.abandon_running(at, sink);
        for portal in self.catalog.take_portals() {
            self.ledger.report_portal(&self.facts, portal, sink);
        }
        self.ledger.flush(&self.facts, sink);
        self.ledger.end_of_session(&self.facts, at, sink);
        sink.closed(ClosedEvent {
            facts: Arc::clone(&self.facts),
            at,
            queries: self.ledger.reported(),
        });
    }
}
