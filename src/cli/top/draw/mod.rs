//! Draws the state into cells; what was drawn before is not its business, ratatui sends what has changed.

mod header;
mod help;
mod layout;
mod list;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::{Glyphs, Look, Paint};
use super::page::Line;
use super::poller::Open;
use super::state::{Feed, Mode, Opened, State};
use crate::cli::report::text::{cut, width};
use crate::cli::report::words::visible_code;

/// Columns and lines of the smallest terminal.
const COLUMNS_MIN: u16 = 40;
const LINES_MIN: u16 = 10;

/// The cells, and how they are painted.
pub(super) struct Canvas<'b> {
    buffer: &'b mut Buffer,
    look: Look,
    columns: u16,
}

impl Canvas<'_> {
    /// Writes `text` at column `x` of line `y`, cut after `columns`; answers the column behind it. This is where every
    /// text goes through, and no control character does.
    fn text(&mut self, x: u16, y: u16, columns: u16, paint: Paint, text: &str) -> u16 {
        let room = columns.min(self.columns.saturating_sub(x));
        if room == 0 || y >= self.buffer.area.height {
            return x;
        }
        let mut text = cut(&visible_code(text), usize::from(room));
        if self.look.glyphs == Glyphs::Ascii {
            text = text.replace('…', "~");
        }
        let style = self.look.style(paint);
        let (end, _) = self
            .buffer
            .set_stringn(x, y, text, usize::from(room), style);
        end
    }

    fn line(&mut self, x: u16, y: u16, line: &Line) -> u16 {
        let mut x = x;
        for (paint, text) in line {
            x = self.text(x, y, self.columns, *paint, text);
        }
        x
    }

    /// Text that ends at the terminal's right edge.
    fn at_the_end(&mut self, y: u16, paint: Paint, text: &str) {
        let columns = u16::try_from(width(text)).unwrap_or(u16::MAX);
        self.text(
            self.columns.saturating_sub(columns),
            y,
            columns,
            paint,
            text,
        );
    }

    /// Paints a whole line over.
    fn paint(&mut self, y: u16, paint: Paint) {
        let style = self.look.style(paint);
        let line = Rect::new(0, y, self.columns, 1).intersection(self.buffer.area);
        self.buffer.set_style(line, style);
    }
}

/// The screen.
pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let (columns, lines) = state.size;
    let mut canvas = Canvas {
        buffer,
        look: state.look,
        columns,
    };
    if columns < COLUMNS_MIN || lines < LINES_MIN {
        let words = format!("too small: {COLUMNS_MIN}x{LINES_MIN} is needed");
        let y = lines / 2;
        canvas.text(0, y, columns, Paint::Plain, &words);
        return;
    }
    let layout = state.layout();
    header::draw(state, &layout, &mut canvas);
    match (&state.mode, state.opened.last()) {
        (Mode::Helping, _) => help::draw(&layout, &mut canvas),
        (Mode::Browsing | Mode::Filtering(_), Some(opened)) => {
            page(state, opened, &layout, &mut canvas);
        }
        (Mode::Browsing | Mode::Filtering(_), None) => list::draw(state, &layout, &mut canvas),
    }
    status(state, &layout, &mut canvas);
    keys(state, layout.keys, &mut canvas);
}

/// The cells as text, line by line, without the space at their ends.
pub(super) fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    (0..area.height)
        .map(|y| {
            let mut line = String::new();
            let mut x = 0;
            while x < area.width {
                let symbol = buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
                line.push_str(symbol);
                // A wide character takes two cells, the second of which holds nothing.
                x += u16::try_from(width(symbol)).unwrap_or(1).max(1);
            }
            line.trim_end().to_owned()
        })
        .collect()
}

fn page(state: &State, opened: &Opened, layout: &layout::Layout, canvas: &mut Canvas<'_>) {
    let title = match &opened.what {
        Open::Finding(_) => "Finding",
        Open::Shape(_) => "Shape",
        Open::Unit(_) => "Unit",
        Open::Connection(_) => "Connection",
    };
    let end = canvas.text(0, layout.body, canvas.columns, Paint::Dim, title);
    let rule = canvas.look.of_both("─", "-");
    let room = canvas.columns.saturating_sub(end + 1);
    canvas.text(
        end + 1,
        layout.body,
        room,
        Paint::Dim,
        &rule.repeat(usize::from(room)),
    );
    let page = state.page();
    let shown = page
        .lines
        .iter()
        .skip(opened.scroll)
        .take(layout.page_lines());
    for (y, line) in (layout.body + 1..).zip(shown) {
        canvas.line(0, y, line);
    }
}

