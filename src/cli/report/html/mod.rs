//! The report as one HTML file: it needs nothing else, asks nobody and can be attached to a ticket.
//!
//! *Architecture invariant:* no value, no address and no user's name stands in it, and everything that came from a
//! client is escaped by [`maud`]. Its one script and its one style sheet are allowed by their hashes, and nothing else is.

mod bars;
mod cards;
mod heat;
mod proof;
pub(in crate::cli) mod sql;
mod tables;
#[cfg(test)]
mod tests;
pub(in crate::cli) mod waterfall;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::seen::Report;
use super::{figures, words};
use crate::cli::client::Finding;

const STYLE: &str = concat!(
    include_str!("../../../../ui/styles/tokens.css"),
    include_str!("style.css")
);
const SCRIPT: &str = include_str!("script.js");

/// Bytes of finding cards: what comes later stands in the list alone, so that the file can be sent.
const CARDS_BYTES_MAX: usize = 150_000;

/// Rows of the list of findings.
const LINES_MAX: usize = 100;

/// The whole file; `limit` query shapes.
pub fn render(report: &Report, limit: usize) -> String {
    let title = title(report);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "pgprism " (report.summary.version) };
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (hatch())
                (header(report))
                main {
                    (degraded(report))
                    @if report.summary.queries == 0 {
                        p { "No query came through pgprism. Point DATABASE_URL at it and load a page." }
                    } @else {
                        section #time {
                            h2 { "Where the time went: " (figures::duration(report.summary.phases.whole_ms())) " inside requests" }
                            (bars::phases(&report.summary.phases))
                        }
                        (findings(report))
                        (tables::shapes(report, limit))
                        (tables::units(report))
                        (heat::map(&report.history))
                    }
                    (reading())
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn title(report: &Report) -> String {
    let findings = figures::counted(report.open().count() as u64, "finding", "findings");
    format!("{findings} · pgprism")
}

/// Nothing may be loaded or run but what stands in the file.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The pattern that stands for the application's time, in print too.
fn hatch() -> Markup {
    html! {
        svg.defs width="0" height="0" aria-hidden="true" {
            defs {
                pattern #hatch width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch width="1.6" height="5" {}
                }
            }
        }
    }
}

fn header(report: &Report) -> Markup {
    let summary = &report.summary;
    let made = humantime::format_rfc3339_seconds(report.now).to_string();
    html! {
        header.top {
            div.line {
                h1 { "pgprism report" }
                button #theme type="button" hidden { "◐ theme" }
            }
            p.meta {
                @if let Some(ran) = &report.ran {
                    code { (words::visible(&words::command_without_urls(&ran.command))) }
                    " · " (figures::age(ran.wall.as_secs())) ", exit " (ran.exit) " · "
                } @else if let Some(up) = words::up(report) {
                    (up) " · "
                }
                time datetime=(made) { (made.replace('T', " ").trim_end_matches('Z')) " UTC" }
                " · pgprism " (summary.version)
            }
            dl.tiles {
                (tile(&words::units(report)))
                (tile(&figures::counted(summary.queries, "query", "queries")))
                (tile(&figures::counted(summary.errors, "error", "errors")))
                (tile(&figures::counted(report.open().count() as u64, "finding", "findings")))
            }
            p.muted {
                (sentence(&words::observed(report)))
                @if let Some(round_trip) = words::round_trip(report) { " " (round_trip) }
            }
        }
    }
}

/// A figure over its word.
fn tile(counted: &str) -> Markup {
    let (figure, word) = counted.split_once(' ').unwrap_or((counted, ""));
    html! { div { dt { (word) } dd { (figure) } } }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(chars)
        .chain(['.'])
        .collect()
}

/// What observation had to give up, a line a reason.
fn degraded(report: &Report) -> Markup {
    let reasons = &report.summary.degraded;
    html! {
        @if !reasons.is_empty() || report.summary.dropped > 0 {
            div.strip role="note" {
                @if report.summary.dropped > 0 {
                    p { (figures::counted(report.summary.dropped, "event", "events")) " dropped: of the units they belong to nothing was concluded." }
                }
                @for reason in reasons { p { (words::visible(reason)) } }
            }
        }
    }
}

fn findings(report: &Report) -> Markup {
    let open: Vec<_> = report.open().collect();
    let bill = words::bill(report);
    let mut cards = String::new();
    let mut shown = 0;
    let mut drawn = Vec::new();
    for finding in &open {
        let card = cards::card(report, finding, &mut drawn).into_string();
        if cards.len() + card.len() > CARDS_BYTES_MAX {
            break;
        }
        cards.push_str(&card);
        shown += 1;
    }
    let further = &open[shown..];
    html! {
        section #findings {
            @if open.is_empty() {
                h2 { "No findings in " (words::units(report)) }
                p { "No query was seen to repeat itself for the rows of another." }
            } @else {
                h2 { (figures::counted(open.len() as u64, "finding", "findings")) }
                p.muted {
                    "They cost " (figures::duration(bill.cost_ms)) ", " (figures::percent(bill.cost_ms, bill.whole_ms))
                    " of the time; their fixes save " (figures::duration(bill.saves_ms)) "."
                }
                @if open.len() > 1 { (index(&open)) }
            }
            (PreEscaped(cards))
            @if !further.is_empty() {
                p.muted {
                    (figures::counted(further.len() as u64, "finding", "findings"))
                    " more: the cards would make this file too large. pgprism report --format json has them."
                }
            }
            @if report.fixed().next().is_some() {
                h3 { "Fixed" }
                ul.fixed { @for finding in report.fixed().take(LINES_MAX) {
                    li { s { (words::visible(&finding.advice.title)) } " " span.muted { (words::relation(finding).unwrap_or_default()) } }
                } }
            }
            @for rule in words::idle_rules(report) { p.muted { "[[ignore]] matched nothing: " code { (words::visible(rule)) } } }
        }
    }
}

/// All findings at a glance.
fn index(open: &[&Finding]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="All findings" {
            table.index {
                thead { tr {
                    th scope="col" { "confidence" }
                    th scope="col" { "finding" }
                    th scope="col" { "where" }
                    th.num scope="col" { "cost" }
                    th scope="col" { "id" }
                } }
                tbody { @for finding in open.iter().take(LINES_MAX) { (cards::line(finding)) } }
            }
        }
        @if open.len() > LINES_MAX { p.muted { "and " (open.len() - LINES_MAX) " more" } }
    }
}

/// What the words mean, for somebody who has never seen pgprism.
fn reading() -> Markup {
    html! {
        section #reading {
            h2 { "How to read this" }
            dl.words {
                dt { "request, unit" } dd { "What belongs together: one HTTP request, one task, one transaction." }
                dt { "shape" } dd { "A query without its values. The 16 digits name it in Grafana, in the log and in every report." }
                dt { "application" } dd { "Python, templates, other services: what happened between two queries of a request." }
                dt { "database, transfer, client" } dd { "Until the first byte of the answer; until its last; time in which the application took no bytes." }
                dt { "proved" } dd { "The rows of one query were seen to come back, value by value, in the next ones. Letters in a proof are equal values; the values themselves are never kept." }
                dt { "likely, suspected" } dd { "Something that would prove it is missing, and the card says what; or it is repetition only." }
                dt { "cost, saves" } dd { "What the surplus queries took, the application's time between them included; and the part of it that the fix gives back." }
            }
        }
    }
}
