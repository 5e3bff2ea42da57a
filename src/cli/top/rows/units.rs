//! Units of work, requests mostly; and one as a waterfall of its queries.

use std::time::SystemTime;

use super::{ago, names};
use crate::cli::client::{Request, RequestDetail, Statement};
use crate::cli::report::figures;
use crate::cli::report::html::{sql, waterfall};
use crate::cli::report::text::pad;
use crate::cli::report::words::{self, visible};
use crate::cli::top::look::Paint;
use crate::cli::top::page::{Line, Page};
use crate::cli::top::sheet::{By, Column, Fit, Row, Span};

fn findings(request: &Request) -> String {
    match request.unit.findings.len() {
        0 => String::new(),
        some => figures::count(some as u64),
    }
}

/// What is special about it.
fn note(request: &Request) -> &'static str {
    match (request.state.as_str(), request.unit.incomplete) {
        (_, true) => "incomplete",
        ("open", false) => "open",
        _ => "",
    }
}

static COLUMNS: [Column<Request>; 13] = [
    Column {
        heading: "ago",
        fit: Fit::Right(7),
        rank: 1,
        cell: |row, now| ago(&row.unit.started_at, now),
        by: By::Time(|row| &row.unit.started_at),
        asked: "started_at",
    },
    Column {
        heading: "time",
        fit: Fit::Right(8),
        rank: 0,
        cell: |row, _| figures::duration(row.unit.duration_ms),
        by: By::Figure(|row| row.unit.duration_ms),
        asked: "duration",
    },
    Column {
        heading: "queries",
        fit: Fit::Right(8),
        rank: 0,
        cell: |row, _| figures::short_count(row.unit.queries),
        by: By::Figure(|row| row.unit.queries as f64),
        asked: "queries",
    },
    Column {
        heading: "shapes",
        fit: Fit::Right(7),
        rank: 6,
        cell: |row, _| figures::short_count(row.unit.shapes),
        by: By::Figure(|row| row.unit.shapes as f64),
        asked: "queries",
    },
    Column {
        heading: "repeats",
        fit: Fit::Right(8),
        rank: 5,
        cell: |row, _| figures::short_count(row.unit.duplicates),
        by: By::Figure(|row| row.unit.duplicates as f64),
        asked: "queries",
    },
    Column {
        heading: "database",
        fit: Fit::Right(9),
        rank: 2,
        cell: |row, _| figures::duration(row.unit.phases.duration_ms()),
        by: By::Figure(|row| row.unit.phases.duration_ms()),
        asked: "database_time",
    },
    Column {
        heading: "application",
        fit: Fit::Right(12),
        rank: 4,
        cell: |row, _| figures::duration(row.unit.phases.application_ms),
        by: By::Figure(|row| row.unit.phases.application_ms),
        asked: "duration",
    },
    Column {
        heading: "findings",
        fit: Fit::Right(9),
        rank: 3,
        cell: |row, _| findings(row),
        by: By::Figure(|row| row.unit.findings.len() as f64),
        asked: "started_at",
    },
    Column {
        heading: "route",
        fit: Fit::Rest(20),
        rank: 0,
        cell: |row, _| visible(&words::unit_name(&row.unit)),
        by: By::Word(|row| words::unit_name(&row.unit)),
        asked: "started_at",
    },
    Column {
        heading: "note",
        fit: Fit::Left(10),
        rank: 7,
        cell: |row, _| note(row).to_owned(),
        by: By::Word(|row| note(row).to_owned()),
        asked: "started_at",
    },
    Column {
        heading: "from",
        fit: Fit::Left(16),
        rank: 8,
        cell: |row, _| visible(&row.application),
        by: By::Word(|row| row.application.clone()),
        asked: "started_at",
    },
    Column {
        heading: "db",
        fit: Fit::Left(14),
        rank: 9,
        cell: |row, _| visible(&row.database),
        by: By::Word(|row| row.database.clone()),
        asked: "started_at",
    },
    Column {
        heading: "evidence",
        fit: Fit::Left(14),
        rank: 10,
        cell: |row, _| visible(&row.unit.evidence),
        by: By::Word(|row| row.unit.evidence.clone()),
        asked: "started_at",
    },
];

