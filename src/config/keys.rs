//! The table of all settings: name in the file, flag, environment variable, when a change takes effect.

use std::cmp::Ordering;

use super::error::Reason;
use super::value::{Raw, Setting, quoted, words};
use super::{Config, Listener, LogLevel, Tls};
use crate::detect::Confidence;
use crate::export::slow_log::{Destination, Format};
use crate::proxy::tls::{ClientVerify, MinVersion};

/// One setting.
pub struct Key {
    /// Its name in the file with its section: `slow_log.threshold`. `listeners.` stands for each `[[listeners]]`.
    pub name: &'static str,
    /// Its flag, where it has one.
    pub flag: Option<Flag>,
    /// Its environment variable, where it has one.
    pub environment: Option<&'static str>,
    /// When a changed value takes effect.
    pub reload: Reload,
    /// The least and the most it may be, where it has an order.
    pub range: Option<(&'static str, &'static str)>,
    /// What it sets, in one line, for `--help`.
    pub summary: &'static str,
    pub(super) field: Field,
}

/// A command-line flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Without its dashes.
    pub name: &'static str,
    /// What stands for its value in `--help`; empty for a switch.
    pub value: &'static str,
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// On SIGHUP.
    AtOnce,
    /// Only when the process starts; a SIGHUP that finds it changed is refused.
    AtStart,
}

/// Where the value lives.
pub(super) enum Field {
    /// Once.
    Once(fn(&mut Config) -> &mut dyn Setting),
    /// In each listener.
    EachListener(fn(&mut Listener) -> &mut dyn Setting),
}

impl Key {
    /// The key of this name.
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Whether it is a setting of `pgprism check` alone.
    pub fn is_of_check(&self) -> bool {
        self.name.starts_with("check.")
    }

    /// Puts the value given into `setting`, which is this key's.
    pub(super) fn put(&self, setting: &mut dyn Setting, raw: Raw<'_>) -> Result<(), Reason> {
        setting.set(raw)?;
        match self.range {
            Some((least, most))
                if setting.compare(least) == Some(Ordering::Less)
                    || setting.compare(most) == Some(Ordering::Greater) =>
            {
                Err(Reason::OutOfRange {
                    found: setting.show().trim_matches('"').to_owned(),
                    least,
                    most,
                })
            }
            _ => Ok(()),
        }
    }

