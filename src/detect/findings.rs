//! All findings of the process: counted, priced, aged, and told when they are gone.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::finding::{Finding, Kind, Severity, Status};
use super::ignore::{Asked, IgnoreRule};
use super::judge::Judged;
use super::price::Price;
use crate::event::Moment;
use crate::sql::Fingerprint;
use crate::unit::{FindingId, UnitId};

/// Values kept of one tag of a finding.
const TAG_VALUES_MAX: usize = 8;
/// Units in which a finding could have occurred and did not, before it counts as fixed: a few requests, not one lucky
/// one. Where it occurs now and then, it takes so many times its longest absence.
const CLEAN_UNITS_MIN: u64 = 5;
const ABSENCES: u64 = 3;
/// A finding that was not seen for so long is forgotten: a week, as a team works.
const FORGET_AFTER_NS: u64 = 7 * 24 * 3_600 * 1_000_000_000;
/// A unit's cost from which on a finding is of medium and of high severity.
const MEDIUM_NS: u64 = 10_000_000;
const HIGH_NS: u64 = 100_000_000;

/// What was reported of a finding for one unit, so that a unit that grows adds only what is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reported {
    pub queries: u64,
    pub price: Price,
    pub slope: (u64, u64),
    /// The unit's last judgement still had it.
    pub stands: bool,
}

/// What was reported of one unit, by finding.
pub(super) type Reports = HashMap<FindingId, Reported, RandomState>;

/// The unit in which findings are reported.
#[derive(Debug, Clone)]
pub(super) struct Where {
    pub unit: UnitId,
    pub at: Moment,
    pub queries: u64,
    pub tags: Vec<(Arc<str>, Arc<str>)>,
}

/// What a unit did, as far as it could have had a finding.
#[derive(Debug)]
pub(super) struct Ran<'a> {
    /// Main tables of reads that returned so many rows that a loop over them would have shown.
    pub parents: Few<&'a str>,
    /// All tables that its statements name.
    pub tables: Few<&'a str>,
    /// Tables that it wrote.
    pub written: Few<&'a str>,
    /// Main tables of reads by lists of values.
    pub batched: Few<&'a str>,
    pub fingerprints: Few<Fingerprint>,
    pub routes: Few<&'a str>,
}

/// A set that is made once and asked then.
#[derive(Debug)]
pub(super) struct Few<T>(SmallVec<[T; 8]>);

impl<T: Ord> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Few<T> {
        let mut all: SmallVec<[T; 8]> = all.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Few(all)
    }
}

impl<T> Few<T> {
    fn contains<Q: Ord + ?Sized>(&self, one: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let found = self.0.binary_search_by(|known| known.borrow().cmp(one));
        found.is_ok()
    }
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    slope: Slope,
    /// Units since the last occurrence that could have had it.
    clean: u64,
    /// The longest such absence that ended.
    longest_absence: u64,
}

/// Least squares through the origin: children for each parent row.
#[derive(Debug, Clone, Copy, Default)]
struct Slope {
    rows_children: f64,
    rows_rows: f64,
}

impl Slope {
    fn add(&mut self, rows: u64, children: u64, sign: f64) {
        let (rows, children) = (rows as f64, children as f64);
        self.rows_children += sign * rows * children;
        self.rows_rows += sign * rows * rows;
    }

    fn children_per_row(self) -> f64 {
        if self.rows_rows > 0.0 {
            (self.rows_children / self.rows_rows).max(0.0)
        } else {
            0.0
        }
    }
}

/// Counters that never decrease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Statements in loops.
    pub queries: u64,
    /// What the surplus ones took, nanoseconds.
    pub cost_ns: u64,
}

#[derive(Debug)]
pub(super) struct Findings {
    entries: HashMap<FindingId, Entry, RandomState>,
    most: usize,
    rules: Vec<(IgnoreRule, u64)>,
    muted: BTreeSet<FindingId>,
    totals: HashMap<FindingId, (Kind, Totals), RandomState>,
    /// Of findings that were forgotten.
    forgotten: BTreeMap<Kind, Totals>,
    pub revision: u64,
}

