//! Requests: what the client's messages ask for becomes entries of the pipeline.

use std::sync::Arc;

use super::asked::{Asked, Origin, Wording};
use super::awaited::{Closing, Group, What};
use super::catalog::{Lifetime, Portal, Runs};
use super::owing::{Owing, Reading};
use super::parameters::{BindReader, Formats, Prepared, read_bind};
use super::text::{Carrier, Scratch, Source, TextInFlight, wire_name};
use super::{Conversation, Sink};
use crate::event::{Direction, Flow, Moment};
use crate::sql::value::ValueKey;
use crate::wire::frame::{self, Header, Receiver, Rest, Want};
use crate::wire::message::{self, Target};
use crate::wire::tags::frontend as tag;

/// Bytes of a Bind, Execute, Close that are looked at: two names of at most 255 bytes each.
const NAMES_BYTES: u16 = 512;

/// What stands for a prepared statement whose Parse was never seen, or was forgotten.
const UNSEEN: &[u8] = b"EXECUTE unseen";

/// Requests that are half here.
#[derive(Default)]
pub(super) struct Requests {
    text: Option<Box<TextInFlight>>,
    bind: Option<Box<BindInFlight>>,
    /// Bytes of the Parse, Bind and Describe messages since the last Execute.
    pub(super) extended_bytes: u64,
}

impl Requests {
    pub(super) fn in_message(&self) -> bool {
        self.text.is_some() || self.bind.is_some()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.held_bytes())
            + self.bind.as_ref().map_or(0, |bind| bind.held_bytes())
    }
}

/// A Bind of which a part came.
#[derive(Default)]
struct BindInFlight {
    /// Its beginning, until both names are there.
    head: Vec<u8>,
    /// What stands behind the names; `None` while they are not there, or when nobody wants it.
    reader: Option<BindReader>,
}

impl BindInFlight {
    fn held_bytes(&self) -> usize {
        size_of::<BindInFlight>()
            + self.head.capacity()
            + self.reader.as_ref().map_or(0, BindReader::held_bytes)
    }
}

/// The names at the beginning of a Bind, portal and statement, and what stands behind them.
fn bind_names(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (portal, rest) = message::cstring(body)?;
    let (statement, rest) = message::cstring(rest)?;
    Some((portal, statement, rest))
}

/// Looks at what the client sent.
pub(super) struct Frontend<'a, S> {
    pub conversation: &'a mut Conversation,
    pub scratch: &'a mut Scratch,
    pub sink: &'a mut S,
    pub at: Moment,
}

impl<S: Sink> Receiver for Frontend<'_, S> {
    #[inline(always)]
    fn together<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        match input.first()? {
            &tag::PARSE | &tag::BIND => self.cycle(input),
            &tag::QUERY => self.whole_query(input),
            _ => None,
        }
    }

    #[inline(always)]
    fn begin(&mut self, header: Header) -> Want {
        // Requests may be sent before the login is complete; the server answers them behind its first ReadyForQuery.
        match header.tag {
            tag::COPY_DATA => {
                self.conversation.ledger.fed(header.message_bytes());
                return Want::Nothing;
            }
            tag::COPY_DONE | tag::COPY_FAIL => {
                let now = self.conversation.ledger.stopwatch.mark(self.at);
                self.conversation.pipeline.copy_ends(now);
                return Want::Nothing;
            }
            tag::SYNC => {
                self.request_begins();
                let now = self.conversation.ledger.stopwatch.mark(self.at);
                self.conversation.pipeline.push_sync(now);
                self.conversation.requests.extended_bytes = 0;
                return Want::Nothing;
            }
            tag::FLUSH | tag::TERMINATE | tag::PASSWORD => return Want::Nothing,
            _ if self.conversation.pipeline.is_skipping() => return Want::Nothing,
            _ => {}
        }
        match header.tag {
            tag::QUERY | tag::PARSE | tag::FUNCTION_CALL => {
                self.request_begins();
                Want::Stream
            }
            tag::BIND if self.conversation.settings.values.is_some() => {
                self.request_begins();
                Want::Stream
            }
            tag::BIND | tag::EXECUTE | tag::CLOSE | tag::DESCRIBE => {
                self.request_begins();
                Want::Prefix(NAMES_BYTES)
            }
            unknown => {
                self.sink
                    .unknown_message(Direction::ClientToUpstream, unknown);
                Want::Nothing
            }
        }
    }

    #[inline(always)]
    fn prefix(&mut self, header: Header, prefix: &[u8]) {
        let understood = match header.tag {
            tag::BIND => bind_names(prefix).and_then(|(portal, statement, _)| {
                self.bind(header, portal, statement, |_, _| None)
            }),
            tag::DESCRIBE => self.describe(header, prefix),
            tag::EXECUTE => self.execute(header, prefix),
            tag::CLOSE => self.close(prefix),
            _ => Some(()),
        };
        if understood.is_none() {
            self.conversation
                .malformed(Direction::ClientToUpstream, header);
        }
    }

    #[inline]
    fn takes_runs(&self, tag: u8) -> bool {
        tag == tag::COPY_DATA
    }

    #[inline]
    fn run(&mut self, _: u8, _: u64, bytes: u64) {
        self.conversation.ledger.fed(bytes);
    }

    fn piece(&mut self, header: Header, piece: &[u8], rest: Rest) {
        let carrier = match header.tag {
            tag::QUERY => Carrier::Query,
            tag::PARSE => Carrier::Parse,
            tag::BIND => return self.piece_of_bind(header, piece, rest),
            _ => {
                return if rest == Rest::Last {
                    self.function_call(header);
                };
            }
        };
        match (self.conversation.requests.text.take(), rest) {
            (None, Rest::Last) => self.whole_text(carrier, header, piece),
            (text, rest) => self.piece_of_text(text, carrier, header, piece, rest),
        }
    }
}

