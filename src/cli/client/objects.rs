//! The objects of the API, as far as a report shows them. `docs/openapi.json` describes each field.

#![allow(
    missing_docs,
    reason = "the API's fields, described in its documentation"
)]

use std::collections::BTreeMap;

use serde::Deserialize;

/// `GET /api/v1/summary`.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    pub version: String,
    pub started_at: String,
    pub listeners: Vec<Listener>,
    pub queries: u64,
    pub errors: u64,
    pub phases: Phases,
    pub connections: u64,
    pub ignore_rules: Vec<IgnoreRule>,
    pub dropped: u64,
    pub degraded: Vec<String>,
    /// Units that ended since the start; an older proxy does not count them.
    #[serde(default)]
    pub units: Option<u64>,
    /// What `--add-latency` adds to each.
    #[serde(default)]
    pub added_latency_ms: f64,
}

/// An `[[ignore]]` section of the proxy's configuration.
#[derive(Debug, Clone, Deserialize)]
pub struct IgnoreRule {
    pub rule: String,
    pub matched: u64,
}

/// A listener of [`Summary`].
#[derive(Debug, Clone, Deserialize)]
pub struct Listener {
    pub name: String,
    pub listen: String,
    #[serde(default)]
    pub upstream: String,
    /// `None`: nobody has tried yet.
    #[serde(default)]
    pub upstream_up: Option<bool>,
}

/// Where time went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Phases {
    pub database_ms: f64,
    pub transfer_ms: f64,
    pub client_ms: f64,
    pub application_ms: f64,
}

impl Phases {
    /// A query's duration: all but the application's time.
    pub fn duration_ms(&self) -> f64 {
        self.database_ms + self.transfer_ms + self.client_ms
    }

    /// All of it.
    pub fn whole_ms(&self) -> f64 {
        self.duration_ms() + self.application_ms
    }
}

/// An item of `GET /api/v1/queries`.
#[derive(Debug, Clone, Deserialize)]
pub struct Query {
    pub fingerprint: String,
    pub query: String,
    pub summary: String,
    pub calls: u64,
    pub errors: u64,
    pub rows: u64,
    pub total_ms: f64,
    pub mean_ms: f64,
    pub min_ms: f64,
    pub max_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    #[serde(default)]
    pub routes: Vec<String>,
}

/// An item of `GET /api/v1/findings`.
#[derive(Debug, Clone, Deserialize)]
pub struct Finding {
    pub id: String,
    pub kind: String,
    pub status: String,
    pub confidence: Confidence,
    pub evidence: String,
    pub severity: Severity,
    pub fingerprint: String,
    pub query: String,
    pub parent_fingerprint: Option<String>,
    pub parent_query: Option<String>,
    pub parent_table: Option<String>,
    pub parent_column: Option<String>,
    pub child_table: Option<String>,
    pub child_column: Option<String>,
    pub chain: Vec<Link>,
    pub occurrences: u64,
    pub units: u64,
    pub queries: u64,
    pub cost_ms: f64,
    pub first_seen: String,
    pub last_seen: String,
    pub tags: BTreeMap<String, Vec<String>>,
    pub advice: Advice,
    pub proof: Option<Proof>,
    pub queries_before: u64,
    pub queries_after: u64,
    pub example_unit: Option<String>,
}

/// How sure a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Suspected,
    Likely,
    Proved,
}

impl Confidence {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Suspected => "suspected",
            Confidence::Likely => "likely",
            Confidence::Proved => "proved",
        }
    }
}

/// How much a [`Finding`] costs a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
}

/// A loop around a [`Finding`]'s own.
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    pub parent_table: Option<String>,
    pub parent_column: Option<String>,
    pub child_table: Option<String>,
    pub child_column: Option<String>,
}

/// What to do about a [`Finding`].
#[derive(Debug, Clone, Deserialize)]
pub struct Advice {
    pub title: String,
    pub django: String,
    pub why: String,
    pub saves_ms: f64,
}

/// The figures that prove a [`Finding`].
#[derive(Debug, Clone, Deserialize)]
pub struct Proof {
    pub rows: u64,
    pub nulls: u64,
    pub distinct: u64,
    pub matched: u64,
    pub in_order: u64,
    pub pattern: Pattern,
}

/// How the values of a [`Proof`] flow.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Pattern {
    /// In words: `shop_order.customer_id -> shop_customer.id, 10 of 10 rows in order`.
    Words(String),
    /// The values' classes, numbered in order of appearance; `None` stands for NULL.
    Classes(Vec<Option<u32>>),
}

/// An item of `GET /api/v1/units`.
#[derive(Debug, Clone, Deserialize)]
pub struct Unit {
    pub id: String,
    pub started_at: String,
    pub duration_ms: f64,
    pub evidence: String,
    pub incomplete: bool,
    pub route: Option<String>,
    pub queries: u64,
    pub shapes: u64,
    pub duplicates: u64,
    pub phases: Phases,
    pub findings: Vec<String>,
}

/// `GET /api/v1/units/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub struct UnitDetail {
    #[serde(flatten)]
    pub unit: Unit,
    pub timeline: Vec<Statement>,
}

/// A statement of a [`UnitDetail`].
#[derive(Debug, Clone, Deserialize)]
pub struct Statement {
    pub at_ms: f64,
    pub fingerprint: String,
    pub query: String,
    pub phases: Phases,
    pub rows: u64,
    pub sqlstate: Option<String>,
    pub parent_index: Option<usize>,
}

/// An item of `GET /api/v1/history`: five seconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Column {
    pub at: String,
    pub calls: u64,
    pub errors: u64,
    pub buckets: Vec<u64>,
}
