//! The table of a view: its headings, its rows, or what there is to do where it has none.

use super::Canvas;
use super::layout::Layout;
use crate::cli::report::figures;
use crate::cli::report::text::{cut, width};
use crate::cli::report::words::reachable;
use crate::cli::top::look::Paint;
use crate::cli::top::page::wrapped;
use crate::cli::top::sheet::{Direction, Fit, GAP, Head, Known};
use crate::cli::top::state::{State, View};

/// Columns before a table: the mark of the selected row.
const MARK: u16 = 2;

pub(super) fn draw(state: &State, layout: &Layout, canvas: &mut Canvas<'_>) {
    let sheet = state.sheet();
    let heads = sheet.heads(state.span, layout.table_columns());
    headings(state, &heads, layout.body, canvas);
    if sheet.len() == 0 {
        return nothing(state, layout, canvas);
    }
    let height = layout.body_lines();
    let first = sheet.first(height);
    let selected = sheet.selected();
    let rows = first..sheet.len().min(first + height);
    for (y, row) in (layout.body + 1..).zip(rows) {
        let paint = sheet.paint(row, state.wall);
        let mut x = MARK;
        for head in &heads {
            let cell = sheet.cell(row, head.index, state.span, state.wall);
            canvas.text(x, y, head.width, paint, &placed(&cell, head));
            x += head.width + GAP;
        }
        if selected == Some(row) {
            canvas.text(0, y, 1, Paint::Bold, ">");
            canvas.paint(y, Paint::Selected);
        }
    }
}

/// A cell in its column: figures end where the column ends.
fn placed(cell: &str, head: &Head) -> String {
    let columns = usize::from(head.width);
    match head.fit {
        Fit::Left(_) | Fit::Rest(_) => cell.to_owned(),
        Fit::Right(_) => {
            let cell = cut(cell, columns);
            let missing = columns.saturating_sub(width(&cell));
            format!("{}{cell}", " ".repeat(missing))
        }
    }
}

fn headings(state: &State, heads: &[Head], y: u16, canvas: &mut Canvas<'_>) {
    let order = state.sheet().order(state.span);
    let arrow = canvas.look.arrow(order.direction == Direction::Usual);
    let mut x = MARK;
    for head in heads {
        let (paint, heading) = match head.heading == order.heading {
            true => (Paint::Bold, format!("{}{arrow}", head.heading)),
            false => (Paint::Dim, head.heading.to_owned()),
        };
        canvas.text(x, y, head.width, paint, &placed(&heading, head));
        x += head.width + GAP;
    }
}

/// `1-17 of 143 by time`.
pub(super) fn place(state: &State, layout: &Layout) -> String {
    let sheet = state.sheet();
    let height = layout.body_lines();
    let (count, first) = (sheet.len(), sheet.first(height));
    if count == 0 {
        return String::new();
    }
    let end = (first + height).min(count);
    let all = match sheet.total() > count as u64 {
        true => format!(
            "{} ({} in all)",
            figures::count(count as u64),
            figures::count(sheet.total())
        ),
        false => figures::count(count as u64),
    };
    let heading = sheet.order(state.span).heading;
    format!("{}-{end} of {all}, by {heading}", first + 1)
}

/// Why there is no row, and what brings one.
fn nothing(state: &State, layout: &Layout, canvas: &mut Canvas<'_>) {
    let sheet = state.sheet();
    let filter = sheet.filter();
    let (title, words) = match (sheet.known(), &state.header.pulse) {
        (Known::Nothing, _) | (_, None) => ("Asking the proxy.".to_owned(), String::new()),
        (Known::Refused(_), _) => (
            format!("`{filter}` is no filter of this list."),
            "Below stands why. / changes it, Esc clears it.".to_owned(),
        ),
        (Known::Rows, _) if !filter.is_empty() => (
            format!("Nothing matches `{filter}`."),
            "Esc clears the filter, / changes it.".to_owned(),
        ),
        (Known::Rows, Some((pulse, _))) => {
            let summary = &pulse.summary;
            match state.view {
                View::Connections => (
                    "Nobody is connected.".to_owned(),
                    waiting(&summary.listeners),
                ),
                _ if summary.queries == 0 => (
                    "Waiting for the first query.".to_owned(),
                    waiting(&summary.listeners),
                ),
                View::Findings => {
                    let units = summary.units.unwrap_or(0);
                    (
                        format!("No findings in {}.", figures::counted(units, "unit", "units")),
                        "A loop is told from its third query on; load the page that is slow. The shapes (2) show what \
                         runs, the units (3) what each request did."
                            .to_owned(),
                    )
                }
                View::Shapes => ("No query shape yet.".to_owned(), String::new()),
                View::Units => (
                    "No unit of work has been seen yet.".to_owned(),
                    "One is shown with its first query.".to_owned(),
                ),
            }
        }
    };
    let mut y = layout.body + 2;
    let room = canvas.columns.saturating_sub(2 * MARK);
    let mut tell = |paint: Paint, text: &str| {
        for line in wrapped(text, usize::from(room.min(76))) {
            if y < layout.status {
                canvas.text(MARK, y, room, paint, &line);
                y += 1;
            }
        }
    };
    tell(Paint::Bold, &title);
    for paragraph in words.lines() {
        tell(Paint::Plain, paragraph);
    }
}

/// Where Django has to connect to.
fn waiting(listeners: &[crate::cli::client::Listener]) -> String {
    let addresses: Vec<String> = listeners
        .iter()
        .map(|listener| {
            let (host, port) = reachable(&listener.listen);
            match listener.name == "default" {
                true => format!("{host}:{port}"),
                false => format!("{host}:{port} ({})", listener.name),
            }
        })
        .collect();
    format!(
        "Point DATABASE_URL, or HOST and PORT of DATABASES, at {} and load a page.",
        addresses.join(", ")
    )
}