impl Findings {
    pub(super) fn new(most: usize, rules: Vec<IgnoreRule>) -> Findings {
        Findings {
            entries: HashMap::default(),
            most: most.max(1),
            rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
            muted: BTreeSet::new(),
            totals: HashMap::default(),
            forgotten: BTreeMap::new(),
            revision: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.entries.values().map(|entry| &entry.finding)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (&IgnoreRule, u64)> {
        self.rules.iter().map(|(rule, matched)| (rule, *matched))
    }

    /// New rules from a reload; a rule that stays keeps its count. What they match now is forgotten.
    pub(super) fn set_rules(&mut self, rules: Vec<IgnoreRule>) {
        let old = std::mem::take(&mut self.rules);
        self.rules = rules
            .into_iter()
            .map(|rule| {
                let matched = old
                    .iter()
                    .find(|(known, _)| *known == rule)
                    .map_or(0, |(_, matched)| *matched);
                (rule, matched)
            })
            .collect();
        let gone: Vec<FindingId> = self
            .iter()
            .filter(|finding| {
                let asked = asked(finding);
                self.rules.iter().any(|(rule, _)| rule.matches(&asked))
            })
            .map(|finding| finding.id)
            .collect();
        for id in gone {
            self.forget(id);
        }
        self.revision += 1;
    }

    /// Counters by finding, and of the forgotten ones by kind.
    pub(super) fn totals(&self) -> impl Iterator<Item = (Kind, Option<FindingId>, Totals)> {
        let kept = self
            .totals
            .iter()
            .map(|(id, (kind, totals))| (*kind, Some(*id), *totals));
        let forgotten = self
            .forgotten
            .iter()
            .map(|(kind, totals)| (*kind, None, *totals));
        kept.chain(forgotten)
    }

    pub(super) fn set_muted(&mut self, muted: &BTreeSet<FindingId>) {
        if self.muted == *muted {
            return;
        }
        self.muted = muted.clone();
        self.revision += 1;
        for entry in self.entries.values_mut() {
            let is_muted = muted.contains(&entry.finding.id);
            entry.finding.status = match (entry.finding.status, is_muted) {
                (_, true) => Status::Muted,
                (Status::Muted, false) => Status::Open,
                (status, false) => status,
            };
        }
    }

    /// Takes a judgement of a unit. `reported` is what was reported of this finding for this unit before.
    /// `None` when a rule keeps it away.
    pub(super) fn report(
        &mut self,
        judged: &Judged,
        place: &Where,
        reported: &mut Reports,
    ) -> Option<FindingId> {
        let id = identity(judged);
        let known = reported.get(&id).copied();
        if known.is_none() && self.is_ignored(id, judged, place) {
            return None;
        }
        self.revision += 1;
        if !self.entries.contains_key(&id) {
            self.make_room();
            let finding = first_seen(id, judged, place);
            self.entries.insert(
                id,
                Entry {
                    finding,
                    slope: Slope::default(),
                    clean: 0,
                    longest_absence: 0,
                },
            );
        }
        let entry = self.entries.get_mut(&id)?;
        let before = known.unwrap_or_default();
        let now = Reported {
            queries: judged.queries,
            price: judged.price,
            slope: judged.slope.unwrap_or_default(),
            stands: true,
        };
        entry.change(&before, &now);
        entry.see(judged, place, known.is_none());
        if self.muted.contains(&id) {
            entry.finding.status = Status::Muted;
        }
        let totals = &mut self
            .totals
            .entry(id)
            .or_insert((judged.kind, Totals::default()))
            .1;
        totals.queries += now.queries.saturating_sub(before.queries);
        totals.cost_ns += now.price.cost_ns.saturating_sub(before.price.cost_ns);
        reported.insert(id, now);
        Some(id)
    }

    /// A unit that was judged while it was open turned out to be something else.
    pub(super) fn retract(&mut self, id: FindingId, reported: &Reported) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.revision += 1;
        entry.change(reported, &Reported::default());
        entry.finding.occurrences = entry.finding.occurrences.saturating_sub(1);
        entry.finding.units = entry.finding.units.saturating_sub(1);
        if entry.finding.occurrences == 0 {
            self.forget(id);
        }
    }

    /// Whether there are findings that a unit that had just these could have had, too.
    pub(super) fn are_others(&self, found: &[FindingId]) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| {
            entry.finding.status != Status::Fixed && !found.contains(&entry.finding.id)
        })
    }

    /// A unit ended: what it could have had and did not have is one unit nearer to being fixed.
    pub(super) fn ran(&mut self, ran: &Ran<'_>, found: &[FindingId]) {
        for entry in self.entries.values_mut() {
            let finding = &mut entry.finding;
            if finding.status == Status::Fixed
                || found.contains(&finding.id)
                || !could_have(finding, ran)
            {
                continue;
            }
            entry.clean += 1;
            let needed = CLEAN_UNITS_MIN.max(entry.longest_absence.saturating_mul(ABSENCES));
            if finding.status == Status::Open && entry.clean >= needed {
                finding.status = Status::Fixed;
                self.revision += 1;
            }
        }
    }

    /// Forgets what was not seen for a week.
    pub(super) fn age(&mut self, now: Moment) {
        let old: Vec<FindingId> = self
            .iter()
            .filter(|finding| now.since(finding.last_seen) > FORGET_AFTER_NS)
            .map(|finding| finding.id)
            .collect();
        for id in old {
            self.forget(id);
            self.revision += 1;
        }
    }

    /// Forgets all of them; their counters go to those of the forgotten.
    pub(super) fn forget_all(&mut self) {
        let all: Vec<FindingId> = self.entries.keys().copied().collect();
        for id in all {
            self.forget(id);
        }
        self.revision += 1;
    }

    fn make_room(&mut self) {
        while self.entries.len() >= self.most {
            let least = self
                .entries
                .values()
                .min_by_key(|entry| {
                    (
                        entry.finding.status == Status::Open,
                        entry.finding.last_seen,
                    )
                })
                .map(|entry| entry.finding.id);
            match least {
                Some(id) => self.forget(id),
                None => return,
            }
        }
    }

    fn forget(&mut self, id: FindingId) {
        self.entries.remove(&id);
        if let Some((kind, totals)) = self.totals.remove(&id) {
            let of_kind = self.forgotten.entry(kind).or_default();
            of_kind.queries += totals.queries;
            of_kind.cost_ns += totals.cost_ns;
        }
    }

    fn is_ignored(&mut self, id: FindingId, judged: &Judged, place: &Where) -> bool {
        let asked = Asked {
            finding: id,
            kind: judged.kind,
            fingerprints: [
                Some(judged.child.fingerprint),
                judged.parent.as_ref().map(|parent| parent.fingerprint),
            ],
            tables: [
                judged.child.table.as_deref(),
                judged
                    .parent
                    .as_ref()
                    .and_then(|parent| parent.table.as_deref()),
            ],
            tags: &place.tags,
        };
        match self.rules.iter_mut().find(|(rule, _)| rule.matches(&asked)) {
            Some((_, matched)) => {
                *matched += 1;
                self.revision += 1;
                true
            }
            None => false,
        }
    }
}

