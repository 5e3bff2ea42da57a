//! One unit of work over time: a row for each statement, one for each group of equal ones, and the gaps between them.

use maud::{Markup, html};

use super::{bars::px, sql};
use crate::cli::client::{Statement, UnitDetail};
use crate::cli::report::{figures, words};

/// Statements of one shape under one parent from which on they are a group.
const GROUP_MIN: usize = 3;

/// Rows drawn; the rest is said in text.
const ROWS_MAX: usize = 30;

/// Ticks drawn in a group.
const TICKS_MAX: usize = 200;

/// Gaps that are drawn: from 2 ms on, or from a hundredth of the unit.
const GAP_MIN_MS: f64 = 2.0;

const ROW: f64 = 22.0;
const TOP: f64 = 24.0;
const NAMES: f64 = 440.0;
const TRACK: f64 = 508.0;
const WIDTH: f64 = NAMES + TRACK + 12.0;

/// What a row stands for.
#[derive(Debug)]
pub(in crate::cli) enum Row<'u> {
    /// A statement of its own.
    One(&'u Statement),
    /// Equal ones, in their order.
    Group(Vec<&'u Statement>),
    /// Nothing between two rows: the application worked.
    Gap { from_ms: f64, to_ms: f64 },
}

/// The drawing, with what it says in words beneath it.
pub(super) fn figure(detail: &UnitDetail, name_of: &dyn Fn(&str) -> Option<String>) -> Markup {
    let unit = &detail.unit;
    let rows = rows(detail);
    let shown = rows.len().min(ROWS_MAX);
    let height = TOP + ROW * shown as f64 + 8.0;
    let scale = TRACK / unit.duration_ms.max(0.001);
    let alternative = format!(
        "{}, {}, in {}",
        figures::duration(unit.duration_ms),
        figures::counted(unit.queries, "query", "queries"),
        figures::counted(unit.shapes, "shape", "shapes")
    );
    html! {
        @if unit.incomplete { p.strip { "Statements of this unit are missing: nothing was concluded from it." } }
        div.wide tabindex="0" role="region" aria-label="Timeline of the example" {
            svg.fall viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img" aria-label=(alternative) {
                @for step in 0..=4 {
                    @let x = NAMES + TRACK * f64::from(step) / 4.0;
                    line.grid x1=(px(x)) x2=(px(x)) y1="18" y2=(px(height)) {}
                    text.tick x=(px(x)) y="12" text-anchor=[anchor(step)] {
                        @if step == 0 { "0" } @else { (figures::duration(unit.duration_ms * f64::from(step) / 4.0)) }
                    }
                }
                @for (index, row) in rows.iter().take(shown).enumerate() {
                    (drawn(row, TOP + ROW * index as f64, scale, name_of))
                }
            }
        }
        @if rows.len() > shown {
            p.muted { "… and " (figures::count((rows.len() - shown) as u64)) " rows more" }
        }
        @if detail.timeline.is_empty() { p.muted { "Its statements are no longer kept." } }
    }
}

fn anchor(step: i32) -> Option<&'static str> {
    match step {
        0 => None,
        4 => Some("end"),
        _ => Some("middle"),
    }
}

/// Statements in the order in which they began, equal ones under one parent together, gaps between them.
pub(in crate::cli) fn rows(detail: &UnitDetail) -> Vec<Row<'_>> {
    let grouped = grouped(&detail.timeline);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for statements in grouped {
        match statements.len() >= GROUP_MIN {
            true => rows.push(Row::Group(statements)),
            false => rows.extend(statements.into_iter().map(Row::One)),
        }
    }
    rows.sort_by(|a, b| span(a).0.total_cmp(&span(b).0));
    with_gaps(rows, detail.unit.duration_ms)
}

/// Equal statements under one parent, or under parents that are themselves equal: a loop inside a loop is one group.
fn grouped(timeline: &[Statement]) -> Vec<Vec<&Statement>> {
    struct Group<'u> {
        fingerprint: &'u str,
        parent: Option<usize>,
        statements: Vec<&'u Statement>,
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut group_of: Vec<usize> = Vec::with_capacity(timeline.len());
    for statement in timeline {
        let parent = statement
            .parent_index
            .and_then(|index| group_of.get(index).copied());
        // The first children of a loop have no parent yet: it is known from the third on.
        let found = groups.iter().position(|group| {
            group.fingerprint == statement.fingerprint
                && (group.parent == parent || group.parent.is_none() || parent.is_none())
        });
        let index = found.unwrap_or_else(|| {
            groups.push(Group {
                fingerprint: &statement.fingerprint,
                parent,
                statements: Vec::new(),
            });
            groups.len() - 1
        });
        groups[index].parent = groups[index].parent.or(parent);
        groups[index].statements.push(statement);
        group_of.push(index);
    }
    groups.into_iter().map(|group| group.statements).collect()
}

