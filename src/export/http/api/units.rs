//! `/api/v1/units`: units of work as a list of requests, and one of them statement by statement.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::super::Admin;
use super::super::error::ApiError;
use super::super::filter::{Item, Key};
use super::{List, Page, PhasesMs, Written, fingerprint, parameters, told_back, written};
use crate::analysis::Snapshot;
use crate::detect::FindingId;
use crate::export::words;
use crate::sql::Fingerprint;
use crate::unit::{Completeness, TimelineEntry, UnitRecord, UnitState};

/// Characters of a statement's text in a timeline: thousands of them are one answer.
const QUERY_CHARACTERS_MAX: usize = 1_000;

/// Units told with a query shape.
const EXAMPLES: usize = 5;

/// A unit of work, as a line of a list.
#[derive(Debug, Serialize)]
pub(in crate::export::http) struct UnitItem {
    id: String,
    state: &'static str,
    started_at: String,
    duration_ms: f64,
    evidence: &'static str,
    incomplete: bool,
    route: Option<Arc<str>>,
    controller: Option<Arc<str>>,
    test: Option<Arc<str>>,
    test_id: Option<Arc<str>>,
    application: Arc<str>,
    database: Arc<str>,
    queries: u64,
    rows: u64,
    shapes: u64,
    duplicates: u64,
    phases: PhasesMs,
    findings: Vec<String>,
}

/// One unit, with its statements.
#[derive(Debug, Serialize)]
pub(in crate::export::http) struct UnitDetail {
    #[serde(flatten)]
    unit: UnitItem,
    timeline: Vec<StatementItem>,
    tree: Vec<BranchItem>,
}

/// A statement of a timeline.
#[derive(Debug, Serialize)]
struct StatementItem {
    at_ms: f64,
    fingerprint: String,
    query: String,
    phases: PhasesMs,
    rows: u64,
    sqlstate: Option<String>,
    parent_index: Option<u32>,
    transaction: Option<u32>,
}

/// A statement whose rows gave others their values.
#[derive(Debug, Serialize)]
struct BranchItem {
    parent_index: u32,
    children: Vec<usize>,
}

/// `?from=&to=&fingerprint=&finding=&route=&test=&test_id=` beside those of every list.
#[derive(Debug, Deserialize)]
pub(in crate::export::http) struct Wanted {
    from: Option<String>,
    to: Option<String>,
    fingerprint: Option<String>,
    finding: Option<String>,
    route: Option<String>,
    test: Option<String>,
    test_id: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// What units are sorted by, greatest first; of equal ones the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    StartedAt,
    Duration,
    Queries,
    DatabaseTime,
}

pub(in crate::export::http) async fn units(
    State(admin): State<Arc<Admin>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<List<UnitItem>>, ApiError> {
    let wanted = parameters(wanted)?;
    let from = time("from", wanted.from.as_deref())?;
    let to = time("to", wanted.to.as_deref())?;
    let with = match written(wanted.fingerprint.as_deref()) {
        None => None,
        Some(digits) => Some(fingerprint(digits).ok_or_else(|| no_id("fingerprint"))?),
    };
    let sort = sort(wanted.page.sort.as_deref())?;
    let filter = wanted.page.filter::<UnitRecord>()?;
    let snapshot = admin.feed.snapshot();
    let finding = match written(wanted.finding.as_deref()) {
        None => None,
        Some(digits) => Some(FindingId::parse(digits).ok_or_else(|| no_id("finding"))?),
    };
    let mut chosen: Vec<&UnitRecord> = all(&snapshot)
        .filter(|record| {
            let started = admin.clock.wall(record.started_at);
            from.is_none_or(|from| started >= from)
                && to.is_none_or(|to| started < to)
                && with.is_none_or(|with| runs(record, with))
                && finding.is_none_or(|id| record.findings.contains(&id))
                && is_wanted(wanted.route.as_deref(), &record.route)
                && is_wanted(wanted.test.as_deref(), &record.test)
                && is_wanted(wanted.test_id.as_deref(), &record.test_id)
                && filter.keeps(*record)
        })
        .collect();
    chosen.sort_by_key(|record| {
        let figure = match sort {
            Sort::StartedAt => 0,
            Sort::Duration => record.ended_at.since(record.started_at),
            Sort::Queries => record.queries,
            Sort::DatabaseTime => record.phases.database_ns,
        };
        std::cmp::Reverse((figure, record.started_at))
    });
    List::part(&chosen, &wanted.page, |record| {
        UnitItem::new(&admin, record)
    })
    .map(Json)
}

pub(in crate::export::http) async fn unit(
    State(admin): State<Arc<Admin>>,
    Written(written): Written,
) -> Result<Json<UnitDetail>, ApiError> {
    let snapshot = admin.feed.snapshot();
    let missing = || ApiError::NoSuchUnit(told_back(&written));
    let id = words::parse_unit_id(&written).ok_or_else(missing)?;
    let found = all(&snapshot).find(|record| record.id == id);
    let record = found.ok_or_else(missing)?;
    let mut tree: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, entry) in record.timeline.iter().enumerate() {
        if let Some(parent) = entry.parent {
            tree.entry(parent).or_default().push(index);
        }
    }
    Ok(Json(UnitDetail {
        unit: UnitItem::new(&admin, record),
        timeline: record
            .timeline
            .iter()
            .map(|entry| StatementItem::new(record, entry))
            .collect(),
        tree: tree
            .into_iter()
            .map(|(parent_index, children)| BranchItem {
                parent_index,
                children,
            })
            .collect(),
    }))
}

