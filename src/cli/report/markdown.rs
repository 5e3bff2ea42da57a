//! The report as a Markdown table, for a wiki page or a pull request.

use std::fmt::Write;

use super::figures;
use super::text::{Report, is_loss, visible};

/// Characters of a query's text.
const QUERY_CHARS_MAX: usize = 200;

/// The whole report.
pub fn render(report: &Report<'_>) -> String {
    let summary = report.summary;
    let phases = summary.phases;
    let whole = phases.application_ms + phases.database_ms + phases.transfer_ms + phases.client_ms;
    let mut text = String::new();
    let written = (|| {
        writeln!(text, "## pgprism report\n")?;
        write!(
            text,
            "{}, {}",
            figures::counted(summary.queries, "query", "queries"),
            figures::counted(summary.errors, "error", "errors")
        )?;
        let observed =
            summary.dropped == 0 && !summary.degraded.iter().any(|reason| is_loss(reason));
        let reasons: Vec<String> = summary.degraded.iter().map(|reason| cell(reason)).collect();
        let reasons = match reasons.as_slice() {
            [] => String::new(),
            reasons => format!(" ({})", reasons.join("; ")),
        };
        match observed {
            true => writeln!(text, "; everything was observed{reasons}.\n")?,
            false => {
                let dropped =
                    figures::counted(summary.dropped, "event was dropped", "events were dropped");
                writeln!(text, "; not everything was observed: {dropped}{reasons}.\n")?;
            }
        }
        writeln!(
            text,
            "| where the time went | time | share |\n|---|--:|--:|"
        )?;
        for (name, ms) in [
            ("application", phases.application_ms),
            ("database", phases.database_ms),
            ("transfer", phases.transfer_ms),
            ("client", phases.client_ms),
        ] {
            writeln!(
                text,
                "| {name} | {} | {} |",
                figures::duration(ms),
                figures::percent(ms, whole)
            )?;
        }
        if report.queries.is_empty() {
            return writeln!(text, "\nNo query came through pgprism.");
        }
        writeln!(text, "\nTop shapes by {}:\n", report.sort.words)?;
        writeln!(
            text,
            "| fingerprint | summary | calls | total | mean | p50 | p95 | p99 | max | errors | rows | query |"
        )?;
        writeln!(text, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")?;
        for query in report.queries {
            let [total, mean, p50, p95, p99, max] = [
                query.total_ms,
                query.mean_ms,
                query.p50_ms,
                query.p95_ms,
                query.p99_ms,
                query.max_ms,
            ]
            .map(figures::duration);
            let [calls, errors, rows] = [query.calls, query.errors, query.rows].map(figures::count);
            let (summary, query_text) = (cell(&query.summary), code(&query.query));
            let fingerprint = cell(&query.fingerprint);
            writeln!(
                text,
                "| `{fingerprint}` | {summary} | {calls} | {total} | {mean} | {p50} | {p95} | {p99} | {max} | {errors} | {rows} | {query_text} |"
            )?;
        }
        Ok(())
    })();
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

/// Text that stays in its cell and is no markup.
fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in visible(text).chars() {
        if matches!(c, '|' | '`' | '*' | '_' | '<' | '[' | '\\') {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}

/// Text as code: between more backticks than it holds in a row, bars escaped as tables want it.
fn code(text: &str) -> String {
    let visible = visible(text);
    let mut short: String = visible.chars().take(QUERY_CHARS_MAX).collect();
    if short.len() < visible.len() {
        short.push('…');
    }
    if short.is_empty() {
        return String::new();
    }
    let longest = short.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", short.replace('|', "\\|"))
}
