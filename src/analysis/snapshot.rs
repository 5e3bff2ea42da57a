//! What the analysis knows, for those who read: published whole at each tick that changed something.

use std::sync::Arc;

use super::Records;
use crate::advise::Advice;
use crate::detect::{Finding, FindingId, Kind, Status};
use crate::unit::{UnitId, UnitRecord};

/// Upper bounds of the histogram of statements a unit.
pub const UNIT_QUERIES_BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// Everything the analysis knows.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// All findings kept, most costly first.
    pub findings: Vec<Arc<FoundAndAdvised>>,
    /// Units that ended, newest last: examples of findings, and the latest.
    pub units: Records,
    /// Units that have not ended.
    pub units_open: u64,
    /// What they are by now, oldest first; at most as many as ended ones are kept.
    pub open: Vec<Arc<UnitRecord>>,
    /// Statements analysed since the start.
    pub statements: u64,
    /// Units since the start whose values were not followed whole, for want of room.
    pub units_cut: u64,
    /// Units that ended, by route.
    pub routes: Vec<RouteFigures>,
    /// Statements and cost of each finding since the start: a finding that is forgotten goes to `other`.
    pub totals: Vec<FindingTotals>,
    /// The ignore rules, in the order of the configuration, with what each has kept away.
    pub ignore_rules: Vec<IgnoreRuleUse>,
}

impl Snapshot {
    /// Whether that unit is among them, ended or open.
    pub fn keeps(&self, id: UnitId) -> bool {
        let mut units = self.units.iter().chain(&self.open);
        units.any(|unit| unit.id == id)
    }

    /// A copy in which `id` is muted, or no more; one that was not muted is what it was.
    pub(super) fn with_status(&self, id: FindingId, status: Status) -> Snapshot {
        let mut copy = self.clone();
        let found = copy.findings.iter_mut().find(|f| f.finding.id == id);
        if let Some(found) = found
            && (status == Status::Muted || found.finding.status == Status::Muted)
        {
            Arc::make_mut(found).finding.status = status;
        }
        copy
    }
}

/// A finding with its advice.
#[derive(Debug, Clone)]
pub struct FoundAndAdvised {
    /// What was found.
    pub finding: Finding,
    /// What to do about it.
    pub advice: Advice,
}

/// Units of one route.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteFigures {
    /// The tag `route`; empty for units without one, `other` beyond the limit.
    pub route: Arc<str>,
    /// Units by number of statements: one count for each of [`UNIT_QUERIES_BOUNDS`], and one for what is above.
    pub queries_buckets: [u64; UNIT_QUERIES_BOUNDS.len() + 1],
    /// Statements of all of them.
    pub queries_sum: u64,
    /// Units by duration, as [`crate::aggregate::Buckets`].
    pub duration_buckets: crate::aggregate::Buckets,
    /// Nanoseconds of all of them.
    pub duration_sum_ns: u64,
}

/// Counters of one finding, which never decrease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingTotals {
    /// What it is.
    pub kind: Kind,
    /// Which; `None` for those that were forgotten or found no room.
    pub id: Option<FindingId>,
    /// Statements in its loops.
    pub queries: u64,
    /// Nanoseconds of its surplus statements.
    pub cost_ns: u64,
}

/// What an ignore rule has done since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreRuleUse {
    /// The rule as the configuration has it: `kind = "write_loop", table = "audit_log"`.
    pub rule: Arc<str>,
    /// Occurrences that it kept away.
    pub matched: u64,
}
