//! Where others read what the analysis knows, each at its own pace.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::Snapshot;
use crate::bell::Bell;
use crate::detect::{FindingId, IgnoreRule, Status};
use crate::event::{Moment, QueryEvent};

/// Events kept for those who watch the stream; who reads slower than that misses some, and is told how many.
pub(super) const FEED_EVENTS_MAX: usize = 1024;

/// Findings that may be muted; beyond, those go that nobody finds any more.
const MUTED_MAX: usize = 10_000;

/// What the analysis knows, and the latest events while somebody watches; for any number of readers.
#[derive(Debug, Default)]
pub struct Feed {
    recent: Mutex<Recent>,
    /// Those who watch.
    watchers: AtomicUsize,
    snapshot: ArcSwap<Snapshot>,
    /// What somebody does not want to hear of; never held while anything is worked out.
    muted: Mutex<Muted>,
    /// The last tick, nanoseconds since the start.
    ticked: AtomicU64,
    /// Ignore rules that the analysis has not taken yet.
    ignore: Mutex<Option<Vec<IgnoreRule>>>,
    /// Of whoever sleeps until there is a new finding.
    news: OnceLock<Arc<Bell>>,
}

/// What is muted, as it was when somebody asked.
pub(super) type Muted = Arc<BTreeSet<FindingId>>;

#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<QueryEvent>,
    /// Events published since the start: the number that the next one gets.
    published: u64,
    /// From here on somebody watched.
    watched_from: u64,
}

/// Events on their way to the [`Feed`].
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Since the last tick, newest last; only so many as the feed would keep.
    events: VecDeque<QueryEvent>,
    observed: u64,
    /// As in [`Recent`].
    watched_from: u64,
}

impl Fresh {
    /// An event that nobody watches; events are only copied for those who do.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.observed += 1;
        self.watched_from = self.observed;
        if !self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }

    /// An event for those who watch.
    #[cold]
    pub(super) fn keep(&mut self, event: QueryEvent) {
        self.observed += 1;
        if self.events.len() == FEED_EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Events since the start.
    pub(super) fn observed(&self) -> u64 {
        self.observed
    }
}

/// Somebody who watches the events of a [`Feed`], from when they came.
#[derive(Debug)]
pub struct Watcher {
    feed: Arc<Feed>,
    next: u64,
}

impl Watcher {
    /// At most `max` of the next events.
    pub fn read(&mut self, max: usize) -> FeedPart {
        let part = self.feed.read(self.next, max);
        self.next = part.next;
        part
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.feed.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a [`Watcher`] gets.
#[derive(Debug)]
pub struct FeedPart {
    /// Events in the order they were observed.
    pub events: Vec<QueryEvent>,
    /// The number of the event behind them, counted since the start.
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

    /// Has `bell` rung for each new finding, once the snapshot has it. There is one for the life of the process.
    pub fn tell_news(&self, bell: Arc<Bell>) {
        let _ = self.news.set(bell);
    }

    /// There is a new finding in the snapshot.
    pub(super) fn has_news(&self) {
        if let Some(bell) = self.news.get() {
            bell.ring();
        }
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

    /// Events observed since the start.
    pub fn position(&self) -> u64 {
        self.lock().published
    }

    /// Begins to watch: events that come from now on are kept, until all who watch have read them or were too slow.
    pub fn watch(self: &Arc<Self>) -> Watcher {
        let recent = self.lock();
        self.watchers.fetch_add(1, Ordering::Relaxed);
        Watcher {
            next: recent.published,
            feed: Arc::clone(self),
        }
    }

    /// Whether somebody does.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    fn read(&self, from: u64, max: usize) -> FeedPart {
        let recent = self.lock();
        // What came before anybody watched was not missed.
        let from = from.max(recent.watched_from).min(recent.published);
        let oldest = recent.published - recent.events.len() as u64;
        let start = from.max(oldest);
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

    pub(super) fn publish(&self, fresh: &mut Fresh) {
        let mut recent = self.lock();
        if fresh.watched_from > recent.published {
            recent.events = VecDeque::new();
        }
        let surplus = (recent.events.len() + fresh.events.len()).saturating_sub(FEED_EVENTS_MAX);
        let gone = surplus.min(recent.events.len());
        recent.events.drain(..gone);
        recent.events.append(&mut fresh.events);
        recent.published = fresh.observed;
        recent.watched_from = fresh.watched_from;
    }

    fn muting(&self) -> MutexGuard<'_, Muted> {
        self.muted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