/// The latest units that ran `fingerprint`.
pub(super) fn example_units(
    admin: &Admin,
    snapshot: &Snapshot,
    fingerprint: Fingerprint,
) -> Vec<UnitItem> {
    let mut ran: Vec<&UnitRecord> = all(snapshot)
        .filter(|record| runs(record, fingerprint))
        .collect();
    ran.sort_by_key(|record| std::cmp::Reverse(record.started_at));
    ran.iter()
        .take(EXAMPLES)
        .map(|record| UnitItem::new(admin, record))
        .collect()
}

/// All units kept, open ones last.
fn all(snapshot: &Snapshot) -> impl Iterator<Item = &UnitRecord> {
    let units = snapshot.units.iter().chain(&snapshot.open);
    units.map(|record| &**record)
}

fn runs(record: &UnitRecord, fingerprint: Fingerprint) -> bool {
    record
        .timeline
        .iter()
        .any(|entry| entry.fingerprint == fingerprint)
}

/// Whether a record has the name that was asked for, if one was.
fn is_wanted(parameter: Option<&str>, name: &Option<Arc<str>>) -> bool {
    written(parameter).is_none_or(|wanted| name.as_deref() == Some(wanted))
}

fn no_id(parameter: &'static str) -> ApiError {
    ApiError::bad_parameter(parameter, "16 hexadecimal digits are needed")
}

fn time(parameter: &'static str, text: Option<&str>) -> Result<Option<SystemTime>, ApiError> {
    written(text)
        .map(|text| {
            humantime::parse_rfc3339(text).map_err(|_| {
                let problem = "a time is needed, as 2026-11-22T09:15:00Z";
                ApiError::bad_parameter(parameter, problem)
            })
        })
        .transpose()
}

fn sort(written: Option<&str>) -> Result<Sort, ApiError> {
    Ok(match written {
        None | Some("" | "started_at") => Sort::StartedAt,
        Some("duration") => Sort::Duration,
        Some("queries") => Sort::Queries,
        Some("database_time") => Sort::DatabaseTime,
        Some(_) => {
            let known = "one of started_at, duration, queries, database_time";
            return Err(ApiError::bad_parameter("sort", known));
        }
    })
}

impl Item for UnitRecord {
    const KEYS: &'static [Key] = &[
        Key::Route,
        Key::Test,
        Key::Application,
        Key::Database,
        Key::User,
        Key::Evidence,
        Key::State,
        Key::Finding,
        Key::Table,
        Key::Operation,
        Key::Duration,
        Key::Number,
        Key::Error,
    ];

    fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let names = [&self.route, &self.controller, &self.test];
        let names = names.into_iter().flatten();
        names
            .chain([&self.facts.application, &self.facts.database])
            .any(|text| wanted(text))
            || wanted(&words::unit_id(self.id))
    }

    fn any_word(&self, key: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut shapes = self.timeline.iter().filter_map(|entry| entry.shape);
        match key {
            Key::Route => self.route.iter().any(|route| wanted(route)),
            Key::Test => [&self.test, &self.test_id]
                .into_iter()
                .flatten()
                .any(|test| wanted(test)),
            Key::Application => wanted(&self.facts.application),
            Key::Database => wanted(&self.facts.database),
            Key::User => wanted(&self.facts.user),
            Key::Evidence => wanted(self.evidence.as_str()),
            Key::State => {
                let incomplete = self.completeness == Completeness::Incomplete;
                wanted(state(self)) || (incomplete && wanted("incomplete"))
            }
            Key::Finding => self.findings.iter().any(|id| wanted(&id.to_string())),
            Key::Operation => shapes.any(|shape| wanted(words::operation(shape.verb))),
            _ => shapes
                .filter_map(|shape| shape.facts())
                .flat_map(|facts| &facts.tables)
                .any(|table| wanted(table)),
        }
    }

    fn duration_ns(&self) -> u64 {
        self.ended_at.since(self.started_at)
    }

    /// Statements.
    fn number(&self) -> u64 {
        self.queries
    }

    fn failed(&self) -> bool {
        self.timeline.iter().any(|entry| entry.sqlstate.is_some())
    }
}

fn state(record: &UnitRecord) -> &'static str {
    match record.state {
        UnitState::Open => "open",
        UnitState::Ended => "ended",
    }
}

impl UnitItem {
    fn new(admin: &Admin, record: &UnitRecord) -> UnitItem {
        UnitItem {
            id: words::unit_id(record.id),
            state: state(record),
            started_at: words::rfc3339(&admin.clock, record.started_at),
            duration_ms: words::milliseconds(record.ended_at.since(record.started_at)),
            evidence: record.evidence.as_str(),
            incomplete: record.completeness == Completeness::Incomplete,
            route: record.route.clone(),
            controller: record.controller.clone(),
            test: record.test.clone(),
            test_id: record.test_id.clone(),
            application: Arc::clone(&record.facts.application),
            database: Arc::clone(&record.facts.database),
            queries: record.queries,
            rows: record.rows,
            shapes: record.shapes,
            duplicates: record.duplicates,
            phases: PhasesMs::from(&record.phases),
            findings: record.findings.iter().map(ToString::to_string).collect(),
        }
    }
}

impl StatementItem {
    fn new(record: &UnitRecord, entry: &TimelineEntry) -> StatementItem {
        let text = entry.shape.map(|shape| shape.shown());
        let text = text.as_deref().unwrap_or_default();
        StatementItem {
            at_ms: words::milliseconds(entry.requested_at.since(record.started_at)),
            fingerprint: entry.fingerprint.to_string(),
            query: text.chars().take(QUERY_CHARACTERS_MAX).collect(),
            phases: PhasesMs::from(&entry.phases),
            rows: entry.rows,
            sqlstate: entry.sqlstate.map(|code| code.as_str().to_owned()),
            parent_index: entry.parent,
            transaction: entry.transaction,
        }
    }
}
