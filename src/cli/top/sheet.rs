//! Tables of any kind of row: which columns there are, which of them fit, what is selected, what is on top.

use std::cmp::Ordering;
use std::time::SystemTime;

use super::look::Paint;

/// Columns of the terminal between two columns of a table.
pub(super) const GAP: u16 = 1;

/// Whether figures are of the last interval or of all time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// Between the last two answers.
    Live,
    /// Since the proxy started, or was reset.
    Total,
}

impl Span {
    pub(super) fn other(self) -> Span {
        match self {
            Span::Live => Span::Total,
            Span::Total => Span::Live,
        }
    }

    fn index(self) -> usize {
        match self {
            Span::Live => 0,
            Span::Total => 1,
        }
    }
}

/// How a column stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// So many columns of the terminal, the text at the left.
    Left(u16),
    /// So many columns of the terminal, the figure at the right.
    Right(u16),
    /// What the others leave, at least so many columns.
    Rest(u16),
}

impl Fit {
    fn least(self) -> u16 {
        match self {
            Fit::Left(width) | Fit::Right(width) | Fit::Rest(width) => width,
        }
    }
}

/// What a column is sorted by.
pub(super) enum By<T> {
    /// Greatest first.
    Figure(fn(&T) -> f64),
    /// From A to Z.
    Word(fn(&T) -> String),
    /// Times of the API, latest first.
    Time(fn(&T) -> &str),
}

/// A column of a table of `T`.
pub(super) struct Column<T: 'static> {
    pub(super) heading: &'static str,
    pub(super) fit: Fit,
    /// Where a terminal is narrow the greatest go first; 0 is always there.
    pub(super) rank: u8,
    pub(super) cell: fn(&T, SystemTime) -> String,
    pub(super) by: By<T>,
    /// The API's key for the same order; it decides which rows come where there are more than one answer holds.
    pub(super) asked: &'static str,
}

/// Something a table shows a line for.
pub(super) trait Row: 'static + Sized {
    /// What it is known by while its figures and its place change.
    fn id(&self) -> &str;
    /// The columns, in their order.
    fn columns(span: Span) -> &'static [Column<Self>];
    /// The heading of the column that sorts it at first.
    fn sorted_by(span: Span) -> &'static str;
    /// How its line is painted at that wall time.
    fn paint(&self, now: SystemTime) -> Paint;
    /// Rows of a lower group come first, whatever they are sorted by.
    fn group(&self) -> u8 {
        0
    }
}

/// The heading of a column and the room it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) heading: &'static str,
    pub(super) fit: Fit,
    rank: u8,
    /// Which of the columns it is.
    pub(super) index: usize,
    pub(super) width: u16,
}

/// What a table is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) heading: &'static str,
    pub(super) direction: Direction,
}

/// Which end is on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// As the column has it: figures greatest first, words from A.
    Usual,
    Reversed,
}

/// Where the selection is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    /// On the first row, whichever that is: nobody has moved it yet.
    Top,
    /// On this row; on this line where it is gone.
    On { id: String, index: usize },
}

/// A step of the selection or of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Down,
    Up,
    PageDown,
    PageUp,
    Home,
    End,
}

impl Step {
    /// From line `at` of `count`, `page` lines being in sight.
    pub(super) fn from(self, at: usize, count: usize, page: usize) -> usize {
        let page = page.saturating_sub(1).max(1);
        let to = match self {
            Step::Down => at.saturating_add(1),
            Step::Up => at.saturating_sub(1),
            Step::PageDown => at.saturating_add(page),
            Step::PageUp => at.saturating_sub(page),
            Step::Home => 0,
            Step::End => count,
        };
        to.min(count.saturating_sub(1))
    }
}

/// What is known of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing was answered yet.
    Nothing,
    /// The rows are those of the last answer.
    Rows,
    /// The proxy refuses the filter, in its own words; the rows are older.
    Refused(String),
}

/// Rows with their order, their filter and the selection.
pub(super) struct Table<T: Row> {
    rows: Vec<T>,
    pub(super) total: u64,
    pub(super) known: Known,
    pub(super) filter: String,
    orders: [Order; 2],
    cursor: Cursor,
    first: usize,
}

