//! `/metrics`: what the store, the analysis, the registry and the health counters hold, in Prometheus' text format.
//!
//! *Architecture invariant:* every family is in [`FAMILIES`], from which name, help, type and labels are taken;
//! `docs/metrics.md` is compared with it. A scrape reads one consistent copy of the store, so that sums over series
//! agree with each other within it.

mod admission;
mod connections;
mod findings;
mod queries;
mod sample;

use std::collections::HashSet;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Registry as Collectors, TextEncoder};

use crate::aggregate::{Health, HealthCount, Store};
use crate::analysis::Feed;
use crate::clock::Clock;
use crate::event::Direction;
use crate::registry::Registry;
use sample::{Samples, counter, gauge};

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: what stands in `# HELP` and `# TYPE`, and the labels of its samples.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Prometheus' words")]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// The word behind `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Every metric there is, in the order of `docs/metrics.md`.
pub const FAMILIES: &[Family] = &[
    queries::DURATION,
    queries::PHASES,
    queries::ROWS,
    queries::BYTES,
    queries::SLOW,
    queries::INFO,
    queries::QUERIES,
    queries::ERRORS,
    queries::TRANSACTIONS,
    queries::IDLE_IN_TRANSACTION,
    queries::FINGERPRINTS,
    queries::FINGERPRINTS_OVERFLOW,
    queries::ADMITTED,
    findings::FINDINGS,
    findings::FINDING_QUERIES,
    findings::FINDING_COST,
    findings::IGNORED_FINDINGS,
    findings::UNIT_QUERIES,
    findings::UNIT_DURATION,
    connections::CLIENT_CONNECTIONS,
    connections::UPSTREAM_CONNECTIONS,
    connections::IDLE_IN_TRANSACTION_CONNECTIONS,
    connections::IDLE_IN_TRANSACTION_LONGEST,
    connections::CONNECTIONS_MAX,
    connections::CONNECTIONS,
    connections::CONNECTION_ERRORS,
    connections::RELAYED_BYTES,
    connections::CONNECT_DURATION,
    connections::ADDED_LATENCY,
    connections::UPSTREAM_UP,
    DECODE_ERRORS,
    EVENTS_DROPPED,
    UNOBSERVED_SESSIONS,
    SLOW_LOG_DROPPED,
    CATALOG_FAILURES,
    ADMIN_REFUSED,
    BUILD_INFO,
];

const DECODE_ERRORS: Family = Family {
    name: "pgprism_decode_errors_total",
    help: "Messages that could not be decoded; their bytes were relayed unchanged.",
    kind: Kind::Counter,
    labels: &["direction", "reason"],
};

const EVENTS_DROPPED: Family = Family {
    name: "pgprism_events_dropped_total",
    help: "Query events that did not reach the analysis: nothing is concluded from their units. Counts and durations include their queries.",
    kind: Kind::Counter,
    labels: &["reason"],
};

const UNOBSERVED_SESSIONS: Family = Family {
    name: "pgprism_unobserved_sessions_total",
    help: "Sessions that were not observed, or not to their end; their bytes were relayed unchanged.",
    kind: Kind::Counter,
    labels: &["reason"],
};

const SLOW_LOG_DROPPED: Family = Family {
    name: "pgprism_slow_log_dropped_total",
    help: "Slow queries, and findings, that were not written to the slow-query log.",
    kind: Kind::Counter,
    labels: &["reason"],
};

const CATALOG_FAILURES: Family = Family {
    name: "pgprism_catalog_failures_total",
    help: "Times that the database named by advise.catalog gave no answer; advice goes by names meanwhile.",
    kind: Kind::Counter,
    labels: &["reason"],
};

const ADMIN_REFUSED: Family = Family {
    name: "pgprism_admin_refused_total",
    help: "Requests and connections of the admin address that were refused, or cut because they took too long.",
    kind: Kind::Counter,
    labels: &["reason"],
};

const BUILD_INFO: Family = Family {
    name: "pgprism_build_info",
    help: "The version that runs; always 1.",
    kind: Kind::Gauge,
    labels: &["version"],
};

/// What a line of the page takes, most of them.
const LINE_BYTES: usize = 144;

/// Why a page of metrics could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Two collectors disagree about a family.
    #[error("register collector: {0}")]
    Register(prometheus::Error),
    /// A family has no valid name or no samples.
    #[error("encode metrics: {0}")]
    Encode(prometheus::Error),
}

/// Makes the page `/metrics`, at each scrape anew.
#[derive(Debug)]
pub struct Metrics {
    collectors: Collectors,
}

impl Metrics {
    /// A page of what these hold.
    pub fn new(
        store: Arc<Store>,
        registry: Arc<Registry>,
        feed: Arc<Feed>,
        clock: Clock,
    ) -> Result<Metrics, MetricsError> {
        let collectors = Collectors::new();
        for collector in [
            Box::new(queries::QueryCollector::new(Arc::clone(&store))) as Box<dyn Collector>,
            Box::new(findings::FindingCollector::new(feed)),
            Box::new(connections::ConnectionCollector::new(
                Arc::clone(&registry),
                clock,
            )),
            Box::new(HealthCollector::new(store, registry)),
        ] {
            collectors
                .register(collector)
                .map_err(MetricsError::Register)?;
        }
        Ok(Metrics { collectors })
    }

