//! Which findings have counters of their own, and `other` for the rest.
//!
//! The rules are those of [`crate::aggregate`]'s series: what a finding costs is added once, when it is scraped, to its
//! own series if it is admitted then, else to `other` of its kind. A finding that leaves takes its series with it, and
//! its history goes to `other` with the label `left`, whose value is new each time that history changes; added to the
//! plain `other` it would look like a burst that never was. One that comes back goes on where it stopped.
//!
//! *Architecture invariant:* the sum over all series is the sum over all totals that were told, and no series ever
//! decreases.

use std::collections::{BTreeMap, HashMap};

use crate::analysis::FindingTotals;
use crate::detect::{FindingId, Kind};

/// Findings that left whose own history is remembered; the others begin anew when they come back.
const GONE_MAX: usize = 10_000;

/// To push another out, a finding must have cost so many times as much: two that are alike do not take turns.
const HYSTERESIS: u64 = 2;

/// What is counted for a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) queries: u64,
    pub(super) cost_ns: u64,
}

impl Totals {
    fn add(&mut self, more: Totals) {
        self.queries = self.queries.saturating_add(more.queries);
        self.cost_ns = self.cost_ns.saturating_add(more.cost_ns);
    }

    fn less(self, less: Totals) -> Totals {
        Totals {
            queries: self.queries.saturating_sub(less.queries),
            cost_ns: self.cost_ns.saturating_sub(less.cost_ns),
        }
    }
}

/// The value of the label `finding`, and of `left` where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Name {
    Finding(FindingId),
    Other,
    Left(u64),
}

/// Where a finding that the analysis knows is counted.
#[derive(Debug)]
struct Known {
    kind: Kind,
    /// What the analysis told of it last.
    told: Totals,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// In a series of its own, which stands at this.
    Own(Totals),
    Other,
}

/// The history of all findings of one kind that left.
#[derive(Debug, Default)]
struct Left {
    generation: u64,
    totals: Totals,
}

/// All series.
#[derive(Debug)]
pub(super) struct Admission {
    admitted_max: usize,
    known: HashMap<FindingId, Known>,
    other: BTreeMap<Kind, Totals>,
    left: BTreeMap<Kind, Left>,
    /// What of `left` belongs to whom.
    gone: HashMap<FindingId, Totals>,
    /// What was told last of findings without an id.
    nameless: BTreeMap<Kind, Totals>,
    generation: u64,
}

impl Admission {
    pub(super) fn new(admitted_max: usize) -> Admission {
        Admission {
            admitted_max,
            known: HashMap::new(),
            other: BTreeMap::new(),
            left: BTreeMap::new(),
            gone: HashMap::new(),
            nameless: BTreeMap::new(),
            generation: 0,
        }
    }

    /// Adds what has happened since the last call.
    pub(super) fn update(&mut self, told: &[FindingTotals]) {
        let totals = |told: &FindingTotals| Totals {
            queries: told.queries,
            cost_ns: told.cost_ns,
        };
        let mut named: HashMap<FindingId, (Kind, Totals)> = HashMap::new();
        let mut nameless: BTreeMap<Kind, Totals> = BTreeMap::new();
        for told in told {
            match told.id {
                Some(id) => {
                    let (_, sum) = named.entry(id).or_insert((told.kind, Totals::default()));
                    sum.add(totals(told));
                }
                None => nameless.entry(told.kind).or_default().add(totals(told)),
            }
        }
        let mut moved = self.forget(&named);
        // The most costly first: they are to find room.
        let mut named: Vec<_> = named.into_iter().collect();
        named.sort_unstable_by_key(|(id, (_, totals))| (std::cmp::Reverse(totals.cost_ns), *id));
        for (id, (kind, now)) in named {
            self.count(id, kind, now, &mut moved);
        }
        for (kind, now) in nameless {
            let before = self.nameless.insert(kind, now).unwrap_or_default();
            // What came from findings that were forgotten has been counted under their names.
            let more = now
                .less(before)
                .less(moved.get(&kind).copied().unwrap_or_default());
            if more != Totals::default() {
                self.other.entry(kind).or_default().add(more);
            }
        }
        self.replace();
    }

