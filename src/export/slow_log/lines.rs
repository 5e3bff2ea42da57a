//! What one slow query looks like in the log.
//!
//! The prefix is PostgreSQL's `log_line_prefix = '%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h '`; give that to
//! pgBadger's `--prefix`. Names come from clients: none of them, and no text, can begin a line of its own.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::SystemTime;

use serde::Serialize;

use crate::event::{SessionFacts, SlowQuery};

/// `log_line_prefix` under which PostgreSQL would write our lines.
pub const LOG_LINE_PREFIX: &str = "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ";

/// Text that stands for a statement whose own was not kept.
const TEXT_NOT_KEPT: &str = "/* text not kept: limits.fingerprints_max was reached */";

/// Characters of a tag's value that are logged.
const TAG_CHARS_MAX: usize = 256;

/// Appends the entry as PostgreSQL's stderr log has it: the `LOG:` line, its continuation lines, the `CONTEXT:` line.
pub fn stderr(out: &mut String, query: &SlowQuery, at: SystemTime) {
    let written = (|| {
        prefix(out, &query.facts, at, query.line)?;
        write!(out, "LOG:  ")?;
        message(out, query, "\n\t")?;
        out.write_char('\n')?;
        prefix(out, &query.facts, at, query.line.saturating_add(1))?;
        context(out, query)?;
        out.write_char('\n')
    })();
    debug_assert!(written.is_ok(), "a String takes everything");
}

/// Appends the entry as one line of PostgreSQL's jsonlog with an object `pgprism`.
pub fn json(out: &mut String, query: &SlowQuery, at: SystemTime) {
    let (facts, exchange) = (&query.facts, &query.exchange);
    let mut text = String::new();
    let written = message(&mut text, query, "\n");
    debug_assert!(written.is_ok(), "a String takes everything");
    let fingerprint = exchange.statement.fingerprint.to_string();
    let line = JsonLine::new(
        facts,
        at,
        query.line,
        &text,
        JsonFacts {
            fingerprint: &fingerprint,
            rows: exchange.rows,
            duration_ms: ms(exchange.phases.duration_ns()),
            database_ms: ms(exchange.phases.database_ns),
            transfer_ms: ms(exchange.phases.transfer_ns),
            client_ms: ms(exchange.phases.client_ns),
            listener: &facts.listener,
            protocol: exchange.protocol.as_str(),
            sqlstate: exchange.sqlstate.as_ref().map(|code| code.as_str()),
            unit: None,
            route: route(query),
        },
    );
    line.append_to(out);
}

/// PostgreSQL's jsonlog keys, in its order; those that only the server knows are left out, as it does with empty ones.
#[derive(Serialize)]
pub(super) struct JsonLine<'a, T> {
    timestamp: String,
    user: String,
    dbname: String,
    pid: i32,
    remote_host: &'a str,
    line_num: u64,
    error_severity: &'a str,
    message: &'a str,
    application_name: String,
    backend_type: &'a str,
    pgprism: T,
}

impl<'a, T: Serialize> JsonLine<'a, T> {
    /// A line of the session `facts` that says `message`, with `pgprism` as the object of that name.
    pub(super) fn new(
        facts: &'a SessionFacts,
        at: SystemTime,
        line_num: u64,
        message: &'a str,
        pgprism: T,
    ) -> JsonLine<'a, T> {
        JsonLine {
            timestamp: Timestamp(at).to_string(),
            user: Name(&facts.user).to_string(),
            dbname: Name(&facts.database).to_string(),
            pid: facts.backend_pid,
            remote_host: &facts.client,
            line_num,
            error_severity: "LOG",
            message,
            application_name: AsciiName(&facts.application).to_string(),
            backend_type: "client backend",
            pgprism,
        }
    }

    pub(super) fn append_to(&self, out: &mut String) {
        match serde_json::to_string(self) {
            Ok(line) => {
                out.push_str(&line);
                out.push('\n');
            }
            Err(error) => debug_assert!(false, "strings and numbers always serialise: {error}"),
        }
    }
}

#[derive(Serialize)]
struct JsonFacts<'a> {
    fingerprint: &'a str,
    rows: u64,
    duration_ms: f64,
    database_ms: f64,
    transfer_ms: f64,
    client_ms: f64,
    listener: &'a str,
    protocol: &'a str,
    sqlstate: Option<&'a str>,
    unit: Option<&'a str>,
    route: Option<&'a str>,
}

/// Milliseconds to the microsecond, as PostgreSQL logs durations.
pub(super) fn ms(ns: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "exact up to 285 years")]
    let micros = (ns / 1000) as f64;
    micros / 1000.0
}

