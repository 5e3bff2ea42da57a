//! What the metrics show: series of admitted (fingerprint, database) pairs, and `other` for the rest.
//!
//! Each query is added once, when it is merged: to its pair's own series if the pair is admitted then, else to
//! `other`. A pair that leaves takes its series with it; so that the sum over all series stays the number of queries
//! and nothing that is scraped ever decreases, its history goes to `other` with the label `left`, a number that is
//! new each time that history changes: such a series is constant from its first sample to its last. (Added to the
//! plain `other` it would look like a burst of queries that never ran.) A pair that comes back takes its history out
//! of there again and goes on where it stopped.
//!
//! *Architecture invariant:* between two calls from outside, the counts over `admitted`, `other` and `left` add up
//! to the counts of `queries`.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::delta::{Entry, ListenerCounts};
use super::names::{NameId, OTHER};
use super::{Buckets, Settings, add_phases};
use crate::event::{ByShape, Moment, Phases, Protocol, ShapeRef};
use crate::sql::{Fingerprint, Verb, VerbClass};
use crate::wire::SqlState;

/// How often admission is looked at again.
const SETTLE_NS: u64 = 5_000_000_000;

/// Time after which a query's duration weighs half in its pair's score.
const HALF_LIFE_NS: u64 = 600_000_000_000;

/// A pair stays at least this long: a series of a few samples is of no use to anyone.
const RESIDENCE_NS: u64 = 120_000_000_000;

/// To push another out, a pair's score must be this many times the other's …
const HYSTERESIS: f64 = 2.0;

/// … and at least this part of the sum of all scores.
const SIGNIFICANT: f64 = 0.001;

/// At most one in so many admitted pairs, and at least one pair, is replaced each time.
const REPLACED_PART: usize = 50;

/// At most one in so many places is taken by the history of pairs that left.
const LEFT_PART: usize = 8;

/// Pairs that are followed, for each fingerprint that has a row.
const PAIRS_PER_FINGERPRINT: usize = 2;

/// Where a query is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The admitted pair with this index.
    Admitted(usize),
    /// `other` of this index.
    Other(usize),
}

/// What is counted for a series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Queries by duration.
    pub buckets: Buckets,
    /// Sum of their durations, nanoseconds.
    pub duration_ns: u64,
    /// Sums of their phases.
    pub phases: Phases,
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes of their messages, both ways.
    pub bytes: u64,
    /// Those at or over the threshold of a slow query.
    pub slow: u64,
}

/// A pair that has series of its own.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) fingerprint: Fingerprint,
    pub(super) database: NameId,
    pub(super) verb: Verb,
    pub(super) totals: Totals,
    pair: usize,
    since: Moment,
}

/// The queries of one database and verb that went to no pair's own series.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) database: NameId,
    pub(super) verb: Verb,
    pub(super) totals: Totals,
}

/// The history of all pairs of one database and verb that left.
#[derive(Debug)]
pub(super) struct Left {
    /// Value of the label `left`.
    pub(super) generation: u64,
    pub(super) totals: Totals,
    pairs: usize,
}

/// A (fingerprint, database) pair that ran, admitted or not.
#[derive(Debug)]
struct Pair {
    fingerprint: Fingerprint,
    database: NameId,
    verb: Verb,
    /// Total duration in nanoseconds, older ones weighing less.
    score: f64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Never had series of its own.
    Other,
    /// Index in `admitted`.
    Admitted(usize),
    /// Had series of its own, which stood at this.
    Left(Box<Totals>),
}

/// All series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) admitted: Vec<Admitted>,
    pub(super) other: Vec<Other>,
    pub(super) left: HashMap<(NameId, Verb), Left, RandomState>,
    pub(super) queries: HashMap<(NameId, Verb, Protocol), u64, RandomState>,
    pub(super) errors: BTreeMap<(NameId, Option<SqlState>), u64>,
    pub(super) listeners: BTreeMap<NameId, ListenerCounts>,
    /// Times that a pair got series of its own, since the start.
    pub(super) admissions: u64,
    pairs: Vec<Pair>,
    /// The first pair of each shape: most run in one database.
    firsts: ByShape<u32>,
    /// The pairs of shapes in further databases.
    others: HashMap<(Fingerprint, NameId), usize, RandomState>,
    codes: Vec<SqlState>,
    settled_at: Moment,
    generation: u64,
    admitted_max: usize,
    pairs_max: usize,
    codes_max: usize,
}

/// Whether a shape of this verb is likely to run again, so that it may have series as soon as there is room. A
/// migration's statements are hundreds and run once: they have to earn their series by their time.
fn comes_back(verb: Verb) -> bool {
    !matches!(verb.class(), VerbClass::Definition | VerbClass::Maintenance)
}