    /// Every series with its kind, name and value.
    pub(super) fn series(&self) -> impl Iterator<Item = (Kind, Name, Totals)> {
        let own = self
            .known
            .iter()
            .filter_map(|(id, known)| match known.place {
                Place::Own(totals) => Some((known.kind, Name::Finding(*id), totals)),
                Place::Other => None,
            });
        let other = self
            .other
            .iter()
            .map(|(kind, totals)| (*kind, Name::Other, *totals));
        let left = self
            .left
            .iter()
            .filter(|(_, left)| left.totals != Totals::default())
            .map(|(kind, left)| (*kind, Name::Left(left.generation), left.totals));
        own.chain(other).chain(left)
    }

    /// Lets go of findings that the analysis has forgotten; answers what it has added to its nameless ones for them.
    fn forget(&mut self, named: &HashMap<FindingId, (Kind, Totals)>) -> BTreeMap<Kind, Totals> {
        let mut moved: BTreeMap<Kind, Totals> = BTreeMap::new();
        let forgotten: Vec<FindingId> = self
            .known
            .keys()
            .filter(|id| !named.contains_key(id))
            .copied()
            .collect();
        for id in forgotten {
            self.leave(id);
            if let Some(known) = self.known.remove(&id) {
                moved.entry(known.kind).or_default().add(known.told);
            }
        }
        moved
    }

    fn count(
        &mut self,
        id: FindingId,
        kind: Kind,
        now: Totals,
        moved: &mut BTreeMap<Kind, Totals>,
    ) {
        if !self.known.contains_key(&id) {
            let place = match self.admitted() < self.admitted_max {
                true => Place::Own(self.history_of(id, kind)),
                false => Place::Other,
            };
            let told = Totals::default();
            self.known.insert(id, Known { kind, told, place });
        }
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        // Less than before: it was forgotten and found again since the last scrape.
        if now.queries < known.told.queries || now.cost_ns < known.told.cost_ns {
            moved.entry(kind).or_default().add(known.told);
            known.told = Totals::default();
        }
        let more = now.less(known.told);
        known.told = now;
        match &mut known.place {
            Place::Own(totals) => totals.add(more),
            Place::Other if more == Totals::default() => {}
            Place::Other => self.other.entry(kind).or_default().add(more),
        }
    }

    /// Gives the series of findings that cost little to others that cost much more, few at a time.
    fn replace(&mut self) {
        let (mut waiting, mut weakest): (Vec<_>, Vec<_>) = self
            .known
            .iter()
            .map(|(id, known)| (known.told.cost_ns, *id, known.place))
            .partition(|(_, _, place)| matches!(place, Place::Other));
        waiting.sort_unstable_by_key(|(cost, id, _)| (std::cmp::Reverse(*cost), *id));
        weakest.sort_unstable_by_key(|(cost, id, _)| (*cost, *id));
        let free = self.admitted_max.saturating_sub(self.admitted());
        let mut waiting = waiting.into_iter();
        for (_, new, _) in waiting.by_ref().take(free) {
            self.admit(new);
        }
        let most = (self.admitted_max / 50).max(1);
        for ((cost, new, _), (least, old, _)) in waiting.zip(weakest).take(most) {
            if cost <= least.saturating_mul(HYSTERESIS) {
                break;
            }
            self.leave(old);
            self.admit(new);
        }
    }

    fn admitted(&self) -> usize {
        let own = |known: &&Known| matches!(known.place, Place::Own(_));
        self.known.values().filter(own).count()
    }

    fn admit(&mut self, id: FindingId) {
        let Some(kind) = self.known.get(&id).map(|known| known.kind) else {
            return;
        };
        let history = self.history_of(id, kind);
        if let Some(known) = self.known.get_mut(&id) {
            known.place = Place::Own(history);
        }
    }

    /// Takes out of `left` what a finding that comes back had counted.
    fn history_of(&mut self, id: FindingId, kind: Kind) -> Totals {
        let Some(history) = self.gone.remove(&id) else {
            return Totals::default();
        };
        self.change_left(kind, |left| *left = left.less(history));
        history
    }

    /// Moves what a finding has counted to `left`.
    fn leave(&mut self, id: FindingId) {
        let Some(known) = self.known.get_mut(&id) else {
            return;
        };
        let (kind, place) = (
            known.kind,
            std::mem::replace(&mut known.place, Place::Other),
        );
        if let Place::Own(totals) = place {
            self.change_left(kind, |left| left.add(totals));
            if self.gone.len() < GONE_MAX {
                self.gone.insert(id, totals);
            }
        }
    }

