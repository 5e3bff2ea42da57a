//! What the end of a statement changes: success as its verb says, failure for its whole group, or the connection's end.

use super::asked::{Asked, Origin, Progress};
use super::awaited::{Awaited, Closing, Group, What};
use super::catalog::{Lifetime, Portal, Runs, running_portal};
use super::columns::Described;
use super::ledger::{Behind, Part};
use super::stopwatch::Mark;
use super::{Conversation, Sink};
use crate::event::{Moment, Protocol};
use crate::sql::{NameHash, Verb};
use crate::wire::SqlState;
use crate::wire::message::CommandTag;

/// What a query that was running when its connection ended is reported with: connection_failure.
const CONNECTION_FAILURE: SqlState = SqlState(*b"08006");

/// The statement to which an error belongs.
pub(super) struct Blamed {
    asked: Asked,
    requested: Mark,
    request_bytes: u64,
    protocol: Protocol,
    /// The portal that it was to run, where that has returned rows before.
    portal: Option<NameHash>,
}

impl Conversation {
    /// A statement succeeded: a cursor's is kept with its cursor, every other is reported. A prepared one may have been
    /// described.
    pub(super) fn conclude(
        &mut self,
        mut asked: Asked,
        described: Option<Described>,
        progress: &Progress,
        command: CommandTag<'_>,
        behind: Behind,
        sink: &mut impl Sink,
    ) {
        let wording = &**asked.wording();
        let (verb, subject) = (wording.verb, wording.subject());
        // No cursor has to do with it, and its rows, if there are any, are its own.
        let is_usual = subject.is_none() && progress.cursor.is_none() && asked.flow.is_some();
        let prepared = match behind {
            _ if described.is_none() => None,
            // It comes back from the ledger, and need not be copied.
            Behind::Ready(_) if is_usual => None,
            Behind::Ready(_) | Behind::Unknown => asked.prepared().cloned(),
        };
        if is_usual && let Some(flow) = &mut asked.flow {
            flow.result = self.results.take(sink);
            self.change_catalog((verb, subject), &asked, command, sink);
            let Conversation { ledger, facts, .. } = self;
            let told = ledger.report(facts, asked, progress, None, behind, sink);
            if let Some(described) = described
                && let Some(prepared) = prepared.or(told.and_then(Origin::into_prepared))
            {
                self.keep_rows(prepared, described);
            }
            return;
        }
        if let (Some(prepared), Some(described)) = (prepared, described) {
            self.keep_rows(prepared, described);
        }
        let Conversation {
            catalog,
            pipeline,
            ledger,
            facts,
            results,
            ..
        } = self;
        let result = results.take(sink);
        match (verb, subject) {
            (Verb::Declare, Some(cursor)) => {
                let lifetime = if asked.wording().is_holdable() {
                    Lifetime::Session
                } else {
                    Lifetime::Transaction
                };
                let opened = Portal {
                    asked,
                    progress: Some(Box::new(progress.of_a_cursor(cursor))),
                    lifetime,
                    group: pipeline.group_answered(),
                    runs: Runs::InParts,
                };
                let (replaced, evicted) = catalog.open(cursor, opened);
                for portal in [replaced, evicted].into_iter().flatten() {
                    ledger.report_portal(facts, portal, sink);
                }
                return;
            }
            (Verb::Fetch | Verb::Move, Some(cursor)) => {
                if let Some(open) = catalog.portal(cursor) {
                    if let Some(result) = result {
                        let part = Part {
                            asked: &open.asked,
                            cursor,
                            first: open.progress.as_deref().unwrap_or(progress),
                            completed_at: progress.completed_at,
                        };
                        ledger.rows(facts, part, result, sink);
                    }
                    open.advance(if verb == Verb::Fetch {
                        *progress
                    } else {
                        progress.without_rows()
                    });
                    return;
                }
            }
            (Verb::Close, Some(cursor)) => {
                if let Some(mut open) = catalog.close(cursor) {
                    open.advance(progress.without_rows());
                    return ledger.report_portal(facts, open, sink);
                }
            }
            _ => {}
        }
        match (progress.cursor, result) {
            (_, None) => {}
            (None, Some(result)) => {
                if let Some(flow) = &mut asked.flow {
                    flow.result = Some(result);
                }
            }
            // The last rows of a portal that was suspended before.
            (Some(cursor), Some(result)) => {
                let part = Part {
                    asked: &asked,
                    cursor,
                    first: progress,
                    completed_at: progress.completed_at,
                };
                ledger.rows(facts, part, result, sink);
            }
        }
        self.change_catalog((verb, subject), &asked, command, sink);
        let Conversation { ledger, facts, .. } = self;
        ledger.report(facts, asked, progress, None, behind, sink);
    }

    /// PREPARE, DEALLOCATE, DISCARD ALL and CLOSE ALL, by the verb and what it names.
    #[inline]
    fn change_catalog(
        &mut self,
        by: (Verb, Option<NameHash>),
        asked: &Asked,
        command: CommandTag<'_>,
        sink: &mut impl Sink,
    ) {
        let Conversation {
            catalog,
            ledger,
            facts,
            ..
        } = self;
        let mut closes_all = false;
        match by {
            (Verb::Prepare, Some(name)) => {
                if let Some(prepared) = asked.origin.prepared_statement() {
                    catalog.prepare(name, prepared);
                }
            }
            (Verb::Deallocate, Some(name)) => {
                catalog.deallocate(name);
            }
            (Verb::Deallocate, None) => catalog.deallocate_all(),
            (Verb::Discard, _) if command.0 == b"DISCARD ALL" => {
                catalog.deallocate_all();
                closes_all = true;
            }
            (Verb::Close, None) => closes_all = true,
            _ => {}
        }
        if closes_all {
            for portal in catalog.take_portals() {
                ledger.report_portal(facts, portal, sink);
            }
        }
    }

