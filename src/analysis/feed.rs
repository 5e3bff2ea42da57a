//! Where others read what the analysis knows, each at its own pace.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::Snapshot;
use crate::detect::{FindingId, IgnoreRule, Status};
use crate::event::{Moment, QueryEvent};

/// Events kept for those who watch the stream; who reads slower than that misses some, and is told how many.
pub(super) const FEED_EVENTS_MAX: usize = 1024;

/// Findings that may be muted; beyond, those go that nobody finds any more.
const MUTED_MAX: usize = 10_000;

/// The latest events, for any number of readers, each at its own pace.
#[derive(Debug, Default)]
pub struct Feed {
    recent: Mutex<Recent>,
    snapshot: ArcSwap<Snapshot>,
    /// What somebody does not want to hear of; never held while anything is worked out.
    muted: Mutex<Muted>,
    /// The last tick, nanoseconds since the start.
    ticked: AtomicU64,
    /// Ignore rules that the analysis has not taken yet.
    ignore: Mutex<Option<Vec<IgnoreRule>>>,
}

/// What is muted, as it was when somebody asked.
pub(super) type Muted = Arc<BTreeSet<FindingId>>;

#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<QueryEvent>,
    /// Events published since the start: the number that the next one gets.
    published: u64,
}

/// What a reader of the [`Feed`] gets.
#[derive(Debug)]
pub struct FeedPart {
    /// Events in the order they were observed.
    pub events: Vec<QueryEvent>,
    /// Where to go on from.
    pub next: u64,
    /// Events that were gone already.
    pub missed: u64,
}

impl Feed {
    /// What the analysis knew at its last tick.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Changes the ignore rules; the next tick takes them.
    pub fn set_ignore_rules(&self, rules: Vec<IgnoreRule>) {
        let mut ignore = self.ignore.lock().unwrap_or_else(PoisonError::into_inner);
        *ignore = Some(rules);
    }

    /// The ignore rules, if they changed.
    pub(super) fn take_ignore_rules(&self) -> Option<Vec<IgnoreRule>> {
        let mut ignore = self.ignore.lock().unwrap_or_else(PoisonError::into_inner);
        ignore.take()
    }

    /// What is muted now.
    pub(super) fn muted(&self) -> Muted {
        Arc::clone(&self.muting())
    }

    /// Makes `snapshot` what readers get from now on.
    pub fn publish_snapshot(&self, snapshot: Snapshot) {
        self.publish_made(snapshot, &self.muted());
    }

    /// The same for one that was made while `known` was muted.
    pub(super) fn publish_made(&self, snapshot: Snapshot, known: &Muted) {
        let muted = self.muting();
        // Who mutes does not wait for a snapshot that is being made: what they did meanwhile is done to it here.
        let mut snapshot = snapshot;
        if !Arc::ptr_eq(&muted, known) {
            for &id in muted.difference(known) {
                snapshot = snapshot.with_status(id, Status::Muted);
            }
            for &id in known.difference(&muted) {
                snapshot = snapshot.with_status(id, Status::Open);
            }
        }
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The analysis came through a tick.
    pub(super) fn ticked(&self, now: Moment) {
        self.ticked.store(now.0, Ordering::Relaxed);
    }

    /// How long it is, in nanoseconds, that the analysis came through a tick.
    pub fn silent_ns(&self, now: Moment) -> u64 {
        now.since(Moment(self.ticked.load(Ordering::Relaxed)))
    }

    /// Mutes a finding, or not any more; every snapshot from now on shows it.
    pub fn set_muted(&self, finding: FindingId, muted: bool) {
        // Held until the snapshot is changed, so that two of these calls do not cross.
        let mut all = self.muting();
        let all_muted = Arc::make_mut(&mut all);
        let status = if muted {
            if all_muted.len() >= MUTED_MAX {
                let snapshot = self.snapshot();
                let known = |id: &FindingId| snapshot.findings.iter().any(|f| f.finding.id == *id);
                all_muted.retain(known);
            }
            all_muted.insert(finding);
            Status::Muted
        } else {
            all_muted.remove(&finding);
            Status::Open
        };
        self.snapshot
            .rcu(|snapshot| snapshot.with_status(finding, status));
    }

    /// Events observed since the start: a reader that begins here gets only new ones.
    pub fn position(&self) -> u64 {
        self.lock().published
    }

    /// At most `max` events from number `from` on.
    pub fn read(&self, from: u64, max: usize) -> FeedPart {
        let recent = self.lock();
        let oldest = recent.published - recent.events.len() as u64;
        let start = from.clamp(oldest, recent.published);
        let events: Vec<QueryEvent> = recent
            .events
            .iter()
            .skip((start - oldest) as usize)
            .take(max)
            .cloned()
            .collect();
        FeedPart {
            next: start + events.len() as u64,
            missed: start.saturating_sub(from),
            events,
        }
    }

    pub(super) fn publish(&self, fresh: &mut VecDeque<QueryEvent>, published: u64) {
        let mut recent = self.lock();
        let surplus = (recent.events.len() + fresh.len()).saturating_sub(FEED_EVENTS_MAX);
        let gone = surplus.min(recent.events.len());
        recent.events.drain(..gone);
        recent.events.append(fresh);
        recent.published = published;
    }

    fn muting(&self) -> MutexGuard<'_, Muted> {
        self.muted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
