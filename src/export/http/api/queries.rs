//! `/api/v1/queries`: query shapes.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;

use super::super::Admin;
use super::super::error::ApiError;
use super::super::filter::{Item, Key};
use super::findings::{FindingItem, findings_of};
use super::units::{UnitItem, example_units};
use super::{List, Page, PhasesMs, Written, fingerprint, parameters, told_back};
use crate::aggregate::{self, BOUNDS_SECONDS, Glance, Listing, SPARK_POINTS, Sort};
use crate::export::words;

#[derive(Debug, Serialize)]
pub(in crate::export::http) struct QueryItem {
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
pub(in crate::export::http) struct QueryDetail {
    #[serde(flatten)]
    query: QueryItem,
    histogram: Vec<BucketItem>,
    error_codes: Vec<CodeItem>,
    /// Those in which it repeats, or whose rows it repeats for; most costly first.
    findings: Vec<FindingItem>,
    /// The latest units that ran it.
    example_units: Vec<UnitItem>,
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

pub(in crate::export::http) async fn queries(
    State(admin): State<Arc<Admin>>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<List<QueryItem>>, ApiError> {
    let page = parameters(page)?;
    let (skip, limit) = page.range()?;
    let filter = page.filter::<Glance>()?;
    let keep = |glance: &Glance| filter.keeps(glance);
    let listed = admin.figures().queries(
        &Listing {
            sort: page.sort()?,
            keep: (!filter.is_empty()).then_some(&keep),
            skip,
            limit,
        },
        admin.clock.now(),
    );
    let queries = listed.queries.into_iter();
    let items = queries.map(|query| query_item(&admin, query)).collect();
    Ok(Json(List::from_part(items, skip, listed.total)))
}

pub(in crate::export::http) async fn query(
    State(admin): State<Arc<Admin>>,
    Written(written): Written,
) -> Result<Json<QueryDetail>, ApiError> {
    let missing = || ApiError::NoSuchQuery(told_back(&written));
    let fingerprint = if written == words::OTHER {
        None
    } else {
        Some(fingerprint(&written).ok_or_else(missing)?)
    };
    let detail = admin
        .figures()
        .query(fingerprint, admin.clock.now())
        .ok_or_else(missing)?;
    let snapshot = admin.feed.snapshot();
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
        findings: fingerprint.map_or_else(Vec::new, |fingerprint| {
            findings_of(&admin, &snapshot, fingerprint)
        }),
        example_units: fingerprint.map_or_else(Vec::new, |fingerprint| {
            example_units(&admin, &snapshot, fingerprint)
        }),
    }))
}

impl Item for Glance {
    const KEYS: &'static [Key] = &[
        Key::Table,
        Key::Operation,
        Key::Database,
        Key::User,
        Key::Application,
        Key::Route,
        Key::Duration,
        Key::Number,
        Key::Error,
    ];

    fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        match &self.shape {
            Some(shape) => wanted(&shape.shown()) || wanted(&shape.fingerprint.to_string()),
            None => wanted(words::OTHER),
        }
    }

    fn any_word(&self, key: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let names = match key {
            Key::Database => &self.databases,
            Key::User => &self.users,
            Key::Application => &self.applications,
            Key::Route => &self.routes,
            Key::Operation => {
                let shape = self.shape;
                return wanted(shape.map_or(words::OTHER, |shape| words::operation(shape.verb)));
            }
            _ => {
                let facts = self.shape.and_then(|shape| shape.facts());
                let mut tables = facts.into_iter().flat_map(|facts| &facts.tables);
                return tables.any(|table| wanted(table));
            }
        };
        names.iter().any(|name| wanted(name))
    }

    /// The mean of all calls.
    fn duration_ns(&self) -> u64 {
        self.total_ns / self.calls.max(1)
    }

    /// Calls.
    fn number(&self) -> u64 {
        self.calls
    }

    fn failed(&self) -> bool {
        self.errors > 0
    }
}

impl Page {
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

fn query_item(admin: &Admin, query: aggregate::Query) -> QueryItem {
    let total_ns = query.total_ns();
    let [p50, p95, p99] = query.quantiles_us.map(|quantile| quantile as f64 / 1e3);
    let shape = query.shape;
    QueryItem {
        fingerprint: shape.map_or_else(
            || words::OTHER.to_owned(),
            |shape| shape.fingerprint.to_string(),
        ),
        query: shape.map_or_else(|| Arc::from(""), |shape| shape.shared()),
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
