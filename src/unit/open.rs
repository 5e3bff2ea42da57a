//! A unit of work that is still going on.

use std::sync::Arc;

use super::asked::Asked;
use super::role::Use;
use super::trace::{SpanId, Spans, TestId, TraceId};
use super::{
    Completeness, Evidence, Joined, Pause, Timeline, TimelineEntry, UnitId, UnitRecord, UnitState,
};
use crate::event::{Moment, Phases, QueryEvent, RowsEvent, SessionFacts, SessionId, ShapeRef};
use crate::hashes::Hashes;
use crate::sql::facts::summary_of;
use crate::sql::tags::Tags;
use crate::sql::{Fingerprint, NameHash, Verb};
use crate::wire::SqlState;

/// What one kept statement takes: itself, and its part of the two sets.
pub(super) const ENTRY_BYTES: usize = size_of::<TimelineEntry>() + 4 * size_of::<u64>();

/// Queries by cursor that are followed in one unit. Where the end of one was lost, it gives way.
pub(super) const CURSORS_MAX: usize = 256;

/// Which of the checks a connection was seen to get before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Health,
    Pool,
}

impl Check {
    pub(super) fn evidence(self) -> Evidence {
        match self {
            Check::Health => Evidence::HealthCheck,
            Check::Pool => Evidence::PoolCheck,
        }
    }
}

/// What made a unit begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A trace that its connection was not in.
    Trace,
    /// It is the first of its connection, seen from the start.
    Opened,
    /// A check that no error explains.
    Check(Check),
    /// The session was looked up a second time.
    SessionLookup,
    /// A pause, or nothing that is known.
    Pause,
}

/// A statement as units see it: a whole query, or the first rows of one that goes on.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub facts: &'a Arc<SessionFacts>,
    pub fingerprint: Fingerprint,
    pub verb: Verb,
    pub shape: Option<ShapeRef>,
    pub tags: Option<&'a Arc<Tags>>,
    pub requested_at: Moment,
    pub completed_at: Moment,
    pub phases: Phases,
    pub rows: u64,
    pub sqlstate: Option<SqlState>,
    /// All its values as one hash.
    pub values: Option<u64>,
    pub usage: Use,
    pub test: Option<TestId>,
    pub trace: Option<TraceId>,
    pub span: Option<SpanId>,
    /// The outermost transaction of its connection that it lies in, by number.
    pub transaction: Option<u32>,
}

impl<'a> Arrival<'a> {
    #[inline]
    pub(super) fn of_query(event: &'a QueryEvent, usage: Use, transaction: Option<u32>) -> Self {
        Arrival {
            facts: &event.facts,
            fingerprint: event.fingerprint,
            verb: event.verb,
            shape: event.shape,
            tags: event.tags.as_ref(),
            requested_at: event.requested_at,
            completed_at: event.completed_at,
            phases: event.phases,
            rows: event.rows,
            sqlstate: event.sqlstate,
            values: event.flow.as_ref().map(|flow| flow.values),
            usage,
            test: event.tags.as_deref().and_then(TestId::of_tags),
            trace: event.tags.as_deref().and_then(TraceId::of),
            span: event.tags.as_deref().and_then(SpanId::of),
            transaction,
        }
    }

    pub(super) fn of_rows(event: &'a RowsEvent, usage: Use, transaction: Option<u32>) -> Self {
        Arrival {
            facts: &event.facts,
            fingerprint: event.fingerprint,
            verb: Verb::Select,
            shape: event.shape,
            tags: event.tags.as_ref(),
            requested_at: event.requested_at,
            completed_at: event.completed_at,
            phases: Phases::default(),
            rows: 0,
            sqlstate: None,
            values: None,
            usage,
            test: event.tags.as_deref().and_then(TestId::of_tags),
            trace: event.tags.as_deref().and_then(TraceId::of),
            span: event.tags.as_deref().and_then(SpanId::of),
            transaction,
        }
    }
}

/// The time between two looks at what goes on, by number; a unit begins with one that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round(u64);

impl Round {
    /// The one behind this.
    pub fn next(self) -> Round {
        Round(self.0 + 1)
    }
}

