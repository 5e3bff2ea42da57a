//! The usual round of the extended protocol, taken at once: Parse, Bind, Describe and Execute of the portal without a
//! name are most drivers' whole query, come in one read, and are one entry of the pipeline instead of four.
//!
//! ```text
//!  Parse? Bind Describe? Execute   ─►  one Awaited  ─►  ParseComplete? BindComplete   RowDescription?   rows, end
//!                                                       └── Owed::Parse, Bind ──┘ └ Owed::Describe ┘ └ Owed::Execute
//! ```
//!
//! *Architecture invariant:* a cycle is short for its requests and has no rules of its own. What comes in pieces, or
//! with other names, is never one; where something fails it is spread out again ([`Cycle::spread`]).

use std::sync::Arc;

use super::asked::{Asked, Origin};
use super::awaited::{Awaited, What};
use super::backend::{Backend, COMMAND_BYTES_MAX};
use super::catalog::{Portal, Runs};
use super::columns::{DESCRIPTION_BYTES_MAX, Described};
use super::frontend::Frontend;
use super::ledger::Behind;
use super::parameters::{Prepared, read_bind};
use super::parses::Repeated;
use super::stopwatch::Mark;
use super::text::wire_name;
use super::{Conversation, Phase, Sink};
use crate::sql::NameHash;
use crate::wire::frame::{HEADER_BYTES, message};
use crate::wire::message::{CommandTag, cstring, ready_for_query};
use crate::wire::tags::{backend, frontend};

/// Requests for one query that were taken together, and what has come of them.
#[derive(Debug)]
pub(super) struct Cycle {
    /// What is owed next.
    pub owed: Owed,
    /// What was asked for by how many messages.
    pub form: Form,
    pub asked: Asked,
    /// The statement that Parse replaced.
    pub replaced: Option<Origin>,
    /// An unfinished portal that Bind replaced.
    pub replaced_portal: Option<Box<Portal>>,
    /// What its rows are, where its statement, a new one, has not been told ([`Conversation::keep_rows`]). While
    /// ParseComplete is owed: what those of the statement before were, which is the same one.
    pub described: Option<Described>,
}

/// Whose reply comes next; those of what stands before it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owed {
    Parse,
    Bind,
    Describe,
    Execute,
}

/// Which of the messages that a cycle may have it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub parses: bool,
    pub describes: bool,
}

impl Form {
    fn first(self) -> Owed {
        match self.parses {
            true => Owed::Parse,
            false => Owed::Bind,
        }
    }
}

impl Cycle {
    /// How many more replies are owed behind the next one.
    #[inline]
    pub(super) fn behind(&self) -> usize {
        let describe = usize::from(self.form.describes);
        match self.owed {
            Owed::Parse => 2 + describe,
            Owed::Bind => 1 + describe,
            Owed::Describe => 1,
            Owed::Execute => 0,
        }
    }

    /// ParseComplete came, if it was owed.
    #[inline]
    pub(super) fn parsed(&mut self) {
        self.replaced = None;
        self.described = None;
    }

    /// What was owed came.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.owed = match self.owed {
            Owed::Parse => Owed::Bind,
            Owed::Bind if self.form.describes => Owed::Describe,
            Owed::Bind | Owed::Describe | Owed::Execute => Owed::Execute,
        };
    }

    /// The requests whose replies are still owed, as they are without a cycle.
    #[cold]
    pub(super) fn spread(self, requested: Mark, request_bytes: u64) -> Vec<Awaited> {
        let (owed, portal) = (self.owed, NameHash::UNNAMED);
        if let (Some(described), Some(prepared)) = (self.described, self.asked.prepared()) {
            prepared.rows.get_or_init(|| described);
        }
        let mut requests = Vec::with_capacity(4);
        let mut push = |what, request_bytes| {
            requests.push(Awaited {
                what,
                requested,
                request_bytes,
            });
        };
        if owed <= Owed::Parse {
            let (name, previous) = (NameHash::UNNAMED, self.replaced);
            push(What::Parse { name, previous }, 0);
        }
        if owed <= Owed::Bind {
            let previous = self.replaced_portal;
            push(What::Bind { portal, previous }, 0);
        }
        if owed <= Owed::Describe && self.form.describes {
            push(What::Describe(self.asked.prepared().cloned()), 0);
        }
        let execute = What::Execute {
            portal,
            asked: self.asked,
            runs: Runs::ToItsEnd,
        };
        push(execute, request_bytes);
        requests
    }
}

