//! The latency of the last hour as a heat map: time to the right, duration upwards, the deeper the more queries.

use std::fmt::Write;

use maud::{Markup, html};

use super::bars::px;
use crate::aggregate::BOUNDS_SECONDS;
use crate::cli::client::Column;
use crate::cli::report::figures;

/// Columns drawn at most: more are added up.
const COLUMNS_MAX: usize = 120;

/// Steps of colour.
const STEPS: usize = 6;

/// Seconds of one column of the API.
const COLUMN_S: usize = 5;

/// Durations: one row for each bound and one above all.
const ROWS: usize = BOUNDS_SECONDS.len() + 1;

const LEFT: f64 = 64.0;
const WIDTH: f64 = 880.0;
const CELL_HEIGHT: f64 = 12.0;

/// Nothing where nothing was seen in the last hour.
pub(super) fn map(history: &[Column]) -> Markup {
    let Some(columns) = Columns::new(history) else {
        return html! {};
    };
    let height = CELL_HEIGHT * ROWS as f64;
    html! {
        section #heat {
            h2 { "Latency over time" }
            div.wide tabindex="0" role="region" aria-label="Heat map of latency" {
                svg.heat viewBox={ "0 0 " (px(LEFT + WIDTH + 16.0)) " " (px(height + 30.0)) } role="img"
                    aria-label=(columns.in_words()) {
                    @for (row, label) in axis() {
                        text.tick x=(px(LEFT - 8.0)) y=(px(columns.y(row) + 4.0)) text-anchor="end" { (label) }
                        line.grid x1=(px(LEFT)) x2=(px(LEFT + WIDTH)) y1=(px(columns.y(row))) y2=(px(columns.y(row))) {}
                    }
                    @for (step, cells) in columns.cells().iter().enumerate() {
                        @if !cells.is_empty() { path class={ "h" (step + 1) } d=(cells) {} }
                    }
                    path.p95 d=(columns.p95()) {}
                    text.tick x=(px(LEFT)) y=(px(height + 18.0)) {
                        (columns.first)
                        @if !columns.is_wide() { " to " (columns.last) }
                        " UTC"
                    }
                    @if columns.is_wide() {
                        text.tick x=(px(LEFT + columns.span())) y=(px(height + 18.0)) text-anchor="end" { (columns.last) " UTC" }
                    }
                }
            }
            p.legend {
                "queries in a cell: "
                @for (step, from) in columns.legend() {
                    svg.key viewBox="0 0 14 14" aria-hidden="true" { rect class={ "h" (step) } width="14" height="14" {} }
                    " " (from) " "
                }
                svg.key viewBox="0 0 14 14" aria-hidden="true" { path.p95 d="M0 7h14" {} }
                " p95. A column is " (columns.seconds) " s."
            }
        }
    }
}

/// Rows that are named: those of which people have an idea.
fn axis() -> Vec<(usize, String)> {
    BOUNDS_SECONDS
        .iter()
        .enumerate()
        .filter(|(_, bound)| [0.001, 0.01, 0.1, 1.0, 10.0].contains(bound))
        .map(|(row, bound)| (row + 1, short(bound * 1e3)))
        .collect()
}

/// `1 ms`, `10 s`: a bound without digits that say nothing.
fn short(ms: f64) -> String {
    match ms < 1e3 {
        true => format!("{ms} ms"),
        false => format!("{} s", ms / 1e3),
    }
}

struct Columns {
    buckets: Vec<[u64; ROWS]>,
    most: u64,
    seconds: usize,
    first: String,
    last: String,
}

impl Columns {
    fn new(history: &[Column]) -> Option<Columns> {
        let seen = |column: &Column| column.calls > 0;
        let first = history.iter().position(seen)?;
        let last = history.iter().rposition(seen)?;
        let history = &history[first..=last];
        let together = history.len().div_ceil(COLUMNS_MAX);
        let buckets: Vec<[u64; ROWS]> = history
            .chunks(together)
            .map(|columns| {
                let mut sum = [0; ROWS];
                for column in columns {
                    for (sum, count) in sum.iter_mut().zip(&column.buckets) {
                        *sum += count;
                    }
                }
                sum
            })
            .collect();
        let most = buckets.iter().flatten().copied().max().unwrap_or(0);
        Some(Columns {
            most: most.max(1),
            buckets,
            seconds: together * COLUMN_S,
            first: clock(&history[0].at),
            last: clock(&history[history.len() - 1].at),
        })
    }

