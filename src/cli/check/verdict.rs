//! The judgement with the words that are needed to tell it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Updated;
use super::baseline::{Baseline, FindingEntry, rounded};
use super::judge::{self, Judgement, News, Scope, Sighting};
use crate::analysis::{Pages, Shapes};
use crate::app::Settled;
use crate::cli::client::{ClientError, Finding, Proxy, Summary};
use crate::cli::report::seen::Ran;
use crate::cli::run::around::Finished;
use crate::config::Check as Limits;
use crate::detect::FindingId;
use crate::sql::Fingerprint;

/// Everything that is told.
pub(super) struct Checked {
    pub(super) ran: Ran,
    pub(super) judgement: Judgement,
    /// As it was before this run; `None` where there was none.
    pub(super) baseline: Option<Baseline>,
    /// Its file's name.
    pub(super) baseline_name: String,
    /// What keeps the judgement from being one: reasons, and what to do about each.
    pub(super) missing: Vec<String>,
    /// What else is to be known.
    pub(super) notes: Vec<String>,
    /// The findings that are new, as the API tells them.
    told: BTreeMap<FindingId, Finding>,
    shapes: Shapes,
}

/// What an update changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) kept: usize,
    pub(super) shapes_added: usize,
    pub(super) shapes_removed: usize,
    pub(super) shapes_kept: usize,
}

impl Checked {
    pub(super) fn make(
        proxy: &Proxy,
        finished: &Finished,
        pages: Pages,
        limits: &Limits,
        baseline: Option<Baseline>,
    ) -> Result<Checked, ClientError> {
        let summary = proxy.summary()?.item;
        let mut judgement = judge::judge(&pages, baseline.as_ref(), limits);
        let mut told = BTreeMap::new();
        for id in judgement.findings.keys() {
            if let Some(finding) = proxy.finding(&id.to_string())? {
                told.insert(*id, finding);
            }
        }
        let forgotten = judgement.findings.len() - told.len();
        // What somebody muted while it ran is nobody's news.
        let heard = |id: &FindingId| {
            told.get(id)
                .is_some_and(|finding| finding.status != "muted")
        };
        judgement.findings.retain(|id, _| heard(id));
        let mut missing = missing(&summary, &judgement, &pages);
        if forgotten > 0 {
            missing.push(format!(
                "there was no room for {}: raise limits.findings_max (PGPRISM_LIMITS_FINDINGS_MAX)",
                super::words::counted(forgotten, "finding", "findings")
            ));
        }
        let notes = notes(&summary, &judgement, finished.settled);
        let shapes = match judgement.scope {
            Scope::Tests => pages.of_tests,
            Scope::All => pages.of_others,
        };
        Ok(Checked {
            ran: finished.ran.clone(),
            judgement,
            baseline,
            baseline_name: name_of(limits),
            missing,
            notes,
            told,
            shapes,
        })
    }

    /// What there is to say of a finding that was seen.
    pub(super) fn finding(&self, id: FindingId) -> Option<&Finding> {
        self.told.get(&id)
    }

    /// New findings with their words, the surest and most costly first.
    pub(super) fn new_findings(&self) -> Vec<(&Sighting, &Finding)> {
        let mut new: Vec<_> = self
            .judgement
            .new_findings()
            .filter_map(|(id, sighting)| Some((sighting, self.told.get(&id)?)))
            .collect();
        new.sort_by(|(one, first), (other, second)| {
            let surer = other.verdict.confidence.cmp(&one.verdict.confidence);
            surer.then_with(|| first.id.cmp(&second.id))
        });
        new
    }

    /// The entry of a finding of the baseline.
    pub(super) fn known(&self, id: FindingId) -> Option<&FindingEntry> {
        self.baseline.as_ref()?.findings.get(&id.to_string())
    }

    /// What a shape is called.
    pub(super) fn shape_name(&self, fingerprint: Fingerprint) -> String {
        summary_of(&self.shapes, fingerprint)
    }

    /// Whether the judgement is of all that the whole command did.
    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.ran.exit == 0
    }

    /// What to exit with, where the command was well.
    pub(super) fn status(&self, updated: Option<&Updated>) -> u8 {
        let is_clean = match updated {
            Some(Updated {
                change: Some(_), ..
            }) => self.judgement.budgets.is_empty(),
            Some(Updated { change: None, .. }) => false,
            None => self.judgement.is_clean(),
        };
        u8::from(!is_clean || !self.missing.is_empty())
    }

    /// The baseline of what was seen now: entries that stay are as they were.
    pub(super) fn updated(&self) -> (Baseline, Change) {
        let nothing = Baseline::default();
        let before = self.baseline.as_ref().unwrap_or(&nothing);
        let mut after = Baseline::default();
        for (id, sighting) in &self.judgement.findings {
            let key = match sighting.news {
                News::New | News::Known => *id,
                News::SameLoop(known) => known,
            }
            .to_string();
            match (before.findings.get(&key), self.told.get(id)) {
                (Some(entry), _) => drop(after.findings.insert(key, entry.clone())),
                (None, Some(finding)) if sighting.news == News::New => {
                    after
                        .findings
                        .insert(key.clone(), entry(key, sighting, finding));
                }
                (None, _) => {}
            }
        }
        for (fingerprint, figures) in &self.shapes {
            let key = fingerprint.to_string();
            let mut entry = before.shapes.get(&key).cloned().unwrap_or_default();
            entry.shape.clone_from(&key);
            entry.calls = rounded(figures.calls_max);
            entry.rows = rounded(figures.rows_max);
            entry.query = summary_of(&self.shapes, *fingerprint);
            after.shapes.insert(key, entry);
        }
        let change = Change::between(before, &after);
        (after, change)
    }
}

