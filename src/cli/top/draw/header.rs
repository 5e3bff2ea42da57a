//! The lines on top: which proxy, how much goes through it, where the time goes, what is wrong, which views there are.

use super::Canvas;
use super::layout::Layout;
use crate::cli::report::figures;
use crate::cli::report::text::width;
use crate::cli::top::look::Paint;
use crate::cli::top::page::{self, Line};
use crate::cli::top::rows::{rate, since};
use crate::cli::top::sheet::{Known, Sheet, Span};
use crate::cli::top::state::{Feed, State, View};

/// Narrower terminals get the phases without their names, or with short ones.
const LEGEND_COLUMNS: usize = 70;
const NAMES_COLUMNS: usize = 100;

/// Narrower terminals are told less of how it runs.
const TITLE_COLUMNS: usize = 60;

/// Columns between two figures.
const APART: &str = "   ";

pub(super) fn draw(state: &State, layout: &Layout, canvas: &mut Canvas<'_>) {
    title(state, canvas);
    figures_line(state, canvas);
    if let Some(y) = layout.phases {
        phases(state, y, canvas);
    }
    if let (Some((y, shown)), Some((pulse, _))) = (layout.degraded, &state.header.pulse) {
        degraded(&pulse.summary.degraded, shown, y, canvas);
    }
    tabs(state, layout.tabs, canvas);
    if let (Some(y), Some((silent, failure))) = (layout.banner, state.silence()) {
        let silent = figures::age(silent.as_secs());
        let mut words = format!("no answer from {} since {silent}, trying again", state.url);
        // The address stands there already: only what else is known.
        if let Some(why) = failure.filter(|why| !why.starts_with("no proxy answers")) {
            words = format!("{words}: {why}");
        }
        canvas.text(0, y, canvas.columns, Paint::Alarm, &words);
        canvas.paint(y, Paint::Alarm);
    }
}

fn title(state: &State, canvas: &mut Canvas<'_>) {
    let (version, up) = match &state.header.pulse {
        Some((pulse, _)) => {
            let up = since(&pulse.summary.started_at, state.wall);
            let up = up.map(|up| format!("  up {}", figures::age(up.as_secs())));
            (
                format!(" {}", pulse.summary.version),
                up.unwrap_or_default(),
            )
        }
        None => (String::new(), String::new()),
    };
    let wide = usize::from(canvas.columns) >= TITLE_COLUMNS;
    let mode = match (state.feed, state.span, wide) {
        (Feed::Paused, _, true) => "PAUSED (p goes on)".to_owned(),
        (Feed::Paused, _, false) => "PAUSED".to_owned(),
        (Feed::Running, Span::Live, true) => format!("live, every {}", every(state.interval)),
        (Feed::Running, Span::Live, false) => "live".to_owned(),
        (Feed::Running, Span::Total, true) => "since the start".to_owned(),
        (Feed::Running, Span::Total, false) => "total".to_owned(),
    };
    let paint = match state.feed {
        Feed::Paused => Paint::Selected,
        Feed::Running => Paint::Dim,
    };
    let room = usize::from(canvas.columns).saturating_sub(width(&mode) + 2);
    let room = u16::try_from(room).unwrap_or(0);
    let x = canvas.text(0, 0, room, Paint::Bold, &format!("pgprism{version}"));
    let url = format!("  {}{up}", state.url);
    canvas.text(x, 0, room.saturating_sub(x), Paint::Plain, &url);
    canvas.at_the_end(0, paint, &mode);
}

/// As many figures as there is room for, the most important first.
fn figures_line(state: &State, canvas: &mut Canvas<'_>) {
    let Some((pulse, _)) = &state.header.pulse else {
        return;
    };
    let summary = &pulse.summary;
    let some = |count: u64, one: &str, many: &str| {
        let number = figures::short_count(count);
        format!("{number} {}", if count == 1 { one } else { many })
    };
    let failing = |fails: bool| if fails { Paint::Bad } else { Paint::Plain };
    let per_second = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), rate);
    let flow = state.header.flow;
    let (queries, errors) = match state.span {
        Span::Live => (
            format!(
                "{} queries/s",
                per_second(flow.map(|flow| flow.queries_per_s))
            ),
            (
                failing(flow.is_some_and(|flow| flow.errors_per_s > 0.0)),
                format!(
                    "{} errors/s",
                    per_second(flow.map(|flow| flow.errors_per_s))
                ),
            ),
        ),
        Span::Total => (
            some(summary.queries, "query", "queries"),
            (
                failing(summary.errors > 0),
                some(summary.errors, "error", "errors"),
            ),
        ),
    };
    let p95 = state
        .header
        .p95_ms
        .map_or_else(|| "-".to_owned(), figures::duration);
    let dropped = match (summary.dropped, summary.degraded.is_empty()) {
        (0, true) => (Paint::Plain, "nothing dropped".to_owned()),
        (0, false) => (Paint::Warning, "degraded".to_owned()),
        (dropped, _) => (Paint::Bad, format!("{} dropped", figures::count(dropped))),
    };
    let mut parts = vec![
        (Paint::Bold, queries),
        errors,
        (Paint::Plain, format!("p95 {p95}")),
        (
            Paint::Plain,
            some(summary.connections, "connection", "connections"),
        ),
        dropped,
    ];
    if summary.added_latency_ms > 0.0 {
        let added = format!("+{} ms a round trip", summary.added_latency_ms);
        parts.push((Paint::Warning, added));
    }
    let mut x = 0;
    for (paint, text) in parts {
        if x > 0 && usize::from(x) + APART.len() + width(&text) > usize::from(canvas.columns) {
            continue;
        }
        if x > 0 {
            x = canvas.text(x, 1, canvas.columns, Paint::Plain, APART);
        }
        x = canvas.text(x, 1, canvas.columns, paint, &text);
    }
}

