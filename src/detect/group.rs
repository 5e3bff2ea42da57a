//! All statements of one shape in one unit: what repeats, and along which columns its values run.

use std::sync::Arc;

use super::distinct::Distinct;
use super::knowledge::Named;
use super::repeats::Repeats;
use super::source::Source;
use super::strays::Stray;
use super::track::{History, Past, Step, Track};
use crate::event::{Columns, Constant, ConstantCount, Flow, Moment, QueryEvent, Shape, ShapeRef};
use crate::sql::facts::{Facts, Operand};
use crate::sql::value::ValueHash;
use crate::sql::{Fingerprint, Verb};

/// Compared columns of one shape that are followed; Django's look-ups have one or two.
const SLOTS_MAX: usize = 6;
/// Columns followed at a time for one shape, until one of them proves to be the one.
pub(super) const TRACKS_MAX: usize = 4;

/// A constant that is compared with (or written to) a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// Index into the statement's constants.
    pub constant: usize,
    pub column: Named,
    pub comparison: Comparison,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `=`
    Equal,
    /// `IN`, `= ANY`
    In,
    /// Written: `INSERT`, `SET`.
    Assigned,
}

/// Whether all members lie in one outermost transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Nothing,
    /// In this one; `None` is outside any.
    One(Option<u32>),
    Several,
}

impl Span {
    fn and(self, transaction: Option<u32>) -> Span {
        match self {
            Span::Nothing => Span::One(transaction),
            Span::One(one) if one == transaction => self,
            Span::One(_) | Span::Several => Span::Several,
        }
    }
}

/// What stands between two members of a group, counted by the unit as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tallies {
    /// Pauses that stand out.
    pub pauses: u32,
    /// Statements that define something: CREATE, ALTER, DROP.
    pub definitions: u32,
    /// `FOR UPDATE SKIP LOCKED` reads.
    pub queue_reads: u32,
    /// Statements that failed, and ROLLBACKs.
    pub failures: u32,
}

impl Tallies {
    /// One more where `it` is so, up to the most that can be counted.
    #[inline]
    pub(super) fn add(tally: &mut u32, it: bool) {
        *tally = tally.saturating_add(u32::from(it));
    }
}

/// Iterations (from one member to the next) that had something in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Between {
    pub paused: u64,
    pub defined: u64,
    pub queued: u64,
    pub failed: u64,
    /// The end of one transaction and the begin of another.
    pub apart: u64,
}

#[derive(Debug)]
pub(super) struct Group {
    pub fingerprint: Fingerprint,
    pub shape: Option<&'static Shape>,
    pub verb: Verb,
    pub slots: Vec<Slot>,
    pub count: u64,
    /// Members that ended in an error.
    pub failed: u64,
    pub first_at: Moment,
    pub last_at: Moment,
    pub span: Span,
    /// The transaction of its last member.
    transaction: Option<u32>,
    pub between: Between,
    last_tallies: Tallies,
    /// Rows of all members.
    pub rows: u64,
    /// Members that returned or changed more than one row.
    pub many_rows: u64,
    /// Members that returned no row.
    pub no_rows: u64,
    /// Members with a list of several values.
    pub several: u64,
    /// Time of all members, nanoseconds.
    pub duration_ns: u64,
    /// The time behind members that another one followed, up to the next statement of the unit, nanoseconds: the
    /// application's, and that of BEGIN and COMMIT around it.
    gap_ns: u64,
    pending_gap_ns: u64,
    pub history: History,
    pub tracks: Vec<Track>,
    /// Members that do not go on with it, or so it seems.
    pub strays: Vec<Stray>,
    /// Members when a source was last looked for.
    searched_at: u64,
    /// Which sets of values came again.
    pub repeats: Repeats,
    /// The different values of each slot.
    distinct: Distinct,
    /// Bytes that it holds, estimated.
    held_bytes: usize,
    pub columns: Option<Columns>,
    /// Where its results are kept, once one was.
    pub source: Option<u32>,
    /// The tag `callsite` of its first member that had one.
    pub callsite: Option<Arc<str>>,
}

/// What a group needs to know of a new member beyond the event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Its number among the unit's statements.
    pub index: u32,
    pub transaction: Option<u32>,
    pub tallies: Tallies,
    /// Writes to its tables so far in the unit.
    pub writes: u64,
}

