//! The detectors' memory of one unit: where values came from, what repeats, and which follows which.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::findings::{Ran, Reports};
use super::group::{Group, Member, Tallies, value};
use super::knowledge::{Fit, Knowledge, Reads};
use super::results::{Kept, Results};
use super::source::{Batch, FEW_HASHES, Source};
use super::strays::Taken;
use super::track::{Step, Track};
use crate::event::{ConstantCount, Moment, QueryEvent, RowKeys, RowsEvent, ShapeRef};
use crate::hashes::Hashes;
use crate::sql::facts::Facts;
use crate::sql::{Fingerprint, Verb, VerbClass};
use crate::unit::Apart;

/// Shapes followed in one unit; a unit of more is chatty whatever they are.
const GROUPS_MAX: usize = 1_024;

/// Tags that say what a unit is.
const UNIT_TAGS: [&str; 3] = ["route", "controller", "test"];
/// Values of them that are kept of one unit.
const TAGS_MAX: usize = 8;

/// How far behind its parent a loop may begin after a pause: a look-up or two may lie between, no other loop.
const BEHIND_PARENT_MAX: u64 = 3;

/// Where a statement stands in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number among the unit's statements.
    pub index: u32,
    /// The application's time before it, nanoseconds.
    pub gap_ns: u64,
    /// Whether that was a pause that stands out.
    pub after_pause: bool,
    /// The outermost transaction of the unit that it ran in.
    pub transaction: Option<u32>,
}

/// The detectors' memory of one unit.
#[derive(Debug, Default)]
pub struct Loops {
    pub(super) groups: Vec<Group>,
    /// The group with which each shape goes on, by fingerprint.
    by_fingerprint: Hashes<u32>,
    pub(super) sources: Vec<Source>,
    /// The results of each shape, by fingerprint.
    source_by_shape: Hashes<u32>,
    results: Results,
    /// What it holds, as its detector was told last.
    pub(super) charged_bytes: usize,
    held_bytes: usize,
    cut: bool,
    /// Shapes were left out, for want of room or because there are too many of them.
    left_out: bool,
    pub(super) tallies: Tallies,
    /// A tool is at work that defines tables or looks them up (`migrate`, `inspectdb`): it goes statement by
    /// statement, and nobody waits for it.
    by_tool: bool,
    /// The shape in the middle of whose loop the unit begins.
    resumed: Option<Fingerprint>,
    /// Writes to each table so far.
    writes: HashMap<Box<str>, u64, RandomState>,
    last_group: Option<usize>,
    pub(super) statements: u64,
    /// The tags `route`, `controller` and `test` of its statements, each value once.
    tags: Vec<(Arc<str>, Arc<str>)>,
    /// What was reported of this unit while it was open.
    pub(super) reported: Reports,
}

/// How far a unit's memory may grow, and from how many members on a loop is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub hashes_max: usize,
    pub least: u64,
    /// Whether there is room for anything new.
    pub room: Room,
}

/// Whether all units together may hold more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// What is known goes on; nothing new is followed.
    Full,
}

impl Loops {
    /// Bytes that it holds, estimated.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether something was left out for want of room.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether anything was not followed, whatever was concluded from the rest.
    pub(super) fn is_partial(&self) -> bool {
        self.cut || self.left_out
    }

    pub(super) fn group_of(&self, source: &Source) -> Option<&Group> {
        self.group(source.fingerprint)
    }

    pub(super) fn group(&self, fingerprint: Fingerprint) -> Option<&Group> {
        let index = self.by_fingerprint.get(fingerprint.0)?;
        self.groups.get(index as usize)
    }

