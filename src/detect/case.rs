//! A loop whose values run along a column, as the detectors look at it.

use super::group::{Comparison, Group, Slot, Span};
use super::knowledge::{Fit, Knowledge, Named, Relation};
use super::loops::Loops;
use super::source::Source;
use super::tools::Of;
use super::track::{Rows, Track};
use super::{Confidence, Settings};
use crate::sql::facts::{Facts, Output};
use crate::unit::{Completeness, Evidence};
use std::sync::Arc;

/// What is known of the unit around the loops.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub of: Of,
    pub evidence: Evidence,
    pub completeness: Completeness,
    pub database: Arc<str>,
    /// Statements of the unit.
    pub queries: u64,
}

/// A loop, the column along which its values run, and what the two are to each other.
pub(super) struct FlowCase<'a> {
    pub group: &'a Group,
    pub facts: &'a Facts,
    pub slot: &'a Slot,
    pub slot_index: usize,
    pub track: &'a Track,
    pub source: &'a Source,
    pub parent: Named,
    pub relation: Relation,
    pub rows: Rows,
    /// The loop whose results are the parent rows, where they come from more than one result.
    pub outer: Option<&'a Group>,
    knowledge: &'a Knowledge,
}

/// Children out of ten whose values have to come in the parent's order: a template that sorts a few rows otherwise
/// is still a loop over them.
const IN_ORDER_TENTHS: u64 = 9;
/// Rows out of ten that have to have a child.
const COVERED_TENTHS: u64 = 8;
/// Children out of ten whose values have to be the parent's at all.
const MATCHED_TENTHS: u64 = 8;
/// A row has at most so many children of one shape: what asks more often for the same value reads it in parts.
const CHILDREN_A_ROW_MAX: u64 = 3;
/// PostgreSQL's text, character and character varying.
const TEXT_OIDS: [u32; 3] = [25, 1042, 1043];

