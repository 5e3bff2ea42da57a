//! Follows the upstream's replies up to the first ReadyForQuery; afterwards one branch a read is left of it.

use super::Shared;
use crate::clock::Clock;
use crate::event::{Ahead, Direction, Moment, Rest, Showing, Tap};
use crate::wire::startup::{CancelKey, LoginReplies, LoginReply};

/// The tap that the relay of every session gets: it follows the login and hands everything to the session's own tap,
/// where it has one.
#[derive(Debug)]
pub(super) struct Watch<T: Tap> {
    tap: Option<T>,
    login: Option<Box<Login>>,
    clock: Clock,
}

/// A login that is not over.
#[derive(Debug, Default)]
struct Login {
    replies: LoginReplies,
    key: Option<CancelKey>,
    ended: Option<LoginEnd>,
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginEnd {
    /// ReadyForQuery was forwarded at this time.
    Complete(Moment),
    /// ErrorResponse was forwarded; the upstream will close.
    Refused,
    /// What the upstream sends is no login. It goes through all the same.
    NotFollowed,
}

impl<T: Tap> Watch<T> {
    /// For a session whose StartupMessage was seen.
    pub(super) fn login(tap: Option<T>, shared: &Shared) -> Watch<T> {
        Watch {
            tap,
            login: Some(Box::default()),
            clock: shared.clock,
        }
    }

    /// For a session whose login will not be seen.
    pub(super) fn nothing(shared: &Shared) -> Watch<T> {
        Watch {
            tap: None,
            login: None,
            clock: shared.clock,
        }
    }

    /// Whether the login is still being followed.
    pub(super) fn follows_login(&self) -> bool {
        self.login.is_some()
    }

    /// Whether what is relayed may be shown later: nobody here waits for it.
    #[inline]
    pub(super) fn can_wait(&self) -> bool {
        self.login.is_none() && self.tap.is_some()
    }

    /// Shown what was relayed while nothing here waited for it ([`Watch::can_wait`]).
    #[inline(always)]
    pub(super) fn shown(
        &mut self,
        showing: &mut impl Showing<T>,
        direction: Direction,
        bytes: &[u8],
        at: Moment,
    ) {
        if let Some(tap) = &mut self.tap {
            showing.show(tap, direction, bytes, at);
        }
    }

    /// Once the login has ended: how, and the cancel key it gave. Afterwards it is no longer followed.
    pub(super) fn take_ended_login(&mut self) -> Option<(LoginEnd, Option<CancelKey>)> {
        let ended = self.login.as_ref()?.ended?;
        let login = self.login.take()?;
        Some((ended, login.key))
    }
}

impl<T: Tap> Tap for Watch<T> {
    #[inline(always)]
    fn relayed(&mut self, direction: Direction, bytes: &[u8], at: Moment) {
        if let Some(login) = &mut self.login
            && direction == Direction::UpstreamToClient
        {
            login.follow(bytes, at);
        }
        if let Some(tap) = &mut self.tap {
            tap.relayed(direction, bytes, at);
        }
    }

    fn refused(&mut self, direction: Direction, at: Moment) {
        if let Some(tap) = &mut self.tap {
            tap.refused(direction, at);
        }
    }

    fn accepted(&mut self, direction: Direction, at: Moment) {
        if let Some(tap) = &mut self.tap {
            tap.accepted(direction, at);
        }
    }

    fn finished(&mut self, direction: Direction, at: Moment) {
        if let Some(tap) = &mut self.tap {
            tap.finished(direction, at);
        }
    }

    fn closed(&mut self, at: Moment) {
        if let Some(mut tap) = self.tap.take() {
            tap.closed(at);
        }
    }

    #[inline(always)]
    fn expect(&self, direction: Direction, ahead: Ahead) {
        if let Some(tap) = &self.tap {
            tap.expect(direction, ahead);
        }
    }

    fn rest(&self) -> Rest {
        match (&self.login, &self.tap) {
            (Some(login), _) if login.replies.is_between_messages() => Rest::BetweenMessages,
            (Some(_), _) => Rest::InMessage,
            (None, Some(tap)) => tap.rest(),
            (None, None) => Rest::Unknown,
        }
    }
}

impl<T: Tap> Drop for Watch<T> {
    /// However a session ends, its tap hears of it, once.
    fn drop(&mut self) {
        if self.tap.is_some() {
            self.closed(self.clock.now());
        }
    }
}

impl Login {
    fn follow(&mut self, mut bytes: &[u8], at: Moment) {
        while !bytes.is_empty() && self.ended.is_none() {
            match self.replies.next(&mut bytes) {
                Some(LoginReply::BackendKeyData(key)) => self.key = Some(key),
                Some(LoginReply::ReadyForQuery) => self.ended = Some(LoginEnd::Complete(at)),
                Some(LoginReply::ErrorResponse) => self.ended = Some(LoginEnd::Refused),
                Some(LoginReply::AuthenticationOk) => {}
                None if self.replies.is_lost() => self.ended = Some(LoginEnd::NotFollowed),
                None => {}
            }
        }
    }
}
