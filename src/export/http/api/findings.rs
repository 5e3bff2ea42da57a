//! `/api/v1/findings`: what is worth fixing, with its proof and its fix.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Admin;
use super::super::error::ApiError;
use super::super::filter::{Item, Key};
use super::{List, Page, Written, parameters, told_back};
use crate::analysis::{FoundAndAdvised, Snapshot};
use crate::detect::{Confidence, Finding, FindingId, Kind, Proof, Side, Status};
use crate::export::words;
use crate::sql::Fingerprint;

/// A finding, with the figures of all its occurrences.
#[derive(Debug, Serialize)]
pub(in crate::export::http) struct FindingItem {
    id: String,
    kind: &'static str,
    status: &'static str,
    confidence: &'static str,
    evidence: &'static str,
    severity: &'static str,
    fingerprint: String,
    query: Arc<str>,
    parent_fingerprint: Option<String>,
    parent_query: Option<Arc<str>>,
    parent_table: Option<Arc<str>>,
    parent_column: Option<Arc<str>>,
    child_table: Option<Arc<str>>,
    child_column: Option<Arc<str>>,
    chain: Vec<LinkItem>,
    occurrences: u64,
    units: u64,
    queries: u64,
    cost_ms: f64,
    children_per_row: f64,
    first_seen: String,
    last_seen: String,
    /// The values seen of each key.
    tags: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    advice: AdviceItem,
    proof: Option<ProofItem>,
    queries_before: u64,
    queries_after: u64,
    example_unit: Option<String>,
}

#[derive(Debug, Serialize)]
struct LinkItem {
    kind: &'static str,
    parent_table: Option<Arc<str>>,
    parent_column: Option<Arc<str>>,
    child_table: Option<Arc<str>>,
    child_column: Option<Arc<str>>,
}

#[derive(Debug, Serialize)]
struct AdviceItem {
    title: String,
    django: String,
    why: String,
    saves_ms: f64,
}

#[derive(Debug, Serialize)]
struct ProofItem {
    rows: u64,
    nulls: u64,
    distinct: u64,
    matched: u64,
    in_order: u64,
    pattern: String,
}

/// `?kind=&status=&confidence=` beside those of every list; each may hold several words, separated by commas.
#[derive(Debug, Deserialize)]
pub(in crate::export::http) struct Wanted {
    kind: Option<String>,
    status: Option<String>,
    confidence: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// What findings are sorted by, greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Cost,
    LastSeen,
    Queries,
    Occurrences,
}

