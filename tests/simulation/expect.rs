//! What the observer has to report: kept by the server, which alone knows what it did and in which byte of its answer
//! it said so.

use pgprism::event::{Protocol, QueryEvent};
use pgprism::sql::scan::scan_all;
use pgprism::wire::TransactionStatus;

use crate::statements::UNSEEN;

/// One query that must be reported.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    text: String,
    protocol: Protocol,
    rows: u64,
    sqlstate: Option<&'static str>,
    before: TransactionStatus,
    after: TransactionStatus,
    index: u32,
    /// Bytes of the server's stream up to the end of what answers it.
    answered_at: usize,
    /// ReadyForQuery says what its own tag could not.
    ready: Option<(usize, TransactionStatus)>,
    /// The commit behind it failed.
    failed_late: Option<(usize, &'static str)>,
    /// Entries of one number are reported together, in any order.
    together: u32,
}

/// One answered request.
#[derive(Debug, Clone)]
pub(crate) struct Answer<'a> {
    pub(crate) text: &'a str,
    pub(crate) protocol: Protocol,
    pub(crate) rows: u64,
    pub(crate) sqlstate: Option<&'static str>,
    pub(crate) before: TransactionStatus,
    pub(crate) after: TransactionStatus,
    pub(crate) at: usize,
}

/// A cursor or portal that has returned a part of its rows.
#[derive(Debug, Clone)]
struct Open {
    name: String,
    entry: Entry,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Vec<Entry>,
    open: Vec<(usize, Open)>,
    /// Cursors and portals with the bytes at which they were begun and ended, for a stream that is cut in between.
    lives: Vec<(String, usize, usize)>,
    index: u32,
    pending: Option<usize>,
    together: u32,
}

impl Ledger {
    fn entry(&mut self, answer: &Answer<'_>) -> Entry {
        let index = self.index;
        self.index += 1;
        self.together += 1;
        Entry {
            text: answer.text.to_owned(),
            protocol: answer.protocol,
            rows: answer.rows,
            sqlstate: answer.sqlstate,
            before: answer.before,
            after: answer.after,
            index,
            answered_at: answer.at,
            ready: None,
            failed_late: None,
            together: self.together,
        }
    }

    fn report(&mut self, entry: Entry) {
        self.pending = Some(self.entries.len());
        self.entries.push(entry);
    }

    /// A query is over. One that had returned rows before is over with all of them.
    pub(crate) fn answered(&mut self, name: Option<&str>, answer: &Answer<'_>) {
        let mut entry = self.entry(answer);
        if let Some(name) = name
            && let Some(open) = self.take(name, answer.at)
        {
            entry = Entry {
                text: open.text,
                rows: open.rows + answer.rows,
                protocol: open.protocol,
                before: open.before,
                index: open.index,
                ..entry
            };
        }
        self.report(entry);
    }

    /// A cursor was declared, returned rows, or a portal was suspended.
    pub(crate) fn part(&mut self, name: &str, answer: &Answer<'_>) {
        let entry = self.entry(answer);
        match self.open.iter_mut().find(|(_, open)| open.name == name) {
            Some((_, open)) => open.entry.rows += entry.rows,
            None => {
                let name = name.to_owned();
                self.open.push((answer.at, Open { name, entry }));
            }
        }
    }

    fn take(&mut self, name: &str, at: usize) -> Option<Entry> {
        let place = self.open.iter().position(|(_, open)| open.name == name)?;
        let (since, open) = self.open.remove(place);
        self.lives.push((open.entry.text.clone(), since, at));
        Some(open.entry)
    }

    /// A portal was closed, or its name given to another, before it had returned all its rows.
    pub(crate) fn ended(&mut self, name: &str, after: TransactionStatus, at: usize) {
        if let Some(entry) = self.take(name, at) {
            self.report(Entry {
                after,
                answered_at: at,
                ..entry
            });
        }
    }

    /// The commit at the end of a run of requests failed.
    pub(crate) fn failed_late(&mut self, sqlstate: &'static str, at: usize) {
        if let Some(pending) = self.pending {
            self.entries[pending].failed_late = Some((at, sqlstate));
        }
    }

    pub(crate) fn ready(&mut self, status: TransactionStatus, at: usize) {
        if let Some(pending) = self.pending.take() {
            self.entries[pending].ready = Some((at, status));
        }
        self.index = 0;
        if status != TransactionStatus::Idle {
            return;
        }
        self.together += 1;
        for (since, open) in std::mem::take(&mut self.open) {
            self.lives.push((open.entry.text.clone(), since, at));
            self.entries.push(Entry {
                after: TransactionStatus::Idle,
                answered_at: at,
                together: self.together,
                ..open.entry
            });
        }
    }