impl<S: Sink> Frontend<'_, S> {
    pub(super) fn request_begins(&mut self) {
        let Conversation {
            ledger,
            facts,
            settings,
            ..
        } = &mut *self.conversation;
        ledger.request_begins(facts, settings.unit_gap_ns, self.at, self.sink);
    }

    /// Where requests are put down, and what is read to know them.
    #[inline(always)]
    fn owing(&mut self) -> (Owing<'_>, Reading<'_, S>) {
        let Conversation {
            pipeline,
            ledger,
            dialect,
            lost,
            catalog,
            settings,
            ..
        } = &mut *self.conversation;
        let owing = Owing {
            now: ledger.stopwatch.mark(self.at),
            stopwatch: &mut ledger.stopwatch,
            awaited_max: settings.awaited_max,
            pipeline,
            dialect,
            lost,
        };
        let reading = Reading {
            scratch: self.scratch,
            sink: self.sink,
            catalog,
            settings,
        };
        (owing, reading)
    }

    #[inline(always)]
    fn push(&mut self, what: What, request_bytes: u64) {
        self.owing().0.push(|| what, request_bytes);
    }

    /// A request for a statement.
    #[inline(always)]
    pub(super) fn push_statement(&mut self, what: impl FnOnce() -> What, request_bytes: u64) {
        self.owing().0.push_statement(what, request_bytes);
    }

    fn source(&self, carrier: Carrier) -> Source {
        Source {
            carrier,
            dialect: self.conversation.dialect,
        }
    }

    /// A Query that is whole in the read buffer, and its text with it.
    #[inline]
    fn whole_query<'a>(&mut self, input: &'a [u8]) -> Option<&'a [u8]> {
        if self.conversation.pipeline.is_skipping() {
            return None;
        }
        let (body, behind) = frame::message(tag::QUERY, input)?;
        self.request_begins();
        let header = Header {
            tag: tag::QUERY,
            body_bytes: u32::try_from(body.len()).ok()?,
        };
        self.whole_text(Carrier::Query, header, body);
        Some(behind)
    }

    /// The usual case: the text is in the read buffer, whole.
    #[inline]
    fn whole_text(&mut self, carrier: Carrier, header: Header, body: &[u8]) {
        let source = self.source(carrier);
        match carrier {
            Carrier::Query => {
                let mut bytes = header.message_bytes();
                let (mut owing, reading) = self.owing();
                reading.whole(source, body, |origin, flow| {
                    owing.push_text(origin, flow, std::mem::take(&mut bytes));
                });
                self.end_query();
            }
            Carrier::Parse => {
                let mut prepared = None;
                let (_, reading) = self.owing();
                let name = reading.whole(source, body, |origin, _| {
                    prepared.get_or_insert(origin);
                });
                self.parse(name, prepared, header);
            }
        }
    }

    fn piece_of_text(
        &mut self,
        text: Option<Box<TextInFlight>>,
        carrier: Carrier,
        header: Header,
        piece: &[u8],
        rest: Rest,
    ) {
        let settings = Arc::clone(&self.conversation.settings);
        let mut text =
            text.unwrap_or_else(|| Box::new(TextInFlight::begin(self.source(carrier), &settings)));
        text.feed(piece, &settings);
        if rest == Rest::More {
            self.conversation.requests.text = Some(text);
            return;
        }
        let catalog = &mut self.conversation.catalog;
        let (carrier, texts) = text.finish(self.scratch, catalog, &settings, self.sink);
        if self.conversation.pipeline.is_skipping() {
            return;
        }
        match carrier {
            Carrier::Query => {
                let mut bytes = header.message_bytes();
                for asked in texts.asked {
                    self.push_statement(|| What::Statement(asked), std::mem::take(&mut bytes));
                }
                self.end_query();
            }
            Carrier::Parse => {
                let first = texts.asked.into_iter().next();
                self.parse(&texts.name, first.map(|asked| asked.origin), header);
            }
        }
    }

    /// Each statement of a Query owes an answer, and the Query itself ReadyForQuery.
    fn end_query(&mut self) {
        self.owing().0.push_ready(Group::Query);
        self.conversation.requests.extended_bytes = 0;
    }

    fn parse(&mut self, name: &[u8], prepared: Option<Origin>, header: Header) {
        let Some(prepared) = prepared else {
            return self
                .conversation
                .malformed(Direction::ClientToUpstream, header);
        };
        let hash = wire_name(name);
        let previous = self.conversation.catalog.prepare(hash, prepared);
        self.conversation.requests.extended_bytes += header.message_bytes();
        self.push(
            What::Parse {
                name: hash,
                previous,
            },
            0,
        );
    }

    /// A Bind whose parameters matter.
    fn piece_of_bind(&mut self, header: Header, piece: &[u8], rest: Rest) {
        let understood = match (self.conversation.requests.bind.take(), rest) {
            // The usual case: it is in the read buffer, whole.
            (None, Rest::Last) => bind_names(piece).and_then(|(portal, statement, behind)| {
                self.bind(header, portal, statement, |key, prepared| {
                    read_bind(key, prepared, behind)
                })
            }),
            (bind, rest) => {
                let mut bind = bind.unwrap_or_default();
                self.feed_bind(&mut bind, piece);
                if rest == Rest::More {
                    self.conversation.requests.bind = Some(bind);
                    return;
                }
                if self.conversation.pipeline.is_skipping() {
                    return;
                }
                let BindInFlight { head, reader } = *bind;
                bind_names(&head).and_then(|(portal, statement, _)| {
                    self.bind(header, portal, statement, |_, _| reader?.finish())
                })
            }
        };
        if understood.is_none() {
            self.conversation
                .malformed(Direction::ClientToUpstream, header);
        }
    }

    fn feed_bind(&mut self, bind: &mut BindInFlight, piece: &[u8]) {
        if let Some(reader) = &mut bind.reader {
            return reader.feed(piece);
        }
        let had = bind.head.len();
        if bind_names(&bind.head).is_some() || had >= usize::from(NAMES_BYTES) {
            return;
        }
        let room = usize::from(NAMES_BYTES) - had;
        bind.head
            .extend_from_slice(piece.get(..room).unwrap_or(piece));
        let Some((_, statement, behind)) = bind_names(&bind.head) else {
            return;
        };
        let names = bind.head.len() - behind.len();
        bind.reader = self.bind_reader(statement);
        bind.head.truncate(names);
        if let Some(reader) = &mut bind.reader {
            reader.feed(piece.get(names - had..).unwrap_or_default());
        }
    }

    /// Reads the parameters of a Bind for this statement, if they are wanted.
    fn bind_reader(&mut self, statement: &[u8]) -> Option<BindReader> {
        let conversation = &mut *self.conversation;
        let key = conversation.settings.values?;
        let statement = conversation.catalog.statement(wire_name(statement))?;
        Some(BindReader::new(key, Arc::clone(statement.prepared()?)))
    }

    fn describe(&mut self, header: Header, body: &[u8]) -> Option<()> {
        let (target, name) = message::target(body)?;
        let catalog = &mut self.conversation.catalog;
        let prepared: Option<Arc<Prepared>> = match target {
            Target::Statement => catalog
                .statement(wire_name(name))
                .and_then(|statement| statement.prepared().cloned()),
            Target::Portal => catalog
                .portal(wire_name(name))
                .and_then(|portal| portal.asked.prepared().cloned()),
        };
        self.conversation.requests.extended_bytes += header.message_bytes();
        self.push(What::Describe(prepared), 0);
        Some(())
    }

    /// A Bind; `parameters` reads what it brings for its statement.
    #[inline]
    fn bind(
        &mut self,
        header: Header,
        portal: &[u8],
        statement: &[u8],
        parameters: impl FnOnce(ValueKey, &Prepared) -> Option<(Box<Flow>, Formats)>,
    ) -> Option<()> {
        let mut asked = match self.conversation.catalog.statement(wire_name(statement)) {
            Some(statement) => statement.clone().asked(),
            None => self.unseen(statement)?,
        };
        if let (Some(key), Some(prepared)) = (self.conversation.settings.values, asked.prepared())
            && let Some((flow, formats)) = parameters(key, prepared)
        {
            asked.flow = Some(flow);
            asked.formats = formats;
        }
        let hash = wire_name(portal);
        let opened = Portal {
            asked,
            progress: None,
            lifetime: Lifetime::Transaction,
            group: self.conversation.pipeline.group_asked(),
            runs: Runs::ToItsEnd,
        };
        let (replaced, evicted) = self.conversation.catalog.open(hash, opened);
        if let Some(evicted) = evicted {
            self.conversation
                .ledger
                .report_portal(&self.conversation.facts, evicted, self.sink);
        }
        self.conversation.requests.extended_bytes += header.message_bytes();
        self.push(
            What::Bind {
                portal: hash,
                previous: replaced.map(Box::new),
            },
            0,
        );
        Some(())
    }

    fn execute(&mut self, header: Header, body: &[u8]) -> Option<()> {
        let (name, rows_max) = message::cstring(body)?;
        let portal = wire_name(name);
        // With a limit of rows it may be suspended, and run again.
        let runs = match rows_max.first_chunk::<4>() {
            Some([0, 0, 0, 0]) => Runs::ToItsEnd,
            Some(_) | None => Runs::InParts,
        };
        let (asked, runs) = match self.conversation.catalog.execute(portal, runs) {
            Some(found) => found,
            None => (self.unseen(name)?, Runs::ToItsEnd),
        };
        let bytes =
            std::mem::take(&mut self.conversation.requests.extended_bytes) + header.message_bytes();
        let what = What::Execute {
            portal,
            asked,
            runs,
        };
        self.push_statement(|| what, bytes);
        Some(())
    }

    fn close(&mut self, body: &[u8]) -> Option<()> {
        let (target, name) = message::target(body)?;
        let name = wire_name(name);
        let closing = match target {
            Target::Statement => Closing::Statement {
                name,
                previous: self.conversation.catalog.deallocate(name),
            },
            Target::Portal => Closing::Portal {
                name,
                previous: self.conversation.catalog.close(name).map(Box::new),
            },
        };
        self.push(What::Close(closing), 0);
        Some(())
    }

    fn function_call(&mut self, header: Header) {
        if let Some(asked) = self.statement_of(b"CALL fastpath_function_call") {
            self.push_statement(|| What::Function(asked), header.message_bytes());
            self.owing().0.push_ready(Group::Query);
        }
    }

    /// A statement that was prepared before we looked, or forgotten since.
    fn unseen(&mut self, name: &[u8]) -> Option<Asked> {
        let asked = self.statement_of(UNSEEN)?;
        let wording = Wording {
            name: Some(self.scratch.name(name)),
            ..Wording::clone(asked.wording())
        };
        Some(Asked {
            origin: Origin::Text(wording.into()),
            ..asked
        })
    }

    fn statement_of(&mut self, text: &[u8]) -> Option<Asked> {
        let mut asked = None;
        let source = self.source(Carrier::Query);
        let (_, reading) = self.owing();
        reading.whole(source, text, |origin, flow| {
            let wording = Wording {
                special: None,
                ..Wording::clone(origin.wording())
            };
            asked = Some(Origin::Text(wording.into()).asked_with(flow));
        });
        asked
    }
}
