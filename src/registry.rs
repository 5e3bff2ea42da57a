//! What is true now of connections, listeners and upstreams: written by `proxy`, read by `export`.
//!
//! *Architecture invariant:* the path of the bytes takes no lock and shares no cache line here. What changes with
//! every read lives in a [`Shard`], which one worker alone writes; the rest changes once or twice a connection.
//! Readers take a [`Snapshot`] or the list of [`Connection`]s.

mod histogram;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use foldhash::fast::RandomState;

use self::histogram::bucket_of;
pub use self::histogram::{BOUNDS_NS, Histogram, HistogramSnapshot};
use crate::event::{ConnectionState, ConnectionStatus, Direction, Moment, SessionId};

/// Everything the proxy knows of itself. One for the process, shared by all rooms that need it.
#[derive(Debug, Default)]
pub struct Registry {
    listeners: RwLock<Vec<Arc<Listener>>>,
    connections: Mutex<HashMap<SessionId, Arc<Connection>, RandomState>>,
    session_id_last: AtomicU64,
    /// What [`Registry::add_latency_ns`] answers.
    add_latency_ns: AtomicU64,
    connections_max: AtomicU64,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// What new sessions' round trips with their upstreams are made to take longer, nanoseconds.
    pub fn add_latency_ns(&self) -> u64 {
        self.add_latency_ns.load(Relaxed)
    }

    /// Writes that down.
    pub fn set_add_latency_ns(&self, nanoseconds: u64) {
        self.add_latency_ns.store(nanoseconds, Relaxed);
    }

    /// A number that no other session of this process has; the first is 1.
    pub fn next_session_id(&self) -> SessionId {
        SessionId(self.session_id_last.fetch_add(1, Relaxed) + 1)
    }

    /// Says how many connections the proxy accepts at most, all listeners together.
    pub fn set_connections_max(&self, connections_max: usize) {
        self.connections_max.store(connections_max as u64, Relaxed);
    }

    /// Adds a listener whose connections are served by `workers` workers.
    pub fn add_listener(&self, name: Arc<str>, address: Arc<str>, workers: usize) -> Arc<Listener> {
        let listener = Arc::new(Listener {
            name,
            address,
            observe: Arc::new(AtomicBool::new(true)),
            listening: AtomicBool::new(true),
            upstream: Mutex::new(UpstreamState::default()),
            client_connections: AtomicU64::new(0),
            upstream_connections: AtomicU64::new(0),
            connections_total: AtomicU64::new(0),
            connection_errors: Default::default(),
            unobserved_sessions: Default::default(),
            connect_duration: Histogram::default(),
            shards: (0..workers).map(|_| Shard::default()).collect(),
        });
        self.listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&listener));
        listener
    }

    /// Adds a connection whose upstream is connected; it stays until the returned guard is dropped.
    pub fn add_connection(self: &Arc<Self>, connection: Connection) -> Registered {
        let connection = Arc::new(connection);
        lock(&self.connections).insert(connection.id, Arc::clone(&connection));
        Registered {
            registry: Arc::clone(self),
            connection,
        }
    }

    /// The connections that are open now, by session id.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let mut connections: Vec<_> = lock(&self.connections).values().cloned().collect();
        connections.sort_by_key(|connection| connection.id);
        connections
    }

    /// Whether a statement of this session is running now.
    pub fn is_active(&self, session: SessionId) -> bool {
        lock(&self.connections)
            .get(&session)
            .is_some_and(|connection| {
                let state = connection.status.state.load(Relaxed);
                ConnectionState::from_number(state) == ConnectionState::Active
            })
    }

    /// Counters and gauges of all listeners at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut idle_in_transaction: HashMap<Arc<str>, IdleInTransaction> = HashMap::new();
        for connection in lock(&self.connections).values() {
            let state = ConnectionState::from_number(connection.status.state.load(Relaxed));
            if matches!(
                state,
                ConnectionState::IdleInTransaction | ConnectionState::IdleInTransactionAborted
            ) {
                idle_in_transaction
                    .entry(Arc::clone(&connection.listener))
                    .or_default()
                    .add(Moment(connection.status.since.load(Relaxed)));
            }
        }
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            listeners: listeners
                .iter()
                .map(|listener| {
                    let idle = idle_in_transaction.get(&listener.name).copied();
                    listener.snapshot(idle.unwrap_or_default())
                })
                .collect(),
            connections_max: self.connections_max.load(Relaxed),
        }
    }
}