    /// Compares with what was reported, when `shown` bytes of the server's stream were seen. `is_whole`: everything
    /// that was asked was answered, so that nothing more may have been reported than that, and what was still open.
    pub(crate) fn compare(
        &self,
        reported: &[QueryEvent],
        shown: usize,
        is_whole: bool,
        is_observed: bool,
    ) -> Result<(), String> {
        let mut expected: Vec<Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.answered_at <= shown)
            .cloned()
            .collect();
        for entry in &mut expected {
            if let Some((_, status)) = entry.ready.filter(|(at, _)| *at <= shown) {
                entry.after = status;
            }
            if let Some((_, sqlstate)) = entry.failed_late.filter(|(at, _)| *at <= shown) {
                entry.sqlstate.get_or_insert(sqlstate);
            }
        }
        for (number, event) in reported.iter().enumerate() {
            if event.sequence != number as u64 {
                return Err(format!("query {number} has the number {}", event.sequence));
            }
        }
        if !is_observed {
            // It ended somewhere: what was reported until then is right.
            expected.truncate(reported.len());
        }
        if reported.len() < expected.len() {
            return Err(format!(
                "{} queries reported instead of {}; the first that is missing: {:?}",
                reported.len(),
                expected.len(),
                expected[reported.len()]
            ));
        }
        let (exact, rest) = reported.split_at(expected.len());
        compare_in_order(&mut expected, exact).map_err(|broken| {
            let around = |from: usize| {
                let last = reported.iter().skip(from.saturating_sub(3)).take(6);
                last.map(|event| format!("\n    {}", brief(event)))
                    .collect::<String>()
            };
            let number = broken.number;
            let wanted = expected.iter().skip(number.saturating_sub(3)).take(6);
            let wanted: String = wanted.map(|entry| format!("\n    {entry:?}")).collect();
            format!(
                "{}\n  reported{}\n  wanted{wanted}",
                broken.what,
                around(number)
            )
        })?;
        self.compare_rest(rest, shown, is_whole)
    }

    /// What was reported because the connection ended: open cursors and portals, and what was running.
    fn compare_rest(
        &self,
        rest: &[QueryEvent],
        shown: usize,
        is_whole: bool,
    ) -> Result<(), String> {
        let was_open: Vec<&str> = self
            .lives
            .iter()
            .filter(|(_, since, until)| *since <= shown && shown < *until)
            .map(|(text, ..)| text.as_str())
            .chain(
                self.open
                    .iter()
                    .filter(|(since, _)| *since <= shown)
                    .map(|(_, open)| open.entry.text.as_str()),
            )
            .collect();
        let mut abandoned = 0;
        for event in rest {
            let ended_with_it = event
                .sqlstate
                .is_some_and(|code| matches!(code.as_str(), "08006" | "57P01" | "08P01"));
            if ended_with_it && !is_whole {
                abandoned += 1;
            } else if !was_open
                .iter()
                .any(|text| fingerprint(text) == Some(event.fingerprint))
            {
                return Err(format!(
                    "a query was reported that nobody answered: {}",
                    brief(event)
                ));
            }
        }
        if abandoned > 2 {
            return Err(format!("{abandoned} queries were running at the end"));
        }
        Ok(())
    }
}

/// A query that was reported otherwise than it was.
struct Broken {
    number: usize,
    what: String,
}

fn compare_in_order(expected: &mut [Entry], reported: &[QueryEvent]) -> Result<(), Broken> {
    let mut number = 0;
    let mut reported: Vec<&QueryEvent> = reported.iter().collect();
    for together in expected.chunk_by_mut(|one, other| one.together == other.together) {
        let (these, later) = reported.split_at_mut(together.len());
        these.sort_by_key(|event| event.fingerprint.0);
        together.sort_by_key(|entry| fingerprint(&entry.text).map(|it| it.0));
        for (entry, event) in together.iter().zip(these.iter()) {
            entry
                .compare(event)
                .map_err(|what| Broken { number, what })?;
            number += 1;
        }
        reported = later.to_vec();
    }
    Ok(())
}

/// `None` where any will do: nothing was asked, or something that is not there (any more).
fn fingerprint(text: &str) -> Option<pgprism::sql::Fingerprint> {
    if text == UNSEEN {
        return None;
    }
    scan_all(text)
        .first()
        .map(|statement| statement.fingerprint)
}

fn brief(event: &QueryEvent) -> String {
    format!(
        "{} {:?} {:?} rows={} sqlstate={:?} {:?}..{:?} index={}",
        event.sequence,
        event.shape.map(|shape| &*shape.shape().text),
        event.protocol,
        event.rows,
        event.sqlstate.map(|code| code.as_str().to_owned()),
        event.transaction_before,
        event.transaction_after,
        event.pipeline_index
    )
}

impl Entry {
    fn compare(&self, event: &QueryEvent) -> Result<(), String> {
        let sqlstate = event.sqlstate.map(|code| code.as_str().to_owned());
        let is_same = fingerprint(&self.text).is_none_or(|it| it == event.fingerprint)
            && self.protocol == event.protocol
            && self.rows == event.rows
            && self.sqlstate == sqlstate.as_deref()
            && self.before == event.transaction_before
            && self.after == event.transaction_after
            && self.index == event.pipeline_index;
        if is_same && event.requested_at <= event.completed_at {
            return Ok(());
        }
        Err(format!("reported {}\n  instead of {self:?}", brief(event)))
    }
}
