//! From a unit's loops to findings: one for each cause.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::case::{FlowCase, Scene};
use super::finding::{Detail, Link, Operation, Proof, Side, Trait};
use super::group::{Comparison, Group};
use super::knowledge::{Knowledge, Named};
use super::loops::Loops;
use super::price::Price;
use super::{
    Confidence, Kind, Settings, aggregate, chatty_unit, deferred, duplicate, forward, many_to_many,
    query_loop, reverse, write_loop,
};
use crate::sql::facts::{Facts, Lock};
use crate::sql::{Fingerprint, Verb};
use crate::unit::Evidence;

/// One finding in one unit.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub kind: Kind,
    pub confidence: Confidence,
    pub evidence: Evidence,
    pub child: Side,
    pub parent: Option<Side>,
    pub chain: Vec<Link>,
    pub proof: Option<Proof>,
    pub detail: Detail,
    /// Statements in the loop, those of its outer loops included.
    pub queries: u64,
    pub price: Price,
    /// Parent rows with a value, and children: what the slope is made of.
    pub slope: Option<(u64, u64)>,
}

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

/// Everything that is wrong with a unit.
pub(super) fn judge(
    scene: &Scene,
    loops: &Loops,
    knowledge: &Knowledge,
    settings: &Settings,
) -> Vec<Judged> {
    if scene.completeness == crate::unit::Completeness::Incomplete {
        return Vec::new();
    }
    let court = Court {
        scene,
        loops,
        knowledge,
        settings,
    };
    court.judge()
}

struct Court<'a> {
    scene: &'a Scene,
    loops: &'a Loops,
    knowledge: &'a Knowledge,
    settings: &'a Settings,
}

impl<'a> Court<'a> {
    fn judge(&self) -> Vec<Judged> {
        let flows: Vec<FlowCase<'a>> = self
            .loops
            .groups
            .iter()
            .filter(|group| self.may_flow(group))
            .filter_map(|group| {
                FlowCase::of(group, self.loops, self.knowledge, self.scene, self.settings)
            })
            .collect();
        let mut explained: HashSet<Fingerprint> = HashSet::new();
        let mut found = Vec::new();
        self.write_loops(&flows, &mut explained, &mut found);
        self.reads(&flows, &mut explained, &mut found);
        self.duplicates(&mut explained, &mut found);
        self.query_loops(&mut explained, &mut found);
        self.chatty(&explained, &mut found);
        found
    }

    fn may_flow(&self, group: &Group) -> bool {
        let one_transaction = matches!(group.span, super::group::Span::One(Some(_)));
        group.failed == 0
            && (self.scene.evidence.is_hard() || one_transaction || !group.is_paced())
            && !group.mostly(group.between.defined)
    }

