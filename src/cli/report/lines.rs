//! The report as lines of `key=value` for a log: one for all of it, one for each open finding.

use std::fmt::Write;

use super::figures;
use super::seen::Report;
use super::words;
use crate::cli::client::Finding;

/// The first `limit` findings; the totals count all.
pub fn render(report: &Report, limit: usize) -> String {
    let mut text = totals(report);
    for finding in report.open().take(limit) {
        text.push_str(&one(finding));
    }
    text
}

fn totals(report: &Report) -> String {
    let summary = &report.summary;
    let mut line = String::from("pgprism");
    match &report.ran {
        Some(ran) => {
            let wall = ran.wall.as_secs_f64();
            let _ = write!(line, " run exit={} wall_s={wall:.1}", ran.exit);
        }
        None => line.push_str(" report"),
    }
    let requests = summary.units.unwrap_or(report.units.len() as u64);
    let _ = write!(
        line,
        " requests={requests} queries={} errors={}",
        summary.queries, summary.errors
    );
    for (name, ms) in words::phases_in_order(&summary.phases) {
        let share = figures::share(ms, summary.phases.whole_ms());
        let _ = write!(line, " {name}_pct={share:.0}");
    }
    let proved = report.open().filter(|finding| words::is_proved(finding));
    let _ = writeln!(
        line,
        " findings={} proved={} cost_ms={:.0} dropped={}",
        report.open().count(),
        proved.count(),
        words::bill(report).cost_ms,
        summary.dropped
    );
    line
}

fn one(finding: &Finding) -> String {
    let routes = finding.tags.get("route");
    let route = routes.and_then(|routes| routes.first());
    let (code, _) = words::fix(&finding.advice.django);
    format!(
        "pgprism finding id={} confidence={} kind={} route={} cost_ms={:.0} saves_ms={:.0} requests={} before={} after={} fix={}\n",
        value(&finding.id),
        finding.confidence.as_str(),
        value(&finding.kind),
        value(route.map_or("", |route| route)),
        finding.cost_ms,
        finding.advice.saves_ms,
        finding.units,
        finding.queries_before,
        finding.queries_after,
        quoted(&code),
    )
}

/// A value as it is where that is one word, else in quotes.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// In quotes, on one line: quotes, backslashes and line ends are escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for line in text.lines().enumerate() {
        if line.0 > 0 {
            quoted.push_str("\\n");
        }
        for c in words::visible_code(line.1).chars() {
            if matches!(c, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(c);
        }
    }
    quoted.push('"');
    quoted
}