/// One client connection with its upstream leg.
#[derive(Debug)]
pub struct Connection {
    /// Identity in this process.
    pub id: SessionId,
    /// Name of the listener it came through.
    pub listener: Arc<str>,
    /// Client address with port, or `[local]`.
    pub client: Arc<str>,
    /// Upstream address it was connected to: `host:port` in numbers, or the path of a Unix socket.
    pub upstream: Arc<str>,
    /// `user` of the StartupMessage; empty when it was not seen (pass-through).
    pub user: Arc<str>,
    /// `database` of the StartupMessage, or the user where it names none; empty when it was not seen.
    pub database: Arc<str>,
    /// `application_name` of the StartupMessage, or empty; see [`ConnectionStatus::application`] for later ones.
    pub application: Arc<str>,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// What it does now, told by its tap.
    pub status: Arc<ConnectionStatus>,
    /// Its client leg is encrypted and the proxy ends the encryption.
    pub tls: bool,
}

/// Keeps a [`Connection`] in the registry until it is dropped.
#[derive(Debug)]
pub struct Registered {
    registry: Arc<Registry>,
    connection: Arc<Connection>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.registry.connections).remove(&self.connection.id);
    }
}

/// Figures and switches of one listener.
#[derive(Debug)]
pub struct Listener {
    /// Its name in the configuration: the DATABASES alias it stands for.
    pub name: Arc<str>,
    /// The address it is bound to.
    pub address: Arc<str>,
    /// Whether its sessions are observed; the same flag is in every `SessionStart` of this listener.
    pub observe: Arc<AtomicBool>,
    /// False once the drain has released its socket.
    pub listening: AtomicBool,
    /// Client sockets that are open, those in their startup phase included.
    pub client_connections: AtomicU64,
    /// Upstream sockets that are open, those of CancelRequests included.
    pub upstream_connections: AtomicU64,
    /// Client sockets accepted since the start.
    pub connections_total: AtomicU64,
    /// Accept to the first ReadyForQuery.
    pub connect_duration: Histogram,
    upstream: Mutex<UpstreamState>,
    connection_errors: [AtomicU64; ConnectionError::ALL.len()],
    unobserved_sessions: [AtomicU64; Unobserved::ALL.len()],
    shards: Box<[Shard]>,
}

