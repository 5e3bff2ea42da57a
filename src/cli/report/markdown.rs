//! The report as Markdown, for a pull request, a ticket or a wiki page.

use std::fmt::{self, Write};

use super::figures;
use super::seen::Report;
use super::words::{self, visible, visible_code};
use crate::cli::client::{Confidence, Finding};

/// Characters of a query's text.
const QUERY_CHARS_MAX: usize = 200;

/// Slowest units shown.
const UNITS: usize = 10;

/// The whole report; `limit` findings and query shapes.
pub fn render(report: &Report, limit: usize) -> String {
    let mut text = String::new();
    let written = whole(&mut text, report, limit);
    debug_assert!(written.is_ok(), "a String takes everything");
    text
}

fn whole(text: &mut String, report: &Report, limit: usize) -> fmt::Result {
    let summary = &report.summary;
    head(text, report)?;
    if summary.queries == 0 {
        return writeln!(text, "\nNo query came through pgprism.");
    }
    phases(text, report)?;
    findings(text, report, limit)?;
    shapes(text, report, limit)?;
    units(text, report)?;
    match words::round_trip(report) {
        Some(round_trip) => writeln!(text, "\n{round_trip}"),
        None => Ok(()),
    }
}

fn head(text: &mut String, report: &Report) -> fmt::Result {
    let summary = &report.summary;
    writeln!(text, "## pgprism report\n")?;
    if let Some(ran) = &report.ran {
        writeln!(
            text,
            "{}, {}, exit {}\n",
            code(&words::command_without_urls(&ran.command)),
            figures::age(ran.wall.as_secs()),
            ran.exit
        )?;
    }
    writeln!(
        text,
        "{}, {}, {}; {}.",
        words::units(report),
        figures::counted(summary.queries, "query", "queries"),
        figures::counted(summary.errors, "error", "errors"),
        words::observed(report),
    )?;
    for reason in &summary.degraded {
        writeln!(text, "- {}", cell(reason))?;
    }
    Ok(())
}

fn phases(text: &mut String, report: &Report) -> fmt::Result {
    let phases = &report.summary.phases;
    let whole = phases.whole_ms();
    writeln!(
        text,
        "\n| where the time went | {} inside requests | share |\n|---|--:|--:|",
        figures::duration(whole)
    )?;
    for (name, ms) in words::phases(phases) {
        writeln!(
            text,
            "| {name} | {} | {} |",
            figures::duration(ms),
            figures::percent(ms, whole)
        )?;
    }
    Ok(())
}

/// The open findings, each with its fix; the names of the fixed ones; rules that do nothing.
fn findings(text: &mut String, report: &Report, limit: usize) -> fmt::Result {
    let open = report.open().count();
    match open {
        0 => writeln!(text, "\n### No findings in {}", words::units(report))?,
        open => {
            let bill = words::bill(report);
            writeln!(
                text,
                "\n### {}\n\nThey cost {} ({} of the time); their fixes save {}.",
                figures::counted(open as u64, "finding", "findings"),
                figures::duration(bill.cost_ms),
                figures::percent(bill.cost_ms, bill.whole_ms),
                figures::duration(bill.saves_ms),
            )?;
        }
    }
    for (index, finding) in report.open().take(limit).enumerate() {
        one(text, index + 1, finding, &[])?;
    }
    if open > limit {
        writeln!(text, "\n{} more are open.", open - limit)?;
    }
    let mut fixed = report.fixed().peekable();
    let mut rules = words::idle_rules(report).peekable();
    if fixed.peek().is_some() || rules.peek().is_some() {
        writeln!(text)?;
    }
    for finding in fixed {
        writeln!(text, "- fixed: {} {}", cell(&finding.kind), about(finding))?;
    }
    for rule in rules {
        writeln!(text, "- `[[ignore]]` matched nothing: {}", code(rule))?;
    }
    Ok(())
}

