//! What is shown: the answers of the proxy, the view that is open, and what the one who looks has chosen.
//!
//! *Architecture invariant:* nothing here asks, waits or draws. [`super::keys`] and [`State::take`] change it,
//! [`super::draw`] reads it.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use super::look::{Look, Paint};
use super::page::Page;
use super::poller::{Answer, Found, Listed, Open, Wanted};
use super::rates::{Extent, Flow, Rates, quantile_ms};
use super::rows::connections::{self, ConnectionRow};
use super::rows::findings::{self, FindingRow};
use super::rows::shapes::{self, ShapeRow};
use super::rows::units;
use super::sheet::{Known, Sheet, Span, Table};
use crate::cli::client::{
    ClientError, Column, Finding, Muting, Pulse, Request, RequestDetail, ShapeDetail,
};
use crate::event::Moment;

/// The proxy is said not to answer after so many intervals, and not before [`SILENT_AFTER_MIN`].
const SILENT_INTERVALS: u32 = 3;
const SILENT_AFTER_MIN: Duration = Duration::from_secs(3);

/// How long a note stays.
const NOTE_FOR: Duration = Duration::from_secs(8);

/// The lists, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// What is worth fixing.
    Findings,
    /// Query shapes.
    Shapes,
    /// Requests and other units of work.
    Units,
    /// Client connections.
    Connections,
}

impl View {
    pub(super) const ALL: [View; 4] =
        [View::Findings, View::Shapes, View::Units, View::Connections];

    /// The view `by` places further, around the end.
    pub(super) fn next(self, by: usize) -> View {
        View::ALL[(self as usize + by) % View::ALL.len()]
    }

    /// For a terminal that is too narrow for the names.
    pub(super) fn short_name(self) -> &'static str {
        match self {
            View::Findings => "Find",
            View::Shapes => "Shapes",
            View::Units => "Units",
            View::Connections => "Conn",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            View::Findings => "Findings",
            View::Shapes => "Shapes",
            View::Units => "Units",
            View::Connections => "Connections",
        }
    }
}

/// Whether new answers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    Running,
    /// Nothing moves until it runs again; what was not yet looked at is still asked for.
    Paused,
}

/// What the keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Browsing,
    /// A filter is being typed.
    Filtering(String),
    Helping,
}

/// Something that was opened, what is known of it, and how far its text is scrolled.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) what: Open,
    pub(super) detail: Detail,
    pub(super) scroll: usize,
}

/// Things that were opened one from another; the way back from further ones leads to the list.
const OPENED_MAX: usize = 32;

/// What is known of the thing that is open.
#[derive(Debug)]
pub(super) enum Detail {
    /// It was asked for.
    Asked,
    Gone,
    Finding(Box<Finding>),
    Shape(Box<ShapeDetail>),
    Unit(Box<RequestDetail>),
    Connection {
        row: Box<ConnectionRow>,
        gone: Gone,
    },
}

/// Whether something is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    No,
    Yes,
}

/// A word to the one who looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) paint: Paint,
    pub(super) text: String,
    until: Moment,
}

/// How the proxy answers.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// When it did last.
    answered_at: Option<Moment>,
    /// Why it did not, since then.
    failure: Option<String>,
}

/// The figures of the header.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) pulse: Option<(Pulse, Moment)>,
    pub(super) flow: Option<Flow>,
    pub(super) p95_ms: Option<f64>,
}

/// Everything that is shown.
pub(super) struct State {
    pub(super) url: String,
    pub(super) interval: Duration,
    pub(super) look: Look,
    /// Columns and lines of the terminal.
    pub(super) size: (u16, u16),
    pub(super) now: Moment,
    pub(super) wall: SystemTime,
    pub(super) view: View,
    pub(super) span: Span,
    pub(super) feed: Feed,
    pub(super) mode: Mode,
    pub(super) opened: Vec<Opened>,
    pub(super) link: Link,
    pub(super) header: Header,
    pub(super) note: Option<Note>,
    pub(super) findings: Table<FindingRow>,
    pub(super) shapes: Table<ShapeRow>,
    pub(super) units: Table<Request>,
    pub(super) connections: Table<ConnectionRow>,
    shape_rates: Rates,
    connection_rates: Rates,
    /// Findings that were muted while this list was open: they keep their place, so that another press unmutes them.
    muted_here: BTreeSet<String>,
}