fn asked(finding: &Finding) -> Asked<'_> {
    Asked {
        finding: finding.id,
        kind: finding.kind,
        fingerprints: [
            Some(finding.child.fingerprint),
            finding.parent.as_ref().map(|parent| parent.fingerprint),
        ],
        tables: [
            finding.child.table.as_deref(),
            finding
                .parent
                .as_ref()
                .and_then(|parent| parent.table.as_deref()),
        ],
        tags: &finding.tags,
    }
}

impl Entry {
    fn change(&mut self, before: &Reported, now: &Reported) {
        let finding = &mut self.finding;
        let moved = |total: u64, from: u64, to: u64| (total + to).saturating_sub(from);
        finding.queries = moved(finding.queries, before.queries, now.queries);
        finding.cost_ns = moved(finding.cost_ns, before.price.cost_ns, now.price.cost_ns);
        finding.saves_ns = moved(finding.saves_ns, before.price.saves_ns, now.price.saves_ns);
        self.slope.add(before.slope.0, before.slope.1, -1.0);
        self.slope.add(now.slope.0, now.slope.1, 1.0);
        finding.children_per_row = self.slope.children_per_row();
    }

    fn see(&mut self, judged: &Judged, place: &Where, first_of_unit: bool) {
        let finding = &mut self.finding;
        if first_of_unit {
            finding.occurrences += 1;
            finding.units += 1;
        }
        finding.last_seen = finding.last_seen.max(place.at);
        self.longest_absence = self.longest_absence.max(self.clean);
        self.clean = 0;
        finding.status = Status::Open;
        if judged.confidence >= finding.confidence {
            finding.confidence = judged.confidence;
            finding.evidence = judged.evidence;
        }
        let matched =
            |proof: &Option<super::Proof>| proof.as_ref().map_or(0, |proof| proof.matched);
        if matched(&judged.proof) >= matched(&finding.proof) && judged.proof != finding.proof {
            finding.proof.clone_from(&judged.proof);
        }
        if place.queries >= finding.queries_before {
            finding.queries_before = place.queries;
            finding.queries_after = place.queries.saturating_sub(judged.price.surplus);
            finding.example_unit = Some(place.unit);
        }
        for (key, value) in &place.tags {
            let of_key = finding
                .tags
                .iter()
                .filter(|(known, _)| known == key)
                .count();
            let is_known = finding.tags.iter().any(|(k, v)| k == key && v == value);
            if !is_known && of_key < TAG_VALUES_MAX {
                finding.tags.push((Arc::clone(key), Arc::clone(value)));
            }
        }
        if finding.detail != judged.detail {
            finding.detail.clone_from(&judged.detail);
        }
        let of_a_unit = finding.cost_ns / finding.units.max(1);
        finding.severity = match of_a_unit {
            _ if finding.confidence == super::Confidence::Suspected => Severity::Low,
            HIGH_NS.. => Severity::High,
            MEDIUM_NS.. => Severity::Medium,
            _ => Severity::Low,
        };
    }
}