/// One finding; `places` says further where it was seen, each with a word before.
pub(in crate::cli) fn one(
    text: &mut String,
    number: usize,
    finding: &Finding,
    places: &[(&str, String)],
) -> fmt::Result {
    writeln!(
        text,
        "\n#### {number}. {} ({}, {})\n",
        cell(&finding.advice.title),
        figures::duration(finding.cost_ms),
        finding.confidence.as_str(),
    )?;
    let place = words::places(finding).unwrap_or_else(|| "(no route)".to_owned());
    writeln!(text, "- where: {}: {}", cell(&place), words::price(finding))?;
    for (word, place) in places {
        writeln!(text, "- {word}: {}", code(place))?;
    }
    match words::proof(finding) {
        Some(proof) => writeln!(text, "- proof: {}", code(&proof))?,
        None => writeln!(text, "- about: {}", about(finding))?,
    }
    if let Some(missing) = words::missing(finding) {
        writeln!(text, "- missing: {}", cell(&missing))?;
    }
    if let Some(gain) = words::gain(finding) {
        writeln!(text, "- gain: {gain}")?;
    }
    writeln!(
        text,
        "- kind {}, id {}",
        code(&finding.kind),
        code(&finding.id)
    )?;
    let (django, remark) = words::fix(&finding.advice.django);
    let remark = remark.map(|remark| format!(" ({})", cell(&remark)));
    let word = match finding.confidence {
        Confidence::Suspected => "try",
        Confidence::Likely | Confidence::Proved => "fix",
    };
    match django.trim().is_empty() {
        true => writeln!(text, "- {word}: {}", cell(&finding.advice.django)),
        false => {
            writeln!(text, "- {word}{}:\n", remark.unwrap_or_default())?;
            block(text, &django)
        }
    }
}

/// Code of Python as a block of its own, inside the list's item.
fn block(text: &mut String, django: &str) -> fmt::Result {
    let fence = "`".repeat(longest_run(django).max(2) + 1);
    writeln!(text, "  {fence}python")?;
    for line in django.lines() {
        writeln!(text, "  {}", visible_code(line))?;
    }
    writeln!(text, "  {fence}")
}

fn shapes(text: &mut String, report: &Report, limit: usize) -> fmt::Result {
    writeln!(text, "\n### Top shapes by {}\n", report.sort.words)?;
    writeln!(
        text,
        "| fingerprint | summary | calls | total | mean | p50 | p95 | p99 | max | errors | rows | query |"
    )?;
    writeln!(text, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")?;
    for query in report.queries.iter().take(limit) {
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
        let (summary, query_text) = (cell(&query.summary), code_cell(&query.query));
        let fingerprint = cell(&query.fingerprint);
        writeln!(
            text,
            "| `{fingerprint}` | {summary} | {calls} | {total} | {mean} | {p50} | {p95} | {p99} | {max} | {errors} | {rows} | {query_text} |"
        )?;
    }
    Ok(())
}

fn units(text: &mut String, report: &Report) -> fmt::Result {
    if report.units.is_empty() {
        return Ok(());
    }
    let noun = match report.units.iter().any(words::is_request) {
        true => "requests",
        false => "units of work",
    };
    writeln!(
        text,
        "\n### Slowest {noun}\n\n| where | time | queries | database | application | findings |\n|---|--:|--:|--:|--:|--:|"
    )?;
    for unit in report.units.iter().take(UNITS) {
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&words::unit_name(unit)),
            figures::duration(unit.duration_ms),
            figures::count(unit.queries),
            figures::duration(unit.phases.duration_ms()),
            figures::duration(unit.phases.application_ms),
            unit.findings.len(),
        )?;
    }
    Ok(())
}

/// The relation of a finding, or its query.
fn about(finding: &Finding) -> String {
    match words::relation(finding) {
        Some(relation) => cell(&relation),
        None => code(&finding.query),
    }
}

/// Text that stays in its place and is no markup.
pub(in crate::cli) fn cell(text: &str) -> String {
    let mut cell = String::new();
    for c in visible(text).chars() {
        if matches!(
            c,
            '|' | '`' | '*' | '_' | '<' | '[' | ']' | '\\' | '#' | '@' | '&' | '~'
        ) {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}

/// [`code`] in a table, where bars end a cell even inside code.
fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Text as code: between more backticks than it holds in a row.
pub(in crate::cli) fn code(text: &str) -> String {
    let visible = visible(text);
    let mut short: String = visible.chars().take(QUERY_CHARS_MAX).collect();
    if short.len() < visible.len() {
        short.push('…');
    }
    if short.is_empty() {
        return String::new();
    }
    let longest = longest_run(&short);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{short}{space}{fence}")
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
