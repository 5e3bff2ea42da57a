//! The places of the admin address: so many connections at a time, and which of them gives way when all are taken.
//!
//! A connection that nobody asks anything over costs a place for as long as it is let. Many of them, with requests
//! that never end or answers that are never read, would keep a health check waiting behind them. So a new connection
//! always gets in: the one that has waited longest gives its place up, and if none waits the one that has been
//! answered longest. Scrapes and streams stay; they are few by limits of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Nobody gives way before this: a request that comes with its connection is read by then.
const GRACE: Duration = Duration::from_millis(100);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// Waiting for a request, or for the rest of one.
    Waiting,
    /// Being answered.
    Answering,
    /// Being sent a page of metrics.
    Scraping,
    /// Being sent a stream.
    Streaming,
}

/// All places.
pub(super) struct Places {
    max: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    last: u64,
    places: BTreeMap<u64, Occupant>,
}

struct Occupant {
    doing: Doing,
    since: Instant,
    leave: Arc<Notify>,
}

/// One connection's place, given back when dropped.
pub(super) struct Place {
    id: u64,
    places: Arc<Places>,
    leave: Arc<Notify>,
    asked: AtomicBool,
}

/// A place, and whether another connection had to give it up.
pub(super) struct Given {
    pub(super) place: Place,
    pub(super) taken_away: bool,
}

impl Places {
    pub(super) fn new(max: usize) -> Arc<Places> {
        Arc::new(Places {
            max,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place, as soon as there is one or somebody can give it up.
    pub(super) async fn take(self: &Arc<Places>) -> Given {
        loop {
            let freed = self.freed.notified();
            match self.try_take(Instant::now()) {
                Ok(given) => return given,
                Err(Some(wait)) => {
                    // Whichever comes first.
                    let _ = tokio::time::timeout(wait, freed).await;
                }
                Err(None) => freed.await,
            }
        }
    }

    /// Waits until all places are free.
    pub(super) async fn all_free(&self) {
        loop {
            let freed = self.freed.notified();
            if self.taken().places.is_empty() {
                return;
            }
            freed.await;
        }
    }

    /// A place, or how long until somebody can give one up; nothing where nobody will.
    fn try_take(self: &Arc<Places>, now: Instant) -> Result<Given, Option<Duration>> {
        let mut taken = self.taken();
        let mut taken_away = false;
        if taken.places.len() >= self.max {
            let first = taken
                .places
                .iter()
                .filter(|(_, occupant)| occupant.doing <= Doing::Answering)
                .min_by_key(|(_, occupant)| (occupant.doing, occupant.since))
                .map(|(id, occupant)| (*id, occupant.since + GRACE));
            match first {
                None => return Err(None),
                Some((_, from)) if from > now => return Err(Some(from - now)),
                Some((id, _)) => {
                    if let Some(occupant) = taken.places.remove(&id) {
                        occupant.leave.notify_one();
                    }
                    taken_away = true;
                }
            }
        }
        let place = self.enter(&mut taken, now);
        Ok(Given { place, taken_away })
    }

    /// The only place there is, of a connection that no socket carries.
    pub(super) fn only() -> Place {
        let places = Places::new(1);
        let mut taken = places.taken();
        places.enter(&mut taken, Instant::now())
    }

    fn enter(self: &Arc<Places>, taken: &mut Taken, now: Instant) -> Place {
        taken.last += 1;
        let id = taken.last;
        let leave = Arc::new(Notify::new());
        taken.places.insert(
            id,
            Occupant {
                doing: Doing::Waiting,
                since: now,
                leave: Arc::clone(&leave),
            },
        );
        Place {
            id,
            places: Arc::clone(self),
            leave,
            asked: AtomicBool::new(false),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says what the connection does from now on.
    pub(super) fn set(&self, doing: Doing) {
        if doing > Doing::Waiting {
            self.asked.store(true, Ordering::Relaxed);
        }
        let mut taken = self.places.taken();
        if let Some(occupant) = taken.places.get_mut(&self.id) {
            occupant.doing = doing;
            occupant.since = Instant::now();
        }
        drop(taken);
        if doing == Doing::Waiting {
            self.places.freed.notify_waiters();
        }
    }

    /// What it does and since when; nothing once the place was given up.
    pub(super) fn doing(&self) -> Option<(Doing, Instant)> {
        let taken = self.places.taken();
        let occupant = taken.places.get(&self.id)?;
        Some((occupant.doing, occupant.since))
    }

    /// Whether a whole request ever came.
    pub(super) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ready when the place has to be given up.
    pub(super) async fn given_up(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().places.remove(&self.id);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, now: Instant) -> Option<Place> {
        places.try_take(now).ok().map(|given| given.place)
    }

    #[tokio::test]
    async fn who_has_waited_longest_gives_way_first() {
        let places = Places::new(3);
        let start = Instant::now();
        let first = take(&places, start).unwrap();
        let second = take(&places, start + Duration::from_millis(1)).unwrap();
        let third = take(&places, start + Duration::from_millis(2)).unwrap();
        assert!(
            take(&places, start + Duration::from_millis(50)).is_none(),
            "a grace for each"
        );
        first.set(Doing::Answering);
        let later = start + Duration::from_secs(1);
        let fourth = take(&places, later).unwrap();
        assert!(second.doing().is_none(), "it waited longest");
        assert!(first.doing().is_some() && third.doing().is_some());
        third.set(Doing::Scraping);
        fourth.set(Doing::Streaming);
        let fifth = take(&places, later + Duration::from_secs(1)).unwrap();
        assert!(first.doing().is_none(), "nobody waited");
        fifth.set(Doing::Streaming);
        assert!(
            take(&places, later + Duration::from_secs(9)).is_none(),
            "scrapes and streams stay"
        );
        drop(third);
        assert!(take(&places, later).is_some());
    }

    #[tokio::test]
    async fn a_place_given_back_wakes_who_waits_for_it() {
        let places = Places::new(1);
        let place = places.take().await.place;
        place.set(Doing::Streaming);
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await.taken_away }
        });
        tokio::task::yield_now().await;
        drop(place);
        assert!(!waiting.await.unwrap());
        places.all_free().await;
    }
}
