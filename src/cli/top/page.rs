//! A text to scroll in: lines of painted pieces, as wide as the terminal, with a word before each thing it tells.

use super::look::{Look, PHASES, Paint, divided};
use crate::cli::client::Phases;
use crate::cli::report::text::{cut, pad, width};
use crate::cli::report::words::{phases_in_order, visible, visible_code};
use crate::cli::report::{figures, fold};

/// Columns of the word before each thing, the space behind it included.
const LABEL: usize = 14;

/// Text is no wider than this, however wide the terminal is: longer lines are hard to read.
const TEXT_MAX: usize = 110;

/// Columns that the phases need to be told by their whole names.
const LONG_NAMES: usize = 80;

/// Bytes of one statement that are laid out.
const SQL_BYTES_MAX: usize = 16 << 10;

/// Pieces of text, each painted as it is meant.
pub(super) type Line = Vec<(Paint, String)>;

/// The lines so far.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) lines: Vec<Line>,
    pub(super) columns: usize,
    pub(super) look: Look,
}

impl Page {
    pub(super) fn new(columns: usize, look: Look) -> Page {
        Page {
            lines: Vec::new(),
            columns,
            look,
        }
    }

    pub(super) fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    /// A line that is cut where the terminal ends.
    pub(super) fn line(&mut self, paint: Paint, text: &str) {
        let text = cut(&visible_code(text), self.columns);
        self.lines.push(vec![(paint, text)]);
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.blank();
        self.line(Paint::Bold, text);
    }

    /// A text in as many lines as it takes, behind its label.
    pub(super) fn told(&mut self, label: &str, paint: Paint, text: &str) {
        let room = self.room();
        let lines = wrapped(&visible(text), room);
        self.labelled(label, paint, lines);
    }

    /// As [`Page::told`], where there is something to tell.
    pub(super) fn told_of(&mut self, label: &str, paint: Paint, text: Option<String>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.told(label, paint, &text);
        }
    }

    /// Code of Python, broken inside its brackets.
    pub(super) fn python(&mut self, label: &str, code: &str) {
        let room = self.room();
        let lines = code
            .lines()
            .filter(|line| !line.trim().is_empty())
            .flat_map(|line| fold::python(&visible_code(line), room))
            .collect();
        self.labelled(label, Paint::Good, lines);
    }

    /// A statement, a clause a line.
    pub(super) fn sql(&mut self, label: &str, sql: &str) {
        let room = self.room();
        self.labelled(label, Paint::Plain, sql_lines(sql, room));
    }

    /// Where time went, as a bar and in words.
    pub(super) fn phases(&mut self, label: &str, phases: &Phases) {
        let cells = self.room().min(40);
        let mut line = vec![(Paint::Dim, pad(label, LABEL))];
        line.extend(bar(phases, cells, self.look));
        self.lines.push(line);
        let mut line = vec![(Paint::Plain, " ".repeat(LABEL))];
        let names = match self.room() < LONG_NAMES {
            true => Names::Short,
            false => Names::Long,
        };
        line.extend(legend(phases, names, self.look, figures::duration));
        self.lines.push(line);
    }

    fn room(&self) -> usize {
        self.columns.min(TEXT_MAX).saturating_sub(LABEL).max(10)
    }

    fn labelled(&mut self, label: &str, paint: Paint, lines: Vec<String>) {
        let mut label = label;
        for line in lines {
            self.lines.push(vec![
                (Paint::Dim, pad(label, LABEL)),
                (paint, cut(&line, self.columns.saturating_sub(LABEL))),
            ]);
            label = "";
        }
    }
}

/// The four phases in `cells` cells; dots where there was nothing.
pub(super) fn bar(phases: &Phases, cells: usize, look: Look) -> Line {
    let parts = [
        phases.database_ms,
        phases.transfer_ms,
        phases.client_ms,
        phases.application_ms,
    ];
    let given = divided(parts, cells);
    if given.iter().sum::<usize>() == 0 {
        return vec![(Paint::Dim, look.of_both("·", " ").repeat(cells))];
    }
    PHASES
        .into_iter()
        .zip(given)
        .map(|(paint, cells)| (paint, look.cell(paint).repeat(cells)))
        .collect()
}

/// How much room there is for the names of the phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Long,
    Short,
}