impl Listener {
    /// Counts a connection that failed, once, under the first reason that applies.
    pub fn count_error(&self, reason: ConnectionError) {
        self.connection_errors[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a session for which no tap was opened.
    pub fn count_unobserved(&self, reason: Unobserved) {
        self.unobserved_sessions[reason as usize].fetch_add(1, Relaxed);
    }

    /// Says where new connections go.
    pub fn set_upstream_address(&self, address: Arc<str>) {
        let mut upstream = lock(&self.upstream);
        if upstream.address != address {
            *upstream = UpstreamState {
                address,
                ..UpstreamState::default()
            };
        }
    }

    /// Records how the last attempt to connect to the upstream ended, and returns whether it was up before.
    pub fn set_upstream_result(&self, result: Result<(), String>, at: Moment) -> Option<bool> {
        let mut upstream = lock(&self.upstream);
        upstream.tried_at = Some(at);
        let was_up = upstream.up.replace(result.is_ok());
        upstream.error = result.err();
        was_up
    }

    /// What is known of its upstream.
    pub fn upstream(&self) -> UpstreamState {
        lock(&self.upstream).clone()
    }

    /// The part of the figures that the worker `index` alone writes.
    ///
    /// # Panics
    /// When the listener was added for fewer workers.
    pub fn shard(&self, index: usize) -> &Shard {
        &self.shards[index]
    }

    fn snapshot(&self, idle_in_transaction: IdleInTransaction) -> ListenerSnapshot {
        let mut relayed_bytes = [0; 2];
        let mut added_latency = [HistogramSnapshot::default(), HistogramSnapshot::default()];
        for shard in &self.shards {
            for direction in 0..2 {
                relayed_bytes[direction] += shard.relayed_bytes[direction].load(Relaxed);
                added_latency[direction].add(&shard.added_latency[direction].snapshot());
            }
        }
        ListenerSnapshot {
            name: Arc::clone(&self.name),
            address: Arc::clone(&self.address),
            listening: self.listening.load(Relaxed),
            observe: self.observe.load(Relaxed),
            upstream: self.upstream(),
            client_connections: self.client_connections.load(Relaxed),
            upstream_connections: self.upstream_connections.load(Relaxed),
            idle_in_transaction,
            connections_total: self.connections_total.load(Relaxed),
            connection_errors: ConnectionError::ALL.map(|reason| {
                (
                    reason,
                    self.connection_errors[reason as usize].load(Relaxed),
                )
            }),
            unobserved_sessions: Unobserved::ALL.map(|reason| {
                (
                    reason,
                    self.unobserved_sessions[reason as usize].load(Relaxed),
                )
            }),
            relayed_bytes,
            connect_duration: self.connect_duration.snapshot(),
            added_latency,
        }
    }
}

/// What is known of a listener's upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamState {
    /// `host:port` or path as configured.
    pub address: Arc<str>,
    /// Whether the last attempt to connect succeeded; `None` before the first.
    pub up: Option<bool>,
    /// When that attempt ended.
    pub tried_at: Option<Moment>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Why a connection failed: the label `reason` of `pgprism_connection_errors_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum ConnectionError {
    /// `accept` failed, for want of file descriptors or memory; it is tried again.
    Accept,
    /// The startup phase broke the protocol (a bad length, a second SSLRequest, bytes behind one), a TLS handshake
    /// failed, or there was none where it is required.
    Startup,
    /// The login was not complete within its time limit.
    LoginTimeout,
    /// The upstream refused the login with an ErrorResponse.
    LoginRefused,
    /// There were `connections_max` connections already.
    ConnectionLimit,
    /// The client's address had `connections_per_address_max` connections already.
    AddressLimit,
    /// No address of the upstream could be connected to within the time limit.
    UpstreamUnreachable,
    /// The upstream's socket failed: a reset or a time-out.
    UpstreamLost,
    /// The client's socket failed: a reset or a time-out.
    ClientLost,
    /// It had been idle for as long as `timeouts.client_idle` allows.
    ClientIdle,
    /// It had lived for as long as `timeouts.session_max` allows.
    SessionMax,
}

impl ConnectionError {
    /// All of them, in the order of their numbers.
    pub const ALL: [ConnectionError; 11] = [
        ConnectionError::Accept,
        ConnectionError::Startup,
        ConnectionError::LoginTimeout,
        ConnectionError::LoginRefused,
        ConnectionError::ConnectionLimit,
        ConnectionError::AddressLimit,
        ConnectionError::UpstreamUnreachable,
        ConnectionError::UpstreamLost,
        ConnectionError::ClientLost,
        ConnectionError::ClientIdle,
        ConnectionError::SessionMax,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionError::Accept => "accept",
            ConnectionError::Startup => "startup",
            ConnectionError::LoginTimeout => "login_timeout",
            ConnectionError::LoginRefused => "login_refused",
            ConnectionError::ConnectionLimit => "connection_limit",
            ConnectionError::AddressLimit => "address_limit",
            ConnectionError::UpstreamUnreachable => "upstream_unreachable",
            ConnectionError::UpstreamLost => "upstream_lost",
            ConnectionError::ClientLost => "client_lost",
            ConnectionError::ClientIdle => "client_idle",
            ConnectionError::SessionMax => "session_max",
        }
    }
}

/// Why no tap was opened for a session: values of the label `reason` of `pgprism_unobserved_sessions_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Unobserved {
    /// The listener passes everything through, TLS included.
    PassThrough,
    /// Observation was switched off when the session began.
    ObserveOff,
}

impl Unobserved {
    /// All of them, in the order of their numbers.
    pub const ALL: [Unobserved; 2] = [Unobserved::PassThrough, Unobserved::ObserveOff];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Unobserved::PassThrough => "pass_through",
            Unobserved::ObserveOff => "observe_off",
        }
    }
}

/// The figures of one listener that one worker writes, with every read.
///
/// Only that worker may write: its additions are a load and a store, without the locked instruction that several
/// writers would need. Aligned so that two workers never write to one cache line (128: the prefetcher takes pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard {
    relayed_bytes: [AtomicU64; 2],
    added_latency: [Histogram; 2],
}

impl Shard {
    /// Adds bytes that the sink of `direction` has accepted.
    pub fn add_relayed_bytes(&self, direction: Direction, bytes: u64) {
        add_alone(&self.relayed_bytes[index_of(direction)], bytes);
    }

    /// Adds the time from bytes read to bytes written, `weight` times: one reading may stand for several.
    pub fn add_latency(&self, direction: Direction, nanoseconds: u64, weight: u64) {
        let histogram = &self.added_latency[index_of(direction)];
        add_alone(&histogram.counts[bucket_of(nanoseconds)], weight);
        add_alone(&histogram.sum_ns, nanoseconds.saturating_mul(weight));
    }
}