/// A unit of work that is still going on, and `payload`, what the detectors remember of it.
#[derive(Debug)]
pub struct Unit<P> {
    id: UnitId,
    facts: Arc<SessionFacts>,
    /// What the detectors remember.
    pub payload: P,
    /// In which round it got something last, as whoever looks at it from time to time counts them.
    pub touched: Round,
    pub(super) begin: Mark,
    /// Something stronger than its statements themselves say.
    pub(super) held_by: Option<Evidence>,
    /// The test that it is of, or of a request of; its statements have no other.
    pub(super) test: Option<TestId>,
    /// That test is over: what comes of it now comes from elsewhere.
    pub(super) test_is_over: bool,
    pub(super) trace: Option<TraceId>,
    spans: Spans,
    /// Connections that are in it now.
    pub(super) connections: u32,
    /// Its statements without the trace's id, after a pause.
    strays: u64,
    completeness: Completeness,
    started_at: Moment,
    ended_at: Moment,
    queries: u64,
    rows: u64,
    phases: Phases,
    timeline: Timeline,
    /// The fingerprints of those in the timeline.
    shapes: Hashes<()>,
    /// Which statements came before as they are.
    asked: Asked,
    transactions: Transactions,
    pub(super) session_lookups: u32,
    begins_with_session: bool,
    previous: Option<Use>,
    /// Statements that look Django's session and user up, or save the session.
    framing: u64,
    cursors: Vec<(SessionId, NameHash, u32)>,
    route: Option<Arc<str>>,
    controller: Option<Arc<str>>,
    tags: Option<Arc<Tags>>,
    /// The first shape that is its work.
    subject: Option<(Verb, Option<ShapeRef>)>,
}

/// Which of a unit's statements lay in transactions.
#[derive(Debug, Default)]
struct Transactions {
    /// Different outermost ones with statements in this unit.
    count: u32,
    /// The last of them.
    last: Option<(SessionId, u32)>,
    /// Whether the unit's last statement lay in it.
    inside: bool,
    /// Statements that lay in none and are no look-up or save of Django's session.
    outside: u64,
}

impl<P: Default> Unit<P> {
    pub(super) fn begin(id: UnitId, begin: Mark, arrival: &Arrival<'_>) -> Unit<P> {
        Unit {
            id,
            facts: Arc::clone(arrival.facts),
            payload: P::default(),
            touched: Round::default(),
            begin,
            held_by: None,
            test: arrival.test,
            test_is_over: false,
            trace: arrival.trace,
            spans: Spans::Unknown,
            connections: 1,
            strays: 0,
            completeness: Completeness::Complete,
            started_at: arrival.requested_at,
            ended_at: arrival.completed_at,
            queries: 0,
            rows: 0,
            phases: Phases::default(),
            timeline: Timeline::default(),
            shapes: Hashes::default(),
            asked: Asked::default(),
            transactions: Transactions::default(),
            session_lookups: 0,
            begins_with_session: arrival.usage == Use::SessionLookup,
            previous: None,
            framing: 0,
            cursors: Vec::new(),
            route: None,
            controller: None,
            tags: None,
            subject: None,
        }
    }
}

impl<P> Unit<P> {
    /// Its identity.
    pub fn id(&self) -> UnitId {
        self.id
    }

    /// Who asked: the (first) connection's facts.
    pub fn facts(&self) -> &Arc<SessionFacts> {
        &self.facts
    }

    /// What holds it together, as far as can be judged by now: the strongest that holds for its begin and its end.
    ///
    /// What Django's settings give: `CONN_MAX_AGE=0` a connection, known when it is closed; a persistent connection a
    /// pause, the look-up of session and user, or with `ATOMIC_REQUESTS` a transaction; `CONN_HEALTH_CHECKS` a health
    /// check, or behind psycopg's pool a pool check; OpenTelemetry's comments a trace.
    pub fn evidence(&self) -> Evidence {
        let transactions = &self.transactions;
        if self.trace.is_some() && self.strays == 0 {
            Evidence::Trace
        } else if let Some(evidence) = self.held_by {
            evidence
        } else if transactions.count == 1 && transactions.outside == 0 {
            Evidence::Transaction
        } else if self.begins_with_session {
            Evidence::SessionLookup
        } else {
            Evidence::Pause
        }
    }

    /// Whether it is a test's, or a request's of one: then nothing but its tags tells where it begins and ends.
    pub fn is_of_test(&self) -> bool {
        self.test.is_some()
    }

    /// Whether all of it was seen.
    pub fn completeness(&self) -> Completeness {
        self.completeness
    }

    pub(super) fn lost_something(&mut self) {
        self.completeness = Completeness::Incomplete;
    }

