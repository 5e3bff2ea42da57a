//! Loops that write: what each brings along, and which of them are parts of another.

use std::sync::Arc;

use super::super::case::FlowCase;
use super::super::finding::{Confidence, Detail, Operation, Side, Trait};
use super::super::group::{Comparison, Group};
use super::super::knowledge::Named;
use super::super::names::refers;
use super::super::price::Price;
use super::super::{Kind, write_loop};
use super::flows::proof;
use super::{Court, Explained, Judged, side, text, traits};
use crate::sql::Verb;
use crate::sql::facts::{Facts, Lock};

impl<'a> Court<'a> {
    pub(super) fn write_loops(
        &self,
        flows: &[FlowCase<'a>],
        explained: &mut Explained,
        found: &mut Vec<Judged>,
    ) {
        let loops: Vec<&Group> = self
            .loops
            .groups
            .iter()
            .filter(|group| write_loop::is(group, self.scene, self.settings))
            .collect();
        for group in &loops {
            explained.insert(group.fingerprint);
            let helpers = self.helpers(group, flows);
            explained.extend(helpers.iter().map(|helper| helper.fingerprint));
            if loops.iter().any(|other| is_part_of(group, other)) {
                continue;
            }
            let flow = flows
                .iter()
                .find(|case| case.group.fingerprint == group.fingerprint);
            if flow.is_none() && self.loops.is_tool() {
                continue;
            }
            let mut price = Price::of(group, Price::remaining(Kind::WriteLoop, false));
            let mut queries = group.count;
            let parts = loops.iter().filter(|other| is_part_of(other, group));
            for helper in parts.copied().chain(helpers.iter().copied()) {
                price = price.and(Price::of(helper, 1));
                queries += helper.count;
            }
            let confidence = match flow {
                Some(case) if case.confidence(self.scene, false) == Confidence::Proved => {
                    Confidence::Proved
                }
                _ => Confidence::Likely,
            };
            let table = group
                .facts()
                .and_then(|facts| facts.main_table.as_deref())
                .map(Arc::from);
            found.push(Judged {
                kind: Kind::WriteLoop,
                confidence,
                evidence: self.scene.evidence,
                child: Side {
                    table: table.clone(),
                    ..side(
                        group,
                        flow.map(|case| &case.slot.column)
                            .or_else(|| looked_up(group)),
                    )
                },
                parent: flow.map(|case| Side {
                    fingerprint: case.source.fingerprint,
                    query: text(case.source.shape),
                    table: case.parent.table.clone(),
                    column: Some(Arc::clone(&case.parent.column)),
                }),
                chain: Vec::new(),
                proof: flow.map(|case| proof(case, case.track.covered)),
                detail: Detail {
                    operation: operation(group, &helpers),
                    main_table: table,
                    traits: traits([(Trait::Single, true)]),
                    ..Detail::default()
                },
                queries,
                price,
                slope: flow.map(|case| (case.rows.all, group.count)),
            });
        }
    }

    /// Reads that a write loop brings along: the look-up of `get_or_create`, what a cascade collects.
    fn helpers(&self, write: &Group, flows: &[FlowCase<'a>]) -> Vec<&'a Group> {
        let table = write.facts().and_then(|facts| facts.main_table.as_deref());
        self.loops
            .groups
            .iter()
            .filter(|group| group.verb == Verb::Select && is_in_step(group, write))
            .filter(|group| {
                let Some(facts) = group.facts() else {
                    return false;
                };
                let flow = flows
                    .iter()
                    .find(|case| case.group.fingerprint == group.fingerprint);
                let same_table = facts.main_table.as_deref() == table;
                let looks_up = same_table
                    && (flow.is_none() || facts.lock == Lock::Rows)
                    && group.fingerprint != write.fingerprint;
                // Django's deletion collector asks with IN for the rows that go with one.
                let collects = write.verb == Verb::Delete
                    && group
                        .slots
                        .iter()
                        .any(|slot| slot.comparison == Comparison::In);
                looks_up || collects
            })
            .collect()
    }
}

/// Whether two groups take turns: as many of the one as of the other, within the same time.
fn is_in_step(group: &Group, with: &Group) -> bool {
    let (most, least) = (group.count.max(with.count), group.count.min(with.count));
    let overlaps = group.first_at <= with.last_at && with.first_at <= group.last_at;
    overlaps && least * 5 >= most * 2
}

/// Whether a write loop is a part of another: rows that go with a deleted one, the tables of an inherited model.
fn is_part_of(group: &Group, whole: &Group) -> bool {
    group.fingerprint != whole.fingerprint
        && group.verb == whole.verb
        && group.verb != Verb::Insert
        && is_in_step(group, whole)
        && group.count <= whole.count
        && group.last_at < whole.last_at
        && shares_values(group, whole)
}

/// Whether the first members of both were about the same values.
fn shares_values(group: &Group, other: &Group) -> bool {
    if group.slots.is_empty() || other.slots.is_empty() {
        return false;
    }
    let last = |group: &Group| {
        group
            .history
            .iter()
            .map(|past| past.values.iter().flatten().next_back().copied())
            .collect::<Vec<_>>()
    };
    let (mine, theirs) = (last(group), last(other));
    mine.iter()
        .zip(&theirs)
        .all(|(mine, theirs)| mine.is_some() && mine == theirs)
}

fn operation(group: &Group, helpers: &[&Group]) -> Operation {
    let locks = helpers
        .iter()
        .any(|helper| helper.facts().is_some_and(|facts| facts.lock == Lock::Rows));
    let looks_up = helpers
        .iter()
        .any(|helper| helper.facts().is_some_and(|facts| facts.limit));
    match group.verb {
        Verb::Update | Verb::Insert if locks => Operation::UpdateOrCreate,
        Verb::Insert if looks_up => Operation::GetOrCreate,
        Verb::Insert => {
            // A row of nothing but references: what `add()` writes.
            let refers = |facts: &Facts| {
                facts.assignments.len() >= 2
                    && facts
                        .assignments
                        .iter()
                        .all(|(column, _)| refers(column).is_some())
            };
            if group.facts().is_some_and(refers) {
                Operation::Add
            } else {
                Operation::Insert
            }
        }
        Verb::Update => Operation::Update,
        Verb::Delete => Operation::Delete,
        _ => Operation::Rows,
    }
}

fn looked_up(group: &Group) -> Option<&Named> {
    group
        .slots
        .iter()
        .find(|slot| slot.comparison != Comparison::Assigned)
        .map(|slot| &slot.column)
}
