//! The report for a terminal: 80 columns, ASCII bars, nothing that only colour tells.

mod findings;

use std::fmt::Write;
use std::time::SystemTime;

use super::api::{Finding, Query, Summary};
use super::{Sort, figures};

/// Everything a report says.
#[derive(Debug)]
pub struct Report<'a> {
    /// Where the proxy was asked.
    pub admin: &'a str,
    /// Its totals.
    pub summary: &'a Summary,
    /// All findings that nobody muted, most costly first.
    pub findings: &'a [Finding],
    /// Open ones to show.
    pub limit: usize,
    /// What `queries` are sorted by.
    pub sort: Sort,
    /// The shapes to show, in their order.
    pub queries: &'a [Query],
    /// Whether the proxy has further shapes.
    pub more: bool,
    /// The slowest shapes, in their order.
    pub slowest: &'a [Query],
    /// When the report is made.
    pub now: SystemTime,
}

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of a line.
    pub columns: usize,
    /// Whether escape sequences may be used.
    pub colours: bool,
}

/// Columns of the longest bar: the whole time.
const BAR: f64 = 40.0;

/// Characters of a fingerprint.
const FINGERPRINT: usize = 16;

/// Fewer columns than this for a shape's summary are not worth a further column of figures.
const SUMMARY_MIN: usize = 16;

/// Columns of every figure of a table.
const FIGURE: usize = 9;

