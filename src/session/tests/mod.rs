//! Scripts of (time, side, message) with the queries that must come of them.

mod cycle;
mod dialect;
mod extended;
mod faults;
mod remembered;
mod simple;
mod statements;
mod values;
mod wire;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::{Finished, Literals, Lost, Scratch, Session, Settings, Sink};
use crate::event::{
    ClosedEvent, ConnectionState, ConnectionStatus, Direction, Exchange, FlowBudget, Held, Moment,
    RowsEvent, SessionEvent, SessionFacts, SessionId, SessionStart, Shape, ShapeRef,
};
use crate::sql::{Fingerprint, Verb, Written};

/// Keeps everything; a shape's text is one as it was sent: the first one of its fingerprint, where that is remembered.
#[derive(Default)]
pub(super) struct Recorder {
    pub exchanges: Vec<Exchange>,
    pub events: Vec<SessionEvent>,
    pub unknown: Vec<u8>,
    pub rows: Vec<RowsEvent>,
    pub closed: Vec<ClosedEvent>,
    /// What results may take; no limit for `None`.
    pub budget: Option<Arc<FlowBudget>>,
    /// Exchanges (`q`) and parts of rows (`r`) in the order in which they came.
    pub order: String,
    /// The same with events (`e`) among them.
    pub told: String,
    /// How often a statement's shape was asked for.
    pub shapes: usize,
}

impl Sink for Recorder {
    fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        written: Written<'_>,
    ) -> Option<ShapeRef> {
        self.shapes += 1;
        let text = match written.unreadable {
            true => "(unreadable)".to_owned(),
            false => String::from_utf8_lossy(written.text).into_owned(),
        };
        Some(Shape::kept(Shape {
            fingerprint,
            number: crate::event::ShapeNumber(0),
            verb,
            text: text.into(),
            facts: OnceLock::new(),
            parsed: crate::event::Parsed::yes(),
        }))
    }
    fn query(&mut self, query: Finished<'_>) {
        self.order.push('q');
        self.told.push('q');
        self.exchanges.push(query.exchange());
    }
    fn rows(&mut self, rows: RowsEvent) {
        self.order.push('r');
        self.told.push('r');
        self.rows.push(rows);
    }
    fn closed(&mut self, closed: ClosedEvent) {
        self.closed.push(closed);
    }
    fn hold(&mut self, bytes: usize) -> Option<Held> {
        match &self.budget {
            Some(budget) => budget.take(bytes),
            None => Some(Held::default()),
        }
    }
    fn event(&mut self, _: &Arc<SessionFacts>, event: SessionEvent, _: Moment) {
        self.told.push('e');
        self.events.push(event);
    }
    fn unknown_message(&mut self, _: Direction, tag: u8) {
        self.unknown.push(tag);
    }
}

/// A session that is driven by hand; times are milliseconds.
pub(super) struct Script {
    pub session: Session,
    pub scratch: Scratch,
    pub sink: Recorder,
    pub now: u64,
}

/// What a test asserts of a query: text, rows, SQLSTATE.
pub(super) type Brief = (String, u64, Option<String>);

impl Script {
    /// A session that has logged in at time 0.
    pub(super) fn new() -> Script {
        let mut script = Script::at_login(Settings::default());
        script.upstream(
            0,
            &[
                wire::authentication_ok(),
                wire::backend_key_data(4711),
                wire::ready(b'I'),
            ]
            .concat(),
        );
        script.sink.events.clear();
        script
    }

    pub(super) fn with_literals() -> Script {
        let mut script = Script::at_login(Settings {
            literals: Literals::Kept,
            ..Settings::default()
        });
        script.upstream(0, &[wire::authentication_ok(), wire::ready(b'I')].concat());
        script
    }

    pub(super) fn at_login(settings: Settings) -> Script {
        let start = SessionStart {
            id: SessionId(7),
            listener: "default".into(),
            client: "127.0.0.1".into(),
            user: "shop".into(),
            database: "shop".into(),
            application: "".into(),
            accepted_at: Moment(0),
            opened_at: Moment(0),
            status: Arc::new(ConnectionStatus::default()),
            observe: Arc::new(AtomicBool::new(true)),
        };
        Script {
            scratch: Scratch::new(settings.fingerprint_bytes_max),
            session: Session::open(&start, Arc::new(settings)),
            sink: Recorder::default(),
            now: 0,
        }
    }

    pub(super) fn try_relay(
        &mut self,
        direction: Direction,
        ms: u64,
        bytes: &[u8],
    ) -> Result<(), Lost> {
        self.now = ms;
        self.session.relayed(
            direction,
            bytes,
            Moment(ms * 1_000_000),
            &mut self.scratch,
            &mut self.sink,
        )
    }

    #[track_caller]
    pub(super) fn client(&mut self, ms: u64, bytes: &[u8]) -> &mut Self {
        self.try_relay(Direction::ClientToUpstream, ms, bytes)
            .unwrap();
        self
    }

    #[track_caller]
    pub(super) fn upstream(&mut self, ms: u64, bytes: &[u8]) -> &mut Self {
        self.try_relay(Direction::UpstreamToClient, ms, bytes)
            .unwrap();
        self
    }

    pub(super) fn close(&mut self) -> &mut Self {
        self.session
            .closed(Moment((self.now + 1) * 1_000_000), &mut self.sink);
        self
    }

    pub(super) fn briefs(&self) -> Vec<Brief> {
        self.sink
            .exchanges
            .iter()
            .map(|e| {
                let text = e
                    .statement
                    .shape
                    .as_ref()
                    .map_or(String::new(), |shape| shape.text.trim().to_owned());
                (text, e.rows, e.sqlstate.map(|s| s.as_str().to_owned()))
            })
            .collect()
    }

    #[track_caller]
    pub(super) fn expect(&self, expected: &[(&str, u64, Option<&str>)]) -> &Self {
        let expected: Vec<Brief> = expected
            .iter()
            .map(|(t, r, s)| ((*t).to_owned(), *r, s.map(str::to_owned)))
            .collect();
        assert_eq!(self.briefs(), expected);
        self
    }

    /// Database, transfer, client, application of query `index`, in milliseconds.
    pub(super) fn phases(&self, index: usize) -> [u64; 4] {
        let p = self.sink.exchanges[index].phases;
        [p.database_ns, p.transfer_ns, p.client_ns, p.application_ns].map(|ns| ns / 1_000_000)
    }

    #[track_caller]
    pub(super) fn expect_state(&self, state: ConnectionState) -> &Self {
        assert_eq!(self.session.state(), state);
        self
    }
}
