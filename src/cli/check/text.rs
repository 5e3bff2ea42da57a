//! The judgement for a terminal or a build's log.

use super::Updated;
use super::judge::Sighting;
use super::verdict::Checked;
use super::words::{self, visible};
use crate::cli::client::Finding;
use crate::cli::report::figures;
use crate::cli::report::text::{Layout, Page, Paint, finding};

/// Findings and shapes of the baseline that are told one by one.
const GONE_MAX: usize = 20;

pub(super) fn render(checked: &Checked, updated: Option<&Updated>, layout: Layout) -> String {
    let mut page = Page::new(layout);
    let ran = &checked.ran;
    let end = format!("{}, exit {}", figures::age(ran.wall.as_secs()), ran.exit);
    let head = format!("pgprism check: {}", visible(&ran.command));
    page.spread(Paint::Bold, &head, &end);
    page.line(Paint::Plain, &words::judged(checked));
    if updated.is_none()
        && let Some(hint) = words::how_to_begin(checked)
    {
        page.wrapped(Paint::Plain, "", &hint);
    }
    for missing in &checked.missing {
        page.wrapped(Paint::Red, "missing: ", &visible(missing));
    }
    for note in &checked.notes {
        page.wrapped(Paint::Plain, "note: ", &visible(note));
    }
    findings(&mut page, checked);
    shapes(&mut page, checked);
    budgets(&mut page, checked);
    gone(&mut page, checked, updated);
    if let Some(updated) = updated {
        page.blank();
        page.wrapped(Paint::Plain, "", &visible(&words::update(updated)));
    }
    page.blank();
    let paint = match checked.status(updated) {
        0 => Paint::Green,
        _ => Paint::Red,
    };
    page.line(paint, &words::outcome(checked, updated));
    page.text
}

fn findings(page: &mut Page, checked: &Checked) {
    let new = checked.new_findings();
    if new.is_empty() {
        return;
    }
    title(page, new.len(), "NEW FINDING", "NEW FINDINGS");
    for (index, (sighting, told)) in new.into_iter().enumerate() {
        finding(page, index + 1, told, &places(sighting, told));
    }
}

/// Where a finding was seen, with the words before.
fn places(sighting: &Sighting, told: &Finding) -> Vec<(&'static str, String)> {
    let test = words::tests(&sighting.tests).map(|tests| ("test", visible(&tests)));
    let line = words::callsite(told).map(|line| ("line", visible(line)));
    test.into_iter().chain(line).collect()
}

fn shapes(page: &mut Page, checked: &Checked) {
    let shapes = &checked.judgement.shapes;
    if shapes.is_empty() {
        return;
    }
    title(
        page,
        shapes.len(),
        "SHAPE TOO EXPENSIVE",
        "SHAPES TOO EXPENSIVE",
    );
    for breach in shapes {
        page.line(Paint::Plain, &visible(&words::shape(checked, breach.what)));
        let place = format!("  {}", words::limit(&breach.limit));
        page.line(Paint::Plain, &place);
        page.line(
            Paint::Plain,
            &format!("  in {}", visible(&words::unit(&breach.at))),
        );
    }
}

fn budgets(page: &mut Page, checked: &Checked) {
    let budgets = &checked.judgement.budgets;
    if budgets.is_empty() {
        return;
    }
    title(page, budgets.len(), "BUDGET EXCEEDED", "BUDGETS EXCEEDED");
    for breach in budgets {
        page.line(Paint::Plain, &visible(&words::unit(&breach.what)));
        page.line(Paint::Plain, &format!("  {}", words::limit(&breach.limit)));
        if let Some(test) = words::most_in(breach) {
            page.line(Paint::Plain, &format!("  {}", visible(&test)));
        }
    }
}

fn gone(page: &mut Page, checked: &Checked, updated: Option<&Updated>) {
    let gone: Vec<_> = words::gone(checked).collect();
    if gone.is_empty() || !checked.is_whole() {
        return;
    }
    page.blank();
    let count = words::counted(gone.len(), "finding", "findings");
    let what = match updated {
        Some(_) => format!("{count} of the baseline not seen any more:"),
        None => format!("{count} of the baseline not seen; --update takes them out:"),
    };
    page.line(Paint::Plain, &what);
    for (id, what) in gone.iter().take(GONE_MAX) {
        let line = format!("  gone {} {}", visible(id), visible(what));
        page.line(Paint::Green, &line);
    }
    if gone.len() > GONE_MAX {
        page.line(
            Paint::Plain,
            &format!("  and {} more", gone.len() - GONE_MAX),
        );
    }
}

fn title(page: &mut Page, count: usize, one: &str, more: &str) {
    page.blank();
    page.line(Paint::Bold, &words::counted(count, one, more));
}
