//! What a judgement says, whatever it is written as.

use std::time::Duration;

use super::Updated;
use super::judge::{Breach, Limit, Names, Scope, UnitName};
use super::verdict::Checked;
use crate::cli::client::Finding;
use crate::cli::report::{figures, words};
use crate::sql::Fingerprint;

pub(super) use crate::cli::report::words::visible;

/// `3 tests`, `1 test`.
pub(super) fn counted(count: usize, one: &str, more: &str) -> String {
    figures::counted(count as u64, one, more)
}

/// `shop_book.publisher_id -> shop_publisher.id`; nothing where no rows flow.
pub(super) fn flow(finding: &Finding) -> String {
    match finding.parent_table {
        Some(_) => words::relation(finding).unwrap_or_default(),
        None => finding.child_table.clone().unwrap_or_default(),
    }
}

/// What was judged, and by what.
pub(super) fn judged(checked: &Checked) -> String {
    let counts = &checked.judgement.counts;
    let mut parts = Vec::new();
    match checked.judgement.scope {
        Scope::Tests => parts.push(counted(counts.tests, "test", "tests")),
        Scope::All => parts.push(counted(counts.others, "unit", "units")),
    }
    if counts.requests > 0 {
        parts.push(counted(counts.requests, "request", "requests"));
    }
    parts.push(figures::counted(counts.queries, "query", "queries"));
    let against = match (&checked.baseline, checked.baseline_name.as_str()) {
        (_, "") => "against no baseline".to_owned(),
        (Some(_), name) => format!("against {name}"),
        (None, name) => format!("there is no {name} yet"),
    };
    let new = match (&checked.baseline, checked.judgement.new_shapes) {
        (None, _) | (_, 0) => String::new(),
        (Some(_), new) => format!(", {}", counted(new, "new shape", "new shapes")),
    };
    format!("{}; {against}{new}", parts.join(", "))
}

/// Without a baseline everything is new.
pub(super) fn how_to_begin(checked: &Checked) -> Option<String> {
    let has_file = checked.baseline.is_some() || checked.baseline_name.is_empty();
    (!has_file).then(|| {
        format!(
            "everything counts as new: `pgprism check --update -- ...` writes {} with what is there now",
            checked.baseline_name
        )
    })
}

/// What is wrong in a few words, or that nothing is.
pub(super) fn outcome(checked: &Checked, updated: Option<&Updated>) -> String {
    if checked.status(updated) == 0 {
        return match checked.ran.exit {
            0 => "OK: nothing new, no limit broken".to_owned(),
            exit => format!("nothing new, no limit broken; the command failed with {exit}"),
        };
    }
    let judgement = &checked.judgement;
    let new = judgement.new_findings().count();
    let parts = [
        (new, "new finding", "new findings"),
        (
            judgement.shapes.len(),
            "shape too expensive",
            "shapes too expensive",
        ),
        (
            judgement.budgets.len(),
            "budget exceeded",
            "budgets exceeded",
        ),
    ];
    let mut parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, more)| counted(count, one, more))
        .collect();
    if !checked.missing.is_empty() {
        parts.push("not everything was seen".to_owned());
    }
    if matches!(updated, Some(Updated { change: None, .. })) {
        parts.push("the baseline was left alone".to_owned());
    }
    let command = match checked.ran.exit {
        0 => String::new(),
        exit => format!("; the command failed with {exit}"),
    };
    format!("FAILED: {}{command}", parts.join(", "))
}

/// What the baseline became.
pub(super) fn update(updated: &Updated) -> String {
    let path = updated.path.display();
    match updated.change {
        Some(change) => format!(
            "{path}: {} added, {} taken out, {} kept; shapes: {} added, {} taken out, {} kept",
            counted(change.added, "finding", "findings"),
            change.removed,
            change.kept,
            change.shapes_added,
            change.shapes_removed,
            change.shapes_kept,
        ),
        None => format!(
            "{path} was left as it is: what was not seen, or failed, says nothing of what is gone"
        ),
    }
}

/// The tests in which a finding was seen.
pub(super) fn tests(names: &Names) -> Option<String> {
    super::verdict::listed(names)
}

/// The line of code that sends what repeats: of several, the first.
pub(super) fn callsite(finding: &Finding) -> Option<&str> {
    let sites = finding.tags.get("callsite")?;
    sites.iter().map(String::as_str).min()
}

/// A unit as it is called: its route, its test, else what it begins with.
pub(super) fn unit(name: &UnitName) -> String {
    let by_first = || {
        let first = name.first.as_deref()?;
        Some(format!("(no route) first: {first}"))
    };
    name.route
        .as_deref()
        .or(name.test.as_deref())
        .map(str::to_owned)
        .or_else(by_first)
        .unwrap_or_else(|| "(no route)".to_owned())
}

/// Where a breach was the most, as far as its own name does not say so.
pub(super) fn most_in(breach: &Breach<UnitName>) -> Option<String> {
    let test = breach.at.test.as_deref();
    let test = test.filter(|_| breach.what.route.is_some())?;
    Some(match breach.units {
        1 => format!("in {test}"),
        units => format!("most in {test}, {units} times in all"),
    })
}

/// The figure that is too much, and the limit.
pub(super) fn limit(limit: &Limit) -> String {
    let count = figures::count;
    let time = |duration: &Duration| figures::duration(duration.as_secs_f64() * 1e3);
    match limit {
        Limit::Queries { found, most } => {
            format!(
                "{} queries, at most {} allowed (max_queries)",
                count(*found),
                count(*most)
            )
        }
        Limit::Rows { found, most } => {
            format!(
                "{} rows, at most {} allowed (max_rows)",
                count(*found),
                count(*most)
            )
        }
        Limit::Time { found, most } => {
            format!(
                "{} in queries, at most {} allowed (max_time)",
                time(found),
                time(most)
            )
        }
        Limit::NewRows { found, most } => format!(
            "new, with {} rows in a call, at most {} allowed (new_shape_max_rows)",
            count(*found),
            count(*most)
        ),
        Limit::NewCalls { found, most } => format!(
            "new, with {} calls in one unit, at most {} allowed (new_shape_max_calls)",
            count(*found),
            count(*most)
        ),
        Limit::NewMean { found, most } => format!(
            "new, with a mean of {}, at most {} allowed (new_shape_max_mean)",
            time(found),
            time(most)
        ),
        Limit::GrownRows { found, known } => format!(
            "{} rows in a call, it was {} at most (growth_factor)",
            count(*found),
            count(*known)
        ),
        Limit::GrownCalls { found, known } => format!(
            "{} calls in one unit, it was {} at most (growth_factor)",
            count(*found),
            count(*known)
        ),
    }
}

/// A shape by what it is about, with its id.
pub(super) fn shape(checked: &Checked, fingerprint: Fingerprint) -> String {
    let name = checked.shape_name(fingerprint);
    format!("{fingerprint} {name}").trim_end().to_owned()
}

/// A finding of the baseline that was not seen.
pub(super) fn gone(checked: &Checked) -> impl Iterator<Item = (String, String)> {
    let known = checked
        .judgement
        .gone
        .iter()
        .filter_map(|id| checked.known(*id));
    known.map(|entry| {
        let what = match entry.flow.is_empty() {
            true => &entry.title,
            false => &entry.flow,
        };
        let what = format!("{} {what}", entry.kind);
        (entry.finding.clone(), what.trim().to_owned())
    })
}