impl<T: Row> Table<T> {
    pub(super) fn new() -> Table<T> {
        let order = |span| Order {
            heading: T::sorted_by(span),
            direction: Direction::Usual,
        };
        Table {
            rows: Vec::new(),
            total: 0,
            known: Known::Nothing,
            filter: String::new(),
            orders: [order(Span::Live), order(Span::Total)],
            cursor: Cursor::Top,
            first: 0,
        }
    }

    pub(super) fn rows(&self) -> &[T] {
        &self.rows
    }

    pub(super) fn rows_mut(&mut self) -> &mut [T] {
        &mut self.rows
    }

    pub(super) fn row(&self, id: &str) -> Option<&T> {
        self.rows.iter().find(|row| row.id() == id)
    }

    /// The rows of a new answer, `total` being how many the proxy has.
    pub(super) fn fill(&mut self, rows: Vec<T>, total: u64, span: Span) {
        self.rows = rows;
        self.total = total;
        self.known = Known::Rows;
        self.sort(span);
    }
}

/// What drawing and keys need of a table, whatever its rows are.
pub(super) trait Sheet {
    fn len(&self) -> usize;
    fn total(&self) -> u64;
    fn known(&self) -> &Known;
    fn filter(&self) -> &str;
    fn set_filter(&mut self, filter: String);
    fn order(&self, span: Span) -> Order;
    /// Another column sorts it, `by` places to the right.
    fn turn(&mut self, span: Span, by: isize, width: u16);
    fn reverse(&mut self, span: Span);
    fn sort(&mut self, span: Span);
    /// The API's key for the order.
    fn asked(&self, span: Span) -> &'static str;
    /// The columns that fit into `width`.
    fn heads(&self, span: Span, width: u16) -> Vec<Head>;
    fn cell(&self, row: usize, column: usize, span: Span, now: SystemTime) -> String;
    fn paint(&self, row: usize, now: SystemTime) -> Paint;
    fn selected(&self) -> Option<usize>;
    fn selected_id(&self) -> Option<&str>;
    /// The first line in sight of `height`.
    fn first(&self, height: usize) -> usize;
    fn go(&mut self, step: Step, height: usize);
    fn select(&mut self, index: usize, height: usize);
    /// Moves what is in sight, so that the selection is.
    fn settle(&mut self, height: usize);
}

