//! A socket outside of any runtime: it remembers what its reactor was told of it, and wakes nobody.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::task::Poll;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::ReadBuf;

/// A socket that its owner polls.
///
/// Readiness is edge-triggered: a read or write that moves less than was asked for has drained or filled the socket,
/// and the kernel tells when that has changed, so that no system call is made only to be told EAGAIN.
#[derive(Debug)]
pub(super) struct Direct {
    socket: Socket,
    family: Family,
    readable: Readable,
    room: Room,
    /// The kernel has told of an error on it.
    has_failed: bool,
}

/// What it was before, and will be again in a runtime.
#[derive(Debug, Clone, Copy)]
enum Family {
    Tcp,
    Unix,
}

/// A socket that nobody polls.
pub(super) enum Unpolled {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Whether a read can give anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readable {
    No,
    Yes,
    /// The peer sent FIN, or the socket failed: from now on each read says something.
    Ended,
}

/// Whether a write can take anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Yes,
    /// It was refused; the kernel was not asked to tell when there is room.
    Refused,
    /// It was refused, and the kernel will tell.
    Awaited,
}

/// How far a connect is.
pub(super) enum Connecting {
    /// It is connected.
    Done(TcpStream),
    /// When it can be written to it is, or it has an error.
    Begun(TcpStream),
}

/// Asks for a connection to `address`, without waiting for it.
pub(super) fn connect(address: SocketAddr) -> io::Result<Connecting> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    match socket.connect(&address.into()) {
        Ok(()) => return Ok(Connecting::Done(socket.into())),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    // Said before the peer's answer is looked at, which on loopback is there already.
    match socket.peer_addr() {
        Ok(_) => Ok(Connecting::Done(socket.into())),
        Err(_) => Ok(Connecting::Begun(socket.into())),
    }
}

/// Connects to a Unix socket; a server whose queue is full is an error.
pub(super) fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// A client who waits at `listener`. Its socket does not block.
pub(super) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((socket.into(), peer.ok_or(io::ErrorKind::AddrNotAvailable)?))
}

impl Direct {
    pub(super) fn tcp(stream: TcpStream) -> Direct {
        Direct::new(stream.into(), Family::Tcp)
    }

    pub(super) fn unix(stream: UnixStream) -> Direct {
        Direct::new(stream.into(), Family::Unix)
    }

    /// What it can do is found out by trying.
    fn new(socket: Socket, family: Family) -> Direct {
        Direct {
            socket,
            family,
            readable: Readable::Yes,
            room: Room::Yes,
            has_failed: false,
        }
    }

    /// The same, known as little as in the beginning.
    pub(super) fn renewed(self) -> Direct {
        Direct::new(self.socket, self.family)
    }

    pub(super) fn into_std(self) -> Unpolled {
        match self.family {
            Family::Tcp => Unpolled::Tcp(self.socket.into()),
            Family::Unix => Unpolled::Unix(self.socket.into()),
        }
    }

    pub(super) fn as_raw(&self) -> SockRef<'_> {
        SockRef::from(&self.socket)
    }

    /// Has `registry` tell of it as `token`, what can be read already included. Room is asked for only where it was
    /// refused: a Unix socket would tell of it with every message that its peer reads.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut SourceFd(&self.socket.as_raw_fd()),
            token,
            Interest::READABLE,
        )?;
        self.readable = Readable::No;
        Ok(())
    }

    /// Has `registry` tell when there is room, if a write was refused.
    pub(super) fn await_room(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        if self.room != Room::Refused {
            return Ok(());
        }
        self.room = Room::Awaited;
        registry.reregister(
            &mut SourceFd(&self.socket.as_raw_fd()),
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    pub(super) fn deregister(&self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()))
    }

    /// Takes note of what the kernel told.
    #[inline]
    pub(super) fn note(&mut self, event: &Event) {
        if event.is_error() {
            self.has_failed = true;
        }
        if event.is_read_closed() || event.is_error() {
            self.readable = Readable::Ended;
        } else if event.is_readable() && self.readable == Readable::No {
            self.readable = Readable::Yes;
        }
        if event.is_writable() || event.is_write_closed() {
            self.room = Room::Yes;
        }
    }

    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        self.readable == Readable::No
    }

    #[inline]
    pub(super) fn poll_read(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.readable == Readable::No {
            return Poll::Pending;
        }
        let unfilled = buffer.initialize_unfilled();
        let wanted = unfilled.len();
        loop {
            match rustix::net::recv(&self.socket, &mut *unfilled, RecvFlags::empty()) {
                Ok((count, _)) => {
                    if count < wanted {
                        self.drained();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::WOULDBLOCK) => {
                    self.readable = Readable::No;
                    return Poll::Pending;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// What there was has been read. A FIN behind it was told already, and is not told again.
    #[inline]
    fn drained(&mut self) {
        if self.readable == Readable::Yes {
            self.readable = Readable::No;
        }
    }

    #[inline]
    pub(super) fn poll_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(bytes.len(), |socket| {
            rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)
        })
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(slices.iter().map(|slice| slice.len()).sum(), |socket| {
            rustix::net::sendmsg(
                socket,
                slices,
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            )
        })
    }

    /// Writes by `send`, which was asked to write so many `bytes`.
    #[inline]
    fn write(
        &mut self,
        bytes: usize,
        mut send: impl FnMut(&Socket) -> Result<usize, Errno>,
    ) -> Poll<io::Result<usize>> {
        if self.room != Room::Yes {
            return Poll::Pending;
        }
        loop {
            match send(&self.socket) {
                Ok(count) => {
                    if count < bytes {
                        self.room = Room::Refused;
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::WOULDBLOCK) => {
                    self.room = Room::Refused;
                    return Poll::Pending;
                }
                Err(Errno::INTR) => {}
                Err(error) => {
                    // What the peer said before it went may have come by now, and is told with the next wait only.
                    self.readable = Readable::Ended;
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// See [`super::relay::Leg::poll_reset`].
    pub(super) fn poll_reset(&self) -> Poll<io::Error> {
        if !self.has_failed {
            return Poll::Pending;
        }
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => Poll::Ready(error),
            Ok(None) => Poll::Pending,
        }
    }
}