/// A column of a table: its heading and a shape's figure.
type Column = (&'static str, fn(&Query) -> String);

/// The columns of both tables, most important first: the last ones go where a terminal is narrow.
const TOP: [Column; 6] = [
    ("calls", |q| figures::short_count(q.calls)),
    ("total", |q| figures::duration(q.total_ms)),
    ("mean", |q| figures::duration(q.mean_ms)),
    ("p95", |q| figures::duration(q.p95_ms)),
    ("errors", |q| figures::short_count(q.errors)),
    ("p99", |q| figures::duration(q.p99_ms)),
];
const SLOWEST: [Column; 4] = [
    ("p95", |q| figures::duration(q.p95_ms)),
    ("p99", |q| figures::duration(q.p99_ms)),
    ("max", |q| figures::duration(q.max_ms)),
    ("calls", |q| figures::short_count(q.calls)),
];

/// The whole report.
pub fn render(report: &Report<'_>, layout: Layout) -> String {
    let mut page = Page {
        text: String::new(),
        layout,
    };
    page.header(report);
    if report.summary.queries == 0 {
        page.nothing(report.summary);
        return page.text;
    }
    page.findings(report);
    page.phases(report.summary);
    page.top(report);
    page.slowest(report.slowest);
    page.text
}

struct Page {
    text: String,
    layout: Layout,
}

impl Page {
    fn header(&mut self, report: &Report<'_>) {
        let summary = report.summary;
        let left = format!("pgprism {} at {}", summary.version, report.admin);
        let up = humantime::parse_rfc3339(&summary.started_at)
            .ok()
            .and_then(|started| report.now.duration_since(started).ok())
            .map(|up| format!("up {}", figures::age(up.as_secs())))
            .unwrap_or_default();
        self.heading(&left, &up);
        let mut counts = format!(
            "{}, {}, {}",
            figures::counted(summary.queries, "query", "queries"),
            figures::counted(summary.errors, "error", "errors"),
            figures::counted(summary.connections, "connection", "connections"),
        );
        let observed = !summary.degraded.iter().any(|reason| is_loss(reason));
        match (summary.dropped, observed) {
            (0, true) => counts.push_str("; everything was observed"),
            (0, false) => counts.push_str("; not everything was observed"),
            (dropped, _) => {
                let dropped = figures::counted(dropped, "event was dropped", "events were dropped");
                let _ = write!(counts, "; {dropped}");
            }
        }
        self.line(&counts);
        for reason in &summary.degraded {
            self.line(&format!("  {}", visible(reason)));
        }
    }

    fn nothing(&mut self, summary: &Summary) {
        self.line("");
        self.line("No query came through pgprism. Django reaches it with these settings:");
        for listener in &summary.listeners {
            let (host, port) = listener
                .listen
                .rsplit_once(':')
                .unwrap_or((&listener.listen, ""));
            let host = match host.trim_matches(['[', ']']) {
                "0.0.0.0" => "127.0.0.1",
                "::" => "::1",
                host => host,
            };
            let alias = visible(&listener.name);
            self.line(&format!("  DATABASES[\"{alias}\"][\"HOST\"] = \"{host}\""));
            self.line(&format!("  DATABASES[\"{alias}\"][\"PORT\"] = \"{port}\""));
        }
    }

    fn phases(&mut self, summary: &Summary) {
        let phases = summary.phases;
        let mut rows = [
            ("application", phases.application_ms),
            ("database", phases.database_ms),
            ("transfer", phases.transfer_ms),
            ("client", phases.client_ms),
        ];
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        let whole: f64 = rows.iter().map(|(_, ms)| ms).sum();
        self.line("");
        self.heading(
            "WHERE THE TIME WENT",
            &format!("{} in all", figures::duration(whole)),
        );
        for (name, ms) in rows {
            let share = if whole > 0.0 { ms / whole } else { 0.0 };
            #[allow(clippy::cast_sign_loss, reason = "shares are not negative")]
            let bar = "#".repeat((share * BAR).round().max(0.0) as usize);
            let row = format!(
                "  {name:<11} {:>8} {:>6}  {bar}",
                figures::duration(ms),
                figures::percent(ms, whole)
            );
            self.line(row.trim_end());
        }
    }

    fn top(&mut self, report: &Report<'_>) {
        if report.queries.is_empty() {
            return;
        }
        self.line("");
        let title = format!("TOP SHAPES by {}", report.sort.words);
        let shown = self.table(&title, &TOP, report.queries, false);
        debug_assert!(shown > 0, "a table has columns");
        if report.more {
            self.line(&format!(
                "  and more: pgprism report --limit {}",
                (report.queries.len() * 5).min(1000)
            ));
        }
    }

    fn slowest(&mut self, slowest: &[Query]) {
        if slowest.is_empty() {
            return;
        }
        self.line("");
        self.table("SLOWEST SHAPES by p95", &SLOWEST, slowest, true);
    }

    /// A title over shapes with as many of `columns` as fit; answers how many did.
    fn table(
        &mut self,
        title: &str,
        columns: &[Column],
        queries: &[Query],
        with_text: bool,
    ) -> usize {
        let names = 2 + FINGERPRINT + 1 + SUMMARY_MIN;
        let fitting = self.layout.columns.saturating_sub(names) / FIGURE;
        let columns = &columns[..columns.len().min(fitting.max(1))];
        let left = self.layout.columns.saturating_sub(columns.len() * FIGURE);

        let mut head = pad(title, left);
        for (name, _) in columns {
            let _ = write!(head, "{name:>FIGURE$}");
        }
        self.bold(&head);
        for query in queries {
            let name = format!(
                "  {} {}",
                visible(&query.fingerprint),
                visible(&query.summary)
            );
            let mut row = pad(&name, left);
            for (_, figure) in columns {
                let _ = write!(row, "{:>FIGURE$}", figure(query));
            }
            match query.errors > 0 {
                true => self.red(&row),
                false => self.line(&row),
            }
            if with_text {
                self.dim(&format!("    {}", visible(&query.query)));
            }
        }
        columns.len()
    }

    /// `left`, and `right` at the end of the line.
    fn heading(&mut self, left: &str, right: &str) {
        let gap = self
            .layout
            .columns
            .saturating_sub(left.chars().count() + right.chars().count());
        match gap {
            0 => self.bold(left),
            gap => self.bold(format!("{left}{}{right}", " ".repeat(gap)).trim_end()),
        }
    }

    fn line(&mut self, line: &str) {
        self.painted("", line);
    }

    fn bold(&mut self, line: &str) {
        self.painted("\x1b[1m", line);
    }

    fn green(&mut self, line: &str) {
        self.painted("\x1b[32m", line);
    }

    fn red(&mut self, line: &str) {
        self.painted("\x1b[31m", line);
    }

    fn dim(&mut self, line: &str) {
        self.painted("\x1b[2m", line);
    }

    fn painted(&mut self, colour: &str, line: &str) {
        self.whole(colour, &cut(line, self.layout.columns));
    }

    /// A line that is not cut: somebody may copy it.
    fn whole(&mut self, colour: &str, line: &str) {
        match self.layout.colours && !colour.is_empty() {
            true => {
                let _ = writeln!(self.text, "{colour}{line}\x1b[0m");
            }
            false => {
                let _ = writeln!(self.text, "{line}");
            }
        }
    }
}

/// Whether a reason of [`Summary::degraded`] says that traffic was not observed; a slow log that leaves lines out, an
/// upstream that is down, or a unit with more statements than are kept, do not.
pub(super) fn is_loss(reason: &str) -> bool {
    !["slow_log_dropped", "upstream_down", "unit_incomplete"]
        .iter()
        .any(|other| reason.starts_with(other))
}

/// `text` in exactly `columns` columns, cut with `…` where it is longer.
fn pad(text: &str, columns: usize) -> String {
    format!("{:<columns$}", cut(text, columns))
}

/// `text` in at most `columns` columns, with `…` where something is missing.
fn cut(text: &str, columns: usize) -> String {
    match text.char_indices().nth(columns) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// One line without control characters: names come from clients, and a terminal obeys escape sequences.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | ' ' if visible.ends_with(' ') => {}
            '\n' | '\t' => visible.push(' '),
            c => visible.push(harmless(c)),
        }
    }
    visible
}

/// A line of code: as [`visible`], with its spaces.
fn visible_code(line: &str) -> String {
    line.chars().map(harmless).collect()
}

fn harmless(c: char) -> char {
    let commands = c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if commands { '?' } else { c }
}
