//! Which unit each statement belongs to: the judgement, and the units that are open.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::class::{Classes, Life, UNITS_OF_PERSISTENT};
use super::connection::{Before, Connection, OpenCursor, Seen};
use super::open::{Arrival, Check, ENTRY_BYTES, Mark, Room, Unit};
use super::places::Places;
use super::rhythm::is_long;
use super::role::{Role, Roles};
use super::trace::{TestId, TraceId};
use super::verdict::{Verdict, judge};
use super::{Apart, Evidence, Joined, Pause, Settings, UnitId};
use crate::event::{ClosedEvent, Moment, QueryEvent, RowsEvent, SessionFacts, SessionId};
use crate::wire::TransactionStatus;

/// How often open units are looked at for quietness, nanoseconds.
const SWEEP_NS: u64 = 200_000_000;

/// A unit with a hard begin waits for its next mark; it is ended when its connections were quiet for so long.
const HARD_QUIET_NS: u64 = 10_000_000_000;

/// A connection that was silent for so long is forgotten: its end may have been lost. A dev server's, kept between
/// two looks at a page, should not be, since what then comes is of an unknown middle.
const SILENCE_NS: u64 = 3_600_000_000_000;

/// The units that are open, the connections they are on, and what is known of those.
///
/// Feed it the events of each connection in their order; connections may come interleaved in any way.
#[derive(Debug)]
pub struct Units<P> {
    settings: Settings,
    open: Places<UnitId, Unit<P>>,
    connections: Places<SessionId, Connection>,
    classes: Classes,
    roles: Roles,
    traces: HashMap<TraceId, UnitId, RandomState>,
    next_id: u64,
    timeline_bytes: usize,
    swept_at: Moment,
}

impl<P: Default> Units<P> {
    /// Nothing was seen yet.
    pub fn new(settings: Settings) -> Units<P> {
        Units {
            settings,
            open: Places::default(),
            connections: Places::default(),
            classes: Classes::default(),
            roles: Roles::default(),
            traces: HashMap::default(),
            next_id: 1,
            timeline_bytes: 0,
            swept_at: Moment(0),
        }
    }

    /// A query finished. Returns the unit it belongs to and how it stands in it; `None` when it is housekeeping
    /// between two units, or its unit has ended before it.
    ///
    /// `continues` is asked when a pause speaks for a new unit: whether values of the unit's results go on flowing into
    /// `event`.
    pub fn query(
        &mut self,
        event: &QueryEvent,
        continues: impl FnOnce(&Unit<P>, &QueryEvent, Apart) -> bool,
        ended: &mut dyn FnMut(Unit<P>),
    ) -> Option<(&mut Unit<P>, Joined)> {
        let session = event.facts.id;
        let unit_gap_ns = self.settings.unit_gap_ns;
        let connection = match self.connections.get_mut(session) {
            Some(connection) => connection,
            None => {
                self.admit(&event.facts, event.requested_at, ended);
                self.connections.get_mut(session)?
            }
        };
        let whole = connection.follow(event.sequence);
        let current = connection.current;
        if !whole && let Some(unit) = current.and_then(|id| self.open.get_mut(id)) {
            unit.lost_something();
        }
        let cursor = event
            .cursor
            .and_then(|cursor| connection.take_cursor(cursor));
        if let Some(open) = cursor {
            connection.completed(event.completed_at);
            connection.last_query = Some((open.unit, event.completed_at));
            return self.end_cursor(event, open);
        }
        // A cursor's statuses are those of its DECLARE and of its end: between them anything may have happened.
        let transaction = match event.cursor {
            Some(_) => connection.transaction,
            None => connection.step(event.transaction_before, event.transaction_after),
        };
        let gap_ns = connection.gap_ns(event.requested_at);
        if event.transaction_before == TransactionStatus::Idle {
            connection.note_gap(gap_ns, unit_gap_ns);
        }
        let role = self.roles.of(event);
        connection.ended_with(event.sqlstate);
        let usage = match role {
            Role::Query(usage) => usage,
            Role::HealthCheck => {
                connection.checked(Check::Health);
                connection.completed(event.completed_at);
                return None;
            }
            Role::PoolCheck => {
                connection.checked(Check::Pool);
                connection.completed(event.completed_at);
                return None;
            }
            Role::Housekeeping => {
                connection.completed(event.completed_at);
                let between = connection.before != Before::default();
                let unit = current.filter(|_| !between);
                let unit = self.get_mut(unit?)?;
                let index = u32::try_from(unit.queries()).unwrap_or(u32::MAX);
                let joined = Joined {
                    index,
                    gap_ns: 0,
                    pause: Pause::None,
                    housekeeping: true,
                };
                return Some((unit, joined));
            }
        };
        let arrival = Arrival::of_query(event, usage, transaction);
        let continues = |unit: &Unit<P>, apart| continues(unit, event, apart);
        let (id, joined) = self.put(&arrival, gap_ns, continues, ended)?;
        Some((self.get_mut(id)?, joined))
    }

