//! Query shapes: how often each runs and what it takes, now or in all; and one with its SQL and its distribution.

use std::time::SystemTime;

use super::{ago, bytes, known, names, rate};
use crate::cli::client::{Shape, ShapeDetail};
use crate::cli::report::figures;
use crate::cli::report::text::pad;
use crate::cli::report::words::{self, visible};
use crate::cli::top::look::Paint;
use crate::cli::top::page::Page;
use crate::cli::top::rates::{Counters, Recent};
use crate::cli::top::sheet::{By, Column, Fit, Row, Span};

/// A shape in the table.
#[derive(Debug, Clone)]
pub(in crate::cli::top) struct ShapeRow {
    pub(in crate::cli::top) shape: Shape,
    /// What it did in the last interval.
    pub(in crate::cli::top) recent: Option<Recent>,
    /// Milliseconds that all queries took in the last interval, and in all.
    pub(in crate::cli::top) whole_ms: [f64; 2],
}

const CALLS: usize = 0;
const MS: usize = 1;
const ERRORS: usize = 2;
const ROWS: usize = 3;

/// What rates are made of, in the order of the indices above.
pub(in crate::cli::top) fn counters(shape: &Shape) -> Counters {
    let query = &shape.query;
    [
        query.calls as f64,
        query.total_ms,
        query.errors as f64,
        query.rows as f64,
    ]
}

impl ShapeRow {
    fn per_second(&self, index: usize) -> Option<f64> {
        self.recent.map(|recent| recent.rate(index))
    }

    /// Of the time of all queries in the last interval, per cent. Both were not read at the very same moment.
    fn live_share(&self) -> Option<f64> {
        let recent = self.recent?;
        Some(figures::share(
            recent.grown[MS],
            self.whole_ms[0].max(recent.grown[MS]),
        ))
    }

    fn live_mean_ms(&self) -> Option<f64> {
        let recent = self.recent.filter(|recent| recent.grown[CALLS] >= 1.0)?;
        Some(recent.grown[MS] / recent.grown[CALLS])
    }

    /// What it is about, and what tells it from others that are about the same: columns come first in a text, and
    /// nobody knows a query by them.
    fn text(&self) -> String {
        let query = &self.shape.query;
        let tail = [" WHERE ", " SET ", " ORDER BY ", " VALUES "]
            .iter()
            .find_map(|clause| query.query.find(clause))
            .and_then(|at| query.query.get(at..));
        visible(&format!("{}{}", query.summary, tail.unwrap_or_default()))
    }
}

fn per_cent(share: f64) -> String {
    figures::percent(share, 100.0)
}

/// Behind everything that has a figure.
fn or_least(figure: Option<f64>) -> f64 {
    figure.unwrap_or(-1.0)
}

static LIVE: [Column<ShapeRow>; 10] = [
    Column {
        heading: "calls/s",
        fit: Fit::Right(8),
        rank: 0,
        cell: |row, _| known(row.per_second(CALLS).map(rate)),
        by: By::Figure(|row| or_least(row.per_second(CALLS))),
        asked: "last_seen",
    },
    Column {
        heading: "time",
        fit: Fit::Right(6),
        rank: 0,
        cell: |row, _| known(row.live_share().map(per_cent)),
        by: By::Figure(|row| or_least(row.live_share())),
        asked: "last_seen",
    },
    Column {
        heading: "mean",
        fit: Fit::Right(8),
        rank: 1,
        cell: |row, _| known(row.live_mean_ms().map(figures::duration)),
        by: By::Figure(|row| or_least(row.live_mean_ms())),
        asked: "last_seen",
    },
    Column {
        heading: "errors/s",
        fit: Fit::Right(9),
        rank: 4,
        cell: |row, _| known(row.per_second(ERRORS).map(rate)),
        by: By::Figure(|row| or_least(row.per_second(ERRORS))),
        asked: "last_seen",
    },
    Column {
        heading: "rows/s",
        fit: Fit::Right(8),
        rank: 5,
        cell: |row, _| known(row.per_second(ROWS).map(rate)),
        by: By::Figure(|row| or_least(row.per_second(ROWS))),
        asked: "last_seen",
    },
    Column {
        heading: "p95",
        fit: Fit::Right(8),
        rank: 2,
        cell: |row, _| figures::duration(row.shape.query.p95_ms),
        by: By::Figure(|row| row.shape.query.p95_ms),
        asked: "p95_ms",
    },
    Column {
        heading: "calls",
        fit: Fit::Right(9),
        rank: 3,
        cell: |row, _| figures::short_count(row.shape.query.calls),
        by: By::Figure(|row| row.shape.query.calls as f64),
        asked: "calls",
    },
    QUERY,
    FROM,
    FINGERPRINT,
];