impl Row for Request {
    fn id(&self) -> &str {
        &self.unit.id
    }

    fn columns(_: Span) -> &'static [Column<Request>] {
        &COLUMNS
    }

    fn sorted_by(_: Span) -> &'static str {
        "ago"
    }

    fn paint(&self, _: SystemTime) -> Paint {
        match (self.unit.incomplete, self.state.as_str()) {
            (true, _) => Paint::Warning,
            (false, "open") => Paint::Dim,
            _ => Paint::Plain,
        }
    }
}

/// All that is known of one: what it took, then a line for each statement, each group of equal ones, and each pause.
pub(in crate::cli::top) fn page(detail: &RequestDetail, page: &mut Page, now: SystemTime) {
    let (request, unit) = (&detail.request, &detail.request.unit);
    page.line(Paint::Bold, &visible(&words::unit_name(unit)));
    page.blank();
    let what = format!(
        "{}: {} in {}, {}",
        figures::duration(unit.duration_ms),
        figures::counted(unit.queries, "query", "queries"),
        figures::counted(unit.shapes, "shape", "shapes"),
        figures::counted(unit.duplicates, "repeat", "repeats"),
    );
    page.told("took", Paint::Plain, &what);
    page.phases("of that", &unit.phases);
    let mut when = format!("{} ago", ago(&unit.started_at, now));
    for (what, name) in [
        ("application", &request.application),
        ("database", &request.database),
        ("evidence", &unit.evidence),
        ("id", &unit.id),
    ] {
        if !name.is_empty() {
            when.push_str(&format!(", {what} {name}"));
        }
    }
    page.told("began", Paint::Plain, &when);
    page.told_of("view", Paint::Plain, request.controller.clone());
    if !unit.findings.is_empty() {
        let listed = format!("{} (f opens the first)", names(&unit.findings));
        page.told("findings", Paint::Warning, &listed);
    }
    if request.state == "open" {
        page.told("", Paint::Dim, "It has not ended yet.");
    }
    if unit.incomplete {
        page.told(
            "",
            Paint::Warning,
            "Statements of this unit are missing: nothing was concluded from it.",
        );
    }
    page.blank();
    match detail.timeline.is_empty() {
        true => page.line(Paint::Dim, "Its statements are no longer kept."),
        false => fall(detail, page),
    }
}

/// Columns of `at`, of a duration and of rows, each with the space before it.
const AT: usize = 8;
const TOOK: usize = 9;
const ROWS: usize = 7;

fn fall(detail: &RequestDetail, page: &mut Page) {
    let figures_wide = AT + TOOK + ROWS + 2;
    let left = page.columns.saturating_sub(figures_wide);
    let name = (left * 55 / 100).clamp(12, 48).min(left);
    let track = left.saturating_sub(name + 2);
    let whole = detail.request.unit.duration_ms.max(0.001);
    let scale = Scale { track, whole };
    let mut head = format!(
        "{:>AT$}{:>TOOK$}{:>ROWS$}  {}",
        "at",
        "took",
        "rows",
        pad("query", name)
    );
    head.push_str(&format!(
        " 0{:>1$}",
        figures::duration(whole),
        track.saturating_sub(1)
    ));
    page.line(Paint::Dim, &head);
    let unit = crate::cli::client::UnitDetail {
        unit: detail.request.unit.clone(),
        timeline: detail.timeline.clone(),
    };
    for row in waterfall::rows(&unit) {
        let (from, to) = waterfall::span(&row);
        let (took, rows, what, paint) = match &row {
            waterfall::Row::One(one) => (
                to - from,
                figures::short_count(one.rows),
                with_error(&sql::summary(&one.query), one),
                painted(&[one]),
            ),
            waterfall::Row::Group(some) => (
                some.iter().map(|one| one.phases.duration_ms()).sum(),
                figures::short_count(some.iter().map(|one| one.rows).sum()),
                format!(
                    "{}{} {}, {} each",
                    page.look.of_both("×", "x"),
                    some.len(),
                    some.first()
                        .map_or_else(String::new, |one| sql::summary(&one.query)),
                    figures::duration(waterfall::median(some))
                ),
                painted(some),
            ),
            waterfall::Row::Gap { .. } => (
                to - from,
                String::new(),
                "application".to_owned(),
                Paint::Dim,
            ),
        };
        let mut line: Line = vec![(
            paint,
            format!(
                "{:>AT$}{:>TOOK$}{rows:>ROWS$}  {} ",
                at(from),
                figures::duration(took),
                pad(&visible(&what), name)
            ),
        )];
        line.extend(scale.drawn(&row, page.look));
        page.lines.push(line);
    }
}

