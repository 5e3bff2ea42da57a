//! Which key of the configuration goes to which room.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::analyst::Settler;
use crate::aggregate::{self, Store};
use crate::analysis::{self, Feed, Ledger};
use crate::clock::Clock;
use crate::config::{Address, Config, Tls};
use crate::detect;
use crate::export::http;
use crate::export::slow_log::{self, Destination};
use crate::fault::{Fault, Faults};
use crate::observer::Shared;
use crate::proxy::{self, Fence, ListenerSettings, TlsMode, Tunables, UpstreamAddress};
use crate::registry::Registry;
use crate::session::{self, Literals};
use crate::sql::value::ValueKey;
use crate::unit;

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn bytes(size: crate::config::Size) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

pub(super) fn aggregate(config: &Config) -> aggregate::Settings {
    aggregate::Settings {
        fingerprints_max: config.limits.fingerprints_max,
        admitted_max: config.limits.admitted_max,
        databases_max: config.limits.databases_max,
        names_max: config.limits.names_max,
        routes_max: config.limits.routes_max,
        error_codes_max: config.limits.error_codes_max,
        text_bytes_max: bytes(config.limits.text_bytes_max),
        texts_bytes_max: bytes(config.limits.texts_bytes_max),
        slow_threshold_ns: nanoseconds(config.slow_log.threshold),
    }
}

pub(super) fn analysis(
    config: &Config,
    registry: &Arc<Registry>,
    faults: &Faults,
    ledger: Option<Arc<Ledger>>,
) -> analysis::Settings {
    let registry = Arc::clone(registry);
    let defaults = analysis::Settings::default();
    let unit_gap_ns = nanoseconds(config.units.unit_gap);
    analysis::Settings {
        units: unit::Settings {
            unit_gap_ns,
            statements_max: config.units.statements_max,
            open_max: config.limits.connections_max,
            running: unit::Running(Arc::new(move |session| registry.is_active(session))),
            ..defaults.units
        },
        detect: detect::Settings {
            n_plus_one_min: config.units.n_plus_one_min as u64,
            queries_max: config.units.queries_max as u64,
            findings_max: config.limits.findings_max,
            gap_ns_max: unit_gap_ns,
            ignore: ignore_rules(config),
            ..defaults.detect
        },
        units_max: config.limits.units_max,
        ledger,
        hang: faults.hang(),
        ..defaults
    }
}

/// What nobody wants to hear of.
pub(super) fn ignore_rules(config: &Config) -> Vec<detect::IgnoreRule> {
    let rules = config.ignore.iter().map(|rule| detect::IgnoreRule {
        finding: rule.finding,
        kind: rule.kind,
        fingerprint: rule.fingerprint,
        table: rule.table.as_deref().map(Arc::from),
        route: rule.route.as_deref().map(Arc::from),
        tag: rule
            .tag
            .as_ref()
            .map(|(key, value)| (key.as_str().into(), value.as_str().into())),
        text: rule.to_string().into(),
    });
    rules.collect()
}

pub(super) fn session(config: &Config) -> session::Settings {
    session::Settings {
        fingerprint_bytes_max: bytes(config.limits.fingerprint_bytes_max),
        text_bytes_max: bytes(config.limits.text_bytes_max),
        statements_max: config.limits.statements_per_session_max,
        portals_max: config.limits.portals_per_session_max,
        awaited_max: config.limits.pipeline_messages_max,
        unit_gap_ns: nanoseconds(config.units.unit_gap),
        literals: if config.log_literals {
            Literals::Kept
        } else {
            Literals::Dropped
        },
        values: config.units.value_flow.then(value_key),
        result_rows_max: config.limits.result_rows_max,
        result_keys_max: config.limits.result_keys_max,
    }
}

/// The key of this process: sessions before and after a reload must have the same one.
fn value_key() -> ValueKey {
    static KEY: OnceLock<ValueKey> = OnceLock::new();
    *KEY.get_or_init(ValueKey::random)
}

/// The slow log's threshold; without a log nothing is slow enough for it.
pub(super) fn slow_threshold(config: &Config) -> Duration {
    match config.slow_log.path {
        Destination::Off => Duration::MAX,
        Destination::Stdout | Destination::File(_) => config.slow_log.threshold,
    }
}

pub(super) fn observer(config: &Config, faults: &Faults) -> Arc<Shared> {
    let shared = Shared::new(
        session(config),
        nanoseconds(slow_threshold(config)),
        bytes(config.limits.session_bytes_max),
        config.slow_log.queue_max,
        bytes(config.limits.flow_bytes_max),
    );
    shared
        .drop_events_per_10000
        .store(config.debug.drop_events_per_10000 as u64, Ordering::Relaxed);
    let panics = faults.has(Fault::ObserverPanic);
    shared.panics.store(panics, Ordering::Relaxed);
    shared
}

pub(super) fn slow_log(config: &Config, faults: &Faults) -> slow_log::Settings {
    slow_log::Settings {
        destination: config.slow_log.path.clone(),
        format: config.slow_log.format,
        queries_per_second_max: config.slow_log.queries_per_second_max,
        disk_full: faults.has(Fault::LogDiskFull),
    }
}

