//! Normalised SQL laid out for reading: a clause a line, subqueries indented, long column lists folded.
//!
//! One pass over the text, for the eye only: what it cannot tell apart it leaves as it is, and no character is lost but
//! white space.

use maud::{Markup, PreEscaped, Render, html};

use crate::cli::report::words;

/// Characters of one text; the rest is cut.
const CHARS_MAX: usize = 2_000;

/// A longer list of columns is folded.
const COLUMNS_MAX: usize = 8;

/// Spaces of a level.
const INDENT: usize = 2;

/// Levels that are indented: deeper ones stay where they are.
const DEPTH_MAX: usize = 12;

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Comment,
    String,
    Placeholder,
    Word,
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Piece<'t> {
    class: Class,
    text: &'t str,
}

/// Words that begin a line.
const CLAUSES: [&str; 20] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "SET",
    "VALUES",
    "RETURNING",
    "INNER",
    "LEFT",
    "RIGHT",
    "CROSS",
    "JOIN",
];

/// Words that go before JOIN: it begins no line of its own behind them.
const JOINS: [&str; 6] = ["INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER"];

/// Further keywords.
const KEYWORDS: [&str; 44] = [
    "ALL",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CONFLICT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DO",
    "ELSE",
    "END",
    "EXISTS",
    "FALSE",
    "FOR",
    "FULL",
    "ILIKE",
    "IN",
    "INSERT",
    "INTO",
    "IS",
    "LATERAL",
    "LIKE",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "ON",
    "ONLY",
    "OR",
    "OUTER",
    "OVER",
    "PARTITION",
    "RECURSIVE",
    "THEN",
    "TRUE",
    "UPDATE",
    "USING",
    "WHEN",
    "WITH",
    "FILTER",
];

/// The text laid out and coloured.
pub(super) fn formatted(query: &str) -> Markup {
    let end = query.char_indices().nth(CHARS_MAX).map(|(index, _)| index);
    let shown = &query[..end.unwrap_or(query.len())];
    let mut writer = Writer::new(pieces(shown));
    writer.run();
    html! {
        div.sql tabindex="0" {
            (PreEscaped(writer.out))
            @if end.is_some() { span.c { " … cut here" } }
        }
    }
}

/// The text as it is, cut short: for where there is no room for more.
pub(super) fn plain(query: &str) -> Markup {
    const PLAIN_CHARS_MAX: usize = 300;
    let short: String = query.chars().take(PLAIN_CHARS_MAX).collect();
    html! {
        div.sql { (words::visible_lines(&short)) @if short.len() < query.len() { span.c { " … cut here" } } }
    }
}

/// `SELECT shop_book`: verb and first table, for a statement whose shape has no summary at hand.
pub(in crate::cli) fn summary(query: &str) -> String {
    let words: Vec<&str> = pieces(query.get(..CHARS_MAX).unwrap_or(query))
        .into_iter()
        .filter(|piece| !matches!(piece.class, Class::Space | Class::Comment))
        .map(|piece| piece.text)
        .collect();
    let Some(verb) = words.first() else {
        return "(text not kept)".to_owned();
    };
    let verb = verb.to_ascii_uppercase();
    let is = |word: &str, keyword: &str| word.eq_ignore_ascii_case(keyword);
    let table = words.windows(2).find_map(|pair| {
        let leads = is(pair[0], "FROM") || is(pair[0], "INTO") || is(pair[0], "UPDATE");
        leads.then(|| pair[1].trim_matches('"'))
    });
    match table {
        Some(table) if table != "(" => format!("{verb} {table}"),
        _ => verb,
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (class, length) = piece(rest, first);
        let (text, behind) = rest.split_at(length.max(first.len_utf8()));
        pieces.push(Piece { class, text });
        rest = behind;
    }
    pieces
}

fn piece(rest: &str, first: char) -> (Class, usize) {
    let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let until = |end: &str, from: usize| {
        rest.get(from..)
            .and_then(|behind| behind.find(end))
            .map_or(rest.len(), |index| from + index + end.len())
    };
    match first {
        c if c.is_whitespace() => (Class::Space, run(char::is_whitespace)),
        '/' if rest.starts_with("/*") => (Class::Comment, until("*/", 2)),
        '-' if rest.starts_with("--") => (Class::Comment, until("\n", 2)),
        '\'' => (Class::String, until("'", 1)),
        '"' => (Class::Word, until("\"", 1)),
        '$' => (
            Class::Placeholder,
            1 + rest[1..]
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len() - 1),
        ),
        c if c.is_alphanumeric() || c == '_' => {
            (Class::Word, run(|c| c.is_alphanumeric() || c == '_'))
        }
        c => (Class::Other, c.len_utf8()),
    }
}

/// What an open bracket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    /// Of a subquery: its clauses begin lines.
    Query,
    /// Of a list or an expression: it stays on its line.
    Inline,
}

