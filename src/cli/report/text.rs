//! The report for a terminal: 80 columns, ASCII bars, nothing that only colour tells.

mod findings;
mod page;

use std::fmt::Write;

use super::figures;
use super::seen::Report;
use super::words::{self, visible};
use crate::cli::client::{Query, Summary, Unit};
pub(in crate::cli) use findings::one as finding;
pub use page::Layout;
pub(in crate::cli) use page::{Page, Paint};
pub(in crate::cli) use page::{cut, pad, width};

/// What is shown, and where the rest is.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    /// Findings and query shapes.
    pub limit: usize,
    /// Slowest units.
    pub units: usize,
    /// How to see all of it: a command or an option.
    pub rest: &'a str,
}

/// Columns of the longest bar: the whole time.
const BAR: f64 = 40.0;

/// Fewer columns than this for a name are not worth a further column of figures.
const NAME_MIN: usize = 16;

/// Columns of a fingerprint, and of the space around it.
const FINGERPRINT: usize = 16 + 3;

/// A column of a table: its heading, its width and an item's figure.
type Column<T> = (&'static str, usize, fn(&T) -> String);

/// The columns of shapes, most important first: the last ones go where a terminal is narrow.
const SHAPES: [Column<Query>; 5] = [
    ("calls", 9, |q| figures::short_count(q.calls)),
    ("total", 9, |q| figures::duration(q.total_ms)),
    ("mean", 9, |q| figures::duration(q.mean_ms)),
    ("p95", 9, |q| figures::duration(q.p95_ms)),
    ("errors", 8, |q| figures::short_count(q.errors)),
];

/// The columns of units.
const UNITS: [Column<Unit>; 4] = [
    ("time", 9, |u| figures::duration(u.duration_ms)),
    ("queries", 9, |u| figures::short_count(u.queries)),
    ("database", 10, |u| {
        figures::duration(u.phases.duration_ms())
    }),
    ("application", 13, |u| {
        figures::duration(u.phases.application_ms)
    }),
];

/// The whole report.
pub fn render(report: &Report, layout: Layout, extent: Extent<'_>) -> String {
    let mut page = Page::new(layout);
    header(&mut page, report);
    if report.summary.queries == 0 {
        nothing(&mut page, &report.summary);
        return page.text;
    }
    phases(&mut page, &report.summary);
    findings::section(&mut page, report, extent.limit, extent.rest);
    shapes(&mut page, report, extent);
    units(&mut page, report, extent);
    footer(&mut page, report, extent);
    page.text
}

fn header(page: &mut Page, report: &Report) {
    let summary = &report.summary;
    let (left, right) = match &report.ran {
        Some(ran) => (
            format!("pgprism: {}", visible(&ran.command)),
            format!("{}, exit {}", figures::age(ran.wall.as_secs()), ran.exit),
        ),
        None => (
            format!("pgprism {} at {}", visible(&summary.version), report.admin),
            words::up(report).unwrap_or_default(),
        ),
    };
    page.spread(Paint::Bold, &left, &right);
    let counts = format!(
        "{}, {}, {}; {}",
        words::units(report),
        figures::counted(summary.queries, "query", "queries"),
        figures::counted(summary.errors, "error", "errors"),
        words::observed(report),
    );
    page.line(Paint::Plain, &counts);
    for reason in &summary.degraded {
        page.line(Paint::Red, &format!("  {}", visible(reason)));
    }
}

fn nothing(page: &mut Page, summary: &Summary) {
    page.blank();
    page.line(Paint::Bold, "No query came through pgprism.");
    let (down, reached): (Vec<_>, Vec<_>) = summary
        .listeners
        .iter()
        .partition(|listener| listener.upstream_up == Some(false));
    for listener in down {
        let upstream = visible(&listener.upstream);
        page.line(
            Paint::Red,
            &format!("PostgreSQL does not answer at {upstream}: nothing can pass."),
        );
    }
    if reached.is_empty() {
        return;
    }
    page.line(Paint::Plain, "Django reaches it with these settings:");
    for listener in reached {
        let (host, port) = words::reachable(&listener.listen);
        let alias = visible(&listener.name);
        for line in [
            format!("  DATABASES[\"{alias}\"][\"HOST\"] = \"{host}\""),
            format!("  DATABASES[\"{alias}\"][\"PORT\"] = \"{port}\""),
        ] {
            page.line(Paint::Green, &line);
        }
    }
}

fn phases(page: &mut Page, summary: &Summary) {
    let whole = summary.phases.whole_ms();
    page.blank();
    page.spread(
        Paint::Bold,
        "WHERE THE TIME WENT",
        &format!("{} inside requests", figures::duration(whole)),
    );
    for (name, ms) in words::phases(&summary.phases) {
        let share = if whole > 0.0 { ms / whole } else { 0.0 };
        #[allow(clippy::cast_sign_loss, reason = "shares are not negative")]
        let bar = "#".repeat((share * BAR).round().max(0.0) as usize);
        let row = format!(
            "  {name:<11} {:>9} {:>6}  {bar}",
            figures::duration(ms),
            figures::percent(ms, whole)
        );
        page.line(Paint::Plain, &row);
    }
}

fn shapes(page: &mut Page, report: &Report, extent: Extent<'_>) {
    if report.queries.is_empty() {
        return;
    }
    page.blank();
    let title = format!("TOP SHAPES by {}", report.sort.words);
    let rows = &report.queries[..report.queries.len().min(extent.limit)];
    table(
        page,
        &title,
        &SHAPES,
        FINGERPRINT + NAME_MIN,
        rows,
        |query| {
            let name = format!(
                "{} {}",
                visible(&query.fingerprint),
                visible(&query.summary)
            );
            let paint = match query.errors {
                0 => Paint::Plain,
                _ => Paint::Red,
            };
            (name, paint)
        },
    );
}

fn units(page: &mut Page, report: &Report, extent: Extent<'_>) {
    if report.units.is_empty() {
        return;
    }
    let title = match report.units.iter().any(words::is_request) {
        true => "SLOWEST REQUESTS",
        false => "SLOWEST UNITS OF WORK",
    };
    page.blank();
    let rows = &report.units[..report.units.len().min(extent.units)];
    table(page, title, &UNITS, NAME_MIN, rows, |unit| {
        (visible(&words::unit_name(unit)), Paint::Plain)
    });
}

fn footer(page: &mut Page, report: &Report, extent: Extent<'_>) {
    let more_findings = report.open().count() > extent.limit;
    let more_shapes = report.queries.len() > extent.limit || report.more_queries;
    let rest = match (more_findings, more_shapes) {
        (true, _) => format!("Other fixes: {}", extent.rest),
        (false, true) => format!("Other shapes: {}", extent.rest),
        (false, false) => String::new(),
    };
    let round_trip = words::round_trip(report).unwrap_or_default();
    let together = format!("{round_trip} {rest}");
    let lines = match width(&together) <= page.layout.columns {
        true => vec![together.trim().to_owned()],
        false => vec![round_trip, rest],
    };
    let mut lines = lines.into_iter().filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_some() {
        page.blank();
    }
    for line in lines {
        page.line(Paint::Plain, &line);
    }
}

/// A title over items with as many of `columns` as leave `name_min` columns for the name.
fn table<T>(
    page: &mut Page,
    title: &str,
    columns: &[Column<T>],
    name_min: usize,
    items: &[T],
    name: impl Fn(&T) -> (String, Paint),
) {
    let mut left = page.layout.columns;
    let mut shown = 0;
    for (_, width, _) in columns {
        if left < name_min + width {
            break;
        }
        left -= width;
        shown += 1;
    }
    let columns = &columns[..shown];
    let mut head = pad(title, left);
    for (heading, width, _) in columns {
        let _ = write!(head, "{heading:>width$}");
    }
    page.line(Paint::Bold, &head);
    for item in items {
        let (name, paint) = name(item);
        let mut row = pad(&format!("  {name}"), left);
        for (_, width, figure) in columns {
            let _ = write!(row, "{:>width$}", figure(item));
        }
        page.line(paint, &row);
    }
}