/// The requests at the start of a read, where they are whole and the usual ones.
struct Requests<'a> {
    form: Form,
    /// Body of the Parse.
    parse: &'a [u8],
    /// Name of the statement that is bound.
    statement: &'a [u8],
    /// Body of the Bind behind its names.
    parameters: &'a [u8],
    /// Bytes of all of them.
    bytes: u64,
}

impl<'a> Requests<'a> {
    /// Them and what follows.
    #[inline]
    fn read(input: &'a [u8]) -> Option<(Requests<'a>, &'a [u8])> {
        let (parses, parse, behind) = match input.first() {
            Some(&frontend::PARSE) => {
                let (body, behind) = message(frontend::PARSE, input)?;
                (true, body, behind)
            }
            _ => (false, &[][..], input),
        };
        let (bind, behind) = message(frontend::BIND, behind)?;
        let (statement, parameters) = cstring(bind.strip_prefix(b"\0")?)?;
        let is_usual = !parses || (parse.first() == Some(&0) && statement.is_empty());
        let (describes, behind) = match behind.strip_prefix(b"D\0\0\0\x06P\0") {
            Some(behind) => (true, behind),
            None => (false, behind),
        };
        let behind = behind.strip_prefix(b"E\0\0\0\x09\0\0\0\0\0")?;
        let requests = Requests {
            form: Form { parses, describes },
            parse,
            statement,
            parameters,
            bytes: (input.len() - behind.len()) as u64,
        };
        is_usual.then_some((requests, behind))
    }
}

impl<S: Sink> Frontend<'_, S> {
    /// Takes the usual requests at the start of `input`; returns what follows them. `None`, and nothing is done, where
    /// others stand there, or what they parse is not known yet.
    #[inline]
    pub(super) fn cycle<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        let key = self.conversation.settings.values?;
        if self.conversation.pipeline.is_skipping() {
            return None;
        }
        let (requests, behind) = Requests::read(input)?;
        let Conversation {
            catalog,
            settings,
            dialect,
            pipeline,
            untold,
            ..
        } = &mut *self.conversation;
        let name = wire_name(requests.statement);
        let (mut asked, replaced, described) = match requests.form.parses {
            true => {
                let present = match requests.form.describes && pipeline.is_empty() {
                    true => catalog.free_statement(untold.as_ref().map(|(last, _)| last)),
                    false => None,
                };
                let body = requests.parse;
                match self.scratch.repeated(body, *dialect, settings, present)? {
                    Repeated::Present(prepared) => {
                        let told_last = untold.take_if(|(last, _)| Arc::ptr_eq(last, &prepared));
                        let (before, described) = match told_last {
                            Some((before, described)) => (before, Some(described)),
                            None => (Arc::clone(&prepared), None),
                        };
                        let asked = Origin::Parse(prepared).asked();
                        (asked, Some(Origin::Parse(before)), described)
                    }
                    Repeated::New(parsed) => {
                        let asked = parsed.clone().asked();
                        catalog.close_plain();
                        (asked, catalog.prepare(name, parsed), None)
                    }
                }
            }
            false => {
                let statement = catalog.statement(name)?;
                (statement.clone().asked(), None, None)
            }
        };
        self.request_begins();
        if let Some(prepared) = asked.prepared()
            && let Some((flow, formats)) = read_bind(key, prepared, requests.parameters)
        {
            asked.flow = Some(flow);
            asked.formats = formats;
        }
        let Conversation {
            catalog, pipeline, ..
        } = &mut *self.conversation;
        let formats = asked.formats.clone();
        let replaced_portal = catalog.open_plain(name, formats, pipeline.group_asked());
        let bytes = std::mem::take(&mut self.conversation.requests.extended_bytes) + requests.bytes;
        let cycle = || {
            What::Cycle(Cycle {
                owed: requests.form.first(),
                form: requests.form,
                asked,
                replaced,
                replaced_portal,
                described,
            })
        };
        self.push_statement(cycle, bytes);
        Some(behind)
    }
}