    /// Its value as TOML; a listener's key shows that listener's, or nothing where there is no such listener.
    pub fn show(&self, config: &Config, listener_index: usize) -> Option<String> {
        // The accessors take `&mut` so that one of them serves reading and writing; the copy is small and rare.
        let mut config = config.clone();
        match &self.field {
            Field::Once(at) => Some(at(&mut config).show()),
            Field::EachListener(at) => config
                .listeners
                .get_mut(listener_index)
                .map(|l| at(l).show()),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn flag(name: &'static str, value: &'static str) -> Option<Flag> {
    Some(Flag { name, value })
}

use Field::{EachListener, Once};
use Reload::{AtOnce, AtStart};

/// All settings, in the order of `config/pgprism.toml`.
#[rustfmt::skip] // a table: one setting, two lines
pub static KEYS: &[Key] = &[
    Key { name: "observe", flag: None, environment: Some("PGPRISM_OBSERVE"), range: None, reload: AtOnce, field: Once(|c| &mut c.observe),
        summary: "Observe sessions; false passes all bytes on unread" },
    Key { name: "log_literals", flag: flag("log-literals", ""), environment: Some("PGPRISM_LOG_LITERALS"), range: None, reload: AtStart, field: Once(|c| &mut c.log_literals),
        summary: "Write statements into the slow log as they were sent, values included" },
    Key { name: "log_level", flag: flag("log-level", "LEVEL"), environment: Some("PGPRISM_LOG"), range: None, reload: AtStart, field: Once(|c| &mut c.log_level),
        summary: "pgprism's own log on stderr: off, error, warn, info, debug, trace" },
    Key { name: "workers", flag: flag("workers", "N"), environment: Some("PGPRISM_WORKERS"), range: Some(("0", "256")), reload: AtStart, field: Once(|c| &mut c.workers),
        summary: "Threads that carry connections; 0 is one for every two cores, but two on two" },
    Key { name: "tick", flag: None, environment: Some("PGPRISM_TICK"), range: Some(("1ms", "1s")), reload: AtStart, field: Once(|c| &mut c.tick),
        summary: "How often the threads beside the relay work while there is much to do: analysis, slow log, collector. With little to do they sleep for longer" },
    Key { name: "reuse_port", flag: None, environment: Some("PGPRISM_REUSE_PORT"), range: None, reload: AtStart, field: Once(|c| &mut c.reuse_port),
        summary: "Share the listeners' ports with other processes (SO_REUSEPORT)" },
    Key { name: "ports_file", flag: flag("ports-file", "PATH"), environment: Some("PGPRISM_PORTS_FILE"), range: None, reload: AtStart, field: Once(|c| &mut c.ports_file),
        summary: "Write the bound addresses there, one name=address a line" },
    Key { name: "add_latency", flag: flag("add-latency", "DURATION"), environment: Some("PGPRISM_ADD_LATENCY"), range: Some(("0s", "10s")), reload: AtOnce, field: Once(|c| &mut c.add_latency),
        summary: "Make each round trip to the upstream take so much longer, to feel a network as far away as production's" },

    Key { name: "admin.listen", flag: flag("admin", "ADDRESS"), environment: Some("PGPRISM_ADMIN"), range: None, reload: AtStart, field: Once(|c| &mut c.admin.listen),
        summary: "Address of metrics, API and health checks, or off" },
    Key { name: "admin.hosts", flag: None, environment: Some("PGPRISM_ADMIN_HOSTS"), range: None, reload: AtOnce, field: Once(|c| &mut c.admin.hosts),
        summary: "Host names under which the admin address may be asked, besides itself" },
    Key { name: "admin.token_file", flag: flag("token-file", "PATH"), environment: Some("PGPRISM_TOKEN_FILE"), range: None, reload: AtOnce, field: Once(|c| &mut c.admin.token_file),
        summary: "File with the admin token; needed when the admin address is not loopback" },
    Key { name: "admin.connections_max", flag: None, environment: None, range: Some(("32", "1024")), reload: AtStart, field: Once(|c| &mut c.admin.connections_max),
        summary: "Connections at a time; a further one takes the place of the one that has waited longest" },
    Key { name: "admin.scrapes_max", flag: None, environment: None, range: Some(("1", "16")), reload: AtStart, field: Once(|c| &mut c.admin.scrapes_max),
        summary: "Pages of metrics that are being sent at a time" },
    Key { name: "admin.streams_max", flag: None, environment: None, range: Some(("0", "256")), reload: AtStart, field: Once(|c| &mut c.admin.streams_max),
        summary: "Streams of events at a time" },

    Key { name: "listeners.name", flag: None, environment: None, range: None, reload: AtStart, field: EachListener(|l| &mut l.name),
        summary: "Name of the listener: the DATABASES alias it stands for" },
    Key { name: "listeners.listen", flag: flag("listen", "ADDRESS"), environment: Some("PGPRISM_LISTEN"), range: None, reload: AtStart, field: EachListener(|l| &mut l.listen),
        summary: "Address that clients connect to; port 0 takes a free one" },
    Key { name: "listeners.upstream", flag: flag("upstream", "URL"), environment: Some("PGPRISM_UPSTREAM"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.upstream),
        summary: "Where the connections go: host, port and libpq's ssl parameters, no user, password or database" },
    Key { name: "listeners.tls", flag: flag("tls", "MODE"), environment: Some("PGPRISM_TLS"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls),
        summary: "TLS towards clients: off, allow, require, or pass-through (carried to the upstream, not observed)" },
    Key { name: "listeners.tls_certificate", flag: flag("tls-certificate", "FILE"), environment: Some("PGPRISM_TLS_CERTIFICATE"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls_certificate),
        summary: "Certificate that clients see, with its chain, in PEM" },
    Key { name: "listeners.tls_key", flag: flag("tls-key", "FILE"), environment: Some("PGPRISM_TLS_KEY"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls_key),
        summary: "Private key of that certificate, in PEM" },
    Key { name: "listeners.tls_client_ca", flag: None, environment: Some("PGPRISM_TLS_CLIENT_CA"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls_client_ca),
        summary: "Certificates that may sign those of clients, in PEM" },
    Key { name: "listeners.tls_client_verify", flag: None, environment: Some("PGPRISM_TLS_CLIENT_VERIFY"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls_client_verify),
        summary: "Ask clients for a certificate: off, optional or required" },
    Key { name: "listeners.tls_min_version", flag: None, environment: Some("PGPRISM_TLS_MIN_VERSION"), range: None, reload: AtOnce, field: EachListener(|l| &mut l.tls_min_version),
        summary: "Oldest version of TLS that clients may speak: 1.2 or 1.3" },
    Key { name: "listeners.observe", flag: None, environment: None, range: None, reload: AtOnce, field: EachListener(|l| &mut l.observe),
        summary: "Observe this listener's sessions" },

    Key { name: "slow_log.path", flag: flag("slow-log", "PATH|-"), environment: Some("PGPRISM_SLOW_LOG"), range: None, reload: AtOnce, field: Once(|c| &mut c.slow_log.path),
        summary: "File of the slow-query log, - for stdout, or off" },
    Key { name: "slow_log.format", flag: flag("slow-log-format", "FORMAT"), environment: Some("PGPRISM_SLOW_LOG_FORMAT"), range: None, reload: AtOnce, field: Once(|c| &mut c.slow_log.format),
        summary: "stderr (PostgreSQL's lines, for pgBadger) or json (PostgreSQL's jsonlog)" },
    Key { name: "slow_log.threshold", flag: flag("slow-query-threshold", "DURATION"), environment: Some("PGPRISM_SLOW_QUERY_THRESHOLD"), range: Some(("0s", "1day")), reload: AtOnce, field: Once(|c| &mut c.slow_log.threshold),
        summary: "Queries that take at least this long go to the slow-query log" },
    Key { name: "slow_log.queries_per_second_max", flag: None, environment: Some("PGPRISM_SLOW_LOG_QUERIES_PER_SECOND_MAX"), range: Some(("0", "1000000")), reload: AtOnce, field: Once(|c| &mut c.slow_log.queries_per_second_max),
        summary: "Slow queries written a second at most; 0 is no limit" },
    Key { name: "slow_log.queue_max", flag: None, environment: Some("PGPRISM_SLOW_LOG_QUEUE_MAX"), range: Some(("1", "1000000")), reload: AtStart, field: Once(|c| &mut c.slow_log.queue_max),
        summary: "Slow queries that wait to be written at most" },

    Key { name: "limits.connections_max", flag: None, environment: Some("PGPRISM_LIMITS_CONNECTIONS_MAX"), range: Some(("1", "1000000")), reload: AtOnce, field: Once(|c| &mut c.limits.connections_max),
        summary: "Client connections at a time" },
    Key { name: "limits.connections_per_address_max", flag: None, environment: Some("PGPRISM_LIMITS_CONNECTIONS_PER_ADDRESS_MAX"), range: Some(("0", "1000000")), reload: AtOnce, field: Once(|c| &mut c.limits.connections_per_address_max),
        summary: "Client connections of one address at a time; 0 is no limit" },
    Key { name: "limits.fingerprint_bytes_max", flag: None, environment: Some("PGPRISM_LIMITS_FINGERPRINT_BYTES_MAX"), range: Some(("1KiB", "1GiB")), reload: AtStart, field: Once(|c| &mut c.limits.fingerprint_bytes_max),
        summary: "Bytes of a statement that its fingerprint covers" },
    Key { name: "limits.text_bytes_max", flag: None, environment: Some("PGPRISM_LIMITS_TEXT_BYTES_MAX"), range: Some(("256B", "1MiB")), reload: AtStart, field: Once(|c| &mut c.limits.text_bytes_max),
        summary: "Bytes of a statement's text that are kept for people" },
    Key { name: "limits.statements_per_session_max", flag: None, environment: Some("PGPRISM_LIMITS_STATEMENTS_PER_SESSION_MAX"), range: Some(("1", "100000")), reload: AtStart, field: Once(|c| &mut c.limits.statements_per_session_max),
        summary: "Prepared statements remembered for each session" },
    Key { name: "limits.portals_per_session_max", flag: None, environment: Some("PGPRISM_LIMITS_PORTALS_PER_SESSION_MAX"), range: Some(("1", "100000")), reload: AtStart, field: Once(|c| &mut c.limits.portals_per_session_max),
        summary: "Open cursors and suspended portals followed in each session" },
    Key { name: "limits.pipeline_messages_max", flag: None, environment: Some("PGPRISM_LIMITS_PIPELINE_MESSAGES_MAX"), range: Some(("16", "10000000")), reload: AtStart, field: Once(|c| &mut c.limits.pipeline_messages_max),
        summary: "Messages of a session whose answers are awaited at a time" },
    Key { name: "limits.session_bytes_max", flag: None, environment: Some("PGPRISM_LIMITS_SESSION_BYTES_MAX"), range: Some(("1MiB", "64GiB")), reload: AtStart, field: Once(|c| &mut c.limits.session_bytes_max),
        summary: "Memory for the state of all observed sessions together" },
    Key { name: "limits.fingerprints_max", flag: None, environment: Some("PGPRISM_LIMITS_FINGERPRINTS_MAX"), range: Some(("1", "1000000")), reload: AtStart, field: Once(|c| &mut c.limits.fingerprints_max),
        summary: "Query shapes counted on their own" },
    Key { name: "limits.texts_bytes_max", flag: None, environment: Some("PGPRISM_LIMITS_TEXTS_BYTES_MAX"), range: Some(("64KiB", "4GiB")), reload: AtStart, field: Once(|c| &mut c.limits.texts_bytes_max),
        summary: "Normalised text of all query shapes together" },
    Key { name: "limits.admitted_max", flag: None, environment: Some("PGPRISM_LIMITS_ADMITTED_MAX"), range: Some(("0", "10000")), reload: AtStart, field: Once(|c| &mut c.limits.admitted_max),
        summary: "Pairs of fingerprint and database with metrics of their own" },
    Key { name: "limits.databases_max", flag: None, environment: Some("PGPRISM_LIMITS_DATABASES_MAX"), range: Some(("1", "10000")), reload: AtStart, field: Once(|c| &mut c.limits.databases_max),
        summary: "Databases with a name of their own in metrics and API" },
    Key { name: "limits.names_max", flag: None, environment: Some("PGPRISM_LIMITS_NAMES_MAX"), range: Some(("1", "10000")), reload: AtStart, field: Once(|c| &mut c.limits.names_max),
        summary: "Users, and as many applications, with a name of their own in the API" },
    Key { name: "limits.routes_max", flag: None, environment: Some("PGPRISM_LIMITS_ROUTES_MAX"), range: Some(("1", "10000")), reload: AtStart, field: Once(|c| &mut c.limits.routes_max),
        summary: "Routes with a name of their own in the API" },
    Key { name: "limits.error_codes_max", flag: None, environment: Some("PGPRISM_LIMITS_ERROR_CODES_MAX"), range: Some(("1", "10000")), reload: AtStart, field: Once(|c| &mut c.limits.error_codes_max),
        summary: "SQLSTATEs with a name of their own in metrics" },
    Key { name: "limits.ring_events_max", flag: None, environment: Some("PGPRISM_LIMITS_RING_EVENTS_MAX"), range: Some(("1", "1000000")), reload: AtStart, field: Once(|c| &mut c.limits.ring_events_max),
        summary: "Finished queries that wait for the analysis, for each worker" },
    Key { name: "limits.units_max", flag: None, environment: Some("PGPRISM_LIMITS_UNITS_MAX"), range: Some(("1", "100000")), reload: AtStart, field: Once(|c| &mut c.limits.units_max),
        summary: "Units of work that ended and are kept: the latest, and examples of findings" },
    Key { name: "limits.findings_max", flag: None, environment: Some("PGPRISM_LIMITS_FINDINGS_MAX"), range: Some(("1", "100000")), reload: AtStart, field: Once(|c| &mut c.limits.findings_max),
        summary: "Findings that are kept" },
    Key { name: "limits.result_rows_max", flag: None, environment: Some("PGPRISM_LIMITS_RESULT_ROWS_MAX"), range: Some(("0", "1000000")), reload: AtStart, field: Once(|c| &mut c.limits.result_rows_max),
        summary: "Rows of one result whose values are compared with those of later queries" },
    Key { name: "limits.result_keys_max", flag: None, environment: Some("PGPRISM_LIMITS_RESULT_KEYS_MAX"), range: Some(("0", "1000000")), reload: AtStart, field: Once(|c| &mut c.limits.result_keys_max),
        summary: "Values of one result that are compared" },
    Key { name: "limits.flow_bytes_max", flag: None, environment: Some("PGPRISM_LIMITS_FLOW_BYTES_MAX"), range: Some(("64KiB", "64GiB")), reload: AtStart, field: Once(|c| &mut c.limits.flow_bytes_max),
        summary: "Memory of the results that wait to be compared, all together" },

    Key { name: "timeouts.connect", flag: None, environment: Some("PGPRISM_TIMEOUTS_CONNECT"), range: Some(("1ms", "1day")), reload: AtOnce, field: Once(|c| &mut c.timeouts.connect),
        summary: "Time to connect to the upstream, all its addresses together" },
    Key { name: "timeouts.login", flag: None, environment: Some("PGPRISM_TIMEOUTS_LOGIN"), range: Some(("1ms", "1day")), reload: AtOnce, field: Once(|c| &mut c.timeouts.login),
        summary: "Time from accept to the end of the login" },
    Key { name: "timeouts.drain_idle_grace", flag: None, environment: Some("PGPRISM_TIMEOUTS_DRAIN_IDLE_GRACE"), range: Some(("0s", "1day")), reload: AtOnce, field: Once(|c| &mut c.timeouts.drain_idle_grace),
        summary: "Time that idle sessions keep after SIGTERM" },
    Key { name: "timeouts.drain_timeout", flag: None, environment: Some("PGPRISM_TIMEOUTS_DRAIN_TIMEOUT"), range: Some(("0s", "1day")), reload: AtOnce, field: Once(|c| &mut c.timeouts.drain_timeout),
        summary: "Time that running queries and open transactions keep after SIGTERM" },
    Key { name: "timeouts.client_idle", flag: None, environment: Some("PGPRISM_TIMEOUTS_CLIENT_IDLE"), range: Some(("1ms", "365days")), reload: AtOnce, field: Once(|c| &mut c.timeouts.client_idle),
        summary: "Time that a session may be idle outside a transaction, or off" },
    Key { name: "timeouts.session_max", flag: None, environment: Some("PGPRISM_TIMEOUTS_SESSION_MAX"), range: Some(("1ms", "365days")), reload: AtOnce, field: Once(|c| &mut c.timeouts.session_max),
        summary: "Time after which a session is ended when it is next idle, or off" },
    Key { name: "timeouts.tcp_user_timeout", flag: None, environment: Some("PGPRISM_TIMEOUTS_TCP_USER_TIMEOUT"), range: Some(("1ms", "1day")), reload: AtOnce, field: Once(|c| &mut c.timeouts.tcp_user_timeout),
        summary: "TCP_USER_TIMEOUT of new connections, both legs, or off" },
    Key { name: "timeouts.probe_interval", flag: None, environment: Some("PGPRISM_TIMEOUTS_PROBE_INTERVAL"), range: Some(("1s", "1day")), reload: AtStart, field: Once(|c| &mut c.timeouts.probe_interval),
        summary: "Connect to an upstream that had no new connection for so long, to know if it is up, or off" },

    Key { name: "units.unit_gap", flag: None, environment: Some("PGPRISM_UNITS_UNIT_GAP"), range: Some(("1ms", "1h")), reload: AtStart, field: Once(|c| &mut c.units.unit_gap),
        summary: "Longest pause between two queries that counts as the application's time" },
    Key { name: "units.n_plus_one_min", flag: None, environment: Some("PGPRISM_UNITS_N_PLUS_ONE_MIN"), range: Some(("2", "1000")), reload: AtStart, field: Once(|c| &mut c.units.n_plus_one_min),
        summary: "Repetitions in a unit from which on they are a finding" },
    Key { name: "units.statements_max", flag: None, environment: Some("PGPRISM_UNITS_STATEMENTS_MAX"), range: Some(("10", "100000")), reload: AtStart, field: Once(|c| &mut c.units.statements_max),
        summary: "Statements of a unit that are kept" },
    Key { name: "units.queries_max", flag: None, environment: Some("PGPRISM_UNITS_QUERIES_MAX"), range: Some(("0", "1000000")), reload: AtStart, field: Once(|c| &mut c.units.queries_max),
        summary: "Budget of queries for a unit, beyond which it is a finding (chatty_unit); 0 is none" },
    Key { name: "units.value_flow", flag: flag("value-flow", ""), environment: Some("PGPRISM_UNITS_VALUE_FLOW"), range: None, reload: AtStart, field: Once(|c| &mut c.units.value_flow),
        summary: "Compare the values of results and of later queries, as keyed hashes; without it nothing is proved" },

    Key { name: "advise.models", flag: flag("models", "FILE"), environment: Some("PGPRISM_MODELS"), range: None, reload: AtOnce, field: Once(|c| &mut c.advise.models),
        summary: "Map of the project's models, from python -m django_pgprism models; advice takes its names from it" },
    Key { name: "advise.catalog", flag: None, environment: Some("PGPRISM_ADVISE_CATALOG"), range: None, reload: AtStart, field: Once(|c| &mut c.advise.catalog),
        summary: "Database to ask for keys and constraints, postgres://user:password@host/database, or off" },

    Key { name: "check.baseline", flag: flag("baseline", "FILE"), environment: Some("PGPRISM_CHECK_BASELINE"), range: None, reload: AtOnce, field: Once(|c| &mut c.check.baseline),
        summary: "File of the findings and query shapes that are known" },
    Key { name: "check.confidence", flag: flag("confidence", "LEVEL"), environment: Some("PGPRISM_CHECK_CONFIDENCE"), range: None, reload: AtOnce, field: Once(|c| &mut c.check.confidence),
        summary: "How sure a finding has to be to count: proved, likely or suspected" },
    Key { name: "check.max_queries", flag: flag("max-queries", "N"), environment: Some("PGPRISM_CHECK_MAX_QUERIES"), range: Some(("0", "1000000")), reload: AtOnce, field: Once(|c| &mut c.check.max_queries),
        summary: "Queries that a test or a request may send; 0 is no limit" },
    Key { name: "check.max_rows", flag: flag("max-rows", "N"), environment: Some("PGPRISM_CHECK_MAX_ROWS"), range: Some(("0", "1000000000")), reload: AtOnce, field: Once(|c| &mut c.check.max_rows),
        summary: "Rows that a test or a request may read and write; 0 is no limit" },
    Key { name: "check.max_time", flag: flag("max-time", "DURATION"), environment: Some("PGPRISM_CHECK_MAX_TIME"), range: Some(("1us", "1day")), reload: AtOnce, field: Once(|c| &mut c.check.max_time),
        summary: "Time that the queries of a test or a request may take together, or off" },
    Key { name: "check.new_shape_max_rows", flag: flag("new-shape-max-rows", "N"), environment: Some("PGPRISM_CHECK_NEW_SHAPE_MAX_ROWS"), range: Some(("0", "1000000000")), reload: AtOnce, field: Once(|c| &mut c.check.new_shape_max_rows),
        summary: "Rows that one call of a shape which is not in the baseline may return; 0 is no limit" },
    Key { name: "check.new_shape_max_calls", flag: flag("new-shape-max-calls", "N"), environment: Some("PGPRISM_CHECK_NEW_SHAPE_MAX_CALLS"), range: Some(("0", "1000000")), reload: AtOnce, field: Once(|c| &mut c.check.new_shape_max_calls),
        summary: "Calls of such a shape in one test or request; 0 is no limit" },
    Key { name: "check.new_shape_max_mean", flag: flag("new-shape-max-mean", "DURATION"), environment: Some("PGPRISM_CHECK_NEW_SHAPE_MAX_MEAN"), range: Some(("1us", "1day")), reload: AtOnce, field: Once(|c| &mut c.check.new_shape_max_mean),
        summary: "Mean time of such a shape, or off" },
    Key { name: "check.growth_factor", flag: flag("growth-factor", "N"), environment: Some("PGPRISM_CHECK_GROWTH_FACTOR"), range: Some(("0", "1000")), reload: AtOnce, field: Once(|c| &mut c.check.growth_factor),
        summary: "So many times the rows or calls that the baseline has of a shape are too much; 0 lets them grow" },

    Key { name: "debug.drop_events_per_10000", flag: None, environment: Some("PGPRISM_DEBUG_DROP_EVENTS_PER_10000"), range: Some(("0", "10000")), reload: AtStart, field: Once(|c| &mut c.debug.drop_events_per_10000),
        summary: "Events for the analysis that are dropped on purpose, of ten thousand, to try out what becomes of it" },
];

words!(Confidence, "suspected" => Confidence::Suspected, "likely" => Confidence::Likely, "proved" => Confidence::Proved);
words!(Tls, "off" => Tls::Off, "pass-through" => Tls::PassThrough, "allow" => Tls::Allow, "require" => Tls::Require);
words!(ClientVerify, "off" => ClientVerify::Off, "optional" => ClientVerify::Optional, "required" => ClientVerify::Required);
words!(MinVersion, "1.2" => MinVersion::Tls12, "1.3" => MinVersion::Tls13);
words!(Format, "stderr" => Format::Stderr, "json" => Format::Json);
words!(
    LogLevel,
    "off" => LogLevel::Off,
    "error" => LogLevel::Error,
    "warn" => LogLevel::Warn,
    "info" => LogLevel::Info,
    "debug" => LogLevel::Debug,
    "trace" => LogLevel::Trace,
);

impl Setting for Destination {
    fn set(&mut self, raw: Raw<'_>) -> Result<(), Reason> {
        let mut path = String::new();
        path.set(raw)?;
        *self = match path.as_str() {
            "" | "off" => Destination::Off,
            "-" => Destination::Stdout,
            _ => Destination::File(path.into()),
        };
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Destination::Off => quoted("off"),
            Destination::Stdout => quoted("-"),
            Destination::File(path) => quoted(&path.to_string_lossy()),
        }
    }
}
