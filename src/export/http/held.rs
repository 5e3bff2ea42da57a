//! A body that holds its place until it is sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes handed over at a time: what the connection does not take stays here, and with it the place.
const PIECE_BYTES: usize = 64 * 1024;

/// Text that gives its permit back when the last piece was taken or the connection ended.
pub(super) struct Held {
    text: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn new(text: String, permit: OwnedSemaphorePermit) -> Held {
        Held {
            text: Bytes::from(text),
            _permit: permit,
        }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.text.is_empty() {
            return Poll::Ready(None);
        }
        let piece = PIECE_BYTES.min(self.text.len());
        Poll::Ready(Some(Ok(Frame::data(self.text.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.len() as u64)
    }
}