impl Group {
    pub(super) fn new(event: &QueryEvent) -> Group {
        let facts = event.shape.and_then(|shape| shape.shape().facts());
        let slots = facts
            .map(|facts| slots(facts, event.verb))
            .unwrap_or_default();
        Group {
            fingerprint: event.fingerprint,
            shape: event.shape.map(ShapeRef::shape),
            verb: event.verb,
            distinct: Distinct::default(),
            held_bytes: 0,
            slots,
            count: 0,
            failed: 0,
            first_at: event.requested_at,
            last_at: event.completed_at,
            span: Span::Nothing,
            transaction: None,
            between: Between::default(),
            last_tallies: Tallies::default(),
            rows: 0,
            many_rows: 0,
            no_rows: 0,
            several: 0,
            duration_ns: 0,
            gap_ns: 0,
            pending_gap_ns: 0,
            history: History::default(),
            tracks: Vec::new(),
            strays: Vec::new(),
            searched_at: 0,
            repeats: Repeats::default(),
            columns: None,
            source: None,
            callsite: None,
        }
    }

    pub(super) fn facts(&self) -> Option<&Facts> {
        self.shape.and_then(|shape| shape.facts())
    }

    /// Takes one more statement of the shape; bytes that it holds more than before.
    pub(super) fn add(&mut self, event: &QueryEvent, member: Member) -> usize {
        let before = self.held_bytes;
        if self.count == 0 {
            self.held_bytes = size_of::<Group>() + self.slots.len() * size_of::<Slot>();
        }
        self.count(event, member);
        if let Some(flow) = event.flow.as_ref() {
            self.note_flow(flow, event.requested_at, member);
        }
        self.held_bytes - before
    }

    #[inline]
    fn count(&mut self, event: &QueryEvent, member: Member) {
        if self.count > 0 {
            if self.last_tallies != member.tallies {
                self.note_between(member.tallies);
            }
            if let (Some(one), Some(other)) = (self.transaction, member.transaction)
                && one != other
            {
                self.between.apart += 1;
            }
            self.gap_ns += self.pending_gap_ns;
        }
        self.pending_gap_ns = 0;
        self.last_tallies = member.tallies;
        self.count += 1;
        self.last_at = event.completed_at;
        self.span = self.span.and(member.transaction);
        self.transaction = member.transaction;
        self.duration_ns += event.phases.duration_ns();
        self.rows += event.rows;
        match event.rows {
            0 => self.no_rows += 1,
            1 => {}
            _ => self.many_rows += 1,
        }
        if event.sqlstate.is_some() {
            self.failed += 1;
        }
        if let Some(tags) = &event.tags
            && self.callsite.is_none()
        {
            self.callsite = tags.value("callsite").map(Arc::from);
        }
    }

    /// What was counted between the last member and this one.
    fn note_between(&mut self, now: Tallies) {
        let last = self.last_tallies;
        self.between.paused += u64::from(now.pauses > last.pauses);
        self.between.defined += u64::from(now.definitions > last.definitions);
        self.between.queued += u64::from(now.queue_reads > last.queue_reads);
        self.between.failed += u64::from(now.failures > last.failures);
    }

    fn note_flow(&mut self, flow: &Flow, requested_at: Moment, member: Member) {
        if let Some(result) = &flow.result {
            self.columns.get_or_insert_with(|| result.columns.clone());
        }
        let is_several = |constant: &Constant| constant.count == ConstantCount::Several;
        if flow.constants.iter().any(is_several) {
            self.several += 1;
        }
        self.held_bytes += self.repeats.note(flow.values, member.writes);
        // Without a slot there is nothing whose source could be looked for.
        if self.slots.is_empty() {
            return;
        }
        let values = self.slots.iter().map(|slot| value(&flow.constants, slot));
        self.held_bytes += self.distinct.note(values.clone());
        if !self.history.is_full() {
            self.held_bytes += size_of::<Past>() + self.slots.len() * 8;
            self.history.push(Past {
                index: member.index,
                requested_at,
                values: values.collect(),
            });
        }
    }

