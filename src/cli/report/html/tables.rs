//! Query shapes and the slowest units as tables that can be sorted.

use maud::{Markup, html};

use super::{bars::px, sql};
use crate::cli::client::{Phases, Query, Unit};
use crate::cli::report::seen::Report;
use crate::cli::report::{figures, words};

/// Slowest units shown.
const UNITS: usize = 10;

/// Characters of formatted SQL in all: a file of many long texts would be too large to attach.
const SQL_CHARS_MAX: usize = 24_000;

/// The top shapes, each with its text behind a button.
pub(super) fn shapes(report: &Report, limit: usize) -> Markup {
    let whole: f64 = report.summary.phases.duration_ms();
    let mut room = SQL_CHARS_MAX;
    let shown = &report.queries[..report.queries.len().min(limit)];
    html! {
        section #shapes {
            h2 { "Top shapes by " (report.sort.words) }
            div.wide tabindex="0" role="region" aria-label="Query shapes" {
                table.sortable {
                    thead { tr {
                        th scope="col" { "shape" }
                        @for name in ["calls", "total", "share", "mean", "p95", "rows", "errors"] {
                            th.num scope="col" { (name) }
                        }
                    } }
                    @for query in shown { (shape(query, whole, &mut room)) }
                }
            }
            @if report.more_queries || report.queries.len() > limit {
                p.muted { "There are further shapes: pgprism report --format json has up to 1,000." }
            }
        }
    }
}

fn shape(query: &Query, whole_ms: f64, room: &mut usize) -> Markup {
    let fits = query.query.len() <= *room;
    if fits {
        *room -= query.query.len();
    }
    let share = figures::share(query.total_ms, whole_ms);
    html! {
        tbody {
        tr.figures {
            td.name { (words::visible(&query.summary)) }
            (number(query.calls as f64, &figures::short_count(query.calls)))
            (number(query.total_ms, &figures::duration(query.total_ms)))
            (number(share, &figures::percent(query.total_ms, whole_ms)))
            (number(query.mean_ms, &figures::duration(query.mean_ms)))
            (number(query.p95_ms, &figures::duration(query.p95_ms)))
            (number(query.rows as f64, &figures::short_count(query.rows)))
            (number(query.errors as f64, &figures::short_count(query.errors)))
        }
        tr { td colspan="8" {
            @if query.query.is_empty() {
                code { (query.fingerprint) }
            } @else {
                details {
                    summary { code { (query.fingerprint) } }
                    @if fits { (sql::formatted(&query.query)) } @else { (sql::plain(&query.query)) }
                    @if !query.routes.is_empty() {
                        p.muted { "called from " (words::visible(&first(&query.routes))) }
                    }
                }
            }
        } }
        }
    }
}

/// A few routes, and how many more there are.
fn first(routes: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = routes[..routes.len().min(SHOWN)].join(", ");
    match routes.len() > SHOWN {
        true => format!("{shown} and {} more", routes.len() - SHOWN),
        false => shown,
    }
}

/// The units that took longest.
pub(super) fn units(report: &Report) -> Markup {
    if report.units.is_empty() {
        return html! {};
    }
    let slowest = &report.units[..report.units.len().min(UNITS)];
    let longest = slowest[0].duration_ms;
    let noun = match report.units.iter().any(words::is_request) {
        true => "requests",
        false => "units of work",
    };
    html! {
        section #requests {
            h2 { "Slowest " (noun) }
            div.wide tabindex="0" role="region" aria-label={ "Slowest " (noun) } {
                table.sortable {
                    thead { tr {
                        th scope="col" { "where" }
                        th.num scope="col" { "time" }
                        th scope="col" { "where it went" }
                        @for name in ["queries", "shapes", "repeats", "findings"] { th.num scope="col" { (name) } }
                        th scope="col" { "evidence" }
                    } }
                    @for unit in slowest { tbody { (unit_row(unit, longest)) } }
                }
            }
        }
    }
}

fn unit_row(unit: &Unit, longest_ms: f64) -> Markup {
    html! {
        tr {
            td.name {
                (words::visible(&words::unit_name(unit)))
                @if unit.incomplete { " " span.muted { "(incomplete)" } }
            }
            (number(unit.duration_ms, &figures::duration(unit.duration_ms)))
            td { (strip(&unit.phases, longest_ms)) }
            (number(unit.queries as f64, &figures::count(unit.queries)))
            (number(unit.shapes as f64, &figures::count(unit.shapes)))
            (number(unit.duplicates as f64, &figures::count(unit.duplicates)))
            (number(unit.findings.len() as f64, &unit.findings.len().to_string()))
            td { (unit.evidence.replace('_', " ")) }
        }
    }
}

/// A unit's phases, as long as its time is of the longest.
fn strip(phases: &Phases, longest_ms: f64) -> Markup {
    let scale = 160.0 / longest_ms.max(0.001);
    let mut x = 0.0;
    let parts = words::phases_in_order(phases).map(|(name, ms)| {
        let part = (name, x, ms * scale);
        x += ms * scale;
        part
    });
    html! {
        svg.strip-bar viewBox="0 0 162 12" role="img" aria-label={
            "application " (figures::duration(phases.application_ms)) ", database " (figures::duration(phases.database_ms))
        } {
            @for (name, x, width) in parts {
                @if width > 0.3 {
                    rect class={ "p-" (name) } x=(px(x)) y="0.5" width=(px((width - 1.0).max(0.5))) height="11" {}
                }
            }
        }
    }
}

/// A figure, and what it is sorted by.
fn number(value: f64, shown: &str) -> Markup {
    html! { td.num data-v=(format!("{value:.3}").trim_end_matches('0').trim_end_matches('.')) { (shown) } }
}
