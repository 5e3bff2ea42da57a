//! The settings of every room, read from file, environment and flags, checked before anything starts.
//!
//! Precedence: flag, environment, file, default. One table, [`keys::KEYS`], feeds the file's reader, the environment,
//! the command line's flags, the reload and the tests that compare documentation with code.
//!
//! *Architecture invariant:* a [`Config`] that [`Config::load`] returned is usable as it is: no room checks a setting
//! again. Nothing here binds, connects or reads a clock; the only files read are the configuration and those it names.
//!
//! Start reading at [`Config`], then [`keys`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::advise::Models;
use crate::catalog;
use crate::detect::Confidence;
use crate::export::slow_log::{Destination, Format};
use crate::proxy::tls::{Acceptor, ClientVerify, Connector, MinVersion};

mod check;
mod error;
mod ignore;
pub mod keys;
mod load;
mod reload;
#[cfg(test)]
mod tests;
mod tls;
mod upstream;
mod value;

pub use crate::proxy::tls::{Roots, SslMode};
pub use check::Warning;
pub use error::{ConfigError, Place, Reason};
pub use ignore::IgnoreRule;
pub use load::Sources;
pub use reload::{Changes, ReloadError};
pub use upstream::{Address, Upstream, UpstreamError};
pub use value::Size;

/// Everything that can be set. `docs/configuration.md` describes each key; the field of the same name is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whether sessions are observed at all; a listener can refuse for itself.
    pub observe: bool,
    /// Whether the slow log shows statements as they were sent, values included.
    pub log_literals: bool,
    /// How much of pgprism's own log is written.
    pub log_level: LogLevel,
    /// Threads that carry connections; 0 is one for every two cores, but two on two.
    pub workers: usize,
    /// How often the threads beside the relay work while there is much to do.
    pub tick: Duration,
    /// Whether listeners share their port with other processes (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Where the bound addresses are written, one `name=address` a line.
    pub ports_file: Option<PathBuf>,
    /// Added to each round trip between proxy and upstream, half each way; zero adds nothing.
    pub add_latency: Duration,
    /// `[admin]`.
    pub admin: Admin,
    /// `[[listeners]]`, at least one.
    pub listeners: Vec<Listener>,
    /// `[slow_log]`.
    pub slow_log: SlowLog,
    /// `[limits]`.
    pub limits: Limits,
    /// `[timeouts]`.
    pub timeouts: Timeouts,
    /// `[units]`.
    pub units: Units,
    /// `[advise]`.
    pub advise: Advise,
    /// `[check]`.
    pub check: Check,
    /// `[debug]`.
    pub debug: Debugging,
    /// `[[ignore]]`, in the order of the file.
    pub ignore: Vec<IgnoreRule>,
    /// Where all this came from: what a reload reads again.
    pub sources: Sources,
}

/// The admin HTTP address: metrics, API, health.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Where it listens; `None` is off.
    pub listen: Option<SocketAddr>,
    /// Host names accepted beside the address itself.
    pub hosts: Vec<String>,
    /// The file that holds the token.
    pub token_file: Option<PathBuf>,
    /// What that file, or the variable [`TOKEN_VARIABLE`], held; needed when `listen` is not loopback.
    pub token: Option<Token>,
    /// Connections at a time.
    pub connections_max: usize,
    /// Pages of metrics that are being sent at a time.
    pub scrapes_max: usize,
    /// Streams at a time.
    pub streams_max: usize,
}

/// The environment variable that may hold the admin token in place of a file.
pub const TOKEN_VARIABLE: &str = "PGPRISM_TOKEN";

/// A secret that does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// One address that clients connect to, and the upstream behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// The DATABASES alias it stands for: the label `listener`.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where its connections go.
    pub upstream: Upstream,
    /// What happens to a client that asks for TLS.
    pub tls: Tls,
    /// The certificate that clients see, and its chain; needed by [`Tls::Allow`] and [`Tls::Require`], like its key.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key.
    pub tls_key: Option<PathBuf>,
    /// Who may sign the clients' certificates.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub tls_client_verify: ClientVerify,
    /// The oldest version of TLS that clients may speak.
    pub tls_min_version: MinVersion,
    /// What the files above held, where TLS ends here.
    pub acceptor: Option<Arc<Acceptor>>,
    /// What the upstream's `ssl*` parameters stand for, where they ask for TLS.
    pub connector: Option<Arc<Connector>>,
    /// Whether its sessions are observed.
    pub observe: bool,
}

