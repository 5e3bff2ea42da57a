//! Lines of a terminal: as wide as it is, cut with `…` and never wrapped, in colours where it takes them.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What the text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of a line.
    pub columns: usize,
    /// Whether escape sequences may be used.
    pub colours: bool,
}

/// How a line is drawn where colours are taken; none of them is needed to understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Paint {
    Plain,
    Bold,
    Dim,
    Green,
    Red,
}

impl Paint {
    fn escape(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Bold => "\x1b[1m",
            Paint::Dim => "\x1b[2m",
            Paint::Green => "\x1b[32m",
            Paint::Red => "\x1b[31m",
        }
    }
}

/// The text so far.
#[derive(Debug)]
pub(in crate::cli) struct Page {
    pub(in crate::cli) text: String,
    pub(in crate::cli) layout: Layout,
}

impl Page {
    pub(in crate::cli) fn new(layout: Layout) -> Page {
        Page {
            text: String::new(),
            layout,
        }
    }

    pub(in crate::cli) fn blank(&mut self) {
        self.text.push('\n');
    }

    pub(in crate::cli) fn line(&mut self, paint: Paint, line: &str) {
        let line = cut(line.trim_end(), self.layout.columns);
        let escape = paint.escape();
        let end = if escape.is_empty() { "" } else { "\x1b[0m" };
        let _ = match self.layout.colours {
            true => writeln!(self.text, "{escape}{line}{end}"),
            false => writeln!(self.text, "{line}"),
        };
    }

    /// A sentence, in as many lines as it takes; the further ones stand below the text behind `label`.
    pub(in crate::cli) fn wrapped(&mut self, paint: Paint, label: &str, text: &str) {
        let margin = width(label);
        let mut line = label.to_owned();
        let mut is_empty = true;
        for word in text.split_whitespace() {
            let space = usize::from(!is_empty);
            if !is_empty && width(&line) + space + width(word) > self.layout.columns {
                self.line(paint, &line);
                line = " ".repeat(margin);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.line(paint, &line);
    }

    /// `left`, and `right` at the end of the line; `left` gives way where both do not fit.
    pub(in crate::cli) fn spread(&mut self, paint: Paint, left: &str, right: &str) {
        let room = self.layout.columns.saturating_sub(width(right) + 1);
        match right.is_empty() || room < LEFT_MIN {
            true => self.line(paint, left),
            false => self.line(paint, &format!("{} {right}", pad(left, room))),
        }
    }
}

/// Fewer columns than this are not worth something at the end of the line.
const LEFT_MIN: usize = 12;

/// Columns that a terminal gives the text.
pub(in crate::cli) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in exactly `columns` columns, cut with `…` where it is longer.
pub(in crate::cli) fn pad(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let missing = columns.saturating_sub(width(&cut));
    format!("{cut}{}", " ".repeat(missing))
}

/// `text` in at most `columns` columns, with `…` where something is missing.
pub(in crate::cli) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= columns {
            break;
        }
        kept.push(c);
    }
    match columns {
        0 => String::new(),
        _ => format!("{}…", kept.trim_end()),
    }
}
