//! One leg of a connection: a TCP or a Unix socket, with the options both legs get.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::relay::Leg;

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    /// Readiness was cleared while bytes may be waiting (see [`Leg::poll_reset`]): the next read asks the kernel.
    unread: bool,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// A TCP leg with TCP_NODELAY and keepalive: a dead peer is noticed after 25 s of silence (10 s, then three
    /// probes 5 s apart).
    pub(super) fn from_tcp(
        stream: TcpStream,
        user_timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_secs(10))
                .with_interval(Duration::from_secs(5))
                .with_retries(3),
        )?;
        #[cfg(target_os = "linux")]
        if user_timeout.is_some() {
            socket.set_tcp_user_timeout(user_timeout)?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = user_timeout;
        Ok(Socket {
            stream: Stream::Tcp(stream),
            unread: false,
        })
    }

    /// A Unix leg: it needs no options, the kernel knows when its peer dies.
    pub(super) fn from_unix(stream: UnixStream) -> Socket {
        Socket {
            stream: Stream::Unix(stream),
            unread: false,
        }
    }

    /// Whether bytes have arrived that were not read; they stay where they are.
    pub(super) fn has_unread_bytes(&self) -> bool {
        matches!(self.as_raw().peek(&mut [MaybeUninit::uninit()]), Ok(1..))
    }

    /// Closes so that the peer sees a reset, as its own peer was reset.
    pub(super) fn reset(self) {
        if let Stream::Tcp(_) = self.stream {
            // An error says that the socket is dead already.
            let _ = self.as_raw().set_linger(Some(Duration::ZERO));
        }
    }

    fn as_raw(&self) -> SockRef<'_> {
        match &self.stream {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
        }
    }
}

impl Leg for Socket {
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let is_readable = match &self.stream {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Unix(stream) => stream.poll_read_ready(cx),
        };
        if let Err(error) = ready!(is_readable) {
            return Poll::Ready(error);
        }
        let (error, cleared) = match &self.stream {
            Stream::Tcp(stream) => (
                stream.take_error(),
                stream.try_io(Interest::READABLE, would_block),
            ),
            Stream::Unix(stream) => (
                stream.take_error(),
                stream.try_io(Interest::READABLE, would_block),
            ),
        };
        if let Ok(Some(error)) | Err(error) = error {
            return Poll::Ready(error);
        }
        // It was readable and nobody reads: readiness had to be cleared, or nothing new could wake us.
        debug_assert!(cleared.is_err());
        self.unread = true;
        // Ready again means that a FIN waits behind the bytes: no reset is to be expected after it.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Unix(stream) => stream.poll_read_ready(cx),
        };
        Poll::Pending
    }
}

fn would_block() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread {
            let unfilled = buffer.initialize_unfilled();
            let wanted = unfilled.len();
            match (&*self.as_raw()).read(unfilled) {
                Ok(count) => {
                    self.unread = count == wanted;
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread = false,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