/// The line above the keys: a filter that is typed, what went wrong, what was done; and where in the list one is.
fn status(state: &State, layout: &layout::Layout, canvas: &mut Canvas<'_>) {
    let y = layout.status;
    if let Mode::Filtering(text) = &state.mode {
        return prompt(text, y, canvas);
    }
    let place = match (&state.mode, state.opened.last()) {
        (Mode::Helping, _) => String::new(),
        (_, Some(opened)) => place_in_page(state, opened, layout),
        (_, None) => list::place(state, layout),
    };
    canvas.at_the_end(y, Paint::Dim, &place);
    let taken = u16::try_from(width(&place)).unwrap_or(0) + 2;
    let room = canvas.columns.saturating_sub(taken);
    let filter = state.sheet().filter();
    if let Some(note) = &state.note {
        canvas.text(0, y, room, note.paint, &note.text);
    } else if let Some(refusal) = state.refusal() {
        canvas.text(0, y, room, Paint::Bad, &format!("filter: {refusal}"));
    } else if !filter.is_empty() && state.opened.is_empty() {
        let end = canvas.text(0, y, room, Paint::Bold, &format!("filter: {filter}"));
        let room = room.saturating_sub(end);
        canvas.text(end, y, room, Paint::Dim, "  (Esc clears)");
    }
}

fn place_in_page(state: &State, opened: &Opened, layout: &layout::Layout) -> String {
    let count = state.page().lines.len();
    let end = (opened.scroll + layout.page_lines()).min(count);
    match count > layout.page_lines() {
        true => format!("lines {}-{end} of {count}", opened.scroll + 1),
        false => String::new(),
    }
}

/// The end of what is typed stays in sight.
fn prompt(text: &str, y: u16, canvas: &mut Canvas<'_>) {
    const HINT: &str = "  Enter: filter, Esc: leave";
    let hint = HINT.len();
    let room = usize::from(canvas.columns).saturating_sub(hint + 3).max(8);
    let mut shown = visible_code(text);
    while width(&shown) > room {
        shown.remove(0);
    }
    let x = canvas.text(0, y, 1, Paint::Bold, "/");
    let x = canvas.text(x, y, canvas.columns, Paint::Plain, &shown);
    let x = canvas.text(x, y, 1, Paint::Selected, " ");
    let room = canvas.columns.saturating_sub(x);
    if usize::from(room) >= hint {
        let example = "  e.g. route:books d>100ms \"a text\"";
        let x = canvas.text(x, y, room, Paint::Dim, HINT);
        let room = canvas.columns.saturating_sub(x);
        if usize::from(room) >= example.len() {
            canvas.text(x, y, room, Paint::Dim, example);
        }
    }
}

/// Keys that can be pressed now, the most important first.
fn keys(state: &State, y: u16, canvas: &mut Canvas<'_>) {
    let span = match state.span {
        super::sheet::Span::Live => ("t", "total"),
        super::sheet::Span::Total => ("t", "live"),
    };
    let pause = match state.feed {
        Feed::Running => ("p", "pause"),
        Feed::Paused => ("p", "go on"),
    };
    let is_finding = matches!(
        state.opened.last(),
        Some(Opened {
            what: Open::Finding(_),
            ..
        })
    );
    let finding = state.view == super::state::View::Findings && state.opened.is_empty();
    let mut keys = match (&state.mode, state.opened.is_empty()) {
        (Mode::Helping, _) => vec![("any key", "back")],
        (Mode::Filtering(_), _) => vec![("Enter", "filter"), ("Esc", "leave"), ("^U", "clear")],
        (Mode::Browsing, true) => vec![
            ("q", "quit"),
            ("?", "help"),
            ("Enter", "open"),
            ("/", "filter"),
            ("< >", "sort"),
            span,
            pause,
            ("r", "reverse"),
        ],
        (Mode::Browsing, false) => vec![("Esc", "back"), ("?", "help"), ("j k", "scroll"), pause],
    };
    if state.mode == Mode::Browsing && (finding || is_finding) {
        keys.insert(3, ("m", "mute"));
    }
    let mut x = 0;
    for (key, word) in keys {
        let columns = u16::try_from(width(key) + 1 + width(word) + 2).unwrap_or(u16::MAX);
        if x + columns > canvas.columns + 2 {
            continue;
        }
        x = canvas.text(x, y, canvas.columns, Paint::Bold, key) + 1;
        x = canvas.text(x, y, canvas.columns, Paint::Dim, word) + 2;
    }
}
