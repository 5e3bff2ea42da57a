//! What the paths answer. The shapes of the answers are in `docs/openapi.json`, field by field.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Admin;
use super::error::ApiError;
use super::held::Held;
use crate::aggregate::{self, BOUNDS_SECONDS, HealthCount, Listing, SPARK_POINTS, Sort};
use crate::event::{ConnectionState, Direction, Moment, Phases};
use crate::export::metrics::CONTENT_TYPE;
use crate::export::words;
use crate::registry;
use crate::sql::Fingerprint;

/// Items of a list when the request does not say how many.
const LIMIT_DEFAULT: usize = 100;

/// Items of a list at most.
const LIMIT_MAX: usize = 1_000;

/// `{"items": […], "next": …}`; `next` is what `after` has to be for the items that follow.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// `?limit=&after=&sort=&q=`, as they were written.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    after: Option<String>,
    sort: Option<String>,
    q: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PhasesMs {
    database_ms: f64,
    transfer_ms: f64,
    client_ms: f64,
    application_ms: f64,
}

impl From<&Phases> for PhasesMs {
    fn from(phases: &Phases) -> PhasesMs {
        PhasesMs {
            database_ms: words::milliseconds(phases.database_ns),
            transfer_ms: words::milliseconds(phases.transfer_ns),
            client_ms: words::milliseconds(phases.client_ns),
            application_ms: words::milliseconds(phases.application_ns),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    version: &'static str,
    started_at: String,
    listeners: Vec<ListenerItem>,
    queries: u64,
    errors: u64,
    phases: PhasesMs,
    connections: u64,
    findings_open: u64,
    dropped: u64,
    degraded: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ListenerItem {
    name: Arc<str>,
    listen: Arc<str>,
    upstream: Arc<str>,
    upstream_up: Option<bool>,
    observe: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct QueryItem {
    fingerprint: String,
    query: Arc<str>,
    summary: String,
    operation: &'static str,
    tables: Vec<String>,
    calls: u64,
    errors: u64,
    rows: u64,
    bytes: u64,
    total_ms: f64,
    mean_ms: f64,
    min_ms: f64,
    max_ms: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    phases: PhasesMs,
    first_seen: String,
    last_seen: String,
    databases: Vec<Arc<str>>,
    users: Vec<Arc<str>>,
    applications: Vec<Arc<str>>,
    routes: Vec<Arc<str>>,
    spark: Vec<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct QueryDetail {
    #[serde(flatten)]
    query: QueryItem,
    histogram: Vec<BucketItem>,
    error_codes: Vec<CodeItem>,
    findings: [Value; 0],
    example_units: [Value; 0],
}

#[derive(Debug, Serialize)]
struct BucketItem {
    /// Inclusive upper bound; `None` for what is above all bounds.
    le_ms: Option<f64>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct CodeItem {
    code: String,
    count: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct ConnectionItem {
    id: u64,
    listener: Arc<str>,
    client: Arc<str>,
    upstream: Arc<str>,
    user: Arc<str>,
    database: Arc<str>,
    application: Arc<str>,
    backend_pid: Option<u64>,
    state: &'static str,
    since: String,
    queries: u64,
    transactions: u64,
    observed: bool,
    tls: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ColumnItem {
    at: String,
    calls: u64,
    errors: u64,
    phases: PhasesMs,
    buckets: aggregate::Buckets,
}

pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let deaf: Vec<String> = admin
        .registry
        .snapshot()
        .listeners
        .iter()
        .filter(|listener| !listener.listening)
        .map(|listener| format!("listener {} is closed", listener.name))
        .collect();
    let problem = match deaf.is_empty() {
        true => (admin.probe)().await.err(),
        false => Some(deaf.join("; ")),
    };
    match problem {
        None => Json(json!({"status": "ok"})).into_response(),
        Some(problem) => {
            let body = json!({"error": {"code": "not_ready", "message": problem}});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, ApiError> {
    let permit = Arc::clone(&admin.scrapes)
        .try_acquire_owned()
        .map_err(|_| ApiError::Busy)?;
    let page = admin.metrics.page().map_err(|error| {
        tracing::error!(%error, "metrics");
        ApiError::Internal
    })?;
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    Ok((headers, Body::new(Held::new(page, permit))).into_response())
}

pub(super) async fn summary(State(admin): State<Arc<Admin>>) -> Json<Summary> {
    Json(summarize(&admin))
}

/// The answer of `summary`, also an event of the stream.
pub(super) fn summarize(admin: &Admin) -> Summary {
    let sums = admin.store.summary();
    let listeners = admin.registry.snapshot().listeners;
    let losses = admin.losses_since_reset();
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
        findings_open: 0,
        dropped: losses
            .iter()
            .filter(|(loss, _)| loss.kind == LossKind::EventDropped)
            .map(|(_, count)| count)
            .sum(),
        degraded: losses
            .keys()
            .map(Loss::describe)
            .chain(listeners.iter().filter_map(upstream_down))
            .collect(),
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

fn upstream_down(listener: &registry::ListenerSnapshot) -> Option<String> {
    (listener.upstream.up == Some(false)).then(|| format!("upstream_down: {}", listener.name))
}

pub(super) async fn queries(
    State(admin): State<Arc<Admin>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<List<QueryItem>>, ApiError> {
    let page = page_of(page)?;
    let (skip, limit) = page.range()?;
    let listing = Listing {
        sort: page.sort()?,
        containing: page.q.unwrap_or_default(),
        skip,
        limit,
    };
    let (queries, more) = admin.store.queries(&listing, admin.clock.now());
    let items = queries
        .into_iter()
        .map(|query| query_item(&admin, query))
        .collect();
    Ok(Json(List {
        items,
        next: more.then(|| (skip + limit).to_string()),
    }))
}

pub(super) async fn query(
    State(admin): State<Arc<Admin>>,
    Path(written): Path<String>,
) -> Result<Json<QueryDetail>, ApiError> {
    let missing = || ApiError::NoSuchQuery(written.chars().take(100).collect());
    let fingerprint = if written == words::OTHER {
        None
    } else {
        Some(fingerprint(&written).ok_or_else(missing)?)
    };
    let detail = admin
        .store
        .query(fingerprint, admin.clock.now())
        .ok_or_else(missing)?;
    let bounds = BOUNDS_SECONDS
        .iter()
        .map(|bound| Some(bound * 1e3))
        .chain([None]);
    Ok(Json(QueryDetail {
        query: query_item(&admin, detail.query),
        histogram: bounds
            .zip(detail.buckets)
            .map(|(le_ms, count)| BucketItem { le_ms, count })
            .collect(),
        error_codes: detail
            .codes
            .into_iter()
            .map(|(code, count)| CodeItem { code, count })
            .collect(),
        findings: [],
        example_units: [],
    }))
}

pub(super) async fn connections(
    State(admin): State<Arc<Admin>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<List<ConnectionItem>>, ApiError> {
    let page = page_of(page)?;
    let (skip, limit) = page.range()?;
    let connections = admin.registry.connections();
    let more = connections.len() > skip.saturating_add(limit);
    let chosen = connections.iter().skip(skip).take(limit);
    let items = chosen
        .map(|connection| connection_item(&admin, connection))
        .collect();
    Ok(Json(List {
        items,
        next: more.then(|| (skip + limit).to_string()),
    }))
}

pub(super) async fn history(State(admin): State<Arc<Admin>>) -> Json<List<ColumnItem>> {
    let items = admin.store.history().into_iter().map(|column| ColumnItem {
        at: words::rfc3339(&admin.clock, column.at),
        calls: column.calls,
        errors: column.errors,
        phases: PhasesMs::from(&column.phases),
        buckets: column.buckets,
    });
    Json(List {
        items: items.collect(),
        next: None,
    })
}

pub(super) async fn reset(State(admin): State<Arc<Admin>>) -> StatusCode {
    admin.store.reset();
    admin.forget_losses();
    StatusCode::NO_CONTENT
}

fn page_of(page: Result<Query<Page>, QueryRejection>) -> Result<Page, ApiError> {
    page.map(|Query(page)| page)
        .map_err(|rejection| ApiError::bad_parameter("query string", rejection.body_text()))
}

impl Page {
    /// How many items to skip and how many to give.
    fn range(&self) -> Result<(usize, usize), ApiError> {
        let number = |parameter, written: &Option<String>, default| match written.as_deref() {
            None | Some("") => Ok(default),
            Some(written) => written
                .parse()
                .map_err(|_| ApiError::bad_parameter(parameter, "a whole number is needed")),
        };
        let limit: usize = number("limit", &self.limit, LIMIT_DEFAULT)?;
        if limit == 0 || limit > LIMIT_MAX {
            return Err(ApiError::bad_parameter(
                "limit",
                format!("from 1 to {LIMIT_MAX}"),
            ));
        }
        Ok((number("after", &self.after, 0)?, limit))
    }

    fn sort(&self) -> Result<Sort, ApiError> {
        Ok(match self.sort.as_deref() {
            None | Some("" | "total_ms") => Sort::TotalTime,
            Some("mean_ms") => Sort::MeanTime,
            Some("max_ms") => Sort::MaxTime,
            Some("p95_ms") => Sort::P95Time,
            Some("calls") => Sort::Calls,
            Some("errors") => Sort::Errors,
            Some("rows") => Sort::Rows,
            Some("bytes") => Sort::Bytes,
            Some("last_seen") => Sort::LastSeen,
            Some(_) => {
                let known = "one of total_ms, mean_ms, max_ms, p95_ms, calls, errors, rows, bytes, last_seen";
                return Err(ApiError::bad_parameter("sort", known));
            }
        })
    }
}

/// Sixteen hex digits.
fn fingerprint(written: &str) -> Option<Fingerprint> {
    let digits = written.len() == 16 && written.bytes().all(|digit| digit.is_ascii_hexdigit());
    digits
        .then(|| u64::from_str_radix(written, 16).ok().map(Fingerprint))
        .flatten()
}

fn query_item(admin: &Admin, query: aggregate::Query) -> QueryItem {
    let total_ns = query.total_ns();
    let [p50, p95, p99] = query.quantiles_us.map(|quantile| quantile as f64 / 1e3);
    let shape = query.shape.as_deref();
    QueryItem {
        fingerprint: shape.map_or_else(
            || words::OTHER.to_owned(),
            |shape| shape.fingerprint.to_string(),
        ),
        query: shape.map_or_else(|| Arc::from(""), |shape| Arc::clone(&shape.text)),
        summary: shape.map_or_else(|| words::OTHER.to_owned(), words::summary),
        operation: shape.map_or(words::OTHER, |shape| words::operation(shape.verb)),
        tables: shape
            .and_then(|shape| shape.facts())
            .map(|facts| facts.tables.clone())
            .unwrap_or_default(),
        calls: query.calls,
        errors: query.errors,
        rows: query.rows,
        bytes: query.request_bytes.saturating_add(query.response_bytes),
        total_ms: words::milliseconds(total_ns),
        mean_ms: words::milliseconds(total_ns) / query.calls.max(1) as f64,
        min_ms: words::milliseconds(query.min_ns),
        max_ms: words::milliseconds(query.max_ns),
        p50_ms: p50,
        p95_ms: p95,
        p99_ms: p99,
        phases: PhasesMs::from(&query.phases),
        first_seen: words::rfc3339(&admin.clock, query.first_seen),
        last_seen: words::rfc3339(&admin.clock, query.last_seen),
        databases: query.databases,
        users: query.users,
        applications: query.applications,
        routes: query.routes,
        spark: Vec::from(query.spark as [u32; SPARK_POINTS]),
    }
}

fn connection_item(admin: &Admin, connection: &registry::Connection) -> ConnectionItem {
    let status = &connection.status;
    let application = status
        .application
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    let since = status.since.load(Relaxed);
    let pid = status.backend_pid.load(Relaxed);
    ConnectionItem {
        id: connection.id.0,
        listener: Arc::clone(&connection.listener),
        client: Arc::clone(&connection.client),
        upstream: Arc::clone(&connection.upstream),
        user: Arc::clone(&connection.user),
        database: Arc::clone(&connection.database),
        application: application.unwrap_or_else(|| Arc::clone(&connection.application)),
        backend_pid: (pid != 0).then_some(pid),
        state: ConnectionState::from_number(status.state.load(Relaxed)).as_str(),
        since: words::rfc3339(&admin.clock, Moment(since).max(connection.accepted_at)),
        queries: status.queries.load(Relaxed),
        transactions: status.transactions.load(Relaxed),
        observed: status.observed.load(Relaxed) == 1,
        tls: connection.tls,
    }
}

/// Something observation had to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loss {
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

    fn forget_losses(&self) {
        let losses = self.losses();
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
