//! Asks the proxy on a thread of its own, for what is on the screen and nothing else: however slow it is, the keys live.
//!
//! What is wanted lies in a slot that always holds the latest wish; what came of it goes into a bounded channel.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Event;
use super::state::{Feed, History, P95_COLUMNS, View};
use crate::cli::client::{
    Asked, ClientError, Connection, Finding, Muting, Part, Proxy, Pulse, Request, RequestDetail,
    Shape, ShapeDetail,
};
use crate::clock::Clock;
use crate::event::Moment;

/// Rows of a list: the API's longest answer.
const ROWS_MAX: u16 = 1_000;

/// The history has columns of five seconds: it is not asked more often.
const HISTORY_EVERY: Duration = Duration::from_secs(5);

/// Between the end of a round and the next, however late it is.
const REST: Duration = Duration::from_millis(100);

/// Findings that wait to be muted, at most: further presses are refused.
const MUTES_MAX: usize = 64;

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Open {
    Finding(String),
    Shape(String),
    Unit(String),
    Connection(String),
}

/// What is on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) view: View,
    /// The API's sort key.
    pub(super) sort: &'static str,
    pub(super) filter: String,
    pub(super) open: Option<Open>,
    pub(super) feed: Feed,
}

/// A list as the proxy has it.
#[derive(Debug)]
pub(super) enum Listed {
    Findings(Part<Finding>),
    Shapes(Part<Shape>),
    Units(Part<Request>),
    Connections(Part<Connection>),
}

/// What there is of something that was opened.
#[derive(Debug)]
pub(super) enum Found {
    Gone,
    Finding(Box<Finding>),
    Shape(Box<ShapeDetail>),
    Unit(Box<RequestDetail>),
}

/// What the proxy said.
#[derive(Debug)]
pub(super) enum Answer {
    Pulse(Box<Pulse>),
    History(History),
    List {
        filter: String,
        listed: Listed,
    },
    Detail {
        what: Open,
        found: Found,
    },
    Muted {
        id: String,
        muting: Muting,
        result: Result<(), ClientError>,
    },
    /// It cannot read the filter.
    RefusedFilter {
        view: View,
        filter: String,
        message: String,
    },
    Failed(ClientError),
}

/// The slot between the one who looks and the one who asks.
#[derive(Debug)]
pub(super) struct Desk {
    slot: Mutex<Slot>,
    changed: Condvar,
}

#[derive(Debug)]
struct Slot {
    wanted: Wanted,
    /// Counts the wishes.
    wish: u64,
    mutes: VecDeque<(String, Muting)>,
}

/// What to do next.
#[derive(Debug)]
enum Order {
    Mute(String, Muting),
    Round(Wanted),
}

impl Desk {
    pub(super) fn new(wanted: Wanted) -> Arc<Desk> {
        Arc::new(Desk {
            slot: Mutex::new(Slot {
                wanted,
                wish: 1,
                mutes: VecDeque::new(),
            }),
            changed: Condvar::new(),
        })
    }