    /// Which outermost transaction of the unit its last statement lies in, from 0; `None` when in none.
    pub fn transaction_ordinal(&self) -> Option<u32> {
        self.transactions
            .inside
            .then(|| self.transactions.count.saturating_sub(1))
    }

    /// Whether a statement of the same trace is of another request: a service that asks this one several times has one
    /// trace for all. Statements that shared their span up to now go on doing so.
    pub(super) fn is_other_request(&self, span: Option<SpanId>) -> bool {
        match (self.spans, span) {
            (Spans::One(one, count), Some(span)) => count >= 2 && one != span,
            (Spans::Unknown | Spans::One(..) | Spans::Several, _) => false,
        }
    }

    /// Whether the unit's last statement lay in this transaction.
    pub(super) fn is_in(&self, session: SessionId, transaction: Option<u32>) -> bool {
        transaction.is_some_and(|number| self.transactions.last == Some((session, number)))
    }

    /// Its statements, housekeeping left out; those of a cursor from its first rows on.
    pub fn queries(&self) -> u64 {
        self.queries
    }

    /// When its first statement was requested.
    pub fn started_at(&self) -> Moment {
        self.started_at
    }

    /// When the last statement so far was complete.
    pub fn ended_at(&self) -> Moment {
        self.ended_at
    }

    /// The statements kept, by [`Joined::index`].
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Says that the values of `child` came from the rows of `parent`; both by [`Joined::index`].
    pub fn set_parent(&mut self, child: u32, parent: u32) {
        if let Some(entry) = self.timeline.get_mut(child as usize) {
            entry.parent = Some(parent);
        }
    }

    /// The place of a query whose rows come in parts, while it is open.
    pub fn cursor_index(&self, session: SessionId, cursor: NameHash) -> Option<u32> {
        self.cursors
            .iter()
            .rev()
            .find(|(owner, name, _)| *owner == session && *name == cursor)
            .map(|(_, _, index)| *index)
    }

