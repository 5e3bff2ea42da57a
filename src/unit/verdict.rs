//! Whether a statement goes on with its connection's current unit, or begins another one.

use super::class::Classes;
use super::connection::{Before, Connection, Seen};
use super::open::{Arrival, Mark, Unit};
use super::role::Use;
use super::{Apart, Pause};

/// Where a statement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Into the connection's current unit.
    Goes(Pause),
    /// Into the unit of its trace, or a new one.
    Begins(Mark),
}

/// Pauses that are taken for those of one request because the connections before lived for one request each: a busy
/// machine makes one or two of them. More, and connections are kept now.
const BRIDGED_MAX: u32 = 3;

/// Whether a statement goes on with its connection's current unit.
pub(super) fn judge<P>(
    unit: &Unit<P>,
    connection: &mut Connection,
    classes: &mut Classes,
    arrival: &Arrival<'_>,
    before: Before,
    continues: impl FnOnce(&Unit<P>, Apart) -> bool,
) -> Verdict {
    // A transaction may hold several tests, and what prepares them.
    if arrival.test != unit.test {
        return Verdict::Begins(match arrival.trace {
            Some(_) => Mark::Trace,
            None => Mark::Pause,
        });
    }
    let same_transaction = unit.is_in(arrival.facts.id, arrival.transaction);
    let pause = if before.paused && !same_transaction {
        Pause::Soft
    } else {
        Pause::None
    };
    match (arrival.trace, unit.trace) {
        (Some(this), Some(other)) if this == other && !unit.is_other_request(arrival.span) => {
            return Verdict::Goes(pause);
        }
        (Some(_), None) if same_transaction => return Verdict::Goes(pause),
        (Some(_), _) => return Verdict::Begins(Mark::Trace),
        (None, _) => {}
    }
    if same_transaction {
        return Verdict::Goes(Pause::None);
    }
    match before.check {
        Some(Seen::Check(check)) => return Verdict::Begins(Mark::Check(check)),
        Some(Seen::AfterError) => return Verdict::Begins(Mark::Pause),
        None => {}
    }
    let again = arrival.usage == Use::SessionLookup && unit.session_lookups > 0;
    if again && connection.believed(classes.get(connection.class)).is_none() {
        return Verdict::Begins(Mark::SessionLookup);
    }
    if pause == Pause::None {
        return Verdict::Goes(Pause::None);
    }
    let class = &*classes.get(connection.class);
    let alone = class.is_short_lived() && connection.from_start && connection.units == 1;
    let apart = if alone || connection.believed(class).is_some() {
        Apart::Marks
    } else {
        Apart::Pauses
    };
    if connection.loops_in(unit.id(), arrival.requested_at) || continues(unit, apart) {
        connection.looped += u32::from(apart == Apart::Marks);
        return Verdict::Goes(Pause::Soft);
    }
    connection.miss();
    // Where every request is checked first, or has a connection of its own, a pause is one inside a request.
    let alone = alone && connection.bridged - connection.looped < BRIDGED_MAX;
    if unit.trace.is_none() && (alone || connection.believed(class).is_some()) {
        return Verdict::Goes(Pause::Soft);
    }
    Verdict::Begins(Mark::Pause)
}