struct Writer<'t> {
    pieces: Vec<Piece<'t>>,
    at: usize,
    brackets: Vec<Bracket>,
    out: String,
    /// White space stood before the next piece.
    spaced: bool,
    /// `BETWEEN` waits for its `AND`.
    between: bool,
    previous: &'t str,
}

impl<'t> Writer<'t> {
    fn new(pieces: Vec<Piece<'t>>) -> Writer<'t> {
        Writer {
            pieces,
            at: 0,
            brackets: Vec::new(),
            out: String::new(),
            spaced: false,
            between: false,
            previous: "",
        }
    }

    fn run(&mut self) {
        while let Some(piece) = self.pieces.get(self.at).copied() {
            self.at += 1;
            match piece.class {
                Class::Space => self.spaced = true,
                _ => self.piece(piece),
            }
        }
    }

    fn piece(&mut self, piece: Piece<'t>) {
        let upper = match piece.class {
            Class::Word => piece.text.to_ascii_uppercase(),
            _ => String::new(),
        };
        let at_clause = self.at_query_level();
        match (piece.text, upper.as_str()) {
            ("(", _) => return self.open(piece),
            (")", _) => return self.close(piece),
            (_, "JOIN") if JOINS.iter().any(|w| self.previous.eq_ignore_ascii_case(w)) => {}
            (_, word) if at_clause && self.begins_line(word) => self.line(0),
            (_, "AND") if std::mem::take(&mut self.between) => {}
            (_, "AND" | "OR") if at_clause => self.line(1),
            (_, "BETWEEN") => self.between = true,
            _ => {}
        }
        self.write(class_of(piece, &upper, self.next_is_bracket()), piece.text);
        if at_clause && upper == "SELECT" {
            self.columns();
        }
    }

    /// Whether `word` begins a line here; `SET` of `ON CONFLICT … DO UPDATE SET` and the first word do not.
    fn begins_line(&self, word: &str) -> bool {
        CLAUSES.contains(&word) && !self.out.is_empty() && self.previous != "("
    }

    fn open(&mut self, piece: Piece<'t>) {
        self.write("", piece.text);
        let next = self.pieces[self.at..]
            .iter()
            .find(|piece| piece.class != Class::Space);
        let is_query = next.is_some_and(|next| next.text.eq_ignore_ascii_case("SELECT"));
        match is_query && self.brackets.len() < DEPTH_MAX && self.at_query_level() {
            true => {
                self.brackets.push(Bracket::Query);
                self.line(0);
                self.previous = "(";
            }
            false => self.brackets.push(Bracket::Inline),
        }
        self.spaced = false;
    }

    fn close(&mut self, piece: Piece<'t>) {
        if self.brackets.pop() == Some(Bracket::Query) {
            self.line(0);
        }
        self.write("", piece.text);
    }

    fn at_query_level(&self) -> bool {
        self.brackets.iter().all(|open| *open == Bracket::Query)
    }

    fn next_is_bracket(&self) -> bool {
        self.pieces
            .get(self.at)
            .is_some_and(|next| next.text == "(")
    }

    /// Folds the columns of a SELECT where they are many.
    fn columns(&mut self) {
        let (mut depth, mut commas) = (0_usize, 0);
        let mut end = self.at;
        for piece in &self.pieces[self.at..] {
            match piece.text {
                "(" => depth += 1,
                ")" if depth == 0 => break,
                ")" => depth -= 1,
                "," if depth == 0 => commas += 1,
                word if depth == 0 && word.eq_ignore_ascii_case("FROM") => break,
                _ => {}
            }
            end += 1;
        }
        if commas < COLUMNS_MAX {
            return;
        }
        let mut inner = Writer::new(self.pieces[self.at..end].to_vec());
        inner.brackets.push(Bracket::Inline);
        inner.run();
        let folded = html! {
            " " details.cols { summary { "… " (commas + 1) " columns" } " " (PreEscaped(inner.out)) }
        };
        self.out.push_str(&folded.into_string());
        self.at = end;
        self.previous = ",";
    }

    fn line(&mut self, further: usize) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        let depth = self.brackets.len() + further;
        self.out.push('\n');
        self.out.push_str(&" ".repeat(depth * INDENT));
        self.spaced = false;
    }

    fn write(&mut self, class: &str, text: &'t str) {
        if std::mem::take(&mut self.spaced) && !self.out.is_empty() {
            self.out.push(' ');
        }
        let shown = words::visible_lines(text);
        match class {
            "" => shown.render_to(&mut self.out),
            class => html! { span class=(class) { (shown) } }.render_to(&mut self.out),
        }
        self.previous = text;
    }
}

/// The class of the style sheet: k keyword, f function, s string or placeholder, c comment.
fn class_of(piece: Piece<'_>, upper: &str, before_bracket: bool) -> &'static str {
    match piece.class {
        Class::Comment => "c",
        Class::String | Class::Placeholder => "s",
        Class::Word if CLAUSES.contains(&upper) || KEYWORDS.contains(&upper) => "k",
        Class::Word if before_bracket && !piece.text.starts_with('"') => "f",
        Class::Word | Class::Space | Class::Other => "",
    }
}