    /// The front entry failed, and with it everything up to the group's ReadyForQuery.
    pub(super) fn fail_group(
        &mut self,
        group: Group,
        sqlstate: SqlState,
        at: Moment,
        sink: &mut impl Sink,
    ) {
        let dropped = self.pipeline.drop_group(Some(group));
        if let Some(blamed) = self.undo(dropped) {
            self.fail(blamed, sqlstate, at, sink);
        }
    }

    /// The connection ended: the statement that was being answered ended with it.
    pub(super) fn abandon_running(&mut self, at: Moment, sink: &mut impl Sink) {
        let was_running = self.pipeline.has_statement();
        let dropped = self.pipeline.drop_everything();
        match self.undo(dropped) {
            Some(blamed) if was_running => self.fail(blamed, CONNECTION_FAILURE, at, sink),
            _ => {}
        }
    }

    /// Reports a statement that failed; a failed FETCH ends its cursor, whose SELECT it was.
    fn fail(&mut self, blamed: Blamed, sqlstate: SqlState, at: Moment, sink: &mut impl Sink) {
        let Blamed {
            mut asked,
            requested,
            request_bytes,
            protocol,
            portal,
        } = blamed;
        let Conversation {
            catalog,
            pipeline,
            ledger,
            facts,
            results,
            ..
        } = self;
        results.forget();
        let mut progress = ledger.measure(protocol, requested, request_bytes, None, at);
        let cursor = match asked.wording().verb {
            Verb::Fetch | Verb::Move => asked
                .wording()
                .subject()
                .and_then(|name| catalog.close(name)),
            _ => None,
        };
        if let Some(Portal {
            asked: query,
            progress: Some(so_far),
            ..
        }) = cursor
        {
            asked = query;
            progress = so_far.and(&progress);
        }
        // The portal may be another than the Execute named: a Bind that the server refused has left the older one.
        if let Some(open) = portal.and_then(|name| running_portal(pipeline, catalog, name))
            && let Some(so_far) = open.progress.take()
        {
            asked = open.asked.clone();
            progress = so_far.and(&progress);
        }
        let (sqlstate, behind) = (Some(sqlstate), Behind::Unknown);
        ledger.report(facts, asked, &progress, sqlstate, behind, sink);
    }

    /// Undoes what dropped requests had changed, last first, and finds the statement to which their error belongs:
    /// the first that was to be executed, else the one that the failed Parse or Bind was about.
    #[inline]
    pub(super) fn undo(&mut self, dropped: Vec<Awaited>) -> Option<Blamed> {
        if dropped.is_empty() {
            return None;
        }
        self.undo_each(dropped)
    }

    fn undo_each(&mut self, dropped: Vec<Awaited>) -> Option<Blamed> {
        let Conversation {
            catalog, pipeline, ..
        } = self;
        let mut executed = None;
        let mut prepared = None;
        for Awaited {
            what,
            requested,
            request_bytes,
        } in dropped.into_iter().rev()
        {
            let blame = |asked, protocol| {
                Some(Blamed {
                    asked,
                    requested,
                    request_bytes,
                    protocol,
                    portal: None,
                })
            };
            match what {
                What::Execute {
                    portal,
                    asked,
                    runs,
                } => {
                    executed = blame(asked, Protocol::Extended).map(|blamed| Blamed {
                        portal: (runs == Runs::InParts).then_some(portal),
                        ..blamed
                    });
                }
                What::Statement(asked) => executed = blame(asked, Protocol::Simple),
                What::Function(asked) => executed = blame(asked, Protocol::Function),
                // A request that is still owed an answer may have replaced what this one made: then that is where it
                // is, and where what was there before belongs.
                What::Parse { name, previous } => {
                    let made = match pipeline.replaced_statement(name) {
                        Some(place) => std::mem::replace(place, previous),
                        None => catalog.restore_statement(name, previous),
                    };
                    if let Some(statement) = made {
                        prepared = blame(statement.asked(), Protocol::Extended);
                    }
                }
                What::Bind { portal, previous } => {
                    // The Execute behind it was to run what was never bound, not the portal that had the name before.
                    if let Some(blamed) = &mut executed
                        && blamed.portal == Some(portal)
                    {
                        blamed.portal = None;
                    }
                    let made = match pipeline.replaced_portal(portal) {
                        Some(place) => std::mem::replace(place, previous),
                        None => catalog.restore_portal(portal, previous),
                    };
                    if let Some(open) = made {
                        prepared = blame(open.asked, Protocol::Extended);
                    }
                }
                What::Close(Closing::Statement { name, previous }) => {
                    match pipeline.replaced_statement(name) {
                        Some(place) => *place = previous,
                        None => {
                            catalog.restore_statement(name, previous);
                        }
                    }
                }
                What::Close(Closing::Portal { name, previous }) => {
                    match pipeline.replaced_portal(name) {
                        Some(place) => *place = previous,
                        None => {
                            catalog.restore_portal(name, previous);
                        }
                    }
                }
                // None is dropped as it is: its requests are.
                What::Describe(_) | What::Ready(_) | What::CopyEnd | What::Cycle(_) => {}
            }
        }
        executed.or(prepared)
    }
}