impl State {
    pub(super) fn new(url: &str, interval: Duration, look: Look, view: View) -> State {
        State {
            url: url.to_owned(),
            interval,
            look,
            size: (80, 24),
            now: Moment(0),
            wall: SystemTime::UNIX_EPOCH,
            view,
            span: Span::Live,
            feed: Feed::Running,
            mode: Mode::Browsing,
            opened: Vec::new(),
            link: Link::default(),
            header: Header::default(),
            note: None,
            findings: Table::new(),
            shapes: Table::new(),
            units: Table::new(),
            connections: Table::new(),
            shape_rates: Rates::default(),
            connection_rates: Rates::default(),
            muted_here: BTreeSet::new(),
        }
    }

    /// What the proxy has to be asked for.
    pub(super) fn wanted(&self) -> Wanted {
        let sheet = self.sheet();
        Wanted {
            view: self.view,
            sort: sheet.asked(self.span),
            filter: sheet.filter().to_owned(),
            open: self.opened.last().map(|opened| opened.what.clone()),
            feed: self.feed,
        }
    }

    pub(super) fn sheet(&self) -> &dyn Sheet {
        match self.view {
            View::Findings => &self.findings,
            View::Shapes => &self.shapes,
            View::Units => &self.units,
            View::Connections => &self.connections,
        }
    }

    pub(super) fn sheet_mut(&mut self) -> &mut dyn Sheet {
        match self.view {
            View::Findings => &mut self.findings,
            View::Shapes => &mut self.shapes,
            View::Units => &mut self.units,
            View::Connections => &mut self.connections,
        }
    }

    /// Time has passed; a note that was read goes.
    pub(super) fn tick(&mut self, now: Moment, wall: SystemTime) {
        (self.now, self.wall) = (now, wall);
        if self.note.as_ref().is_some_and(|note| note.until < now) {
            self.note = None;
        }
    }

    pub(super) fn tell(&mut self, paint: Paint, text: String) {
        let for_ns = u64::try_from(NOTE_FOR.as_nanos()).unwrap_or(u64::MAX);
        let until = Moment(self.now.0.saturating_add(for_ns));
        self.note = Some(Note { paint, text, until });
    }

    /// For how long the proxy has not answered, and why; `None` while it does.
    pub(super) fn silence(&self) -> Option<(Duration, Option<&str>)> {
        let since = self.link.answered_at.unwrap_or(Moment(0));
        let silent = Duration::from_nanos(self.now.since(since));
        let failure = self.link.failure.as_deref();
        let patience = (self.interval * SILENT_INTERVALS).max(SILENT_AFTER_MIN);
        let late = silent > patience && self.feed == Feed::Running;
        (failure.is_some() || late).then_some((silent, failure))
    }

    /// An answer of the proxy.
    pub(super) fn take(&mut self, answer: Answer, at: Moment) {
        match answer {
            Answer::Pulse(pulse) => self.take_pulse(*pulse, at),
            Answer::History(columns) => self.header.p95_ms = quantile_ms(&columns, 0.95),
            Answer::List { filter, listed } => {
                self.answered(at);
                self.take_list(&filter, listed, at);
            }
            Answer::Detail { what, found } => {
                self.answered(at);
                self.take_detail(&what, found);
            }
            Answer::Muted { id, muting, result } => self.take_muted(&id, muting, result),
            Answer::RefusedFilter {
                view,
                filter,
                message,
            } => {
                self.answered(at);
                self.refuse(view, &filter, message);
            }
            Answer::Failed(error) => self.link.failure = Some(error.to_string()),
        }
    }

    fn answered(&mut self, at: Moment) {
        self.link = Link {
            answered_at: Some(at),
            failure: None,
        };
    }

    fn take_pulse(&mut self, pulse: Pulse, at: Moment) {
        self.answered(at);
        if let Some((old, old_at)) = &self.header.pulse {
            let restarted = old.summary.started_at != pulse.summary.started_at;
            self.header.flow = Flow::between((old, *old_at), (&pulse, at));
            if restarted {
                self.shape_rates.forget();
                self.connection_rates.forget();
                self.header.p95_ms = None;
                self.tell(Paint::Warning, "the proxy was started anew".to_owned());
            }
        }
        self.header.pulse = Some((pulse, at));
    }

