//! Groups a connection's events into units of work: one HTTP request, one task, one transaction.
//!
//! *Architecture invariant:* a unit names the [`Evidence`] for where it begins and ends; nothing else decides how far
//! a finding may trust it.

use std::sync::Arc;

use crate::event::{Moment, Phases, SessionFacts, Shape};
use crate::sql::{Fingerprint, Verb};
use crate::wire::SqlState;

/// Identity of a unit in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(pub u64);

/// What says that a unit's statements belong together and others do not, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// A tag that all its statements share and others do not: `traceparent`'s trace id, `request_id`.
    Trace,
    /// The connection was opened for it and closed after it (`CONN_MAX_AGE=0`).
    Connection,
    /// A health check begins it (`CONN_HEALTH_CHECKS`: a bare `SELECT 1`), and this connection's others too.
    HealthCheck,
    /// The pool's empty query begins it.
    PoolCheck,
    /// One outermost transaction holds it.
    Transaction,
    /// Django's look-up of session and user begins it.
    SessionLookup,
    /// Only a pause separates it from others.
    Pause,
}

impl Evidence {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Trace => "trace",
            Evidence::Connection => "connection",
            Evidence::HealthCheck => "health_check",
            Evidence::PoolCheck => "pool_check",
            Evidence::Transaction => "transaction",
            Evidence::SessionLookup => "session_lookup",
            Evidence::Pause => "pause",
        }
    }

    /// Whether two requests of one connection cannot both lie inside such a unit.
    pub fn is_hard(self) -> bool {
        match self {
            Evidence::Trace
            | Evidence::Connection
            | Evidence::HealthCheck
            | Evidence::PoolCheck
            | Evidence::Transaction => true,
            Evidence::SessionLookup | Evidence::Pause => false,
        }
    }
}

/// Whether all statements of a unit were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All of them.
    Complete,
    /// Events were dropped, or a limit left statements out: no finding is drawn from it.
    Incomplete,
}

/// One statement of a unit.
#[derive(Debug, Clone)]
pub struct TimelineEntry {
    /// When its request had been sent.
    pub requested_at: Moment,
    /// When its answer was complete.
    pub completed_at: Moment,
    /// Its shape's identity.
    pub fingerprint: Fingerprint,
    /// Its main keyword.
    pub verb: Verb,
    /// Its shape; `None` where the table of shapes was full.
    pub shape: Option<Arc<Shape>>,
    /// Where its time went. `application` is the pause before it.
    pub phases: Phases,
    /// Rows it returned or changed.
    pub rows: u64,
    /// Set when it failed.
    pub sqlstate: Option<SqlState>,
    /// The statement of this timeline whose rows gave it its values, by index; set by the detectors.
    pub parent: Option<u32>,
}

/// A unit of work that ended, or what an open one is by now.
#[derive(Debug, Clone)]
pub struct UnitRecord {
    /// Its identity.
    pub id: UnitId,
    /// Who asked: the (first) connection's facts.
    pub facts: Arc<SessionFacts>,
    /// Its first statement was requested.
    pub started_at: Moment,
    /// Its last statement was complete.
    pub ended_at: Moment,
    /// What holds it together.
    pub evidence: Evidence,
    /// Whether all of it was seen.
    pub completeness: Completeness,
    /// The tag `route`, else the name that its first shape's summary gives it.
    pub route: Option<Arc<str>>,
    /// The tag `controller`.
    pub controller: Option<Arc<str>>,
    /// Statements, housekeeping (BEGIN, SET, health checks) left out.
    pub queries: u64,
    /// Different shapes among them.
    pub shapes: u64,
    /// Statements that repeated an earlier one with the same values.
    pub duplicates: u64,
    /// Where its time went.
    pub phases: Phases,
    /// Its statements in order, at most `Settings::statements_max`.
    pub timeline: Vec<TimelineEntry>,
}
