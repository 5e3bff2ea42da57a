//! The worker's side of the store: what it writes with each query, until the store takes it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use foldhash::fast::RandomState;

use super::delta::{Delta, Key};
use super::names::{Context, NameId, OTHER};
use super::{Store, lock, merge_into};
use crate::event::{
    Beside, ByShape, Moment, QueryEvent, SessionEvent, SessionFacts, ShapeRef, TransactionOutcome,
};
use crate::sql::{Fingerprint, Verb};
use crate::wire::SqlState;

/// While a reader holds the store a full delta may grow so many times as long before the worker waits for it.
const PATIENCE: usize = 4;

/// Route names that a worker remembers the numbers of.
const WORKER_ROUTES_MAX: usize = 2 * 1024;

/// A proxy worker's way into the store. With `T` it has what else it uses for each query, under one lock with its
/// figures: to take a lock is to wait until all that was written before has reached its cache.
#[derive(Debug)]
pub struct Worker<T = ()> {
    store: Arc<Store>,
    books: Arc<Mutex<Books<T>>>,
}

/// What a worker writes.
#[derive(Debug)]
struct Books<T> {
    delta: Delta,
    known: Known,
    beside: T,
}

/// Where the store takes a worker's figures from.
pub(super) trait Till: Send + Sync {
    /// Gives what was counted for an empty delta.
    fn exchange(&self, delta: &mut Delta);

    /// Whether nothing was counted since that was done last.
    fn is_empty(&self) -> bool;
}

impl<T: Send> Till for Mutex<Books<T>> {
    fn exchange(&self, delta: &mut Delta) {
        std::mem::swap(&mut lock(self).delta, delta);
    }

    fn is_empty(&self) -> bool {
        lock(self).delta.is_empty()
    }
}

impl fmt::Debug for dyn Till {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Till")
    }
}

/// A worker that counts, for one query or for several: whoever takes its figures waits.
#[derive(Debug)]
pub struct Counting<'a, T = ()> {
    store: &'a Store,
    books: MutexGuard<'a, Books<T>>,
}

/// Where it counts.
#[derive(Debug)]
pub struct Counter<'a> {
    store: &'a Store,
    delta: &'a mut Delta,
    known: &'a mut Known,
}

/// The numbers of a session's names, once one of its queries was counted. The session keeps it itself: with many of them a
/// worker's list of all would be in no cache.
#[derive(Debug, Default)]
pub struct Whose(Option<Numbers>);

#[derive(Debug)]
struct Numbers {
    /// Whose they are: facts are replaced whole.
    facts: Arc<SessionFacts>,
    context: Context,
    listener: NameId,
}

impl Whose {
    /// Looked up again when the session's facts were replaced.
    #[inline]
    fn numbers(&mut self, facts: &Arc<SessionFacts>, store: &Store) -> (Context, NameId) {
        match &self.0 {
            Some(known) if Arc::ptr_eq(&known.facts, facts) => (known.context, known.listener),
            _ => self.look_up(facts, store),
        }
    }

    #[cold]
    fn look_up(&mut self, facts: &Arc<SessionFacts>, store: &Store) -> (Context, NameId) {
        let mut names = lock(&store.names);
        let context = names.context(facts);
        let listener = names.listeners.id(&facts.listener);
        drop(names);
        self.0 = Some(Numbers {
            facts: Arc::clone(facts),
            context,
            listener,
        });
        (context, listener)
    }
}

/// What a worker has looked up already, so that a query takes no shared lock.
#[derive(Debug)]
struct Known {
    shapes: HashMap<u64, ShapeRef, RandomState>,
    /// Shapes that may be shown, which they are from then on: what is asked of each query stands here, not where they
    /// are.
    shown: ByShape<()>,
    routes: HashMap<Box<str>, NameId, RandomState>,
}

impl<T: Send + 'static> Worker<T> {
    /// One that counts for `store` from now on.
    pub(super) fn new(store: Arc<Store>, beside: T) -> Worker<T> {
        let books = Arc::new(Mutex::new(Books {
            delta: Delta::default(),
            known: Known {
                shapes: HashMap::default(),
                shown: ByShape::new(store.shapes.max()),
                routes: HashMap::default(),
            },
            beside,
        }));
        let till: Arc<dyn Till> = books.clone();
        lock(&store.workers).push(till);
        Worker { store, books }
    }
}

impl<T> Worker<T> {
    /// Begins to count. Where somebody has panicked while he counted, what is beside the figures is mended first.
    #[inline]
    pub fn begin_or_mend(&self, mend: impl FnOnce(&mut T)) -> Counting<'_, T> {
        let books = self.books.lock().unwrap_or_else(|poisoned| {
            let mut books = poisoned.into_inner();
            mend(&mut books.beside);
            self.books.clear_poison();
            books
        });
        Counting {
            store: &self.store,
            books,
        }
    }
}

