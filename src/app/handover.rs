//! SIGUSR2: another process takes over the listening sockets while this one ends its sessions gently.
//!
//! ```text
//!  this process                                          its successor (same program, same arguments)
//!  start it, a socket pair as its stdin ───────────────► PGPRISM_HANDOVER is set: its stdin is that socket
//!  one message for each listening socket, then `end` ──► takes them, reads its configuration, starts everything
//!  has seen `ready`: stops accepting ◄────────────────── `ready`
//!  `yours` ────────────────────────────────────────────► answers on the admin address too
//! ```
//!
//! The sockets are never closed by both, so no client is refused; those in their queues are served by whoever accepts
//! first. A successor that ends, or is not ready in time, changes nothing.
//!
//! *Architecture invariant:* descriptors travel as messages and arrive as owned: no descriptor has a number that two
//! processes must agree on.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::sockets::{Offer, OfferedAddress, Offers};

/// Tells a process that its stdin is the socket over which it is handed its listening sockets.
const VARIABLE: &str = "PGPRISM_HANDOVER";
/// How long a successor may take to start. It resolves no name and waits for no upstream.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a successor that has given up may take to end.
const END_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a successor waits for each word of its predecessor, which says them one after the other.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The longest message: a name of 63 bytes and an address.
const MESSAGE_BYTES_MAX: usize = 256;
const END: &[u8] = b"end";
const READY: &[u8] = b"ready";
const YOURS: &[u8] = b"yours";

/// A socket to hand on.
#[derive(Debug)]
pub(super) struct Handed<'s> {
    pub(super) name: &'s str,
    /// What the configuration says, not where it is bound.
    pub(super) configured: SocketAddr,
    pub(super) socket: &'s TcpListener,
    pub(super) is_kept_elsewhere: bool,
}

/// How this process was called: to be kept from its start on, since the program's file may be replaced later.
#[derive(Debug, Clone)]
pub(super) struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Invocation {
    pub(super) fn of_this_process() -> io::Result<Invocation> {
        let mut arguments = std::env::args_os();
        let program = match arguments.next().map(PathBuf::from) {
            // As it was typed, so that a link that leads to a newer program is followed.
            Some(typed) if typed.components().count() > 1 => typed,
            _ => std::env::current_exe()?,
        };
        Ok(Invocation {
            program,
            arguments: arguments.collect(),
        })
    }
}

/// Why there is no successor.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandoverError {
    #[error("cannot start {}: {source}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("cannot hand the sockets over: {0}")]
    Send(#[from] io::Error),
    #[error("process {pid} ended before it was ready: {status}")]
    Ended { pid: u32, status: String },
    #[error("process {pid} was not ready within {within:?} and was ended")]
    Late { pid: u32, within: Duration },
}

/// A process that is about to take over.
#[derive(Debug)]
pub(super) struct Successor {
    child: Child,
    link: UnixStream,
}

