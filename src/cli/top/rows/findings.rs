//! Findings: what is worth fixing, the most costly first, and one with its proof and its fix.

use std::time::SystemTime;

use super::{ago, names};
use crate::cli::client::{Confidence, Finding};
use crate::cli::report::figures;
use crate::cli::report::words::{self, visible};
use crate::cli::top::look::Paint;
use crate::cli::top::page::Page;
use crate::cli::top::sheet::{By, Column, Fit, Row, Span};

/// A finding in the table.
#[derive(Debug, Clone)]
pub(in crate::cli::top) struct FindingRow {
    pub(in crate::cli::top) finding: Finding,
    pub(in crate::cli::top) place: Place,
}

/// Where a finding stands, whatever it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli::top) enum Place {
    /// Among those to fix: open ones, and those that were muted just now, so that they can be unmuted.
    ToFix,
    Fixed,
    Muted,
}

impl FindingRow {
    /// `stays` says that it keeps its place although it is muted.
    pub(in crate::cli::top) fn new(finding: Finding, stays: bool) -> FindingRow {
        let place = match finding.status.as_str() {
            "muted" if !stays => Place::Muted,
            "fixed" => Place::Fixed,
            _ => Place::ToFix,
        };
        FindingRow { finding, place }
    }
}

/// Its status where that is not `open`, else how sure it is.
fn status(finding: &Finding) -> String {
    match finding.status.as_str() {
        "open" => finding.confidence.as_str().to_owned(),
        other => visible(other),
    }
}

fn routes(finding: &Finding) -> String {
    words::places(finding).map_or_else(|| "(no route)".to_owned(), |places| visible(&places))
}

static COLUMNS: [Column<FindingRow>; 9] = [
    Column {
        heading: "cost",
        fit: Fit::Right(8),
        rank: 0,
        cell: |row, _| figures::duration(row.finding.cost_ms),
        by: By::Figure(|row| row.finding.cost_ms),
        asked: "cost",
    },
    Column {
        heading: "saves",
        fit: Fit::Right(8),
        rank: 3,
        cell: |row, _| figures::duration(row.finding.advice.saves_ms),
        by: By::Figure(|row| row.finding.advice.saves_ms),
        asked: "cost",
    },
    Column {
        heading: "units",
        fit: Fit::Right(7),
        rank: 4,
        cell: |row, _| figures::short_count(row.finding.units),
        by: By::Figure(|row| row.finding.units as f64),
        asked: "occurrences",
    },
    Column {
        heading: "queries",
        fit: Fit::Right(8),
        rank: 5,
        cell: |row, _| figures::short_count(row.finding.queries),
        by: By::Figure(|row| row.finding.queries as f64),
        asked: "queries",
    },
    Column {
        heading: "seen",
        fit: Fit::Right(7),
        rank: 2,
        cell: |row, now| ago(&row.finding.last_seen, now),
        by: By::Time(|row| &row.finding.last_seen),
        asked: "last_seen",
    },
    Column {
        heading: "status",
        fit: Fit::Left(9),
        rank: 1,
        cell: |row, _| status(&row.finding),
        by: By::Word(|row| status(&row.finding)),
        asked: "cost",
    },
    Column {
        heading: "what to do",
        fit: Fit::Rest(42),
        rank: 0,
        cell: |row, _| visible(&row.finding.advice.title),
        by: By::Word(|row| row.finding.advice.title.clone()),
        asked: "cost",
    },
    Column {
        heading: "where",
        fit: Fit::Left(26),
        rank: 6,
        cell: |row, _| routes(&row.finding),
        by: By::Word(|row| routes(&row.finding)),
        asked: "cost",
    },
    Column {
        heading: "kind",
        fit: Fit::Left(23),
        rank: 7,
        cell: |row, _| visible(&row.finding.kind),
        by: By::Word(|row| row.finding.kind.clone()),
        asked: "cost",
    },
];

impl Row for FindingRow {
    fn id(&self) -> &str {
        &self.finding.id
    }

    fn columns(_: Span) -> &'static [Column<FindingRow>] {
        &COLUMNS
    }

    fn sorted_by(_: Span) -> &'static str {
        "cost"
    }

    fn paint(&self, _: SystemTime) -> Paint {
        match self.finding.status.as_str() {
            "muted" => Paint::Dim,
            "fixed" => Paint::Good,
            _ => Paint::Plain,
        }
    }

    fn group(&self) -> u8 {
        self.place as u8
    }
}

/// All that is known of one.
pub(in crate::cli::top) fn page(finding: &Finding, page: &mut Page, now: SystemTime) {
    page.line(Paint::Bold, &visible(&finding.advice.title));
    let severity = match finding.severity {
        crate::cli::client::Severity::Low => "low",
        crate::cli::client::Severity::Medium => "medium",
        crate::cli::client::Severity::High => "high",
    };
    page.told(
        "",
        Paint::Plain,
        &format!(
            "{}, {}, {} severity, {}",
            finding.kind,
            finding.confidence.as_str(),
            severity,
            finding.status
        ),
    );
    page.blank();
    let (code, remark) = words::fix(&finding.advice.django);
    let word = match finding.confidence {
        Confidence::Suspected => "try",
        Confidence::Likely | Confidence::Proved => "fix",
    };
    page.python(word, &code);
    page.told_of(if code.is_empty() { word } else { "" }, Paint::Dim, remark);
    let gain = words::gain(finding).unwrap_or_else(|| "not known".to_owned());
    page.told("gain", Paint::Plain, &gain);
    let cost = format!(
        "{} in all: {}",
        figures::duration(finding.cost_ms),
        words::price(finding)
    );
    page.told("cost", Paint::Plain, &cost);
    page.told("where", Paint::Plain, &routes(finding));
    page.told_of("proof", Paint::Plain, words::proof(finding));
    page.told_of("missing", Paint::Plain, words::missing(finding));
    page.blank();
    page.told("why", Paint::Plain, &finding.advice.why);
    page.told_of("relation", Paint::Plain, words::relation(finding));
    let counts = format!(
        "{}, {} in {}",
        figures::counted(finding.occurrences, "loop", "loops"),
        figures::counted(finding.queries, "query", "queries"),
        figures::counted(
            finding.units,
            words::unit_noun(finding),
            &format!("{}s", words::unit_noun(finding))
        ),
    );
    page.told("seen", Paint::Plain, &counts);
    let times = format!(
        "last {} ago, first {} ago",
        ago(&finding.last_seen, now),
        ago(&finding.first_seen, now)
    );
    page.told("", Paint::Plain, &times);
    for (key, values) in &finding.tags {
        page.told(&visible(key), Paint::Plain, &names(values));
    }
    page.told("evidence", Paint::Plain, &finding.evidence);
    page.told("id", Paint::Plain, &finding.id);
    page.told_of(
        "example",
        Paint::Plain,
        finding
            .example_unit
            .as_ref()
            .map(|unit| format!("{unit} (u opens it)")),
    );
    if let Some(query) = &finding.parent_query {
        page.heading("The rows of this query");
        page.sql("", query);
    }
    let heading = match finding.parent_query {
        Some(_) => "flow one by one into this",
        None => "What repeats",
    };
    page.heading(heading);
    page.sql("", &finding.query);
}
