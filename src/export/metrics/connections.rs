//! Metrics of listeners, connections and upstreams, from the registry.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::sample::{Samples, counter, descriptions, gauge, histogram, seconds};
use super::{Family, Kind};
use crate::clock::Clock;
use crate::event::Direction;
use crate::registry::Registry;

pub(super) const CLIENT_CONNECTIONS: Family = Family {
    name: "pgprism_client_connections",
    help: "Client connections that are open.",
    kind: Kind::Gauge,
    labels: &["listener"],
};

pub(super) const UPSTREAM_CONNECTIONS: Family = Family {
    name: "pgprism_upstream_connections",
    help: "Connections to the upstream that are open.",
    kind: Kind::Gauge,
    labels: &["listener"],
};

pub(super) const IDLE_IN_TRANSACTION_CONNECTIONS: Family = Family {
    name: "pgprism_idle_in_transaction_connections",
    help: "Connections that wait for their client inside a transaction block.",
    kind: Kind::Gauge,
    labels: &["listener"],
};

pub(super) const IDLE_IN_TRANSACTION_LONGEST: Family = Family {
    name: "pgprism_idle_in_transaction_longest_seconds",
    help: "How long the connection has waited for its client that waits longest inside a transaction block; 0 when none does.",
    kind: Kind::Gauge,
    labels: &["listener"],
};

pub(super) const CONNECTIONS_MAX: Family = Family {
    name: "pgprism_connections_max",
    help: "Client connections that are accepted at most, all listeners together.",
    kind: Kind::Gauge,
    labels: &[],
};

pub(super) const CONNECTIONS: Family = Family {
    name: "pgprism_connections_total",
    help: "Client connections that were accepted.",
    kind: Kind::Counter,
    labels: &["listener"],
};

pub(super) const CONNECTION_ERRORS: Family = Family {
    name: "pgprism_connection_errors_total",
    help: "Client connections that failed, by the first reason that applied.",
    kind: Kind::Counter,
    labels: &["listener", "reason"],
};

pub(super) const RELAYED_BYTES: Family = Family {
    name: "pgprism_relayed_bytes_total",
    help: "Bytes that the other side accepted.",
    kind: Kind::Counter,
    labels: &["listener", "direction"],
};

pub(super) const CONNECT_DURATION: Family = Family {
    name: "pgprism_connect_duration_seconds",
    help: "Time from a connection's accept to its first ReadyForQuery.",
    kind: Kind::Histogram,
    labels: &["listener"],
};

pub(super) const ADDED_LATENCY: Family = Family {
    name: "pgprism_added_latency_seconds",
    help: "Time from bytes read to the same bytes written.",
    kind: Kind::Histogram,
    labels: &["listener", "direction"],
};

pub(super) const UPSTREAM_UP: Family = Family {
    name: "pgprism_upstream_up",
    help: "Whether the last attempt to connect to the upstream succeeded.",
    kind: Kind::Gauge,
    labels: &["listener"],
};

/// Collects everything of this file from one snapshot of the registry.
pub(super) struct ConnectionCollector {
    registry: Arc<Registry>,
    clock: Clock,
    descriptions: Vec<Desc>,
}

impl ConnectionCollector {
    pub(super) fn new(registry: Arc<Registry>, clock: Clock) -> ConnectionCollector {
        let families = [
            &CLIENT_CONNECTIONS,
            &UPSTREAM_CONNECTIONS,
            &IDLE_IN_TRANSACTION_CONNECTIONS,
            &IDLE_IN_TRANSACTION_LONGEST,
            &CONNECTIONS_MAX,
            &CONNECTIONS,
            &CONNECTION_ERRORS,
            &RELAYED_BYTES,
            &CONNECT_DURATION,
            &ADDED_LATENCY,
            &UPSTREAM_UP,
        ];
        ConnectionCollector {
            registry,
            clock,
            descriptions: descriptions(&families),
        }
    }
}

impl Collector for ConnectionCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut clients = Samples::new(&CLIENT_CONNECTIONS);
        let mut upstreams = Samples::new(&UPSTREAM_CONNECTIONS);
        let mut idle = Samples::new(&IDLE_IN_TRANSACTION_CONNECTIONS);
        let mut idle_longest = Samples::new(&IDLE_IN_TRANSACTION_LONGEST);
        let mut connections_max = Samples::new(&CONNECTIONS_MAX);
        let mut connections = Samples::new(&CONNECTIONS);
        let mut errors = Samples::new(&CONNECTION_ERRORS);
        let mut relayed = Samples::new(&RELAYED_BYTES);
        let mut connect = Samples::new(&CONNECT_DURATION);
        let mut added = Samples::new(&ADDED_LATENCY);
        let mut up = Samples::new(&UPSTREAM_UP);
        let snapshot = self.registry.snapshot();
        let now = self.clock.now();
        connections_max.add(&[], gauge(snapshot.connections_max as f64));
        for listener in snapshot.listeners {
            let name: &str = &listener.name;
            clients.add(&[name], gauge(listener.client_connections as f64));
            upstreams.add(&[name], gauge(listener.upstream_connections as f64));
            let idle_now = listener.idle_in_transaction;
            idle.add(&[name], gauge(idle_now.connections as f64));
            let idle_ns = idle_now.since.map_or(0, |since| now.since(since));
            idle_longest.add(&[name], gauge(seconds(idle_ns)));
            connections.add(&[name], counter(listener.connections_total as f64));
            for (reason, count) in listener.connection_errors {
                errors.add(&[name, reason.as_str()], counter(count as f64));
            }
            // The registry keeps pairs in this order.
            for (index, direction) in [Direction::ClientToUpstream, Direction::UpstreamToClient]
                .into_iter()
                .enumerate()
            {
                let labels = [name, direction.as_str()];
                relayed.add(&labels, counter(listener.relayed_bytes[index] as f64));
                let latency = &listener.added_latency[index];
                added.add(&labels, histogram(&latency.counts, latency.sum_ns));
            }
            let duration = &listener.connect_duration;
            connect.add(&[name], histogram(&duration.counts, duration.sum_ns));
            if let Some(is_up) = listener.upstream.up {
                up.add(&[name], gauge(if is_up { 1.0 } else { 0.0 }));
            }
        }
        [
            clients,
            upstreams,
            idle,
            idle_longest,
            connections_max,
            connections,
            errors,
            relayed,
            connect,
            added,
            up,
        ]
        .into_iter()
        .map(Samples::family)
        .collect()
    }
}
