//! What of all that was seen is new, or too much: a pure function of the ledger, the baseline and the limits.
//!
//! *Architecture invariant:* nothing here depends on the order or the pace in which things happened, but for limits on
//! time that somebody has set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::baseline::{Baseline, rounded};
use crate::analysis::{Entry, Pages, ShapeEntry, Shapes, Work};
use crate::config::Check as Limits;
use crate::detect::{Confidence, FindingId, Kind, Verdict};
use crate::sql::Fingerprint;
use crate::unit::Completeness;

/// Below so many calls or rows nothing has grown too much, whatever it grew by.
const GROWTH_FLOOR: u64 = 10;

/// Names of tests and routes that are kept of one thing.
const NAMES_MAX: usize = 100;

/// Which units are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of tests: what prepares them (migrations, fixtures of a class) has no test's id.
    Tests,
    /// All: none has.
    All,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) scope: Scope,
    pub(super) counts: Counts,
    /// All findings that count, by id.
    pub(super) findings: BTreeMap<FindingId, Sighting>,
    /// Those of the baseline that were not seen.
    pub(super) gone: Vec<FindingId>,
    /// Shapes that are not in the baseline, the offending ones included.
    pub(super) new_shapes: usize,
    /// Shapes that cost too much.
    pub(super) shapes: Vec<Breach<Fingerprint>>,
    /// Tests and requests that do too much.
    pub(super) budgets: Vec<Breach<UnitName>>,
}

/// What was judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) tests: usize,
    pub(super) requests: usize,
    /// Units that are neither.
    pub(super) others: usize,
    pub(super) queries: u64,
    /// Judged units of which something is missing.
    pub(super) incomplete: usize,
}

/// A finding, in the units that are judged.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) news: News,
    /// The surest that it was seen.
    pub(super) verdict: Verdict,
    pub(super) tests: Names,
    pub(super) routes: Names,
    /// What the units without a route begin with.
    pub(super) firsts: Names,
}

/// Whether something is in the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    New,
    Known,
    /// Another finding of this run, or of the baseline, is about the same two shapes.
    SameLoop(FindingId),
}

/// Names in the order of the alphabet, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeSet<Arc<str>>);

/// What a limit was broken by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Breach<T> {
    pub(super) what: T,
    pub(super) limit: Limit,
    /// Where it was the most.
    pub(super) at: UnitName,
    /// Units (tests, requests) that broke it.
    pub(super) units: usize,
}

/// A limit and the figure that is above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    Queries { found: u64, most: u64 },
    Rows { found: u64, most: u64 },
    Time { found: Duration, most: Duration },
    NewRows { found: u64, most: u64 },
    NewCalls { found: u64, most: u64 },
    NewMean { found: Duration, most: Duration },
    GrownRows { found: u64, known: u64 },
    GrownCalls { found: u64, known: u64 },
}

/// What a unit is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitName {
    pub(super) route: Option<Arc<str>>,
    pub(super) test: Option<Arc<str>>,
    pub(super) first: Option<Arc<str>>,
}

impl Names {
    fn add(&mut self, name: &Option<Arc<str>>) {
        if let Some(name) = name {
            self.0.insert(Arc::clone(name));
            if self.0.len() > NAMES_MAX {
                self.0.pop_last();
            }
        }
    }

    pub(super) fn first(&self) -> Option<&Arc<str>> {
        self.0.first()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.iter()
    }
}

impl UnitName {
    fn of(entry: &Entry) -> UnitName {
        UnitName {
            route: entry.route.clone(),
            test: entry.test.clone(),
            first: entry.first.clone(),
        }
    }
}

impl Sighting {
    pub(super) fn is_new(&self) -> bool {
        self.news == News::New
    }

    /// Where it is told to be seen: the same words whatever ran first.
    pub(super) fn seen(&self) -> Option<&Arc<str>> {
        let names = [&self.routes, &self.tests, &self.firsts];
        names.into_iter().find_map(Names::first)
    }
}

