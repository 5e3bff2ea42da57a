//! Metrics of findings and units, from the analysis' snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::admission::{Admission, Name};
use super::sample::{Samples, counter, descriptions, gauge, histogram, histogram_of, seconds};
use super::{Family, Kind};
use crate::aggregate::Buckets;
use crate::analysis::{Feed, Snapshot, UNIT_QUERIES_BOUNDS};
use crate::detect::Status;
use crate::export::words;

/// Findings with samples of their own.
const FINDINGS_MAX: usize = 100;

/// Characters of an ignore rule in a label.
const RULE_CHARACTERS_MAX: usize = 256;

/// Label of the history of findings that have no series of their own any more.
const LEFT: &str = "left";

pub(super) const FINDINGS: Family = Family {
    name: "pgprism_findings",
    help: "A finding that is open, the most costly ones; always 1.",
    kind: Kind::Gauge,
    labels: &["kind", "finding", "fingerprint", "parent_fingerprint"],
};

pub(super) const FINDING_QUERIES: Family = Family {
    name: "pgprism_finding_queries_total",
    help: "Statements of the loops that a finding is about.",
    kind: Kind::Counter,
    labels: &["kind", "finding"],
};

pub(super) const FINDING_COST: Family = Family {
    name: "pgprism_finding_cost_seconds_total",
    help: "Time that the surplus statements of a finding took, with the application's gaps between them.",
    kind: Kind::Counter,
    labels: &["kind", "finding"],
};

pub(super) const IGNORED_FINDINGS: Family = Family {
    name: "pgprism_ignored_findings_total",
    help: "Occurrences of findings that an ignore rule of the configuration kept away.",
    kind: Kind::Counter,
    labels: &["rule"],
};

pub(super) const UNIT_QUERIES: Family = Family {
    name: "pgprism_unit_queries",
    help: "Statements of a unit of work.",
    kind: Kind::Histogram,
    labels: &["route"],
};

pub(super) const UNIT_DURATION: Family = Family {
    name: "pgprism_unit_duration_seconds",
    help: "Time from the request of a unit's first statement to the completion of its last.",
    kind: Kind::Histogram,
    labels: &["route"],
};

/// Collects everything of this file from one snapshot.
pub(super) struct FindingCollector {
    feed: Arc<Feed>,
    admission: Mutex<Admission>,
    descriptions: Vec<Desc>,
}

impl FindingCollector {
    pub(super) fn new(feed: Arc<Feed>) -> FindingCollector {
        let families = [
            &FINDINGS,
            &FINDING_QUERIES,
            &FINDING_COST,
            &IGNORED_FINDINGS,
            &UNIT_QUERIES,
            &UNIT_DURATION,
        ];
        FindingCollector {
            feed,
            admission: Mutex::new(Admission::new(FINDINGS_MAX)),
            descriptions: descriptions(&families),
        }
    }
}

impl Collector for FindingCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Loaded under the lock: of two scrapes the later one never sees the older snapshot.
        let mut admission = self
            .admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.feed.snapshot();
        admission.update(&snapshot.totals);
        let mut families = vec![open(&snapshot), ignored(&snapshot)];
        families.extend(totals(&admission));
        families.extend(units(&snapshot));
        families
    }
}

fn open(snapshot: &Snapshot) -> MetricFamily {
    let mut samples = Samples::new(&FINDINGS);
    let open = snapshot
        .findings
        .iter()
        .map(|found| &found.finding)
        .filter(|finding| finding.status == Status::Open);
    for finding in open.take(FINDINGS_MAX) {
        let parent = finding.parent.as_ref();
        samples.add(
            &[
                finding.kind.as_str(),
                &finding.id.to_string(),
                &finding.child.fingerprint.to_string(),
                &parent.map_or_else(String::new, |parent| parent.fingerprint.to_string()),
            ],
            gauge(1.0),
        );
    }
    samples.family()
}

fn totals(admission: &Admission) -> [MetricFamily; 2] {
    let mut queries = Samples::new(&FINDING_QUERIES);
    let mut cost = Samples::new(&FINDING_COST);
    for (kind, name, totals) in admission.series() {
        let (finding, left) = match name {
            Name::Finding(id) => (id.to_string(), None),
            Name::Other => (words::OTHER.to_owned(), None),
            Name::Left(generation) => (words::OTHER.to_owned(), Some(generation.to_string())),
        };
        let labels = [kind.as_str(), finding.as_str()];
        let left = left.as_deref().map(|left| (LEFT, left));
        queries.add_with(&labels, left, counter(totals.queries as f64));
        cost.add_with(&labels, left, counter(seconds(totals.cost_ns)));
    }
    [queries.family(), cost.family()]
}

fn ignored(snapshot: &Snapshot) -> MetricFamily {
    // Two rules that say the same are one here.
    let mut matched: BTreeMap<String, u64> = BTreeMap::new();
    for used in &snapshot.ignore_rules {
        let rule = used.rule.chars().take(RULE_CHARACTERS_MAX).collect();
        *matched.entry(rule).or_default() += used.matched;
    }
    let mut samples = Samples::new(&IGNORED_FINDINGS);
    for (rule, matched) in &matched {
        samples.add(&[rule], counter(*matched as f64));
    }
    samples.family()
}

#[derive(Default)]
struct Route {
    queries: [u64; UNIT_QUERIES_BOUNDS.len() + 1],
    queries_sum: u64,
    duration: Buckets,
    duration_sum_ns: u64,
}

fn units(snapshot: &Snapshot) -> [MetricFamily; 2] {
    // An application may call one of its routes `other`: it is counted with the others.
    let mut routes: BTreeMap<&str, Route> = BTreeMap::new();
    for figures in &snapshot.routes {
        let route = routes.entry(&figures.route).or_default();
        for (count, more) in route.queries.iter_mut().zip(figures.queries_buckets) {
            *count += more;
        }
        for (count, more) in route.duration.iter_mut().zip(figures.duration_buckets) {
            *count += more;
        }
        route.queries_sum += figures.queries_sum;
        route.duration_sum_ns += figures.duration_sum_ns;
    }
    let bounds = UNIT_QUERIES_BOUNDS.map(|bound| bound as f64);
    let mut queries = Samples::new(&UNIT_QUERIES);
    let mut duration = Samples::new(&UNIT_DURATION);
    for (name, route) in routes {
        queries.add(
            &[name],
            histogram_of(&bounds, &route.queries, route.queries_sum as f64),
        );
        duration.add(&[name], histogram(&route.duration, route.duration_sum_ns));
    }
    [queries.family(), duration.family()]
}
