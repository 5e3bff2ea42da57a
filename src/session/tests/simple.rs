//! The simple protocol, and the SQL-level state that travels in it.

use super::Script;
use super::wire::*;
use crate::event::{ConnectionState, Protocol, Rest, SessionEvent, TransactionOutcome};
use crate::wire::TransactionStatus;

#[test]
fn phases_of_a_select() {
    let mut s = Script::new();
    s.client(10, &query("SELECT 1"))
        .expect_state(ConnectionState::Active);
    s.upstream(30, &[row_description(), row()].concat());
    s.upstream(35, &[row(), complete("SELECT 2"), ready(b'I')].concat());
    s.expect(&[("SELECT 1", 2, None)])
        .expect_state(ConnectionState::Idle);
    assert_eq!(s.phases(0), [20, 5, 0, 10]);
    let e = &s.sink.exchanges[0];
    assert_eq!(
        (e.protocol, e.round_trips, e.sequence),
        (Protocol::Simple, 1, 0)
    );
    assert_eq!(e.request_bytes, query("SELECT 1").len() as u64);
    assert_eq!(
        e.response_bytes,
        (select_answer(2, b'I').len() - ready(b'I').len()) as u64
    );
}

#[test]
fn a_client_that_does_not_read_costs_client_time() {
    let mut s = Script::new();
    s.client(10, &query("SELECT 1"));
    s.upstream(20, &[row_description(), row()].concat());
    s.session.refused(crate::event::Moment(25_000_000));
    s.upstream(125, &row());
    s.session.accepted(crate::event::Moment(125_000_000));
    s.upstream(130, &[complete("SELECT 2"), ready(b'I')].concat());
    assert_eq!(s.phases(0), [10, 10, 100, 10]);
    assert_eq!(s.sink.exchanges[0].phases.duration_ns(), 120_000_000);
}

#[test]
fn a_client_blocked_before_the_first_reply_is_not_the_database() {
    let mut s = Script::new();
    s.client(10, &query("SELECT 1"));
    s.session.refused(crate::event::Moment(20_000_000));
    s.upstream(70, &select_answer(1, b'I'));
    s.session.accepted(crate::event::Moment(70_000_000));
    assert_eq!(s.phases(0), [10, 0, 50, 10]);
}

#[test]
fn the_application_is_charged_inside_a_transaction_or_for_short_gaps() {
    let mut s = Script::new();
    s.client(40, &query("SELECT 1"))
        .upstream(41, &select_answer(1, b'I'));
    s.client(1041, &query("SELECT b"))
        .upstream(1042, &select_answer(1, b'I'));
    s.client(1043, &query("BEGIN"))
        .upstream(1044, &[complete("BEGIN"), ready(b'T')].concat());
    s.expect_state(ConnectionState::IdleInTransaction);
    s.client(2044, &query("SELECT c"))
        .upstream(2045, &select_answer(1, b'T'));
    let gaps: Vec<u64> = (0..4).map(|i| s.phases(i)[3]).collect();
    assert_eq!(gaps, [40, 0, 1, 1000]);
    assert_eq!(
        s.sink.events,
        [SessionEvent::IdledInTransaction(1_000_000_000)]
    );
}

#[test]
fn several_statements_in_one_query_are_timed_one_after_the_other() {
    let mut s = Script::new();
    s.client(10, &query("SELECT 1; UPDATE t SET a = 2; SELECT c"));
    s.upstream(
        20,
        &[row_description(), row(), complete("SELECT 1")].concat(),
    );
    s.upstream(50, &complete("UPDATE 4"));
    s.upstream(60, &select_answer(2, b'I'));
    s.expect(&[
        ("SELECT 1", 1, None),
        ("UPDATE t SET a = 2", 4, None),
        ("SELECT c", 2, None),
    ]);
    assert_eq!(
        [s.phases(0)[0], s.phases(1)[0], s.phases(2)[0]],
        [10, 30, 10]
    );
    let places: Vec<u32> = s.sink.exchanges.iter().map(|e| e.pipeline_index).collect();
    assert_eq!(places, [0, 1, 2]);
}

#[test]
fn an_error_ends_the_rest_of_its_query() {
    let mut s = Script::new();
    s.client(1, &query("SELECT 1; SELECT 1/0; SELECT c"));
    s.upstream(
        2,
        &[row_description(), row(), complete("SELECT 1")].concat(),
    );
    s.upstream(3, &[error("ERROR", "22012"), ready(b'I')].concat());
    s.client(4, &query("SELECT d"))
        .upstream(5, &select_answer(1, b'I'));
    s.expect(&[
        ("SELECT 1", 1, None),
        ("SELECT 1/0", 0, Some("22012")),
        ("SELECT d", 1, None),
    ]);
}