fn phases(state: &State, y: u16, canvas: &mut Canvas<'_>) {
    let Some((pulse, _)) = &state.header.pulse else {
        return;
    };
    let phases = match state.span {
        Span::Live => state
            .header
            .flow
            .map(|flow| flow.phases)
            .unwrap_or_default(),
        Span::Total => pulse.summary.phases,
    };
    let whole = phases.whole_ms();
    let share = |ms| figures::percent(ms, whole);
    let columns = usize::from(canvas.columns);
    // The legend's width changes with its figures; the bar's must not.
    let (legend, cells) = match columns {
        0..LEGEND_COLUMNS => (Line::new(), columns.saturating_sub(6)),
        LEGEND_COLUMNS..NAMES_COLUMNS => (
            page::legend(&phases, page::Names::Short, canvas.look, share),
            columns.saturating_sub(61),
        ),
        _ => (
            page::legend(&phases, page::Names::Long, canvas.look, share),
            columns.saturating_sub(76).min(60),
        ),
    };
    let mut line: Line = vec![(Paint::Dim, "time ".to_owned())];
    line.extend(page::bar(&phases, cells, canvas.look));
    line.push((Paint::Plain, "  ".to_owned()));
    line.extend(legend);
    canvas.line(0, y, &line);
}

/// `1 s`, `200 ms`.
fn every(interval: std::time::Duration) -> String {
    match interval.as_secs() {
        0 => format!("{} ms", interval.as_millis()),
        seconds => figures::age(seconds),
    }
}

fn degraded(reasons: &[String], shown: usize, y: u16, canvas: &mut Canvas<'_>) {
    for (index, (y, reason)) in (y..).zip(reasons).take(shown).enumerate() {
        let more = reasons.len() - shown;
        let words = match (index + 1 == shown, more) {
            (true, 1..) => format!("! {reason}, and {more} more"),
            _ => format!("! {reason}"),
        };
        canvas.text(0, y, canvas.columns, Paint::Warning, &words);
    }
}

fn tabs(state: &State, y: u16, canvas: &mut Canvas<'_>) {
    let tabs = View::ALL.map(|view| (view, count(state, view)));
    let words = |form: Form| {
        tabs.map(|(view, count)| {
            let number = view as usize + 1;
            match (form, count) {
                (Form::Counted, Some(count)) => {
                    format!(" {number} {} {} ", view.name(), figures::short_count(count))
                }
                (Form::Counted | Form::Named, _) => format!(" {number} {} ", view.name()),
                (Form::Short, _) => format!("{number} {} ", view.short_name()),
            }
        })
    };
    let fits = |words: &[String; 4]| {
        words.iter().map(|word| width(word)).sum::<usize>() <= usize::from(canvas.columns)
    };
    let words = [Form::Counted, Form::Named, Form::Short]
        .into_iter()
        .map(words)
        .find(fits)
        .unwrap_or_default();
    let mut x = 0;
    for (view, word) in View::ALL.into_iter().zip(words) {
        let paint = match view == state.view {
            true => Paint::Selected,
            false => Paint::Plain,
        };
        x = canvas.text(x, y, canvas.columns, paint, &word);
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Counted,
    Named,
    Short,
}

/// How many there are, as far as anybody has asked.
fn count(state: &State, view: View) -> Option<u64> {
    let pulse = state.header.pulse.as_ref().map(|(pulse, _)| pulse);
    match view {
        View::Findings => pulse.map(|pulse| pulse.findings_open),
        View::Shapes => {
            let whole = state.shapes.filter().is_empty() && state.shapes.known != Known::Nothing;
            whole.then_some(state.shapes.total)
        }
        View::Units => pulse.and_then(|pulse| pulse.summary.units),
        View::Connections => pulse.map(|pulse| pulse.summary.connections),
    }
}