static TOTAL: [Column<ShapeRow>; 13] = [
    Column {
        heading: "calls",
        fit: Fit::Right(9),
        rank: 0,
        cell: |row, _| figures::short_count(row.shape.query.calls),
        by: By::Figure(|row| row.shape.query.calls as f64),
        asked: "calls",
    },
    Column {
        heading: "total",
        fit: Fit::Right(8),
        rank: 0,
        cell: |row, _| figures::duration(row.shape.query.total_ms),
        by: By::Figure(|row| row.shape.query.total_ms),
        asked: "total_ms",
    },
    Column {
        heading: "share",
        fit: Fit::Right(6),
        rank: 4,
        cell: |row, _| figures::percent(row.shape.query.total_ms, row.whole_ms[1]),
        by: By::Figure(|row| row.shape.query.total_ms),
        asked: "total_ms",
    },
    Column {
        heading: "mean",
        fit: Fit::Right(8),
        rank: 1,
        cell: |row, _| figures::duration(row.shape.query.mean_ms),
        by: By::Figure(|row| row.shape.query.mean_ms),
        asked: "mean_ms",
    },
    Column {
        heading: "p95",
        fit: Fit::Right(8),
        rank: 2,
        cell: |row, _| figures::duration(row.shape.query.p95_ms),
        by: By::Figure(|row| row.shape.query.p95_ms),
        asked: "p95_ms",
    },
    Column {
        heading: "max",
        fit: Fit::Right(8),
        rank: 5,
        cell: |row, _| figures::duration(row.shape.query.max_ms),
        by: By::Figure(|row| row.shape.query.max_ms),
        asked: "max_ms",
    },
    Column {
        heading: "rows",
        fit: Fit::Right(9),
        rank: 6,
        cell: |row, _| figures::short_count(row.shape.query.rows),
        by: By::Figure(|row| row.shape.query.rows as f64),
        asked: "rows",
    },
    Column {
        heading: "errors",
        fit: Fit::Right(7),
        rank: 3,
        cell: |row, _| figures::short_count(row.shape.query.errors),
        by: By::Figure(|row| row.shape.query.errors as f64),
        asked: "errors",
    },
    Column {
        heading: "bytes",
        fit: Fit::Right(8),
        rank: 7,
        cell: |row, _| bytes(row.shape.bytes),
        by: By::Figure(|row| row.shape.bytes as f64),
        asked: "bytes",
    },
    Column {
        heading: "seen",
        fit: Fit::Right(7),
        rank: 7,
        cell: |row, now| ago(&row.shape.last_seen, now),
        by: By::Time(|row| &row.shape.last_seen),
        asked: "last_seen",
    },
    QUERY,
    FROM,
    FINGERPRINT,
];

const QUERY: Column<ShapeRow> = Column {
    heading: "query",
    fit: Fit::Rest(24),
    rank: 0,
    cell: |row, _| row.text(),
    by: By::Word(|row| row.shape.query.summary.clone()),
    asked: "total_ms",
};

const FROM: Column<ShapeRow> = Column {
    heading: "from",
    fit: Fit::Left(20),
    rank: 8,
    cell: |row, _| from(&row.shape),
    by: By::Word(|row| from(&row.shape)),
    asked: "total_ms",
};

const FINGERPRINT: Column<ShapeRow> = Column {
    heading: "fingerprint",
    fit: Fit::Left(16),
    rank: 9,
    cell: |row, _| visible(&row.shape.query.fingerprint),
    by: By::Word(|row| row.shape.query.fingerprint.clone()),
    asked: "total_ms",
};

/// Its routes, or the applications where there are none.
fn from(shape: &Shape) -> String {
    let routes = &shape.query.routes;
    visible(&match routes.is_empty() {
        true => shape.applications.join(", "),
        false => routes.join(", "),
    })
}

impl Row for ShapeRow {
    fn id(&self) -> &str {
        &self.shape.query.fingerprint
    }

    fn columns(span: Span) -> &'static [Column<ShapeRow>] {
        match span {
            Span::Live => &LIVE,
            Span::Total => &TOTAL,
        }
    }

    fn sorted_by(span: Span) -> &'static str {
        match span {
            Span::Live => "time",
            Span::Total => "total",
        }
    }

    fn paint(&self, _: SystemTime) -> Paint {
        match self.recent {
            Some(recent) if recent.grown[ERRORS] > 0.0 => Paint::Bad,
            Some(recent) if recent.grown[CALLS] <= 0.0 => Paint::Dim,
            _ => Paint::Plain,
        }
    }
}