impl Judgement {
    pub(super) fn new_findings(&self) -> impl Iterator<Item = (FindingId, &Sighting)> {
        let all = self.findings.iter();
        all.filter(|(_, sighting)| sighting.is_new())
            .map(|(id, sighting)| (*id, sighting))
    }

    /// Whether nothing is new and nothing too much.
    pub(super) fn is_clean(&self) -> bool {
        self.new_findings().next().is_none() && self.shapes.is_empty() && self.budgets.is_empty()
    }
}

/// Judges everything.
pub(super) fn judge(pages: &Pages, baseline: Option<&Baseline>, limits: &Limits) -> Judgement {
    let scope = match pages.units.iter().any(|unit| unit.test_id.is_some()) {
        true => Scope::Tests,
        false => Scope::All,
    };
    let judged = |unit: &&Entry| scope == Scope::All || unit.test_id.is_some();
    let units: Vec<&Entry> = pages.units.iter().filter(judged).collect();
    let nothing = Baseline::default();
    let known = baseline.unwrap_or(&nothing);
    let findings = findings(&units, scope, known, limits.confidence);
    let gone = gone(known, &findings);
    let shapes = match scope {
        Scope::Tests => &pages.of_tests,
        Scope::All => &pages.of_others,
    };
    let new = |fingerprint: &&Fingerprint| !known.shapes.contains_key(&fingerprint.to_string());
    Judgement {
        scope,
        counts: counts(&units),
        gone,
        findings,
        new_shapes: shapes.keys().filter(new).count(),
        shapes: shape_breaches(shapes, pages, known, limits),
        budgets: budgets(&units, limits),
    }
}

fn counts(units: &[&Entry]) -> Counts {
    let tests: BTreeSet<&Arc<str>> = units
        .iter()
        .filter_map(|unit| unit.test_id.as_ref())
        .collect();
    let of = |work| units.iter().filter(|unit| unit.of == work).count();
    let missing = |unit: &&&Entry| unit.completeness == Completeness::Incomplete;
    Counts {
        tests: tests.len(),
        requests: of(Work::Request),
        others: of(Work::Unknown),
        queries: units.iter().map(|unit| unit.queries).sum(),
        incomplete: units.iter().filter(missing).count(),
    }
}

/// Whether a finding of this kind counts in such a unit.
///
/// `chatty_unit` never does: it is known by its first query, which many pages share, and budgets say it better. A test
/// prepares its rows one by one and looks at them again and again; what it writes and repeats itself is nobody's page.
fn counts_in(kind: Kind, unit: &Entry, scope: Scope) -> bool {
    match kind {
        Kind::NPlusOneForward
        | Kind::NPlusOneReverse
        | Kind::NPlusOneManyToMany
        | Kind::NPlusOneDeferred
        | Kind::NPlusOneAggregate => true,
        Kind::QueryLoop | Kind::WriteLoop | Kind::Duplicate => {
            scope == Scope::All || unit.of == Work::Request
        }
        Kind::ChattyUnit => false,
    }
}

fn findings(
    units: &[&Entry],
    scope: Scope,
    known: &Baseline,
    least: Confidence,
) -> BTreeMap<FindingId, Sighting> {
    let mut sightings: BTreeMap<FindingId, Sighting> = BTreeMap::new();
    for unit in units {
        for verdict in &unit.findings {
            if verdict.confidence < least || !counts_in(verdict.kind, unit, scope) {
                continue;
            }
            let sighting = sightings
                .entry(verdict.finding)
                .or_insert_with(|| Sighting {
                    news: News::New,
                    verdict: *verdict,
                    tests: Names::default(),
                    routes: Names::default(),
                    firsts: Names::default(),
                });
            if verdict.confidence > sighting.verdict.confidence {
                sighting.verdict = *verdict;
            }
            sighting.tests.add(&unit.test);
            sighting.routes.add(&unit.route);
            sighting.firsts.add(&unit.first);
        }
    }
    tell_apart(&mut sightings, known);
    sightings
}