fn with_gaps(rows: Vec<Row<'_>>, whole_ms: f64) -> Vec<Row<'_>> {
    let worth = GAP_MIN_MS.min(whole_ms / 100.0);
    let mut all = Vec::with_capacity(rows.len());
    let mut busy_until = 0.0_f64;
    for row in rows {
        let (from, to) = span(&row);
        if from - busy_until >= worth {
            all.push(Row::Gap {
                from_ms: busy_until,
                to_ms: from,
            });
        }
        busy_until = busy_until.max(to);
        all.push(row);
    }
    all
}

/// First start and last end.
pub(in crate::cli) fn span(row: &Row<'_>) -> (f64, f64) {
    let end = |statement: &Statement| statement.at_ms + statement.phases.duration_ms();
    match row {
        Row::One(statement) => (statement.at_ms, end(statement)),
        Row::Group(statements) => (
            statements[0].at_ms,
            statements.iter().map(|one| end(one)).fold(0.0, f64::max),
        ),
        Row::Gap { from_ms, to_ms } => (*from_ms, *to_ms),
    }
}

fn drawn(row: &Row<'_>, y: f64, scale: f64, name_of: &dyn Fn(&str) -> Option<String>) -> Markup {
    let name = |statement: &Statement| {
        let name = name_of(&statement.fingerprint);
        name.unwrap_or_else(|| sql::summary(&statement.query))
    };
    let (from, to) = span(row);
    let (x, width) = (NAMES + from * scale, ((to - from) * scale).max(2.0));
    match row {
        Row::One(statement) => html! {
            (label(y, &name(statement), &rows_of(statement.rows), &figures::duration(to - from)))
            (bar(statement, y, scale))
            @if let Some(code) = &statement.sqlstate {
                rect.failed x=(px(x - 1.0)) y=(px(y + 2.0)) width=(px(width + 2.0)) height="16" {}
                text.bad x=(px((x + width + 6.0).min(NAMES + TRACK - 60.0))) y=(px(y + 15.0)) { "✕ " (code) }
            }
        },
        Row::Group(statements) => {
            let sum: f64 = statements.iter().map(|one| one.phases.duration_ms()).sum();
            let rows = format!(
                "× {}, {} each",
                figures::count(statements.len() as u64),
                figures::duration(median(statements))
            );
            let figure = format!("{} sum", figures::duration(sum));
            let failed = statements
                .iter()
                .filter(|one| one.sqlstate.is_some())
                .count();
            html! {
                (label(y, &name(statements[0]), &rows, &figure))
                rect.group x=(px(x)) y=(px(y + 2.5)) width=(px(width)) height="15" {}
                path.tick d=(ticks(statements, y, scale)) {}
                @if failed > 0 { text.bad x=(px(x + 4.0)) y=(px(y + 15.0)) { "✕ " (failed) } }
            }
        }
        Row::Gap { .. } => html! {
            (label(y, "application", "", &figures::duration(to - from)))
            rect.p-application x=(px(x)) y=(px(y + 4.5)) width=(px(width)) height="11" {}
        },
    }
}

fn rows_of(rows: u64) -> String {
    figures::counted(rows, "row", "rows")
}

fn label(y: f64, name: &str, rows: &str, time: &str) -> Markup {
    const NAME_CHARS_MAX: usize = 28;
    let name = words::visible(name);
    let short: String = match name.chars().count() > NAME_CHARS_MAX {
        true => name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect(),
        false => name.clone(),
    };
    let class = if name == "application" {
        "muted"
    } else {
        "code"
    };
    html! {
        text class=(class) x="0" y=(px(y + 15.0)) { (short) @if short != name { title { (name) } } }
        text.num x="336" y=(px(y + 15.0)) text-anchor="end" { (rows) }
        text.num x=(px(NAMES - 12.0)) y=(px(y + 15.0)) text-anchor="end" { (time) }
    }
}

/// A statement cut into database, transfer and client.
fn bar(statement: &Statement, y: f64, scale: f64) -> Markup {
    let phases = &statement.phases;
    let mut x = NAMES + statement.at_ms * scale;
    let parts = [
        ("p-database", phases.database_ms),
        ("p-transfer", phases.transfer_ms),
        ("p-client", phases.client_ms),
    ]
    .map(|(class, ms)| {
        let part = (class, x, ms * scale);
        x += ms * scale;
        part
    });
    html! {
        @for (index, (class, x, width)) in parts.into_iter().enumerate() {
            @if width > 0.05 || index == 0 {
                @let least = if index == 0 { 2.0 } else { 0.5 };
                rect class=(class) x=(px(x)) y=(px(y + 3.0)) width=(px(width.max(least))) height="14" {}
            }
        }
    }
}

/// One tick a child, where it began.
fn ticks(statements: &[&Statement], y: f64, scale: f64) -> String {
    let step = statements.len().div_ceil(TICKS_MAX);
    statements
        .iter()
        .step_by(step)
        .map(|statement| {
            let x = NAMES + statement.at_ms * scale;
            let width = (statement.phases.duration_ms() * scale).clamp(1.0, 60.0);
            format!("M{} {}h{}v9h-{}z", px(x), px(y + 5.5), px(width), px(width))
        })
        .collect()
}

pub(in crate::cli) fn median(statements: &[&Statement]) -> f64 {
    let mut durations: Vec<f64> = statements
        .iter()
        .map(|statement| statement.phases.duration_ms())
        .collect();
    durations.sort_by(f64::total_cmp);
    durations[durations.len() / 2]
}
