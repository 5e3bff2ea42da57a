//! What the values that flow through a unit prove: N+1s and their kin, one file a detector.
//!
//! ```text
//!  QueryEvent ─► loops.rs ─┬─► source.rs  rows that came: keys by shape and column (search.rs finds a loop's)
//!   (a unit's)             └─► group.rs   statements of one shape; track.rs follows their values along a column,
//!                                 │            repeats.rs and distinct.rs count them; knowledge.rs: is that a relation of the schema?
//!  unit ended, or grew ─► judge.rs ─► case.rs ─► aggregate, deferred, many_to_many, forward, reverse
//!                            │                   write_loop, duplicate, query_loop, chatty_unit
//!                            ▼      price.rs: what it costs
//!                      findings.rs ─► Finding (ignore.rs: what nobody wants to hear of)
//! ```
//!
//! *Architecture invariant:* pure functions of events, units and what was learned from them; no clock, no socket.
//! Values are compared as keyed hashes and never leave.

mod aggregate;
mod called;
mod case;
mod chatty_unit;
mod constraints;
mod deferred;
mod distinct;
mod duplicate;
mod finding;
mod findings;
mod forward;
mod group;
mod ignore;
mod index;
mod judge;
mod knowledge;
mod loops;
mod many_to_many;
mod names;
mod price;
mod query_loop;
mod repeats;
mod results;
mod resumed;
mod reverse;
mod rules;
mod search;
mod source;
mod strays;
mod tools;
#[cfg(test)]
mod tests;
mod track;
mod write_loop;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Moment, QueryEvent, RowsEvent, SessionId};
use crate::sql::Fingerprint;
use crate::unit::{Apart, Completeness, Joined, Pause, Unit};

pub use crate::unit::FindingId;
pub use finding::{
    Confidence, Detail, Finding, Kind, Link, Operation, Proof, Severity, Side, Status, Trait,
};
pub use findings::Totals;
pub use ignore::IgnoreRule;
pub use loops::Loops;
pub use rules::reads_user_tables as is_of_user_tables;

use case::Scene;
use findings::{Findings, Where};
use knowledge::Knowledge;
use loops::{Bounds, Place, Room};
use resumed::Resumed;
use tools::{Of, Tools};

/// What is looked for, and within which limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Children from which on a loop is one: below, a page of two rows would be a finding.
    pub n_plus_one_min: u64,
    /// Statements that a unit may have, those with another finding left out; 0 is no limit.
    pub queries_max: u64,
    /// Findings kept.
    pub findings_max: usize,
    /// Hashes of results kept of one unit.
    pub hashes_max: usize,
    /// Bytes that the memories of all open units may take together.
    pub bytes_max: usize,
    /// The application's time between two statements that at most counts as a loop's cost, nanoseconds: what is
    /// longer is other work.
    pub gap_ns_max: u64,
    /// What nobody wants to hear of.
    pub ignore: Vec<IgnoreRule>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            n_plus_one_min: 3,
            queries_max: 100,
            findings_max: 1_000,
            hashes_max: 16_384,
            bytes_max: 64 << 20,
            gap_ns_max: 50_000_000,
            ignore: Vec::new(),
        }
    }
}

/// A pause as between two requests, whatever the connection's rhythm: on a machine under load requests and loops have
/// one pace, and then a loop that pauses each time may be requests that follow each other. Inside loops on a quiet
/// machine the 99th percentile is 5 to 7 ms.
const PAUSE_NS: u64 = 15_000_000;

/// A finding in one unit, and how sure it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Which.
    pub finding: FindingId,
    /// What it is.
    pub kind: Kind,
    /// How sure it is in this unit.
    pub confidence: Confidence,
    /// The shape that repeats.
    pub child: Fingerprint,
    /// The shape whose rows it repeats for.
    pub parent: Option<Fingerprint>,
}