impl<S: Sink> Backend<'_, S> {
    /// Takes what is owed up to the rows of a cycle, or of a statement of a Query, from the start of `input`; returns
    /// what follows.
    #[inline]
    pub(super) fn usual<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        if self.conversation.phase == Phase::Login {
            return None;
        }
        let Conversation {
            pipeline, ledger, ..
        } = &mut *self.conversation;
        let cycle = match &mut pipeline.waiting()?.what {
            What::Cycle(cycle) => cycle,
            What::Statement(asked) if asked.has_rows() => return self.statement_description(input),
            _ => return None,
        };
        let (steps, behind) = match cycle.owed {
            Owed::Parse => (2, input.strip_prefix(b"1\0\0\0\x042\0\0\0\x04")?),
            Owed::Bind => (1, input.strip_prefix(b"2\0\0\0\x04")?),
            Owed::Describe => return self.cycle_description(input),
            Owed::Execute => return None,
        };
        let replaced_portal = cycle.replaced_portal.take();
        cycle.parsed();
        for _ in 0..steps {
            pipeline.advance();
        }
        ledger.reply(self.at, steps * HEADER_BYTES as u64);
        self.report_portal(replaced_portal);
        Some(behind)
    }

    /// Takes CommandComplete and the ReadyForQuery behind it, both whole, from the start of `input`; returns what
    /// follows: nearly every reply ends so, and its query need not wait to be told.
    #[inline(always)]
    pub(super) fn complete<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        let (body, behind) = message(backend::COMMAND_COMPLETE, input)?;
        let (status, rest) = message(backend::READY_FOR_QUERY, behind)?;
        let status = ready_for_query(status)?;
        let pipeline = &self.conversation.pipeline;
        let is_owed = pipeline.group_asked() > pipeline.group_answered();
        if !is_owed || self.conversation.phase == Phase::Login {
            return None;
        }
        let bytes = (input.len() - behind.len()) as u64;
        self.conversation.ledger.reply(self.at, bytes);
        let command = CommandTag::read(body.get(..COMMAND_BYTES_MAX).unwrap_or(body));
        self.command_complete(command, Behind::Ready(status));
        self.ready_for_query(status);
        Some(rest)
    }

    /// RowDescription on the way to the rows of a Query, whole.
    #[inline]
    fn statement_description<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        let (body, behind) = message(backend::ROW_DESCRIPTION, input)?;
        let Conversation {
            pipeline,
            ledger,
            results,
            settings,
            ..
        } = &mut *self.conversation;
        ledger.reply(self.at, (input.len() - behind.len()) as u64);
        if body.len() <= usize::from(DESCRIPTION_BYTES_MAX)
            && let Some(What::Statement(asked)) = pipeline.front()
            && let Some(described) = self.scratch.descriptions.read(asked.wording(), body)
        {
            results.open(described, settings);
        }
        Some(behind)
    }

    /// RowDescription or NoData, whole.
    #[inline]
    fn cycle_description<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        let (body, behind) = match input.strip_prefix(b"n\0\0\0\x04") {
            Some(behind) => (None, behind),
            None => {
                let (body, behind) = message(backend::ROW_DESCRIPTION, input)?;
                (Some(body), behind)
            }
        };
        if !self.conversation.pipeline.cycle()?.form.parses {
            self.conversation.tell_rows();
        }
        let Conversation {
            pipeline, ledger, ..
        } = &mut *self.conversation;
        let cycle = pipeline.advance()?;
        ledger.reply(self.at, (input.len() - behind.len()) as u64);
        if let Some(body) = body
            && body.len() <= usize::from(DESCRIPTION_BYTES_MAX)
            && let Some(prepared) = cycle.asked.prepared()
            && prepared.rows.get().is_none()
            && let Some(described) = self.scratch.descriptions.read(&prepared.wording, body)
        {
            match cycle.form.parses {
                true => cycle.described = Some(described),
                false => {
                    prepared.rows.get_or_init(|| described);
                }
            }
        }
        Some(behind)
    }
}

impl Conversation {
    /// A cycle is over: what its rows are is for its statement to know, once it is run again. Nearly always it is
    /// replaced instead, and telling it takes a lock.
    #[inline]
    pub(super) fn keep_rows(&mut self, prepared: Arc<Prepared>, described: Described) {
        if let Some((before, described)) = self.untold.replace((prepared, described))
            && Arc::strong_count(&before) > 1
        {
            before.rows.get_or_init(|| described);
        }
    }

    /// Rows come, or their description, of a statement that may be an old one: it is told what it should know of them.
    #[inline]
    pub(super) fn tell_rows(&mut self) {
        if let Some((prepared, described)) = self.untold.take() {
            prepared.rows.get_or_init(|| described);
        }
    }
}
