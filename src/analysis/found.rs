//! The findings as they are published, each with its advice.

use std::collections::HashMap;
use std::sync::Arc;

use super::{FindingTotals, FoundAndAdvised, IgnoreRuleUse};
use crate::advise::{Advice, Guide, has_sibling};
use crate::aggregate::Store;
use crate::detect::{Detector, Finding, FindingId};
use crate::event::Moment;

/// So often, nanoseconds, findings are described again while they change: faster nobody reads.
const AGAIN_NS: u64 = 250_000_000;

#[derive(Debug, Default)]
pub(super) struct Found {
    /// Most costly first.
    pub list: Vec<Arc<FoundAndAdvised>>,
    pub totals: Vec<FindingTotals>,
    pub ignore_rules: Vec<IgnoreRuleUse>,
    /// The list by id, with whether each has a sibling.
    described: HashMap<FindingId, (Arc<FoundAndAdvised>, bool)>,
    /// The detector's revision and the guide's.
    revision: Option<(u64, u64)>,
    at: Moment,
}

impl Found {
    /// Describes what the detector has found, if that changed. What became of it.
    pub(super) fn refresh(
        &mut self,
        detector: &Detector,
        now: Moment,
        haste: Haste,
        (guide, store): (&Guide, &Store),
    ) -> Change {
        let revision = Some((detector.revision(), guide.revision()));
        let early = self.revision.is_some() && now.since(self.at) < AGAIN_NS;
        if self.revision == revision || (early && haste == Haste::None) {
            return Change::None;
        }
        let reworded = self.revision.map(|(_, words)| words) != revision.map(|(_, words)| words);
        self.revision = revision;
        self.at = now;
        let mut before = std::mem::take(&mut self.described);
        let mut change = Change::Figures;
        for finding in detector.findings() {
            let siblings = has_sibling(finding, detector.findings());
            let known = before.remove(&finding.id);
            if known.is_none() {
                change = Change::News;
            }
            let known = known.filter(|(known, had_siblings)| {
                !reworded && *had_siblings == siblings && says_the_same(&known.finding, finding)
            });
            let described = known.unwrap_or_else(|| {
                let found = FoundAndAdvised {
                    finding: finding.clone(),
                    advice: advise(finding, siblings, guide, store),
                };
                (Arc::new(found), siblings)
            });
            self.described.insert(finding.id, described);
        }
        self.list = self
            .described
            .values()
            .map(|(found, _)| Arc::clone(found))
            .collect();
        self.list.sort_by_key(|found| {
            let finding = &found.finding;
            (std::cmp::Reverse(finding.cost_ns), finding.id)
        });
        self.totals = detector
            .totals()
            .map(|(kind, id, totals)| FindingTotals {
                kind,
                id,
                queries: totals.queries,
                cost_ns: totals.cost_ns,
            })
            .collect();
        self.totals.sort_by_key(|totals| (totals.kind, totals.id));
        self.ignore_rules = detector
            .ignore_rules()
            .map(|(rule, matched)| IgnoreRuleUse {
                rule: Arc::clone(&rule.text),
                matched,
            })
            .collect();
        change
    }
}

fn advise(finding: &Finding, siblings: bool, guide: &Guide, store: &Store) -> Advice {
    let shape = |fingerprint| store.shape(fingerprint);
    let child = shape(finding.child.fingerprint);
    let parent = finding
        .parent
        .as_ref()
        .and_then(|parent| shape(parent.fingerprint));
    guide.advise(
        finding,
        child.as_ref().and_then(|shape| shape.facts()),
        parent.as_ref().and_then(|shape| shape.facts()),
        siblings,
    )
}

/// What has changed in what is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// What is known of the same findings, or of fewer.
    Figures,
    /// There is one more.
    News,
}

/// Whether somebody waits for the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nobody in particular.
    None,
    /// Whoever muted a finding, or asked for all that is known.
    Now,
}

/// Whether nothing changed that anybody is shown: each occurrence changes one of these.
fn says_the_same(one: &Finding, other: &Finding) -> bool {
    let figures = |finding: &Finding| {
        (
            finding.status,
            finding.confidence,
            finding.occurrences,
            finding.queries,
            finding.cost_ns,
            finding.saves_ns,
            finding.last_seen,
            finding.example_unit,
        )
    };
    figures(one) == figures(other) && one.tags == other.tags
}
