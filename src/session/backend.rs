//! Replies: each message of the server ends, advances or drops entries of the pipeline.

use std::sync::Arc;

use super::asked::WordingRef;
use super::awaited::{Answered, Awaited, Closing, Group, What};
use super::catalog::{Portal, running_portal};
use super::columns::DESCRIPTION_BYTES_MAX;
use super::cycle::Owed;
use super::ledger::{Behind, Part};
use super::parameters::Prepared;
use super::{Conversation, Lost, Phase, Scratch, Sink, dialect};
use crate::event::{Direction, Moment, Protocol, SessionEvent, SessionFacts};
use crate::wire::TransactionStatus;
use crate::wire::frame::{Header, Receiver, Rest, Want};
use crate::wire::message::{self, CommandTag, ErrorFields, Severity};
use crate::wire::tags::backend as tag;

/// Bytes of a message of unknown type beyond which the stream is taken for garbage.
const UNKNOWN_BYTES_MAX: u32 = 1 << 20;

/// Bytes of a command tag that are looked at.
pub(super) const COMMAND_BYTES_MAX: usize = 64;

/// What the description that is arriving belongs to.
#[derive(Debug)]
pub(super) enum Describing {
    /// Nobody wants it.
    Nothing,
    /// A prepared statement.
    Prepared(Arc<Prepared>),
    /// The rows that follow it, which answer this.
    Rows(WordingRef),
}

/// Looks at what the upstream sent.
pub(super) struct Backend<'a, S> {
    pub conversation: &'a mut Conversation,
    pub scratch: &'a mut Scratch,
    pub sink: &'a mut S,
    pub at: Moment,
}

impl<S: Sink> Receiver for Backend<'_, S> {
    #[inline(always)]
    fn together<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        match input.first()? {
            &tag::PARSE_COMPLETE | &tag::BIND_COMPLETE | &tag::ROW_DESCRIPTION | &tag::NO_DATA => {
                self.usual(input)
            }
            &tag::COMMAND_COMPLETE => self.complete(input),
            _ => None,
        }
    }

    #[inline(always)]
    fn begin(&mut self, header: Header) -> Want {
        match header.tag {
            tag::DATA_ROW => {
                self.conversation.ledger.row();
                self.attribute(header);
                return self.row();
            }
            tag::COPY_DATA => return self.attribute(header),
            tag::NOTICE_RESPONSE | tag::NOTIFICATION_RESPONSE | tag::NEGOTIATE_PROTOCOL_VERSION => {
                return Want::Nothing;
            }
            tag::PARAMETER_STATUS => return Want::Prefix(1024),
            tag::READY_FOR_QUERY => return self.exactly(header, 1, Want::Prefix(1)),
            _ => {}
        }
        if self.conversation.phase == Phase::Login {
            return self.login(header);
        }
        let wanted = match header.tag {
            tag::COMMAND_COMPLETE => Want::Prefix(COMMAND_BYTES_MAX as u16),
            tag::ERROR_RESPONSE => Want::Prefix(512),
            tag::PARSE_COMPLETE => return self.empty(header, Self::parse_complete),
            tag::BIND_COMPLETE => return self.empty(header, Self::bind_complete),
            tag::CLOSE_COMPLETE => return self.empty(header, Self::close_complete),
            tag::PORTAL_SUSPENDED => return self.empty(header, Self::portal_suspended),
            tag::NO_DATA => {
                return self.empty(header, |it| {
                    it.answers_describe(tag::NO_DATA);
                });
            }
            tag::EMPTY_QUERY_RESPONSE => {
                return self.empty(header, |it| {
                    it.command_complete(CommandTag(b""), Behind::Unknown);
                });
            }
            tag::ROW_DESCRIPTION | tag::PARAMETER_DESCRIPTION => {
                self.attribute(header);
                return self.description(header);
            }
            tag::COPY_IN_RESPONSE
            | tag::COPY_OUT_RESPONSE
            | tag::COPY_BOTH_RESPONSE
            | tag::COPY_DONE => Want::Nothing,
            // Its end answers the call.
            tag::FUNCTION_CALL_RESPONSE => Want::Stream,
            unknown => {
                self.sink
                    .unknown_message(Direction::UpstreamToClient, unknown);
                if header.body_bytes > UNKNOWN_BYTES_MAX {
                    self.conversation
                        .malformed(Direction::UpstreamToClient, header);
                }
                return Want::Nothing;
            }
        };
        self.attribute(header);
        self.copying(header.tag);
        wanted
    }

    #[inline(always)]
    fn prefix(&mut self, header: Header, prefix: &[u8]) {
        match header.tag {
            tag::PARAMETER_STATUS => self.parameter_status(prefix),
            tag::BACKEND_KEY_DATA => self.backend_key_data(prefix),
            tag::READY_FOR_QUERY => match message::ready_for_query(prefix) {
                Some(status) => self.ready_for_query(status),
                None => self
                    .conversation
                    .malformed(Direction::UpstreamToClient, header),
            },
            tag::COMMAND_COMPLETE => {
                self.command_complete(CommandTag::read(prefix), Behind::Unknown);
            }
            tag::ERROR_RESPONSE => self.error_response(message::error_response(prefix)),
            tag::ROW_DESCRIPTION => self.described(prefix),
            tag::PARAMETER_DESCRIPTION => {
                if let Describing::Prepared(prepared) = self.take_describing() {
                    prepared.told(prefix);
                }
            }
            _ => {}
        }
    }

    #[inline]
    fn piece(&mut self, header: Header, piece: &[u8], rest: Rest) {
        if header.tag == tag::FUNCTION_CALL_RESPONSE {
            return if rest == Rest::Last {
                self.function_call_response();
            };
        }
        if let Some(key) = self.conversation.settings.values {
            self.conversation.results.piece(key, piece, rest);
        }
    }

    #[inline]
    fn takes_runs(&self, tag: u8) -> bool {
        match tag {
            tag::DATA_ROW => self.conversation.results.skips_rows(),
            tag::COPY_DATA => true,
            _ => false,
        }
    }

    #[inline]
    fn run(&mut self, tag: u8, messages: u64, bytes: u64) {
        let Conversation {
            ledger, results, ..
        } = &mut *self.conversation;
        ledger.reply(self.at, bytes);
        if tag == tag::DATA_ROW {
            ledger.rows_came(messages);
            results.skipped(messages);
        }
    }
}

