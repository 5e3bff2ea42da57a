//! Connections as Django makes them, statement by statement.

mod marks;
mod pauses;
mod bounds;
mod together;
mod trials;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::event::{
    ClosedEvent, Columns, Flow, Phases, Protocol, QueryEvent, RowColumns, RowKeys, RowsEvent,
    SessionId, Shape,
};
use crate::sql::facts::extract;
use crate::sql::{NameHash, Verb, normalize, scan_all, tags};
use crate::wire::{SqlState, TransactionStatus};

pub(super) const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

pub(super) const SESSION: &str = "SELECT s.session_key, s.session_data, s.expire_date FROM django_session s \
     WHERE s.expire_date > '2026-01-01' AND s.session_key = 'abc' LIMIT 21";
pub(super) const USER: &str = "SELECT u.id, u.username FROM auth_user u WHERE u.id = 1 LIMIT 21";
pub(super) const SAVE: &str =
    "UPDATE django_session SET session_data = 'x' WHERE session_key = 'abc'";
pub(super) const ORDERS: &str = "SELECT id, customer_id FROM shop_order ORDER BY id LIMIT 10";
pub(super) const CUSTOMER: &str = "SELECT id, name FROM shop_customer WHERE id = 7 LIMIT 21";

/// A connection whose statements take 1 ms each.
pub(super) struct Line {
    facts: Arc<SessionFacts>,
    now: u64,
    sequence: u64,
    status: TransactionStatus,
    tags: Option<&'static str>,
    fails: bool,
    pub events: Vec<crate::event::Observed>,
}

impl Line {
    pub(super) fn new(id: u64, client: &str) -> Line {
        Line {
            facts: Arc::new(SessionFacts {
                id: SessionId(id),
                listener: "default".into(),
                client: client.into(),
                user: "shop".into(),
                database: "shop".into(),
                application: "".into(),
                backend_pid: 1,
            }),
            now: SECOND + id,
            sequence: 0,
            status: TransactionStatus::Idle,
            tags: None,
            fails: false,
            events: Vec::new(),
        }
    }

    /// The application does something else.
    pub(super) fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.now += ms * MS;
        self
    }

    /// The tags of the statements from here on.
    pub(super) fn tagged(&mut self, tags: Option<&'static str>) -> &mut Self {
        self.tags = tags;
        self
    }

    /// The next statement fails.
    pub(super) fn fails(&mut self) -> &mut Self {
        self.fails = true;
        self
    }

    /// So many events are lost: they happen, and nobody is told.
    pub(super) fn lost(&mut self, sql: &str) -> &mut Self {
        self.run(sql);
        self.events.pop();
        self
    }

    /// Runs statements, half a millisecond behind each other.
    pub(super) fn run_all(&mut self, statements: &[&str]) -> &mut Self {
        for sql in statements {
            self.run(sql);
        }
        self
    }

    pub(super) fn run(&mut self, sql: &str) -> &mut Self {
        let event = self.query(sql, MS);
        self.events.push(crate::event::Observed::Query(event));
        self
    }

    fn query(&mut self, sql: &str, takes_ns: u64) -> QueryEvent {
        self.now += MS / 2;
        let requested_at = Moment(self.now);
        self.now += takes_ns;
        let scanned = scan_all(sql);
        let (fingerprint, verb) = scanned.first().map_or_else(
            || (crate::sql::Fingerprint(0), crate::sql::Verb::Empty),
            |statement| (statement.fingerprint, statement.verb),
        );
        let before = self.status;
        self.status = match verb {
            Verb::Begin => TransactionStatus::InTransaction,
            Verb::Commit | Verb::Rollback => TransactionStatus::Idle,
            _ => before,
        };
        let event = QueryEvent {
            facts: Arc::clone(&self.facts),
            sequence: self.sequence,
            fingerprint,
            verb,
            shape: Some(shape_of(sql)),
            protocol: Protocol::Simple,
            requested_at,
            completed_at: Moment(self.now),
            phases: Phases {
                database_ns: takes_ns,
                ..Phases::default()
            },
            round_trips: 1,
            rows: 1,
            sqlstate: std::mem::take(&mut self.fails).then_some(SqlState(*b"57014")),
            transaction_before: before,
            transaction_after: self.status,
            pipeline_index: 0,
            tags: self
                .tags
                .and_then(|text| tags::parse(text.as_bytes()))
                .map(Arc::new),
            cursor: None,
            flow: Some(Flow {
                constants: Default::default(),
                values: xxhash_rust::xxh3::xxh3_64(sql.as_bytes()),
                result: None,
            }),
        };
        self.sequence += 1;
        event
    }

    /// Opens a cursor and fetches its first rows; `then` runs in its loop; then the rest is fetched.
    pub(super) fn cursor(&mut self, sql: &str, then: impl FnOnce(&mut Line)) -> &mut Self {
        let mut event = self.query(sql, MS);
        self.sequence -= 1;
        let cursor = NameHash(event.requested_at.0);
        let rows = RowsEvent {
            facts: Arc::clone(&self.facts),
            fingerprint: event.fingerprint,
            shape: event.shape,
            cursor,
            requested_at: event.requested_at,
            transaction_before: event.transaction_before,
            tags: event.tags.clone(),
            queries: self.sequence,
            completed_at: event.completed_at,
            result: RowKeys {
                columns: Columns::from(RowColumns {
                    all: Box::new([]),
                    keys: Default::default(),
                }),
                keys: Default::default(),
                rows: 0,
                rows_total: 0,
                held: crate::event::Held::default(),
            },
        };
        self.events
            .push(crate::event::Observed::Rows(Box::new(rows.clone())));
        then(self);
        self.now += MS;
        let more = RowsEvent {
            completed_at: Moment(self.now),
            queries: self.sequence,
            ..rows
        };
        self.events
            .push(crate::event::Observed::Rows(Box::new(more)));
        event.sequence = self.sequence;
        event.completed_at = Moment(self.now);
        event.cursor = Some(cursor);
        event.protocol = Protocol::Cursor;
        event.transaction_after = self.status;
        self.sequence += 1;
        self.events.push(crate::event::Observed::Query(event));
        self
    }

    /// The connection is closed, half a millisecond behind its last statement.
    pub(super) fn close(&mut self) -> &mut Self {
        self.now += MS / 2;
        self.events
            .push(crate::event::Observed::Closed(ClosedEvent {
                facts: Arc::clone(&self.facts),
                at: Moment(self.now),
                queries: self.sequence,
            }));
        self
    }
}

