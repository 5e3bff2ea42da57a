//! Replies: each message of the server ends, advances or drops entries of the pipeline.

use std::sync::Arc;

use super::catalog::{Lifetime, Portal};
use super::ledger::Progress;
use super::pipeline::{Asked, Awaited, Closing, Group, What};
use super::{Conversation, Lost, Phase, Sink};
use crate::event::{Direction, Moment, Protocol, SessionEvent, SessionFacts};
use crate::sql::{NameHash, Verb};
use crate::wire::frame::{Header, Receiver, Rest, Want};
use crate::wire::message::{self, CommandTag};
use crate::wire::tags::backend as tag;
use crate::wire::{SqlState, TransactionStatus};

/// Bytes of a message of unknown type beyond which the stream is taken for garbage.
const UNKNOWN_BYTES_MAX: u32 = 1 << 20;

/// What a query that was running when its connection ended is reported with: connection_failure.
const CONNECTION_FAILURE: SqlState = SqlState(*b"08006");

/// Looks at what the upstream sent.
pub(super) struct Backend<'a, S> {
    pub conversation: &'a mut Conversation,
    pub sink: &'a mut S,
    pub at: Moment,
}

impl<S: Sink> Receiver for Backend<'_, S> {
    #[inline]
    fn begin(&mut self, header: Header) -> Want {
        match header.tag {
            tag::DATA_ROW => {
                self.conversation.ledger.row();
                return self.attribute(header);
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
            tag::COMMAND_COMPLETE => Want::Prefix(64),
            tag::ERROR_RESPONSE => Want::Prefix(512),
            tag::PARSE_COMPLETE
            | tag::BIND_COMPLETE
            | tag::CLOSE_COMPLETE
            | tag::NO_DATA
            | tag::PORTAL_SUSPENDED
            | tag::EMPTY_QUERY_RESPONSE => self.exactly(header, 0, Want::Nothing),
            tag::ROW_DESCRIPTION
            | tag::PARAMETER_DESCRIPTION
            | tag::COPY_IN_RESPONSE
            | tag::COPY_OUT_RESPONSE
            | tag::COPY_BOTH_RESPONSE
            | tag::COPY_DONE
            | tag::FUNCTION_CALL_RESPONSE => Want::Nothing,
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
        self.without_body(header.tag);
        wanted
    }

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
            tag::COMMAND_COMPLETE => self.command_complete(CommandTag::read(prefix)),
            tag::ERROR_RESPONSE => self.error_response(message::error_response(prefix).sqlstate),
            _ => {}
        }
    }

    fn piece(&mut self, _: Header, _: &[u8], _: Rest) {}
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
            tag::AUTHENTICATION | tag::ERROR_RESPONSE => Want::Nothing,
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

    /// The server tells of each change of application_name, whichever way it came about.
    fn parameter_status(&mut self, body: &[u8]) {
        if !body.starts_with(b"application_name\0") {
            return;
        }
        if let Some((_, value)) = message::parameter_status(body)
            && *value != *self.conversation.facts.application
        {
            self.change_facts(|facts| facts.application = Arc::from(value));
        }
    }

    /// Replies whose type says all.
    fn without_body(&mut self, tag: u8) {
        match tag {
            tag::PARSE_COMPLETE => self.parse_complete(),
            tag::BIND_COMPLETE => self.bind_complete(),
            tag::CLOSE_COMPLETE => self.close_complete(),
            tag::ROW_DESCRIPTION | tag::NO_DATA => self.described(tag),
            tag::PORTAL_SUSPENDED => self.portal_suspended(),
            tag::EMPTY_QUERY_RESPONSE => self.command_complete(CommandTag(b"")),
            tag::FUNCTION_CALL_RESPONSE => self.function_call_response(),
            tag::COPY_IN_RESPONSE => {
                self.conversation.ledger.copies();
                self.conversation.pipeline.copy_in_begins();
            }
            tag::COPY_OUT_RESPONSE | tag::COPY_BOTH_RESPONSE => self.conversation.ledger.copies(),
            _ => {}
        }
    }

    fn parse_complete(&mut self) {
        match self.conversation.pipeline.front() {
            Some(Awaited {
                what: What::Parse { .. },
                ..
            }) => {
                self.conversation.pipeline.pop();
            }
            _ => self.out_of_step(tag::PARSE_COMPLETE),
        }
    }

    fn bind_complete(&mut self) {
        if !matches!(
            self.conversation.pipeline.front(),
            Some(Awaited {
                what: What::Bind { .. },
                ..
            })
        ) {
            return self.out_of_step(tag::BIND_COMPLETE);
        }
        if let Some(Awaited {
            what:
                What::Bind {
                    previous: Some(previous),
                    ..
                },
            ..
        }) = self.conversation.pipeline.pop()
        {
            self.conversation
                .ledger
                .report_portal(&self.conversation.facts, *previous, self.sink);
        }
    }

    fn close_complete(&mut self) {
        if !matches!(
            self.conversation.pipeline.front(),
            Some(Awaited {
                what: What::Close(_),
                ..
            })
        ) {
            return self.out_of_step(tag::CLOSE_COMPLETE);
        }
        if let Some(Awaited {
            what: What::Close(Closing::Portal(Some(portal))),
            ..
        }) = self.conversation.pipeline.pop()
        {
            self.conversation
                .ledger
                .report_portal(&self.conversation.facts, *portal, self.sink);
        }
    }

    fn described(&mut self, tag: u8) {
        match self.conversation.pipeline.front() {
            Some(Awaited {
                what: What::Describe,
                ..
            }) => {
                self.conversation.pipeline.pop();
            }
            Some(Awaited {
                what: What::Statement(_) | What::Execute { .. },
                ..
            }) => {}
            _ => self.out_of_step(tag),
        }
    }

    /// The portal returned as many rows as its Execute asked for: the query goes on with the next Execute.
    fn portal_suspended(&mut self) {
        let Some((portal, asked, requested, request_bytes)) = self.take_execute() else {
            return self.out_of_step(tag::PORTAL_SUSPENDED);
        };
        let conversation = &mut *self.conversation;
        let progress = conversation.ledger.measure(
            Protocol::Extended,
            requested,
            request_bytes,
            None,
            self.at,
        );
        match conversation.catalog.portal(portal) {
            Some(open) => advance(open, progress),
            None => {
                conversation
                    .ledger
                    .report(&conversation.facts, asked, progress, None, self.sink)
            }
        }
    }

    fn take_execute(&mut self) -> Option<(NameHash, Asked, super::stopwatch::Mark, u64)> {
        match self.conversation.pipeline.front()?.what {
            What::Execute { .. } => {}
            _ => return None,
        }
        let Awaited {
            what,
            requested,
            request_bytes,
        } = self.conversation.pipeline.pop()?;
        match what {
            What::Execute { portal, asked } => Some((portal, asked, requested, request_bytes)),
            _ => None,
        }
    }

    fn function_call_response(&mut self) {
        if !matches!(
            self.conversation.pipeline.front(),
            Some(Awaited {
                what: What::Function(_),
                ..
            })
        ) {
            return self.out_of_step(tag::FUNCTION_CALL_RESPONSE);
        }
        if let Some(Awaited {
            what: What::Function(asked),
            requested,
            request_bytes,
        }) = self.conversation.pipeline.pop()
        {
            let conversation = &mut *self.conversation;
            let progress = conversation.ledger.measure(
                Protocol::Function,
                requested,
                request_bytes,
                None,
                self.at,
            );
            conversation
                .ledger
                .report(&conversation.facts, asked, progress, None, self.sink);
        }
    }

    /// CommandComplete, or the EmptyQueryResponse that stands for one.
    fn command_complete(&mut self, command: CommandTag<'_>) {
        match self
            .conversation
            .pipeline
            .front()
            .map(|awaited| &awaited.what)
        {
            Some(What::Execute { .. } | What::Statement(_)) => {}
            // The server found more statements in a Query than the lexer: the surplus is not ours to name.
            Some(What::Ready(Group::Query)) => return,
            _ => return self.out_of_step(tag::COMMAND_COMPLETE),
        }
        let Some(Awaited {
            what,
            requested,
            request_bytes,
        }) = self.conversation.pipeline.pop()
        else {
            return;
        };
        let (portal, asked, protocol) = match what {
            What::Execute { portal, asked } => (Some(portal), asked, Protocol::Extended),
            What::Statement(asked) => (None, asked, Protocol::Simple),
            _ => return,
        };
        let conversation = &mut *self.conversation;
        let progress = conversation.ledger.measure(
            protocol,
            requested,
            request_bytes,
            command.rows(),
            self.at,
        );
        let facts = &conversation.facts;
        conversation
            .ledger
            .transaction_step(facts, asked.verb, command.0, self.at, self.sink);
        let suspended = portal.and_then(|name| conversation.catalog.portal(name)?.progress.take());
        let progress = match suspended {
            Some(mut so_far) => {
                so_far.add(&progress);
                so_far
            }
            None => progress,
        };
        self.conclude(asked, progress, command);
    }

    /// A statement succeeded: it changes the catalog as its verb says, and is reported, alone or with its cursor.
    fn conclude(&mut self, asked: Asked, progress: Progress, command: CommandTag<'_>) {
        let Conversation {
            catalog,
            ledger,
            facts,
            ..
        } = &mut *self.conversation;
        match (asked.verb, asked.subject) {
            (Verb::Declare, Some(cursor)) => {
                let lifetime = if asked.holdable {
                    Lifetime::Session
                } else {
                    Lifetime::Transaction
                };
                let progress = progress.of_a_cursor();
                let (replaced, evicted) = catalog.open(
                    cursor,
                    Portal {
                        asked,
                        progress: Some(progress),
                        lifetime,
                    },
                );
                for portal in [replaced, evicted].into_iter().flatten() {
                    ledger.report_portal(facts, portal, self.sink);
                }
            }
            (Verb::Fetch, Some(cursor)) if catalog.portal(cursor).is_some() => {
                if let Some(open) = catalog.portal(cursor) {
                    advance(open, progress);
                }
            }
            (Verb::Move, Some(cursor)) if catalog.portal(cursor).is_some() => {
                if let Some(open) = catalog.portal(cursor) {
                    advance(open, progress.without_rows());
                }
            }
            (Verb::Close, Some(cursor)) => match catalog.close(cursor) {
                Some(mut open) => {
                    advance(&mut open, progress.without_rows());
                    ledger.report_portal(facts, open, self.sink);
                }
                None => ledger.report(facts, asked, progress, None, self.sink),
            },
            (Verb::Close, None) => {
                for portal in catalog.take_portals() {
                    ledger.report_portal(facts, portal, self.sink);
                }
                ledger.report(facts, asked, progress, None, self.sink);
            }
            (verb, subject) => {
                match (verb, subject, &asked.prepares) {
                    (Verb::Prepare, Some(name), Some(statement)) => {
                        let prepared = Asked {
                            statement: (**statement).clone(),
                            verb: statement.verb,
                            subject: None,
                            prepares: None,
                            literal_text: None,
                            ..asked.clone()
                        };
                        catalog.prepare(name, prepared);
                    }
                    (Verb::Deallocate, Some(name), _) => {
                        catalog.deallocate(name);
                    }
                    (Verb::Deallocate, None, _) => catalog.deallocate_all(),
                    (Verb::Discard, ..) if command.0 == b"DISCARD ALL" => {
                        catalog.deallocate_all();
                        for portal in catalog.take_portals() {
                            ledger.report_portal(facts, portal, self.sink);
                        }
                    }
                    _ => {}
                }
                ledger.report(facts, asked, progress, None, self.sink);
            }
        }
    }

    fn error_response(&mut self, sqlstate: SqlState) {
        match self
            .conversation
            .pipeline
            .front()
            .map(|awaited| &awaited.what)
        {
            // Unasked: the server ends the session (57P01 and the like), or it answers what it discarded.
            None => {}
            Some(What::Ready(_)) => self.conversation.ledger.fail_pending(sqlstate),
            Some(What::Statement(_) | What::Function(_)) => self.fail_group(Group::Query, sqlstate),
            Some(_) => self.fail_group(Group::Sync, sqlstate),
        }
    }

    /// The front entry failed, and with it everything up to the group's ReadyForQuery.
    fn fail_group(&mut self, group: Group, sqlstate: SqlState) {
        let dropped = self.conversation.pipeline.drop_group(Some(group));
        if let Some((asked, requested, request_bytes, protocol)) = self.blame(dropped) {
            let Conversation {
                catalog,
                ledger,
                facts,
                ..
            } = &mut *self.conversation;
            let mut progress = ledger.measure(protocol, requested, request_bytes, None, self.at);
            let cursor = match asked.verb {
                Verb::Fetch | Verb::Move => asked.subject.and_then(|name| catalog.close(name)),
                _ => None,
            };
            let asked = match cursor {
                Some(Portal {
                    asked,
                    progress: Some(mut so_far),
                    ..
                }) => {
                    so_far.add(&progress);
                    progress = so_far;
                    asked
                }
                _ => asked,
            };
            ledger.report(facts, asked, progress, Some(sqlstate), self.sink);
        }
    }

    /// Undoes what the dropped requests had changed, last first, and finds the statement to which the error belongs:
    /// the first that was to be executed, else the one that the failed Parse or Bind was about.
    fn blame(
        &mut self,
        dropped: Vec<Awaited>,
    ) -> Option<(Asked, super::stopwatch::Mark, u64, Protocol)> {
        let catalog = &mut self.conversation.catalog;
        let mut blamed = None;
        let mut fallback = None;
        for Awaited {
            what,
            requested,
            request_bytes,
        } in dropped.into_iter().rev()
        {
            match what {
                What::Parse { name, previous } => {
                    fallback = catalog
                        .statement(name)
                        .map(|asked| (asked.clone(), requested, request_bytes, Protocol::Extended))
                        .or(fallback);
                    catalog.restore_statement(name, previous);
                }
                What::Bind { portal, previous } => {
                    fallback = catalog
                        .close(portal)
                        .map(|open| (open.asked, requested, request_bytes, Protocol::Extended))
                        .or(fallback);
                    if let Some(previous) = previous {
                        catalog.open(portal, *previous);
                    }
                }
                What::Close(Closing::Statement { name, previous }) => {
                    catalog.restore_statement(name, previous)
                }
                What::Execute { asked, .. } => {
                    blamed = Some((asked, requested, request_bytes, Protocol::Extended));
                }
                What::Statement(asked) => {
                    blamed = Some((asked, requested, request_bytes, Protocol::Simple))
                }
                What::Function(asked) => {
                    blamed = Some((asked, requested, request_bytes, Protocol::Function))
                }
                What::Close(Closing::Portal(_))
                | What::Describe
                | What::Ready(_)
                | What::CopyEnd => {}
            }
        }
        blamed.or(fallback)
    }

    fn ready_for_query(&mut self, status: TransactionStatus) {
        if self.conversation.phase == Phase::Login {
            self.conversation.phase = Phase::Open;
            self.sink
                .event(&self.conversation.facts, SessionEvent::LoggedIn, self.at);
        } else {
            let Some(left) = self.conversation.pipeline.pop_ready() else {
                return self.out_of_step(tag::READY_FOR_QUERY);
            };
            self.blame(left);
        }
        let Conversation {
            ledger,
            facts,
            catalog,
            ..
        } = &mut *self.conversation;
        ledger.ready(facts, status, self.at, self.sink);
        if status == TransactionStatus::Idle {
            for portal in catalog.end_transaction() {
                ledger.report_portal(facts, portal, self.sink);
            }
            ledger.flush(facts, self.sink);
        }
        if self.conversation.pipeline.is_empty() {
            self.conversation.ledger.stopwatch.ready(self.at);
        }
    }
}

/// A further round trip of an open portal.
fn advance(open: &mut Portal, progress: Progress) {
    match &mut open.progress {
        Some(so_far) => so_far.add(&progress),
        None => open.progress = Some(progress),
    }
}

impl Conversation {
    /// The connection ended: the statement that was being answered ended with it.
    pub(super) fn abandon_running(&mut self, at: Moment, sink: &mut impl Sink) {
        let dropped = self.pipeline.drop_everything();
        if dropped.iter().any(|awaited| {
            matches!(
                awaited.what,
                What::Execute { .. } | What::Statement(_) | What::Function(_)
            )
        }) {
            let mut backend = Backend {
                conversation: self,
                sink,
                at,
            };
            if let Some((asked, requested, request_bytes, protocol)) = backend.blame(dropped) {
                let progress = self
                    .ledger
                    .measure(protocol, requested, request_bytes, None, at);
                self.ledger
                    .report(&self.facts, asked, progress, Some(CONNECTION_FAILURE), sink);
            }
        }
    }
}
