//! What a finding looks like in the log when it is first seen.
//!
//! One entry, its further lines continued as a statement's are: the line, the parent's and the child's text, what to
//! write. The session is that of the unit in which it was found; the line is none of its numbered ones, so that its
//! number is 0.

use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::lines::{JsonLine, Ms, TagValue, lines_of, ms, prefix};
use crate::analysis::{FoundAndAdvised, Snapshot};
use crate::event::{SessionFacts, SessionId};

/// `%l` of a line that no session counts.
const NO_LINE: u64 = 0;

/// The session of the unit in which `found` was seen, as long as that is kept; else one that nothing is known of.
pub(super) fn session_of(found: &FoundAndAdvised, snapshot: &Snapshot) -> Arc<SessionFacts> {
    let example = found.finding.example_unit;
    let mut units = snapshot.units.iter().rev().chain(&snapshot.open);
    let unit = units.find(|unit| Some(unit.id) == example);
    unit.map_or_else(
        || {
            Arc::new(SessionFacts {
                id: SessionId(0),
                listener: "".into(),
                client: "".into(),
                user: "".into(),
                database: "".into(),
                application: "".into(),
                backend_pid: 0,
            })
        },
        |unit| Arc::clone(&unit.facts),
    )
}

/// Appends the entry as PostgreSQL's stderr log would have it.
pub(super) fn stderr(
    out: &mut String,
    found: &FoundAndAdvised,
    facts: &SessionFacts,
    at: SystemTime,
) {
    let written = prefix(out, facts, at, NO_LINE).and_then(|()| write!(out, "LOG:  "));
    debug_assert!(written.is_ok(), "a String takes everything");
    message(out, found, "\n\t");
    out.push('\n');
}

/// Appends the entry as one line of PostgreSQL's jsonlog with an object `pgprism`.
pub(super) fn json(
    out: &mut String,
    found: &FoundAndAdvised,
    facts: &SessionFacts,
    at: SystemTime,
) {
    let (finding, advice) = (&found.finding, &found.advice);
    let mut text = String::new();
    message(&mut text, found, "\n");
    let pgprism = JsonFinding {
        finding: finding.id.to_string(),
        kind: finding.kind.as_str(),
        confidence: finding.confidence.as_str(),
        count: finding.queries,
        cost_ms: ms(finding.cost_ns),
        fix: &advice.django,
        advice: &advice.title,
        parent_fingerprint: finding
            .parent
            .as_ref()
            .map(|parent| parent.fingerprint.to_string()),
        parent: finding.parent.as_ref().map(|parent| &*parent.query),
        fingerprint: finding.child.fingerprint.to_string(),
        child: &finding.child.query,
        listener: &facts.listener,
    };
    JsonLine::new(facts, at, NO_LINE, &text, pgprism).append_to(out);
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    finding: String,
    kind: &'a str,
    confidence: &'a str,
    count: u64,
    cost_ms: f64,
    fix: &'a str,
    advice: &'a str,
    parent_fingerprint: Option<String>,
    parent: Option<&'a str>,
    fingerprint: String,
    child: &'a str,
    listener: &'a str,
}

/// `pgprism finding id=…`, and a line each for parent, child and advice, joined by `line_break`.
fn message(out: &mut String, found: &FoundAndAdvised, line_break: &str) {
    let (finding, advice) = (&found.finding, &found.advice);
    let written = (|| {
        write!(
            out,
            "pgprism finding id={} kind={} confidence={} count={} cost={} ms fix={}",
            finding.id,
            finding.kind.as_str(),
            finding.confidence.as_str(),
            finding.queries,
            Ms(finding.cost_ns),
            TagValue(&advice.django),
        )?;
        let parent = finding.parent.as_ref().map(|parent| ("parent", parent));
        for (name, side) in parent.into_iter().chain([("child", &finding.child)]) {
            write!(out, "{line_break}{name} {}: ", side.fingerprint)?;
            lines_of(out, &side.query, line_break)?;
        }
        for (name, text) in [
            ("advice", &advice.title),
            ("fix", &advice.django),
            ("why", &advice.why),
        ] {
            if !text.is_empty() {
                write!(out, "{line_break}{name}: ")?;
                lines_of(out, text, line_break)?;
            }
        }
        Ok::<(), std::fmt::Error>(())
    })();
    debug_assert!(written.is_ok(), "a String takes everything");
}