/// All that is known of one.
pub(in crate::cli::top) fn page(detail: &ShapeDetail, page: &mut Page, now: SystemTime) {
    let shape = &detail.shape;
    let query = &shape.query;
    page.line(Paint::Bold, &visible(&query.summary));
    page.blank();
    let each = |figure: f64| figure / query.calls.max(1) as f64;
    let counts = format!(
        "{}, {}, {} ({:.1} a call), {}",
        figures::counted(query.calls, "call", "calls"),
        figures::counted(query.errors, "error", "errors"),
        figures::counted(query.rows, "row", "rows"),
        each(query.rows as f64),
        bytes(shape.bytes)
    );
    page.told("seen", Paint::Plain, &counts);
    let times = format!(
        "last {} ago, first {} ago",
        ago(&shape.last_seen, now),
        ago(&shape.first_seen, now)
    );
    page.told("", Paint::Plain, &times);
    let together = |figures: &[(&str, f64)]| {
        let told = figures
            .iter()
            .map(|(name, ms)| format!("{name} {}", figures::duration(*ms)));
        told.collect::<Vec<_>>().join(", ")
    };
    let ends = [
        ("total", query.total_ms),
        ("mean", query.mean_ms),
        ("min", query.min_ms),
        ("max", query.max_ms),
    ];
    page.told("took", Paint::Plain, &together(&ends));
    let quantiles = [
        ("p50", query.p50_ms),
        ("p95", query.p95_ms),
        ("p99", query.p99_ms),
    ];
    page.told("", Paint::Plain, &together(&quantiles));
    page.phases("of that", &shape.phases);
    page.blank();
    page.sql("SQL", &query.query);
    histogram(detail, page);
    who(detail, page);
    if !detail.findings.is_empty() {
        page.heading("Findings");
        for finding in &detail.findings {
            let line = format!(
                "{:>8}  {}",
                figures::duration(finding.cost_ms),
                visible(&finding.advice.title)
            );
            page.line(Paint::Plain, &line);
        }
    }
    if !detail.example_units.is_empty() {
        page.heading("Latest requests that ran it (u opens the first)");
        for example in &detail.example_units {
            let unit = &example.unit;
            let line = format!(
                "{:>8}  {:>8} ago  {}",
                figures::duration(unit.duration_ms),
                ago(&unit.started_at, now),
                visible(&words::unit_name(unit))
            );
            page.line(Paint::Plain, &line);
        }
    }
}

/// The durations, from the first that occurred to the last.
fn histogram(detail: &ShapeDetail, page: &mut Page) {
    const LABELS: usize = 14 + BOUND + 9 + 2;
    const BOUND: usize = 14;
    let seen = |bucket: &crate::cli::client::Bucket| bucket.count > 0;
    let buckets = &detail.histogram;
    let (Some(first), Some(last)) = (
        buckets.iter().position(seen),
        buckets.iter().rposition(seen),
    ) else {
        return;
    };
    page.heading("How long its calls took");
    let most = buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1);
    let room = page.columns.saturating_sub(LABELS).clamp(8, 60);
    let block = page.look.of_both("█", "#");
    for bucket in buckets.iter().take(last + 1).skip(first) {
        let bound = match bucket.le_ms {
            Some(ms) => format!("up to {}", bound(ms)),
            None => "longer".to_owned(),
        };
        let cells = (bucket.count as f64 / most as f64 * room as f64).ceil() as usize;
        page.lines.push(vec![
            (Paint::Plain, pad("", 14)),
            (Paint::Dim, pad(&bound, BOUND)),
            (
                Paint::Plain,
                format!("{:>9}  ", figures::short_count(bucket.count)),
            ),
            (Paint::Database, block.repeat(cells)),
        ]);
    }
}

/// `0.25 ms`, `5 s`: a bound without digits that say nothing.
fn bound(ms: f64) -> String {
    match ms < 1e3 {
        true => format!("{ms} ms"),
        false => format!("{} s", ms / 1e3),
    }
}

fn who(detail: &ShapeDetail, page: &mut Page) {
    let shape = &detail.shape;
    page.blank();
    for (label, list) in [
        ("routes", &shape.query.routes),
        ("application", &shape.applications),
        ("users", &shape.users),
        ("databases", &shape.databases),
        ("tables", &shape.tables),
    ] {
        if !list.is_empty() {
            page.told(label, Paint::Plain, &names(list));
        }
    }
    let codes: Vec<String> = detail
        .error_codes
        .iter()
        .map(|code| format!("{} {} times", code.code, figures::count(code.count)))
        .collect();
    if !codes.is_empty() {
        page.told("errors", Paint::Bad, &names(&codes));
    }
    page.told("fingerprint", Paint::Plain, &shape.query.fingerprint);
}