impl Totals {
    /// Queries counted.
    pub fn calls(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds what another series counted.
    pub fn add(&mut self, more: &Totals) {
        for (bucket, more) in self.buckets.iter_mut().zip(&more.buckets) {
            *bucket += more;
        }
        self.duration_ns = self.duration_ns.saturating_add(more.duration_ns);
        add_phases(&mut self.phases, &more.phases);
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.slow += more.slow;
    }

    /// Takes out what was added before.
    fn remove(&mut self, less: &Totals) {
        for (bucket, less) in self.buckets.iter_mut().zip(&less.buckets) {
            *bucket = bucket.saturating_sub(*less);
        }
        self.duration_ns = self.duration_ns.saturating_sub(less.duration_ns);
        self.phases.database_ns = self
            .phases
            .database_ns
            .saturating_sub(less.phases.database_ns);
        self.phases.transfer_ns = self
            .phases
            .transfer_ns
            .saturating_sub(less.phases.transfer_ns);
        self.phases.client_ns = self.phases.client_ns.saturating_sub(less.phases.client_ns);
        self.phases.application_ns = self
            .phases
            .application_ns
            .saturating_sub(less.phases.application_ns);
        self.rows = self.rows.saturating_sub(less.rows);
        self.bytes = self.bytes.saturating_sub(less.bytes);
        self.slow = self.slow.saturating_sub(less.slow);
    }
}

impl Series {
    pub(super) fn new(settings: &Settings) -> Series {
        Series {
            admitted: Vec::new(),
            other: Vec::new(),
            left: HashMap::default(),
            queries: HashMap::default(),
            errors: BTreeMap::new(),
            listeners: BTreeMap::new(),
            admissions: 0,
            pairs: Vec::new(),
            firsts: ByShape::new(settings.fingerprints_max),
            others: HashMap::default(),
            codes: Vec::new(),
            settled_at: Moment::default(),
            generation: 0,
            admitted_max: settings.admitted_max,
            pairs_max: settings
                .fingerprints_max
                .saturating_mul(PAIRS_PER_FINGERPRINT),
            codes_max: settings.error_codes_max,
        }
    }

    /// Where the queries of `entry` are added; a pair has a shape, which is known by a text.
    pub(super) fn target(&mut self, entry: &Entry, now: Moment) -> Target {
        let database = entry.key.context.database;
        if let Some(shape) = entry.shape
            && let Some(pair) = self.pair(shape, entry)
        {
            let known = &mut self.pairs[pair];
            known.score += entry.phases.duration_ns() as f64;
            if let Place::Admitted(index) = known.place {
                return Target::Admitted(index);
            }
            if self.has_room() && comes_back(entry.verb) {
                return Target::Admitted(self.admit(pair, now));
            }
        }
        let of_same = |other: &Other| other.database == database && other.verb == entry.verb;
        let index = self.other.iter().position(of_same).unwrap_or_else(|| {
            self.other.push(Other {
                database,
                verb: entry.verb,
                totals: Totals::default(),
            });
            self.other.len() - 1
        });
        Target::Other(index)
    }

    /// Adds all of `entry` but its durations and errors.
    pub(super) fn add(&mut self, target: Target, entry: &Entry) {
        let totals = self.totals(target);
        totals.duration_ns = totals
            .duration_ns
            .saturating_add(entry.phases.duration_ns());
        add_phases(&mut totals.phases, &entry.phases);
        totals.rows = totals.rows.saturating_add(entry.rows);
        totals.bytes = totals
            .bytes
            .saturating_add(entry.request_bytes.saturating_add(entry.response_bytes));
        totals.slow += u64::from(entry.slow);
        for (protocol, calls) in Protocol::ALL.into_iter().zip(entry.calls) {
            if calls > 0 {
                let key = (entry.key.context.database, entry.verb, protocol);
                *self.queries.entry(key).or_default() += u64::from(calls);
            }
        }
    }

    /// Adds one duration.
    pub(super) fn add_duration(&mut self, target: Target, bucket: usize) {
        self.totals(target).buckets[bucket] += 1;
    }

    /// Counts an error; a code that comes after `error_codes_max` others counts as `None`.
    pub(super) fn add_error(&mut self, database: NameId, code: SqlState) {
        let mut known = self.codes.contains(&code);
        if !known && self.codes.len() < self.codes_max {
            self.codes.push(code);
            known = true;
        }
        let label = known.then_some(code);
        *self.errors.entry((database, label)).or_default() += 1;
    }

    pub(super) fn add_transactions(&mut self, listeners: &[(NameId, ListenerCounts)]) {
        for (listener, more) in listeners {
            let counts = self.listeners.entry(*listener).or_default();
            counts.committed += more.committed;
            counts.rolled_back += more.rolled_back;
            counts.abandoned += more.abandoned;
            counts.idle_in_transaction_ns = counts
                .idle_in_transaction_ns
                .saturating_add(more.idle_in_transaction_ns);
        }
    }