impl<'a> FlowCase<'a> {
    /// The best column for a group's values, if they run along one at all.
    pub(super) fn of(
        group: &'a Group,
        loops: &'a Loops,
        knowledge: &'a Knowledge,
        scene: &Scene,
        settings: &Settings,
    ) -> Option<FlowCase<'a>> {
        // A list of values is a batch: what prefetching sends.
        let is_batch = group.several * 5 > group.count;
        if group.count < settings.n_plus_one_min || group.tracks.is_empty() || is_batch {
            return None;
        }
        let facts = group.facts()?;
        group
            .tracks
            .iter()
            .filter_map(|track| {
                let source = loops.sources.get(track.source)?;
                let slot = group.slots.get(track.slot)?;
                let column = usize::from(*source.columns.keys.get(track.key)?);
                let source_facts = source.shape.and_then(|shape| shape.facts());
                let parent =
                    knowledge.column(&scene.database, source_facts, &source.columns, column);
                let relation = knowledge.relation(&parent, &slot.column);
                let outer = loops
                    .group_of(source)
                    .filter(|outer| outer.count > 1 && outer.fingerprint != group.fingerprint);
                let case = FlowCase {
                    group,
                    facts,
                    slot,
                    slot_index: track.slot,
                    track,
                    source,
                    parent,
                    relation,
                    rows: track.rows(source),
                    outer,
                    knowledge,
                };
                case.flows(settings).then_some(case)
            })
            .max_by_key(|case| {
                (
                    case.relation.fit >= Fit::Formed,
                    // A column that was run through rather than one that merely has the values, too.
                    case.is_run(),
                    case.track.in_order,
                    // The child's own column rather than one of a table that it joins.
                    case.slot.column.table.as_deref() == case.facts.main_table.as_deref(),
                    case.relation.fit,
                    case.relation.to_key,
                    case.track.matched,
                    case.slot.comparison == Comparison::Equal,
                )
            })
    }

    /// Members that the column is followed along.
    pub(super) fn children(&self) -> u64 {
        self.group.count - self.track.skipped.min(self.group.count)
    }

    /// Whether the values come from the column, chance left out.
    fn flows(&self, settings: &Settings) -> bool {
        let (track, count) = (self.track, self.children());
        let distinct = self.group.distinct(self.slot_index);
        if (track.matched + track.chained) * 10 < count * MATCHED_TENTHS
            || track.covered.max(distinct) * CHILDREN_A_ROW_MAX < count
            || self.rows.all < 2
            || count < settings.n_plus_one_min
        {
            return false;
        }
        let distinctive = self.group.is_distinctive(self.slot_index);
        let in_order = track.in_order * 10 >= count * MATCHED_TENTHS;
        match self.relation.fit {
            // The name is a role that another table happens to be called by: `author_id` of users, beside authors.
            Fit::Contradicted => self.repeats_in_order(),
            // Small numbers agree by chance; so only values that do not are a relation's proof by themselves.
            Fit::Weak => {
                (distinctive && distinct >= settings.n_plus_one_min)
                    || self.repeats_in_order()
                    || (distinct >= settings.n_plus_one_min && self.is_run_of_words())
            }
            // One value again and again is in many columns: only a relation known by name tells it from a duplicate.
            // And a set of small numbers is in many columns: only their order tells it from others.
            Fit::Formed => distinct >= 2 && (distinctive || in_order || track.chained > 0),
            Fit::Strong => true,
        }
    }

    /// Whether the children repeat values as the column repeats them, row by row: no loop over constants does that.
    fn repeats_in_order(&self) -> bool {
        let distinct = self.group.distinct(self.slot_index);
        self.is_run()
            && self.track.covered * 10 >= self.rows.all * COVERED_TENTHS
            && distinct >= 3
            && distinct < self.track.covered
    }

    /// Whether each row's primary key comes in turn, and that is a text: words do not agree by chance as numbers do.
    fn is_run_of_words(&self) -> bool {
        let column = self.source.columns.keys.get(self.track.key);
        let type_oid = column
            .and_then(|column| self.source.columns.all.get(usize::from(*column)))
            .map_or(0, |column| column.type_oid);
        TEXT_OIDS.contains(&type_oid)
            && self.knowledge.is_primary_key(&self.parent)
            && self.is_run()
            && self.track.covered * 10 >= self.rows.all * COVERED_TENTHS
    }

    /// Whether a run of the column's values, in order, with a child for nearly every row or for every row so far.
    pub(super) fn is_run(&self) -> bool {
        let track = self.track;
        track.missed == 0
            && track.in_order * 10 >= self.children() * IN_ORDER_TENTHS
            && (track.covered * 10 >= self.rows.all * COVERED_TENTHS
                || track.covered == self.rows.so_far)
    }

    /// Whether the names, or the values themselves, leave no room for chance. Small numbers in a column that only has
    /// the form of a foreign key may agree with a few constants: then every row has to have its child.
    fn is_no_chance(&self) -> bool {
        match self.relation.fit {
            Fit::Strong => true,
            Fit::Formed => {
                self.group.is_distinctive(self.slot_index)
                    || self.track.covered * 10 >= self.rows.all * COVERED_TENTHS
            }
            Fit::Weak | Fit::Contradicted => false,
        }
    }

    /// How sure it is that one request (or task) did this, and that it is this relation.
    pub(super) fn confidence(&self, scene: &Scene, covered: bool) -> Confidence {
        // Each row names the next one: a walk, which no list of rows proves.
        let is_walk = self.source.fingerprint == self.group.fingerprint;
        let certain = !is_walk
            && scene.completeness == Completeness::Complete
            && (self.is_run() || covered)
            && self.track.missed == 0
            // What was rolled back between two children began anew: another attempt, or another test.
            && self.group.between.failed == 0
            && (self.is_no_chance() || covered)
            && (scene.evidence.is_hard() || self.is_one_transaction() || self.is_in_cursor())
            // A connection that paused each time had one request, if it is as short-lived as those before it.
            && !(scene.evidence == Evidence::Connection && self.group.is_paced());
        if certain {
            Confidence::Proved
        } else {
            Confidence::Likely
        }
    }

    /// Parent and children lie in one outermost transaction.
    pub(super) fn is_one_transaction(&self) -> bool {
        let Span::One(Some(transaction)) = self.group.span else {
            return false;
        };
        self.track
            .row()
            .and_then(|row| self.source.batch_of(row))
            .is_some_and(|batch| batch.transaction == Some(transaction))
    }

    /// The children ran while the parent's cursor was open: no other request has its connection meanwhile.
    pub(super) fn is_in_cursor(&self) -> bool {
        self.track.enclosed > 0 && self.track.enclosed >= self.children()
    }

    /// The evidence that holds parent and children together.
    pub(super) fn evidence(&self, scene: &Scene) -> Evidence {
        if !scene.evidence.is_hard() && (self.is_one_transaction() || self.is_in_cursor()) {
            Evidence::Transaction
        } else {
            scene.evidence
        }
    }

    /// The aggregate functions that the child returns, if it returns figures and no row of a table.
    pub(super) fn figures(&self) -> Option<Vec<String>> {
        let outputs = &self.facts.outputs;
        let mut names = Vec::new();
        for output in outputs {
            match output {
                Output::Aggregate(name) => names.push(name.clone()),
                Output::Constant => {}
                // `values("status").annotate(n=Count("id"))`: groups, as long as a group is no row.
                Output::Column(column)
                    if self.facts.grouped
                        && *column.name
                            != *self
                                .knowledge
                                .primary_key(column.table.as_deref().unwrap_or_default()) => {}
                Output::Column(_) | Output::All | Output::Expression => return None,
            }
        }
        let groups = self.facts.grouped && names.is_empty();
        (!outputs.is_empty() && !groups).then_some(names)
    }
}