/// What happens to a client that asks for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It is told `N`: no TLS here.
    Off,
    /// Its bytes go to the upstream untouched and unread.
    PassThrough,
    /// TLS or plaintext, as the client likes.
    Allow,
    /// TLS only.
    Require,
}

/// The slow-query log.
#[derive(Debug, Clone, PartialEq)]
pub struct SlowLog {
    /// Where it goes.
    pub path: Destination,
    /// How a line looks.
    pub format: Format,
    /// Queries that took at least this long are written; zero is all of them.
    pub threshold: Duration,
    /// Queries written in one second at most; the others are counted. 0 is no limit.
    pub queries_per_second_max: usize,
    /// Queries that wait to be written at most; the others are counted.
    pub queue_max: usize,
}

/// Bounds on what is held in memory and offered to others.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Client connections at a time.
    pub connections_max: usize,
    /// Connections of one client address at a time; 0 is no limit.
    pub connections_per_address_max: usize,
    /// Bytes of a statement that its fingerprint covers.
    pub fingerprint_bytes_max: Size,
    /// Bytes of a statement's text that are kept for people.
    pub text_bytes_max: Size,
    /// Named statements a session remembers.
    pub statements_per_session_max: usize,
    /// Open cursors and suspended portals a session follows.
    pub portals_per_session_max: usize,
    /// Messages of one session whose answers are awaited at a time.
    pub pipeline_messages_max: usize,
    /// Memory of all sessions' state together.
    pub session_bytes_max: Size,
    /// Query shapes counted on their own.
    pub fingerprints_max: usize,
    /// Normalised text of all query shapes together.
    pub texts_bytes_max: Size,
    /// (Fingerprint, database) pairs with metrics of their own.
    pub admitted_max: usize,
    /// Databases with a name of their own in metrics and API.
    pub databases_max: usize,
    /// Users, and as many applications, with a name of their own in the API.
    pub names_max: usize,
    /// Routes with a name of their own in the API.
    pub routes_max: usize,
    /// SQLSTATEs with a name of their own in metrics.
    pub error_codes_max: usize,
    /// Queries a worker holds for the analysis.
    pub ring_events_max: usize,
    /// Units of work that ended and are kept.
    pub units_max: usize,
    /// Findings that are kept.
    pub findings_max: usize,
    /// Rows of one result whose values are compared with those of later queries.
    pub result_rows_max: usize,
    /// Values of one result that are compared.
    pub result_keys_max: usize,
    /// Memory of the results that wait to be compared, all together.
    pub flow_bytes_max: Size,
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeouts {
    /// Connecting to the upstream, all its addresses together.
    pub connect: Duration,
    /// From accept to the first ReadyForQuery.
    pub login: Duration,
    /// How long idle sessions stay when a drain begins.
    pub drain_idle_grace: Duration,
    /// How long running queries and open transactions have when a drain begins.
    pub drain_timeout: Duration,
    /// How long a session may be idle outside a transaction; `None` is for ever.
    pub client_idle: Option<Duration>,
    /// How long a session may live; `None` is for ever.
    pub session_max: Option<Duration>,
    /// TCP_USER_TIMEOUT of both legs; `None` leaves it to the system.
    pub tcp_user_timeout: Option<Duration>,
    /// An upstream without a new connection for so long is connected to, to know whether it is up; `None` is never.
    pub probe_interval: Option<Duration>,
}

/// How units of work are told apart, and what in them is a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Units {
    /// Idle time that ends a unit, and the longest that counts as the application's.
    pub unit_gap: Duration,
    /// Repetitions in a unit from which on they are a finding.
    pub n_plus_one_min: usize,
    /// Statements of a unit that are kept.
    pub statements_max: usize,
    /// Budget of queries for a unit, beyond which it is a finding; 0 is none.
    pub queries_max: usize,
    /// Whether the values of results and of later queries are compared.
    pub value_flow: bool,
}