/// `█ database 49 %  ▓ transfer <1 %`, the figure being what `figure` makes of the milliseconds.
pub(super) fn legend(
    phases: &Phases,
    names: Names,
    look: Look,
    figure: impl Fn(f64) -> String,
) -> Line {
    let mut line = Line::new();
    for paint in PHASES {
        let (name, ms) = phase(phases, paint);
        let name = match (names, name) {
            (Names::Short, "application") => "app",
            (Names::Short, "database") => "db",
            (Names::Short | Names::Long, name) => name,
        };
        line.push((paint, look.cell(paint).to_owned()));
        line.push((Paint::Plain, format!(" {name} {}  ", figure(ms))));
    }
    line
}

/// A phase's name and its milliseconds.
fn phase(phases: &Phases, paint: Paint) -> (&'static str, f64) {
    let [application, database, transfer, client] = phases_in_order(phases);
    match paint {
        Paint::Database => database,
        Paint::Transfer => transfer,
        Paint::Client => client,
        _ => application,
    }
}

/// `text` in lines of at most `columns`, broken between words; a longer word is broken inside.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let (part, rest) = word.split_at(fitting(word, columns));
            lines.push(part.to_owned());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Bytes of `word` that fit into `columns`, at least one character.
fn fitting(word: &str, columns: usize) -> usize {
    let mut end = 0;
    for (index, c) in word.char_indices() {
        let next = index + c.len_utf8();
        if index > 0 && width(&word[..next]) > columns {
            break;
        }
        end = next;
    }
    end
}

/// Words that begin a line of a statement, outside of brackets.
const CLAUSES: [&str; 18] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
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
    "FOR",
];

/// A statement in lines of at most `columns`, one for each clause, what goes on being indented.
fn sql_lines(sql: &str, columns: usize) -> Vec<String> {
    let mut end = sql.len().min(SQL_BYTES_MAX);
    while !sql.is_char_boundary(end) {
        end -= 1;
    }
    let mut clauses: Vec<String> = vec![String::new()];
    let mut depth = 0_usize;
    for word in visible(&sql[..end]).split_whitespace() {
        let begins = depth == 0
            && CLAUSES
                .iter()
                .any(|clause| clause.eq_ignore_ascii_case(word));
        match clauses.last_mut() {
            Some(clause) if !begins || clause.is_empty() => {
                if !clause.is_empty() {
                    clause.push(' ');
                }
                clause.push_str(word);
            }
            _ => clauses.push(word.to_owned()),
        }
        let count = |bracket| word.matches(bracket).count();
        depth = (depth + count('(')).saturating_sub(count(')'));
    }
    const INDENT: usize = 4;
    let mut lines = Vec::new();
    for clause in clauses {
        let first = wrapped(&clause, columns);
        if first.len() <= 1 {
            lines.extend(first);
            continue;
        }
        // What follows the first line is narrower: it is broken anew.
        let rest = clause
            .get(first[0].len()..)
            .unwrap_or_default()
            .trim_start();
        lines.push(first[0].clone());
        for line in wrapped(rest, columns.saturating_sub(INDENT).max(1)) {
            lines.push(format!("{}{line}", " ".repeat(INDENT)));
        }
    }
    if end < sql.len() {
        lines.push("… cut here".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        assert_eq!(wrapped("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrapped("漢字漢字", 4), ["漢字", "漢字"]);
        assert_eq!(wrapped("", 4), [""]);
        for columns in 1..12 {
            let text = "SELECT \"a\".\"b\", 漢字 FROM t";
            let lines = wrapped(text, columns);
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            assert!(lines.iter().all(|line| width(line) <= columns.max(2)));
        }
    }

    #[test]
    fn clauses_begin_lines_and_subqueries_do_not() {
        let sql = "SELECT a, b FROM t WHERE a IN (SELECT c FROM u WHERE d = $1) ORDER BY a";
        assert_eq!(
            sql_lines(sql, 60),
            [
                "SELECT a, b",
                "FROM t",
                "WHERE a IN (SELECT c FROM u WHERE d = $1)",
                "ORDER BY a"
            ]
        );
        assert_eq!(
            sql_lines(sql, 20)[2..5],
            ["WHERE a IN (SELECT c", "    FROM u WHERE d =", "    $1)"]
        );
        assert_eq!(sql_lines("a\u{1b}[31m", 20), ["a?[31m"]);
    }
}
