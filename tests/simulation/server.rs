//! A server that keeps PostgreSQL's protocol as its manual tells it, and does what the made-up statements say.

use std::collections::{HashMap, HashSet};

use pgprism::event::Protocol;
use pgprism::wire::TransactionStatus;

use crate::expect::{Answer, Ledger};
use crate::messages::*;
use crate::random::Random;
use crate::statements::{Kind, UNSEEN, read, split};

/// A backend of one session.
pub(crate) struct Server {
    random: Random,
    pub(crate) ledger: Ledger,
    /// What came and is not handled yet.
    pub(crate) input: Vec<u8>,
    /// What it has said, up to `sent` given to the network, up to `flushed` to be given.
    out: Vec<u8>,
    sent: usize,
    flushed: usize,
    phase: Phase,
    status: TransactionStatus,
    skips_to_sync: bool,
    statements: HashMap<String, String>,
    portals: HashMap<String, Portal>,
    refused: HashSet<String>,
    cursors: HashMap<String, Cursor>,
    savepoints: Vec<String>,
    /// A constraint that the next commit will find broken.
    is_doomed: bool,
    application: Option<String>,
    /// A failed commit has ended the transaction block.
    is_over: bool,
    /// It closes because of an error.
    is_fatal: bool,
    feeding: Option<Feeding>,
    replicating: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits for a password.
    Password,
    Open,
    CopyIn(usize),
    CopyBoth,
    /// Has said its last word.
    Closing,
}

#[derive(Debug, Clone)]
struct Portal {
    text: String,
    returned: u64,
}

#[derive(Debug, Clone)]
struct Cursor {
    left: u64,
    columns: usize,
}

