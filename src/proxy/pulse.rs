//! Wakes a thread that waits for sockets once in a while, as long as it wants to be woken.
//!
//! A time limit for each wait would do, and is dear: the kernel sets a timer each time and takes it back. This one is
//! set once for many waits.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};

#[cfg(target_os = "linux")]
use mio::{Interest, unix::SourceFd};
#[cfg(target_os = "linux")]
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A timer whose beats are events of the poll that it was made for.
#[derive(Debug)]
pub(super) struct Pulse {
    #[cfg(target_os = "linux")]
    timer: TimerFd,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Still,
    /// The next beat will come.
    Beating,
}

impl Pulse {
    /// Has a beat come within so long, or as was said before.
    #[inline]
    pub(super) fn beat_within(&mut self, time: Duration) -> io::Result<()> {
        match self.state {
            State::Still => self.start(time),
            State::Beating => Ok(()),
        }
    }

    /// The poll told of a beat.
    #[cold]
    pub(super) fn has_beaten(&mut self) {
        self.state = State::Still;
    }
}

#[cfg(target_os = "linux")]
impl Pulse {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Pulse> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Pulse {
            timer,
            state: State::Still,
        })
    }

    #[cold]
    fn start(&mut self, within: Duration) -> io::Result<()> {
        // Setting it anew takes the last beat back: nobody has to read it.
        let once = Expiration::OneShot(within.into());
        self.timer.set(once, TimerSetTimeFlags::empty())?;
        self.state = State::Beating;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Pulse {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Pulse> {
        Ok(Pulse {
            state: State::Still,
        })
    }

    fn start(&mut self, _: Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    const BEAT: Token = Token(7);

    #[test]
    fn it_beats_while_it_is_wanted() {
        let mut poll = Poll::new().unwrap();
        let mut pulse = Pulse::new(poll.registry(), BEAT).unwrap();
        let mut events = Events::with_capacity(4);
        let mut beats = |within: Duration| {
            poll.poll(&mut events, Some(within)).unwrap();
            events.iter().filter(|event| event.token() == BEAT).count()
        };
        assert_eq!(beats(Duration::ZERO), 0);
        for _ in 0..3 {
            for _ in 0..2 {
                pulse.beat_within(Duration::from_millis(1)).unwrap();
            }
            assert_eq!(beats(Duration::from_secs(10)), 1);
            pulse.has_beaten();
        }
        assert_eq!(beats(Duration::from_millis(20)), 0);
    }
}
