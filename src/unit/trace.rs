//! What tags say of the unit that a statement belongs to.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::sql::tags::Tags;

/// One run of a test, as the hash of its `test_id`.
///
/// All that is sent while it runs has it: what has another one, or none, is never in a unit with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TestId(u64);

impl TestId {
    /// The one that is written so.
    pub fn of(written: &str) -> TestId {
        TestId(xxh3_64(written.as_bytes()))
    }

    pub(super) fn of_tags(tags: &Tags) -> Option<TestId> {
        tags.value("test_id").map(TestId::of)
    }
}

/// A trace or request id, or that of a test, as its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TraceId(u64);

impl TraceId {
    /// `traceparent`'s trace id (its span id may change with every statement), else `request_id`; of a test, `test_id`
    /// where neither is there, and with either where it is: two tests may send requests of one id.
    pub(super) fn of(tags: &Tags) -> Option<TraceId> {
        let request = request(tags);
        match TestId::of_tags(tags) {
            None => request.map(|request| TraceId(xxh3_64(request.as_bytes()))),
            Some(TestId(test)) => {
                let request = request.unwrap_or_default();
                Some(TraceId(xxh3_64_with_seed(request.as_bytes(), test)))
            }
        }
    }
}

fn request(tags: &Tags) -> Option<&str> {
    let request = match tags.value("traceparent") {
        // 00-<trace id>-<span id>-<flags>
        Some(parent) => parent.split('-').nth(1).unwrap_or(parent),
        None => tags.value("request_id")?,
    };
    // An invalid trace id is all zeros: tracing is off.
    request.bytes().any(|byte| byte != b'0').then_some(request)
}

/// The part of a trace that one request, or one statement, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanId(u64);

impl SpanId {
    pub(super) fn of(tags: &Tags) -> Option<SpanId> {
        let span = tags.value("traceparent")?.split('-').nth(2)?;
        Some(SpanId(xxh3_64(span.as_bytes())))
    }
}

/// The spans of a unit's statements: of a request, or of each statement its own, as the instrumentation has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spans {
    Unknown,
    /// So many statements, all of one span.
    One(SpanId, u32),
    Several,
}

impl Spans {
    pub(super) fn and(self, span: Option<SpanId>) -> Spans {
        match (self, span) {
            (spans, None) => spans,
            (Spans::Unknown, Some(span)) => Spans::One(span, 1),
            (Spans::One(one, count), Some(span)) if one == span => {
                Spans::One(one, count.saturating_add(1))
            }
            (Spans::One(..) | Spans::Several, Some(_)) => Spans::Several,
        }
    }
}