    /// The screen shows something else, or the same.
    pub(super) fn want(&self, wanted: Wanted) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.wanted != wanted {
            slot.wanted = wanted;
            slot.wish += 1;
            self.changed.notify_one();
        }
    }

    /// `false` where too many wait already.
    pub(super) fn mute(&self, id: String, muting: Muting) -> bool {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let room = slot.mutes.len() < MUTES_MAX;
        if room {
            slot.mutes.push_back((id, muting));
            self.changed.notify_one();
        }
        room
    }

    /// Waits for a wish that is newer than `done`, or until `rest` has passed while answers are wanted.
    fn next(&self, done: &mut u64, rest: Duration, clock: Clock) -> Order {
        let begun = clock.now();
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((id, muting)) = slot.mutes.pop_front() {
                return Order::Mute(id, muting);
            }
            let left = rest.saturating_sub(Duration::from_nanos(clock.now().since(begun)));
            let due = left.is_zero() && slot.wanted.feed == Feed::Running;
            if slot.wish != *done || due {
                *done = slot.wish;
                return Order::Round(slot.wanted.clone());
            }
            slot = match slot.wanted.feed {
                Feed::Running => {
                    let waited = self.changed.wait_timeout(slot, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Feed::Paused => self
                    .changed
                    .wait(slot)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn wish(&self) -> u64 {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.wish
    }
}

/// Asks as long as anybody takes the answers.
pub(super) fn run(
    proxy: &Proxy,
    desk: &Desk,
    interval: Duration,
    clock: Clock,
    events: &SyncSender<Event>,
) {
    let mut asker = Asker {
        proxy,
        clock,
        events,
        history_at: None,
    };
    let (mut done, mut rest) = (0, Duration::ZERO);
    loop {
        let went_on = match desk.next(&mut done, rest, clock) {
            Order::Mute(id, muting) => asker.mute(id, muting),
            Order::Round(wanted) => {
                let begun = clock.now();
                let went_on = asker.round(&wanted, || desk.wish() != done);
                let took = Duration::from_nanos(clock.now().since(begun));
                rest = interval.saturating_sub(took).max(REST);
                went_on
            }
        };
        if went_on.is_none() {
            return;
        }
    }
}

/// One round without a thread: what `--once` prints.
pub(super) fn ask_once(
    proxy: &Proxy,
    wanted: &Wanted,
    clock: Clock,
) -> Result<Vec<(Answer, Moment)>, ClientError> {
    let mut answers = Vec::new();
    let pulse = proxy.pulse()?;
    answers.push((Answer::Pulse(Box::new(pulse)), clock.now()));
    let history = proxy.latest_columns(P95_COLUMNS)?;
    answers.push((Answer::History(history), clock.now()));
    let listed = list(proxy, wanted)?;
    let filter = wanted.filter.clone();
    answers.push((Answer::List { filter, listed }, clock.now()));
    Ok(answers)
}

struct Asker<'a> {
    proxy: &'a Proxy,
    clock: Clock,
    events: &'a SyncSender<Event>,
    history_at: Option<Moment>,
}

impl Asker<'_> {
    /// `None` when nobody listens any more.
    fn send(&self, answer: Answer) -> Option<()> {
        let at = self.clock.now();
        self.events.send(Event::Answer(Box::new(answer), at)).ok()
    }

    fn mute(&self, id: String, muting: Muting) -> Option<()> {
        let result = self.proxy.set_muted(&id, muting);
        self.send(Answer::Muted { id, muting, result })
    }

    /// Everything on the screen once; the rest of it is left where something else is `wanted_instead`.
    fn round(&mut self, wanted: &Wanted, wanted_instead: impl Fn() -> bool) -> Option<()> {
        match self.proxy.pulse() {
            Ok(pulse) => self.send(Answer::Pulse(Box::new(pulse)))?,
            Err(error) => return self.send(Answer::Failed(error)),
        }
        let connection = matches!(wanted.open, Some(Open::Connection(_)));
        if let Some(what) = wanted.open.as_ref().filter(|_| !connection) {
            match found(self.proxy, what) {
                Ok(found) => self.send(Answer::Detail {
                    what: what.clone(),
                    found,
                })?,
                Err(error) => return self.send(Answer::Failed(error)),
            }
        } else {
            match list(self.proxy, wanted) {
                Ok(listed) => self.send(Answer::List {
                    filter: wanted.filter.clone(),
                    listed,
                })?,
                Err(ClientError::Refused { message, .. }) => self.send(Answer::RefusedFilter {
                    view: wanted.view,
                    filter: wanted.filter.clone(),
                    message,
                })?,
                Err(error) => return self.send(Answer::Failed(error)),
            }
        }
        if wanted_instead() {
            return Some(());
        }
        let now = self.clock.now();
        let every_ns = u64::try_from(HISTORY_EVERY.as_nanos()).unwrap_or(u64::MAX);
        if self.history_at.is_none_or(|at| now.since(at) >= every_ns) {
            self.history_at = Some(now);
            match self.proxy.latest_columns(P95_COLUMNS) {
                Ok(columns) => self.send(Answer::History(columns))?,
                Err(error) => return self.send(Answer::Failed(error)),
            }
        }
        Some(())
    }
}

fn list(proxy: &Proxy, wanted: &Wanted) -> Result<Listed, ClientError> {
    let asked = Asked {
        sort: wanted.sort,
        filter: &wanted.filter,
        limit: ROWS_MAX,
    };
    Ok(match wanted.view {
        View::Findings => Listed::Findings(proxy.all_findings(asked)?),
        View::Shapes => Listed::Shapes(proxy.shapes(asked)?),
        View::Units => Listed::Units(proxy.requests(asked)?),
        View::Connections => Listed::Connections(proxy.connections(asked)?),
    })
}

fn found(proxy: &Proxy, what: &Open) -> Result<Found, ClientError> {
    Ok(match what {
        Open::Finding(id) => proxy
            .finding(id)?
            .map_or(Found::Gone, |one| Found::Finding(Box::new(one))),
        Open::Shape(id) => proxy
            .shape(id)?
            .map_or(Found::Gone, |one| Found::Shape(Box::new(one))),
        Open::Unit(id) => proxy
            .request(id)?
            .map_or(Found::Gone, |one| Found::Unit(Box::new(one))),
        Open::Connection(_) => Found::Gone,
    })
}
