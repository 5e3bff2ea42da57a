//! The findings as they are published, each with its advice.

use std::collections::HashMap;
use std::sync::Arc;

use super::{FindingTotals, FoundAndAdvised, IgnoreRuleUse};
use crate::advise::Advice;
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
    revision: Option<u64>,
    at: Moment,
}

impl Found {
    /// Describes what the detector has found, if that changed. Whether it did.
    pub(super) fn refresh(
        &mut self,
        detector: &Detector,
        now: Moment,
        haste: Haste,
        advise: impl Fn(&Finding) -> Advice,
    ) -> bool {
        let revision = Some(detector.revision());
        let early = self.revision.is_some() && now.since(self.at) < AGAIN_NS;
        if self.revision == revision || (early && haste == Haste::None) {
            return false;
        }
        self.revision = revision;
        self.at = now;
        let mut before: HashMap<FindingId, Arc<FoundAndAdvised>> = self
            .list
            .drain(..)
            .map(|found| (found.finding.id, found))
            .collect();
        self.list = detector
            .findings()
            .map(|finding| match before.remove(&finding.id) {
                Some(known) if says_the_same(&known.finding, finding) => known,
                _ => Arc::new(FoundAndAdvised {
                    finding: finding.clone(),
                    advice: advise(finding),
                }),
            })
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
        true
    }
}

/// Whether somebody waits for the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nobody in particular.
    None,
    /// Whoever muted a finding.
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