    /// Moves the tracks on by the newest member; says which track found its value in which row.
    pub(super) fn follow(
        &mut self,
        sources: &[Source],
        event: &QueryEvent,
    ) -> Option<(usize, u64)> {
        let flow = event.flow.as_ref()?;
        let mut found = None;
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let Some(slot) = self.slots.get(track.slot) else {
                continue;
            };
            let value = value(&flow.constants, slot);
            if let (Step::InOrder, Some(row)) = track.take(sources, value, event.requested_at)
                && found.is_none()
            {
                found = Some((index, row));
            }
        }
        found
    }

    /// Whether it is time to look for the source again: at the third member and at each doubling, as long as the
    /// first members are all that is needed, and nothing fits so far.
    pub(super) fn wants_search(&self, least: u64) -> bool {
        let due = self.count >= least && self.count >= self.searched_at.saturating_mul(2).max(1);
        let follows = |track: &Track| track.missed == 0;
        due && self.searched_at <= 256 && !self.tracks.iter().any(follows)
    }

    pub(super) fn searched(&mut self, tracks: Vec<Track>) {
        self.searched_at = self.count;
        self.tracks = tracks;
    }

    /// Bytes that it holds, estimated.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Members when a source was last looked for.
    pub(super) fn searched_at(&self) -> u64 {
        self.searched_at
    }

    /// The application's time until the next statement.
    pub(super) fn gap(&mut self, gap_ns: u64) {
        match self.strays.last_mut() {
            Some(stray) => stray.gap_ns += gap_ns,
            None => self.pending_gap_ns += gap_ns,
        }
    }

    /// What its members took, the application's time behind each included. The last member's gap is unknown (what
    /// follows may be the rest of the page): it counts as the others' mean.
    pub(super) fn cost_ns(&self) -> u64 {
        self.duration_ns + self.mean_gap_ns() * self.count
    }

    /// The application's time behind a member that another one followed; 0 where there is none.
    pub(super) fn mean_gap_ns(&self) -> u64 {
        let followed = self.count.saturating_sub(1);
        self.gap_ns.checked_div(followed).unwrap_or(0)
    }

    /// Counts the values that came since they were counted last; bytes that it holds more than before.
    pub(super) fn count_values(&mut self) -> usize {
        let bytes = self.repeats.count() + self.distinct.count(self.slots.len());
        self.held_bytes += bytes;
        bytes
    }

    /// Different values of a slot, at most 1,024.
    pub(super) fn distinct(&self, slot: usize) -> u64 {
        self.distinct.of(slot)
    }

    /// Whether its members ask for different things.
    pub(super) fn varies(&self) -> bool {
        (0..self.slots.len()).any(|slot| self.distinct(slot) > 1)
    }

    /// Whether a slot's values hardly agree with a column's by chance.
    pub(super) fn is_distinctive(&self, slot: usize) -> bool {
        self.distinct.are_distinctive(slot)
    }

    /// Whether the iterations that `count` counts are no exception.
    pub(super) fn mostly(&self, count: u64) -> bool {
        count.saturating_mul(2) > self.count.saturating_sub(1)
    }

    /// Whether what lies between the members speaks against one loop of one request.
    pub(super) fn is_paced(&self) -> bool {
        self.mostly(self.between.paused)
    }
}

pub(super) fn value(constants: &[Constant], slot: &Slot) -> Option<ValueHash> {
    let constant = constants.get(slot.constant)?;
    match constant.count {
        ConstantCount::One => constant.value,
        ConstantCount::Several => None,
    }
}

/// The constants that a statement looks rows up by, or writes.
fn slots(facts: &Facts, verb: Verb) -> Vec<Slot> {
    let mut slots: Vec<Slot> = facts
        .predicates
        .iter()
        .filter_map(|predicate| {
            let comparison = match predicate.operator.as_str() {
                "=" => Comparison::Equal,
                "IN" | "= ANY" => Comparison::In,
                _ => return None,
            };
            let Operand::Constant(number) = predicate.operand else {
                return None;
            };
            Some(Slot {
                constant: number.checked_sub(1)? as usize,
                column: Named::of(&predicate.column),
                comparison,
            })
        })
        .collect();
    if verb == Verb::Insert {
        slots.extend(facts.assignments.iter().filter_map(|(column, operand)| {
            let Operand::Constant(number) = operand else {
                return None;
            };
            // What is no key of anything is not worth following.
            super::names::refers(column)?;
            Some(Slot {
                constant: number.checked_sub(1)? as usize,
                column: Named {
                    table: facts.main_table.as_deref().map(Arc::from),
                    column: Arc::from(column.as_str()),
                },
                comparison: Comparison::Assigned,
            })
        }));
    }
    slots.truncate(SLOTS_MAX);
    slots
}
