//! The report as a Markdown table, for a wiki page or a pull request.

use std::fmt::Write;

use super::api::Finding;
use super::figures;
use super::relation::{places, relation};
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
        if summary.queries > 0 {
            findings(&mut text, report)?;
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

/// The findings: a table of those that are open, and the names of the fixed ones.
fn findings(text: &mut String, report: &Report<'_>) -> std::fmt::Result {
    let open = || report.findings.iter().filter(|f| f.status == "open");
    let about = |finding: &Finding| match relation(finding) {
        Some(relation) => cell(&relation),
        None => code(&finding.query),
    };
    if open().next().is_none() {
        writeln!(text, "No open findings.\n")?;
    } else {
        writeln!(text, "Findings, most costly first:\n")?;
        writeln!(
            text,
            "| cost | saves | kind | confidence | queries | units | relation | write | seen in | finding |"
        )?;
        writeln!(text, "|--:|--:|---|---|--:|--:|---|---|---|---|")?;
    }
    for finding in open().take(report.limit) {
        let advice = &finding.advice;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | `{}` |",
            figures::duration(finding.cost_ms),
            figures::duration(advice.saves_ms),
            cell(&finding.kind),
            cell(&finding.confidence),
            figures::count(finding.queries),
            figures::count(finding.units),
            about(finding),
            code(&advice.django),
            cell(&places(finding).unwrap_or_default()),
            cell(&finding.id),
        )?;
    }
    if open().count() > report.limit {
        writeln!(text, "\n{} more are open.", open().count() - report.limit)?;
    }
    if open().next().is_some() {
        writeln!(text)?;
    }
    for finding in report.findings.iter().filter(|f| f.status == "fixed") {
        writeln!(text, "- fixed: {} {}", cell(&finding.kind), about(finding))?;
    }
    for rule in report
        .summary
        .ignore_rules
        .iter()
        .filter(|rule| rule.matched == 0)
    {
        writeln!(text, "- `[[ignore]]` matched nothing: {}", code(&rule.rule))?;
    }
    if text.ends_with("\n\n") {
        return Ok(());
    }
    writeln!(text)
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