#[test]
fn an_empty_query_is_a_query() {
    let mut s = Script::new();
    s.client(1, &query(""))
        .upstream(2, &[message(b'I', b""), ready(b'I')].concat());
    s.expect(&[("", 0, None)])
        .expect_state(ConnectionState::Idle);
}

#[test]
fn rollback_to_a_savepoint_does_not_end_the_transaction() {
    let mut s = Script::new();
    let step = |s: &mut Script, ms, sql: &str, tag: &str, status| {
        s.client(ms, &query(sql))
            .upstream(ms, &[complete(tag), ready(status)].concat());
    };
    step(&mut s, 1, "BEGIN", "BEGIN", b'T');
    step(&mut s, 2, "SAVEPOINT \"s1_x1\"", "SAVEPOINT", b'T');
    s.client(3, &query("SELECT 1/0"))
        .upstream(3, &[error("ERROR", "22012"), ready(b'E')].concat());
    s.expect_state(ConnectionState::IdleInTransactionAborted);
    step(
        &mut s,
        4,
        "ROLLBACK TO SAVEPOINT \"s1_x1\"",
        "ROLLBACK",
        b'T',
    );
    s.expect_state(ConnectionState::IdleInTransaction);
    step(&mut s, 5, "COMMIT", "COMMIT", b'I');
    let ends: Vec<_> = s
        .sink
        .events
        .iter()
        .filter(|e| matches!(e, SessionEvent::TransactionEnded(_)))
        .collect();
    assert_eq!(
        ends,
        [&SessionEvent::TransactionEnded(
            TransactionOutcome::Committed
        )]
    );
    let after: Vec<_> = s
        .sink
        .exchanges
        .iter()
        .map(|e| e.transaction_after)
        .collect();
    use TransactionStatus::{Failed, Idle, InTransaction};
    assert_eq!(
        after,
        [InTransaction, InTransaction, Failed, InTransaction, Idle]
    );
}

#[test]
fn transactions_end_as_their_tags_say() {
    let mut s = Script::new();
    let whole = [complete("BEGIN"), complete("COMMIT"), ready(b'I')].concat();
    s.client(1, &query("BEGIN; COMMIT")).upstream(1, &whole);
    s.client(2, &query("COMMIT"))
        .upstream(2, &[notice(), complete("COMMIT"), ready(b'I')].concat());
    s.client(3, &query("BEGIN"))
        .upstream(3, &[complete("BEGIN"), ready(b'T')].concat());
    s.client(3, &query("ROLLBACK"))
        .upstream(3, &[complete("ROLLBACK"), ready(b'I')].concat());
    s.client(4, &query("BEGIN"))
        .upstream(4, &[complete("BEGIN"), ready(b'T')].concat());
    s.close();
    let ends: Vec<_> = s
        .sink
        .events
        .iter()
        .filter_map(|e| {
            if let SessionEvent::TransactionEnded(o) = e {
                Some(*o)
            } else {
                None
            }
        })
        .collect();
    use TransactionOutcome::{Abandoned, Committed, RolledBack};
    assert_eq!(ends, [Committed, RolledBack, Abandoned]);
}

#[test]
fn a_cursor_is_one_query() {
    let mut s = Script::new();
    s.client(0, &query("BEGIN"))
        .upstream(1, &[complete("BEGIN"), ready(b'T')].concat());
    s.client(
        2,
        &query("DECLARE \"_django_curs_1_sync_2\" NO SCROLL CURSOR FOR SELECT \"a\" FROM \"t\""),
    );
    s.upstream(12, &[complete("DECLARE CURSOR"), ready(b'T')].concat());
    for (ms, rows) in [(20, 100), (40, 100), (60, 7)] {
        s.client(
            ms,
            &query("FETCH FORWARD 100 FROM \"_django_curs_1_sync_2\""),
        );
        s.upstream(ms + 5, &row_description());
        let tag = format!("FETCH {rows}");
        s.upstream(
            ms + 7,
            &[row().repeat(rows), complete(&tag), ready(b'T')].concat(),
        );
    }
    s.client(70, &query("CLOSE \"_django_curs_1_sync_2\""));
    s.upstream(71, &[complete("CLOSE CURSOR"), ready(b'T')].concat());
    s.expect(&[("BEGIN", 0, None), ("SELECT \"a\" FROM \"t\"", 207, None)]);
    let cursor = &s.sink.exchanges[1];
    assert_eq!((cursor.protocol, cursor.round_trips), (Protocol::Cursor, 5));
    assert_eq!(s.phases(1), [10 + 15 + 1, 6, 0, 1 + 8 + 13 + 13 + 3]);
}

