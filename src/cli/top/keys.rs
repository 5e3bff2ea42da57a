//! What each key does: the state and a key give the next state, and what is to be done outside of it.

use super::look::Paint;
use super::poller::Open;
use super::sheet::{Known, Sheet, Step};
use super::state::{Detail, Feed, Mode, State, View};
use crate::cli::client::Muting;

/// Characters of a filter; the API takes 1,000 bytes.
const FILTER_MAX: usize = 200;

/// A key, whatever the terminal calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// With Ctrl held down.
    Ctrl(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// One that means nothing here.
    Other,
}

/// What the state cannot do itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    Quit,
    /// Give the terminal back until the shell says otherwise.
    Suspend,
    /// Draw all of it anew.
    Redraw,
    Mute {
        id: String,
        muting: Muting,
    },
}

impl State {
    /// A key was pressed.
    pub(super) fn press(&mut self, key: Key) -> Effect {
        match key {
            Key::Ctrl('c') => return Effect::Quit,
            Key::Ctrl('z') => return Effect::Suspend,
            Key::Ctrl('l') => return Effect::Redraw,
            _ => {}
        }
        let effect = match std::mem::replace(&mut self.mode, Mode::Browsing) {
            Mode::Filtering(text) => self.typed(text, key),
            // Any key leads back.
            Mode::Helping => Effect::Nothing,
            Mode::Browsing => self.pressed(key),
        };
        self.settle();
        effect
    }

    /// While a filter is typed.
    fn typed(&mut self, mut text: String, key: Key) -> Effect {
        match key {
            Key::Enter => {
                self.sheet_mut().set_filter(text.trim().to_owned());
                return Effect::Nothing;
            }
            Key::Escape => return Effect::Nothing,
            Key::Backspace if text.is_empty() => return Effect::Nothing,
            Key::Backspace | Key::Ctrl('h') => {
                text.pop();
            }
            Key::Ctrl('u') => text.clear(),
            Key::Ctrl('w') => {
                let kept = text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                text.truncate(kept);
            }
            Key::Char(c) if text.chars().count() < FILTER_MAX => text.push(c),
            _ => {}
        }
        self.mode = Mode::Filtering(text);
        Effect::Nothing
    }

    fn pressed(&mut self, key: Key) -> Effect {
        match key {
            Key::Char('q') | Key::Escape if !self.opened.is_empty() => {
                self.opened.pop();
            }
            Key::Char('q') => return Effect::Quit,
            Key::Escape => self.clear(),
            Key::Char('?') | Key::Char('h') => self.mode = Mode::Helping,
            Key::Char('p') | Key::Char(' ') => self.pause(),
            Key::Char('t') => {
                self.span = self.span.other();
                let span = self.span;
                self.shapes.sort(span);
                self.connections.sort(span);
            }
            Key::Char('m') => return self.mute(),
            Key::Char('u') => self.open_example(),
            Key::Char('f') => self.open_finding(),
            Key::Tab => self.show(self.view.next(1)),
            Key::BackTab => self.show(self.view.next(View::ALL.len() - 1)),
            Key::Char('1') => self.show(View::Findings),
            Key::Char('2') => self.show(View::Shapes),
            Key::Char('3') => self.show(View::Units),
            Key::Char('4') => self.show(View::Connections),
            key => match step(key) {
                Some(step) if self.opened.is_empty() => {
                    let height = self.layout().body_lines();
                    self.sheet_mut().go(step, height);
                }
                Some(step) => self.scroll(step),
                None if self.opened.is_empty() => self.of_the_list(key),
                None => {
                    if matches!(key, Key::Left | Key::Backspace) {
                        self.opened.pop();
                    }
                }
            },
        }
        Effect::Nothing
    }

    fn of_the_list(&mut self, key: Key) {
        let (span, width) = (self.span, self.layout().table_columns());
        match key {
            Key::Enter | Key::Char('l') => self.open_selected(),
            Key::Char('/') => self.mode = Mode::Filtering(self.sheet().filter().to_owned()),
            Key::Char('>') | Key::Char('.') | Key::Char('s') | Key::Right => {
                self.forget_muted();
                self.sheet_mut().turn(span, 1, width);
            }
            Key::Char('<') | Key::Char(',') | Key::Char('S') | Key::Left => {
                self.forget_muted();
                self.sheet_mut().turn(span, -1, width);
            }
            Key::Char('r') | Key::Char('R') => self.sheet_mut().reverse(span),
            _ => {}
        }
    }

