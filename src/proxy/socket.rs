//! One leg of a connection: a TCP or a Unix socket, with the options both legs get, or TLS over one.

use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::direct::{Direct, Unpolled};
use super::relay::Leg;
use super::secured::Secured;
use crate::wire::sasl::MechanismFilter;

/// Whether a socket that is accepted has the options of the one that listens.
const ARE_INHERITED: bool = cfg!(target_os = "linux");

/// TCP_NODELAY and keepalive: a dead peer is noticed after 25 s of silence (10 s, then three probes 5 s apart).
pub(super) fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(5))
            .with_retries(3),
    )
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    /// Readiness was cleared while bytes may be waiting (see [`Leg::poll_reset`]): the next read asks the kernel.
    unread: bool,
}

#[derive(Debug)]
enum Stream {
    /// In no runtime yet, and perhaps never: it goes into the present one when it has to wait.
    Fresh(Direct),
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Outside of any runtime: a reactor says when it is ready.
    Direct(Direct),
    /// On its way from the one to the other, or lost on it.
    Nowhere,
    /// Boxed: a plaintext session does not pay for it.
    Tls(Box<Secured>),
}

impl Socket {
    /// A TCP leg, connected and not blocking, with the options that all have.
    pub(super) fn from_tcp(
        stream: std::net::TcpStream,
        user_timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        set_options(&SockRef::from(&stream))?;
        Socket::with_options(stream, user_timeout)
    }

    /// A TCP leg that a listening socket with these options has accepted; not blocking.
    pub(super) fn from_accepted(
        stream: std::net::TcpStream,
        user_timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        if !ARE_INHERITED {
            set_options(&SockRef::from(&stream))?;
        }
        Socket::with_options(stream, user_timeout)
    }

    fn with_options(
        stream: std::net::TcpStream,
        user_timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        #[cfg(target_os = "linux")]
        if user_timeout.is_some() {
            SockRef::from(&stream).set_tcp_user_timeout(user_timeout)?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = user_timeout;
        Ok(Socket {
            stream: Stream::Fresh(Direct::tcp(stream)),
            unread: false,
        })
    }

    /// A Unix leg, not blocking: it needs no options, the kernel knows when its peer dies.
    pub(super) fn from_unix(stream: std::os::unix::net::UnixStream) -> Socket {
        Socket {
            stream: Stream::Fresh(Direct::unix(stream)),
            unread: false,
        }
    }

    /// TLS over a socket, its handshake done.
    pub(super) fn from_tls(stream: TlsStream<Socket>) -> Socket {
        Socket {
            stream: Stream::Tls(Box::new(Secured::new(stream))),
            unread: false,
        }
    }

    /// Whether its bytes are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The certificate that the peer showed, if it speaks TLS and showed one.
    pub(super) fn peer_certificate(&self) -> Option<CertificateDer<'static>> {
        match &self.stream {
            Stream::Tls(secured) => secured.peer_certificate(),
            Stream::Fresh(_)
            | Stream::Tcp(_)
            | Stream::Unix(_)
            | Stream::Direct(_)
            | Stream::Nowhere => None,
        }
    }

    /// Passes what is read of the upstream's login through `filter`, where this is TLS.
    pub(super) fn filter_mechanisms(&mut self, filter: MechanismFilter) {
        if let Stream::Tls(secured) = &mut self.stream {
            secured.filter_mechanisms(filter);
        }
    }

    /// Waits for the first byte and leaves it where it is; `None` when there will be none.
    pub(super) async fn peek_byte(&mut self) -> io::Result<Option<u8>> {
        self.enter_runtime()?;
        let mut byte = [0];
        match &self.stream {
            Stream::Tcp(stream) => {
                let count = stream.peek(&mut byte).await?;
                Ok((count > 0).then_some(byte[0]))
            }
            Stream::Fresh(_)
            | Stream::Unix(_)
            | Stream::Direct(_)
            | Stream::Nowhere
            | Stream::Tls(_) => Ok(None),
        }
    }