    /// Changes a history, which makes it another series.
    fn change_left(&mut self, kind: Kind, change: impl FnOnce(&mut Totals)) {
        self.generation += 1;
        let left = self.left.entry(kind).or_default();
        left.generation = self.generation;
        change(&mut left.totals);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: Kind = Kind::WriteLoop;

    fn told(id: Option<u64>, queries: u64) -> FindingTotals {
        FindingTotals {
            kind: KIND,
            id: id.map(FindingId),
            queries,
            cost_ns: queries * 1000,
        }
    }

    fn queries(admission: &Admission) -> BTreeMap<Name, u64> {
        admission
            .series()
            .map(|(_, name, totals)| (name, totals.queries))
            .collect()
    }

    const A: Name = Name::Finding(FindingId(1));
    const B: Name = Name::Finding(FindingId(2));

    #[test]
    fn what_finds_no_room_is_other_and_what_costs_much_more_takes_its_place() {
        let mut admission = Admission::new(1);
        admission.update(&[told(Some(1), 10), told(Some(2), 5)]);
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(A, 10), (Name::Other, 5)])
        );
        // Twice as much is not more than twice.
        admission.update(&[told(Some(1), 10), told(Some(2), 20)]);
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(A, 10), (Name::Other, 20)])
        );
        admission.update(&[told(Some(1), 11), told(Some(2), 23)]);
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(B, 0), (Name::Other, 23), (Name::Left(1), 11)])
        );
        admission.update(&[told(Some(1), 100), told(Some(2), 24)]);
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(A, 11), (Name::Other, 112), (Name::Left(3), 1)]),
            "it goes on where it stopped"
        );
    }

    #[test]
    fn what_is_forgotten_is_no_burst() {
        let mut admission = Admission::new(5);
        admission.update(&[told(Some(1), 10), told(None, 4)]);
        admission.update(&[told(Some(2), 1), told(None, 15)]);
        // 11 went over to the nameless: 10 were counted under its name, 1 is new.
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(B, 1), (Name::Other, 5), (Name::Left(1), 10)])
        );
        admission.update(&[told(Some(1), 3), told(Some(2), 1), told(None, 15)]);
        assert_eq!(
            queries(&admission),
            BTreeMap::from([(A, 13), (B, 1), (Name::Other, 5)])
        );
    }

    /// What may happen to findings between two scrapes.
    #[derive(Debug, Clone)]
    enum Step {
        Found(u64, u64),
        Forgotten(u64),
        Scraped,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..8_u64, 1..50_u64).prop_map(|(id, queries)| Step::Found(id, queries)),
            1 => (0..8_u64).prop_map(Step::Forgotten),
            2 => Just(Step::Scraped),
        ]
    }

    proptest! {
        #[test]
        fn the_sum_is_right_and_nothing_ever_decreases(
            steps in prop::collection::vec(step(), 1..120),
            room in 0..5_usize,
        ) {
            let mut admission = Admission::new(room);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            let (mut nameless, mut all) = (0, 0);
            let mut most: BTreeMap<Name, u64> = BTreeMap::new();
            for step in steps.into_iter().chain([Step::Scraped]) {
                match step {
                    Step::Found(id, queries) => {
                        *truth.entry(id).or_default() += queries;
                        all += queries;
                    }
                    Step::Forgotten(id) => nameless += truth.remove(&id).unwrap_or(0),
                    Step::Scraped => {
                        let mut totals: Vec<_> =
                            truth.iter().map(|(id, queries)| told(Some(*id), *queries)).collect();
                        totals.push(told(None, nameless));
                        admission.update(&totals);
                        let series = queries(&admission);
                        prop_assert_eq!(series.values().sum::<u64>(), all);
                        let own = series.keys().filter(|name| matches!(name, Name::Finding(_)));
                        prop_assert!(own.count() <= room);
                        for (name, queries) in series {
                            let before = most.insert(name, queries).unwrap_or(0);
                            prop_assert!(queries >= before, "{name:?}: {before} to {queries}");
                            let constant = !matches!(name, Name::Left(_)) || before == 0 || before == queries;
                            prop_assert!(constant, "{name:?}: {before} to {queries}");
                        }
                    }
                }
            }
        }
    }
}