    /// Looks at admission again when it is time: the pairs with the greatest total time come in, few at a time.
    pub(super) fn settle(&mut self, now: Moment) {
        let elapsed_ns = now.since(self.settled_at);
        if elapsed_ns < SETTLE_NS {
            return;
        }
        self.settled_at = now;
        let decay = (-(elapsed_ns as f64) / HALF_LIFE_NS as f64).exp2();
        let mut sum = 0.0;
        for pair in &mut self.pairs {
            pair.score *= decay;
            sum += pair.score;
        }
        let mut waiting: Vec<usize> = (0..self.pairs.len())
            .filter(|pair| !matches!(self.pairs[*pair].place, Place::Admitted(_)))
            .filter(|pair| self.pairs[*pair].score >= sum * SIGNIFICANT)
            .collect();
        waiting.sort_unstable_by(|a, b| self.pairs[*b].score.total_cmp(&self.pairs[*a].score));
        let mut weakest: Vec<usize> = self
            .admitted
            .iter()
            .filter(|admitted| now.since(admitted.since) >= RESIDENCE_NS)
            .map(|admitted| admitted.pair)
            .collect();
        weakest.sort_unstable_by(|a, b| self.pairs[*a].score.total_cmp(&self.pairs[*b].score));
        let mut waiting = waiting.into_iter();
        while self.has_room()
            && let Some(pair) = waiting.next()
        {
            self.admit(pair, now);
        }
        let replaced_max = (self.admitted_max / REPLACED_PART).max(1);
        for (new, old) in waiting.zip(weakest).take(replaced_max) {
            if self.pairs[new].score <= self.pairs[old].score * HYSTERESIS {
                break;
            }
            let group = (self.pairs[old].database, self.pairs[old].verb);
            if !self.left.contains_key(&group) && self.left.len() >= self.admitted_max / LEFT_PART {
                continue;
            }
            self.leave(old);
            // The history of what left may need the place itself, see `has_room`.
            if self.has_room() {
                self.admit(new, now);
            }
        }
    }

    /// The index of the pair of `entry`, which is of this shape; `None` when too many are followed already.
    fn pair(&mut self, shape: ShapeRef, entry: &Entry) -> Option<usize> {
        let database = entry.key.context.database;
        let first = self.firsts.get(shape.number()).map(|first| first as usize);
        let is_of = |pair: &&Pair| pair.database == database;
        if let Some(first) = first
            && self.pairs.get(first).filter(is_of).is_some()
        {
            return Some(first);
        }
        let key = (entry.key.fingerprint, database);
        if first.is_some()
            && let Some(pair) = self.others.get(&key)
        {
            return Some(*pair);
        }
        // `other` is no database: its pairs would mix several.
        if database == OTHER || self.pairs.len() >= self.pairs_max {
            return None;
        }
        let pair = self.pairs.len();
        self.pairs.push(Pair {
            fingerprint: key.0,
            database,
            verb: entry.verb,
            score: 0.0,
            place: Place::Other,
        });
        match (first, u32::try_from(pair)) {
            (None, Ok(pair)) => self.firsts.set(shape.number(), pair),
            _ => {
                self.others.insert(key, pair);
            }
        }
        Some(pair)
    }

    /// Whether one more pair may have series. The history of pairs that left takes one place for each database and
    /// verb, so that the number of series stays within `admitted_max` whatever comes and goes.
    fn has_room(&self) -> bool {
        self.admitted.len() + self.left.len() < self.admitted_max
    }

    fn admit(&mut self, pair: usize, now: Moment) -> usize {
        let index = self.admitted.len();
        let Pair {
            fingerprint,
            database,
            verb,
            ..
        } = self.pairs[pair];
        let totals = match std::mem::replace(&mut self.pairs[pair].place, Place::Admitted(index)) {
            Place::Left(totals) => {
                self.change_left(database, verb, |left| {
                    left.totals.remove(&totals);
                    left.pairs -= 1;
                });
                *totals
            }
            Place::Other | Place::Admitted(_) => Totals::default(),
        };
        self.admitted.push(Admitted {
            fingerprint,
            database,
            verb,
            totals,
            pair,
            since: now,
        });
        self.admissions += 1;
        index
    }

    fn leave(&mut self, pair: usize) {
        let Place::Admitted(index) = self.pairs[pair].place else {
            return;
        };
        let gone = self.admitted.swap_remove(index);
        if let Some(moved) = self.admitted.get(index) {
            self.pairs[moved.pair].place = Place::Admitted(index);
        }
        self.change_left(gone.database, gone.verb, |left| {
            left.totals.add(&gone.totals);
            left.pairs += 1;
        });
        self.pairs[pair].place = Place::Left(Box::new(gone.totals));
    }

    /// Changes a history of pairs that left, which makes it another series.
    fn change_left(&mut self, database: NameId, verb: Verb, change: impl FnOnce(&mut Left)) {
        self.generation += 1;
        let left = self.left.entry((database, verb)).or_insert_with(|| Left {
            generation: 0,
            totals: Totals::default(),
            pairs: 0,
        });
        left.generation = self.generation;
        change(left);
        if left.pairs == 0 {
            self.left.remove(&(database, verb));
        }
    }

    fn totals(&mut self, target: Target) -> &mut Totals {
        match target {
            Target::Admitted(index) => &mut self.admitted[index].totals,
            Target::Other(index) => &mut self.other[index].totals,
        }
    }
}