impl Successor {
    /// Starts it and sends it the sockets.
    pub(super) fn start(
        invocation: &Invocation,
        sockets: &[Handed<'_>],
    ) -> Result<Successor, HandoverError> {
        // Messages keep their bounds, and the other end's death is seen as an end of file.
        let (link, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(io::Error::from)?;
        let child = Command::new(&invocation.program)
            .args(&invocation.arguments)
            .env(VARIABLE, "1")
            // Meant for this process: the sockets come another way.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .stdin(Stdio::from(other))
            .spawn()
            .map_err(|source| HandoverError::Spawn {
                program: invocation.program.clone(),
                source,
            })?;
        let successor = Successor {
            child,
            link: stream(link)?,
        };
        match successor.send_all(sockets) {
            Ok(()) => Ok(successor),
            // It has ended already, with a configuration that is wrong: whoever waits for it hears how.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(successor),
            Err(error) => {
                successor.abandon();
                Err(error.into())
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn send_all(&self, sockets: &[Handed<'_>]) -> io::Result<()> {
        for handed in sockets {
            send(
                &self.link,
                handed.describe().as_bytes(),
                Some(handed.socket),
            )?;
        }
        send(&self.link, END, None)
    }

    /// Waits until it is ready. May be dropped and called again.
    pub(super) async fn ready(&mut self) -> Result<(), HandoverError> {
        let mut word = [0; READY.len()];
        let pid = self.pid();
        match timeout(READY_WITHIN, self.link.read(&mut word)).await {
            Ok(Ok(count)) if &word[..count] == READY => Ok(()),
            // It has closed its end: it says why, and ends.
            Ok(_) => match timeout(END_WITHIN, self.ended()).await {
                Ok(status) => Err(HandoverError::Ended {
                    pid,
                    status: status?.to_string(),
                }),
                Err(_) => {
                    let _ = self.child.kill();
                    let status = self.child.wait()?.to_string();
                    Err(HandoverError::Ended { pid, status })
                }
            },
            Err(_) => {
                let _ = self.child.kill();
                self.child.wait()?;
                let within = READY_WITHIN;
                Err(HandoverError::Late { pid, within })
            }
        }
    }

    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Tells it that it is alone from now on.
    pub(super) fn leave_alone(self) {
        if let Err(error) = send(&self.link, YOURS, None) {
            tracing::error!(%error, "process {} is gone already", self.pid());
        }
    }

    /// Ends it: this process is told to end before it could be replaced.
    pub(super) fn abandon(self) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            // An error says that it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// The process that this one replaces.
#[derive(Debug)]
pub(super) struct Predecessor {
    link: OwnedFd,
}

impl Predecessor {
    /// Takes the sockets, where this process was started to replace another one.
    pub(super) fn meet() -> io::Result<Option<(Predecessor, Offers)>> {
        if std::env::var_os(VARIABLE).is_none_or(|value| value.is_empty()) {
            return Ok(None);
        }
        let link = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        set_socket_timeout(&link, Timeout::Recv, Some(ANSWER_WITHIN))?;
        let mut offers = Vec::new();
        loop {
            let mut message = [0; MESSAGE_BYTES_MAX];
            let (count, socket) = receive(&link, &mut message)?;
            match (&message[..count], socket) {
                (END, None) => break,
                (description, Some(socket)) => {
                    offers.extend(understand(description, socket.into()));
                }
                (b"", None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                // A newer or older version may say more.
                (_, None) => {}
            }
        }
        Ok(Some((Predecessor { link }, Offers::new(offers))))
    }

    /// Says that this process can serve, and waits until the other one has stopped accepting.
    pub(super) fn ready(self) {
        let mut answer = [0; MESSAGE_BYTES_MAX];
        let said = send(&self.link, READY, None);
        match said.and_then(|()| receive(&self.link, &mut answer)) {
            Ok((count, _)) if &answer[..count] == YOURS => {}
            // It has died, which makes this process the only one all the same.
            Ok(_) | Err(_) => tracing::warn!("the process that was to be replaced does not answer"),
        }
    }
}

impl Handed<'_> {
    fn describe(&self) -> String {
        let kept = if self.is_kept_elsewhere {
            "kept"
        } else {
            "own"
        };
        format!("{} {} {kept}", self.name, self.configured)
    }
}

/// The other direction of [`Handed::describe`].
fn understand(description: &[u8], socket: TcpListener) -> Option<Offer> {
    let mut words = std::str::from_utf8(description).ok()?.split(' ');
    let (name, address) = (words.next()?, words.next()?.parse().ok()?);
    Some(Offer {
        name: name.to_owned(),
        address: OfferedAddress::Configured(address),
        socket,
        is_kept_elsewhere: words.next() == Some("kept"),
    })
}

fn stream(link: OwnedFd) -> io::Result<UnixStream> {
    let link = std::os::unix::net::UnixStream::from(link);
    link.set_nonblocking(true)?;
    UnixStream::from_std(link)
}

fn send(link: impl AsFd, message: &[u8], socket: Option<&TcpListener>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    let descriptors = socket.map(|socket| [socket.as_fd()]);
    if let Some(descriptors) = &descriptors {
        rights.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(
        link,
        &[IoSlice::new(message)],
        &mut rights,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn receive(link: impl AsFd, message: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        link,
        &mut [IoSliceMut::new(message)],
        &mut rights,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptor = descriptors.next().and_then(|mut all| all.next());
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_described_and_understood() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = socket.local_addr().unwrap();
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let handed = Handed {
            name: "default",
            configured: "[::1]:0".parse().unwrap(),
            socket: &socket,
            is_kept_elsewhere: true,
        };
        send(&one, handed.describe().as_bytes(), Some(&socket)).unwrap();
        drop(socket);
        let mut message = [0; MESSAGE_BYTES_MAX];
        let (count, descriptor) = receive(&other, &mut message).unwrap();
        let offer = understand(&message[..count], descriptor.unwrap().into()).unwrap();
        assert_eq!(offer.name, "default");
        assert_eq!(
            offer.address,
            OfferedAddress::Configured("[::1]:0".parse().unwrap())
        );
        assert!(offer.is_kept_elsewhere);
        assert_eq!(offer.socket.local_addr().unwrap(), bound);
        std::net::TcpStream::connect(bound).unwrap();
    }

    #[test]
    fn nonsense_is_no_offer() {
        for words in ["", "default", "default nowhere own"] {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(understand(words.as_bytes(), socket).is_none(), "{words}");
        }
    }
}
