//! Ends a wait for sockets at a time that is exact to some microseconds: epoll alone counts in whole milliseconds.

use std::io;
use std::time::Duration;

use mio::{Registry, Token};

#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};

#[cfg(target_os = "linux")]
use mio::{Interest, unix::SourceFd};
#[cfg(target_os = "linux")]
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Rings once, as an event of the poll that it was made for.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(super) struct Alarm(TimerFd);

#[cfg(target_os = "linux")]
impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        // Otherwise the kernel may be 50 us late, to wake several at once.
        let _ = nix::sys::prctl::set_timerslack(1);
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Alarm(timer))
    }

    /// Rings in so much time. Returns how long the poll may wait: as long as it likes.
    pub(super) fn set(&mut self, left: Duration) -> io::Result<Option<Duration>> {
        // Zero would switch it off.
        let left = left.max(Duration::from_nanos(1));
        self.0
            .set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
        Ok(None)
    }
}

/// Where the poll itself counts in nanoseconds, as kqueue does.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Alarm> {
        Ok(Alarm)
    }

    /// How long the poll may wait.
    pub(super) fn set(&mut self, left: Duration) -> io::Result<Option<Duration>> {
        Ok(Some(left))
    }
}
