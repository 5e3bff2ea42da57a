//! What observation had to give up, counted by reason, without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::Direction;

/// Reasons of one kind that are counted apart; reasons are words of this program, so this is never reached.
const REASONS_MAX: usize = 32;

/// Counters of what was given up so that traffic went on. Any thread may count and read.
#[derive(Debug, Default)]
pub struct Health {
    decode_errors_to_upstream: Reasons,
    decode_errors_to_client: Reasons,
    events_dropped: Reasons,
    sessions_unobserved: Reasons,
    slow_log_dropped: Reasons,
    catalog_failures: Reasons,
    admin_refused: Reasons,
}

/// One reason and how often it applied since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthCount {
    /// A word of this program, e.g. `ring_full`.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

impl Health {
    /// A message could not be decoded.
    pub fn decode_error(&self, direction: Direction, reason: &'static str) {
        self.of(direction).count(reason);
    }

    /// An event did not reach the analysis.
    pub fn event_dropped(&self, reason: &'static str) {
        self.events_dropped.count(reason);
    }

    /// A session stopped being observed before it ended.
    pub fn session_unobserved(&self, reason: &'static str) {
        self.sessions_unobserved.count(reason);
    }

    /// A slow query did not reach the slow log.
    pub fn slow_log_dropped(&self, reason: &'static str) {
        self.slow_log_dropped.count(reason);
    }

    /// A request or a connection of the admin address was refused or cut.
    pub fn admin_refused(&self, reason: &'static str) {
        self.admin_refused.count(reason);
    }

    /// Requests and connections of the admin address that were refused or cut, by reason.
    pub fn admin_refusals(&self) -> Vec<HealthCount> {
        self.admin_refused.read()
    }

    /// The catalogue connection gave no answer.
    pub fn catalog_failed(&self, reason: &'static str) {
        self.catalog_failures.count(reason);
    }

    /// Times that the catalogue connection gave no answer, by reason.
    pub fn catalog_failures(&self) -> Vec<HealthCount> {
        self.catalog_failures.read()
    }

    /// Messages that could not be decoded, by reason.
    pub fn decode_errors(&self, direction: Direction) -> Vec<HealthCount> {
        self.of(direction).read()
    }

    /// Events that did not reach the analysis, by reason.
    pub fn events_dropped(&self) -> Vec<HealthCount> {
        self.events_dropped.read()
    }

    /// Sessions that stopped being observed, by reason.
    pub fn sessions_unobserved(&self) -> Vec<HealthCount> {
        self.sessions_unobserved.read()
    }

    /// Slow queries that did not reach the slow log, by reason.
    pub fn slow_log_drops(&self) -> Vec<HealthCount> {
        self.slow_log_dropped.read()
    }

    fn of(&self, direction: Direction) -> &Reasons {
        match direction {
            Direction::ClientToUpstream => &self.decode_errors_to_upstream,
            Direction::UpstreamToClient => &self.decode_errors_to_client,
        }
    }
}

/// Counts by reason: a reason takes the first free slot and keeps it.
#[derive(Debug, Default)]
struct Reasons {
    slots: [Slot; REASONS_MAX],
    beyond: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    reason: OnceLock<&'static str>,
    count: AtomicU64,
}

impl Reasons {
    fn count(&self, reason: &'static str) {
        for slot in &self.slots {
            if *slot.reason.get_or_init(|| reason) == reason {
                slot.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.beyond.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Vec<HealthCount> {
        let named = self.slots.iter().map_while(|slot| {
            let reason = *slot.reason.get()?;
            Some(HealthCount {
                reason,
                count: slot.count.load(Ordering::Relaxed),
            })
        });
        let beyond = self.beyond.load(Ordering::Relaxed);
        let other = (beyond > 0).then_some(HealthCount {
            reason: "other",
            count: beyond,
        });
        named.chain(other).collect()
    }
}