/// Looks at units as they grow and end, and keeps what it finds.
#[derive(Debug)]
pub struct Detector {
    settings: Settings,
    knowledge: Knowledge,
    findings: Findings,
    tools: Tools,
    resumed: Resumed,
    /// Bytes that the memories of all open units hold.
    held_bytes: usize,
    /// Units that ended cut.
    cut: u64,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(settings: Settings) -> Detector {
        Detector {
            findings: Findings::new(settings.findings_max, settings.ignore.clone()),
            knowledge: Knowledge::default(),
            tools: Tools::default(),
            resumed: Resumed::default(),
            settings,
            held_bytes: 0,
            cut: 0,
        }
    }

    /// Whether a statement behind a pause goes on with what `unit` began.
    pub fn continues(&self, unit: &Unit<Loops>, event: &QueryEvent, apart: Apart) -> bool {
        unit.payload
            .continues(event, apart, &self.knowledge, self.settings.n_plus_one_min)
    }

    /// Takes a statement of a unit.
    pub fn query(&mut self, unit: &mut Unit<Loops>, event: &QueryEvent, joined: &Joined) {
        let gap_ns = joined.gap_ns.min(self.settings.gap_ns_max);
        if joined.housekeeping {
            unit.payload.housekeeping(event);
            return;
        }
        let reads = self.knowledge.learn(event);
        let of = Of::unit(unit);
        if self.tools.are_at_work(event, reads, of) {
            unit.payload.work_of_tool();
        }
        let place = Place {
            index: joined.index,
            gap_ns,
            after_pause: of == Of::Other
                && (joined.pause == Pause::Soft || joined.gap_ns >= PAUSE_NS),
            transaction: unit.transaction_ordinal(),
        };
        let bounds = self.bounds();
        let mut links = Vec::new();
        let link = &mut |child, parent| links.push((child, parent));
        unit.payload
            .statement(event, place, reads, &self.knowledge, bounds, link);
        self.charge(&mut unit.payload);
        for (child, parent) in &links {
            unit.set_parent(*child, *parent);
        }
    }

    /// Takes rows of a cursor that stays open.
    pub fn rows(&mut self, unit: &mut Unit<Loops>, event: &RowsEvent) {
        let place = Place {
            index: unit
                .cursor_index(event.facts.id, event.cursor)
                .unwrap_or_default(),
            gap_ns: 0,
            after_pause: false,
            transaction: unit.transaction_ordinal(),
        };
        let bounds = self.bounds();
        unit.payload.rows(event, place, bounds);
        self.charge(&mut unit.payload);
    }

    /// Judges a unit that is still open: what is found so far counts from now on. The findings that it has.
    pub fn grown(&mut self, unit: &mut Unit<Loops>) -> Vec<Verdict> {
        self.judge(unit)
    }

    /// Judges a unit that ended; the findings that it has.
    pub fn ended(&mut self, unit: &mut Unit<Loops>) -> Vec<Verdict> {
        // A unit with fewer statements than a loop has nothing to be judged.
        let may_have = unit.payload.statements >= self.settings.n_plus_one_min;
        let found = if may_have {
            let database = Arc::clone(&unit.facts().database);
            unit.payload
                .settle(&self.knowledge, &database, self.settings.n_plus_one_min);
            self.judge(unit)
        } else {
            Vec::new()
        };
        if Of::unit(unit) == Of::Other
            && let Some(shape) = unit.payload.ends_with()
        {
            self.resumed.ended(unit.facts().id, shape);
        }
        self.held_bytes -= unit.payload.charged_bytes.min(self.held_bytes);
        unit.payload.charged_bytes = 0;
        self.cut += u64::from(unit.payload.is_partial());
        if unit.completeness() == Completeness::Complete && !self.findings.is_empty() {
            let ids: Vec<FindingId> = found.iter().map(|verdict| verdict.finding).collect();
            if self.findings.are_others(&ids) {
                let ran = unit.payload.ran(self.settings.n_plus_one_min);
                self.findings.ran(&ran, &ids);
            }
        }
        found
    }