    /// Escape at the top: first the filter goes, then the selection.
    fn clear(&mut self) {
        self.note = None;
        match self.sheet().filter().is_empty() {
            false => self.sheet_mut().set_filter(String::new()),
            true => {
                let height = self.layout().body_lines();
                self.sheet_mut().go(Step::Home, height);
            }
        }
    }

    fn pause(&mut self) {
        self.feed = match self.feed {
            Feed::Running => Feed::Paused,
            Feed::Paused => Feed::Running,
        };
    }

    /// Another view, as its list.
    fn show(&mut self, view: View) {
        self.opened.clear();
        self.forget_muted();
        self.view = view;
    }

    fn open_selected(&mut self) {
        let Some(id) = self.sheet().selected_id().map(str::to_owned) else {
            return;
        };
        // From here on it stays selected, wherever it goes.
        let height = self.layout().body_lines();
        if let Some(index) = self.sheet().selected() {
            self.sheet_mut().select(index, height);
        }
        self.open(match self.view {
            View::Findings => Open::Finding(id),
            View::Shapes => Open::Shape(id),
            View::Units => Open::Unit(id),
            View::Connections => Open::Connection(id),
        });
    }

    /// The unit in which the finding, or the query, was seen.
    fn open_example(&mut self) {
        let example = match self.detail() {
            Some(Detail::Finding(finding)) => finding.example_unit.clone(),
            Some(Detail::Shape(shape)) => {
                shape.example_units.first().map(|one| one.unit.id.clone())
            }
            _ => return,
        };
        match example {
            Some(id) => self.open(Open::Unit(id)),
            None => self.tell(Paint::Warning, "no unit that ran it is kept".to_owned()),
        }
    }

    /// The first finding of the unit, or of the query.
    fn open_finding(&mut self) {
        let finding = match self.detail() {
            Some(Detail::Unit(unit)) => unit.request.unit.findings.first().cloned(),
            Some(Detail::Shape(shape)) => shape.findings.first().map(|one| one.id.clone()),
            _ => return,
        };
        match finding {
            Some(id) => self.open(Open::Finding(id)),
            None => self.tell(Paint::Plain, "nothing was found in it".to_owned()),
        }
    }

    fn scroll(&mut self, step: Step) {
        let room = self.layout().page_lines();
        let last = self.page().lines.len().saturating_sub(room);
        if let Some(opened) = self.opened.last_mut() {
            opened.scroll = step.from(opened.scroll, last + 1, room);
        }
    }

    /// Mutes the finding that is selected or open, or unmutes it.
    fn mute(&mut self) -> Effect {
        let finding = match self.detail() {
            Some(Detail::Finding(finding)) => Some(&**finding),
            None if self.view == View::Findings => self
                .findings
                .selected()
                .and_then(|index| self.findings.rows().get(index))
                .map(|row| &row.finding),
            _ => None,
        };
        let Some(finding) = finding else {
            return Effect::Nothing;
        };
        let (id, title) = (finding.id.clone(), finding.advice.title.clone());
        let (muting, word) = match finding.status == "muted" {
            false => (Muting::Mute, "muted"),
            true => (Muting::Unmute, "not muted any more"),
        };
        // The rows may change places before the next press: it is for this one.
        if self.opened.is_empty()
            && let Some(index) = self.findings.selected()
        {
            let height = self.layout().body_lines();
            self.findings.select(index, height);
        }
        self.mark_muted(&id, muting);
        self.tell(Paint::Good, format!("{word} (m again undoes it): {title}"));
        Effect::Mute { id, muting }
    }

    /// What the proxy has against the filter.
    pub(super) fn refusal(&self) -> Option<&str> {
        match self.sheet().known() {
            Known::Refused(message) => Some(message),
            Known::Nothing | Known::Rows => None,
        }
    }
}

fn step(key: Key) -> Option<Step> {
    Some(match key {
        Key::Down | Key::Char('j') | Key::Ctrl('n') => Step::Down,
        Key::Up | Key::Char('k') | Key::Ctrl('p') => Step::Up,
        Key::PageDown | Key::Ctrl('f') | Key::Ctrl('d') => Step::PageDown,
        Key::PageUp | Key::Ctrl('b') | Key::Ctrl('u') => Step::PageUp,
        Key::Home | Key::Char('g') => Step::Home,
        Key::End | Key::Char('G') => Step::End,
        _ => return None,
    })
}
