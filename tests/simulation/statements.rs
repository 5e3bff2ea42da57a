//! Made-up statements: their text says what the server makes of them.

use crate::random::Random;

/// What the product calls a statement whose Parse it has not seen.
pub(crate) const UNSEEN: &str = "EXECUTE unseen";

/// What a text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Select {
        columns: usize,
        rows: u64,
        value_bytes: usize,
    },
    /// Fails after so many rows.
    Fails {
        sqlstate: &'static str,
        rows: u64,
        columns: usize,
    },
    Syntax,
    /// Its parameters will not be taken.
    Unbindable,
    Insert(u64),
    /// Its commit fails.
    Deferred,
    Update(u64),
    Set,
    SetName(String),
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    Declare {
        cursor: String,
        query: String,
        columns: usize,
        rows: u64,
    },
    Fetch {
        cursor: String,
        rows: u64,
    },
    CloseCursor {
        cursor: String,
    },
    CopyIn {
        fails_after: Option<usize>,
    },
    CopyOut(u64),
    CopyBoth,
    Empty,
    Terminated,
}

impl Kind {
    pub(crate) fn ends_a_failed_transaction(&self) -> bool {
        matches!(self, Kind::Commit | Kind::Rollback | Kind::RollbackTo(_))
    }

    /// Columns of its rows, if it returns any.
    pub(crate) fn columns(&self) -> Option<usize> {
        match self {
            Kind::Select { columns, .. } | Kind::Fails { columns, .. } => Some(*columns),
            Kind::Fetch { .. } | Kind::Unbindable => Some(1),
            _ => None,
        }
    }
}

/// The SQLSTATEs that made-up statements fail with.
const SQLSTATES: [&str; 4] = ["22012", "40001", "57014", "23505"];

/// What the server makes of a text.
pub(crate) fn read(text: &str) -> Kind {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\''))
        .filter(|word| !word.is_empty())
        .collect();
    let word = |place: usize| words.get(place).copied().unwrap_or_default();
    let number = |place: usize| word(place).parse::<u64>().unwrap_or_default();
    let behind = |name: &str| {
        let place = words.iter().position(|word| *word == name);
        place.map_or(0, |place| number(place + 1))
    };
    let name = |place: usize| word(place).to_owned();
    match (word(0), word(1), word(2)) {
        ("", ..) => Kind::Empty,
        ("SELECT", "fail", _) => Kind::Fails {
            sqlstate: SQLSTATES[number(2) as usize % SQLSTATES.len()],
            rows: number(3),
            columns: 1,
        },
        ("SELECT", "pg_terminate_backend", _) => Kind::Terminated,
        ("SELECT", "unbindable", _) => Kind::Unbindable,
        ("SELECT", ..) => Kind::Select {
            columns: words.iter().filter(|word| word.starts_with('c')).count(),
            rows: behind("LIMIT"),
            value_bytes: behind("lpad") as usize,
        },
        ("INSERT", _, "deferred") => Kind::Deferred,
        ("INSERT", ..) => Kind::Insert(behind("VALUES")),
        ("UPDATE", ..) => Kind::Update(behind("=")),
        ("SET", "application_name", _) => Kind::SetName(name(3)),
        ("SET", ..) => Kind::Set,
        ("BEGIN", ..) => Kind::Begin,
        ("COMMIT", ..) => Kind::Commit,
        ("ROLLBACK", "TO", _) => Kind::RollbackTo(name(3)),
        ("ROLLBACK", ..) => Kind::Rollback,
        ("SAVEPOINT", ..) => Kind::Savepoint(name(1)),
        ("RELEASE", ..) => Kind::Release(name(2)),
        ("DECLARE", cursor, _) => {
            let query = text.split_once(" FOR ").map_or("", |(_, query)| query);
            let (columns, rows) = match read(query) {
                Kind::Select { columns, rows, .. } => (columns, rows),
                _ => (1, 0),
            };
            Kind::Declare {
                cursor: cursor.to_owned(),
                query: query.to_owned(),
                columns,
                rows,
            }
        }
        ("FETCH", ..) => Kind::Fetch {
            cursor: name(3),
            rows: number(1),
        },
        ("CLOSE", ..) => Kind::CloseCursor { cursor: name(1) },
        ("COPY", "bad", _) => Kind::CopyIn {
            fails_after: Some(behind("STDIN") as usize),
        },
        ("COPY", _, "FROM") => Kind::CopyIn { fails_after: None },
        ("COPY", ..) => Kind::CopyOut(behind("LIMIT")),
        ("START_REPLICATION", ..) => Kind::CopyBoth,
        _ => Kind::Syntax,
    }
}

/// The statements of a Query's text.
pub(crate) fn split(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '\'';
        match (c, is_quoted, statements.last_mut()) {
            (';', false, _) => statements.push(String::new()),
            (_, _, Some(last)) => last.push(c),
            _ => {}
        }
    }
    statements
        .iter()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

// ---- made up ----

/// A SELECT, now and then one with much to say.
pub(crate) fn select(random: &mut Random, is_bulky: bool) -> String {
    let columns = random.size(1, 4);
    let list: Vec<String> = (0..columns).map(|number| format!("c{number}")).collect();
    let table = random.between(0, 30);
    let (rows, value_bytes) = if is_bulky {
        (random.between(1, 60), random.pick(&[100, 4_000, 20_000]))
    } else {
        (random.pick(&[0, 1, 1, 2, 5, 17]), 0)
    };
    let padding = if value_bytes > 0 {
        format!(" WHERE d = lpad({value_bytes})")
    } else if random.chance(10) {
        " WHERE d = ';'".to_owned()
    } else {
        String::new()
    };
    format!(
        "SELECT {} FROM t{table}{padding} LIMIT {rows}",
        list.join(", ")
    )
}

/// Any statement that does nothing to the transaction, unless it fails.
pub(crate) fn ordinary(random: &mut Random, is_bulky: bool) -> String {
    let n = random.between(0, 20);
    match random.size(0, 22) {
        0..=8 => select(random, is_bulky),
        9..=11 => format!("INSERT INTO t{n} (a) VALUES ({})", random.between(1, 9)),
        12..=13 => format!("UPDATE t{n} SET a = {}", random.between(0, 99)),
        14 => format!("SET statement_timeout = {n}"),
        15 => format!("SET application_name = 'app{n}'"),
        16..=18 => format!("SELECT fail({n}, {}) FROM t{n}", random.between(0, 4)),
        19 => format!("SELEC {n}"),
        20 => format!(
            "COPY (SELECT c0 FROM t{n} LIMIT {}) TO STDOUT",
            random.between(0, 9)
        ),
        _ => format!("SELECT c0 FROM t{n} /* route='r{n}' */ LIMIT 1"),
    }
}

/// A statement that begins, ends or divides a transaction.
pub(crate) fn transactional(random: &mut Random) -> String {
    let name = random.between(1, 3);
    match random.size(0, 10) {
        0..=3 => "BEGIN".to_owned(),
        4..=5 => "COMMIT".to_owned(),
        6 => "ROLLBACK".to_owned(),
        7 => format!("SAVEPOINT s{name}"),
        8 => format!("RELEASE SAVEPOINT s{name}"),
        _ => format!("ROLLBACK TO SAVEPOINT s{name}"),
    }
}

/// A big statement: its text is cut into many reads.
pub(crate) fn long(random: &mut Random) -> String {
    let bytes = random.size(1_000, 150_000);
    format!(
        "SELECT c0 FROM t1 WHERE d = '{}' LIMIT 2",
        "x".repeat(bytes)
    )
}
