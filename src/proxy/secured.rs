//! TLS over a socket, as the relay wants its legs, and as PostgreSQL's peers really end theirs.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::socket::Socket;
use crate::wire::sasl::MechanismFilter;

/// Bytes read at a time while the login's mechanisms are looked for: no server says more before it is answered.
const FILTERED_BYTES: usize = 2048;

/// A TLS session, its handshake done.
///
/// What it took to write is encrypted and may wait inside; whoever waits for something else flushes first.
#[derive(Debug)]
pub(super) struct Secured {
    stream: TlsStream<Socket>,
    /// Until the upstream has said how it wants the client to log in, where its list must change.
    filter: Option<Box<MechanismFilter>>,
}

impl Secured {
    pub(super) fn new(stream: TlsStream<Socket>) -> Secured {
        Secured {
            stream,
            filter: None,
        }
    }

    pub(super) fn filter_mechanisms(&mut self, filter: MechanismFilter) {
        self.filter = Some(Box::new(filter));
    }

    pub(super) fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        let (_, session) = self.stream.get_ref();
        let shown = session.peer_certificates()?.first()?;
        Some(shown.clone().into_owned())
    }

    pub(super) fn socket(&self) -> &Socket {
        self.stream.get_ref().0
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket {
        self.stream.get_mut().0
    }

    pub(super) fn into_socket(self) -> Socket {
        match self.stream {
            TlsStream::Client(stream) => stream.into_inner().0,
            TlsStream::Server(stream) => stream.into_inner().0,
        }
    }

    /// Reads decrypted bytes. An end without close_notify is an end: PostgreSQL's backends exit so, and where the
    /// protocol's own messages end is seen by who reads them.
    fn poll_decrypted(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut filter) = self.filter.take() else {
            return self.poll_decrypted(cx, buffer);
        };
        let polled = loop {
            let filtered = filter.take(buffer.remaining());
            if !filtered.is_empty() {
                buffer.put_slice(&filtered);
                break Poll::Ready(Ok(()));
            }
            if filter.is_done() {
                // Nothing is left in it, and nothing more goes through it.
                return self.poll_decrypted(cx, buffer);
            }
            let mut bytes = [0; FILTERED_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match self.poll_decrypted(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => filter.finish(),
                Poll::Ready(Ok(())) => filter.put(read.filled()),
                other => break other,
            }
        };
        self.filter = Some(filter);
        polled
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
