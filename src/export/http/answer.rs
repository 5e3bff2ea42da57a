//! The body of an answer while it is sent: it says so at its connection's place, and holds its part of the bytes that
//! all answers together may have in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::places::{Doing, Place};

/// Bytes handed over at a time: what the connection does not take stays here, and with it the part of the bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// Answers up to this size need no part of the budget: a health check is answered whatever else is being sent.
pub(super) const SMALL_BYTES: u64 = 16 * 1024;

/// What one unit of [`Budget`] stands for.
const UNIT_BYTES: u64 = 1024;

/// The bytes that answers together may have in memory.
#[derive(Clone)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    units_max: u32,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Budget {
        let units = bytes_max as u64 / UNIT_BYTES;
        let units_max = u32::try_from(units).unwrap_or(u32::MAX).max(1);
        Budget {
            units: Arc::new(Semaphore::new(units_max as usize)),
            units_max,
        }
    }

    /// A part for an answer of so many bytes; an answer larger than all gets all.
    pub(super) fn part(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.units)
            .try_acquire_many_owned(units.min(self.units_max))
            .ok()
    }
}

/// A body that is being sent.
pub(super) struct Answer {
    body: Body,
    rest: Bytes,
    place: Arc<Place>,
    _part: Option<OwnedSemaphorePermit>,
}

impl Answer {
    pub(super) fn new(body: Body, place: Arc<Place>, part: Option<OwnedSemaphorePermit>) -> Answer {
        Answer {
            body,
            rest: Bytes::new(),
            place,
            _part: part,
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }
        let piece = PIECE_BYTES.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for Answer {
    /// It was sent, or nobody wants it any more.
    fn drop(&mut self) {
        self.place.set(Doing::Waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_together_have_a_budget() {
        let budget = Budget::new(10 * 1024);
        let first = budget.part(9 * 1024).unwrap();
        assert!(budget.part(2 * 1024).is_none());
        let second = budget.part(1).unwrap();
        assert!(budget.part(1).is_none());
        drop((first, second));
        assert!(budget.part(u64::MAX).is_some(), "it gets all there is");
    }
}