    /// The page as it is now.
    pub fn page(&self) -> Result<String, MetricsError> {
        let families = self.collectors.gather();
        let lines: usize = families.iter().map(lines).sum();
        let mut page = String::with_capacity(lines * LINE_BYTES);
        // A family is given back as soon as it is written: together they take more than the page.
        for mut family in families {
            if drop_duplicates(&mut family) == Duplicates::Dropped {
                tracing::error!(
                    metric = family.name(),
                    "two series have the same labels; one was left out"
                );
            }
            TextEncoder::new()
                .encode_utf8(&[family], &mut page)
                .map_err(MetricsError::Encode)?;
        }
        Ok(page)
    }
}

/// About how many lines a family has.
fn lines(family: &MetricFamily) -> usize {
    let samples = family.get_metric();
    let each = match samples.first() {
        Some(first) if family.get_field_type() == MetricType::HISTOGRAM => {
            first.get_histogram().get_bucket().len() + 3
        }
        Some(_) | None => 1,
    };
    2 + samples.len() * each
}

/// Whether two samples of a family had the same labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    None,
    Dropped,
}

/// Removes samples whose labels another sample of the family has.
///
/// Neither the collectors' registry nor the encoder checks this, and Prometheus refuses a whole page for one pair.
fn drop_duplicates(family: &mut MetricFamily) -> Duplicates {
    let mut seen = HashSet::new();
    let is_first: Vec<bool> = family
        .get_metric()
        .iter()
        .map(|metric| {
            let labels = metric.get_label().iter();
            let labels: Vec<_> = labels.map(|label| (label.name(), label.value())).collect();
            seen.insert(labels)
        })
        .collect();
    if !is_first.contains(&false) {
        return Duplicates::None;
    }
    let mut is_first = is_first.into_iter();
    family
        .mut_metric()
        .retain(|_| is_first.next().unwrap_or(true));
    Duplicates::Dropped
}

/// What had to be given up, and which version runs.
struct HealthCollector {
    store: Arc<Store>,
    registry: Arc<Registry>,
    descriptions: Vec<Desc>,
}

impl HealthCollector {
    fn new(store: Arc<Store>, registry: Arc<Registry>) -> HealthCollector {
        let families = [
            &DECODE_ERRORS,
            &EVENTS_DROPPED,
            &UNOBSERVED_SESSIONS,
            &SLOW_LOG_DROPPED,
            &CATALOG_FAILURES,
            &ADMIN_REFUSED,
            &BUILD_INFO,
        ];
        HealthCollector {
            store,
            registry,
            descriptions: sample::descriptions(&families),
        }
    }
}

impl Collector for HealthCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let health: &Health = self.store.health();
        let mut decode_errors = Samples::new(&DECODE_ERRORS);
        for direction in [Direction::ClientToUpstream, Direction::UpstreamToClient] {
            for HealthCount { reason, count } in health.decode_errors(direction) {
                decode_errors.add(&[direction.as_str(), reason], counter(count as f64));
            }
        }
        let mut unobserved: std::collections::BTreeMap<&str, u64> =
            std::collections::BTreeMap::new();
        for listener in self.registry.snapshot().listeners {
            for (reason, count) in listener.unobserved_sessions {
                *unobserved.entry(reason.as_str()).or_default() += count;
            }
        }
        for HealthCount { reason, count } in health.sessions_unobserved() {
            *unobserved.entry(reason).or_default() += count;
        }
        let mut unobserved_sessions = Samples::new(&UNOBSERVED_SESSIONS);
        for (reason, count) in unobserved {
            unobserved_sessions.add(&[reason], counter(count as f64));
        }
        let mut build_info = Samples::new(&BUILD_INFO);
        build_info.add(&[env!("CARGO_PKG_VERSION")], gauge(1.0));
        vec![
            decode_errors.family(),
            by_reason(&EVENTS_DROPPED, health.events_dropped()),
            unobserved_sessions.family(),
            by_reason(&SLOW_LOG_DROPPED, health.slow_log_drops()),
            by_reason(&CATALOG_FAILURES, health.catalog_failures()),
            by_reason(&ADMIN_REFUSED, health.admin_refusals()),
            build_info.family(),
        ]
    }
}

fn by_reason(family: &'static Family, counts: Vec<HealthCount>) -> MetricFamily {
    let mut samples = Samples::new(family);
    for HealthCount { reason, count } in counts {
        samples.add(&[reason], counter(count as f64));
    }
    samples.family()
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> MetricType {
        match kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_two_series_with_the_same_labels_is_left_out() {
        let mut samples = Samples::new(&EVENTS_DROPPED);
        for (reason, count) in [("a", 1.0), ("b", 2.0), ("a", 3.0)] {
            samples.add(&[reason], counter(count));
        }
        let mut family = samples.family();
        assert_eq!(drop_duplicates(&mut family), Duplicates::Dropped);
        let metrics = family.get_metric();
        let values: Vec<f64> = metrics
            .iter()
            .map(|one| one.get_counter().get_value())
            .collect();
        assert_eq!(values, [1.0, 2.0]);
        assert_eq!(drop_duplicates(&mut family), Duplicates::None);
    }
}