    fn width(&self) -> f64 {
        WIDTH / self.buckets.len().max(24) as f64
    }

    /// From the first cell's left edge to the last one's right.
    fn span(&self) -> f64 {
        self.width() * self.buckets.len() as f64
    }

    /// Whether both ends have room for their own time.
    fn is_wide(&self) -> bool {
        self.span() > 240.0
    }

    /// The upper edge of the cells below `row`.
    fn y(&self, row: usize) -> f64 {
        CELL_HEIGHT * (ROWS - row) as f64
    }

    /// Step of a count: 0 for none, then 1 to 6 by its logarithm; a single query is visible.
    fn step(&self, count: u64) -> usize {
        if count == 0 {
            return 0;
        }
        #[allow(clippy::cast_precision_loss, reason = "steps of colour")]
        let share = (count as f64).ln() / (self.most as f64).ln().max(f64::MIN_POSITIVE);
        #[allow(clippy::cast_sign_loss, reason = "logarithms of counts from 1 on")]
        let step = (share * (STEPS - 1) as f64).round() as usize;
        1 + step.min(STEPS - 1)
    }

    /// All cells of each step as one path: neighbours in a row are one rectangle.
    fn cells(&self) -> [String; STEPS] {
        let mut paths: [String; STEPS] = Default::default();
        let width = self.width();
        for row in 0..ROWS {
            let mut index = 0;
            while index < self.buckets.len() {
                let step = self.step(self.buckets[index][row]);
                let from = index;
                while index < self.buckets.len() && self.step(self.buckets[index][row]) == step {
                    index += 1;
                }
                if step > 0 {
                    let (x, run) = (LEFT + from as f64 * width, (index - from) as f64 * width);
                    let _ = write!(
                        paths[step - 1],
                        "M{} {}h{}v{}h-{}z",
                        px(x),
                        px(self.y(row + 1)),
                        px(run),
                        px(CELL_HEIGHT),
                        px(run)
                    );
                }
            }
        }
        paths
    }

    /// The row that holds quantile 0.95 of each column, as steps.
    fn p95(&self) -> String {
        let mut path = String::new();
        let mut going_on = false;
        for (index, column) in self.buckets.iter().enumerate() {
            let Some(row) = quantile_row(column) else {
                going_on = false;
                continue;
            };
            let x = LEFT + index as f64 * self.width();
            let y = self.y(row + 1) + CELL_HEIGHT / 2.0;
            let _ = match going_on {
                true => write!(path, "V{}h{}", px(y), px(self.width())),
                false => write!(path, "M{} {}h{}", px(x), px(y), px(self.width())),
            };
            going_on = true;
        }
        path
    }

    /// The least count of each step.
    fn legend(&self) -> Vec<(usize, String)> {
        let mut legend: Vec<(usize, String)> = Vec::new();
        let mut count = 1;
        while count <= self.most && legend.len() < STEPS {
            let step = self.step(count);
            if legend.last().is_none_or(|(last, _)| *last < step) {
                legend.push((step, figures::count(count)));
            }
            count = (count + 1).max(count + count / 16);
        }
        legend
    }

    fn in_words(&self) -> String {
        let calls: u64 = self.buckets.iter().flatten().sum();
        let all = self.buckets.iter().fold([0; ROWS], |mut sum, column| {
            for (sum, count) in sum.iter_mut().zip(column) {
                *sum += count;
            }
            sum
        });
        let bound = quantile_row(&all).and_then(|row| BOUNDS_SECONDS.get(row));
        let p95 = bound.map_or("above 30 s".to_owned(), |bound| {
            format!("at most {}", short(bound * 1e3))
        });
        format!(
            "{} from {} to {} UTC; 95 of 100 took {p95}",
            figures::counted(calls, "query", "queries"),
            self.first,
            self.last
        )
    }
}

/// The row in which quantile 0.95 lies.
fn quantile_row(column: &[u64; ROWS]) -> Option<usize> {
    let calls: u64 = column.iter().sum();
    let wanted = (calls * 95).div_ceil(100);
    let mut below = 0;
    column.iter().position(|count| {
        below += count;
        calls > 0 && below >= wanted
    })
}

/// `14:02:10` of an RFC 3339 time.
fn clock(at: &str) -> String {
    at.get(11..19).unwrap_or(at).to_owned()
}