    /// Whether bytes have arrived that were not read; they stay where they are.
    pub(super) fn has_unread_bytes(&self) -> bool {
        self.as_raw()
            .is_some_and(|socket| matches!(socket.peek(&mut [MaybeUninit::uninit()]), Ok(1..)))
    }

    /// Reads what has arrived at a socket without TLS, without waiting, behind what is in `bytes`: at most `more` bytes.
    pub(super) fn read_arrived(&self, bytes: &mut Vec<u8>, more: usize) {
        let before = bytes.len();
        bytes.resize(before + more, 0);
        let room = bytes.get_mut(before..).unwrap_or_default();
        // An end is there for the next reader as well, which a reset looks like by then.
        let count = self
            .as_raw()
            .and_then(|socket| (&*socket).read(room).ok())
            .unwrap_or(0);
        bytes.truncate(before + count);
    }

    /// Takes it out of its runtime, where it is in one: from now on a reactor has to be told of it.
    pub(super) fn leave_runtime(&mut self) -> io::Result<()> {
        let direct = match std::mem::replace(&mut self.stream, Stream::Nowhere) {
            Stream::Fresh(direct) => direct,
            Stream::Tcp(stream) => Direct::tcp(stream.into_std()?),
            Stream::Unix(stream) => Direct::unix(stream.into_std()?),
            Stream::Tls(mut secured) => {
                let left = secured.socket_mut().leave_runtime();
                self.stream = Stream::Tls(secured);
                return left;
            }
            other @ (Stream::Direct(_) | Stream::Nowhere) => {
                self.stream = other;
                return Ok(());
            }
        };
        self.unread = false;
        self.stream = Stream::Direct(direct);
        Ok(())
    }

    /// Makes it one again that is in no runtime yet, after its reactor was told to forget it.
    pub(super) fn refresh(&mut self) {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Nowhere) {
            Stream::Direct(direct) => Stream::Fresh(direct.renewed()),
            other => other,
        };
    }

    /// Brings it into the present runtime.
    pub(super) fn enter_runtime(&mut self) -> io::Result<()> {
        self.stream = match std::mem::replace(&mut self.stream, Stream::Nowhere) {
            Stream::Fresh(direct) | Stream::Direct(direct) => match direct.into_std() {
                Unpolled::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
                Unpolled::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
            },
            Stream::Tls(mut secured) => {
                let entered = secured.socket_mut().enter_runtime();
                self.stream = Stream::Tls(secured);
                return entered;
            }
            other => other,
        };
        Ok(())
    }

    /// The socket that a reactor polls, where it has left its runtime.
    pub(super) fn direct_mut(&mut self) -> Option<&mut Direct> {
        match &mut self.stream {
            Stream::Direct(direct) => Some(direct),
            Stream::Tls(secured) => secured.socket_mut().direct_mut(),
            Stream::Fresh(_) | Stream::Tcp(_) | Stream::Unix(_) | Stream::Nowhere => None,
        }
    }

    /// Takes a plaintext socket out of its runtime, for somebody else to carry its bytes.
    pub(super) fn into_raw(self) -> io::Result<socket2::Socket> {
        match self.stream {
            Stream::Fresh(direct) => Ok(match direct.into_std() {
                Unpolled::Tcp(stream) => stream.into(),
                Unpolled::Unix(stream) => stream.into(),
            }),
            Stream::Tcp(stream) => Ok(stream.into_std()?.into()),
            Stream::Unix(stream) => Ok(stream.into_std()?.into()),
            Stream::Direct(_) | Stream::Nowhere | Stream::Tls(_) => Err(nowhere()),
        }
    }

    /// Closes so that the peer sees a reset, as its own peer was reset.
    pub(super) fn reset(self) {
        if let Stream::Tls(secured) = self.stream {
            return secured.into_socket().reset();
        }
        if let Some(socket) = self.as_raw() {
            // An error says that the socket is dead already, or a Unix one, which knows no reset.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }

    fn as_raw(&self) -> Option<SockRef<'_>> {
        match &self.stream {
            Stream::Tcp(stream) => Some(SockRef::from(stream)),
            Stream::Unix(stream) => Some(SockRef::from(stream)),
            Stream::Fresh(direct) | Stream::Direct(direct) => Some(direct.as_raw()),
            Stream::Tls(secured) => secured.socket().as_raw(),
            Stream::Nowhere => None,
        }
    }
}