fn painted(statements: &[&Statement]) -> Paint {
    match statements.iter().any(|one| one.sqlstate.is_some()) {
        true => Paint::Bad,
        false => Paint::Plain,
    }
}

fn with_error(name: &str, statement: &Statement) -> String {
    match &statement.sqlstate {
        Some(code) => format!("! {code} {name}"),
        None => name.to_owned(),
    }
}

/// Milliseconds from the unit's start, without a unit: the heading of its column would repeat it.
fn at(ms: f64) -> String {
    match ms < 9_999.5 {
        true => format!("{ms:.1}"),
        false => format!("{:.1} s", ms / 1e3),
    }
}

/// Milliseconds to cells.
struct Scale {
    track: usize,
    whole: f64,
}

impl Scale {
    fn cells(&self, from_ms: f64, to_ms: f64) -> (usize, usize) {
        let cell = |ms: f64| (ms / self.whole * self.track as f64).max(0.0);
        let last = self.track.saturating_sub(1);
        let first = (cell(from_ms) as usize).min(last);
        (
            first,
            (cell(to_ms).round() as usize).clamp(first + 1, self.track.max(first + 1)),
        )
    }

    /// The bar of a row: each cell has the phase that took most of it, or nothing.
    fn drawn(&self, row: &waterfall::Row<'_>, look: crate::cli::top::look::Look) -> Line {
        let mut cells = vec![None; self.track];
        let mut fill = |from: f64, to: f64, paint: Paint| {
            let (first, end) = self.cells(from, to);
            for cell in cells.iter_mut().take(end).skip(first) {
                *cell = Some(paint);
            }
        };
        let mut statement = |one: &Statement| {
            let phases = &one.phases;
            let answered = one.at_ms + phases.database_ms;
            let transferred = answered + phases.transfer_ms;
            // Backwards: where several begin in one cell, the database's is seen.
            if phases.client_ms > 0.0 {
                fill(transferred, transferred + phases.client_ms, Paint::Client);
            }
            if phases.transfer_ms > 0.0 {
                fill(answered, transferred, Paint::Transfer);
            }
            fill(one.at_ms, answered, Paint::Database);
        };
        match row {
            waterfall::Row::One(one) => statement(one),
            waterfall::Row::Group(some) => some.iter().for_each(|one| statement(one)),
            waterfall::Row::Gap { from_ms, to_ms } => fill(*from_ms, *to_ms, Paint::Application),
        }
        let mut line = Line::new();
        for cell in cells {
            let (paint, glyph) = match cell {
                Some(paint) => (paint, look.cell(paint)),
                None => (Paint::Plain, " "),
            };
            match line.last_mut() {
                Some((last, text)) if *last == paint => text.push_str(glyph),
                _ => line.push((paint, glyph.to_owned())),
            }
        }
        line
    }
}
