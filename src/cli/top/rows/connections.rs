//! Client connections that are open: who is there, in which state, and for how long.

use std::time::SystemTime;

use super::{ago, known, rate, since};
use crate::cli::client::Connection;
use crate::cli::report::figures;
use crate::cli::report::words::visible;
use crate::cli::top::look::Paint;
use crate::cli::top::page::Page;
use crate::cli::top::rates::{Counters, Recent};
use crate::cli::top::sheet::{By, Column, Fit, Row, Span};

/// A transaction that idles longer than this holds locks that others may wait for.
const IDLE_MAX_MS: u128 = 1_000;

/// A connection in the table.
#[derive(Debug, Clone)]
pub(in crate::cli::top) struct ConnectionRow {
    /// Its number as a word.
    id: String,
    pub(in crate::cli::top) connection: Connection,
    /// What it did in the last interval.
    recent: Option<Recent>,
}

const QUERIES: usize = 0;
const TRANSACTIONS: usize = 1;

/// What rates are made of, in the order of the indices above.
pub(in crate::cli::top) fn counters(connection: &Connection) -> Counters {
    [
        connection.queries as f64,
        connection.transactions as f64,
        0.0,
        0.0,
    ]
}

impl ConnectionRow {
    pub(in crate::cli::top) fn new(
        connection: Connection,
        recent: Option<Recent>,
    ) -> ConnectionRow {
        ConnectionRow {
            id: connection.id.to_string(),
            connection,
            recent,
        }
    }

    fn per_second(&self, index: usize) -> Option<f64> {
        self.recent.map(|recent| recent.rate(index))
    }

    /// In a transaction, doing nothing, for too long.
    fn forgets(&self, now: SystemTime) -> bool {
        self.connection.state.starts_with("idle in transaction")
            && since(&self.connection.since, now)
                .is_some_and(|passed| passed.as_millis() > IDLE_MAX_MS)
    }
}

/// The API's word for a state, short enough for a column.
fn state(written: &str) -> String {
    match written {
        "idle in transaction" => "idle in tx".to_owned(),
        "idle in transaction (aborted)" => "aborted tx".to_owned(),
        other => visible(other),
    }
}

/// How soon somebody should look at it.
fn urgency(written: &str) -> f64 {
    match written {
        "idle in transaction (aborted)" => 3.0,
        "idle in transaction" => 2.0,
        "active" => 1.0,
        _ => 0.0,
    }
}

const STATE: Column<ConnectionRow> = Column {
    heading: "state",
    fit: Fit::Left(10),
    rank: 0,
    cell: |row, _| state(&row.connection.state),
    by: By::Figure(|row| urgency(&row.connection.state)),
    asked: "state",
};

const FOR: Column<ConnectionRow> = Column {
    heading: "for",
    fit: Fit::Right(7),
    rank: 0,
    cell: |row, now| ago(&row.connection.since, now),
    by: By::Time(|row| &row.connection.since),
    asked: "state",
};

const USER: Column<ConnectionRow> = Column {
    heading: "user",
    fit: Fit::Left(12),
    rank: 2,
    cell: |row, _| visible(&row.connection.user),
    by: By::Word(|row| row.connection.user.clone()),
    asked: "id",
};

const DATABASE: Column<ConnectionRow> = Column {
    heading: "database",
    fit: Fit::Left(12),
    rank: 1,
    cell: |row, _| visible(&row.connection.database),
    by: By::Word(|row| row.connection.database.clone()),
    asked: "id",
};

const APPLICATION: Column<ConnectionRow> = Column {
    heading: "application",
    fit: Fit::Rest(12),
    rank: 0,
    cell: |row, _| visible(&row.connection.application),
    by: By::Word(|row| row.connection.application.clone()),
    asked: "id",
};

const CLIENT: Column<ConnectionRow> = Column {
    heading: "client",
    fit: Fit::Left(21),
    rank: 5,
    cell: |row, _| visible(&row.connection.client),
    by: By::Word(|row| row.connection.client.clone()),
    asked: "id",
};

const UPSTREAM: Column<ConnectionRow> = Column {
    heading: "upstream",
    fit: Fit::Left(21),
    rank: 7,
    cell: |row, _| visible(&row.connection.upstream),
    by: By::Word(|row| row.connection.upstream.clone()),
    asked: "id",
};

const PID: Column<ConnectionRow> = Column {
    heading: "pid",
    fit: Fit::Right(8),
    rank: 6,
    cell: |row, _| known(row.connection.backend_pid.map(|pid| pid.to_string())),
    by: By::Figure(|row| row.connection.backend_pid.map_or(-1.0, |pid| pid as f64)),
    asked: "id",
};