/// A statement that fails.
struct Failure(&'static str);

/// A message of the extended protocol that fails, and the statement that is to blame, where there is one.
struct Refusal(&'static str, Option<String>);

/// How one statement is being run.
#[derive(Clone)]
struct Run<'a> {
    text: &'a str,
    protocol: Protocol,
    /// The portal and its row limit, in the extended protocol.
    portal: Option<(&'a str, u64)>,
}

/// A COPY that the client feeds: what to do when it is over.
struct Feeding {
    text: String,
    protocol: Protocol,
    fails_after: Option<usize>,
}

impl Server {
    pub(crate) fn new(random: Random, asks_password: bool) -> Server {
        let mut server = Server {
            random,
            ledger: Ledger::default(),
            input: Vec::new(),
            out: Vec::new(),
            sent: 0,
            flushed: 0,
            phase: Phase::Password,
            status: TransactionStatus::Idle,
            skips_to_sync: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
            refused: HashSet::new(),
            cursors: HashMap::new(),
            savepoints: Vec::new(),
            is_doomed: false,
            application: None,
            is_over: false,
            is_fatal: false,
            feeding: None,
            replicating: String::new(),
        };
        if asks_password {
            server.say(&message(b'R', &[0, 0, 0, 3]));
            server.flushed = server.out.len();
        } else {
            server.let_in();
        }
        server
    }

    // ---- its words ----

    fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes said so far: where the answer that was said last ends.
    fn at(&self) -> usize {
        self.out.len()
    }

    /// What may go to the network now.
    pub(crate) fn to_send(&self) -> &[u8] {
        &self.out[self.sent..self.flushed]
    }

    pub(crate) fn went(&mut self, count: usize) {
        self.sent += count;
    }

    /// Whether it waits for the network to take its words, and does nothing else meanwhile.
    pub(crate) fn is_blocked(&self) -> bool {
        self.to_send().len() > 8192
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether it has answered everything that it was asked, and all of its words have gone.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_in_order = match self.phase {
            Phase::Open => true,
            Phase::Closing => !self.is_fatal,
            Phase::Password | Phase::CopyIn(_) | Phase::CopyBoth => false,
        };
        is_in_order && !self.skips_to_sync && self.sent == self.out.len()
    }

    fn let_in(&mut self) {
        self.say(&message(b'R', &[0; 4]));
        self.say(&parameter_status("server_version", "17.2"));
        self.say(&message(b'K', &[0, 0, 0x12, 0x34, 1, 2, 3, 4]));
        self.say(&ready(b'I'));
        self.flushed = self.at();
        self.phase = Phase::Open;
    }

    /// Words that nobody asked for: allowed between any two messages.
    fn asides(&mut self) {
        if self.random.chance(4) {
            let aside = match self.random.size(0, 3) {
                0 => notice(),
                1 => notification(),
                _ => parameter_status("TimeZone", "UTC"),
            };
            self.say(&aside);
        }
    }

    /// Ends the session, as an administrator's command does.
    pub(crate) fn terminate(&mut self) {
        if self.phase != Phase::Closing {
            self.say_last("57P01");
        }
    }

    fn say_last(&mut self, sqlstate: &str) {
        self.say(&error("FATAL", sqlstate));
        self.flushed = self.at();
        self.is_fatal = true;
        self.phase = Phase::Closing;
    }

    // ---- what it hears ----

    /// Handles one message, if a whole one is there; false if not.
    pub(crate) fn step(&mut self) -> bool {
        if self.phase == Phase::Closing || self.is_blocked() {
            return false;
        }
        let Some((tag, body)) = take_message(&mut self.input) else {
            return false;
        };
        self.asides();
        match self.phase {
            Phase::Password => self.let_in(),
            Phase::Open => self.hear(tag, &body),
            Phase::CopyIn(fed) => self.feed(tag, fed),
            Phase::CopyBoth => self.converse(tag),
            Phase::Closing => {}
        }
        if self.random.chance(10) {
            self.flushed = self.at();
        }
        true
    }

    fn hear(&mut self, tag: u8, body: &[u8]) {
        if self.skips_to_sync && !matches!(tag, b'S' | b'X') {
            self.note_refused(tag, body);
            return;
        }
        match tag {
            b'Q' => self.query(body),
            b'F' => self.function_call(),
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                if let Err(Refusal(sqlstate, blamed)) = self.extended(tag, body) {
                    let before = self.status;
                    self.fail(sqlstate);
                    self.note_refused(tag, body);
                    if let Some(text) = blamed {
                        self.note_failure(&text, None, Protocol::Extended, 0, sqlstate, before);
                    }
                    self.skips_to_sync = true;
                }
            }
            b'S' => {
                self.skips_to_sync = false;
                if self.status == TransactionStatus::Idle && std::mem::take(&mut self.is_doomed) {
                    self.say(&error("ERROR", "23503"));
                    self.ledger.failed_late("23503", self.out.len());
                }
                self.get_ready();
            }
            b'H' => self.flushed = self.at(),
            b'X' => self.phase = Phase::Closing,
            b'd' | b'c' | b'f' => {}
            _ => self.say_last("08P01"),
        }
    }

    /// A Bind that was not done: what an Execute behind it would run is the portal that had the name before, and which
    /// one is meant nobody knows.
    fn note_refused(&mut self, tag: u8, body: &[u8]) {
        if tag == b'B' {
            let ([portal], _) = read_strings::<1>(body);
            self.refused.insert(portal);
        }
    }

    fn get_ready(&mut self) {
        if let Some(name) = self.application.take() {
            self.say(&parameter_status("application_name", &name));
        }
        if std::mem::take(&mut self.is_over) {
            self.status = TransactionStatus::Idle;
        }
        let letter = match self.status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        };
        self.say(&ready(letter));
        self.ledger.ready(self.status, self.out.len());
        if self.status == TransactionStatus::Idle {
            self.portals.clear();
        }
        self.flushed = self.at();
    }

    /// Says the error; what it does to the transaction.
    fn fail(&mut self, sqlstate: &'static str) {
        self.say(&error("ERROR", sqlstate));
        self.is_doomed = false;
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }

    fn note_failure(
        &mut self,
        text: &str,
        portal: Option<&str>,
        protocol: Protocol,
        rows: u64,
        sqlstate: &'static str,
        before: TransactionStatus,
    ) {
        // A FETCH that fails ends its cursor, whose query it was; a portal that fails was one query, too.
        let (text, name) = match &read(text) {
            Kind::Fetch { cursor, .. } => (text.to_owned(), Some(cursor.clone())),
            Kind::Declare { query, .. } => (query.clone(), None),
            _ => (text.to_owned(), portal.map(portal_name)),
        };
        let answer = Answer {
            text: &text,
            protocol,
            rows,
            sqlstate: Some(sqlstate),
            before,
            after: self.status,
            at: self.out.len(),
        };
        self.ledger.answered(name.as_deref(), &answer);
    }

    // ---- the simple protocol ----

    fn query(&mut self, body: &[u8]) {
        let ([text], _) = read_strings::<1>(body);
        let texts = split(&text);
        let Some(first) = texts.first() else {
            let before = self.status;
            self.say(&message(b'I', b""));
            self.note("", Protocol::Simple, 0, before);
            return self.get_ready();
        };
        if texts.iter().any(|text| matches!(read(text), Kind::Syntax)) {
            let before = self.status;
            self.fail("42601");
            self.note_failure(first, None, Protocol::Simple, 0, "42601", before);
            return self.get_ready();
        }
        for text in &texts {
            let run = Run {
                text,
                protocol: Protocol::Simple,
                portal: None,
            };
            let before = self.status;
            let said = self.out.len();
            if let Err(Failure(sqlstate)) = self.run(&run) {
                let rows = rows_in(&self.out[said..]);
                self.fail(sqlstate);
                self.note_failure(text, None, Protocol::Simple, rows, sqlstate, before);
                break;
            }
            if self.phase != Phase::Open {
                return;
            }
        }
        self.get_ready();
    }

    fn function_call(&mut self) {
        const TEXT: &str = "CALL fastpath_function_call";
        let before = self.status;
        if before == TransactionStatus::Failed {
            self.fail("25P02");
            self.note_failure(TEXT, None, Protocol::Function, 0, "25P02", before);
        } else {
            self.say(&message(b'V', &[0, 0, 0, 1, b'7']));
            self.note(TEXT, Protocol::Function, 0, before);
        }
        self.get_ready();
    }

    /// A query is over and all went well.
    fn note(&mut self, text: &str, protocol: Protocol, rows: u64, before: TransactionStatus) {
        let answer = Answer {
            text,
            protocol,
            rows,
            sqlstate: None,
            before,
            after: self.status,
            at: self.out.len(),
        };
        self.ledger.answered(None, &answer);
    }

    // ---- the extended protocol ----

    fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), Refusal> {
        let is_failed = self.status == TransactionStatus::Failed;
        match tag {
            b'P' => {
                let ([name, text], _) = read_strings::<2>(body);
                let kind = read(&text);
                let failure = match kind {
                    Kind::Syntax => Some("42601"),
                    _ if is_failed && !kind.ends_a_failed_transaction() => Some("25P02"),
                    _ if !name.is_empty() && self.statements.contains_key(&name) => Some("42P05"),
                    _ => None,
                };
                if let Some(sqlstate) = failure {
                    return Err(Refusal(sqlstate, Some(text)));
                }
                self.statements.insert(name, text);
                self.say(&message(b'1', b""));
            }
            b'B' => {
                let ([portal, name], _) = read_strings::<2>(body);
                let Some(text) = self.statements.get(&name).cloned() else {
                    return Err(Refusal("26000", Some(UNSEEN.to_owned())));
                };
                let failure = match read(&text) {
                    Kind::Unbindable => Some("22P02"),
                    kind if is_failed && !kind.ends_a_failed_transaction() => Some("25P02"),
                    _ if !portal.is_empty() && self.portals.contains_key(&portal) => Some("42P03"),
                    _ => None,
                };
                if let Some(sqlstate) = failure {
                    return Err(Refusal(sqlstate, Some(text)));
                }
                self.say(&message(b'2', b""));
                self.ledger
                    .ended(&portal_name(&portal), self.status, self.out.len());
                self.refused.remove(&portal);
                self.portals.insert(portal, Portal { text, returned: 0 });
            }
            b'D' => {
                let ([name], _) = read_strings::<1>(&body[1..]);
                let text = match body[0] {
                    b'S' => self.statements.get(&name),
                    _ => self.portals.get(&name).map(|portal| &portal.text),
                };
                let Some(text) = text.cloned() else {
                    return Err(Refusal("26000", None));
                };
                if body[0] == b'S' {
                    self.say(&message(b't', &[0, 0]));
                }
                let description = match read(&text).columns() {
                    Some(columns) => row_description(columns),
                    None => message(b'n', b""),
                };
                self.say(&description);
            }
            b'E' => {
                let ([name], rest) = read_strings::<1>(body);
                let limit = u64::from(u32::from_be_bytes(rest.try_into().expect("a limit")));
                let Some(portal) = self.portals.get(&name).cloned() else {
                    return Err(Refusal("34000", Some(UNSEEN.to_owned())));
                };
                let run = Run {
                    text: &portal.text,
                    protocol: Protocol::Extended,
                    portal: Some((&name, limit)),
                };
                let before = self.status;
                let said = self.out.len();
                let is_refused = self.refused.contains(&name);
                if let Err(Failure(sqlstate)) = self.run(&run) {
                    // Noted here: the rows that came before the error count.
                    let rows = rows_in(&self.out[said..]);
                    self.fail(sqlstate);
                    self.note_failure(
                        if is_refused { UNSEEN } else { &portal.text },
                        Some(&name),
                        Protocol::Extended,
                        rows,
                        sqlstate,
                        before,
                    );
                    self.skips_to_sync = true;
                }
            }
            _ => {
                let ([name], _) = read_strings::<1>(&body[1..]);
                self.say(&message(b'3', b""));
                if body[0] == b'S' {
                    self.statements.remove(&name);
                } else {
                    self.portals.remove(&name);
                    self.ledger
                        .ended(&portal_name(&name), self.status, self.out.len());
                }
            }
        }
        Ok(())
    }

    // ---- statements ----

    /// Does what a statement says, and answers it unless it fails.
    fn run(&mut self, run: &Run<'_>) -> Result<(), Failure> {
        let kind = read(run.text);
        let before = self.status;
        if before == TransactionStatus::Failed && !kind.ends_a_failed_transaction() {
            return Err(Failure("25P02"));
        }
        let is_simple = run.protocol == Protocol::Simple;
        let mut tag = None;
        match kind {
            Kind::Select {
                columns,
                rows,
                value_bytes,
            } => {
                self.describe_to(is_simple, columns);
                return self.select(run, columns, rows, value_bytes);
            }
            Kind::Fails {
                sqlstate,
                rows,
                columns,
            } => {
                self.describe_to(is_simple, columns);
                self.rows(columns, 0, 0..rows);
                return Err(Failure(sqlstate));
            }
            Kind::Insert(rows) => tag = Some((format!("INSERT 0 {rows}"), rows)),
            Kind::Deferred if is_simple && before == TransactionStatus::Idle => {
                return Err(Failure("23503"));
            }
            Kind::Deferred => {
                self.is_doomed = true;
                tag = Some(("INSERT 0 1".to_owned(), 1));
            }
            Kind::Update(rows) => tag = Some((format!("UPDATE {rows}"), rows)),
            Kind::Set => tag = Some(("SET".to_owned(), 0)),
            Kind::SetName(name) => {
                self.application = Some(name);
                tag = Some(("SET".to_owned(), 0));
            }
            Kind::Begin => {
                if before == TransactionStatus::Idle {
                    self.status = TransactionStatus::InTransaction;
                } else {
                    self.say(&notice());
                }
                tag = Some(("BEGIN".to_owned(), 0));
            }
            Kind::Commit | Kind::Rollback => {
                let name = self.end_transaction(matches!(kind, Kind::Commit))?;
                tag = Some((name.to_owned(), 0));
            }
            Kind::Savepoint(name) => {
                self.in_a_block()?;
                self.savepoints.push(name);
                tag = Some(("SAVEPOINT".to_owned(), 0));
            }
            Kind::Release(name) => {
                self.in_a_block()?;
                self.cut_savepoints(&name, 0)?;
                tag = Some(("RELEASE".to_owned(), 0));
            }
            Kind::RollbackTo(name) => {
                self.in_a_block()?;
                self.cut_savepoints(&name, 1)?;
                self.status = TransactionStatus::InTransaction;
                tag = Some(("ROLLBACK".to_owned(), 0));
            }
            Kind::Declare { .. } | Kind::Fetch { .. } | Kind::CloseCursor { .. } => {
                return self.cursor(run, kind);
            }
            Kind::CopyIn { fails_after } => {
                self.say(&message(b'G', &[0, 0, 0]));
                self.flushed = self.at();
                self.phase = Phase::CopyIn(0);
                self.feeding = Some(Feeding {
                    text: run.text.to_owned(),
                    protocol: run.protocol,
                    fails_after,
                });
            }
            Kind::CopyOut(rows) => {
                self.say(&message(b'H', &[0, 0, 0]));
                (0..rows).for_each(|row| self.say(&copy_data(format!("{row}\n").as_bytes())));
                self.say(&copy_done());
                self.say(&complete(&format!("COPY {rows}")));
                self.note(run.text, Protocol::Copy, rows, before);
            }
            Kind::CopyBoth => {
                self.say(&message(b'W', &[0, 0, 0]));
                self.flushed = self.at();
                self.phase = Phase::CopyBoth;
                self.replicating = run.text.to_owned();
            }
            Kind::Empty => {
                self.say(&message(b'I', b""));
                self.note("", run.protocol, 0, before);
            }
            Kind::Terminated => {
                self.say_last("57P01");
                if before == TransactionStatus::InTransaction {
                    self.status = TransactionStatus::Failed;
                }
                self.note_failure(run.text, None, run.protocol, 0, "57P01", before);
            }
            Kind::Syntax | Kind::Unbindable => return Err(Failure("42601")),
        }
        if let Some((tag, rows)) = tag {
            self.say(&complete(&tag));
            self.note(run.text, run.protocol, rows, before);
        }
        Ok(())
    }

    /// In the simple protocol nobody asks for the description of rows: it comes by itself.
    fn describe_to(&mut self, is_simple: bool, columns: usize) {
        if is_simple {
            self.say(&row_description(columns));
        }
    }

    fn rows(&mut self, columns: usize, value_bytes: usize, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.say(&data_row(columns, value_bytes, number as usize));
            if self.random.chance(1) {
                self.asides();
            }
        }
    }

    fn select(
        &mut self,
        run: &Run<'_>,
        columns: usize,
        rows: u64,
        value_bytes: usize,
    ) -> Result<(), Failure> {
        let before = self.status;
        let Some((name, limit)) = run.portal else {
            self.rows(columns, value_bytes, 0..rows);
            self.say(&complete(&format!("SELECT {rows}")));
            self.note(run.text, Protocol::Simple, rows, before);
            return Ok(());
        };
        let from = self.portals.get(name).map_or(0, |portal| portal.returned);
        let is_suspended = limit > 0 && rows - from >= limit;
        let until = if is_suspended { from + limit } else { rows };
        self.rows(columns, value_bytes, from..until);
        if let Some(portal) = self.portals.get_mut(name) {
            portal.returned = until;
        }
        let words = if is_suspended {
            message(b's', b"")
        } else {
            complete(&format!("SELECT {}", until - from))
        };
        self.say(&words);
        let answer = Answer {
            text: run.text,
            protocol: Protocol::Extended,
            rows: until - from,
            sqlstate: None,
            before,
            after: before,
            at: self.out.len(),
        };
        let name = portal_name(name);
        if is_suspended {
            self.ledger.part(&name, &answer);
        } else {
            self.ledger.answered(Some(&name), &answer);
        }
        Ok(())
    }

    fn cursor(&mut self, run: &Run<'_>, kind: Kind) -> Result<(), Failure> {
        let before = self.status;
        let said = |server: &Server, text, rows| Answer {
            text,
            protocol: Protocol::Cursor,
            rows,
            sqlstate: None,
            before,
            after: before,
            at: server.out.len(),
        };
        match kind {
            Kind::Declare {
                cursor,
                query,
                columns,
                rows,
            } => {
                self.in_a_block()?;
                if self.cursors.contains_key(&cursor) {
                    return Err(Failure("42P03"));
                }
                self.say(&complete("DECLARE CURSOR"));
                let answer = said(self, query.as_str(), 0);
                self.ledger.part(&cursor, &answer);
                let left = rows;
                self.cursors.insert(cursor, Cursor { left, columns });
            }
            Kind::Fetch { cursor, rows } => {
                let Some(Cursor { left, columns }) = self.cursors.get(&cursor).cloned() else {
                    return Err(Failure("34000"));
                };
                let rows = rows.min(left);
                self.describe_to(run.protocol == Protocol::Simple, columns);
                self.rows(columns, 0, 0..rows);
                self.say(&complete(&format!("FETCH {rows}")));
                let answer = said(self, run.text, rows);
                self.ledger.part(&cursor, &answer);
                let left = left - rows;
                self.cursors.insert(cursor, Cursor { left, columns });
            }
            Kind::CloseCursor { cursor } => {
                if self.cursors.remove(&cursor).is_none() {
                    return Err(Failure("34000"));
                }
                self.say(&complete("CLOSE CURSOR"));
                let answer = said(self, run.text, 0);
                self.ledger.part(&cursor, &answer);
                self.ledger.ended(&cursor, before, self.out.len());
            }
            _ => {}
        }
        Ok(())
    }

    fn in_a_block(&self) -> Result<(), Failure> {
        match self.status {
            TransactionStatus::Idle => Err(Failure("25P01")),
            TransactionStatus::InTransaction | TransactionStatus::Failed => Ok(()),
        }
    }

    /// Forgets the savepoints behind `name`, and itself unless `kept` is 1.
    fn cut_savepoints(&mut self, name: &str, kept: usize) -> Result<(), Failure> {
        let Some(place) = self.savepoints.iter().rposition(|it| it == name) else {
            return Err(Failure("3B001"));
        };
        self.savepoints.truncate(place + kept);
        Ok(())
    }

    fn end_transaction(&mut self, commits: bool) -> Result<&'static str, Failure> {
        let was = std::mem::take(&mut self.status);
        self.savepoints.clear();
        self.cursors.clear();
        let is_doomed = std::mem::take(&mut self.is_doomed);
        match (was, commits) {
            (TransactionStatus::InTransaction, true) if is_doomed => {
                self.status = was;
                self.is_over = true;
                Err(Failure("23503"))
            }
            (TransactionStatus::InTransaction, true) => Ok("COMMIT"),
            (TransactionStatus::InTransaction, false) | (TransactionStatus::Failed, _) => {
                Ok("ROLLBACK")
            }
            (TransactionStatus::Idle, _) => {
                // A warning, and what an implicit transaction had done so far.
                self.say(&notice());
                Ok(if commits { "COMMIT" } else { "ROLLBACK" })
            }
        }
    }

    // ---- COPY ----

    fn feed(&mut self, tag: u8, fed: usize) {
        let Some(feeding) = self.feeding.take() else {
            return;
        };
        let before = self.status;
        let Feeding {
            text,
            protocol,
            fails_after,
        } = &feeding;
        let failure = match tag {
            b'd' if fails_after.is_some_and(|after| fed >= after) => Some("22P04"),
            b'd' => {
                self.phase = Phase::CopyIn(fed + 1);
                self.feeding = Some(feeding);
                return;
            }
            b'c' => None,
            b'f' => Some("57014"),
            // Sync and Flush mean nothing here.
            _ => {
                self.feeding = Some(feeding);
                return;
            }
        };
        self.phase = Phase::Open;
        match failure {
            None => {
                self.say(&complete(&format!("COPY {fed}")));
                self.note(text, Protocol::Copy, fed as u64, before);
            }
            Some(sqlstate) => {
                self.fail(sqlstate);
                self.note_failure(text, None, Protocol::Copy, 0, sqlstate, before);
                self.skips_to_sync = *protocol == Protocol::Extended;
            }
        }
        if *protocol == Protocol::Simple {
            self.get_ready();
        }
    }

    /// Replication: both sides talk until both have said that they are done.
    fn converse(&mut self, tag: u8) {
        match tag {
            b'd' => self.say(&copy_data(b"keepalive")),
            b'c' => {
                self.say(&copy_done());
                self.say(&complete("START_REPLICATION"));
                self.phase = Phase::Open;
                let text = std::mem::take(&mut self.replicating);
                self.note(&text, Protocol::Copy, 0, self.status);
                self.get_ready();
            }
            _ => {}
        }
        self.flushed = self.at();
    }
}

/// The ledger's name of a portal; cursors go by their own.
fn portal_name(name: &str) -> String {
    format!("portal {name}")
}

/// DataRows among whole messages.
fn rows_in(mut words: &[u8]) -> u64 {
    let mut rows = 0;
    while let Some((tag, rest)) = words.split_first() {
        rows += u64::from(*tag == b'D');
        let length = rest
            .first_chunk::<4>()
            .map_or(0, |it| u32::from_be_bytes(*it));
        words = rest.get(length as usize..).unwrap_or_default();
    }
    rows
}