/// The shape of a statement, its facts known.
fn shape_of(sql: &str) -> crate::event::ShapeRef {
    thread_local! {
        static KNOWN: std::cell::RefCell<HashMap<String, crate::event::ShapeRef>> = std::cell::RefCell::default();
    }
    let make = |number| {
        let text = normalize(sql);
        let facts = extract(&text);
        let scanned = scan_all(sql);
        Shape::kept(Shape {
            fingerprint: scanned
                .first()
                .map_or(crate::sql::Fingerprint(0), |found| found.fingerprint),
            number: crate::event::ShapeNumber(number),
            verb: scanned
                .first()
                .map_or(crate::sql::Verb::Empty, |found| found.verb),
            text: text.into(),
            facts: OnceLock::from(facts),
            parsed: crate::event::Parsed::yes(),
        })
    };
    KNOWN.with_borrow_mut(|known| {
        let number = known.len() as u32;
        *known.entry(sql.to_owned()).or_insert_with(|| make(number))
    })
}

/// What came of a run: the units in the order in which they ended.
pub(super) fn units_of(lines: &[&Line]) -> Vec<UnitRecord> {
    let events = lines.iter().flat_map(|line| line.events.iter());
    follow(&mut Units::new(Settings::default()), events, |_, _| false)
}

/// Feeds events, ticking as time passes, and lets what is open end by quietness.
pub(super) fn follow<'a>(
    units: &mut Units<()>,
    events: impl Iterator<Item = &'a crate::event::Observed>,
    mut continues: impl FnMut(&Unit<()>, &QueryEvent) -> bool,
) -> Vec<UnitRecord> {
    use crate::event::Observed;
    let mut records = Vec::new();
    let mut last = Moment(0);
    let mut ended = |unit: Unit<()>| records.push(unit.into_record());
    for event in events {
        match event {
            Observed::Query(event) => {
                last = last.max(event.completed_at);
                units.query(event, |unit, event, _| continues(unit, event), &mut ended);
            }
            Observed::Rows(event) => {
                last = last.max(event.completed_at);
                units.rows(event, &mut ended);
            }
            Observed::Closed(event) => {
                last = last.max(event.at);
                units.closed(event, &mut ended);
            }
        }
    }
    for seconds in 1..20 {
        units.tick(Moment(last.0 + seconds * SECOND), &mut ended);
    }
    records
}

/// Evidence and number of statements of each unit.
pub(super) fn brief(records: &[UnitRecord]) -> Vec<(Evidence, u64)> {
    records
        .iter()
        .map(|unit| (unit.evidence, unit.queries))
        .collect()
}