impl<T> Counting<'_, T> {
    /// Where it counts, and what else there is.
    #[inline]
    pub fn split(&mut self) -> (Counter<'_>, &mut T) {
        let Books {
            delta,
            known,
            beside,
        } = &mut *self.books;
        let store = self.store;
        let counter = Counter {
            store,
            delta,
            known,
        };
        (counter, beside)
    }

    /// Where it counts.
    #[inline]
    pub fn counter(&mut self) -> Counter<'_> {
        self.split().0
    }

    /// What else there is.
    #[inline]
    pub fn beside(&mut self) -> &mut T {
        &mut self.books.beside
    }
}

impl Counter<'_> {
    /// Counts a finished query, exactly once; a full delta is merged here and now, never dropped.
    pub fn record(&mut self, whose: &mut Whose, event: &QueryEvent, beside: Beside<'_>) {
        if let Some(shape) = event.shape {
            self.known.ended(shape, event.sqlstate);
        }
        let (context, _) = whose.numbers(&event.facts, self.store);
        let route = event
            .tags
            .as_ref()
            .and_then(|tags| tags.value("route"))
            .map(|route| self.known.route(route, self.store));
        let key = Key {
            fingerprint: event.fingerprint,
            context,
        };
        let threshold = self.store.slow_threshold_ns.load(Ordering::Relaxed);
        let entry = self.delta.record(key, event, &beside, threshold);
        if let Some(route) = route {
            entry.add_route(route);
        }
        if self.delta.fullness() > 0 {
            self.make_room(event.completed_at);
        }
    }

    /// Counts what happened on a session that is not a query.
    pub fn session_event(
        &mut self,
        whose: &mut Whose,
        facts: &Arc<SessionFacts>,
        event: SessionEvent,
    ) {
        let (_, listener) = whose.numbers(facts, self.store);
        match event {
            SessionEvent::LoggedIn => {}
            SessionEvent::TransactionEnded(outcome) => {
                let counts = self.delta.listener(listener);
                match outcome {
                    TransactionOutcome::Committed => counts.committed += 1,
                    TransactionOutcome::RolledBack => counts.rolled_back += 1,
                    TransactionOutcome::Abandoned => counts.abandoned += 1,
                }
            }
            SessionEvent::IdledInTransaction(idle_ns) => {
                let counts = self.delta.listener(listener);
                counts.idle_in_transaction_ns =
                    counts.idle_in_transaction_ns.saturating_add(idle_ns);
            }
        }
    }

    /// The shape of `fingerprint`. `text` is called only when the fingerprint is new to the process; `None` when
    /// the table of fingerprints is full: its queries are then counted as `other`.
    pub fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        text: impl FnOnce() -> String,
    ) -> Option<ShapeRef> {
        if let Some(shape) = self.known.shapes.get(&fingerprint.0) {
            return Some(*shape);
        }
        let shape = self.store.shapes.get_or_add(fingerprint, verb, text)?;
        self.known.shapes.insert(fingerprint.0, shape);
        Some(shape)
    }

    /// Merges a full delta. A reader of the store is waited for only when the delta has grown far beyond its size.
    #[cold]
    fn make_room(&mut self, now: Moment) {
        let mut figures = match self.store.figures.try_lock() {
            Ok(figures) => figures,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if self.delta.fullness() < PATIENCE => return,
            Err(TryLockError::WouldBlock) => lock(&self.store.figures),
        };
        merge_into(&mut figures, self.delta, now);
        self.delta.clear();
    }
}

impl Known {
    /// A statement of this shape ended so: until one was parsed, each may be the first.
    #[inline]
    fn ended(&mut self, shape: ShapeRef, sqlstate: Option<SqlState>) {
        if self.shown.get(shape.number()).is_none() {
            shape.ended(sqlstate);
            if shape.may_be_shown() {
                self.shown.set(shape.number(), ());
            }
        }
    }

    fn route(&mut self, route: &str, store: &Store) -> NameId {
        if let Some(id) = self.routes.get(route) {
            return *id;
        }
        if self.routes.len() >= WORKER_ROUTES_MAX {
            return OTHER;
        }
        let id = lock(&store.names).routes.id(route);
        self.routes.insert(Box::from(route), id);
        id
    }
}

impl Worker {
    /// Begins to count, where nothing is beside the figures that could want mending.
    #[inline]
    pub fn begin(&self) -> Counting<'_> {
        self.begin_or_mend(|()| {})
    }
}