#[test]
fn a_cursor_ends_with_its_transaction_unless_it_is_held() {
    let mut s = Script::new();
    for (name, hold) in [("a", ""), ("b", " WITH HOLD")] {
        s.client(
            1,
            &query(&format!("DECLARE {name} CURSOR{hold} FOR SELECT '{name}'")),
        );
        s.upstream(2, &[complete("DECLARE CURSOR"), ready(b'T')].concat());
        s.client(2, &query(&format!("FETCH 1 FROM {name}")));
        s.upstream(
            3,
            &[row_description(), row(), complete("FETCH 1"), ready(b'T')].concat(),
        );
    }
    s.client(4, &query("COMMIT"))
        .upstream(5, &[complete("COMMIT"), ready(b'I')].concat());
    s.expect(&[("COMMIT", 0, None), ("SELECT 'a'", 1, None)]);
    s.client(6, &query("FETCH 1 FROM b"));
    s.upstream(
        7,
        &[row_description(), row(), complete("FETCH 1"), ready(b'I')].concat(),
    );
    s.close();
    s.expect(&[
        ("COMMIT", 0, None),
        ("SELECT 'a'", 1, None),
        ("SELECT 'b'", 2, None),
    ]);
}

#[test]
fn a_failing_fetch_fails_its_cursor_and_an_unknown_one_is_itself() {
    let mut s = Script::new();
    s.client(1, &query("DECLARE c CURSOR FOR SELECT 1/a FROM t"));
    s.upstream(2, &[complete("DECLARE CURSOR"), ready(b'T')].concat());
    s.client(3, &query("FETCH 5 FROM c"))
        .upstream(4, &[error("ERROR", "22012"), ready(b'E')].concat());
    s.client(5, &query("FETCH 5 FROM d"))
        .upstream(6, &[error("ERROR", "25P02"), ready(b'E')].concat());
    s.expect(&[
        ("SELECT 1/a FROM t", 0, Some("22012")),
        ("FETCH 5 FROM d", 0, Some("25P02")),
    ]);
}

#[test]
fn moving_and_closing_all_cursors() {
    let mut s = Script::new();
    s.client(1, &query("DECLARE c CURSOR FOR SELECT 1"))
        .upstream(2, &[complete("DECLARE CURSOR"), ready(b'T')].concat());
    s.client(3, &query("MOVE 5 FROM c"))
        .upstream(4, &[complete("MOVE 5"), ready(b'T')].concat());
    s.client(5, &query("CLOSE ALL"))
        .upstream(6, &[complete("CLOSE CURSOR ALL"), ready(b'T')].concat());
    s.expect(&[("SELECT 1", 0, None), ("CLOSE ALL", 0, None)]);
    assert_eq!(s.sink.exchanges[0].round_trips, 2);
}

#[test]
fn execute_is_its_prepared_statement_until_it_is_deallocated() {
    let mut s = Script::new();
    let ok = |tag: &str| [complete(tag), ready(b'I')].concat();
    s.client(1, &query("PREPARE p (int) AS SELECT $1"))
        .upstream(2, &ok("PREPARE"));
    s.client(3, &query("EXECUTE p(1)"))
        .upstream(4, &select_answer(1, b'I'));
    s.client(5, &query("EXECUTE P(2)"))
        .upstream(6, &select_answer(1, b'I'));
    s.client(7, &query("DEALLOCATE p"))
        .upstream(8, &ok("DEALLOCATE"));
    s.client(9, &query("EXECUTE p(1)"))
        .upstream(10, &[error("ERROR", "26000"), ready(b'I')].concat());
    s.client(11, &query("PREPARE p AS SELECT e"))
        .upstream(12, &ok("PREPARE"));
    s.client(13, &query("DISCARD ALL"))
        .upstream(14, &ok("DISCARD ALL"));
    s.client(15, &query("EXECUTE p"))
        .upstream(16, &[error("ERROR", "26000"), ready(b'I')].concat());
    let texts: Vec<String> = s.briefs().into_iter().map(|b| b.0).collect();
    assert_eq!(
        texts,
        [
            "PREPARE p (int) AS SELECT $1",
            "SELECT $1",
            "SELECT $1",
            "DEALLOCATE p",
            "EXECUTE p(1)",
            "PREPARE p AS SELECT e",
            "DISCARD ALL",
            "EXECUTE p",
        ]
    );
    assert_eq!(
        s.sink.exchanges[1].statement.fingerprint,
        s.sink.exchanges[2].statement.fingerprint
    );
}

