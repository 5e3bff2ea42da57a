//! What happened between two answers: differences of counters that only grow, unless somebody started them anew.

use std::collections::HashMap;
use std::time::Duration;

use crate::aggregate::BOUNDS_SECONDS;
use crate::cli::client::{Column, Phases, Pulse};
use crate::event::Moment;

/// Answers further apart than so many intervals, and than so long, are not "the last interval" any more.
const STALE_INTERVALS: u32 = 30;
const STALE_MIN: Duration = Duration::from_secs(60);

/// A counter of a row: calls, milliseconds, errors, rows. Each only grows.
pub(super) type Counters = [f64; 4];

/// What a row did in the last interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recent {
    /// What its counters grew by.
    pub(super) grown: Counters,
    pub(super) seconds: f64,
}

impl Recent {
    /// How much counter `index` grows in a second.
    pub(super) fn rate(&self, index: usize) -> f64 {
        self.grown[index] / self.seconds
    }
}

/// How two counters stand to each other.
fn grown<const N: usize>(before: [f64; N], now: [f64; N]) -> Option<[f64; N]> {
    let mut grown = [0.0; N];
    for (index, grown) in grown.iter_mut().enumerate() {
        *grown = now[index] - before[index];
    }
    // A tiny decrease is a float's; a real one says that the figures were started anew.
    grown
        .iter()
        .all(|one| *one > -1e-6)
        .then(|| grown.map(|one| one.max(0.0)))
}

/// Whether an answer held all rows that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    Some,
}

/// The rates of the rows of one list.
#[derive(Debug, Default)]
pub(super) struct Rates {
    base: Option<Base>,
    recent: HashMap<String, Recent>,
}

#[derive(Debug)]
struct Base {
    at: Moment,
    extent: Extent,
    filter: String,
    counters: HashMap<String, Counters>,
}

impl Rates {
    /// Nothing before counts: another process answers.
    pub(super) fn forget(&mut self) {
        *self = Rates::default();
    }

    /// A new answer. One that comes soon after the last changes no rate: half an interval is too short to divide by.
    pub(super) fn take(
        &mut self,
        at: Moment,
        interval: Duration,
        extent: Extent,
        filter: &str,
        counters: HashMap<String, Counters>,
    ) {
        let apart = |base: &Base| Duration::from_nanos(at.since(base.at));
        if let Some(base) = &mut self.base
            && apart(base) < interval / 2
            && base.filter == filter
        {
            return;
        }
        let base = self.base.take();
        let stale = interval.saturating_mul(STALE_INTERVALS).max(STALE_MIN);
        let base = base.filter(|base| apart(base) <= stale);
        self.recent = match &base {
            None => HashMap::new(),
            Some(base) => {
                let seconds = apart(base).as_secs_f64().max(0.001);
                let whole = base.extent == Extent::All && base.filter == filter;
                let recent = counters.iter().filter_map(|(id, now)| {
                    let before = match base.counters.get(id) {
                        Some(before) => *before,
                        // It was not there at all: everything of it is new.
                        None if whole => [0.0; 4],
                        None => return None,
                    };
                    let grown = grown(before, *now)?;
                    Some((id.clone(), Recent { grown, seconds }))
                });
                recent.collect()
            }
        };
        self.base = Some(Base {
            at,
            extent,
            filter: filter.to_owned(),
            counters,
        });
    }

    /// `None` until two answers held it.
    pub(super) fn of(&self, id: &str) -> Option<Recent> {
        self.recent.get(id).copied()
    }
}

/// All queries together in the last interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Flow {
    pub(super) queries_per_s: f64,
    pub(super) errors_per_s: f64,
    pub(super) phases: Phases,
}

impl Flow {
    /// `None` where `now` is not what became of `before`.
    pub(super) fn between(before: (&Pulse, Moment), now: (&Pulse, Moment)) -> Option<Flow> {
        let (old, new) = (&before.0.summary, &now.0.summary);
        if old.started_at != new.started_at {
            return None;
        }
        let seconds = Duration::from_nanos(now.1.since(before.1)).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let figures = |summary: &crate::cli::client::Summary| {
            let phases = summary.phases;
            [
                summary.queries as f64,
                summary.errors as f64,
                phases.database_ms,
                phases.transfer_ms,
                phases.client_ms,
                phases.application_ms,
            ]
        };
        let [
            queries,
            errors,
            database_ms,
            transfer_ms,
            client_ms,
            application_ms,
        ] = grown(figures(old), figures(new))?;
        Some(Flow {
            queries_per_s: queries / seconds,
            errors_per_s: errors / seconds,
            phases: Phases {
                database_ms,
                transfer_ms,
                client_ms,
                application_ms,
            },
        })
    }
}

/// Milliseconds that `share` of the queries of these columns stayed below; `None` without any.
pub(super) fn quantile_ms(columns: &[Column], share: f64) -> Option<f64> {
    let mut counts = [0_u64; BOUNDS_SECONDS.len() + 1];
    for column in columns {
        for (sum, count) in counts.iter_mut().zip(&column.buckets) {
            *sum += count;
        }
    }
    let whole: u64 = counts.iter().sum();
    if whole == 0 {
        return None;
    }
    let wanted = share * whole as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, bound) in counts.iter().zip(BOUNDS_SECONDS) {
        let upper = bound * 1e3;
        if below + *count as f64 >= wanted && *count > 0 {
            return Some(lower + (upper - lower) * (wanted - below) / *count as f64);
        }
        below += *count as f64;
        lower = upper;
    }
    Some(lower)
}
