//! What is remembered of a connection between its statements.

use super::checks::Checks;
use super::class::{Class, ClassId};
use super::open::Check;
use super::rhythm::Rhythm;
use super::trace::TestId;
use super::{Pause, UnitId};
use crate::event::Moment;
use crate::sql::NameHash;
use crate::wire::{SqlState, TransactionStatus};

/// Queries by cursor that are followed on one connection; the session follows no more.
const CURSORS_MAX: usize = 64;

/// So long after its last rows a cursor still tells that the loop over it goes on. Beyond, it was forgotten.
const CURSOR_HOLDS_NS: u64 = 10_000_000_000;

#[derive(Debug)]
pub(super) struct Connection {
    pub class: ClassId,
    /// The number of its next query, when nothing is lost.
    next_sequence: u64,
    /// Its first query was seen.
    pub from_start: bool,
    /// Something before the next query was lost, which may have been the begin of its unit.
    pub lost: bool,
    pub current: Option<UnitId>,
    /// Where that is among the open ones.
    pub place: usize,
    /// The test that its last tagged statement was of.
    pub test: Option<TestId>,
    /// Units that it had.
    pub units: u32,
    /// Pauses that stood out and separated nothing.
    pub bridged: u32,
    /// Those of them inside of a loop that has a connection, or a check, of its own: a loop that takes its time.
    pub looped: u32,
    /// The longest gap outside a transaction that did not stand out.
    pub longest_gap_ns: u64,
    /// When its last statement, housekeeping included, was complete.
    pub completed_at: Option<Moment>,
    /// The unit of its last query, and when that was complete.
    pub last_query: Option<(UnitId, Moment)>,
    pub before: Before,
    pub transaction: Option<u32>,
    transactions: u32,
    /// A statement failed since the last check: Django checks once because of that.
    failed: bool,
    pub rhythm: Rhythm,
    pub health_checks: Checks,
    pub pool_checks: Checks,
    pub cursors: Vec<OpenCursor>,
}

/// What was seen since the last query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Before {
    /// A pause that stands out.
    pub paused: bool,
    /// A check, with no pause behind it.
    pub check: Option<Seen>,
}

/// A check, and why it may have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Because a request begins.
    Check(Check),
    /// Because a statement had failed.
    AfterError,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OpenCursor {
    pub cursor: NameHash,
    pub unit: UnitId,
    pub index: u32,
    pub gap_ns: u64,
    pub pause: Pause,
    /// When its last rows came.
    pub at: Moment,
}

impl Connection {
    pub(super) fn new(class: ClassId) -> Connection {
        Connection {
            class,
            next_sequence: 0,
            from_start: true,
            lost: false,
            current: None,
            place: 0,
            test: None,
            units: 0,
            bridged: 0,
            looped: 0,
            longest_gap_ns: 0,
            completed_at: None,
            last_query: None,
            before: Before::default(),
            transaction: None,
            transactions: 0,
            failed: false,
            rhythm: Rhythm::default(),
            health_checks: Checks::default(),
            pool_checks: Checks::default(),
            cursors: Vec::new(),
        }
    }

    /// The query with this number came. Whether all before it did.
    #[inline]
    pub(super) fn follow(&mut self, sequence: u64) -> bool {
        let whole = self.had(sequence);
        self.next_sequence = sequence.saturating_add(1);
        whole
    }

    /// Something else came, and `queries` queries before it. Whether they were all told.
    #[inline]
    pub(super) fn had(&mut self, queries: u64) -> bool {
        let expected = std::mem::replace(&mut self.next_sequence, queries);
        self.from_start &= expected != 0 || queries == 0;
        if queries != expected {
            self.lost = true;
            // What was lost may have told against what is believed: less is taken for one unit now, never more.
            self.rhythm = Rhythm::default();
            let queries = queries.saturating_sub(expected);
            self.health_checks.lost(queries);
            self.pool_checks.lost(queries);
        }
        queries == expected
    }

    /// The time since its last statement; `None` for its first, and when the requests overlap.
    pub(super) fn gap_ns(&self, requested_at: Moment) -> u64 {
        self.completed_at
            .map_or(0, |completed_at| requested_at.since(completed_at))
    }

    /// Notes the application's time before a statement that lies outside a transaction.
    #[inline]
    pub(super) fn note_gap(&mut self, gap_ns: u64, unit_gap_ns: u64) {
        if self.rhythm.stands_out(gap_ns, unit_gap_ns) {
            // A check that the request's first query did not follow at once belongs to something else.
            self.before = Before {
                paused: true,
                check: None,
            };
        } else {
            self.longest_gap_ns = self.longest_gap_ns.max(gap_ns);
        }
    }

    /// One of its statements, or some rows, were complete.
    pub(super) fn completed(&mut self, at: Moment) {
        self.completed_at = self.completed_at.max(Some(at));
    }

    pub(super) fn checked(&mut self, check: Check) {
        let failed = std::mem::take(&mut self.failed);
        self.before.check = Some(match check {
            Check::Health if failed => Seen::AfterError,
            check => Seen::Check(check),
        });
    }

    pub(super) fn ended_with(&mut self, sqlstate: Option<SqlState>) {
        self.failed |= sqlstate.is_some();
    }

    /// Which outermost transaction a statement lies in.
    pub(super) fn step(
        &mut self,
        before: TransactionStatus,
        after: TransactionStatus,
    ) -> Option<u32> {
        let inside = before != TransactionStatus::Idle;
        let begins = !inside && after != TransactionStatus::Idle;
        if begins || (inside && self.transaction.is_none()) {
            self.transactions += 1;
            self.transaction = Some(self.transactions);
        }
        let this = if inside || begins {
            self.transaction
        } else {
            None
        };
        if after == TransactionStatus::Idle {
            self.transaction = None;
        }
        this
    }

    /// The check that is known to come before every request on this connection.
    pub(super) fn believed(&self, class: &Class) -> Option<Check> {
        if self.health_checks.believed(class.health_checks) {
            Some(Check::Health)
        } else if self.pool_checks.believed(class.pool_checks) {
            Some(Check::Pool)
        } else {
            None
        }
    }

    /// A query came right behind a check.
    pub(super) fn hit(&mut self, check: Check, class: &mut Class) {
        let (checks, others) = match check {
            Check::Health => (&mut self.health_checks, &mut class.health_checks),
            Check::Pool => (&mut self.pool_checks, &mut class.pool_checks),
        };
        checks.hit();
        *others = others.saturating_add(1);
    }

    /// A query came behind a pause without a check.
    pub(super) fn miss(&mut self) {
        self.health_checks.miss();
        self.pool_checks.miss();
    }

    pub(super) fn open_cursor(&mut self, open: OpenCursor) {
        if self.cursors.len() >= CURSORS_MAX {
            self.cursors.remove(0);
        }
        self.cursors.push(open);
    }

    pub(super) fn take_cursor(&mut self, cursor: NameHash) -> Option<OpenCursor> {
        let index = self
            .cursors
            .iter()
            .rposition(|open| open.cursor == cursor)?;
        Some(self.cursors.remove(index))
    }

    /// Whether a loop over a cursor's rows goes on in `unit`.
    pub(super) fn loops_in(&self, unit: UnitId, now: Moment) -> bool {
        self.cursors
            .iter()
            .any(|open| open.unit == unit && now.since(open.at) < CURSOR_HOLDS_NS)
    }
}
