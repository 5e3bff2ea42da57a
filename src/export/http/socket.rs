//! The socket under HTTP: it makes refusals of the HTTP layer look like our own, and closes so that they arrive.
//!
//! What is no HTTP the layer below refuses by itself, with a bare status line. Such an answer is always the last of its
//! connection; here it is replaced by one in the form of all our errors, with the headers of all our answers.
//! A socket that is closed while bytes of its peer lie unread resets the connection, and the answer may be lost with
//! it: so the end is announced first, and what still comes is thrown away for a while.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::error::{self, Malformed};
use crate::aggregate::Store;

/// How long, and how many bytes, of a peer that still sends are thrown away at the end.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Bytes thrown away at a time.
const PIECE_BYTES: usize = 4096;

/// How HTTP/2 begins. The layer below knows it and says nothing, so that it is refused here.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// A connection's socket.
pub(super) struct Socket {
    stream: TcpStream,
    store: Arc<Store>,
    begun: bool,
    /// What is written in place of a bare refusal, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
    end: End,
}

/// How far closing has come.
enum End {
    NotYet,
    Lingering {
        until: Pin<Box<Sleep>>,
        bytes: usize,
    },
    Over,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, store: Arc<Store>) -> Socket {
        Socket {
            stream,
            store,
            begun: false,
            instead: None,
            end: End::NotYet,
        }
    }

    /// Answers what is no request; nothing else is answered after it.
    fn refuse(&mut self, malformed: Malformed) {
        self.store.health().admin_refused(malformed.code());
        self.instead = Some((error::whole(malformed), 0));
    }

    /// Writes the rest of what stands in place of a bare refusal.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, written)) = &mut self.instead {
            let rest = text.get(*written..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let first = !std::mem::replace(&mut self.begun, true);
        if first
            && buffer
                .filled()
                .get(before..)
                .is_some_and(|read| read.starts_with(HTTP_2))
        {
            // Nothing came, as far as the layer above can see: it closes.
            buffer.set_filled(before);
            self.refuse(Malformed::Request);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        match bare_refusal(bytes) {
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
            Some(malformed) => {
                self.refuse(malformed);
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        let this = &mut *self;
        loop {
            match &mut this.end {
                End::Over => return Poll::Ready(Ok(())),
                End::NotYet => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    let until = Box::pin(tokio::time::sleep(LINGER));
                    this.end = End::Lingering { until, bytes: 0 };
                }
                End::Lingering { until, bytes } => {
                    let mut piece = [0; PIECE_BYTES];
                    let mut piece = ReadBuf::new(&mut piece);
                    let read = Pin::new(&mut this.stream).poll_read(cx, &mut piece);
                    *bytes += piece.filled().len();
                    let more = match read {
                        Poll::Ready(Ok(())) => {
                            !piece.filled().is_empty() && *bytes < LINGER_BYTES_MAX
                        }
                        Poll::Ready(Err(_)) => false,
                        Poll::Pending => {
                            ready!(until.as_mut().poll(cx));
                            false
                        }
                    };
                    if !more {
                        this.end = End::Over;
                    }
                }
            }
        }
    }
}

/// What the HTTP layer refuses with these bytes, if they are such a refusal: the head of an error, nothing after it,
/// and none of the headers that all our own answers have.
fn bare_refusal(bytes: &[u8]) -> Option<Malformed> {
    let head = std::str::from_utf8(bytes.get(..bytes.len().min(512))?).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    if !head.ends_with("\r\n\r\n") || head.contains("x-content-type-options") {
        return None;
    }
    match status {
        "400" => Some(Malformed::Request),
        "414" => Some(Malformed::UriTooLong),
        "431" => Some(Malformed::HeadTooLong),
        _ => None,
    }
}
