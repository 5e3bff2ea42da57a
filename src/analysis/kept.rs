//! Units that ended, as far as there is room for them: the latest, and those that are the example of a finding.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::records::{Part, Queue, Records};
use crate::unit::{TimelineEntry, UnitId, UnitRecord};

/// What a record takes besides its timeline, about.
const RECORD_BYTES: usize = 512 + size_of::<UnitRecord>();

/// Of the room for units, the part that examples may take once they are not among the latest any more.
const EXAMPLES_PART: usize = 4;

#[derive(Debug)]
pub(super) struct Kept {
    latest: Queue,
    /// Examples that are older than these.
    examples: BTreeMap<UnitId, Arc<UnitRecord>>,
    /// The same, as they were listed last; `None` once they have changed.
    listed: Option<Part>,
    /// Which units are examples.
    wanted: HashSet<UnitId>,
    units_max: usize,
    bytes: usize,
    examples_bytes: usize,
    bytes_max: usize,
}

impl Kept {
    pub(super) fn new(units_max: usize, bytes_max: usize) -> Kept {
        Kept {
            latest: Queue::default(),
            examples: BTreeMap::new(),
            listed: None,
            wanted: HashSet::new(),
            units_max: units_max.max(1),
            bytes: 0,
            examples_bytes: 0,
            bytes_max,
        }
    }

    /// Keeps a unit; the oldest give way, but never this one.
    pub(super) fn push(&mut self, unit: UnitRecord) {
        self.bytes += bytes(&unit);
        self.latest.push_back(Arc::new(unit));
        while self.latest.len() > 1
            && (self.latest.len() + self.examples.len() > self.units_max
                || self.bytes > self.bytes_max)
        {
            if let Some(oldest) = self.latest.pop_front() {
                self.retire(oldest);
            }
        }
    }

    /// Says which units are the examples of findings, the most costly finding first.
    pub(super) fn set_examples(&mut self, examples: impl Iterator<Item = UnitId>) {
        self.wanted = examples.take(self.examples_max()).collect();
        let (wanted, mut freed) = (&self.wanted, 0);
        self.examples.retain(|id, unit| {
            let is_wanted = wanted.contains(id);
            freed += if is_wanted { 0 } else { bytes(unit) };
            is_wanted
        });
        if freed > 0 {
            self.listed = None;
        }
        self.examples_bytes -= freed;
        self.bytes -= freed;
    }

    /// All of them, oldest first.
    pub(super) fn list(&mut self) -> Records {
        let mut records = Records::default();
        let examples = self.examples.values();
        let listed = self
            .listed
            .get_or_insert_with(|| examples.cloned().collect());
        records.push(Arc::clone(listed));
        self.latest.list(&mut records);
        records
    }

    fn examples_max(&self) -> usize {
        self.units_max / EXAMPLES_PART
    }

    /// A unit is not among the latest any more.
    fn retire(&mut self, unit: Arc<UnitRecord>) {
        let bytes = bytes(&unit);
        let has_room = self.examples.len() < self.examples_max()
            && self.examples_bytes + bytes <= self.bytes_max / EXAMPLES_PART;
        if has_room && self.wanted.contains(&unit.id) {
            self.listed = None;
            self.examples_bytes += bytes;
            self.examples.insert(unit.id, unit);
        } else {
            self.bytes -= bytes;
        }
    }
}