    /// A connection is over, and its units with it: nothing more is remembered of it.
    pub fn closed(&mut self, session: SessionId) {
        self.resumed.closed(session);
        self.tools.closed(session);
    }

    /// Connections of which something is remembered between their units.
    #[cfg(test)]
    fn connections(&self) -> usize {
        self.resumed.len() + self.tools.len()
    }

    /// Time passes: what was not seen for long is forgotten.
    pub fn tick(&mut self, now: Moment) {
        self.findings.age(now);
    }

    /// All findings kept, in no order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// Counters that never decrease, by finding; `None` is all that were forgotten of a kind.
    pub fn totals(&self) -> impl Iterator<Item = (Kind, Option<FindingId>, Totals)> {
        self.findings.totals()
    }

    /// The ignore rules, with what each has kept away.
    pub fn ignore_rules(&self) -> impl Iterator<Item = (&IgnoreRule, u64)> {
        self.findings.rules()
    }

    /// Changes the ignore rules; what they match is forgotten.
    pub fn set_ignore_rules(&mut self, rules: Vec<IgnoreRule>) {
        self.findings.set_rules(rules);
    }

    /// Changes what is muted.
    pub fn set_muted(&mut self, muted: &BTreeSet<FindingId>) {
        self.findings.set_muted(muted);
    }

    /// Changes with every change of the findings.
    pub fn revision(&self) -> u64 {
        self.findings.revision
    }

    /// Bytes that the memories of all open units hold, estimated.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Units that ended without having been followed whole, for want of room.
    pub fn units_cut(&self) -> u64 {
        self.cut
    }

    /// Forgets all findings and what was learned, for nobody knows what is half changed. The counters stay.
    pub fn start_again(&mut self) {
        self.findings.forget_all();
        self.knowledge = Knowledge::default();
        self.tools = Tools::default();
        self.held_bytes = 0;
    }

    fn charge(&mut self, loops: &mut Loops) {
        self.held_bytes += loops.held_bytes();
        self.held_bytes -= loops.charged_bytes.min(self.held_bytes);
        loops.charged_bytes = loops.held_bytes();
    }

    fn bounds(&self) -> Bounds {
        let room = if self.held_bytes < self.settings.bytes_max {
            Room::Free
        } else {
            Room::Full
        };
        Bounds {
            room,
            hashes_max: self.settings.hashes_max,
            least: self.settings.n_plus_one_min,
        }
    }

    fn judge(&mut self, unit: &mut Unit<Loops>) -> Vec<Verdict> {
        let scene = Scene {
            of: Of::unit(unit),
            evidence: unit.evidence(),
            completeness: if unit.payload.is_cut() {
                Completeness::Incomplete
            } else {
                unit.completeness()
            },
            database: Arc::clone(&unit.facts().database),
            queries: unit.payload.statements,
        };
        if scene.of == Of::Other
            && let Some(shape) = unit.payload.begins_with()
            && self.resumed.goes_on(unit.facts().id, shape)
        {
            unit.payload.begins_inside(shape);
        }
        unit.payload.count_values();
        let verdicts = judge::judge(&scene, &unit.payload, &self.knowledge, &self.settings);
        let mut place = Where {
            unit: unit.id(),
            at: unit.ended_at(),
            queries: scene.queries,
            tags: Vec::new(),
        };
        let mut reported = std::mem::take(&mut unit.payload.reported);
        for report in reported.values_mut() {
            report.stands = false;
        }
        let mut found = Vec::new();
        for judged in &verdicts {
            place.tags = unit.payload.tags(judged.child.fingerprint);
            let id = self.findings.report(judged, &place, &mut reported);
            found.extend(id.map(|finding| Verdict {
                finding,
                kind: judged.kind,
                confidence: judged.confidence,
                child: judged.child.fingerprint,
                parent: judged.parent.as_ref().map(|parent| parent.fingerprint),
            }));
        }
        reported.retain(|id, report| {
            if !report.stands {
                self.findings.retract(*id, report);
            }
            report.stands
        });
        unit.payload.reported = reported;
        found
    }
}