    /// Rows of a query that is not over: with the first of them it joins its unit. Returns that unit, while it is
    /// open; [`Unit::cursor_index`] says which of its statements it is.
    pub fn rows(
        &mut self,
        event: &RowsEvent,
        ended: &mut dyn FnMut(Unit<P>),
    ) -> Option<&mut Unit<P>> {
        let session = event.facts.id;
        self.admit(&event.facts, event.requested_at, ended);
        let unit_gap_ns = self.settings.unit_gap_ns;
        let connection = self.connections.get_mut(session)?;
        let whole = connection.had(event.queries);
        let current = connection.current;
        if !whole && let Some(unit) = current.and_then(|id| self.open.get_mut(id)) {
            unit.lost_something();
        }
        let known = connection
            .cursors
            .iter_mut()
            .rfind(|open| open.cursor == event.cursor);
        if let Some(open) = known {
            open.at = event.completed_at;
            let unit = open.unit;
            connection.completed(event.completed_at);
            connection.last_query = Some((unit, event.completed_at));
            let unit = self.get_mut(unit)?;
            unit.more_rows(event.completed_at);
            return Some(unit);
        }
        let gap_ns = connection.gap_ns(event.requested_at);
        let in_transaction = event.transaction_before != TransactionStatus::Idle;
        if !in_transaction {
            connection.note_gap(gap_ns, unit_gap_ns);
        }
        let transaction = connection.transaction.filter(|_| in_transaction);
        let role = self.roles.of_shape(crate::sql::Verb::Select, event.shape);
        let Role::Query(usage) = role else {
            connection.completed(event.completed_at);
            return None;
        };
        let arrival = Arrival::of_rows(event, usage, transaction);
        // It brings no values that could be compared with the rows of its unit.
        let (id, joined) = self.put(&arrival, gap_ns, |_, _| false, ended)?;
        let connection = self.connections.get_mut(session)?;
        connection.open_cursor(OpenCursor {
            cursor: event.cursor,
            unit: id,
            index: joined.index,
            gap_ns: joined.gap_ns,
            pause: joined.pause,
            at: event.completed_at,
        });
        let unit = self.get_mut(id)?;
        unit.open_cursor(session, event.cursor, joined.index);
        Some(unit)
    }

    /// A connection ended, and what was going on there with it.
    pub fn closed(&mut self, event: &ClosedEvent, ended: &mut dyn FnMut(Unit<P>)) {
        let Some(mut connection) = self.connections.remove(event.facts.id) else {
            return;
        };
        if let Some(test) = connection.test {
            self.is_over(test);
        }
        let class = self.classes.get(connection.class);
        // Whoever renders a page after its last statement closes late, but before the unit is given up as quiet.
        let behind_ns = connection.gap_ns(event.at);
        let one_unit = connection.units == 1
            && connection.bridged == connection.looped
            && behind_ns <= self.settings.quiet_ns;
        // A gap that does not stand out on a busy machine may still be somebody's: where it is not known that these
        // connections live for one request, only short ones will do.
        let vouched = !is_long(connection.longest_gap_ns) || class.is_short_lived();
        let held = one_unit && connection.from_start && vouched && !class.is_persistent();
        if connection.units >= UNITS_OF_PERSISTENT {
            class.persistent_open = class.persistent_open.saturating_sub(1);
        }
        if connection.units > 0 {
            let life = if one_unit {
                Life::OneUnit
            } else {
                Life::Several
            };
            self.classes.ended(connection.class, life);
        }
        let Some(unit) = connection.current.and_then(|id| self.open.get_mut(id)) else {
            return;
        };
        if !connection.had(event.queries) {
            unit.lost_something();
        }
        if held {
            unit.held_by = Some(Evidence::Connection);
        }
        self.leave(connection.current, ended);
    }