    /// Takes a statement that is no housekeeping. Tells `link` which statement had its value from which earlier one:
    /// of the first ones of a loop as soon as the source is known.
    pub(super) fn statement(
        &mut self,
        event: &QueryEvent,
        place: Place,
        reads: Reads,
        knowledge: &Knowledge,
        bounds: Bounds,
        link: &mut dyn FnMut(u32, u32),
    ) {
        self.statements += 1;
        let tallies = &mut self.tallies;
        Tallies::add(&mut tallies.pauses, place.after_pause);
        Tallies::add(&mut tallies.failures, event.sqlstate.is_some());
        let defines = event.verb.class() == VerbClass::Definition;
        Tallies::add(&mut tallies.definitions, defines);
        Tallies::add(&mut tallies.queue_reads, reads == Reads::Queue);
        self.charge_gap(place.gap_ns);
        self.note_tags(event);
        self.member(event, place, knowledge, bounds, link);
        if matches!(event.verb, Verb::Insert | Verb::Update | Verb::Delete)
            && let Some(facts) = facts_of(event)
            && let Some(table) = &facts.main_table
        {
            match self.writes.get_mut(table.as_str()) {
                Some(writes) => *writes += 1,
                None => {
                    self.writes.insert(table.as_str().into(), 1);
                }
            }
        }
        match (
            event.cursor,
            event.flow.as_ref().and_then(|flow| flow.result.as_ref()),
        ) {
            (Some(_), _) => self.close_cursor(event.fingerprint),
            (None, Some(result)) => {
                self.add_result(event, result, place, bounds);
            }
            (None, None) => {}
        }
    }

    fn note_tags(&mut self, event: &QueryEvent) {
        let Some(tags) = &event.tags else { return };
        for key in UNIT_TAGS {
            if let Some(value) = tags.value(key)
                && self.tags.len() < TAGS_MAX
                && !self.tags.iter().any(|(k, v)| &**k == key && &**v == value)
            {
                self.tags.push((Arc::from(key), Arc::from(value)));
            }
        }
    }

    /// Whether a tool is at work.
    pub(super) fn is_tool(&self) -> bool {
        self.by_tool
    }

    /// The shape of the unit's first statement.
    pub(super) fn begins_with(&self) -> Option<Fingerprint> {
        self.groups.first().map(|group| group.fingerprint)
    }

    /// The shape of its last statement so far.
    pub(super) fn ends_with(&self) -> Option<Fingerprint> {
        let last = self.groups.get(self.last_group?)?;
        Some(last.fingerprint)
    }

    /// The unit begins with a statement of the shape that the connection's last unit ended with.
    pub(super) fn begins_inside(&mut self, fingerprint: Fingerprint) {
        self.resumed = Some(fingerprint);
    }

    /// Whether the unit begins in the middle of a loop of this shape.
    pub(super) fn is_resumed(&self, fingerprint: Fingerprint) -> bool {
        self.resumed == Some(fingerprint)
    }

    pub(super) fn work_of_tool(&mut self) {
        self.by_tool = true;
    }

    /// The tags of the unit, and the line of code that sent the statements of a shape.
    pub(super) fn tags(&self, fingerprint: Fingerprint) -> Vec<(Arc<str>, Arc<str>)> {
        let mut tags = self.tags.clone();
        let callsite = self
            .group(fingerprint)
            .and_then(|group| group.callsite.clone());
        tags.extend(callsite.map(|callsite| (Arc::from("callsite"), callsite)));
        tags
    }

    /// Counts what came of values since it was counted last: nobody may ask a group about them before.
    pub(super) fn count_values(&mut self) {
        let counted = self.groups.iter_mut().map(Group::count_values);
        self.held_bytes += counted.sum::<usize>();
    }