pub(in crate::export::http) async fn findings(
    State(admin): State<Arc<Admin>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<List<FindingItem>>, ApiError> {
    let wanted = parameters(wanted)?;
    let kinds = words_of("kind", wanted.kind.as_deref(), &Kind::ALL, Kind::as_str)?;
    let statuses = words_of(
        "status",
        wanted.status.as_deref(),
        &[Status::Open, Status::Fixed, Status::Muted],
        Status::as_str,
    )?;
    let confidences = words_of(
        "confidence",
        wanted.confidence.as_deref(),
        &[
            Confidence::Suspected,
            Confidence::Likely,
            Confidence::Proved,
        ],
        Confidence::as_str,
    )?;
    let sort = sort(wanted.page.sort.as_deref())?;
    let filter = wanted.page.filter::<FoundAndAdvised>()?;
    let snapshot = admin.feed.snapshot();
    let mut chosen: Vec<&Arc<FoundAndAdvised>> = snapshot
        .findings
        .iter()
        .filter(|found| {
            kinds.contains(&found.finding.kind)
                && statuses.contains(&found.finding.status)
                && confidences.contains(&found.finding.confidence)
                && filter.keeps(&***found)
        })
        .collect();
    // Stable: among equals the order stays that of the snapshot, the most costly first.
    chosen.sort_by_key(|found| {
        let finding = &found.finding;
        std::cmp::Reverse(match sort {
            Sort::Cost => finding.cost_ns,
            Sort::LastSeen => finding.last_seen.0,
            Sort::Queries => finding.queries,
            Sort::Occurrences => finding.occurrences,
        })
    });
    List::part(&chosen, &wanted.page, |found| {
        FindingItem::new(&admin, found)
    })
    .map(Json)
}

pub(in crate::export::http) async fn finding(
    State(admin): State<Arc<Admin>>,
    Written(written): Written,
) -> Result<Json<FindingItem>, ApiError> {
    let found = find(&admin, &written)?;
    Ok(Json(FindingItem::new(&admin, &found)))
}

pub(in crate::export::http) async fn mute(
    State(admin): State<Arc<Admin>>,
    Written(written): Written,
) -> Result<StatusCode, ApiError> {
    let found = find(&admin, &written)?;
    admin.feed.set_muted(found.finding.id, true);
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::export::http) async fn unmute(
    State(admin): State<Arc<Admin>>,
    Written(written): Written,
) -> Result<StatusCode, ApiError> {
    let found = find(&admin, &written)?;
    admin.feed.set_muted(found.finding.id, false);
    Ok(StatusCode::NO_CONTENT)
}

/// The findings that `fingerprint` takes part in, most costly first.
pub(super) fn findings_of(
    admin: &Admin,
    snapshot: &Snapshot,
    fingerprint: Fingerprint,
) -> Vec<FindingItem> {
    let takes_part = |side: &Side| side.fingerprint == fingerprint;
    snapshot
        .findings
        .iter()
        .filter(|found| {
            takes_part(&found.finding.child)
                || found.finding.parent.as_ref().is_some_and(takes_part)
        })
        .map(|found| FindingItem::new(admin, found))
        .collect()
}

fn find(admin: &Admin, written: &str) -> Result<Arc<FoundAndAdvised>, ApiError> {
    FindingId::parse(written)
        .and_then(|id| {
            let snapshot = admin.feed.snapshot();
            let found = snapshot
                .findings
                .iter()
                .find(|found| found.finding.id == id);
            found.cloned()
        })
        .ok_or_else(|| ApiError::NoSuchFinding(told_back(written)))
}

fn sort(written: Option<&str>) -> Result<Sort, ApiError> {
    Ok(match written {
        None | Some("" | "cost") => Sort::Cost,
        Some("last_seen") => Sort::LastSeen,
        Some("queries") => Sort::Queries,
        Some("occurrences") => Sort::Occurrences,
        Some(_) => {
            let known = "one of cost, last_seen, queries, occurrences";
            return Err(ApiError::bad_parameter("sort", known));
        }
    })
}

/// Those of `all` that were written; all of them where none was.
fn words_of<T: Copy>(
    parameter: &'static str,
    written: Option<&str>,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, ApiError> {
    let written = written.unwrap_or_default();
    if written.is_empty() {
        return Ok(all.to_vec());
    }
    let one = |part: &str| {
        let known = || {
            all.iter()
                .copied()
                .map(&word)
                .collect::<Vec<_>>()
                .join(", ")
        };
        all.iter()
            .copied()
            .find(|one| word(*one) == part.trim())
            .ok_or_else(|| ApiError::bad_parameter(parameter, format!("one of {}", known())))
    };
    written.split(',').map(one).collect()
}

impl Item for FoundAndAdvised {
    const KEYS: &'static [Key] = &[
        Key::Kind,
        Key::Status,
        Key::Confidence,
        Key::Evidence,
        Key::Table,
        Key::Route,
        Key::Duration,
        Key::Number,
    ];

    fn any_text(&self, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let finding = &self.finding;
        wanted(&self.advice.title)
            || wanted(&self.advice.django)
            || wanted(&finding.id.to_string())
            || sides(finding).any(|side| {
                let names = side.table.iter().chain(&side.column);
                wanted(&side.query)
                    || wanted(&side.fingerprint.to_string())
                    || names.into_iter().any(|name| wanted(name))
            })
            || finding.tags.iter().any(|(_, value)| wanted(value))
    }

    fn any_word(&self, key: Key, wanted: &mut dyn FnMut(&str) -> bool) -> bool {
        let finding = &self.finding;
        match key {
            Key::Kind => wanted(finding.kind.as_str()),
            Key::Status => wanted(finding.status.as_str()),
            Key::Confidence => wanted(finding.confidence.as_str()),
            Key::Evidence => wanted(finding.evidence.as_str()),
            Key::Table => sides(finding)
                .filter_map(|side| side.table.as_ref())
                .any(|table| wanted(table)),
            _ => finding
                .tags
                .iter()
                .any(|(tag, value)| **tag == *"route" && wanted(value)),
        }
    }

    /// Its cost.
    fn duration_ns(&self) -> u64 {
        self.finding.cost_ns
    }

    /// Statements in its loops.
    fn number(&self) -> u64 {
        self.finding.queries
    }

    fn failed(&self) -> bool {
        false
    }
}

/// The statement that repeats, and the one whose rows it repeats for.
fn sides(finding: &Finding) -> impl Iterator<Item = &Side> {
    std::iter::once(&finding.child).chain(&finding.parent)
}

impl FindingItem {
    pub(in crate::export::http) fn new(admin: &Admin, found: &FoundAndAdvised) -> FindingItem {
        let (finding, advice) = (&found.finding, &found.advice);
        let (child, parent) = (&finding.child, finding.parent.as_ref());
        let mut tags: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        for (key, value) in &finding.tags {
            tags.entry(Arc::clone(key))
                .or_default()
                .push(Arc::clone(value));
        }
        FindingItem {
            id: finding.id.to_string(),
            kind: finding.kind.as_str(),
            status: finding.status.as_str(),
            confidence: finding.confidence.as_str(),
            evidence: finding.evidence.as_str(),
            severity: finding.severity.as_str(),
            fingerprint: child.fingerprint.to_string(),
            query: Arc::clone(&child.query),
            parent_fingerprint: parent.map(|parent| parent.fingerprint.to_string()),
            parent_query: parent.map(|parent| Arc::clone(&parent.query)),
            parent_table: parent.and_then(|parent| parent.table.clone()),
            parent_column: parent.and_then(|parent| parent.column.clone()),
            child_table: child.table.clone(),
            child_column: child.column.clone(),
            chain: finding
                .chain
                .iter()
                .map(|link| LinkItem {
                    kind: link.kind.as_str(),
                    parent_table: link.parent_table.clone(),
                    parent_column: link.parent_column.clone(),
                    child_table: link.child_table.clone(),
                    child_column: link.child_column.clone(),
                })
                .collect(),
            occurrences: finding.occurrences,
            units: finding.units,
            queries: finding.queries,
            cost_ms: words::milliseconds(finding.cost_ns),
            // A division by no rows is no figure, and JSON has no word for it.
            children_per_row: Some(finding.children_per_row)
                .filter(|figure| figure.is_finite())
                .unwrap_or(0.0),
            first_seen: words::rfc3339(&admin.clock, finding.first_seen),
            last_seen: words::rfc3339(&admin.clock, finding.last_seen),
            tags,
            advice: AdviceItem {
                title: advice.title.clone(),
                django: advice.django.clone(),
                why: advice.why.clone(),
                saves_ms: words::milliseconds(finding.saves_ns),
            },
            proof: finding.proof.as_ref().map(ProofItem::new),
            queries_before: finding.queries_before,
            queries_after: finding.queries_after,
            // One that is kept no more would lead nowhere.
            example_unit: finding
                .example_unit
                .filter(|unit| admin.feed.snapshot().keeps(*unit))
                .map(words::unit_id),
        }
    }
}

impl ProofItem {
    fn new(proof: &Proof) -> ProofItem {
        ProofItem {
            rows: proof.rows,
            nulls: proof.nulls,
            distinct: proof.distinct,
            matched: proof.matched,
            in_order: proof.in_order,
            pattern: proof.pattern.clone(),
        }
    }
}