/// Adds where nobody else writes.
fn add_alone(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

/// The place of a direction in pairs of figures: see [`ListenerSnapshot::relayed_bytes`].
fn index_of(direction: Direction) -> usize {
    match direction {
        Direction::ClientToUpstream => 0,
        Direction::UpstreamToClient => 1,
    }
}

/// All figures at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// In the order of the configuration.
    pub listeners: Vec<ListenerSnapshot>,
    /// Connections that the proxy accepts at most, all listeners together; 0 before that is known.
    pub connections_max: u64,
}

/// The connections in `idle in transaction`, aborted ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdleInTransaction {
    /// How many there are.
    pub connections: u64,
    /// Since when the one has been idle that is idle for longest.
    pub since: Option<Moment>,
}

impl IdleInTransaction {
    fn add(&mut self, since: Moment) {
        self.connections += 1;
        self.since = Some(self.since.map_or(since, |oldest| oldest.min(since)));
    }
}

/// The figures of one listener at one moment; fields as in [`Listener`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of the same name in Listener")]
pub struct ListenerSnapshot {
    pub name: Arc<str>,
    pub address: Arc<str>,
    pub listening: bool,
    pub observe: bool,
    pub upstream: UpstreamState,
    pub client_connections: u64,
    pub upstream_connections: u64,
    pub idle_in_transaction: IdleInTransaction,
    pub connections_total: u64,
    pub connection_errors: [(ConnectionError, u64); ConnectionError::ALL.len()],
    pub unobserved_sessions: [(Unobserved, u64); Unobserved::ALL.len()],
    /// Client to upstream, upstream to client.
    pub relayed_bytes: [u64; 2],
    pub connect_duration: HistogramSnapshot,
    /// Bytes read to bytes written: client to upstream, upstream to client. Where the sink took all at once, one
    /// read in a few is measured and stands for the others.
    pub added_latency: [HistogramSnapshot; 2],
}

impl ListenerSnapshot {
    /// How many connections failed for `reason`.
    pub fn errors(&self, reason: ConnectionError) -> u64 {
        self.connection_errors[reason as usize].1
    }

    /// How many sessions were not observed for `reason`.
    pub fn unobserved(&self, reason: Unobserved) -> u64 {
        self.unobserved_sessions[reason as usize].1
    }
}

/// A panic elsewhere leaves these maps whole: each change is a single insert, remove or assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_reasons_are_their_places() {
        for (place, reason) in ConnectionError::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        for (place, reason) in Unobserved::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn shards_are_summed() {
        let registry = Registry::new();
        let listener = registry.add_listener("default".into(), "127.0.0.1:1".into(), 2);
        listener
            .shard(0)
            .add_relayed_bytes(Direction::ClientToUpstream, 5);
        listener
            .shard(1)
            .add_relayed_bytes(Direction::ClientToUpstream, 6);
        listener
            .shard(1)
            .add_latency(Direction::UpstreamToClient, 200_000, 8);
        let snapshot = registry.snapshot();
        assert_eq!(snapshot.listeners[0].relayed_bytes, [11, 0]);
        let latency = &snapshot.listeners[0].added_latency[1];
        assert_eq!(
            (latency.count(), latency.counts[1], latency.sum_ns),
            (8, 8, 1_600_000)
        );
    }

    #[test]
    fn the_one_that_is_idle_for_longest_counts() {
        let mut idle = IdleInTransaction::default();
        for since in [7, 3, 5] {
            idle.add(Moment(since));
        }
        assert_eq!((idle.connections, idle.since), (3, Some(Moment(3))));
    }

    #[test]
    fn a_connection_is_listed_while_its_guard_lives() {
        let registry = Arc::new(Registry::new());
        let listener = registry.add_listener("default".into(), "127.0.0.1:1".into(), 1);
        let status = Arc::new(ConnectionStatus::default());
        status
            .state
            .store(ConnectionState::IdleInTransaction as u8, Relaxed);
        let registered = registry.add_connection(Connection {
            id: registry.next_session_id(),
            listener: Arc::clone(&listener.name),
            client: "127.0.0.1:2".into(),
            upstream: "127.0.0.1:3".into(),
            user: "u".into(),
            database: "d".into(),
            application: "".into(),
            accepted_at: Moment(1),
            status,
            tls: false,
        });
        assert_eq!(registry.connections().len(), 1);
        assert_eq!(
            registry.snapshot().listeners[0].idle_in_transaction,
            IdleInTransaction {
                connections: 1,
                since: Some(Moment(0)),
            }
        );
        drop(registered);
        assert!(registry.connections().is_empty());
    }
}
