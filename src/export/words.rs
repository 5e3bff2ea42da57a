//! The words in which results leave the process, the same in metrics, API and log.

use crate::clock::Clock;
use crate::event::{Moment, Phases, Shape};
use crate::sql::Verb;
use crate::sql::facts::summary_of;
use crate::unit::UnitId;

/// What stands for everything beyond a limit.
pub(super) const OTHER: &str = "other";

/// The value of `db_operation_name`.
pub(super) fn operation(verb: Verb) -> &'static str {
    verb.as_str()
}

/// Operation and tables: OpenTelemetry's `db.query.summary`.
pub(super) fn summary(shape: &Shape) -> String {
    match shape.facts() {
        Some(facts) => facts.summary.clone(),
        None => summary_of(shape.verb).to_owned(),
    }
}

/// The phases by the values of the label `phase`, in nanoseconds.
pub(super) fn phases(phases: &Phases) -> [(&'static str, u64); 4] {
    [
        ("database", phases.database_ns),
        ("transfer", phases.transfer_ns),
        ("client", phases.client_ns),
        ("application", phases.application_ns),
    ]
}

/// Nanoseconds as milliseconds.
pub(super) fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// A moment as RFC 3339, to the millisecond.
pub(super) fn rfc3339(clock: &Clock, moment: Moment) -> String {
    humantime::format_rfc3339_millis(clock.wall(moment)).to_string()
}

/// A unit's identity; [`parse_unit_id`] reads it back.
pub(super) fn unit_id(unit: UnitId) -> String {
    unit.0.to_string()
}

/// The unit that [`unit_id`] wrote.
pub(super) fn parse_unit_id(written: &str) -> Option<UnitId> {
    written.parse().ok().map(UnitId)
}
