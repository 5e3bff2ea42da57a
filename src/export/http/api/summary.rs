//! `/api/v1/summary`: all queries together, and what observation had to give up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::Admin;
use super::PhasesMs;
use crate::aggregate::HealthCount;
use crate::analysis::{STUCK_AFTER_NS, Snapshot};
use crate::detect::Status;
use crate::event::{Direction, Moment};
use crate::export::words;
use crate::registry;
use crate::unit::Completeness;

#[derive(Debug, Serialize)]
pub(in crate::export::http) struct Summary {
    version: &'static str,
    started_at: String,
    listeners: Vec<ListenerItem>,
    queries: u64,
    errors: u64,
    phases: PhasesMs,
    connections: u64,
    findings_open: u64,
    units: u64,
    units_open: u64,
    ignore_rules: Vec<IgnoreRuleItem>,
    dropped: u64,
    degraded: Vec<String>,
    added_latency_ms: f64,
}

/// An ignore rule; one that matches nothing can go.
#[derive(Debug, Serialize)]
struct IgnoreRuleItem {
    rule: Arc<str>,
    matched: u64,
}

#[derive(Debug, Serialize)]
struct ListenerItem {
    name: Arc<str>,
    listen: Arc<str>,
    upstream: Arc<str>,
    upstream_up: Option<bool>,
    observe: bool,
}

pub(in crate::export::http) async fn summary(State(admin): State<Arc<Admin>>) -> Json<Summary> {
    Json(summarize(&admin))
}

/// The answer of `summary`, also an event of the stream.
pub(in crate::export::http) fn summarize(admin: &Admin) -> Summary {
    let sums = admin.figures().summary();
    let listeners = admin.registry.snapshot().listeners;
    let losses = admin.losses_since_reset();
    let snapshot = admin.feed.snapshot();
    Summary {
        version: env!("CARGO_PKG_VERSION"),
        started_at: words::rfc3339(&admin.clock, Moment(0)),
        queries: sums.queries,
        errors: sums.errors,
        phases: PhasesMs::from(&sums.phases),
        connections: listeners
            .iter()
            .map(|listener| listener.client_connections)
            .sum(),
        findings_open: snapshot
            .findings
            .iter()
            .filter(|found| found.finding.status == Status::Open)
            .count() as u64,
        units: snapshot
            .routes
            .iter()
            .flat_map(|route| route.duration_buckets)
            .sum(),
        units_open: snapshot.units_open,
        ignore_rules: snapshot
            .ignore_rules
            .iter()
            .map(|used| IgnoreRuleItem {
                rule: Arc::clone(&used.rule),
                matched: used.matched,
            })
            .collect(),
        dropped: losses
            .iter()
            .filter(|(loss, _)| loss.kind == LossKind::EventDropped)
            .map(|(_, count)| count)
            .sum(),
        degraded: losses
            .keys()
            .map(Loss::describe)
            .chain(units_incomplete(admin, &snapshot))
            .chain(units_cut(admin, &snapshot))
            .chain(analysis_stuck(admin))
            .chain(listeners.iter().filter_map(upstream_down))
            .collect(),
        added_latency_ms: admin.registry.add_latency_ns() as f64 / 1e6,
        listeners: listeners
            .into_iter()
            .map(|listener| ListenerItem {
                name: listener.name,
                listen: listener.address,
                upstream: listener.upstream.address,
                upstream_up: listener.upstream.up,
                observe: listener.observe,
            })
            .collect(),
    }
}

/// Units since the last reset of which statements are missing: nothing is concluded from them.
fn units_incomplete(admin: &Admin, snapshot: &Snapshot) -> Option<String> {
    let reset_at = Moment(admin.reset_at.load(Relaxed));
    snapshot
        .units
        .iter()
        .chain(&snapshot.open)
        .any(|unit| unit.completeness == Completeness::Incomplete && unit.started_at >= reset_at)
        .then(|| "unit_incomplete: statements_missing".to_owned())
}

/// Whether values of units were not followed for want of room: nothing is concluded from what is missing.
fn units_cut(admin: &Admin, snapshot: &Snapshot) -> Option<String> {
    (snapshot.units_cut > admin.units_cut_before.load(Relaxed))
        .then(|| "unit_incomplete: values_not_followed".to_owned())
}

/// Whether the analysis stands still: findings and units are as old as that.
fn analysis_stuck(admin: &Admin) -> Option<String> {
    let silent_ns = admin.feed.silent_ns(admin.clock.now());
    (silent_ns >= STUCK_AFTER_NS)
        .then(|| format!("analysis_stuck: for {} s", silent_ns / 1_000_000_000))
}

fn upstream_down(listener: &registry::ListenerSnapshot) -> Option<String> {
    (listener.upstream.up == Some(false)).then(|| format!("upstream_down: {}", listener.name))
}

/// Something observation had to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::export::http) struct Loss {
    kind: LossKind,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LossKind {
    ClientUndecoded,
    UpstreamUndecoded,
    EventDropped,
    SessionUnobserved,
    SlowLogDropped,
    FingerprintsFull,
}

impl Loss {
    fn describe(&self) -> String {
        let kind = match self.kind {
            LossKind::ClientUndecoded => "decode_error_client_to_upstream",
            LossKind::UpstreamUndecoded => "decode_error_upstream_to_client",
            LossKind::EventDropped => "event_dropped",
            LossKind::SessionUnobserved => "session_unobserved",
            LossKind::SlowLogDropped => "slow_log_dropped",
            LossKind::FingerprintsFull => return "fingerprints_full".to_owned(),
        };
        format!("{kind}: {}", self.reason)
    }
}

impl Admin {
    /// What was given up since the last reset, and how often.
    fn losses_since_reset(&self) -> BTreeMap<Loss, u64> {
        let before = self
            .losses_before
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut losses = self.losses();
        for (loss, count) in &mut losses {
            *count -= before.get(loss).copied().unwrap_or(0).min(*count);
        }
        losses.retain(|_, count| *count > 0);
        losses
    }

    pub(super) fn forget_losses(&self) {
        let losses = self.losses();
        self.reset_at.store(self.clock.now().0, Relaxed);
        self.units_cut_before
            .store(self.feed.snapshot().units_cut, Relaxed);
        *self
            .losses_before
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = losses;
    }

    /// What was given up since the start, and how often.
    fn losses(&self) -> BTreeMap<Loss, u64> {
        let health = self.store.health();
        let counts = [
            (
                LossKind::ClientUndecoded,
                health.decode_errors(Direction::ClientToUpstream),
            ),
            (
                LossKind::UpstreamUndecoded,
                health.decode_errors(Direction::UpstreamToClient),
            ),
            (LossKind::EventDropped, health.events_dropped()),
            (LossKind::SessionUnobserved, health.sessions_unobserved()),
            (LossKind::SlowLogDropped, health.slow_log_drops()),
        ];
        let overflow = HealthCount {
            reason: "",
            count: self.store.fingerprints_overflow(),
        };
        counts
            .into_iter()
            .chain([(LossKind::FingerprintsFull, vec![overflow])])
            .flat_map(|(kind, counts)| {
                counts
                    .into_iter()
                    .map(move |HealthCount { reason, count }| (Loss { kind, reason }, count))
            })
            .collect()
    }
}