    /// The tag `route`.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.route.as_ref()
    }

    /// The tag `controller`.
    pub fn controller(&self) -> Option<&Arc<str>> {
        self.controller.as_ref()
    }

    /// The tags of its first statement that had any.
    pub fn tags(&self) -> Option<&Arc<Tags>> {
        self.tags.as_ref()
    }

    /// Bytes that its kept statements take.
    pub(super) fn timeline_bytes(&self) -> usize {
        self.timeline.len() * ENTRY_BYTES
    }

    /// What it is by now, its timeline included.
    pub fn record(&mut self) -> UnitRecord {
        self.describe(self.timeline.clone(), UnitState::Open)
    }

    /// What it was.
    pub fn into_record(mut self) -> UnitRecord {
        let timeline = std::mem::take(&mut self.timeline);
        self.describe(timeline, UnitState::Ended)
    }

    fn describe(&mut self, timeline: Timeline, state: UnitState) -> UnitRecord {
        UnitRecord {
            id: self.id,
            facts: Arc::clone(&self.facts),
            started_at: self.started_at,
            ended_at: self.ended_at,
            evidence: self.evidence(),
            completeness: self.completeness,
            route: self.route.clone().or_else(|| self.summary()),
            controller: self.controller.clone(),
            test: self.tag_of_test("test"),
            test_id: self.tag_of_test("test_id"),
            queries: self.queries,
            rows: self.rows,
            shapes: self.shapes.len() as u64,
            duplicates: self.asked.duplicates(),
            phases: self.phases,
            timeline: timeline.in_order(),
            state,
            findings: Vec::new(),
        }
    }

    /// The statement that the unit began with says whose test it is.
    fn tag_of_test(&self, key: &str) -> Option<Arc<str>> {
        self.tags.as_ref()?.value(key).map(Arc::from)
    }

    fn summary(&self) -> Option<Arc<str>> {
        let (verb, shape) = self.subject.as_ref()?;
        let facts = shape.as_ref().and_then(|shape| shape.facts());
        Some(match facts {
            Some(facts) => facts.summary.as_str().into(),
            None => summary_of(*verb).into(),
        })
    }

    /// Puts a statement at its end.
    pub(super) fn join(
        &mut self,
        arrival: &Arrival<'_>,
        gap_ns: u64,
        pause: Pause,
        room: Room,
    ) -> Joined {
        let index = u32::try_from(self.queries).unwrap_or(u32::MAX);
        self.queries += 1;
        self.rows += arrival.rows;
        self.started_at = self.started_at.min(arrival.requested_at);
        self.ended_at = self.ended_at.max(arrival.completed_at);
        let frames = match arrival.usage {
            Use::SessionLookup | Use::SessionSave => true,
            Use::OneRow => self.previous == Some(Use::SessionLookup),
            Use::Work => false,
        };
        self.enter_transaction(arrival, frames);
        self.session_lookups += u32::from(arrival.usage == Use::SessionLookup);
        self.strays += u64::from(arrival.trace.is_none() && pause == Pause::Soft);
        self.spans = self.spans.and(arrival.span);
        self.note_tags(arrival);
        let is_first_work = !frames && self.queries == 1 + self.framing;
        self.framing += u64::from(frames);
        if is_first_work || self.subject.is_none() {
            self.subject = Some((arrival.verb, arrival.shape));
        }
        self.previous = Some(arrival.usage);
        let phases = Phases {
            application_ns: gap_ns,
            ..arrival.phases
        };
        add(&mut self.phases, phases);
        if room == Room::Left {
            // Loops ask the same again.
            if self.timeline.latest_shape() != Some(arrival.fingerprint) {
                self.shapes.insert(arrival.fingerprint.0);
            }
            self.timeline.push(TimelineEntry {
                requested_at: arrival.requested_at,
                completed_at: arrival.completed_at,
                fingerprint: arrival.fingerprint,
                verb: arrival.verb,
                shape: arrival.shape.map(ShapeRef::shape),
                phases,
                rows: arrival.rows,
                sqlstate: arrival.sqlstate,
                parent: None,
                transaction: self.transaction_ordinal(),
            });
        }
        if let Some(values) = arrival.values {
            self.asked.note(arrival.fingerprint, values, room);
        }
        Joined {
            index,
            gap_ns,
            pause,
            housekeeping: false,
        }
    }

    /// A query by cursor gave its first rows: it is told at its end.
    pub(super) fn open_cursor(&mut self, session: SessionId, cursor: NameHash, index: u32) {
        if self.cursors.len() >= CURSORS_MAX {
            self.cursors.remove(0);
        }
        self.cursors.push((session, cursor, index));
    }

    pub(super) fn more_rows(&mut self, completed_at: Moment) {
        self.ended_at = self.ended_at.max(completed_at);
    }

    /// The query by cursor at `index` is over.
    pub(super) fn close_cursor(&mut self, event: &QueryEvent, index: u32) {
        self.cursors.retain(|(_, _, open)| *open != index);
        self.ended_at = self.ended_at.max(event.completed_at);
        self.rows += event.rows;
        let mut room = Room::Full;
        let mut phases = Phases {
            // The application's time between its FETCHes lies in the gaps of the statements there.
            application_ns: 0,
            ..event.phases
        };
        add(&mut self.phases, phases);
        if let Some(entry) = self.timeline.get_mut(index as usize) {
            phases.application_ns = entry.phases.application_ns;
            entry.phases = phases;
            entry.completed_at = event.completed_at;
            entry.rows = event.rows;
            entry.sqlstate = event.sqlstate;
            room = Room::Left;
        }
        if let Some(flow) = &event.flow {
            self.asked.note(event.fingerprint, flow.values, room);
        }
    }

    fn enter_transaction(&mut self, arrival: &Arrival<'_>, frames: bool) {
        let transactions = &mut self.transactions;
        match arrival.transaction {
            Some(number) => {
                let this = Some((arrival.facts.id, number));
                transactions.count += u32::from(transactions.last != this);
                transactions.last = this;
                transactions.inside = true;
            }
            None => {
                transactions.inside = false;
                transactions.outside += u64::from(!frames);
            }
        }
    }

    fn note_tags(&mut self, arrival: &Arrival<'_>) {
        let Some(tags) = arrival.tags else { return };
        if self.tags.is_none() {
            self.tags = Some(Arc::clone(tags));
        }
        if self.route.is_none() {
            self.route = tags.value("route").map(Arc::from);
        }
        if self.controller.is_none() {
            self.controller = tags.value("controller").map(Arc::from);
        }
    }
}

/// Whether a unit may keep one statement more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Room {
    #[default]
    Left,
    Full,
}

fn add(sum: &mut Phases, more: Phases) {
    sum.database_ns += more.database_ns;
    sum.transfer_ns += more.transfer_ns;
    sum.client_ns += more.client_ns;
    sum.application_ns += more.application_ns;
}
