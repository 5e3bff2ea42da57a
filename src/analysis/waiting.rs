//! Events whose shapes are being parsed: units and detectors need the facts, and all events behind wait with them.

use std::collections::VecDeque;

use crate::event::{ByShape, Moment, Observed, ShapeRef};

/// Events that wait; a fuller queue goes on without the facts.
const EVENTS_MAX: usize = 16_384;

/// So long an event waits at most, nanoseconds: parsing a shape takes a millisecond, a queue of new ones some more.
const WAIT_MAX_NS: u64 = 2_000_000_000;

/// Shapes of which it is remembered that their facts are known.
const SHAPES_MAX: usize = 20_000;

#[derive(Debug)]
pub(super) struct Waiting {
    /// With the tick in which each came.
    events: VecDeque<(Observed, Moment)>,
    /// Events that came, and those whose turn it was.
    came: u64,
    went: u64,
    /// Shapes whose facts are known, as they stay.
    known: ByShape<()>,
}

impl Default for Waiting {
    fn default() -> Waiting {
        Waiting {
            events: VecDeque::new(),
            came: 0,
            went: 0,
            known: ByShape::new(SHAPES_MAX),
        }
    }
}

/// A place in the order of the events that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// An event whose turn it is.
#[derive(Debug)]
pub(super) struct Next {
    pub event: Observed,
    pub facts: Facts,
}

/// Whether what an event's shape touches is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facts {
    /// As far as it ever will be.
    Known,
    /// Not in time.
    Late,
}

impl Waiting {
    /// Whether an event need not wait: nothing else does, and what its shape touches is known.
    #[inline]
    pub(super) fn lets_pass(&mut self, event: &Observed) -> bool {
        self.events.is_empty() && self.is_known(event)
    }

    /// Whether what an event's shape touches is known.
    #[inline]
    fn is_known(&mut self, event: &Observed) -> bool {
        let Some(shape) = shape(event) else {
            return true;
        };
        self.known.get(shape.number()).is_some() || self.becomes_known(shape)
    }

    #[cold]
    fn becomes_known(&mut self, shape: ShapeRef) -> bool {
        let known = is_known(shape);
        if known {
            self.known.set(shape.number(), ());
        }
        known
    }

    pub(super) fn push(&mut self, event: Observed, at: Moment) {
        self.came += 1;
        self.events.push_back((event, at));
    }

    /// The next event in order, unless it has to wait.
    pub(super) fn next(&mut self, now: Moment) -> Option<Next> {
        let (event, since) = self.events.front()?;
        let known = shape(event).is_none_or(is_known);
        let full = self.events.len() > EVENTS_MAX;
        if !known && !full && now.since(*since) < WAIT_MAX_NS {
            return None;
        }
        let (event, _) = self.events.pop_front()?;
        self.went += 1;
        if self.events.is_empty() {
            // New shapes come in waves; between them nothing waits.
            self.events = VecDeque::new();
        }
        let facts = if known { Facts::Known } else { Facts::Late };
        Some(Next { event, facts })
    }

    /// All that came up to now.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.came)
    }

    /// Whether none of what had come by then still waits.
    pub(super) fn is_past(&self, mark: Mark) -> bool {
        self.went >= mark.0
    }

    /// When the event that waits longest happened: for whoever reads the events in order, it is no later yet.
    pub(super) fn since(&self) -> Option<Moment> {
        self.events.front().map(|(event, _)| match event {
            Observed::Query(event) => event.completed_at,
            Observed::Rows(event) => event.completed_at,
            Observed::Closed(event) => event.at,
        })
    }
}

/// Whether what a shape touches is known, as far as it ever will be.
fn is_known(shape: ShapeRef) -> bool {
    shape.facts.get().is_some()
}

#[inline]
fn shape(event: &Observed) -> Option<ShapeRef> {
    match event {
        Observed::Query(event) => event.shape,
        Observed::Rows(event) => event.shape,
        Observed::Closed(_) => None,
    }
}
