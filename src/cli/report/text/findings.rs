//! The findings of a report: what costs most on top, with what proves it and the line of Django to write.

use super::super::seen::Report;
use super::super::words::{self, visible, visible_code};
use super::super::{figures, fold};
use super::page::{Page, Paint, width};
use crate::cli::client::{Confidence, Finding};

/// Fixed findings shown.
const FIXED_MAX: usize = 5;

/// Columns of the word before each line of a finding, its margin included.
const LABEL: usize = 13;

/// Narrower terminals do without the proof.
const PROOF_COLUMNS_MIN: usize = 80;

/// The section; `limit` open findings are shown, and `rest` says how to see all.
pub(super) fn section(page: &mut Page, report: &Report, limit: usize, rest: &str) {
    let open: Vec<&Finding> = report.open().collect();
    page.blank();
    if open.is_empty() {
        let nothing = format!("No findings in {}.", words::units(report));
        page.line(Paint::Bold, &nothing);
    } else {
        head(page, report, &open);
    }
    for (index, finding) in open.iter().take(limit).enumerate() {
        one(page, index + 1, finding, &[]);
    }
    if open.len() > limit {
        let more = figures::count((open.len() - limit) as u64);
        page.line(Paint::Plain, &format!("and {more} more: {rest}"));
    }
    let fixed: Vec<&Finding> = report.fixed().collect();
    for finding in fixed.iter().take(FIXED_MAX) {
        let what = words::relation(finding).unwrap_or_else(|| finding.query.clone());
        let line = format!("fixed: {} {}", visible(&finding.kind), visible(&what));
        page.line(Paint::Green, &line);
    }
    if fixed.len() > FIXED_MAX {
        let more = format!("fixed: {} more", fixed.len() - FIXED_MAX);
        page.line(Paint::Green, &more);
    }
    for rule in words::idle_rules(report) {
        let line = format!("[[ignore]] matched nothing: {}", visible(rule));
        page.line(Paint::Plain, &line);
    }
}

fn head(page: &mut Page, report: &Report, open: &[&Finding]) {
    let title = figures::counted(open.len() as u64, "FINDING", "FINDINGS");
    let bill = words::bill(report);
    let share = figures::percent(bill.cost_ms, bill.whole_ms);
    let (cost, saves) = (
        figures::duration(bill.cost_ms),
        figures::duration(bill.saves_ms),
    );
    let right = [
        format!("cost {cost} ({share} of the time), fixes save {saves}"),
        format!("cost {cost}, fixes save {saves}"),
        format!("cost {cost}"),
    ];
    let fitting = right
        .iter()
        .find(|right| right.len() + title.len() + 2 <= page.layout.columns);
    page.spread(Paint::Bold, &title, fitting.map_or("", |right| right));
}

/// One finding; `places` says further where it was seen, each with a word before.
pub(in crate::cli) fn one(
    page: &mut Page,
    number: usize,
    finding: &Finding,
    places: &[(&str, String)],
) {
    let mark = format!("{number} {}", finding.confidence.as_str());
    let head = format!("{mark:<LABEL$}{}", visible(&finding.advice.title));
    page.spread(Paint::Bold, &head, &figures::duration(finding.cost_ms));
    let place = words::places(finding).unwrap_or_else(|| "(no route)".to_owned());
    let place = visible(&place);
    if width(&place) < LABEL - 2 {
        labelled(page, Paint::Plain, &place, &words::price(finding));
    } else {
        page.line(Paint::Plain, &format!("  {place}"));
        labelled(page, Paint::Plain, "", &words::price(finding));
    }
    for (word, place) in places {
        labelled(page, Paint::Plain, word, place);
    }
    if page.layout.columns >= PROOF_COLUMNS_MIN
        && let Some(proof) = words::proof(finding)
    {
        labelled(page, Paint::Plain, "proof", &visible(&proof));
    }
    if let Some(missing) = words::missing(finding) {
        labelled(page, Paint::Plain, "missing", &visible(&missing));
    }
    fix(page, finding);
    let gain = words::gain(finding).unwrap_or_else(|| "not known".to_owned());
    let left = label("gain", &gain);
    page.spread(Paint::Plain, &left, &format!("id {}", visible(&finding.id)));
}

/// The code, in as many lines as it takes (Python goes on inside brackets), and what is to be said about it.
fn fix(page: &mut Page, finding: &Finding) {
    let (code, remark) = words::fix(&finding.advice.django);
    let word = match finding.confidence {
        Confidence::Suspected => "try",
        Confidence::Likely | Confidence::Proved => "fix",
    };
    let room = page.layout.columns.saturating_sub(LABEL);
    let mut first = true;
    for line in code.lines().filter(|line| !line.trim().is_empty()) {
        for part in fold::python(&visible_code(line), room) {
            let word = if std::mem::take(&mut first) { word } else { "" };
            labelled(page, Paint::Green, word, &part);
        }
    }
    if let Some(remark) = remark {
        let word = if first { word } else { "" };
        labelled(page, Paint::Dim, word, &visible(&remark));
    }
}

fn labelled(page: &mut Page, paint: Paint, word: &str, text: &str) {
    page.line(paint, &label(word, text));
}

fn label(word: &str, text: &str) -> String {
    let gap = (LABEL - 2).saturating_sub(width(word)).max(1);
    format!("  {word}{}{text}", " ".repeat(gap))
}