/// How the slow log's place is called in an error.
pub(super) fn slow_log_path(config: &Config) -> PathBuf {
    match &config.slow_log.path {
        Destination::File(path) => path.clone(),
        Destination::Stdout | Destination::Off => PathBuf::from("-"),
    }
}

/// Connections at a time, as far as the limit of open files allows them.
pub(super) fn connections_max(config: &Config) -> usize {
    let setting = config.limits.connections_max;
    match config.add_latency {
        Duration::ZERO => proxy::fit_connections_max(setting),
        // Each connection has twice as many sockets then.
        _ => proxy::fit_connections_max(setting.saturating_mul(2)) / 2,
    }
}

pub(super) fn proxy(config: &Config, connections_max: usize) -> proxy::Settings {
    let timeouts = &config.timeouts;
    proxy::Settings {
        listeners: config
            .listeners
            .iter()
            .map(|listener| ListenerSettings {
                name: listener.name.as_str().into(),
                listen: listener.listen.to_string(),
                upstream: upstream(&listener.upstream.address),
                upstream_tls: listener.connector.clone(),
                tls: match (listener.tls, &listener.acceptor) {
                    (Tls::PassThrough, _) => TlsMode::PassThrough,
                    (Tls::Allow, Some(acceptor)) => TlsMode::Allow(Arc::clone(acceptor)),
                    (Tls::Require, Some(acceptor)) => TlsMode::Require(Arc::clone(acceptor)),
                    // Those two always have one once the configuration is read.
                    (Tls::Off | Tls::Allow | Tls::Require, _) => TlsMode::Off,
                },
                observe: config.observe && listener.observe,
            })
            .collect(),
        tunables: Tunables {
            connections_max,
            connections_per_address_max: config.limits.connections_per_address_max,
            timeouts: proxy::Timeouts {
                connect: timeouts.connect,
                login: timeouts.login,
                drain_idle_grace: timeouts.drain_idle_grace,
                drain_timeout: timeouts.drain_timeout,
                client_idle: timeouts.client_idle,
                session_max: timeouts.session_max,
            },
            tcp_user_timeout: timeouts.tcp_user_timeout,
            add_latency: config.add_latency,
        },
        reuse_port: config.reuse_port,
        sockets: Vec::new(),
        probe_interval: timeouts.probe_interval,
    }
}

fn upstream(address: &Address) -> UpstreamAddress {
    match (address.socket_path(), address) {
        (Some(path), _) => UpstreamAddress::Unix(path),
        (None, Address::Tcp { host, port }) => UpstreamAddress::Tcp {
            host: host.clone(),
            port: *port,
        },
        (None, Address::Unix { folder, .. }) => UpstreamAddress::Unix(folder.clone()),
    }
}

/// The admin address's further host names and its token.
pub(super) fn access(config: &Config) -> (Vec<String>, Option<String>) {
    let token = config.admin.token.as_ref().map(|token| token.0.clone());
    (config.admin.hosts.clone(), token)
}

pub(super) fn http(
    config: &Config,
    (store, registry): (&Arc<Store>, &Arc<Registry>),
    feed: Arc<Feed>,
    clock: Clock,
    (fence, settler): (Fence, Settler),
) -> http::Settings {
    let upstreams = Arc::clone(registry);
    let (hosts, token) = access(config);
    http::Settings {
        store: Arc::clone(store),
        registry: Arc::clone(registry),
        feed,
        clock,
        hosts,
        token,
        bounds: http::Bounds {
            connections_max: config.admin.connections_max,
            scrapes_max: config.admin.scrapes_max,
            streams_max: config.admin.streams_max,
            ..http::Bounds::default()
        },
        probe: Arc::new(move || {
            let found = unreachable_upstream(&upstreams);
            Box::pin(async move { found.map_or(Ok(()), Err) })
        }),
        seen: seen(fence.clone()),
        settle: settle(fence, settler),
    }
}

/// A thread that relays is not woken for it, whoever asks.
fn seen(fence: Fence) -> http::Seen {
    Arc::new(move || {
        let fence = fence.clone();
        Box::pin(async move { fence.come_by().await })
    })
}

/// First what clients were sent has to be seen, then what was seen to be analysed.
fn settle(fence: Fence, settler: Settler) -> http::Settle {
    Arc::new(move |test| {
        let (fence, settler) = (fence.clone(), settler.clone());
        Box::pin(async move {
            fence.pass().await;
            settler.settle(test).await
        })
    })
}

/// The first listener whose upstream did not answer when it was last tried, with the reason.
fn unreachable_upstream(registry: &Registry) -> Option<String> {
    registry
        .snapshot()
        .listeners
        .into_iter()
        .find_map(|listener| {
            let (name, upstream) = (&listener.name, &listener.upstream);
            match (upstream.up, &upstream.error) {
                (Some(true), _) => None,
                (None, _) => Some(format!(
                    "listener {name}: upstream {} was not tried yet",
                    upstream.address
                )),
                (Some(false), error) => Some(format!(
                    "listener {name}: upstream {}: {}",
                    upstream.address,
                    error.as_deref().unwrap_or("not reachable")
                )),
            }
        })
}