    fn reads(
        &self,
        flows: &[FlowCase<'a>],
        explained: &mut HashSet<Fingerprint>,
        found: &mut Vec<Judged>,
    ) {
        let reads: Vec<&FlowCase<'_>> = flows
            .iter()
            .filter(|case| case.group.verb == Verb::Select)
            .filter(|case| !explained.contains(&case.group.fingerprint))
            .collect();
        // A loop inside which another one runs is told with that one.
        let outer: HashSet<Fingerprint> = reads
            .iter()
            .filter_map(|case| case.outer.map(|outer| outer.fingerprint))
            .collect();
        let mut families: HashMap<(usize, usize), Vec<&FlowCase<'_>>> = HashMap::new();
        for case in &reads {
            explained.insert(case.group.fingerprint);
            if outer.contains(&case.group.fingerprint) {
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

    /// A foreign key leads to one table. A column that leads to several is a generic foreign key's: one cause.
    fn forward_family(
        &self,
        family: &[&FlowCase<'a>],
        flows: &[FlowCase<'a>],
        found: &mut Vec<Judged>,
    ) {
        let tables: HashSet<Option<&Arc<str>>> = family
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
                query: text(case.source.shape.as_deref()),
                table: case.parent.table.clone(),
                column: Some(Arc::clone(&case.parent.column)),
            }),
            chain: around
                .iter()
                .map(|outer| link(outer, kind_of(outer).unwrap_or(kind)))
                .collect(),
            proof: Some(proof(case, covered)),
            detail,
            queries,
            price,
            slope: Some((case.rows.all, case.group.count)),
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
        let parent_facts = case.source.shape.as_deref().and_then(|shape| shape.facts());
        let had: HashSet<Named> = (0..case.source.columns.all.len())
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

    fn write_loops(
        &self,
        flows: &[FlowCase<'a>],
        explained: &mut HashSet<Fingerprint>,
        found: &mut Vec<Judged>,
    ) {
        let loops: Vec<&Group> = self
            .loops
            .groups
            .iter()
            .filter(|group| write_loop::is(group, self.settings))
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
                    query: text(case.source.shape.as_deref()),
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

    fn duplicates(&self, explained: &mut HashSet<Fingerprint>, found: &mut Vec<Judged>) {
        for group in &self.loops.groups {
            if explained.contains(&group.fingerprint) || !duplicate::is(group, self.settings) {
                continue;
            }
            explained.insert(group.fingerprint);
            let confidence = if self.scene.evidence.is_hard() {
                Confidence::Proved
            } else {
                Confidence::Likely
            };
            let remaining = group.count - group.repeated.min(group.count);
            found.push(self.alone(
                group,
                Kind::Duplicate,
                confidence,
                Price::of(group, remaining),
                None,
            ));
        }
    }

    fn query_loops(&self, explained: &mut HashSet<Fingerprint>, found: &mut Vec<Judged>) {
        if self.loops.tallies.definitions > 0 {
            // A migration reads as it goes; that is no request.
            return;
        }
        for group in &self.loops.groups {
            if explained.contains(&group.fingerprint) {
                continue;
            }
            let Some(slot) = query_loop::varying_slot(group, self.settings) else {
                continue;
            };
            explained.insert(group.fingerprint);
            let price = Price::of(group, 1);
            let column = group.slots.get(slot).map(|slot| &slot.column);
            found.push(self.alone(group, Kind::QueryLoop, Confidence::Suspected, price, column));
        }
    }

    fn chatty(&self, explained: &HashSet<Fingerprint>, found: &mut Vec<Judged>) {
        let statements = chatty_unit::statements(self.loops.groups.iter(), |group| {
            explained.contains(&group.fingerprint)
        });
        if !chatty_unit::is(statements, self.settings) || self.loops.tallies.definitions > 0 {
            return;
        }
        let Some(first) = self.loops.groups.first() else {
            return;
        };
        let cost_ns = self.loops.groups.iter().map(Group::cost_ns).sum();
        let price = Price {
            surplus: statements - self.settings.queries_max,
            cost_ns,
            saves_ns: 0,
        };
        let mut judged = self.alone(first, Kind::ChattyUnit, Confidence::Likely, price, None);
        judged.queries = statements;
        found.push(judged);
    }

    /// A finding of one group, without a parent.
    fn alone(
        &self,
        group: &Group,
        kind: Kind,
        confidence: Confidence,
        price: Price,
        column: Option<&Named>,
    ) -> Judged {
        let facts = group.facts();
        let table = facts.and_then(|facts| facts.main_table.as_deref());
        let mut child = side(group, column);
        if child.table.is_none() {
            child.table = table.map(Arc::from);
        }
        Judged {
            kind,
            confidence,
            evidence: self.scene.evidence,
            child,
            parent: None,
            chain: Vec::new(),
            proof: None,
            detail: Detail {
                main_table: table.map(Arc::from),
                traits: traits([
                    (Trait::Limited, facts.is_some_and(|facts| facts.limit)),
                    (
                        Trait::Ordered,
                        facts.is_some_and(|facts| !facts.ordering.is_empty()),
                    ),
                    (Trait::Single, is_single(group)),
                ]),
                ..Detail::default()
            },
            queries: group.count,
            price,
            slope: None,
        }
    }
}

fn traits<const N: usize>(all: [(Trait, bool); N]) -> BTreeSet<Trait> {
    all.into_iter()
        .filter(|(_, holds)| *holds)
        .map(|(one, _)| one)
        .collect()
}

/// Joins whose equality is among the predicates.
fn joins(facts: &Facts) -> usize {
    facts.joins.iter().map(|join| join.on.len()).sum()
}

fn is_single(group: &Group) -> bool {
    group.many_rows == 0
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
                        .all(|(column, _)| super::knowledge::refers(column).is_some())
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

fn text(shape: Option<&crate::event::Shape>) -> Arc<str> {
    shape.map_or_else(|| Arc::from(""), |shape| Arc::clone(&shape.text))
}

fn side(group: &Group, column: Option<&Named>) -> Side {
    Side {
        fingerprint: group.fingerprint,
        query: text(group.shape.as_deref()),
        table: column.and_then(|column| column.table.clone()),
        column: column.map(|column| Arc::clone(&column.column)),
    }
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

fn proof(case: &FlowCase<'_>, covered: u64) -> Proof {
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