impl<S: Sink> Backend<'_, S> {
    /// The message belongs to the statement now answered.
    #[inline]
    fn attribute(&mut self, header: Header) -> Want {
        self.conversation
            .ledger
            .reply(self.at, header.message_bytes());
        Want::Nothing
    }

    /// A reply whose type says all.
    #[inline(always)]
    fn empty(&mut self, header: Header, answer: impl FnOnce(&mut Self)) -> Want {
        self.exactly(header, 0, Want::Nothing);
        self.attribute(header);
        answer(self);
        Want::Nothing
    }

    #[inline]
    fn exactly(&mut self, header: Header, body_bytes: u32, want: Want) -> Want {
        if header.body_bytes != body_bytes {
            self.conversation
                .malformed(Direction::UpstreamToClient, header);
        }
        want
    }

    fn out_of_step(&mut self, tag: u8) {
        self.conversation.lose(Lost::OutOfStep { tag });
    }

    /// Messages of the login: only the backend's process id is kept.
    fn login(&mut self, header: Header) -> Want {
        match header.tag {
            tag::BACKEND_KEY_DATA => Want::Prefix(264),
            tag::AUTHENTICATION => Want::Nothing,
            // No login goes on behind an error, whatever its severity.
            tag::ERROR_RESPONSE => {
                self.conversation.is_over = true;
                Want::Nothing
            }
            unknown => {
                self.out_of_step(unknown);
                Want::Nothing
            }
        }
    }

    fn change_facts(&mut self, change: impl FnOnce(&mut SessionFacts)) {
        change(Arc::make_mut(&mut self.conversation.facts));
    }

    fn backend_key_data(&mut self, body: &[u8]) {
        if let Some((pid, _)) = message::backend_key_data(body) {
            self.change_facts(|facts| facts.backend_pid = pid);
        }
    }

    /// The server tells of each change of these settings, whichever way it came about.
    fn parameter_status(&mut self, body: &[u8]) {
        dialect::told(&mut self.conversation.dialect, body);
        if !body.starts_with(b"application_name\0") {
            return;
        }
        if let Some((_, value)) = message::parameter_status(body)
            && *value != *self.conversation.facts.application
        {
            self.change_facts(|facts| facts.application = Arc::from(value));
        }
    }

    /// Replies that say of a statement that it is a COPY.
    #[inline]
    fn copying(&mut self, tag: u8) {
        match tag {
            tag::COPY_IN_RESPONSE => {
                self.conversation.ledger.copies();
                self.conversation.pipeline.copy_in_begins();
            }
            tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE => self.conversation.ledger.copies(),
            _ => {}
        }
    }

    fn parse_complete(&mut self) {
        if let Some(cycle) = self.conversation.pipeline.advance_over(Owed::Parse) {
            cycle.parsed();
            return;
        }
        let parsed = self.conversation.pipeline.pass(|what| match what {
            What::Parse { .. } => Some(()),
            _ => None,
        });
        if parsed.is_none() {
            self.out_of_step(tag::PARSE_COMPLETE);
        }
    }

    fn bind_complete(&mut self) {
        if let Some(cycle) = self.conversation.pipeline.advance_over(Owed::Bind) {
            let replaced = cycle.replaced_portal.take();
            return self.report_portal(replaced);
        }
        let bound = self.conversation.pipeline.pass(|what| match what {
            What::Bind { previous, .. } => Some(previous.take()),
            _ => None,
        });
        match bound {
            Some(previous) => self.report_portal(previous),
            None => self.out_of_step(tag::BIND_COMPLETE),
        }
    }

    fn close_complete(&mut self) {
        let closed = self.conversation.pipeline.pass(|what| match what {
            What::Close(Closing::Portal { previous, .. }) => Some(previous.take()),
            What::Close(Closing::Statement { .. }) => Some(None),
            _ => None,
        });
        match closed {
            Some(previous) => self.report_portal(previous),
            None => self.out_of_step(tag::CLOSE_COMPLETE),
        }
    }

    /// RowDescription or NoData: to a Describe, or on the way to a statement's rows. Returns what it tells about.
    fn answers_describe(&mut self, tag: u8) -> Describing {
        let Conversation {
            pipeline, results, ..
        } = &mut *self.conversation;
        let described = match pipeline.front() {
            Some(What::Statement(asked)) if asked.has_rows() => {
                return Describing::Rows(asked.wording().clone());
            }
            Some(What::Statement(_)) => {
                results.ignore();
                return Describing::Nothing;
            }
            Some(What::Execute { .. }) => return Describing::Nothing,
            Some(What::Cycle(cycle)) if cycle.owed == Owed::Execute => return Describing::Nothing,
            Some(What::Cycle(cycle)) if cycle.owed == Owed::Describe => {
                let prepared = cycle.asked.prepared().cloned();
                pipeline.advance();
                Some(prepared)
            }
            _ => pipeline.pass(|what| match what {
                What::Describe(prepared) => Some(prepared.take()),
                _ => None,
            }),
        };
        match described {
            Some(prepared) => prepared.map_or(Describing::Nothing, Describing::Prepared),
            None => {
                self.out_of_step(tag);
                Describing::Nothing
            }
        }
    }

    /// A RowDescription or ParameterDescription begins: how much of it is wanted.
    fn description(&mut self, header: Header) -> Want {
        self.conversation.tell_rows();
        let describing = match (header.tag, self.conversation.pipeline.front()) {
            (tag::ROW_DESCRIPTION, _) => match self.answers_describe(header.tag) {
                Describing::Prepared(prepared) if prepared.rows.get().is_some() => {
                    Describing::Nothing
                }
                describing => describing,
            },
            // The RowDescription that follows ends what it answers.
            (_, Some(What::Describe(Some(prepared)))) => Describing::Prepared(Arc::clone(prepared)),
            _ => Describing::Nothing,
        };
        let wanted = u16::try_from(header.body_bytes)
            .ok()
            .filter(|bytes| *bytes <= DESCRIPTION_BYTES_MAX);
        match (describing, wanted) {
            (Describing::Nothing, _) | (_, None) => Want::Nothing,
            (describing, Some(bytes)) => {
                self.conversation.describing = describing;
                Want::Prefix(bytes)
            }
        }
    }

    fn take_describing(&mut self) -> Describing {
        std::mem::replace(&mut self.conversation.describing, Describing::Nothing)
    }

    /// A RowDescription came that somebody wants.
    fn described(&mut self, body: &[u8]) {
        let describing = self.take_describing();
        let Conversation {
            results, settings, ..
        } = &mut *self.conversation;
        match describing {
            Describing::Nothing => {}
            Describing::Prepared(prepared) => {
                if let Some(described) = self.scratch.descriptions.read(&prepared.wording, body) {
                    prepared.rows.get_or_init(|| described);
                }
            }
            Describing::Rows(wording) => {
                if let Some(described) = self.scratch.descriptions.read(&wording, body) {
                    results.open(described, settings);
                }
            }
        }
    }

    /// A DataRow begins.
    #[inline]
    fn row(&mut self) -> Want {
        if self.conversation.results.is_closed() {
            self.first_row();
        }
        self.conversation.results.row()
    }

    /// The first row of a result that had no description of its own: its prepared statement may have.
    fn first_row(&mut self) {
        let cycle = self.conversation.pipeline.cycle();
        if cycle.is_none_or(|cycle| cycle.described.is_none()) {
            self.conversation.tell_rows();
        }
        let Conversation {
            pipeline,
            results,
            settings,
            ..
        } = &mut *self.conversation;
        let (asked, described) = match pipeline.front() {
            Some(What::Execute { asked, .. }) => (asked, None),
            Some(What::Cycle(cycle)) if cycle.owed == Owed::Execute => {
                (&cycle.asked, cycle.described.as_ref())
            }
            _ => return results.ignore(),
        };
        match described.or_else(|| asked.prepared()?.rows.get()) {
            Some(described) if asked.has_rows() => {
                results.open(asked.formats.of_rows(described), settings);
            }
            _ => results.ignore(),
        }
    }

    /// The portal returned as many rows as its Execute asked for: the query goes on with the next Execute.
    fn portal_suspended(&mut self) {
        self.conversation.pipeline.spread_front();
        let Some(Awaited {
            what: What::Execute { portal, asked, .. },
            requested,
            request_bytes,
        }) = self.take(|what| matches!(what, What::Execute { .. }))
        else {
            return self.out_of_step(tag::PORTAL_SUSPENDED);
        };
        let Conversation {
            catalog,
            pipeline,
            ledger,
            facts,
            results,
            ..
        } = &mut *self.conversation;
        let mut progress =
            ledger.measure(Protocol::Extended, requested, request_bytes, None, self.at);
        progress.cursor = Some(portal);
        let open = running_portal(pipeline, catalog, portal);
        if let Some(result) = results.take(self.sink) {
            let so_far = open.as_ref().and_then(|open| open.progress.as_deref());
            let part = Part {
                asked: &asked,
                cursor: portal,
                first: so_far.unwrap_or(&progress),
                completed_at: self.at,
            };
            ledger.rows(facts, part, result, self.sink);
        }
        match open {
            Some(open) => open.advance(progress),
            None => {
                let behind = Behind::Unknown;
                ledger.report(facts, asked, &progress, None, behind, self.sink);
            }
        }
    }

    fn function_call_response(&mut self) {
        let Some(Awaited {
            what: What::Function(asked),
            requested,
            request_bytes,
        }) = self.take(|what| matches!(what, What::Function(_)))
        else {
            return self.out_of_step(tag::FUNCTION_CALL_RESPONSE);
        };
        let Conversation { ledger, facts, .. } = &mut *self.conversation;
        let progress = ledger.measure(Protocol::Function, requested, request_bytes, None, self.at);
        let behind = Behind::Unknown;
        ledger.report(facts, asked, &progress, None, behind, self.sink);
    }

    /// CommandComplete, or the EmptyQueryResponse that stands for one.
    pub(super) fn command_complete(&mut self, command: CommandTag<'_>, behind: Behind) {
        let Some(Answered {
            asked,
            portal,
            protocol,
            described,
            requested,
            request_bytes,
        }) = self.conversation.pipeline.pop_statement()
        else {
            // The server may find more statements in a Query than the lexer: the surplus is not ours to name.
            self.conversation.results.forget();
            return match self.conversation.pipeline.front() {
                Some(What::Ready(Group::Query)) => {}
                _ => self.out_of_step(tag::COMMAND_COMPLETE),
            };
        };
        let Conversation {
            catalog,
            pipeline,
            ledger,
            facts,
            ..
        } = &mut *self.conversation;
        let mut progress =
            ledger.measure(protocol, requested, request_bytes, command.rows(), self.at);
        ledger.transaction_step(facts, asked.wording().verb, command.0, self.at, self.sink);
        if let Some(so_far) =
            portal.and_then(|name| running_portal(pipeline, catalog, name)?.progress.take())
        {
            progress = so_far.and(&progress);
        }
        self.conversation
            .conclude(asked, described, &progress, command, behind, self.sink);
    }

    fn error_response(&mut self, ErrorFields { severity, sqlstate }: ErrorFields) {
        if severity == Severity::Fatal {
            self.conversation.is_over = true;
        }
        let group = match self.conversation.pipeline.front() {
            // Unasked: the server ends the session (57P01 and the like), or it answers what it discarded.
            None => return,
            // The session was ended, which no statement that had completed is to blame for.
            Some(What::Ready(_)) if severity == Severity::Fatal => return,
            Some(What::Ready(_)) => return self.conversation.ledger.fail_pending(sqlstate),
            Some(What::Statement(_) | What::Function(_)) => Group::Query,
            Some(_) => Group::Sync,
        };
        self.conversation
            .fail_group(group, sqlstate, self.at, self.sink);
    }

    pub(super) fn ready_for_query(&mut self, status: TransactionStatus) {
        if self.conversation.phase == Phase::Login {
            self.conversation.phase = Phase::Open;
            self.conversation.ledger.stopwatch.opened(self.at);
            self.sink
                .event(&self.conversation.facts, SessionEvent::LoggedIn, self.at);
        } else {
            let Some(left) = self.conversation.pipeline.pop_ready() else {
                return self.out_of_step(tag::READY_FOR_QUERY);
            };
            self.conversation.undo(left);
        }
        let Conversation {
            ledger,
            facts,
            catalog,
            pipeline,
            results,
            ..
        } = &mut *self.conversation;
        results.forget();
        ledger.ready(facts, status, self.at, self.sink);
        if status == TransactionStatus::Idle {
            let group = pipeline.group_answered();
            if !catalog.ends_quietly(group) || pipeline.holds_portals() {
                let ended = catalog.end_transaction(group);
                for portal in ended.into_iter().chain(pipeline.end_transaction()) {
                    ledger.report_portal(facts, portal, self.sink);
                }
            }
        }
        ledger.put_away(facts, self.sink);
        if pipeline.is_empty() {
            ledger.stopwatch.ready(self.at);
            self.conversation.dialect.unsettled = false;
        }
    }

    /// Takes the front entry if it is what this reply answers.
    fn take(&mut self, answered: impl FnOnce(&What) -> bool) -> Option<Awaited> {
        let pipeline = &mut self.conversation.pipeline;
        if pipeline.front().is_some_and(answered) {
            pipeline.pop()
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn report_portal(&mut self, portal: Option<Box<Portal>>) {
        if let Some(portal) = portal {
            let Conversation { ledger, facts, .. } = &mut *self.conversation;
            ledger.report_portal(facts, *portal, self.sink);
        }
    }
}
