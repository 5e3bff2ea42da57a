//! What the server owes: one reply, or those to requests that came together.

use std::sync::Arc;

use super::asked::{Asked, Origin};
use super::catalog::{Portal, Runs};
use super::columns::Described;
use super::cycle::{Cycle, Owed};
use super::parameters::Prepared;
use super::stopwatch::Mark;
use crate::event::Protocol;
use crate::sql::NameHash;

/// What kind of reply is owed.
#[derive(Debug)]
pub(super) enum What {
    /// ParseComplete. Dropped by an error, it puts back what it replaced.
    Parse {
        name: NameHash,
        previous: Option<Origin>,
    },
    /// BindComplete. `previous` is an unfinished portal that it replaced.
    Bind {
        portal: NameHash,
        previous: Option<Box<Portal>>,
    },
    /// RowDescription or NoData, behind a ParameterDescription for a statement: of this prepared statement.
    Describe(Option<Arc<Prepared>>),
    /// CloseComplete.
    Close(Closing),
    /// The answer to an Execute of this portal.
    Execute {
        portal: NameHash,
        asked: Asked,
        /// [`Runs::InParts`] where its portal has been run so, by this Execute or before.
        runs: Runs,
    },
    /// The answers to Parse, Bind, Describe and Execute that came together.
    Cycle(Cycle),
    /// The answer to one statement of a Query.
    Statement(Asked),
    /// FunctionCallResponse.
    Function(Asked),
    /// ReadyForQuery.
    Ready(Group),
    /// Nothing: here the client ended (CopyDone, CopyFail) a COPY that it may have begun.
    CopyEnd,
}

impl What {
    /// Where a request that replaced or closed this portal, and is not answered, keeps what it was.
    pub(super) fn replaced_portal(
        &mut self,
        wanted: Option<NameHash>,
    ) -> Option<&mut Option<Box<Portal>>> {
        let (name, previous) = match self {
            What::Bind { portal, previous } => (*portal, previous),
            What::Close(Closing::Portal { name, previous }) => (*name, previous),
            What::Cycle(cycle) if cycle.owed <= Owed::Bind => {
                (NameHash::UNNAMED, &mut cycle.replaced_portal)
            }
            _ => return None,
        };
        wanted
            .is_none_or(|wanted| wanted == name)
            .then_some(previous)
    }
}

/// What a Close took out of the catalog.
#[derive(Debug)]
pub(super) enum Closing {
    /// A prepared statement; put back when an error drops the Close.
    Statement {
        name: NameHash,
        previous: Option<Origin>,
    },
    /// A portal, which has something to report if it was not finished.
    Portal {
        name: NameHash,
        previous: Option<Box<Portal>>,
    },
}

/// What a ReadyForQuery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// A Sync's run of extended messages.
    Sync,
    /// A Query or FunctionCall.
    Query,
}

/// A reply that is owed.
#[derive(Debug)]
pub(super) struct Awaited {
    pub what: What,
    /// When the last byte of its request was accepted.
    pub requested: Mark,
    pub request_bytes: u64,
}

/// A statement that was at the front and is complete.
#[derive(Debug)]
pub(super) struct Answered {
    pub asked: Asked,
    /// The portal that it ran, where that is run in parts.
    pub portal: Option<NameHash>,
    pub protocol: Protocol,
    /// What its rows are, where its cycle was told.
    pub described: Option<Described>,
    pub requested: Mark,
    pub request_bytes: u64,
}

/// What an entry adds to what a pipeline counts of all its entries.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub statements: usize,
    pub heap_bytes: usize,
    pub folded: usize,
    pub groups: u64,
    pub holds_portal: bool,
}

impl Share {
    #[inline(always)]
    pub(super) fn of(what: &What) -> Share {
        let statement = |asked: &Asked| Share {
            statements: 1,
            heap_bytes: asked.held_bytes(),
            ..Share::default()
        };
        match what {
            What::Execute { asked, .. } | What::Statement(asked) | What::Function(asked) => {
                statement(asked)
            }
            What::Cycle(cycle) => Share {
                folded: cycle.behind(),
                holds_portal: cycle.replaced_portal.is_some(),
                ..statement(&cycle.asked)
            },
            What::Ready(_) => Share {
                groups: 1,
                ..Share::default()
            },
            What::Bind { previous, .. } | What::Close(Closing::Portal { previous, .. }) => Share {
                holds_portal: previous.is_some(),
                ..Share::default()
            },
            What::Parse { .. } | What::Describe(_) | What::Close(_) | What::CopyEnd => {
                Share::default()
            }
        }
    }
}

impl Awaited {
    /// The requests that it stands for.
    pub(super) fn spread(self) -> Vec<Awaited> {
        let Awaited {
            what,
            requested,
            request_bytes,
        } = self;
        match what {
            What::Cycle(cycle) => cycle.spread(requested, request_bytes),
            what => vec![Awaited {
                what,
                requested,
                request_bytes,
            }],
        }
    }
}
