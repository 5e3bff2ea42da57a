//! The plain data that crosses rooms, and the [`Tap`] that the relay calls.
//!
//! *Architecture invariant:* no behaviour beyond arithmetic on its own fields; no clock, no socket.

mod columns;
mod common;
mod query;
mod shape;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use smallvec::SmallVec;

pub use crate::sql::value::{CONSTANTS_MAX, ConstantCount};
pub use columns::{Columns, RowColumn, RowColumns};
pub use common::Common;
pub use query::{Beside, Exchange, QueryEvent, Statement};
pub use shape::{ByShape, Parsed, Shape, ShapeNumber, ShapeRef};

use crate::sql::value::ValueHash;
use crate::sql::{Fingerprint, NameHash};
use crate::wire::TransactionStatus;

/// A point in monotonic time: nanoseconds since the process started. [`crate::clock`] makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Nanoseconds from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What the frontend (Django) sends.
    ClientToUpstream,
    /// What the backend (PostgreSQL) sends.
    UpstreamToClient,
}

impl Direction {
    /// The value of the metrics' label `direction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::ClientToUpstream => "client_to_upstream",
            Direction::UpstreamToClient => "upstream_to_client",
        }
    }
}

/// What looks at the relayed bytes: called by the relay after it has forwarded them.
///
/// The relay calls `relayed` once for every run of bytes that the peer's kernel has *accepted*, in order, exactly
/// once for each byte: at once for what the first write took, later (with the later time) for what had to wait.
/// Between `refused` and `accepted` the peer of that direction takes no bytes and the relay reads none for it.
/// What is relayed may be shown through the maker's [`Showing`] instead of `relayed`: the same, in the same order.
pub trait Tap {
    /// `bytes` were read from the direction's source and accepted by its sink at `at`.
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment);
    /// The sink of `direction` began to refuse bytes: they wait in the relay.
    fn refused(&mut self, direction: Direction, at: Moment);
    /// The sink of `direction` has taken all that waited.
    fn accepted(&mut self, direction: Direction, at: Moment);
    /// The source of `direction` sent FIN (its last byte was relayed before).
    fn finished(&mut self, direction: Direction, at: Moment);
    /// The connection is over, both ways; nothing follows.
    fn closed(&mut self, at: Moment);
    /// Whether the session could be ended here without cutting a message or a transaction.
    fn rest(&self) -> Rest;
    /// Bytes of this direction will be shown soon: what will be looked at may be fetched meanwhile.
    #[inline]
    fn expect(&self, _: Direction, _: Ahead) {}
}

/// What is done before the bytes that a [`Tap`] is told to expect are shown to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahead {
    /// Sockets are served.
    Sockets,
    /// Two other reads are shown.
    TwoReads,
    /// One other read is shown.
    OneRead,
}

/// What a session is in the middle of, asked by the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// ReadyForQuery `I` was the last word and no client message is half sent: may be ended.
    Idle,
    /// As `Idle`, but inside a transaction block.
    InTransaction,
    /// A request is running; the upstream's direction stands between two messages: an ErrorResponse fits here.
    BetweenMessages,
    /// A request is running and a message from the upstream is half forwarded.
    InMessage,
    /// The upstream's last word was FATAL: it has said itself why it ends the session.
    Over,
    /// Not observed: nobody knows.
    Unknown,
}

/// Makes the [`Tap`] of each new connection. Each proxy worker owns one.
pub trait Taps {
    /// The tap it makes.
    type Tap: Tap;
    /// What shows its taps several reads, one after the other.
    type Showing<'a>: Showing<Self::Tap>
    where
        Self: 'a;
    /// A client's StartupMessage was accepted and its upstream connected; all bytes behind the StartupMessage, in
    /// both directions, will be shown to the tap, the authentication exchange included.
    fn open(&self, start: SessionStart) -> Self::Tap;
    /// Several reads will be shown. Until that is over the thread calls no tap of this maker but through what it gets here,
    /// [`Tap::expect`] excepted, and drops none.
    fn begin_showing(&self) -> Self::Showing<'_>;
}