fn first_seen(id: FindingId, judged: &Judged, place: &Where) -> Finding {
    Finding {
        id,
        kind: judged.kind,
        status: Status::Open,
        confidence: judged.confidence,
        evidence: judged.evidence,
        severity: Severity::Low,
        child: judged.child.clone(),
        parent: judged.parent.clone(),
        chain: judged.chain.clone(),
        occurrences: 0,
        units: 0,
        queries: 0,
        cost_ns: 0,
        saves_ns: 0,
        children_per_row: 0.0,
        first_seen: place.at,
        last_seen: place.at,
        tags: Vec::new(),
        proof: None,
        queries_before: 0,
        queries_after: 0,
        example_unit: None,
        detail: judged.detail.clone(),
    }
}

/// Whether a unit read what the loop of a finding runs over, or did what it repeats.
fn could_have(finding: &Finding, ran: &Ran<'_>) -> bool {
    let mut routes = finding
        .tags
        .iter()
        .filter(|(key, _)| &**key == "route")
        .map(|(_, route)| route)
        .peekable();
    if !ran.routes.0.is_empty() && routes.peek().is_some() {
        return routes.any(|route| ran.routes.contains(&**route));
    }
    let is_in = |tables: &Few<&str>, table: &Option<Arc<str>>| {
        table.as_deref().is_some_and(|table| tables.contains(table))
    };
    let child = &finding.child.table;
    let same = ran.fingerprints.contains(&finding.child.fingerprint);
    match (finding.kind, &finding.parent) {
        (Kind::WriteLoop, _) => is_in(&ran.written, child),
        // The parent's rows were read, and what belongs to them too, or nothing of it any more.
        (kind, Some(parent)) => {
            is_in(&ran.parents, &parent.table)
                && (kind == Kind::NPlusOneDeferred
                    || is_in(&ran.tables, child)
                    || ran.fingerprints.contains(&parent.fingerprint))
        }
        (Kind::QueryLoop, None) => same || is_in(&ran.batched, child),
        (_, None) => same,
    }
}

/// Hash of kind, fingerprints, table and column names.
fn identity(judged: &Judged) -> FindingId {
    let mut text = String::new();
    let mut part = |part: &str| {
        text.push_str(part);
        text.push('\0');
    };
    part(judged.kind.as_str());
    for side in [Some(&judged.child), judged.parent.as_ref()] {
        let Some(side) = side else {
            part("-");
            continue;
        };
        part(&side.fingerprint.to_string());
        part(side.table.as_deref().unwrap_or(""));
        part(side.column.as_deref().unwrap_or(""));
    }
    FindingId(xxh3_64(text.as_bytes()))
}