impl<T: Row> Sheet for Table<T> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn known(&self) -> &Known {
        &self.known
    }

    fn filter(&self) -> &str {
        &self.filter
    }

    /// Rows that another filter let pass are gone at once: what stands there is what was asked for.
    fn set_filter(&mut self, filter: String) {
        if filter != self.filter {
            self.filter = filter;
            self.rows.clear();
            self.known = Known::Nothing;
            self.cursor = Cursor::Top;
        }
    }

    fn order(&self, span: Span) -> Order {
        self.orders[span.index()]
    }

    fn turn(&mut self, span: Span, by: isize, width: u16) {
        let heads = self.heads(span, width);
        let count = heads.len() as isize;
        let now = self.order(span).heading;
        let at = heads.iter().position(|head| head.heading == now);
        let to = at.map_or(0, |at| (at as isize + by).rem_euclid(count.max(1)));
        if let Some(head) = heads.get(to as usize) {
            self.orders[span.index()] = Order {
                heading: head.heading,
                direction: Direction::Usual,
            };
        }
        self.cursor = Cursor::Top;
        self.sort(span);
    }

    fn reverse(&mut self, span: Span) {
        let order = &mut self.orders[span.index()];
        order.direction = match order.direction {
            Direction::Usual => Direction::Reversed,
            Direction::Reversed => Direction::Usual,
        };
        self.cursor = Cursor::Top;
        self.sort(span);
    }

    /// Stable: equal rows keep the order in which they came.
    fn sort(&mut self, span: Span) {
        let order = self.order(span);
        let columns = T::columns(span);
        let Some(column) = columns.iter().find(|one| one.heading == order.heading) else {
            return;
        };
        let turned = |ordering: Ordering| match order.direction {
            Direction::Usual => ordering,
            Direction::Reversed => ordering.reverse(),
        };
        self.rows.sort_by(|a, b| {
            let sorted = match &column.by {
                By::Figure(figure) => figure(b).total_cmp(&figure(a)),
                By::Word(word) => word(a).cmp(&word(b)),
                By::Time(time) => time(b).cmp(time(a)),
            };
            a.group().cmp(&b.group()).then(turned(sorted))
        });
    }

    fn asked(&self, span: Span) -> &'static str {
        let order = self.order(span);
        let columns = T::columns(span);
        let sorting = columns.iter().find(|one| one.heading == order.heading);
        sorting.map_or("", |column| column.asked)
    }

    fn heads(&self, span: Span, width: u16) -> Vec<Head> {
        let heads = T::columns(span).iter().enumerate().map(|(index, column)| {
            let (heading, fit, rank) = (column.heading, column.fit, column.rank);
            let width = fit.least();
            Head {
                heading,
                fit,
                rank,
                index,
                width,
            }
        });
        fitting(heads.collect(), width)
    }

    fn cell(&self, row: usize, column: usize, span: Span, now: SystemTime) -> String {
        let column = T::columns(span).get(column);
        match (self.rows.get(row), column) {
            (Some(row), Some(column)) => (column.cell)(row, now),
            _ => String::new(),
        }
    }

    fn paint(&self, row: usize, now: SystemTime) -> Paint {
        let row = self.rows.get(row);
        row.map_or(Paint::Plain, |row| row.paint(now))
    }

    fn selected(&self) -> Option<usize> {
        let last = self.rows.len().checked_sub(1)?;
        Some(match &self.cursor {
            Cursor::Top => 0,
            Cursor::On { id, index } => self
                .rows
                .iter()
                .position(|row| row.id() == id)
                .unwrap_or(*index)
                .min(last),
        })
    }

    fn selected_id(&self) -> Option<&str> {
        self.rows.get(self.selected()?).map(Row::id)
    }

    fn first(&self, height: usize) -> usize {
        in_sight(self.first, self.selected(), self.rows.len(), height)
    }

    fn go(&mut self, step: Step, height: usize) {
        let Some(at) = self.selected() else {
            return;
        };
        match step.from(at, self.rows.len(), height) {
            0 if step == Step::Home => self.cursor = Cursor::Top,
            index => self.select(index, height),
        }
        self.settle(height);
    }

    fn select(&mut self, index: usize, height: usize) {
        if let Some(row) = self.rows.get(index) {
            self.cursor = Cursor::On {
                id: row.id().to_owned(),
                index,
            };
        }
        self.settle(height);
    }

    fn settle(&mut self, height: usize) {
        if let (Some(now), Cursor::On { index, .. }) = (self.selected(), &mut self.cursor) {
            *index = now;
        }
        self.first = self.first(height);
    }
}

/// The first line of `count` in sight: as near to `first` as the selection allows.
fn in_sight(first: usize, selected: Option<usize>, count: usize, height: usize) -> usize {
    let selected = selected.unwrap_or(0);
    let latest = count.saturating_sub(height).min(selected);
    let earliest = (selected + 1).saturating_sub(height);
    first.clamp(earliest.min(latest), latest)
}

/// Those of `heads` that fit into `width`, the most important first; what is left goes to the one that takes the rest.
fn fitting(mut heads: Vec<Head>, width: u16) -> Vec<Head> {
    let needed = |heads: &[Head]| {
        let widths: u16 = heads.iter().map(|head| head.width).sum();
        widths + GAP * (heads.len().saturating_sub(1) as u16)
    };
    while needed(&heads) > width {
        let greatest = heads.iter().map(|head| head.rank).max().unwrap_or(0);
        let Some(index) = heads.iter().rposition(|head| head.rank == greatest) else {
            break;
        };
        if greatest == 0 {
            break;
        }
        heads.remove(index);
    }
    let taken = needed(&heads);
    if let Some(rest) = heads
        .iter_mut()
        .find(|head| matches!(head.fit, Fit::Rest(_)))
    {
        rest.width = (rest.width + width).saturating_sub(taken);
    }
    heads
}