/// Shows the taps of one maker what was relayed: what they share is taken once, for all that is shown.
pub trait Showing<T> {
    /// The same as [`Tap::relayed`].
    fn show(&mut self, tap: &mut T, direction: Direction, bytes: &[u8], at: Moment);
}

/// Of taps that share nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneByOne;

impl<T: Tap> Showing<T> for OneByOne {
    #[inline]
    fn show(&mut self, tap: &mut T, direction: Direction, bytes: &[u8], at: Moment) {
        tap.relayed(direction, bytes, at);
    }
}

/// Identity of a client connection in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What the proxy knows of a connection when it opens its tap.
#[derive(Debug, Clone)]
pub struct SessionStart {
    /// Identity in this process.
    pub id: SessionId,
    /// Name of the listener it came through (the DATABASES alias).
    pub listener: Arc<str>,
    /// Client address without port, or `[local]`.
    pub client: Arc<str>,
    /// `user` of the StartupMessage; not proven before AuthenticationOk.
    pub user: Arc<str>,
    /// `database` of the StartupMessage, or the user where it names none.
    pub database: Arc<str>,
    /// `application_name` of the StartupMessage, or empty.
    pub application: Arc<str>,
    /// When the connection was accepted.
    pub accepted_at: Moment,
    /// When the StartupMessage was forwarded.
    pub opened_at: Moment,
    /// Where the tap tells what the connection does now.
    pub status: Arc<ConnectionStatus>,
    /// Whether observation is wanted; read at each call, turned off by a reload.
    pub observe: Arc<std::sync::atomic::AtomicBool>,
}

/// Who a session is, as labels and log lines need it. Replaced whole when one field changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Identity in this process.
    pub id: SessionId,
    /// Name of the listener it came through.
    pub listener: Arc<str>,
    /// Client address without port, or `[local]`.
    pub client: Arc<str>,
    /// User it logged in as.
    pub user: Arc<str>,
    /// Database it logged in to.
    pub database: Arc<str>,
    /// `application_name`: from the StartupMessage, later from ParameterStatus.
    pub application: Arc<str>,
    /// The upstream backend's process id from BackendKeyData; 0 while unknown.
    pub backend_pid: i32,
}

/// Live figures of one connection: written by its tap, read by `export` through the registry.
#[derive(Debug, Default)]
pub struct ConnectionStatus {
    /// A [`ConnectionState`] as its number.
    pub state: AtomicU8,
    /// [`Moment`] of the last change of `state`.
    pub since: AtomicU64,
    /// Queries completed.
    pub queries: AtomicU64,
    /// Transactions ended.
    pub transactions: AtomicU64,
    /// Upstream backend's process id; 0 while unknown.
    pub backend_pid: AtomicU64,
    /// 1 while the session is observed, 0 once the tap has switched itself off.
    pub observed: AtomicU8,
    /// `application_name` once the upstream reported one that differs from the StartupMessage's.
    pub application: std::sync::Mutex<Option<Arc<str>>>,
}

/// What a connection is doing, in pg_stat_activity's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ConnectionState {
    /// Not logged in yet.
    #[default]
    Starting = 0,
    /// A query is running.
    Active = 1,
    /// Waiting for a command, outside a transaction.
    Idle = 2,
    /// Waiting for a command, inside a transaction.
    IdleInTransaction = 3,
    /// As above, in a failed transaction.
    IdleInTransactionAborted = 4,
    /// Not observed: nobody knows.
    Unobserved = 5,
}

impl ConnectionState {
    /// pg_stat_activity's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionState::Starting => "starting",
            ConnectionState::Active => "active",
            ConnectionState::Idle => "idle",
            ConnectionState::IdleInTransaction => "idle in transaction",
            ConnectionState::IdleInTransactionAborted => "idle in transaction (aborted)",
            ConnectionState::Unobserved => "unobserved",
        }
    }

    /// The state that `number` stands for; unknown numbers are `Unobserved`.
    pub fn from_number(number: u8) -> ConnectionState {
        match number {
            0 => ConnectionState::Starting,
            1 => ConnectionState::Active,
            2 => ConnectionState::Idle,
            3 => ConnectionState::IdleInTransaction,
            4 => ConnectionState::IdleInTransactionAborted,
            _ => ConnectionState::Unobserved,
        }
    }
}

