//! Groups a connection's events into units of work: one HTTP request, one task, one transaction.
//!
//! *Architecture invariant:* a unit names the [`Evidence`] for where it begins and ends; nothing else decides how far
//! a finding may trust it.

mod asked;
mod checks;
mod class;
mod connection;
mod open;
mod places;
mod rhythm;
mod role;
mod timeline;
mod trace;
mod units;
mod verdict;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::event::{Moment, Phases, SessionFacts, SessionId};

pub use open::{Round, Unit};
pub use timeline::{Statements, Timeline, TimelineEntry};
pub use trace::TestId;
pub use units::Units;

/// Limits of this room, and what counts as a pause.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A pause of the application this long, nanoseconds, may separate two units, whatever the connection's rhythm.
    pub unit_gap_ns: u64,
    /// Statements of one unit that are kept; the others are counted.
    pub statements_max: usize,
    /// Connections followed, and units open, at once; the longest silent gives way.
    pub open_max: usize,
    /// A unit that nothing but a pause will end is ended once its connection was quiet so long, nanoseconds.
    pub quiet_ns: u64,
    /// Bytes that the statements kept of all open units may take.
    pub timeline_bytes_max: usize,
    /// Whether a connection is waiting for an answer: a slow statement is told when it is over, and until then its
    /// connection only looks quiet.
    pub running: Running,
}

/// Tells of a connection whether a statement of it is running now.
#[derive(Clone)]
pub struct Running(pub Arc<dyn Fn(SessionId) -> bool + Send + Sync>);

impl Default for Running {
    /// Nobody knows: none is.
    fn default() -> Running {
        Running(Arc::new(|_| false))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            // Between the statements of one request: p99 of 5 to 7 ms. Between requests people and load balancers
            // take 20 ms and more; the shorter ones are told from the connection's own rhythm.
            unit_gap_ns: 50_000_000,
            statements_max: 2_000,
            open_max: 10_000,
            quiet_ns: 1_000_000_000,
            timeline_bytes_max: 32 << 20,
            running: Running::default(),
        }
    }
}

/// Whether the application paused before a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Not so that it stands out.
    None,
    /// It stands out from the connection's rhythm and could have separated two units, but did not.
    Soft,
}

/// What tells a connection's requests apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// Their marks: each is checked first, or has a connection of its own. A pause is one inside a request.
    Marks,
    /// Only pauses, as far as is known.
    Pauses,
}

/// How a statement stands in the unit that it was put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Its number in the unit, from 0, counting all of them: its place in the timeline, as far as that reaches.
    pub index: u32,
    /// The application's time before it, nanoseconds: since the last statement of the same connection and unit was
    /// complete, housekeeping in between included. 0 for the first.
    pub gap_ns: u64,
    /// Whether that stands out.
    pub pause: Pause,
    /// It is BEGIN, COMMIT, SET or the like: no statement of the unit, and `index` is that of the next one.
    pub housekeeping: bool,
}

/// Identity of a finding: a hash of kind, fingerprints, table and column names. Equal in every process and run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingId(pub u64);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FindingId {
    /// The id that 16 hex digits write.
    pub fn parse(text: &str) -> Option<FindingId> {
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(FindingId)
    }
}

/// Identity of a unit in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(pub u64);

/// What says that a unit's statements belong together and others do not, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// A tag that all its statements share and others do not: `traceparent`'s trace id, `request_id`, `test_id`.
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
    /// The tag `test`: the test that it is part of.
    pub test: Option<Arc<str>>,
    /// The tag `test_id`: which run of that test.
    pub test_id: Option<Arc<str>>,
    /// Statements, housekeeping (BEGIN, SET, health checks) left out.
    pub queries: u64,
    /// Rows that they returned or changed.
    pub rows: u64,
    /// Different shapes among them.
    pub shapes: u64,
    /// Statements that repeated an earlier one with the same values.
    pub duplicates: u64,
    /// Where its time went.
    pub phases: Phases,
    /// Its statements in order, at most [`Settings::statements_max`]; fewer than `queries` when a limit left some out.
    pub timeline: Timeline,
    /// Whether more may come.
    pub state: UnitState,
    /// What was found in it.
    pub findings: Vec<FindingId>,
}

/// Whether a unit's record is its last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// It goes on; its record is what it is by now.
    Open,
    /// Its end was seen, or is taken for granted.
    Ended,
}