impl Change {
    fn between(before: &Baseline, after: &Baseline) -> Change {
        let kept = count_common(&before.findings, &after.findings);
        let shapes_kept = count_common(&before.shapes, &after.shapes);
        Change {
            added: after.findings.len() - kept,
            removed: before.findings.len() - kept,
            kept,
            shapes_added: after.shapes.len() - shapes_kept,
            shapes_removed: before.shapes.len() - shapes_kept,
            shapes_kept,
        }
    }
}

fn count_common<T>(one: &BTreeMap<String, T>, other: &BTreeMap<String, T>) -> usize {
    one.keys().filter(|key| other.contains_key(*key)).count()
}

fn entry(id: String, sighting: &Sighting, finding: &Finding) -> FindingEntry {
    FindingEntry {
        finding: id,
        kind: finding.kind.clone(),
        title: finding.advice.title.clone(),
        flow: super::words::flow(finding),
        seen: sighting.seen().map(ToString::to_string).unwrap_or_default(),
        child: sighting.verdict.child.to_string(),
        parent: sighting
            .verdict
            .parent
            .map(|parent| parent.to_string())
            .unwrap_or_default(),
        other: BTreeMap::new(),
    }
}

/// What a shape is about: `SELECT shop_book shop_author`.
fn summary_of(shapes: &Shapes, fingerprint: Fingerprint) -> String {
    let shape = shapes
        .get(&fingerprint)
        .and_then(|entry| entry.shape.as_ref());
    let facts = shape.and_then(|shape| shape.facts());
    facts.map(|facts| facts.summary.clone()).unwrap_or_default()
}

fn name_of(limits: &Limits) -> String {
    let name = limits.baseline.as_ref();
    name.map(|path| path.display().to_string())
        .unwrap_or_default()
}

/// What observation had to give up: nothing can be said of what was not seen.
fn missing(summary: &Summary, judgement: &Judgement, pages: &Pages) -> Vec<String> {
    let mut missing = Vec::new();
    if summary.queries == 0 {
        missing.push(
            "no query came through pgprism: the command's settings may not read the environment that it was given"
                .to_owned(),
        );
    }
    for reason in &summary.degraded {
        missing.extend(remedy(reason, summary.dropped));
    }
    if judgement.counts.incomplete > 0 {
        missing.push(format!(
            "statements of {} are missing",
            super::words::counted(judgement.counts.incomplete, "unit", "units")
        ));
    }
    if pages.units_left_out > 0 {
        missing.push(format!(
            "{} units beyond the first {} were not judged: run the command in parts",
            pages.units_left_out,
            pages.units.len()
        ));
    }
    missing
}

/// What a reason of `degraded` means here; `None` where nothing is lost by it.
fn remedy(reason: &str, dropped: u64) -> Option<String> {
    let raise = match reason {
        "event_dropped: ring_full" => {
            "raise limits.ring_events_max (PGPRISM_LIMITS_RING_EVENTS_MAX)"
        }
        "event_dropped: flow_full" => "raise limits.flow_bytes_max (PGPRISM_LIMITS_FLOW_BYTES_MAX)",
        "fingerprints_full" => "raise limits.fingerprints_max (PGPRISM_LIMITS_FINGERPRINTS_MAX)",
        "event_dropped: facts_late" => "the machine was too busy; run it again",
        "session_unobserved: session_memory_full" => {
            "raise limits.session_bytes_max (PGPRISM_LIMITS_SESSION_BYTES_MAX)"
        }
        // What is too large to be followed is not judged, each time alike; a line of a log judges nothing.
        _ if ["unit_incomplete", "slow_log_dropped", "upstream_down"]
            .iter()
            .any(|harmless| reason.starts_with(harmless)) =>
        {
            return None;
        }
        _ => "see pgprism's log above",
    };
    Some(match reason.strip_prefix("event_dropped: ") {
        Some(why) => format!("{dropped} events were dropped ({why}): {raise}"),
        None => format!("{reason}: {raise}"),
    })
}

fn notes(summary: &Summary, judgement: &Judgement, settled: Settled) -> Vec<String> {
    let mut notes = Vec::new();
    if judgement.scope == Scope::All && summary.queries > 0 {
        notes.push(
            "no query carries a test's id: all units are judged, and pauses may tell them apart; see docs/ci.md"
                .to_owned(),
        );
    }
    if summary
        .degraded
        .iter()
        .any(|reason| reason == "unit_incomplete: values_not_followed")
    {
        notes.push(
            "some units have more rows than are followed; no loop is proved there".to_owned(),
        );
    }
    if settled == Settled::NotAll {
        notes.push(
            "connections are still open, or the analysis is slow: what they did last is not judged"
                .to_owned(),
        );
    }
    notes
}

/// A name for people: a test, a route.
pub(super) fn listed(names: &judge::Names) -> Option<String> {
    let first: &Arc<str> = names.first()?;
    Some(match names.iter().len() {
        1 => first.to_string(),
        more => format!("{first} and {} more", more - 1),
    })
}
