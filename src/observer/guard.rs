//! A tap that cannot hurt: whatever panics in it costs that session's observation and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::mark_unobserved;
use crate::aggregate::Store;
use crate::event::{Ahead, ConnectionStatus, Direction, Moment, Rest, Tap};

/// Wraps a [`Tap`]; after a panic in it the session goes on unobserved, with the reason `panic`.
pub struct Guarded<T> {
    tap: Option<T>,
    store: Arc<Store>,
    status: Arc<ConnectionStatus>,
}

impl<T: Tap> Guarded<T> {
    /// Guards `tap`; panics are counted in `store` and shown in `status`.
    pub fn new(tap: T, store: Arc<Store>, status: Arc<ConnectionStatus>) -> Guarded<T> {
        Guarded {
            tap: Some(tap),
            store,
            status,
        }
    }

    /// Calls the tap, where there is one.
    #[inline]
    pub(super) fn guarded(&mut self, at: Moment, call: impl FnOnce(&mut T)) -> Result<(), Gone> {
        let tap = self.tap.as_mut().ok_or(Gone::Before)?;
        catch_unwind(AssertUnwindSafe(|| call(tap))).map_err(|_| self.break_down(at))
    }

    #[cold]
    fn break_down(&mut self, at: Moment) -> Gone {
        let broken = self.tap.take();
        // What is half changed may not even be droppable.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        self.store.health().session_unobserved("panic");
        mark_unobserved(&self.status, at);
        Gone::Now
    }
}

/// There is no tap any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// It had panicked before.
    Before,
    /// It panicked in this call.
    Now,
}

impl<T: Tap> Tap for Guarded<T> {
    #[inline]
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        let _ = self.guarded(at, |tap| tap.relayed(direction, bytes, at));
    }

    fn refused(&mut self, direction: Direction, at: Moment) {
        let _ = self.guarded(at, |tap| tap.refused(direction, at));
    }

    fn accepted(&mut self, direction: Direction, at: Moment) {
        let _ = self.guarded(at, |tap| tap.accepted(direction, at));
    }

    fn finished(&mut self, direction: Direction, at: Moment) {
        let _ = self.guarded(at, |tap| tap.finished(direction, at));
    }

    fn closed(&mut self, at: Moment) {
        let _ = self.guarded(at, |tap| tap.closed(at));
    }

    #[inline]
    fn expect(&self, direction: Direction, ahead: Ahead) {
        if let Some(tap) = &self.tap {
            tap.expect(direction, ahead);
        }
    }

    fn rest(&self) -> Rest {
        let Some(tap) = &self.tap else {
            return Rest::Unknown;
        };
        catch_unwind(AssertUnwindSafe(|| tap.rest())).unwrap_or(Rest::Unknown)
    }
}
