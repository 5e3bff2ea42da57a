//! Units that ended, as far as there is room for them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::unit::{TimelineEntry, UnitRecord};

/// What a record takes besides its timeline, about.
const RECORD_BYTES: usize = 256 + size_of::<UnitRecord>();

#[derive(Debug)]
pub(super) struct Kept {
    /// Newest last.
    units: VecDeque<Arc<UnitRecord>>,
    units_max: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Kept {
    pub(super) fn new(units_max: usize, bytes_max: usize) -> Kept {
        Kept {
            units: VecDeque::new(),
            units_max: units_max.max(1),
            bytes: 0,
            bytes_max,
        }
    }

    /// Keeps a unit; the oldest give way, but never this one.
    pub(super) fn push(&mut self, unit: UnitRecord) {
        self.bytes += bytes(&unit);
        self.units.push_back(Arc::new(unit));
        while self.units.len() > self.units_max
            || (self.bytes > self.bytes_max && self.units.len() > 1)
        {
            if let Some(oldest) = self.units.pop_front() {
                self.bytes -= bytes(&oldest).min(self.bytes);
            }
        }
    }

    pub(super) fn list(&self) -> Vec<Arc<UnitRecord>> {
        self.units.iter().cloned().collect()
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
    use crate::unit::{Completeness, Evidence, UnitId, UnitState};

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
            queries: statements as u64,
            shapes: 1,
            duplicates: 0,
            phases: Phases::default(),
            timeline: vec![entry; statements],
            state: UnitState::Ended,
            findings: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_give_way_in_number_and_in_bytes() {
        let mut kept = Kept::new(3, 100 * size_of::<TimelineEntry>() + 4 * RECORD_BYTES);
        (1..=4).for_each(|id| kept.push(unit(id, 10)));
        let ids = |kept: &Kept| -> Vec<u64> { kept.list().iter().map(|unit| unit.id.0).collect() };
        assert_eq!(ids(&kept), [2, 3, 4]);
        kept.push(unit(5, 85));
        assert_eq!(ids(&kept), [4, 5]);
        kept.push(unit(6, 1_000));
        assert_eq!(ids(&kept), [6], "the last one stays, whatever its size");
        kept.push(unit(7, 10));
        assert_eq!(ids(&kept), [7]);
    }
}
