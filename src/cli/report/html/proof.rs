//! The proof of a finding as a drawing: left the parent's values, right the queries that asked for them, in the order
//! in which they came.
//!
//! Letters are classes of equal values, never a value. They are drawn where the figures say which rows are equal: where
//! all differ. Elsewhere the rows are numbered.

use maud::{Markup, html};

use super::bars::px;
use crate::cli::client::{Finding, Pattern, Proof};
use crate::cli::report::{figures, words};

/// Rows drawn; the rest is a line of text.
const ROWS_MAX: usize = 8;

const ROW: f64 = 24.0;
const TOP: f64 = 52.0;
const LEFT: f64 = 24.0;
const RIGHT: f64 = 258.0;
const WIDTH: f64 = 420.0;

/// The drawing, or nothing where neither values nor repetition say enough for one.
pub(super) fn figure(finding: &Finding) -> Markup {
    let drawing = match (finding.kind.as_str(), &finding.proof) {
        ("write_loop", _) => into_one(finding, "rows, one by one", "writes"),
        ("duplicate", _) => into_one(finding, "same text, same values", "times"),
        (_, Some(proof)) => flow(finding, proof),
        (_, None) => html! {},
    };
    let text = words::proof(finding).or_else(|| words::relation(finding));
    html! {
        figure.proof {
            (drawing)
            figcaption {
                @match text {
                    Some(text) => { (text) }
                    None => { "The same query again and again: " (words::price(finding)) "." }
                }
            }
        }
    }
}

/// One value of the parent and what was asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    /// Equal letters are equal values.
    Letter(String),
    /// The rows are known by their place only.
    Number(usize),
    /// No value: nothing was asked for it.
    Null,
}

/// The rows of a proof, in order, at most [`ROWS_MAX`].
pub(super) fn rows(proof: &Proof) -> Vec<Row> {
    if let Pattern::Classes(classes) = &proof.pattern {
        return classes
            .iter()
            .take(ROWS_MAX)
            .map(|class| match class {
                Some(class) => Row::Letter(letter(*class as usize)),
                None => Row::Null,
            })
            .collect();
    }
    let count = usize::try_from(proof.matched).unwrap_or(usize::MAX);
    let all_differ = proof.distinct == proof.matched;
    (0..count.min(ROWS_MAX))
        .map(|index| match all_differ {
            true => Row::Letter(letter(index)),
            false => Row::Number(index + 1),
        })
        .collect()
}

/// A, B, … Z, A1, B1, …
fn letter(class: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(class % 26).unwrap_or(0));
    match class / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

fn flow(finding: &Finding, proof: &Proof) -> Markup {
    let rows = rows(proof);
    let fans = matches!(
        finding.kind.as_str(),
        "n_plus_one_reverse" | "n_plus_one_many_to_many" | "n_plus_one_aggregate"
    );
    let ordered = proof.in_order == proof.matched;
    let rest = proof.matched.saturating_sub(rows.len() as u64);
    let shown_nulls = rows.iter().filter(|row| **row == Row::Null).count() as u64;
    let nulls = proof.nulls.saturating_sub(shown_nulls);
    let lines = rows.len() + usize::from(nulls > 0) + usize::from(rest > 0);
    let height = TOP + ROW * lines as f64 + 4.0;
    let parent = words::parent_side(finding).unwrap_or_default();
    let child = words::child_side(finding).unwrap_or_default();
    let from = format!("1 query, {}", figures::counted(proof.rows, "row", "rows"));
    let to = format!(
        "{}, one by one",
        figures::counted(proof.matched, "query", "queries")
    );
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (px(height)) } role="img" aria-label={ (from) " of " (parent) "; " (to) " for " (child) } {
            (heads(&from, &parent, &to, &child))
            @for (index, row) in rows.iter().enumerate() {
                @let y = TOP + ROW * index as f64 + ROW / 2.0;
                @match row {
                    Row::Null => { (null(y, 1)) }
                    Row::Letter(name) => { (arrow(y, name, fans, ordered)) }
                    Row::Number(number) => { (arrow(y, &number.to_string(), fans, ordered)) }
                }
            }
            @let y = TOP + ROW * rows.len() as f64 + ROW / 2.0;
            @if nulls > 0 { (null(y, nulls)) }
            @if rest > 0 {
                @let y = if nulls > 0 { y + ROW } else { y };
                text.muted x=(px(LEFT)) y=(px(y + 4.0)) {
                    "… " (figures::count(rest)) " more, "
                    @if ordered { "same order" } @else { "not all in this order" }
                    @if proof.distinct < proof.matched { ", " (proof.distinct) " different values" }
                }
            }
        }
    }
}

