//! From a unit's loops to findings: one for each cause.

mod flows;
mod writes;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::case::{FlowCase, Scene};
use super::finding::{Detail, Link, Proof, Side, Trait};
use super::group::Group;
use super::knowledge::{Knowledge, Named};
use super::loops::Loops;
use super::price::Price;
use super::rules;
use super::{Confidence, Kind, Settings, chatty_unit, duplicate, query_loop};
use crate::sql::Fingerprint;
use crate::unit::Evidence;

/// The shapes that some finding of the unit explains.
type Explained = HashSet<Fingerprint, RandomState>;

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
        let mut explained = Explained::default();
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
            && !rules::is_tasks(group, self.scene.evidence)
            && !rules::is_broken(group)
    }

    fn duplicates(&self, explained: &mut Explained, found: &mut Vec<Judged>) {
        // With a boundary of its own a unit is one request, whatever it repeats.
        let is_vague = !self.scene.evidence.is_hard();
        if self.loops.is_tool() || (is_vague && duplicate::is_page_again(&self.loops.groups)) {
            return;
        }
        for group in &self.loops.groups {
            if explained.contains(&group.fingerprint)
                || !duplicate::is(group, self.scene.of, self.settings)
            {
                continue;
            }
            // The rest of a loop that a pause has cut: its parent, which repeats what it repeats, is not known any more.
            if self.loops.is_resumed(group.fingerprint) && group.varies() {
                continue;
            }
            explained.insert(group.fingerprint);
            // Somebody who waits for another to write asks the same again, too: no repetition proves waste.
            let confidence = Confidence::Likely;
            let remaining = group.count - group.repeats.repeated().min(group.count);
            found.push(self.alone(
                group,
                Kind::Duplicate,
                confidence,
                Price::of(group, remaining),
                None,
            ));
        }
    }

    fn query_loops(&self, explained: &mut Explained, found: &mut Vec<Judged>) {
        if self.loops.is_tool() {
            return;
        }
        for group in &self.loops.groups {
            if explained.contains(&group.fingerprint) || self.loops.is_resumed(group.fingerprint) {
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

    fn chatty(&self, explained: &Explained, found: &mut Vec<Judged>) {
        let statements = chatty_unit::statements(self.loops.groups.iter(), |group| {
            explained.contains(&group.fingerprint)
        });
        // With a pause inside, and nothing but pauses around it, it may be several requests.
        let is_one = self.scene.evidence.is_hard() || self.loops.tallies.pauses == 0;
        if !chatty_unit::is(statements, self.settings) || self.loops.is_tool() || !is_one {
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

fn is_single(group: &Group) -> bool {
    group.many_rows == 0
}

fn text(shape: Option<&crate::event::Shape>) -> Arc<str> {
    shape.map_or_else(|| Arc::from(""), crate::event::Shape::shared)
}

fn side(group: &Group, column: Option<&Named>) -> Side {
    Side {
        fingerprint: group.fingerprint,
        query: text(group.shape),
        table: column.and_then(|column| column.table.clone()),
        column: column.map(|column| Arc::clone(&column.column)),
    }
}
