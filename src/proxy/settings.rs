//! What a proxy is told: its listeners, where their connections go, and how long things may take.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use super::tls::{Acceptor, Connector};
use super::upstream::UpstreamAddress;

/// What a proxy is told when it starts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// At least one; names and addresses differ.
    pub listeners: Vec<ListenerSettings>,
    /// Sockets that listen already; a listener that has none here binds its own.
    pub sockets: Vec<ListeningSocket>,
    /// What can be changed while it runs.
    pub tunables: Tunables,
    /// Lets several processes listen on one port (SO_REUSEPORT). Off, a busy port is an error.
    pub reuse_port: bool,
    /// Connects to an upstream that has had no connection for this long, to know whether it is up; `None`: never.
    pub probe_interval: Option<Duration>,
}

/// A listener's socket, bound and listening.
#[derive(Debug, Clone)]
pub struct ListeningSocket {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The socket itself; copies of it have one queue of clients.
    pub socket: Arc<TcpListener>,
    /// Whether somebody else, systemd for one, keeps it open when we close it: clients in its queue are not ours alone.
    pub is_kept_elsewhere: bool,
}

/// What a reload may change; connections that exist keep what they began with, but for the limits on their stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunables {
    /// Connections served at one time, over all listeners; more are answered with SQLSTATE 53300.
    pub connections_max: usize,
    /// The same for the connections of one client address; 0 is no limit.
    pub connections_per_address_max: usize,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// TCP_USER_TIMEOUT on both legs. It also ends peers that live but do not read: hence `None` by default.
    pub tcp_user_timeout: Option<Duration>,
    /// Added to each round trip with the upstream, half each way.
    pub add_latency: Duration,
}

impl Default for Tunables {
    fn default() -> Tunables {
        Tunables {
            connections_max: 10_000,
            connections_per_address_max: 0,
            timeouts: Timeouts::default(),
            tcp_user_timeout: None,
            add_latency: Duration::ZERO,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving the upstream's name and trying all its addresses.
    pub connect: Duration,
    /// Accept to ReadyForQuery.
    pub login: Duration,
    /// A drain ends a session that has been idle for this long.
    pub drain_idle_grace: Duration,
    /// A drain ends every session after this, and after 5 s those that have not logged in.
    pub drain_timeout: Duration,
    /// A session that is idle outside a transaction for this long is ended with SQLSTATE 57P05.
    pub client_idle: Option<Duration>,
    /// A session that has lived for this long is ended, when it is next idle, with SQLSTATE 57P01.
    pub session_max: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            login: Duration::from_secs(60),
            drain_idle_grace: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(25),
            client_idle: None,
            session_max: None,
        }
    }
}

/// One listener and the upstream it stands for.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// The DATABASES alias it stands for.
    pub name: Arc<str>,
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Where its connections go.
    pub upstream: UpstreamAddress,
    /// How to speak TLS there; `None` is plaintext. A Unix socket is always plaintext, and so is what is passed
    /// through, as far as we are concerned.
    pub upstream_tls: Option<Arc<Connector>>,
    /// What happens to SSLRequest.
    pub tls: TlsMode,
    /// Whether its sessions are observed.
    pub observe: bool,
}

/// What a listener does with SSLRequest and everything else that is not plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// SSLRequest and GSSENCRequest are answered `N`.
    #[default]
    Off,
    /// All bytes are passed on untouched, SSLRequest included; only bytes, times and connections are observed.
    PassThrough,
    /// TLS ends here, for clients that ask for it.
    Allow(Arc<Acceptor>),
    /// TLS ends here, and there are no sessions without it.
    Require(Arc<Acceptor>),
}

impl TlsMode {
    pub(super) fn acceptor(&self) -> Option<&Acceptor> {
        match self {
            TlsMode::Off | TlsMode::PassThrough => None,
            TlsMode::Allow(acceptor) | TlsMode::Require(acceptor) => Some(acceptor),
        }
    }

    pub(super) fn is_required(&self) -> bool {
        matches!(self, TlsMode::Require(_))
    }
}