/// What `pgprism check` judges by. A limit of 0, and one that is `None`, is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The file that says what is known; `None` knows nothing.
    pub baseline: Option<PathBuf>,
    /// How sure a finding has to be to count.
    pub confidence: Confidence,
    /// Queries of a test or a request.
    pub max_queries: usize,
    /// Rows of a test or a request.
    pub max_rows: usize,
    /// Time in the queries of a test or a request.
    pub max_time: Option<Duration>,
    /// Rows in one call of a shape that is not in the baseline.
    pub new_shape_max_rows: usize,
    /// Calls of such a shape in one test or request.
    pub new_shape_max_calls: usize,
    /// Mean time of such a shape.
    pub new_shape_max_mean: Option<Duration>,
    /// How many times what the baseline has of a shape's calls and rows are too much.
    pub growth_factor: usize,
}

/// What only tests of pgprism itself want.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Debugging {
    /// Of ten thousand events for the analysis, how many are dropped on purpose.
    pub drop_events_per_10000: usize,
}

/// What names and constraints advice is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Advise {
    /// The file that `python -m django_pgprism models` wrote.
    pub models: Option<PathBuf>,
    /// What that file held.
    pub map: Arc<Models>,
    /// The database that is asked for keys and constraints; `None` asks nobody.
    pub catalog: Option<catalog::Address>,
}

/// How much of pgprism's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the usual words")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word that sets it.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Default for Listener {
    fn default() -> Listener {
        Listener {
            name: "default".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 6433)),
            upstream: Upstream::default(),
            tls: Tls::Off,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            tls_client_verify: ClientVerify::Off,
            tls_min_version: MinVersion::Tls12,
            acceptor: None,
            connector: None,
            observe: true,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            observe: true,
            log_literals: false,
            log_level: LogLevel::Info,
            workers: 0,
            tick: Duration::from_millis(50),
            reuse_port: false,
            ports_file: None,
            add_latency: Duration::ZERO,
            admin: Admin {
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 9433))),
                hosts: Vec::new(),
                token_file: None,
                token: None,
                connections_max: 64,
                scrapes_max: 4,
                streams_max: 16,
            },
            listeners: vec![Listener::default()],
            slow_log: SlowLog {
                path: Destination::Stdout,
                format: Format::Stderr,
                threshold: Duration::from_millis(100),
                queries_per_second_max: 1000,
                queue_max: 4096,
            },
            limits: Limits {
                connections_max: 10_000,
                connections_per_address_max: 0,
                fingerprint_bytes_max: Size(1 << 20),
                text_bytes_max: Size(64 << 10),
                statements_per_session_max: 256,
                portals_per_session_max: 64,
                pipeline_messages_max: 65_536,
                session_bytes_max: Size(64 << 20),
                fingerprints_max: 10_000,
                texts_bytes_max: Size(24 << 20),
                admitted_max: 200,
                databases_max: 50,
                names_max: 200,
                routes_max: 1000,
                error_codes_max: 100,
                ring_events_max: 8192,
                units_max: 1000,
                findings_max: 1000,
                result_rows_max: 1024,
                result_keys_max: 8192,
                flow_bytes_max: Size(64 << 20),
            },
            timeouts: Timeouts {
                connect: Duration::from_secs(5),
                login: Duration::from_secs(60),
                drain_idle_grace: Duration::from_secs(1),
                drain_timeout: Duration::from_secs(25),
                client_idle: None,
                session_max: None,
                tcp_user_timeout: None,
                probe_interval: Some(Duration::from_secs(2)),
            },
            units: Units {
                unit_gap: Duration::from_millis(50),
                n_plus_one_min: 3,
                statements_max: 2000,
                queries_max: 100,
                value_flow: true,
            },
            advise: Advise {
                models: None,
                map: Arc::default(),
                catalog: None,
            },
            check: Check {
                baseline: Some(PathBuf::from("pgprism-baseline.json")),
                confidence: Confidence::Likely,
                max_queries: 0,
                max_rows: 0,
                max_time: None,
                new_shape_max_rows: 0,
                new_shape_max_calls: 0,
                new_shape_max_mean: None,
                growth_factor: 0,
            },
            debug: Debugging::default(),
            ignore: Vec::new(),
            sources: Sources::default(),
        }
    }
}