    /// Ends what was quiet for long enough, and forgets connections of which nothing was heard for an hour.
    pub fn tick(&mut self, now: Moment, ended: &mut dyn FnMut(Unit<P>)) {
        if now.since(self.swept_at) < SWEEP_NS {
            return;
        }
        self.swept_at = now;
        let mut silent: Vec<SessionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.gap_ns(now) >= SILENCE_NS)
            .map(|(id, _)| id)
            .collect();
        silent.sort_unstable();
        for id in silent {
            self.forget(id, ended);
        }
        let Settings {
            quiet_ns, running, ..
        } = &self.settings;
        let quiet_ns = *quiet_ns;
        let busy: HashSet<UnitId, RandomState> = self
            .connections
            .iter()
            .filter_map(|(session, connection)| {
                let unit = connection.current?;
                let goes_on = connection.transaction.is_some()
                    || connection.loops_in(unit, now)
                    || (connection.gap_ns(now) >= quiet_ns && running.0(session));
                goes_on.then_some(unit)
            })
            .collect();
        let mut quiet: Vec<UnitId> = self
            .open
            .values()
            .filter(|unit| {
                // A trace that no connection is in any more may only come back through another one.
                // A test is in none while it sends a request.
                let waits = unit.test.is_some() && !unit.test_is_over
                    || unit.connections > 0 && (unit.trace.is_some() || unit.held_by.is_some());
                let limit = if waits {
                    quiet_ns.max(HARD_QUIET_NS)
                } else {
                    quiet_ns
                };
                now.since(unit.ended_at()) >= limit && !busy.contains(&unit.id())
            })
            .map(|unit| unit.id())
            .collect();
        // In the order in which they began, so that the same events always give the same findings.
        quiet.sort_unstable();
        for id in quiet {
            self.end(id, ended);
        }
    }

    /// A test is over: so is what is open of it.
    pub fn end_test(&mut self, test: TestId, ended: &mut dyn FnMut(Unit<P>)) {
        let units = self.open.values();
        let of_test = units.filter(|unit| unit.test == Some(test));
        let mut ids: Vec<UnitId> = of_test.map(Unit::id).collect();
        ids.sort_unstable();
        for id in ids {
            self.end(id, ended);
        }
    }

    /// What a test left open needs not wait for more of it.
    fn is_over(&mut self, test: TestId) {
        for unit in self.open.values_mut() {
            unit.test_is_over |= unit.test == Some(test);
        }
    }

    /// Forgets all that is open, and all connections; no unit gets an id that another one had.
    pub fn start_again(&mut self) {
        let fresh = Units::new(self.settings.clone());
        self.next_id = std::mem::replace(self, fresh).next_id;
    }

    /// The units that are open, in no order.
    pub fn open_mut(&mut self) -> impl Iterator<Item = &mut Unit<P>> {
        self.open.values_mut()
    }

    /// One of them.
    pub fn get(&self, id: UnitId) -> Option<&Unit<P>> {
        self.open.get(id)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: UnitId) -> Option<&mut Unit<P>> {
        self.open.get_mut(id)
    }

    /// How many units are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// How many connections are followed.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that the statements kept of open units take.
    pub fn timeline_bytes(&self) -> usize {
        self.timeline_bytes
    }

    /// Has a place for the connection.
    fn admit(&mut self, facts: &SessionFacts, now: Moment, ended: &mut dyn FnMut(Unit<P>)) {
        if self.connections.get(facts.id).is_some() {
            return;
        }
        if self.connections.len() >= self.settings.open_max.max(1) {
            self.make_room(now, ended);
        }
        let class = self.classes.id(facts);
        self.connections.insert(facts.id, Connection::new(class));
    }

    /// Forgets the tenth of all connections that was silent longest.
    fn make_room(&mut self, now: Moment, ended: &mut dyn FnMut(Unit<P>)) {
        let mut silent: Vec<(u64, SessionId)> = self
            .connections
            .iter()
            .map(|(id, connection)| (connection.gap_ns(now), id))
            .collect();
        let tenth = silent.len().div_ceil(10);
        silent.sort_unstable_by_key(|silent| std::cmp::Reverse(*silent));
        for (_, id) in silent.into_iter().take(tenth) {
            self.forget(id, ended);
        }
    }

    fn forget(&mut self, session: SessionId, ended: &mut dyn FnMut(Unit<P>)) {
        if let Some(connection) = self.connections.remove(session) {
            if connection.units >= UNITS_OF_PERSISTENT {
                let class = self.classes.get(connection.class);
                class.persistent_open = class.persistent_open.saturating_sub(1);
            }
            self.leave(connection.current, ended);
        }
    }

    /// Finds the statement's unit, or begins one, and puts it there.
    fn put(
        &mut self,
        arrival: &Arrival<'_>,
        gap_ns: u64,
        continues: impl FnOnce(&Unit<P>, Apart) -> bool,
        ended: &mut dyn FnMut(Unit<P>),
    ) -> Option<(UnitId, Joined)> {
        let session = arrival.facts.id;
        if let Some(test) = arrival.test
            && let Some(before) = self.connections.get_mut(session)?.test.replace(test)
            && before != test
        {
            self.is_over(before);
        }
        let mut connection = self.connections.get_mut(session)?;
        let before = std::mem::take(&mut connection.before);
        if let Some(Seen::Check(check)) = before.check {
            connection.hit(check, self.classes.get(connection.class));
        }
        let place = connection.place;
        let current = connection
            .current
            .and_then(|id| self.open.get_near(id, place));
        let verdict = match &current {
            Some(unit) => judge(
                unit,
                connection,
                &mut self.classes,
                arrival,
                before,
                continues,
            ),
            None => {
                if before.paused && before.check.is_none() {
                    connection.miss();
                }
                let first = connection.units == 0 && connection.from_start;
                Verdict::Begins(match (arrival.trace, before.check) {
                    (Some(_), _) => Mark::Trace,
                    (None, Some(Seen::Check(check))) => Mark::Check(check),
                    _ if first => Mark::Opened,
                    _ => Mark::Pause,
                })
            }
        };
        let (unit, pause) = match verdict {
            Verdict::Goes(pause) => (current?, pause),
            Verdict::Begins(mark) => {
                let id = self.begin(mark, arrival, ended)?;
                connection = self.connections.get_mut(session)?;
                (self.open.get_mut(id)?, Pause::None)
            }
        };
        let id = unit.id();
        connection.bridged += u32::from(pause == Pause::Soft);
        let lost = std::mem::take(&mut connection.lost);
        // Also inside a transaction a pause is none of the rhythm.
        let ordinary = !connection
            .rhythm
            .stands_out(gap_ns, self.settings.unit_gap_ns);
        if verdict == Verdict::Goes(Pause::None) && !before.paused && ordinary && !lost {
            connection.rhythm.note(gap_ns);
        }
        let since_query_ns = match connection.last_query {
            Some((last, completed_at)) if last == id => arrival.requested_at.since(completed_at),
            _ => 0,
        };
        if unit.trace.is_none()
            && let Some(trace) = arrival.trace
        {
            unit.trace = Some(trace);
            self.traces.insert(trace, id);
        }
        unit.held_by = match unit.begin {
            Mark::Check(check) => {
                let believed = connection.believed(self.classes.get(connection.class));
                (believed == Some(check)).then(|| check.evidence())
            }
            Mark::Trace | Mark::Opened | Mark::SessionLookup | Mark::Pause => None,
        };
        let entries = unit.timeline().len();
        let fits = entries < self.settings.statements_max
            && self.timeline_bytes + ENTRY_BYTES <= self.settings.timeline_bytes_max;
        let room = if fits {
            self.timeline_bytes += ENTRY_BYTES;
            Room::Left
        } else {
            Room::Full
        };
        if lost {
            unit.lost_something();
        }
        let joined = unit.join(arrival, since_query_ns, pause, room);
        connection.completed(arrival.completed_at);
        connection.last_query = Some((id, arrival.completed_at));
        Some((id, joined))
    }

    /// Leaves the connection's current unit for that of the trace, or for a new one.
    fn begin(
        &mut self,
        mark: Mark,
        arrival: &Arrival<'_>,
        ended: &mut dyn FnMut(Unit<P>),
    ) -> Option<UnitId> {
        let session = arrival.facts.id;
        let connection = self.connections.get_mut(session)?;
        let previous = connection.current.take();
        let class = self.classes.get(connection.class);
        let believed = connection.believed(class);
        if let Some(unit) = previous.and_then(|id| self.open.get_mut(id)) {
            let marks_end = |check| mark == Mark::Check(check) && believed == Some(check);
            unit.held_by = match unit.begin {
                // The first request of a connection is not checked for its health, but ends at the next one's.
                Mark::Opened if marks_end(Check::Health) => Some(Evidence::HealthCheck),
                Mark::Check(check) if believed == Some(check) => Some(check.evidence()),
                Mark::Trace | Mark::Opened | Mark::Check(_) | Mark::SessionLookup | Mark::Pause => {
                    None
                }
            };
        }
        self.leave(previous, ended);
        let joins = arrival
            .trace
            .and_then(|trace| self.traces.get(&trace).copied())
            .filter(|id| {
                let unit = self.open.get(*id);
                unit.is_some_and(|unit| !unit.is_other_request(arrival.span))
            });
        let id = match joins {
            Some(id) => {
                if let Some(unit) = self.open.get_mut(id) {
                    unit.connections += 1;
                }
                id
            }
            None => self.new_unit(mark, arrival, ended),
        };
        let place = self.open.place(id)?;
        let connection = self.connections.get_mut(session)?;
        connection.current = Some(id);
        connection.place = place;
        connection.units = connection.units.saturating_add(1);
        if connection.units == UNITS_OF_PERSISTENT {
            self.classes.get(connection.class).persistent_open += 1;
        }
        Some(id)
    }

    fn new_unit(
        &mut self,
        mark: Mark,
        arrival: &Arrival<'_>,
        ended: &mut dyn FnMut(Unit<P>),
    ) -> UnitId {
        if self.open.len() >= self.settings.open_max.max(1) {
            let oldest = self.open.values().min_by_key(|unit| unit.ended_at());
            if let Some(oldest) = oldest.map(|unit| unit.id()) {
                self.end(oldest, ended);
            }
        }
        let id = UnitId(self.next_id);
        self.next_id += 1;
        if let Some(trace) = arrival.trace {
            self.traces.insert(trace, id);
        }
        self.open.insert(id, Unit::begin(id, mark, arrival));
        id
    }

    /// A connection is not in the unit any more: that was its end, unless its trace may come back.
    fn leave(&mut self, unit: Option<UnitId>, ended: &mut dyn FnMut(Unit<P>)) {
        let Some(unit) = unit.and_then(|id| self.open.get_mut(id)) else {
            return;
        };
        unit.connections = unit.connections.saturating_sub(1);
        if unit.connections == 0 && unit.trace.is_none() {
            let id = unit.id();
            self.end(id, ended);
        }
    }

    fn end(&mut self, id: UnitId, ended: &mut dyn FnMut(Unit<P>)) {
        let Some(unit) = self.open.remove(id) else {
            return;
        };
        self.timeline_bytes = self.timeline_bytes.saturating_sub(unit.timeline_bytes());
        if let Some(trace) = unit.trace
            && self.traces.get(&trace) == Some(&id)
        {
            self.traces.remove(&trace);
        }
        ended(unit);
    }

    /// A query by cursor is over, whose rows were told before.
    fn end_cursor(
        &mut self,
        event: &QueryEvent,
        open: OpenCursor,
    ) -> Option<(&mut Unit<P>, Joined)> {
        let unit = self.get_mut(open.unit)?;
        unit.close_cursor(event, open.index);
        let joined = Joined {
            index: open.index,
            gap_ns: open.gap_ns,
            pause: open.pause,
            housekeeping: false,
        };
        Some((unit, joined))
    }
}