/// [`LOG_LINE_PREFIX`].
pub(super) fn prefix(
    out: &mut String,
    facts: &SessionFacts,
    at: SystemTime,
    line: u64,
) -> fmt::Result {
    write!(
        out,
        "{} [{}]: [{line}-1] user={},db={},app={},client={} ",
        Timestamp(at),
        facts.backend_pid,
        Name(&facts.user),
        Name(&facts.database),
        AsciiName(&facts.application),
        Name(&facts.client),
    )
}

/// `duration: 812.104 ms  statement: …`, lines of the text joined by `line_break`.
fn message(out: &mut String, query: &SlowQuery, line_break: &str) -> fmt::Result {
    let exchange = &query.exchange;
    write!(out, "duration: {} ms  ", Ms(exchange.phases.duration_ns()))?;
    match exchange.statement_name.as_deref() {
        None => out.write_str("statement: ")?,
        // PostgreSQL's spelling of the statement without a name.
        Some("unnamed" | "") => out.write_str("execute <unnamed>: ")?,
        Some(name) => write!(out, "execute {}: ", StatementName(name))?,
    }
    let text = match (&exchange.literal_text, &exchange.statement.shape) {
        (Some(text), _) => Cow::Borrowed(&**text),
        (None, Some(shape)) => shape.shown(),
        (None, None) => Cow::Borrowed(TEXT_NOT_KEPT),
    };
    lines_of(out, &text, line_break)
}

/// `text`, its lines joined by `line_break`.
pub(super) fn lines_of(out: &mut String, text: &str, line_break: &str) -> fmt::Result {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.write_str(line_break)?;
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        out.extend(
            line.chars()
                .map(|c| if breaks_lines(c) && c != '\t' { ' ' } else { c }),
        );
    }
    Ok(())
}

fn context(out: &mut String, query: &SlowQuery) -> fmt::Result {
    let exchange = &query.exchange;
    write!(
        out,
        "CONTEXT:  pgprism fingerprint={} rows={} database={}ms transfer={}ms client={}ms unit=- route={}",
        exchange.statement.fingerprint,
        exchange.rows,
        Ms(exchange.phases.database_ns),
        Ms(exchange.phases.transfer_ns),
        Ms(exchange.phases.client_ns),
        TagValue(route(query).unwrap_or("")),
    )
}

/// The value of the tag `route`, as Django's and others' sqlcommenter send it.
fn route(query: &SlowQuery) -> Option<&str> {
    let route = query.exchange.tags.as_ref()?.value("route")?;
    Some(route).filter(|route| !route.is_empty())
}

/// `2026-11-22 09:15:00.123 UTC`: PostgreSQL's `%m` in the one zone that has no summer time.
struct Timestamp(SystemTime);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rfc3339 = humantime::format_rfc3339_millis(self.0).to_string();
        let (date, time) = rfc3339.split_once('T').unwrap_or((&rfc3339, ""));
        write!(f, "{date} {} UTC", time.trim_end_matches('Z'))
    }
}

/// Nanoseconds as milliseconds with three decimals.
pub(super) struct Ms(pub(super) u64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1000;
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

/// Whether some reader of logs takes `c` for the end of a line, or a terminal for a command.
fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A user, database or address, harmless; PostgreSQL writes `[unknown]` for none.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("[unknown]");
        }
        self.0
            .chars()
            .try_for_each(|c| f.write_char(if breaks_lines(c) { '?' } else { c }))
    }
}

/// An application_name as PostgreSQL up to 15 cleans it: a `?` for each byte that is not printable ASCII.
struct AsciiName<'a>(&'a str);

impl fmt::Display for AsciiName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("[unknown]");
        }
        self.0.bytes().try_for_each(|byte| match byte {
            b' '..=b'~' => f.write_char(char::from(byte)),
            _ => f.write_char('?'),
        })
    }
}

/// A prepared statement's name; a colon or a space in it would end it too early for pgBadger.
struct StatementName<'a>(&'a str);

impl fmt::Display for StatementName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            let harmless = !breaks_lines(c) && !c.is_whitespace() && c != ':';
            f.write_char(if harmless { c } else { '?' })
        })
    }
}

/// `key=value` with the value in quotes where it needs them, `-` where there is none.
pub(super) struct TagValue<'a>(pub(super) &'a str);

impl fmt::Display for TagValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_char('-');
        }
        let bare = !self
            .0
            .chars()
            .any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\'));
        if !bare {
            f.write_char('"')?;
        }
        for c in self.0.chars().take(TAG_CHARS_MAX) {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if breaks_lines(c) => f.write_char('?')?,
                c => f.write_char(c)?,
            }
        }
        if !bare {
            f.write_char('"')?;
        }
        Ok(())
    }
}