/// The two shapes that a loop runs between, the family of what it does.
type Loop = (String, String, bool);

fn shapes_of(verdict: &Verdict) -> Loop {
    let parent = verdict.parent.map(|parent| parent.to_string());
    (
        verdict.child.to_string(),
        parent.unwrap_or_default(),
        verdict.kind == Kind::Duplicate,
    )
}

/// Says of each finding whether it is known.
///
/// Whether `author_id` is `author.id` is learned from the statements that pass, so that a loop may have another name
/// when its test ran first: it is known by its two shapes as well.
fn tell_apart(sightings: &mut BTreeMap<FindingId, Sighting>, known: &Baseline) {
    let mut loops: BTreeMap<Loop, FindingId> = BTreeMap::new();
    for (id, entry) in &known.findings {
        if let Some(id) = FindingId::parse(id)
            && !entry.child.is_empty()
        {
            let is_duplicate = entry.kind == Kind::Duplicate.as_str();
            let one = (entry.child.clone(), entry.parent.clone(), is_duplicate);
            loops.entry(one).or_insert(id);
        }
    }
    let mut surest_first: Vec<FindingId> = sightings.keys().copied().collect();
    surest_first.sort_by_key(|id| {
        let confidence = sightings.get(id).map(|one| one.verdict.confidence);
        (std::cmp::Reverse(confidence), *id)
    });
    for id in surest_first {
        let Some(sighting) = sightings.get_mut(&id) else {
            continue;
        };
        let one = shapes_of(&sighting.verdict);
        sighting.news = match loops.get(&one) {
            _ if known.findings.contains_key(&id.to_string()) => News::Known,
            Some(same) => News::SameLoop(*same),
            None => News::New,
        };
        loops.entry(one).or_insert(id);
    }
}

/// What the baseline has and nobody saw: neither itself nor its loop under another name.
fn gone(known: &Baseline, seen: &BTreeMap<FindingId, Sighting>) -> Vec<FindingId> {
    let again: BTreeSet<FindingId> = seen
        .values()
        .filter_map(|sighting| match sighting.news {
            News::SameLoop(id) => Some(id),
            News::New | News::Known => None,
        })
        .collect();
    let ids = known.findings.keys().filter_map(|id| FindingId::parse(id));
    ids.filter(|id| !seen.contains_key(id) && !again.contains(id))
        .collect()
}

fn shape_breaches(
    shapes: &Shapes,
    pages: &Pages,
    known: &Baseline,
    limits: &Limits,
) -> Vec<Breach<Fingerprint>> {
    let mut breaches = Vec::new();
    for (fingerprint, entry) in shapes {
        let at = pages.units.get(entry.unit_index).map(UnitName::of);
        let limit = match known.shapes.get(&fingerprint.to_string()) {
            None => of_new_shape(entry, limits),
            Some(before) => grown(
                entry,
                before.calls,
                before.rows,
                limits.growth_factor as u64,
            ),
        };
        breaches.extend(limit.map(|limit| Breach {
            what: *fingerprint,
            limit,
            at: at.unwrap_or_default(),
            units: 1,
        }));
    }
    breaches.sort_by_key(|breach| breach.what);
    breaches
}

fn of_new_shape(entry: &ShapeEntry, limits: &Limits) -> Option<Limit> {
    let mean = Duration::from_nanos(entry.total_ns / entry.calls.max(1));
    let (rows, calls) = (entry.rows_max, entry.calls_max);
    if let Some(most) = above(rows, limits.new_shape_max_rows) {
        return Some(Limit::NewRows { found: rows, most });
    }
    if let Some(most) = above(calls, limits.new_shape_max_calls) {
        return Some(Limit::NewCalls { found: calls, most });
    }
    let most = limits.new_shape_max_mean.filter(|most| mean > *most)?;
    Some(Limit::NewMean { found: mean, most })
}

