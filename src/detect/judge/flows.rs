//! Loops whose values flow: which of them tell one story, and what each is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::super::case::FlowCase;
use super::super::finding::{Detail, Link, Operation, Proof, Side, Trait};
use super::super::knowledge::Named;
use super::super::price::Price;
use super::super::{Kind, aggregate, deferred, forward, many_to_many, reverse};
use super::{Court, Explained, Judged, is_single, side, text, traits};
use crate::sql::Verb;
use crate::sql::facts::Facts;

/// The flow detectors in the order in which they are asked; the first that says yes names the kind.
type IsKind = fn(&FlowCase<'_>) -> bool;
const FLOWS: [(Kind, IsKind); 5] = [
    (Kind::NPlusOneAggregate, aggregate::is),
    (Kind::NPlusOneDeferred, deferred::is),
    (Kind::NPlusOneManyToMany, many_to_many::is),
    (Kind::NPlusOneForward, forward::is),
    (Kind::NPlusOneReverse, reverse::is),
];

fn kind_of(case: &FlowCase<'_>) -> Option<Kind> {
    FLOWS.iter().find(|(_, is)| is(case)).map(|(kind, _)| *kind)
}

impl<'a> Court<'a> {
    pub(super) fn reads(
        &self,
        flows: &[FlowCase<'a>],
        explained: &mut Explained,
        found: &mut Vec<Judged>,
    ) {
        let reads: Vec<&FlowCase<'_>> = flows
            .iter()
            .filter(|case| case.group.verb == Verb::Select)
            .filter(|case| !explained.contains(&case.group.fingerprint))
            .collect();
        // A loop inside which another one runs is told with that one.
        let outer: Explained = reads
            .iter()
            .filter_map(|case| case.outer.map(|outer| outer.fingerprint))
            .collect();
        let mut families: BTreeMap<(usize, usize), Vec<&FlowCase<'_>>> = BTreeMap::new();
        for case in &reads {
            explained.insert(case.group.fingerprint);
            if outer.contains(&case.group.fingerprint) {
                continue;
            }
            if self.is_one_row_each(case, flows) {
                continue;
            }
            let Some(kind) = kind_of(case) else { continue };
            if kind == Kind::NPlusOneForward {
                families
                    .entry((case.track.source, case.track.key))
                    .or_default()
                    .push(case);
            } else {
                found.push(self.flow(case, kind, flows, &[]));
            }
        }
        for family in families.into_values() {
            self.forward_family(&family, flows, found);
        }
    }

    /// Where only pauses hold the unit together, and the parent rows came one by one for values from nowhere, the
    /// requests of a poller look so: each reads its row and what belongs to it.
    fn is_one_row_each(&self, case: &FlowCase<'a>, flows: &[FlowCase<'a>]) -> bool {
        !self.scene.evidence.is_hard()
            && !case.is_one_transaction()
            && case.outer.is_some_and(|outer| {
                is_single(outer)
                    && !flows
                        .iter()
                        .any(|flow| flow.group.fingerprint == outer.fingerprint)
            })
    }

    /// A foreign key leads to one table. A column that leads to several is a generic foreign key's: one cause.
    fn forward_family(
        &self,
        family: &[&FlowCase<'a>],
        flows: &[FlowCase<'a>],
        found: &mut Vec<Judged>,
    ) {
        let tables: HashSet<Option<&Arc<str>>, RandomState> = family
            .iter()
            .map(|case| case.slot.column.table.as_ref())
            .collect();
        let largest = family
            .iter()
            .max_by_key(|case| (case.group.count, case.group.fingerprint));
        match largest {
            Some(largest) if tables.len() > 1 => {
                let further: Vec<&FlowCase<'_>> = family
                    .iter()
                    .filter(|case| case.group.fingerprint != largest.group.fingerprint)
                    .copied()
                    .collect();
                found.push(self.flow(largest, Kind::NPlusOneForward, flows, &further));
            }
            _ => {
                for case in family {
                    found.push(self.flow(case, Kind::NPlusOneForward, flows, &[]));
                }
            }
        }
    }

    /// A loop whose values flow, with the loops around it and those that share its cause.
    fn flow(
        &self,
        case: &FlowCase<'a>,
        kind: Kind,
        flows: &[FlowCase<'a>],
        further: &[&FlowCase<'a>],
    ) -> Judged {
        let around = self.around(case, flows);
        let detail = self.detail(case, kind, further);
        let remaining = |case: &FlowCase<'_>, kind| Price::remaining(kind, is_single(case.group));
        let mut price = Price::of(case.group, remaining(case, kind));
        let mut queries = case.group.count;
        for outer in &around {
            let outer_kind = kind_of(outer).unwrap_or(kind);
            price = price.and(Price::of(outer.group, remaining(outer, outer_kind)));
            queries += outer.group.count;
        }
        let mut covered = case.track.covered;
        for other in further {
            price = price.and(Price::of(other.group, remaining(other, kind)));
            queries += other.group.count;
            covered += other.track.covered;
        }
        let all_covered = !further.is_empty() && covered * 10 >= case.rows.all * 8;
        Judged {
            kind,
            confidence: case.confidence(self.scene, all_covered),
            evidence: case.evidence(self.scene),
            child: side(case.group, Some(&case.slot.column)),
            parent: Some(Side {
                fingerprint: case.source.fingerprint,
                query: text(case.source.shape),
                table: case.parent.table.clone(),
                column: Some(Arc::clone(&case.parent.column)),
            }),
            chain: around
                .iter()
                .map(|outer| link(outer, kind_of(outer).unwrap_or(kind)))
                .collect(),
            proof: Some(proof_of_all(case, covered, &detail.further_tables)),
            detail,
            queries,
            price,
            slope: Some((case.rows.all, case.children())),
        }
    }

    /// The loops around one, outermost first.
    fn around<'f>(&self, case: &FlowCase<'a>, flows: &'f [FlowCase<'a>]) -> Vec<&'f FlowCase<'a>> {
        let mut chain: Vec<&FlowCase<'a>> = Vec::new();
        let mut outer = case.outer.map(|outer| outer.fingerprint);
        while let Some(fingerprint) = outer {
            let next = flows
                .iter()
                .find(|other| other.group.fingerprint == fingerprint);
            let Some(next) = next else { break };
            // A walk along a self-reference comes back to itself.
            if chain.len() >= 8
                || chain
                    .iter()
                    .any(|seen| seen.group.fingerprint == fingerprint)
            {
                break;
            }
            chain.push(next);
            outer = next.outer.map(|outer| outer.fingerprint);
        }
        chain.reverse();
        chain
    }

    fn detail(&self, case: &FlowCase<'a>, kind: Kind, further: &[&FlowCase<'a>]) -> Detail {
        let facts = case.facts;
        let operation = match case.figures() {
            Some(names) if kind == Kind::NPlusOneAggregate => {
                if names.is_empty() || names == ["exists"] {
                    Operation::Exists
                } else {
                    Operation::Aggregate(names)
                }
            }
            _ => Operation::Rows,
        };
        let columns = match kind {
            Kind::NPlusOneDeferred => self.columns_missing(case),
            _ => Vec::new(),
        };
        Detail {
            operation,
            through: many_to_many::through(
                facts,
                case.slot.column.table.as_deref(),
                &case.slot.column.column,
            )
            .map(Arc::from),
            main_table: facts.main_table.as_deref().map(Arc::from),
            columns,
            traits: traits([
                (Trait::Limited, facts.limit),
                (Trait::Ordered, !facts.ordering.is_empty()),
                (Trait::Narrowed, facts.predicates.len() > 1 + joins(facts)),
                (Trait::Single, is_single(case.group)),
                (Trait::FromCursor, case.track.enclosed > 0),
                (Trait::Nullable, case.rows.nulls > 0),
            ]),
            further_tables: further
                .iter()
                .filter_map(|other| other.slot.column.table.clone())
                .collect(),
        }
    }

    /// Columns that a child returns and its parent did not.
    fn columns_missing(&self, case: &FlowCase<'a>) -> Vec<Arc<str>> {
        let database = &self.scene.database;
        let Some(columns) = &case.group.columns else {
            return Vec::new();
        };
        let parent_facts = case.source.shape.and_then(|shape| shape.facts());
        let had: HashSet<Named, RandomState> = (0..case.source.columns.all.len())
            .map(|index| {
                self.knowledge
                    .column(database, parent_facts, &case.source.columns, index)
            })
            .collect();
        (0..columns.all.len())
            .map(|index| {
                self.knowledge
                    .column(database, Some(case.facts), columns, index)
            })
            .filter(|column| column.table == case.parent.table && !had.contains(column))
            .map(|column| column.column)
            .collect()
    }
}

/// Joins whose equality is among the predicates.
fn joins(facts: &Facts) -> usize {
    facts.joins.iter().map(|join| join.on.len()).sum()
}

fn link(case: &FlowCase<'_>, kind: Kind) -> Link {
    Link {
        parent_table: case.parent.table.clone(),
        parent_column: Some(Arc::clone(&case.parent.column)),
        child_table: case.slot.column.table.clone(),
        child_column: Some(Arc::clone(&case.slot.column.column)),
        kind,
    }
}

/// A proof whose pattern names the other tables that the same column leads to.
fn proof_of_all(case: &FlowCase<'_>, covered: u64, tables: &[Arc<str>]) -> Proof {
    let mut proof = proof(case, covered);
    for table in tables {
        proof.pattern.push_str(", also to ");
        proof.pattern.push_str(table);
    }
    proof
}

pub(super) fn proof(case: &FlowCase<'_>, covered: u64) -> Proof {
    let name = |named: &Named| match &named.table {
        Some(table) => format!("{table}.{}", named.column),
        None => named.column.to_string(),
    };
    let order = if case.track.in_order == case.track.matched {
        "in order"
    } else {
        "not all in order"
    };
    Proof {
        rows: case.rows.all + case.rows.nulls,
        nulls: case.rows.nulls,
        distinct: case.group.distinct(case.slot_index),
        matched: case.track.matched,
        in_order: case.track.in_order,
        pattern: format!(
            "{} -> {}, {covered} of {} rows {order}",
            name(&case.parent),
            name(&case.slot.column),
            case.rows.all,
        ),
    }
}
