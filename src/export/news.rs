//! What is new among the findings from one snapshot to the next.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::analysis::{FoundAndAdvised, Snapshot};
use crate::detect::{FindingId, Status};

/// A reader's memory of the findings it has been told.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The findings of the last snapshot, as far as they were told.
    told: HashMap<FindingId, Status>,
    /// The snapshot of which there is nothing more to tell.
    done: Option<Weak<Snapshot>>,
}

/// A finding of which there is something to tell.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) found: Arc<FoundAndAdvised>,
    /// What became of it before; `None` when it was not there.
    pub(super) before: Option<Status>,
}

impl News {
    /// A memory of all that `snapshot` holds.
    pub(super) fn since(snapshot: &Arc<Snapshot>) -> News {
        let told = snapshot.findings.iter().map(|found| {
            let finding = &found.finding;
            (finding.id, finding.status)
        });
        News {
            told: told.collect(),
            done: Some(Arc::downgrade(snapshot)),
        }
    }

    /// Whether there is nothing more to tell of `snapshot`.
    pub(super) fn is_done_with(&self, snapshot: &Arc<Snapshot>) -> bool {
        let done = self.done.as_ref();
        done.is_some_and(|done| std::ptr::eq(done.as_ptr(), Arc::as_ptr(snapshot)))
    }

    /// Findings that are new or whose status changed, at most `max`: the others come with the next call.
    pub(super) fn take(&mut self, snapshot: &Arc<Snapshot>, max: usize) -> Vec<Item> {
        if self.is_done_with(snapshot) {
            return Vec::new();
        }
        let mut items = Vec::new();
        // What the analysis has forgotten is forgotten here too: the memory is no larger than its own.
        let mut told = HashMap::with_capacity(snapshot.findings.len());
        let mut all = true;
        for found in &snapshot.findings {
            let (id, status) = (found.finding.id, found.finding.status);
            let before = self.told.get(&id).copied();
            if before == Some(status) {
                told.insert(id, status);
            } else if items.len() < max {
                told.insert(id, status);
                items.push(Item {
                    found: Arc::clone(found),
                    before,
                });
            } else {
                told.extend(before.map(|before| (id, before)));
                all = false;
            }
        }
        self.told = told;
        self.done = all.then(|| Arc::downgrade(snapshot));
        items
    }
}