    /// What the unit did, as far as it could have had a finding.
    pub(super) fn ran(&self, least: u64) -> Ran<'_> {
        fn main_table(facts: Option<&Facts>) -> Option<&str> {
            facts.and_then(|facts| facts.main_table.as_deref())
        }
        Ran {
            parents: self
                .sources
                .iter()
                .filter(|source| u64::from(source.rows_at_most()) >= least)
                .filter_map(|source| main_table(source.shape.and_then(|shape| shape.facts())))
                .collect(),
            tables: self
                .groups
                .iter()
                .filter_map(Group::facts)
                .flat_map(|facts| facts.tables.iter().map(String::as_str))
                .collect(),
            written: self.writes.keys().map(|table| &**table).collect(),
            batched: self
                .groups
                .iter()
                .filter(|group| group.several > 0)
                .filter_map(|group| main_table(group.facts()))
                .collect(),
            fingerprints: self.groups.iter().map(|group| group.fingerprint).collect(),
            routes: self
                .tags
                .iter()
                .filter(|(key, _)| &**key == "route")
                .map(|(_, route)| &**route)
                .collect(),
        }
    }

    /// Takes a statement that is housekeeping: its time is part of the gap before the next statement.
    pub(super) fn housekeeping(&mut self, event: &QueryEvent) {
        if event.sqlstate.is_some() || matches!(event.verb, Verb::Rollback | Verb::RollbackTo) {
            Tallies::add(&mut self.tallies.failures, true);
        }
    }

    fn charge_gap(&mut self, gap_ns: u64) {
        if let Some(group) = self.last_group.and_then(|last| self.groups.get_mut(last)) {
            group.gap(gap_ns);
        }
    }

    /// The group with which a shape goes on; loops ask the same again.
    fn index_of(&self, fingerprint: Fingerprint) -> Option<usize> {
        match self.last_group {
            Some(last) if self.groups.get(last)?.fingerprint == fingerprint => Some(last),
            _ => Some(self.by_fingerprint.get(fingerprint.0)? as usize),
        }
    }

    fn member(
        &mut self,
        event: &QueryEvent,
        place: Place,
        knowledge: &Knowledge,
        bounds: Bounds,
        link: &mut dyn FnMut(u32, u32),
    ) -> Option<()> {
        let index = match self.index_of(event.fingerprint) {
            Some(index) => index,
            None if self.groups.len() >= GROUPS_MAX || bounds.room == Room::Full => {
                self.last_group = None;
                self.cut |= bounds.room == Room::Full;
                self.left_out = true;
                return None;
            }
            None => {
                // Many units have one shape only, and there may be thousands of units.
                if self.groups.is_empty() {
                    self.groups.reserve_exact(1);
                }
                let index = self.groups.len();
                self.groups.push(Group::new(event));
                self.by_fingerprint.set(event.fingerprint.0, index as u32);
                index
            }
        };
        self.last_group = Some(index);
        let writes = match self.writes.is_empty() {
            true => 0,
            false => self.writes_before(event),
        };
        let member = Member {
            index: place.index,
            transaction: place.transaction,
            tallies: self.tallies,
            writes,
        };
        let group = self.groups.get(index)?;
        if !group.tracks.is_empty() || !group.strays.is_empty() {
            match self.stray(index, event, member, knowledge, bounds.least, link) {
                Taken::Waits | Taken::Settled => return None,
                Taken::GoesOn => {}
            }
        }
        let group = self.groups.get_mut(index)?;
        self.held_bytes += group.add(event, member);
        let found = group.follow(&self.sources, event);
        if group.wants_search(bounds.least) {
            self.find_source(index, knowledge, &event.facts.database, link);
        } else if let Some((track, row)) = found {
            let source = self.groups.get(index)?.tracks.get(track)?.source;
            link(place.index, self.batch(source, Some(row))?);
        }
        Some(())
    }

    /// How often the tables of a statement were written to so far.
    fn writes_before(&self, event: &QueryEvent) -> u64 {
        let of = |table: &String| self.writes.get(table.as_str()).copied().unwrap_or(0);
        facts_of(event).map_or(0, |facts| facts.tables.iter().map(of).sum())
    }

    /// Looks for the columns along which a group's values run; whether there are any.
    pub(super) fn find_source(
        &mut self,
        index: usize,
        knowledge: &Knowledge,
        database: &Arc<str>,
        link: &mut dyn FnMut(u32, u32),
    ) -> bool {
        let (tracks, rows) = self.search(index, knowledge, database);
        let source = tracks.first().map(|track| track.source);
        self.follow_columns(&tracks);
        if let Some(group) = self.groups.get_mut(index) {
            group.searched(tracks);
        }
        let (Some(group), Some(source)) = (self.groups.get(index), source) else {
            return false;
        };
        for (past, row) in group.history.iter().zip(rows) {
            if let Some(batch) = self.batch(source, row) {
                link(past.index, batch);
            }
        }
        true
    }

    fn follow_columns(&mut self, tracks: &[Track]) {
        for track in tracks {
            let columns = [Some((track.source, track.key)), track.own];
            for (source, key) in columns.into_iter().flatten() {
                if let Some(source) = self.sources.get_mut(source) {
                    let held = source.held_bytes();
                    source.follow(key);
                    self.held_bytes += source.held_bytes().saturating_sub(held);
                }
            }
        }
    }

    /// A shape goes on with another group: the loop before it is over.
    pub(super) fn goes_on_with(&mut self, index: usize) {
        let Some(group) = self.groups.get(index) else {
            return;
        };
        self.held_bytes += group.held_bytes();
        self.by_fingerprint.set(group.fingerprint.0, index as u32);
        self.last_group = Some(index);
    }

    /// The statement whose result has a row.
    fn batch(&self, source: usize, row: Option<u64>) -> Option<u32> {
        Some(self.sources.get(source)?.batch_of(row?)?.index)
    }

    /// Rows of a cursor that stays open.
    pub(super) fn rows(&mut self, event: &RowsEvent, place: Place, bounds: Bounds) {
        let index = self.source(event.fingerprint, event.shape, &event.result);
        if let Some(source) = index.and_then(|index| self.sources.get_mut(index)) {
            source.open_cursor = Some(event.cursor);
        }
        self.store(index, &event.result, event.completed_at, place, bounds);
    }

    fn close_cursor(&mut self, fingerprint: Fingerprint) {
        let index = self.source_of(fingerprint);
        if let Some(source) = index.and_then(|index| self.sources.get_mut(index)) {
            source.open_cursor = None;
        }
    }

    /// Which of the sources has the results of a shape.
    pub(super) fn source_of(&self, fingerprint: Fingerprint) -> Option<usize> {
        Some(self.source_by_shape.get(fingerprint.0)? as usize)
    }

    /// Takes the result of the statement that was just put into its group.
    fn add_result(&mut self, event: &QueryEvent, result: &RowKeys, place: Place, bounds: Bounds) {
        // A batch is no parent of a loop's children less than a list is: IN-lists are results like others.
        let index = self.source(event.fingerprint, event.shape, result);
        if let Some(group) = self.last_group.and_then(|last| self.groups.get_mut(last)) {
            group.source = index.map(|index| index as u32);
        }
        self.store(index, result, event.completed_at, place, bounds);
    }

    /// Where the results of the last statement's shape are kept, as its group has it.
    fn source_of_last_group(&self, fingerprint: Fingerprint) -> Option<usize> {
        let group = self.groups.get(self.last_group?)?;
        (group.fingerprint == fingerprint).then_some(group.source? as usize)
    }

    fn source(
        &mut self,
        fingerprint: Fingerprint,
        shape: Option<ShapeRef>,
        result: &RowKeys,
    ) -> Option<usize> {
        let known = self
            .source_of_last_group(fingerprint)
            .or_else(|| self.source_of(fingerprint));
        if let Some(index) = known {
            let source = self.sources.get(index)?;
            return (source.columns == result.columns).then_some(index);
        }
        if result.columns.keys.is_empty() || self.sources.len() >= GROUPS_MAX {
            return None;
        }
        if self.sources.is_empty() {
            self.sources.reserve_exact(1);
        }
        let index = self.sources.len();
        self.sources
            .push(Source::new(fingerprint, shape.map(ShapeRef::shape), result));
        self.source_by_shape.set(fingerprint.0, index as u32);
        Some(index)
    }

    fn store(
        &mut self,
        index: Option<usize>,
        result: &RowKeys,
        at: Moment,
        place: Place,
        bounds: Bounds,
    ) {
        let Some(index) = index else { return };
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        if bounds.room == Room::Full {
            self.cut = true;
            return;
        }
        let batch = Batch {
            number: self.results.next(),
            first_row: source.end(),
            rows: result.rows,
            at,
            index: place.index,
            transaction: place.transaction,
        };
        let Some(growth) = source.add(result, batch, self.results.kept_from()) else {
            return;
        };
        self.held_bytes += growth.bytes;
        self.held_bytes += self.results.push(Kept {
            source: index as u32,
            hashes: growth.hashes as u32,
        });
        while let Some(oldest) = self.results.give_up(bounds.hashes_max) {
            self.give_up(oldest);
        }
    }

    /// A result is kept no more. Its source forgets it at once where it is large; where it is small, with the next
    /// result that it gets: up to then that source is in no cache, and there is one to be forgotten for each that comes.
    #[inline]
    fn give_up(&mut self, oldest: Kept) {
        if oldest.hashes as usize > FEW_HASHES
            && let Some(source) = self.sources.get_mut(oldest.source as usize)
        {
            source.forget_before(self.results.kept_from());
        }
    }

    /// Whether a statement behind a pause goes on with what this unit began: the next value of a loop that runs, or
    /// the first value of the rows that came last.
    pub(super) fn continues(
        &self,
        event: &QueryEvent,
        apart: Apart,
        knowledge: &Knowledge,
        least: u64,
    ) -> bool {
        let Some(flow) = event.flow.as_ref() else {
            return false;
        };
        if flow
            .constants
            .iter()
            .any(|constant| constant.count == ConstantCount::Several)
        {
            return false;
        }
        if let Some(group) = self.group(event.fingerprint) {
            // A loop that pauses now and then goes on, behind its first round as well; one that pauses each time is
            // no loop, unless its requests have marks: then it asks somebody else for each row.
            let paused = (group.between.paused + 1) * 2;
            let takes_its_time = apart == Apart::Marks && event.verb == Verb::Select;
            if paused > group.count + 1 && !takes_its_time {
                return false;
            }
            let goes_on = |track: &Track| {
                let (Some(slot), Some(source)) =
                    (group.slots.get(track.slot), self.sources.get(track.source))
                else {
                    return false;
                };
                value(&flow.constants, slot)
                    .is_some_and(|value| track.peek(source, value) == Step::InOrder)
            };
            if group.searched_at() > 0 {
                return group.tracks.iter().any(goes_on);
            }
            // Nobody has looked yet where its values come from.
            return self
                .first_tracks(group, event, knowledge)
                .any(|track| goes_on(&track));
        }
        // The first child: a page that rendered before it asked, right behind its parent.
        let child = Group::new(event);
        let latest = self
            .sources
            .iter()
            .filter(|source| u64::from(source.rows_at_most()) >= least)
            .max_by_key(|source| source.last_batch().map(|batch| batch.at));
        let Some((source, batch)) = latest.and_then(|source| Some((source, *source.last_batch()?)))
        else {
            return false;
        };
        if self.statements.saturating_sub(u64::from(batch.index)) > BEHIND_PARENT_MAX {
            return false;
        }
        child.slots.iter().any(|slot| {
            let Some(value) = value(&flow.constants, slot) else {
                return false;
            };
            source.key_columns().any(|key| {
                let first = (batch.first_row..batch.first_row + u64::from(batch.rows))
                    .find_map(|row| source.value(key, row));
                let column = source
                    .columns
                    .keys
                    .get(key)
                    .map_or(0, |at| usize::from(*at));
                let facts = source.shape.and_then(|shape| shape.facts());
                first == Some(value)
                    && knowledge
                        .relation(
                            &knowledge.column(
                                &event.facts.database,
                                facts,
                                &source.columns,
                                column,
                            ),
                            &slot.column,
                        )
                        .fit
                        >= Fit::Formed
            })
        })
    }
}

/// What a statement's shape touches, as far as it is known: with many shapes not in any cache.
fn facts_of(event: &QueryEvent) -> Option<&'static Facts> {
    event.shape.and_then(|shape| shape.shape().facts())
}