#[test]
fn messages_that_come_at_any_time_belong_to_no_query() {
    let mut s = Script::new();
    let notification = message(b'A', b"\0\0\0\x01channel\0payload\0");
    s.upstream(5, &[notice(), notification.clone()].concat())
        .expect_state(ConnectionState::Idle);
    s.client(10, &query("SELECT 1"));
    s.upstream(
        15,
        &[
            notice(),
            notification.clone(),
            parameter_status("TimeZone", "UTC"),
        ]
        .concat(),
    );
    s.upstream(
        30,
        &[
            row_description(),
            notification,
            row(),
            notice(),
            complete("SELECT 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.expect(&[("SELECT 1", 1, None)]);
    assert_eq!(s.phases(0)[0], 20);
}

#[test]
fn the_session_knows_itself() {
    let mut s = Script::at_login(super::Settings::default());
    assert_eq!(s.session.state(), ConnectionState::Starting);
    let login = [
        message(b'R', &[0, 0, 0, 10, b'S', 0, 0]),
        authentication_ok(),
        parameter_status("application_name", "shop web"),
        backend_key_data(4711),
    ];
    s.upstream(3, &login.concat())
        .client(1, &message(b'p', b"secret\0"))
        .upstream(4, &ready(b'I'));
    let facts = s.session.facts();
    assert_eq!((facts.backend_pid, &*facts.application), (4711, "shop web"));
    assert_eq!(s.sink.events, [SessionEvent::LoggedIn]);
    s.client(5, &query("SET application_name = 'worker'"));
    s.upstream(
        6,
        &[
            parameter_status("application_name", "worker"),
            complete("SET"),
            ready(b'I'),
        ]
        .concat(),
    );
    assert_eq!(&*s.session.facts().application, "worker");
}

#[test]
fn tags_come_from_comments() {
    let mut s = Script::new();
    s.client(
        1,
        &query("SELECT 1 /*controller='views.list',route='books%2F'*/"),
    );
    s.upstream(2, &select_answer(1, b'I'));
    let tags = s.sink.exchanges[0].tags.as_ref().unwrap();
    assert_eq!(tags.value("route"), Some("books/"));
    assert_eq!(tags.value("controller"), Some("views.list"));
}

#[test]
fn literals_are_kept_only_where_that_was_asked() {
    let mut s = Script::new();
    s.client(1, &query("SELECT 'secret'"))
        .upstream(2, &select_answer(1, b'I'));
    assert!(s.sink.exchanges[0].literal_text.is_none());
    let mut s = Script::with_literals();
    s.client(1, &query("SELECT 'a'; SELECT 'b'"));
    s.upstream(
        2,
        &[complete("SELECT 1"), complete("SELECT 1"), ready(b'I')].concat(),
    );
    let texts: Vec<_> = s
        .sink
        .exchanges
        .iter()
        .map(|e| e.literal_text.clone().unwrap().trim().to_owned())
        .collect();
    assert_eq!(texts, ["SELECT 'a'", "SELECT 'b'"]);
}

#[test]
fn copy_in_and_out() {
    let mut s = Script::new();
    let data = copy_data(b"1\t2\n");
    s.client(1, &query("COPY t FROM STDIN"))
        .upstream(3, &message(b'G', b"\0\0\x01\0\0"));
    s.client(5, &data.repeat(3)).client(6, &copy_done());
    s.upstream(20, &[complete("COPY 3"), ready(b'I')].concat());
    s.client(21, &query("COPY t TO STDOUT"));
    s.upstream(
        23,
        &[
            message(b'H', b"\0\0\x01\0\0"),
            data.repeat(3),
            copy_done(),
            complete("COPY 3"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.expect(&[
        ("COPY t FROM STDIN", 3, None),
        ("COPY t TO STDOUT", 3, None),
    ]);
    assert_eq!(s.phases(0)[..2], [2, 17]);
    assert!(
        s.sink
            .exchanges
            .iter()
            .all(|e| e.protocol == Protocol::Copy)
    );
    assert_eq!(
        s.sink.exchanges[0].request_bytes,
        (query("COPY t FROM STDIN").len() + 3 * data.len()) as u64
    );
}

#[test]
fn an_error_during_copy_drops_what_the_client_still_feeds() {
    let mut s = Script::new();
    s.client(1, &query("COPY t FROM STDIN"))
        .upstream(2, &message(b'G', b"\0\0\x01\0\0"));
    s.client(3, &copy_data(b"x\n"))
        .upstream(4, &[error("ERROR", "22P02"), ready(b'I')].concat());
    s.client(5, &[copy_data(b"y\n"), copy_done()].concat());
    s.client(6, &query("SELECT 1"))
        .upstream(7, &select_answer(1, b'I'));
    s.client(8, &query("COPY t FROM STDIN"))
        .upstream(9, &message(b'G', b"\0\0\x01\0\0"));
    s.client(10, &copy_fail())
        .upstream(11, &[error("ERROR", "57014"), ready(b'I')].concat());
    s.expect(&[
        ("COPY t FROM STDIN", 0, Some("22P02")),
        ("SELECT 1", 1, None),
        ("COPY t FROM STDIN", 0, Some("57014")),
    ]);
}

#[test]
fn replication_copies_both_ways_until_either_ends_it() {
    let mut s = Script::new();
    s.client(1, &query("START_REPLICATION SLOT \"s\" LOGICAL 0/0"))
        .upstream(2, &message(b'W', b"\0\0\0"));
    for ms in 3..20 {
        s.upstream(ms, &copy_data(b"wal"))
            .client(ms, &copy_data(b"status"));
    }
    s.client(20, &copy_done())
        .upstream(21, &[copy_done(), complete("COPY 0"), ready(b'I')].concat());
    assert_eq!(s.sink.exchanges[0].protocol, Protocol::Copy);
    s.client(30, &query("START_REPLICATION SLOT \"s\" LOGICAL 0/0"))
        .upstream(31, &message(b'W', b"\0\0\0"));
    s.upstream(40, &error("ERROR", "XX000"))
        .upstream(40, &ready(b'I'));
    assert_eq!(s.sink.exchanges.len(), 2);
    s.expect_state(ConnectionState::Idle);
}

#[test]
fn a_function_call_is_a_query() {
    let mut s = Script::new();
    s.client(1, &message(b'F', &[0; 12]))
        .upstream(4, &[message(b'V', &[0xff; 4]), ready(b'I')].concat());
    assert_eq!(s.sink.exchanges[0].protocol, Protocol::Function);
    s.client(5, &message(b'F', &[0; 12]))
        .upstream(6, &[error("ERROR", "42883"), ready(b'I')].concat());
    assert_eq!(s.sink.exchanges[1].sqlstate.unwrap().as_str(), "42883");
}

#[test]
fn the_drain_is_told_where_the_session_stands() {
    let mut s = Script::new();
    assert_eq!(s.session.rest(), Rest::Idle);
    s.client(1, &query("SELECT 1")[..4]);
    assert_ne!(s.session.rest(), Rest::Idle);
    s.client(1, &query("SELECT 1")[4..]);
    assert_eq!(s.session.rest(), Rest::BetweenMessages);
    let answer = select_answer(1, b'T');
    s.upstream(2, &answer[..3]);
    assert_eq!(s.session.rest(), Rest::InMessage);
    s.upstream(2, &answer[3..]);
    assert_eq!(s.session.rest(), Rest::InTransaction);
    s.upstream(3, &error("ERROR", "57014"));
    assert_eq!(s.session.rest(), Rest::InTransaction);
    s.upstream(4, &error("FATAL", "57P01"));
    assert_eq!(s.session.rest(), Rest::Over);
}

#[test]
fn a_refused_login_is_over() {
    let mut s = Script::at_login(super::Settings::default());
    assert_eq!(s.session.rest(), Rest::BetweenMessages);
    let refused = error("FATAL", "28P01");
    s.upstream(1, &refused[..9]);
    assert_eq!(s.session.rest(), Rest::InMessage);
    s.upstream(1, &refused[9..]);
    assert_eq!(s.session.rest(), Rest::Over);
}

#[test]
fn requests_sent_before_the_login_is_complete_are_answered_behind_it() {
    let mut s = Script::at_login(super::Settings::default());
    s.client(1, &message(b'p', b"secret\0"));
    s.client(2, &[query("SELECT 1"), query("SELECT b")].concat());
    s.upstream(
        50,
        &[authentication_ok(), backend_key_data(1), ready(b'I')].concat(),
    );
    s.expect_state(ConnectionState::Active);
    s.upstream(60, &select_answer(1, b'I'));
    s.upstream(65, &select_answer(3, b'I'));
    s.expect(&[("SELECT 1", 1, None), ("SELECT b", 3, None)]);
    assert_eq!((s.phases(0), s.phases(1)), ([10, 0, 0, 0], [5, 0, 0, 0]));
    s.expect_state(ConnectionState::Idle);
}
