//! One finding: what, how much, why it is believed, what to type.

use maud::{Markup, html};

use super::{bars, proof, sql, waterfall};
use crate::cli::client::{Confidence, Finding, Severity};
use crate::cli::report::seen::Report;
use crate::cli::report::{figures, words};

/// The card of an open finding; `drawn` holds the examples that earlier cards have drawn.
pub(super) fn card<'r>(
    report: &'r Report,
    finding: &'r Finding,
    drawn: &mut Vec<(&'r str, &'r Finding)>,
) -> Markup {
    html! {
        article.card id={ "finding-" (finding.id) } {
            header {
                h3 { (words::visible(&finding.advice.title)) }
                p.price {
                    b { (figures::duration(finding.cost_ms)) }
                    " " span class={ "severity " (severity(finding.severity)) } {
                        (triangles(finding.severity)) " " (severity(finding.severity))
                    }
                }
            }
            p.meta { (confidence(finding.confidence)) " · " (place(finding)) " · " (words::price(finding)) }
            div.halves {
                section.half { h4 { "Proof" } (proof::figure(finding)) (missing(finding)) }
                section.half { (fix(finding)) }
            }
            (example(report, finding, drawn))
            @if let Some(parent) = &finding.parent_query {
                details { summary { "Parent query " (fingerprint(finding.parent_fingerprint.as_deref())) } (sql::formatted(parent)) }
            }
            @if !finding.query.is_empty() {
                details { summary { "Repeated query " (fingerprint(Some(&finding.fingerprint))) } (sql::formatted(&finding.query)) }
            }
            p.foot { "id " code { (finding.id) } " · " (kind(&finding.kind)) " · seen " (seen(finding)) }
        }
    }
}

/// A finding as a row of a table.
pub(super) fn line(finding: &Finding) -> Markup {
    html! {
        tr {
            td { (confidence(finding.confidence)) }
            td { (words::visible(&finding.advice.title)) }
            td { (place(finding)) }
            td.num { (figures::duration(finding.cost_ms)) }
            td { code { (finding.id) } }
        }
    }
}

fn fix(finding: &Finding) -> Markup {
    let (code, remark) = words::fix(&finding.advice.django);
    let suspected = finding.confidence == Confidence::Suspected;
    html! {
        h4 { @if suspected { "Try" } @else { "Fix" } }
        @if !code.trim().is_empty() {
            div.fix { pre { code { (words::visible_lines(&code)) } } button.copy type="button" hidden { "Copy" } }
        }
        @if let Some(remark) = remark { p.muted { (words::visible(&remark)) } }
        @if finding.queries_before > finding.queries_after {
            p.figures {
                b { (figures::count(finding.queries_before)) " → " (figures::counted(finding.queries_after, "query", "queries")) }
                " in the largest " (words::unit_noun(finding))
            }
            (bars::before_after(finding.queries_before, finding.queries_after))
        }
        @if finding.advice.saves_ms > 0.0 {
            p { "Saves " (words::saves(finding)) ", " (figures::duration(finding.advice.saves_ms)) " of what was seen." }
        }
        p.why { b { "Why: " } (words::visible(&finding.advice.why)) }
    }
}

fn missing(finding: &Finding) -> Markup {
    html! {
        @if let Some(missing) = words::missing(finding) { p { b { "What is missing: " } (missing) "." } }
    }
}

/// The timeline of one unit; a unit that stands for several findings is drawn once.
fn example<'r>(
    report: &'r Report,
    finding: &'r Finding,
    drawn: &mut Vec<(&'r str, &'r Finding)>,
) -> Markup {
    let Some(detail) = report.example(finding) else {
        return html! {};
    };
    let unit = &detail.unit;
    if let Some((_, earlier)) = drawn.iter().find(|(id, _)| *id == unit.id) {
        return html! {
            p.same { "Its example is drawn above, at “" (words::visible(&earlier.advice.title)) "”." }
        };
    }
    drawn.push((&unit.id, finding));
    let name_of = |fingerprint: &str| {
        let query = report
            .queries
            .iter()
            .find(|query| query.fingerprint == fingerprint);
        query.map(|query| query.summary.clone())
    };
    html! {
        details open[report.findings.first().is_some_and(|first| first.id == finding.id)] {
            summary {
                "Example " (words::unit_noun(finding)) ", " (figures::duration(unit.duration_ms)) ", "
                (figures::counted(unit.queries, "query", "queries")) " in " (figures::counted(unit.shapes, "shape", "shapes"))
                " · " (words::visible(&words::unit_name(unit)))
            }
            (waterfall::figure(detail, &name_of))
        }
    }
}

fn confidence(confidence: Confidence) -> Markup {
    let mark = match confidence {
        Confidence::Proved => "●",
        Confidence::Likely => "◐",
        Confidence::Suspected => "○",
    };
    html! { span.confidence { span aria-hidden="true" { (mark) } " " (confidence.as_str()) } }
}

fn place(finding: &Finding) -> Markup {
    let callsite = finding.tags.get("callsite").and_then(|sites| sites.first());
    html! {
        @match words::places(finding) {
            Some(places) => { b { (words::visible(&places)) } }
            None => { "no route" }
        }
        @if let Some(callsite) = callsite { " · " code { (words::visible(callsite)) } }
    }
}

fn fingerprint(fingerprint: Option<&str>) -> Markup {
    html! { @if let Some(fingerprint) = fingerprint { code { (fingerprint) } } }
}

/// `N+1 on a foreign key`: a kind in words.
fn kind(kind: &str) -> String {
    match kind {
        "n_plus_one_forward" => "N+1 on a foreign key".to_owned(),
        "n_plus_one_reverse" => "N+1 on a reverse foreign key".to_owned(),
        "n_plus_one_many_to_many" => "N+1 on a many-to-many relation".to_owned(),
        "n_plus_one_deferred" => "N+1 on a deferred column".to_owned(),
        "n_plus_one_aggregate" => "N+1 of counts or checks".to_owned(),
        other => words::visible(&other.replace('_', " ")),
    }
}

fn seen(finding: &Finding) -> String {
    let minute = |at: &str| at.get(11..19).unwrap_or(at).to_owned();
    format!(
        "{} to {} UTC",
        minute(&finding.first_seen),
        minute(&finding.last_seen)
    )
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    }
}

fn triangles(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "▲",
        Severity::Medium => "▲▲",
        Severity::High => "▲▲▲",
    }
}