fn bytes(unit: &UnitRecord) -> usize {
    RECORD_BYTES + unit.timeline.capacity() * size_of::<TimelineEntry>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Moment, Phases, SessionFacts, SessionId};
    use crate::sql::{Fingerprint, Verb};
    use crate::unit::{Completeness, Evidence, UnitState};

    fn unit(id: u64, statements: usize) -> UnitRecord {
        let entry = TimelineEntry {
            requested_at: Moment(0),
            completed_at: Moment(0),
            fingerprint: Fingerprint(1),
            verb: Verb::Select,
            shape: None,
            phases: Phases::default(),
            rows: 0,
            sqlstate: None,
            parent: None,
            transaction: None,
        };
        UnitRecord {
            id: UnitId(id),
            facts: Arc::new(SessionFacts {
                id: SessionId(1),
                listener: "default".into(),
                client: "web".into(),
                user: "shop".into(),
                database: "shop".into(),
                application: "".into(),
                backend_pid: 0,
            }),
            started_at: Moment(0),
            ended_at: Moment(0),
            evidence: Evidence::Pause,
            completeness: Completeness::Complete,
            route: None,
            controller: None,
            test: None,
            test_id: None,
            queries: statements as u64,
            rows: 0,
            shapes: 1,
            duplicates: 0,
            phases: Phases::default(),
            timeline: vec![entry; statements].into_iter().collect(),
            state: UnitState::Ended,
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_give_way_in_number_and_in_bytes() {
        let mut kept = Kept::new(3, 100 * size_of::<TimelineEntry>() + 4 * RECORD_BYTES);
        (1..=4).for_each(|id| kept.push(unit(id, 10)));
        let ids =
            |kept: &mut Kept| -> Vec<u64> { kept.list().iter().map(|unit| unit.id.0).collect() };
        assert_eq!(ids(&mut kept), [2, 3, 4]);
        kept.push(unit(5, 95));
        assert_eq!(ids(&mut kept), [4, 5]);
        kept.push(unit(6, 1_000));
        assert_eq!(ids(&mut kept), [6], "the last one stays, whatever its size");
        kept.push(unit(7, 10));
        assert_eq!(ids(&mut kept), [7]);
    }

    #[test]
    fn examples_stay_as_long_as_they_are_examples() {
        let examples = |ids: &[u64]| ids.iter().copied().map(UnitId).collect::<Vec<_>>();
        let ids =
            |kept: &mut Kept| -> Vec<u64> { kept.list().iter().map(|unit| unit.id.0).collect() };
        let mut kept = Kept::new(8, usize::MAX);
        kept.set_examples(examples(&[2, 4, 5]).into_iter());
        (1..=20).for_each(|id| kept.push(unit(id, 10)));
        assert_eq!(
            ids(&mut kept),
            [2, 4, 15, 16, 17, 18, 19, 20],
            "a quarter of the room is for examples, those of the first findings"
        );
        kept.set_examples(examples(&[4, 20]).into_iter());
        (21..=30).for_each(|id| kept.push(unit(id, 10)));
        assert_eq!(ids(&mut kept), [4, 20, 25, 26, 27, 28, 29, 30]);
        kept.set_examples(std::iter::empty());
        kept.push(unit(31, 10));
        assert_eq!(ids(&mut kept), [25, 26, 27, 28, 29, 30, 31]);
        let all: usize = kept.list().iter().map(|unit| bytes(unit)).sum();
        assert_eq!((kept.bytes, kept.examples_bytes), (all, 0));
    }

    #[test]
    fn the_list_is_that_of_the_units_however_many_come_and_go() {
        let mut kept = Kept::new(200, usize::MAX);
        for last in 1..=700 {
            kept.set_examples([UnitId(3), UnitId(last / 100 * 100)].into_iter());
            kept.push(unit(last, 1));
            let listed = kept.list();
            let ids: Vec<u64> = listed.iter().map(|unit| unit.id.0).collect();
            assert_eq!(listed.len(), ids.len());
            assert_eq!(ids.len(), 200.min(last as usize));
            assert!(ids.is_sorted() && ids.last() == Some(&last), "{ids:?}");
            // All but the examples are the latest.
            let examples = kept.examples.len();
            let latest = ids.split_at(examples).1;
            assert!(latest.windows(2).all(|two| two[0] + 1 == two[1]), "{ids:?}");
            assert_eq!(
                ids.split_at(examples).0,
                kept.examples.keys().map(|id| id.0).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn examples_take_a_part_of_the_bytes_only() {
        let entries = |count: usize| count * size_of::<TimelineEntry>();
        let mut kept = Kept::new(100, 8 * RECORD_BYTES + entries(800));
        kept.set_examples([UnitId(1), UnitId(2)].into_iter());
        kept.push(unit(1, 500));
        kept.push(unit(2, 100));
        kept.push(unit(3, 500));
        kept.push(unit(4, 600));
        let ids: Vec<u64> = kept.list().iter().map(|unit| unit.id.0).collect();
        assert_eq!(ids, [2, 4], "the first example is too large to stay");
    }
}