    fn take_list(&mut self, filter: &str, listed: Listed, at: Moment) {
        let (span, interval) = (self.span, self.interval);
        let whole_ms = [
            self.header
                .flow
                .map_or(0.0, |flow| flow.phases.duration_ms()),
            self.header
                .pulse
                .as_ref()
                .map_or(0.0, |(pulse, _)| pulse.summary.phases.duration_ms()),
        ];
        match listed {
            Listed::Findings(part) if filter == self.findings.filter => {
                let here = &self.muted_here;
                let rows = part.items.into_iter().map(|finding| {
                    let stays = here.contains(&finding.id);
                    FindingRow::new(finding, stays)
                });
                self.findings.fill(rows.collect(), part.total, span);
            }
            Listed::Shapes(part) if filter == self.shapes.filter => {
                let counters: HashMap<_, _> = part
                    .items
                    .iter()
                    .map(|shape| (shape.query.fingerprint.clone(), shapes::counters(shape)))
                    .collect();
                let extent = extent(part.items.len(), part.total);
                self.shape_rates
                    .take(at, interval, extent, filter, counters);
                let mut rows: Vec<ShapeRow> = part
                    .items
                    .into_iter()
                    .map(|shape| ShapeRow {
                        recent: self.shape_rates.of(&shape.query.fingerprint),
                        shape,
                        whole_ms,
                    })
                    .collect();
                // Among equals, and many are at rest, the one that took most in all.
                rows.sort_by(|a, b| b.shape.query.total_ms.total_cmp(&a.shape.query.total_ms));
                self.shapes.fill(rows, part.total, span);
            }
            Listed::Units(part) if filter == self.units.filter => {
                self.units.fill(part.items, part.total, span);
            }
            Listed::Connections(part) if filter == self.connections.filter => {
                let counters: HashMap<_, _> = part
                    .items
                    .iter()
                    .map(|one| (one.id.to_string(), connections::counters(one)))
                    .collect();
                let extent = extent(part.items.len(), part.total);
                self.connection_rates
                    .take(at, interval, extent, filter, counters);
                let rows = part.items.into_iter().map(|connection| {
                    let recent = self.connection_rates.of(&connection.id.to_string());
                    ConnectionRow::new(connection, recent)
                });
                let rows = rows.collect();
                self.connections.fill(rows, part.total, span);
                self.follow_connection();
            }
            // Of a filter that is no longer wanted.
            Listed::Findings(_) | Listed::Shapes(_) | Listed::Units(_) | Listed::Connections(_) => {
                return;
            }
        }
        self.settle();
    }

    /// A connection has no page of its own at the proxy: it is what the list says, and what it said last.
    fn follow_connection(&mut self) {
        let Some(Opened {
            what: Open::Connection(id),
            detail,
            ..
        }) = self.opened.last_mut()
        else {
            return;
        };
        match (self.connections.row(id), detail) {
            (Some(row), detail) => {
                *detail = Detail::Connection {
                    row: Box::new(row.clone()),
                    gone: Gone::No,
                };
            }
            (None, Detail::Connection { gone, .. }) => *gone = Gone::Yes,
            (None, detail) => *detail = Detail::Gone,
        }
    }

    fn take_detail(&mut self, what: &Open, found: Found) {
        let Some(opened) = self.opened.last_mut().filter(|opened| opened.what == *what) else {
            return;
        };
        match (found, &opened.detail) {
            (Found::Gone, Detail::Asked) => opened.detail = Detail::Gone,
            // What is on the screen stays until it is left.
            (Found::Gone, _) => self.tell(
                Paint::Warning,
                "the proxy does not keep it any more".to_owned(),
            ),
            (Found::Finding(finding), _) => opened.detail = Detail::Finding(finding),
            (Found::Shape(shape), _) => opened.detail = Detail::Shape(shape),
            (Found::Unit(unit), _) => opened.detail = Detail::Unit(unit),
        }
        self.settle();
    }