impl Leg for Socket {
    #[inline]
    fn is_drained(&self) -> bool {
        match &self.stream {
            Stream::Direct(direct) => direct.is_drained(),
            // Those are asked, so that they know whom to wake.
            Stream::Fresh(_)
            | Stream::Tcp(_)
            | Stream::Unix(_)
            | Stream::Tls(_)
            | Stream::Nowhere => false,
        }
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let is_readable = match &mut self.stream {
            Stream::Tcp(stream) => stream.poll_read_ready(cx),
            Stream::Unix(stream) => stream.poll_read_ready(cx),
            // The reads of TLS go through that socket, which knows what it has not read.
            Stream::Tls(secured) => return secured.socket_mut().poll_reset(cx),
            Stream::Fresh(direct) | Stream::Direct(direct) => return direct.poll_reset(),
            Stream::Nowhere => return Poll::Ready(nowhere()),
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
            Stream::Fresh(_) | Stream::Tls(_) | Stream::Direct(_) | Stream::Nowhere => {
                return Poll::Pending;
            }
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
            Stream::Fresh(_) | Stream::Tls(_) | Stream::Direct(_) | Stream::Nowhere => {
                return Poll::Pending;
            }
        };
        Poll::Pending
    }
}

fn nowhere() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn would_block() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// What a socket does that is not its reactor's: kept apart from what is done for each query.
impl Socket {
    fn read_slowly(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Stream::Fresh(direct) = &mut self.stream {
            match direct.poll_read(buffer) {
                Poll::Pending => self.enter_runtime()?,
                done @ Poll::Ready(_) => return done,
            }
        }
        if self.unread
            && let Some(socket) = self.as_raw()
        {
            let unfilled = buffer.initialize_unfilled();
            let wanted = unfilled.len();
            match (&*socket).read(unfilled) {
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
            Stream::Tls(secured) => Pin::new(&mut **secured).poll_read(cx, buffer),
            Stream::Fresh(direct) | Stream::Direct(direct) => direct.poll_read(buffer),
            Stream::Nowhere => Poll::Ready(Err(nowhere())),
        }
    }

    fn write_slowly(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Stream::Fresh(direct) = &mut self.stream {
            match direct.poll_write(bytes) {
                Poll::Pending => self.enter_runtime()?,
                done @ Poll::Ready(_) => return done,
            }
        }
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(secured) => Pin::new(&mut **secured).poll_write(cx, bytes),
            Stream::Fresh(direct) | Stream::Direct(direct) => direct.poll_write(bytes),
            Stream::Nowhere => Poll::Ready(Err(nowhere())),
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Direct(direct) => direct.poll_read(buffer),
            _ => self.read_slowly(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Direct(direct) => direct.poll_write(bytes),
            _ => self.write_slowly(cx, bytes),
        }
    }

    /// TLS hands over its records together; after an error once only, so that an alert behind them would be lost.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Stream::Fresh(direct) = &mut self.stream {
            match direct.poll_write_vectored(slices) {
                Poll::Pending => self.enter_runtime()?,
                done @ Poll::Ready(_) => return done,
            }
        }
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(secured) => Pin::new(&mut **secured).poll_write_vectored(cx, slices),
            Stream::Fresh(direct) | Stream::Direct(direct) => direct.poll_write_vectored(slices),
            Stream::Nowhere => Poll::Ready(Err(nowhere())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_tls()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            // What they took is with the kernel.
            Stream::Fresh(_)
            | Stream::Tcp(_)
            | Stream::Unix(_)
            | Stream::Direct(_)
            | Stream::Nowhere => Poll::Ready(Ok(())),
            Stream::Tls(secured) => Pin::new(&mut **secured).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(secured) => Pin::new(&mut **secured).poll_shutdown(cx),
            Stream::Fresh(direct) | Stream::Direct(direct) => Poll::Ready(direct.shutdown_write()),
            Stream::Nowhere => Poll::Ready(Err(nowhere())),
        }
    }
}