fn heads(from: &str, parent: &str, to: &str, child: &str) -> Markup {
    html! {
        text.strong x=(px(LEFT - 12.0)) y="16" { (from) }
        text.strong x=(px(RIGHT - 12.0)) y="16" { (to) }
        text.code x=(px(LEFT - 12.0)) y="35" { (shorten(parent)) }
        text.code x=(px(RIGHT - 12.0)) y="35" { (shorten(child)) }
    }
}

/// Characters of a name that fit over a column of the drawing.
fn shorten(name: &str) -> String {
    const CHARS_MAX: usize = 30;
    match name.chars().count() > CHARS_MAX {
        true => format!("{}…", name.chars().take(CHARS_MAX - 1).collect::<String>()),
        false => name.to_owned(),
    }
}

/// From a value of the parent to the query that asked for it; a dashed line where the order is another one.
fn arrow(y: f64, name: &str, fans: bool, ordered: bool) -> Markup {
    let class = if ordered { "flow" } else { "flow loose" };
    let tip = RIGHT - 14.0;
    html! {
        (node(LEFT, y, name))
        path class=(class) d={ "M" (px(LEFT + 13.0)) " " (px(y)) "H" (px(tip)) } {}
        path.tip d={ "M" (px(tip)) " " (px(y)) "l-7 -4v8z" } {}
        (node(RIGHT, y, name))
        @if fans {
            @for (dy, length) in [(-6.0, 26.0), (0.0, 34.0), (6.0, 20.0)] {
                path.row d={ "M" (px(RIGHT + 18.0)) " " (px(y + dy)) "h" (px(length)) } {}
            }
        }
    }
}

fn node(x: f64, y: f64, name: &str) -> Markup {
    html! {
        circle.node cx=(px(x)) cy=(px(y)) r="10" {}
        text.letter x=(px(x)) y=(px(y + 4.0)) text-anchor="middle" { (name) }
    }
}

fn null(y: f64, count: u64) -> Markup {
    html! {
        circle.node.none cx=(px(LEFT)) cy=(px(y)) r="10" {}
        text.letter x=(px(LEFT)) y=(px(y + 4.0)) text-anchor="middle" { "∅" }
        text.muted x=(px(LEFT + 18.0)) y=(px(y + 4.0)) { "NULL, nothing was asked for (" (count) ")" }
    }
}

/// Many statements that go to one place: a table that is written, an answer that is asked for again.
fn into_one(finding: &Finding, what: &str, noun: &str) -> Markup {
    let each = finding.queries.div_ceil(finding.occurrences.max(1));
    let shown = usize::try_from(each)
        .unwrap_or(usize::MAX)
        .clamp(1, ROWS_MAX);
    let rest = each.saturating_sub(shown as u64);
    let height = TOP + ROW * (shown + usize::from(rest > 0)) as f64 + 4.0;
    let table = finding.child_table.as_deref().unwrap_or("one answer");
    let middle = TOP + ROW * shown as f64 / 2.0;
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (px(height)) } role="img"
            aria-label={ (each) " " (noun) ", all to " (table) } {
            (heads(&format!("{} {noun}", figures::count(each)), what, "1 would do", table))
            @for index in 0..shown {
                @let y = TOP + ROW * index as f64 + ROW / 2.0;
                (node(LEFT, y, &(index + 1).to_string()))
                path.flow d={ "M" (px(LEFT + 13.0)) " " (px(y)) "L" (px(RIGHT - 22.0)) " " (px(middle)) } {}
            }
            path.tip d={ "M" (px(RIGHT - 12.0)) " " (px(middle)) "l-10 -5v10z" } {}
            rect.node x=(px(RIGHT - 10.0)) y=(px(middle - 14.0)) width="150" height="28" rx="6" {}
            text.code x=(px(RIGHT + 2.0)) y=(px(middle + 4.0)) { (shorten(table).chars().take(18).collect::<String>()) }
            @if rest > 0 {
                text.muted x=(px(LEFT)) y=(px(TOP + ROW * shown as f64 + ROW / 2.0 + 4.0)) {
                    "… " (figures::count(rest)) " more"
                }
            }
        }
    }
}
