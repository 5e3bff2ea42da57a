//! Putting requests down as what the server owes for them.

use super::asked::Origin;
use super::awaited::{Group, What};
use super::catalog::Catalog;
use super::pipeline::Pipeline;
use super::stopwatch::{Mark, Stopwatch};
use super::text::{Scratch, Source, read_whole};
use super::{Lost, Settings, Sink};
use crate::event::Flow;
use crate::sql::Dialect;

/// Where requests become what the server owes for them.
pub(super) struct Owing<'a> {
    pub pipeline: &'a mut Pipeline,
    pub stopwatch: &'a mut Stopwatch,
    pub dialect: &'a mut Dialect,
    pub lost: &'a mut Option<Lost>,
    pub awaited_max: usize,
    pub now: Mark,
}

impl Owing<'_> {
    /// Replies that came before a statement was asked for belong to something else.
    #[inline(always)]
    fn begin_statement(&mut self) {
        if !self.pipeline.has_statement() {
            self.stopwatch.forget_replies();
        }
        // It may be a SET, or call what sets; the server tells with its ReadyForQuery.
        self.dialect.unsettled = true;
    }

    /// A request that has an answer, and is no statement's.
    #[inline(always)]
    pub(super) fn push(&mut self, what: impl FnOnce() -> What, request_bytes: u64) {
        self.pipeline.push(what, self.now, request_bytes);
        self.bound();
    }

    /// A request for a statement.
    #[inline(always)]
    pub(super) fn push_statement(&mut self, what: impl FnOnce() -> What, request_bytes: u64) {
        self.begin_statement();
        self.push(what, request_bytes);
    }

    /// A statement of a Query.
    #[inline(always)]
    pub(super) fn push_text(
        &mut self,
        origin: Origin,
        flow: Option<Box<Flow>>,
        request_bytes: u64,
    ) {
        self.push_statement(|| What::Statement(origin.asked_with(flow)), request_bytes);
    }

    #[inline(always)]
    pub(super) fn push_ready(&mut self, group: Group) {
        self.push(|| What::Ready(group), 0);
    }

    #[inline(always)]
    fn bound(&mut self) {
        let awaited_max = self.awaited_max;
        if self.pipeline.len() > awaited_max {
            self.lost
                .get_or_insert(Lost::PipelineTooLong { awaited_max });
        }
    }
}

/// What a text is read with.
pub(super) struct Reading<'a, S> {
    pub scratch: &'a mut Scratch,
    pub sink: &'a mut S,
    pub catalog: &'a mut Catalog,
    pub settings: &'a Settings,
}

impl<S: Sink> Reading<'_, S> {
    /// Reads a text that is whole; `each` takes its statements in order, and their values.
    #[inline(always)]
    pub(super) fn whole(
        self,
        source: Source,
        body: &[u8],
        each: impl FnMut(Origin, Option<Box<Flow>>),
    ) -> &[u8] {
        let Reading {
            scratch,
            sink,
            catalog,
            settings,
        } = self;
        read_whole(source, body, scratch, catalog, settings, sink, each)
    }
}