fn grown(entry: &ShapeEntry, calls: u64, rows: u64, factor: u64) -> Option<Limit> {
    let too_much = |found: u64, known: u64| {
        factor > 0 && found > GROWTH_FLOOR && found > rounded(known).saturating_mul(factor)
    };
    if too_much(entry.rows_max, rows) {
        let found = entry.rows_max;
        return Some(Limit::GrownRows { found, known: rows });
    }
    too_much(entry.calls_max, calls).then_some(Limit::GrownCalls {
        found: entry.calls_max,
        known: calls,
    })
}

/// The limit, where it is set and `figure` is above it.
fn above(figure: u64, limit: usize) -> Option<u64> {
    let limit = limit as u64;
    (limit > 0 && figure > limit).then_some(limit)
}

/// What a unit, or all that a test sent itself, takes of its budgets.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    queries: u64,
    rows: u64,
    time_ns: u64,
}

impl Spent {
    fn add(&mut self, unit: &Entry) {
        self.queries += unit.queries;
        self.rows += unit.rows;
        self.time_ns = self.time_ns.saturating_add(unit.queries_ns);
    }
}

/// Who spends: what breaks a budget is told once for a route, or a test.
fn budgets(units: &[&Entry], limits: &Limits) -> Vec<Breach<UnitName>> {
    let mut tests: BTreeMap<&Arc<str>, (UnitName, Spent)> = BTreeMap::new();
    let mut spenders: Vec<(UnitName, Spent)> = Vec::new();
    for unit in units {
        match &unit.test_id {
            // Where a test waited for long, it has several units.
            Some(test_id) if unit.of != Work::Request => {
                let (_, spent) = tests
                    .entry(test_id)
                    .or_insert_with(|| (UnitName::of(unit), Spent::default()));
                spent.add(unit);
            }
            _ => {
                let mut spent = Spent::default();
                spent.add(unit);
                spenders.push((UnitName::of(unit), spent));
            }
        }
    }
    spenders.extend(tests.into_values());
    let mut breaches: BTreeMap<(UnitName, u8), Breach<UnitName>> = BTreeMap::new();
    for (at, spent) in spenders {
        for (order, limit) in broken(spent, limits) {
            let what = match at.route {
                Some(_) => UnitName {
                    route: at.route.clone(),
                    ..UnitName::default()
                },
                None => at.clone(),
            };
            let breach = breaches
                .entry((what.clone(), order))
                .or_insert_with(|| Breach {
                    what,
                    limit,
                    at: at.clone(),
                    units: 0,
                });
            breach.units += 1;
            let worse = limit.found().total_cmp(&breach.limit.found());
            if worse.then_with(|| breach.at.cmp(&at)).is_gt() {
                (breach.limit, breach.at) = (limit, at.clone());
            }
        }
    }
    breaches.into_values().collect()
}

fn broken(spent: Spent, limits: &Limits) -> impl Iterator<Item = (u8, Limit)> {
    let queries = above(spent.queries, limits.max_queries).map(|most| Limit::Queries {
        found: spent.queries,
        most,
    });
    let rows = above(spent.rows, limits.max_rows).map(|most| Limit::Rows {
        found: spent.rows,
        most,
    });
    let found = Duration::from_nanos(spent.time_ns);
    let most = limits.max_time.filter(|most| found > *most);
    let time = most.map(|most| Limit::Time { found, most });
    [(0, queries), (1, rows), (2, time)]
        .into_iter()
        .filter_map(|(order, limit)| Some((order, limit?)))
}

impl Limit {
    /// The figure that is too much, to compare those of one kind.
    fn found(&self) -> f64 {
        match *self {
            Limit::Queries { found, .. }
            | Limit::Rows { found, .. }
            | Limit::NewRows { found, .. }
            | Limit::NewCalls { found, .. }
            | Limit::GrownRows { found, .. }
            | Limit::GrownCalls { found, .. } => found as f64,
            Limit::Time { found, .. } | Limit::NewMean { found, .. } => found.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests;