const OBSERVED: Column<ConnectionRow> = Column {
    heading: "seen",
    fit: Fit::Left(4),
    rank: 8,
    cell: |row, _| yes(row.connection.observed),
    by: By::Word(|row| yes(row.connection.observed)),
    asked: "id",
};

const TLS: Column<ConnectionRow> = Column {
    heading: "TLS",
    fit: Fit::Left(3),
    rank: 9,
    cell: |row, _| yes(row.connection.tls),
    by: By::Word(|row| yes(row.connection.tls)),
    asked: "id",
};

static LIVE: [Column<ConnectionRow>; 12] = [
    STATE,
    FOR,
    Column {
        heading: "queries/s",
        fit: Fit::Right(10),
        rank: 3,
        cell: |row, _| known(row.per_second(QUERIES).map(rate)),
        by: By::Figure(|row| row.per_second(QUERIES).unwrap_or(-1.0)),
        asked: "queries",
    },
    Column {
        heading: "tx/s",
        fit: Fit::Right(7),
        rank: 4,
        cell: |row, _| known(row.per_second(TRANSACTIONS).map(rate)),
        by: By::Figure(|row| row.per_second(TRANSACTIONS).unwrap_or(-1.0)),
        asked: "transactions",
    },
    APPLICATION,
    DATABASE,
    USER,
    CLIENT,
    UPSTREAM,
    PID,
    OBSERVED,
    TLS,
];

static TOTAL: [Column<ConnectionRow>; 12] = [
    STATE,
    FOR,
    Column {
        heading: "queries",
        fit: Fit::Right(9),
        rank: 3,
        cell: |row, _| figures::short_count(row.connection.queries),
        by: By::Figure(|row| row.connection.queries as f64),
        asked: "queries",
    },
    Column {
        heading: "tx",
        fit: Fit::Right(7),
        rank: 4,
        cell: |row, _| figures::short_count(row.connection.transactions),
        by: By::Figure(|row| row.connection.transactions as f64),
        asked: "transactions",
    },
    APPLICATION,
    DATABASE,
    USER,
    CLIENT,
    UPSTREAM,
    PID,
    OBSERVED,
    TLS,
];

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

impl Row for ConnectionRow {
    fn id(&self) -> &str {
        &self.id
    }

    fn columns(span: Span) -> &'static [Column<ConnectionRow>] {
        match span {
            Span::Live => &LIVE,
            Span::Total => &TOTAL,
        }
    }

    fn sorted_by(_: Span) -> &'static str {
        "state"
    }

    fn paint(&self, now: SystemTime) -> Paint {
        match self.connection.state.as_str() {
            "idle in transaction (aborted)" => Paint::Bad,
            _ if self.forgets(now) => Paint::Warning,
            "unobserved" => Paint::Warning,
            "idle" => Paint::Dim,
            _ => Paint::Plain,
        }
    }
}

/// All fields of one; `gone` says that it has ended.
pub(in crate::cli::top) fn page(row: &ConnectionRow, gone: bool, page: &mut Page, now: SystemTime) {
    let connection = &row.connection;
    page.line(Paint::Bold, &format!("Connection {}", connection.id));
    if gone {
        page.line(Paint::Warning, "It has ended; these are its last figures.");
    }
    page.blank();
    let since = format!("{} for {}", connection.state, ago(&connection.since, now));
    let paint = row.paint(now);
    page.told("state", if gone { Paint::Dim } else { paint }, &since);
    if !gone && row.forgets(now) {
        let words = "It holds its locks while the application does something else.";
        page.told("", Paint::Plain, words);
    }
    let done = |count: u64, index: usize| match row.per_second(index) {
        Some(per_second) if !gone => {
            format!("{}, {} a second", figures::count(count), rate(per_second))
        }
        _ => figures::count(count),
    };
    let pid = known(connection.backend_pid.map(|pid| pid.to_string()));
    for (label, value) in [
        ("queries", done(connection.queries, QUERIES)),
        ("transactions", done(connection.transactions, TRANSACTIONS)),
        ("application", connection.application.clone()),
        ("user", connection.user.clone()),
        ("database", connection.database.clone()),
        ("client", connection.client.clone()),
        ("listener", connection.listener.clone()),
        ("upstream", connection.upstream.clone()),
        ("backend pid", pid),
        ("TLS", yes(connection.tls)),
        ("observed", yes(connection.observed)),
    ] {
        page.told(label, Paint::Plain, &value);
    }
}