/// By which part of the protocol a query came: the label `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A statement of a Query message.
    Simple,
    /// Bind and Execute.
    Extended,
    /// A server-side cursor: DECLARE, its FETCHes and CLOSE as one logical query.
    Cursor,
    /// COPY in, out or both.
    Copy,
    /// FunctionCall.
    Function,
}

impl Protocol {
    /// All of them, in the order of their numbers.
    pub const ALL: [Protocol; 5] = [
        Protocol::Simple,
        Protocol::Extended,
        Protocol::Cursor,
        Protocol::Copy,
        Protocol::Function,
    ];

    /// The value of the metrics' label `protocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
            Protocol::Cursor => "cursor",
            Protocol::Copy => "copy",
            Protocol::Function => "function",
        }
    }
}

/// Where the time of a query went, in nanoseconds.
///
/// `database`: last byte of the request (in a pipeline the later of that and the previous completion) to the first
/// reply byte. `client`: time in which writes to the client were refused. `transfer`: the rest until completion.
/// The query's duration is the sum of these three. `application`: from ReadyForQuery to this query's request,
/// counted only inside a transaction or up to `unit_gap`; not part of the duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "explained above, together")]
pub struct Phases {
    pub database_ns: u64,
    pub transfer_ns: u64,
    pub client_ns: u64,
    pub application_ns: u64,
}

impl Phases {
    /// `database + transfer + client`, nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.database_ns
            .saturating_add(self.transfer_ns)
            .saturating_add(self.client_ns)
    }
}

/// What the analysis gets through its ring, in the order in which it happened on each session.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of them are queries, and a ring of boxes would be memory that one thread takes and another gives back"
)]
pub enum Observed {
    /// A query finished.
    Query(QueryEvent),
    /// A cursor or portal that stays open returned some of its rows: rare, and larger than a query.
    Rows(Box<RowsEvent>),
    /// A connection ended.
    Closed(ClosedEvent),
}

/// Rows of a query that is not over: a FETCH, or an Execute with a row limit.
#[derive(Debug, Clone)]
pub struct RowsEvent {
    /// Who asked for them.
    pub facts: Arc<SessionFacts>,
    /// The query that returns them.
    pub fingerprint: Fingerprint,
    /// Its shape, as in [`Statement`].
    pub shape: Option<ShapeRef>,
    /// The cursor or portal, unique on its session while it is open.
    pub cursor: NameHash,
    /// When the query itself was asked (its DECLARE, its first Execute): the same in all its events.
    pub requested_at: Moment,
    /// Transaction status when the query was asked.
    pub transaction_before: TransactionStatus,
    /// The query's tags.
    pub tags: Option<Arc<crate::sql::tags::Tags>>,
    /// How many [`QueryEvent`]s were offered for the session before: the sequence number of the next one.
    pub queries: u64,
    /// When they had arrived.
    pub completed_at: Moment,
    /// Their keys.
    pub result: RowKeys,
}

/// The end of a connection.
#[derive(Debug, Clone)]
pub struct ClosedEvent {
    /// Whose.
    pub facts: Arc<SessionFacts>,
    /// When.
    pub at: Moment,
    /// How many [`QueryEvent`]s were offered for it: the sequence number that the next one would have had.
    pub queries: u64,
}

/// The values that flowed through a query, as keyed hashes. Only with value flow on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flow {
    /// Its constants in the order of the normalised text: the first one is `$1`. At most [`CONSTANTS_MAX`].
    pub constants: Constants,
    /// All its values together, those of folded lists included: equal for equal statements with equal values.
    pub values: u64,
    /// The keys of its result; `None` when it returned no rows' description, or the limits left no room.
    pub result: Option<RowKeys>,
}

/// Most statements have few constants, most results that a key was looked up for one row: they need no memory of
/// their own, which one thread would take and another give back.
pub type Constants = SmallVec<[Constant; 4]>;