    fn take_muted(&mut self, id: &str, muting: Muting, result: Result<(), ClientError>) {
        if let Err(error) = result {
            self.mark_muted(id, muting.other());
            self.tell(Paint::Bad, error.to_string());
        }
    }

    /// Shows a finding as muted, or not, before the proxy says so.
    pub(super) fn mark_muted(&mut self, id: &str, muting: Muting) {
        let status = match muting {
            Muting::Mute => "muted",
            Muting::Unmute => "open",
        };
        if let Some(row) = self
            .findings
            .rows_mut()
            .iter_mut()
            .find(|row| row.finding.id == id)
        {
            status.clone_into(&mut row.finding.status);
        }
        if let Some(Detail::Finding(finding)) = self.opened.last_mut().map(|one| &mut one.detail)
            && finding.id == id
        {
            status.clone_into(&mut finding.status);
        }
        self.muted_here.insert(id.to_owned());
    }

    /// What was muted goes to its place at the end.
    pub(super) fn forget_muted(&mut self) {
        self.muted_here.clear();
    }

    fn refuse(&mut self, view: View, filter: &str, message: String) {
        let known = match view {
            View::Findings if self.findings.filter == filter => &mut self.findings.known,
            View::Shapes if self.shapes.filter == filter => &mut self.shapes.known,
            View::Units if self.units.filter == filter => &mut self.units.known,
            View::Connections if self.connections.filter == filter => &mut self.connections.known,
            View::Findings | View::Shapes | View::Units | View::Connections => return,
        };
        *known = Known::Refused(message);
    }

    /// The text of what is open, as wide as the terminal.
    pub(super) fn page(&self) -> Page {
        let mut page = Page::new(usize::from(self.size.0.saturating_sub(1)), self.look);
        let Some(detail) = self.detail() else {
            return page;
        };
        match detail {
            Detail::Asked => page.line(Paint::Dim, "Asking the proxy."),
            Detail::Gone => page.line(
                Paint::Warning,
                "The proxy does not keep it any more. Esc leads back.",
            ),
            Detail::Finding(finding) => findings::page(finding, &mut page, self.wall),
            Detail::Shape(shape) => shapes::page(shape, &mut page, self.wall),
            Detail::Unit(unit) => units::page(unit, &mut page, self.wall),
            Detail::Connection { row, gone } => {
                connections::page(row, *gone == Gone::Yes, &mut page, self.wall);
            }
        }
        page
    }

    /// Keeps the selection and the text in sight, whatever has changed.
    pub(super) fn settle(&mut self) {
        let height = self.layout().body_lines();
        self.sheet_mut().settle(height);
        if !self.opened.is_empty() {
            let lines = self.page().lines.len();
            let room = self.layout().page_lines();
            if let Some(opened) = self.opened.last_mut() {
                opened.scroll = opened.scroll.min(lines.saturating_sub(room));
            }
        }
    }

    /// What is known of the thing that is open.
    pub(super) fn detail(&self) -> Option<&Detail> {
        self.opened.last().map(|opened| &opened.detail)
    }

    /// Shows something; the way back leads to what was shown before.
    pub(super) fn open(&mut self, what: Open) {
        let detail = match &what {
            Open::Finding(id) => self.findings.row(id).map_or(Detail::Asked, |row| {
                Detail::Finding(Box::new(row.finding.clone()))
            }),
            Open::Connection(id) => {
                self.connections
                    .row(id)
                    .map_or(Detail::Gone, |row| Detail::Connection {
                        row: Box::new(row.clone()),
                        gone: Gone::No,
                    })
            }
            Open::Shape(_) | Open::Unit(_) => Detail::Asked,
        };
        if self.opened.len() >= OPENED_MAX {
            self.opened.remove(0);
        }
        self.opened.push(Opened {
            what,
            detail,
            scroll: 0,
        });
    }
}

fn extent(items: usize, total: u64) -> Extent {
    match items as u64 >= total {
        true => Extent::All,
        false => Extent::Some,
    }
}

/// The columns of the header's p95: the one that is not over yet, and the two before it.
pub(super) const P95_COLUMNS: usize = 3;

/// What is asked of the history.
pub(super) type History = Vec<Column>;