/// As [`Constants`], for the hashes of a result.
pub type Keys = SmallVec<[Option<ValueHash>; 8]>;

/// One `$n` of a normalised text, with the value it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// Its value; `None` for NULL and for what is no key (too long, a float, an array).
    pub value: Option<ValueHash>,
    /// Whether it stands for one value or for a list of several.
    pub count: ConstantCount,
}

/// The key-like values of a result: hashes, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKeys {
    /// What the columns are; shared by all results of the same description.
    pub columns: Columns,
    /// `rows` times `columns.keys.len()` hashes, row-major; `None` is NULL or no key.
    pub keys: Keys,
    /// Rows whose keys are here.
    pub rows: u32,
    /// Rows that came.
    pub rows_total: u64,
    /// Their place in the account of all results that wait to be compared; [`Held::default`] where nobody counts.
    pub held: Held,
}

impl RowKeys {
    /// The hashes of one of the key columns, by its place in `columns.keys`, row after row.
    pub fn column(&self, key: usize) -> impl Iterator<Item = Option<ValueHash>> + '_ {
        self.keys
            .iter()
            .skip(key)
            .step_by(self.columns.keys.len().max(1))
            .copied()
    }
}

/// What all results on their way to the analysis, or kept by it, may take.
#[derive(Debug)]
pub struct FlowBudget {
    /// Bytes taken now.
    pub bytes: AtomicUsize,
    /// Most bytes that may be taken.
    pub bytes_max: AtomicUsize,
}

impl FlowBudget {
    /// Nothing is taken, `bytes_max` may be.
    pub fn new(bytes_max: usize) -> Arc<FlowBudget> {
        Arc::new(FlowBudget {
            bytes: AtomicUsize::new(0),
            bytes_max: AtomicUsize::new(bytes_max),
        })
    }

    /// Takes `bytes`, given back when what is returned is dropped; `None` when they are not there.
    pub fn take(self: &Arc<FlowBudget>, bytes: usize) -> Option<Held> {
        let taken = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held {
            budget: Some(Arc::clone(self)),
            bytes,
        };
        let fits = taken.saturating_add(bytes) <= self.bytes_max.load(Ordering::Relaxed);
        fits.then_some(held)
    }
}

/// Bytes taken of a [`FlowBudget`], given back on drop. A clone takes as many again, whatever is left.
#[derive(Debug, Default)]
pub struct Held {
    budget: Option<Arc<FlowBudget>>,
    bytes: usize,
}

impl Clone for Held {
    fn clone(&self) -> Held {
        if let Some(budget) = &self.budget {
            budget.bytes.fetch_add(self.bytes, Ordering::Relaxed);
        }
        Held {
            budget: self.budget.clone(),
            bytes: self.bytes,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What counts is what is held, not for whom.
impl PartialEq for Held {
    fn eq(&self, _: &Held) -> bool {
        true
    }
}

impl Eq for Held {}

/// A query at or over the slow log's threshold, on its way to the log's writer.
#[derive(Debug, Clone)]
pub struct SlowQuery {
    /// Who sent it.
    pub facts: Arc<SessionFacts>,
    /// `%l`: number of this line in the log lines of its session, from 1 (a query takes two lines).
    pub line: u64,
    /// What finished.
    pub exchange: Exchange,
}

/// Something on a session that is not a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    /// AuthenticationOk and the first ReadyForQuery came.
    LoggedIn,
    /// A transaction ended (an implicit one-statement transaction is none).
    TransactionEnded(TransactionOutcome),
    /// Nanoseconds spent idle inside a transaction, told when that idleness ended.
    IdledInTransaction(u64),
}

/// How a transaction block ended: the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    /// COMMIT (answered by the tag `COMMIT`).
    Committed,
    /// ROLLBACK, or COMMIT of a failed transaction (answered by the tag `ROLLBACK`).
    RolledBack,
    /// The session ended inside it.
    Abandoned,
}

impl TransactionOutcome {
    /// The value of the metrics' label `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            TransactionOutcome::Committed => "committed",
            TransactionOutcome::RolledBack => "rolled_back",
            TransactionOutcome::Abandoned => "abandoned",
        }
    }
}
