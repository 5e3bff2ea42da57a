//! The extended protocol: pipelines, errors, statements and portals.

use super::Script;
use super::wire::*;
use crate::event::{ConnectionState, Protocol};

#[test]
fn one_round_trip_is_one_query() {
    let mut s = Script::new();
    let request = [extended("SELECT $1"), sync()].concat();
    s.client(10, &request)
        .upstream(25, &extended_answer(3, "SELECT c"))
        .upstream(26, &ready(b'I'));
    s.expect(&[("SELECT $1", 3, None)])
        .expect_state(ConnectionState::Idle);
    assert_eq!(s.phases(0), [15, 0, 0, 10]);
    let e = &s.sink.exchanges[0];
    assert_eq!(e.protocol, Protocol::Extended);
    assert_eq!(e.statement_name.as_deref(), Some("unnamed"));
    assert_eq!(e.request_bytes, (request.len() - sync().len()) as u64);
}

#[test]
fn a_pipeline_is_timed_per_statement() {
    let mut s = Script::new();
    let one = [
        parse("", "INSERT INTO t VALUES ($1)"),
        bind("", ""),
        describe('P', ""),
        execute("", 0),
    ]
    .concat();
    s.client(10, &[one.repeat(3), sync(), flush()].concat());
    let answer = [
        parse_complete(),
        bind_complete(),
        no_data(),
        complete("INSERT 0 1"),
    ]
    .concat();
    s.upstream(15, &answer)
        .upstream(35, &answer)
        .upstream(36, &answer)
        .upstream(40, &ready(b'I'));
    assert_eq!(s.briefs().len(), 3);
    assert_eq!([s.phases(0)[0], s.phases(1)[0], s.phases(2)[0]], [5, 20, 1]);
    let places: Vec<u32> = s.sink.exchanges.iter().map(|e| e.pipeline_index).collect();
    assert_eq!(places, [0, 1, 2]);
}

#[test]
fn an_error_skips_to_its_sync_and_no_further() {
    let mut s = Script::new();
    let bad = [extended("SELECT 1/0"), extended("SELECT b"), sync()].concat();
    let good = [extended("SELECT c"), sync()].concat();
    s.client(1, &[bad, good].concat());
    s.upstream(
        2,
        &[
            parse_complete(),
            bind_complete(),
            row_description(),
            error("ERROR", "22012"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.upstream(3, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.expect(&[("SELECT 1/0", 0, Some("22012")), ("SELECT c", 1, None)])
        .expect_state(ConnectionState::Idle);
}

#[test]
fn what_comes_between_an_error_and_its_sync_is_discarded() {
    let mut s = Script::new();
    s.client(1, &[extended("SELECT 1/0"), flush()].concat());
    s.upstream(
        2,
        &[parse_complete(), bind_complete(), error("ERROR", "22012")].concat(),
    );
    s.expect_state(ConnectionState::Active);
    s.client(3, &[extended("SELECT b"), query("SELECT c")].concat());
    s.client(4, &sync()).upstream(5, &ready(b'I'));
    s.client(6, &query("SELECT d"))
        .upstream(7, &select_answer(1, b'I'));
    s.expect(&[("SELECT 1/0", 0, Some("22012")), ("SELECT d", 1, None)]);
}

#[test]
fn a_parse_that_fails_leaves_the_old_statement() {
    let mut s = Script::new();
    s.client(1, &[parse("p", "SELECT 1"), sync()].concat())
        .upstream(2, &[parse_complete(), ready(b'I')].concat());
    s.client(
        3,
        &[
            parse("p", "SELECT b"),
            bind("", "p"),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    s.upstream(4, &[error("ERROR", "42P05"), ready(b'I')].concat());
    s.client(5, &[bind("", "p"), execute("", 0), sync()].concat());
    s.upstream(
        6,
        &[bind_complete(), row(), complete("SELECT 1"), ready(b'I')].concat(),
    );
    s.expect(&[("SELECT b", 0, Some("42P05")), ("SELECT 1", 1, None)]);
    assert_eq!(s.sink.exchanges[1].statement_name.as_deref(), Some("p"));
}

#[test]
fn a_parse_alone_that_fails_is_reported() {
    let mut s = Script::new();
    s.client(
        1,
        &[parse("", "SELEC 1"), describe('S', ""), sync()].concat(),
    );
    s.upstream(2, &[error("ERROR", "42601"), ready(b'I')].concat());
    s.expect(&[("SELEC 1", 0, Some("42601"))]);
}

#[test]
fn preparing_alone_is_no_query() {
    let mut s = Script::new();
    s.client(
        1,
        &[parse("p", "SELECT $1"), describe('S', "p"), sync()].concat(),
    );
    let description = message(b't', &[0, 1, 0, 0, 0, 23]);
    s.upstream(
        2,
        &[
            parse_complete(),
            description,
            row_description(),
            ready(b'I'),
        ]
        .concat(),
    );
    assert!(s.briefs().is_empty());
    for ms in [10, 20] {
        s.client(
            ms,
            &[bind("", "p"), describe('P', ""), execute("", 0), sync()].concat(),
        );
        s.upstream(
            ms + 4,
            &[
                bind_complete(),
                row_description(),
                row(),
                complete("SELECT 1"),
                ready(b'I'),
            ]
            .concat(),
        );
    }
    s.expect(&[("SELECT $1", 1, None), ("SELECT $1", 1, None)]);
    assert_eq!(s.phases(0)[0], 4);
}

#[test]
fn a_parse_answered_before_its_execute_is_not_the_first_reply() {
    let mut s = Script::new();
    s.client(
        1,
        &[parse("", "SELECT 1"), describe('S', ""), flush()].concat(),
    );
    s.upstream(
        2,
        &[parse_complete(), message(b't', &[0, 0]), row_description()].concat(),
    );
    s.client(100, &[bind("", ""), execute("", 0), sync()].concat());
    s.upstream(
        130,
        &[bind_complete(), row(), complete("SELECT 1"), ready(b'I')].concat(),
    );
    assert_eq!(s.phases(0)[..2], [30, 0]);
}

#[test]
fn a_query_inside_a_pipeline_is_legal() {
    let mut s = Script::new();
    s.client(
        1,
        &[
            extended("SELECT 1"),
            query("SELECT b"),
            extended("SELECT c"),
            sync(),
        ]
        .concat(),
    );
    s.upstream(2, &extended_answer(1, "SELECT 1"))
        .upstream(3, &select_answer(1, b'I'));
    s.upstream(4, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.expect(&[
        ("SELECT 1", 1, None),
        ("SELECT b", 1, None),
        ("SELECT c", 1, None),
    ]);
}

#[test]
fn a_suspended_portal_is_one_query() {
    let mut s = Script::new();
    s.client(
        1,
        &[
            parse("", "SELECT 1"),
            bind("c", ""),
            execute("c", 2),
            sync(),
        ]
        .concat(),
    );
    s.upstream(
        3,
        &[
            parse_complete(),
            bind_complete(),
            row(),
            row(),
            suspended(),
            ready(b'T'),
        ]
        .concat(),
    );
    s.client(10, &[execute("c", 2), sync()].concat());
    s.upstream(12, &[row(), complete("SELECT 1"), ready(b'T')].concat());
    s.expect(&[("SELECT 1", 3, None)]);
    assert_eq!(s.sink.exchanges[0].round_trips, 2);
    assert_eq!(s.phases(0), [4, 0, 0, 1 + 7]);
}

#[test]
fn a_suspended_portal_that_is_left_is_reported_when_it_goes() {
    let mut s = Script::new();
    let start = |name: &str| {
        [
            parse("", "SELECT 1"),
            bind(name, ""),
            execute(name, 1),
            sync(),
        ]
        .concat()
    };
    let answer = [parse_complete(), bind_complete(), row(), suspended()].concat();
    s.client(1, &start(""))
        .upstream(2, &[answer.clone(), ready(b'T')].concat());
    s.client(3, &start(""))
        .upstream(4, &[answer.clone(), ready(b'T')].concat());
    s.expect(&[("SELECT 1", 1, None)]);
    s.client(5, &start("c"))
        .upstream(6, &[answer, ready(b'T')].concat());
    s.client(7, &[close('P', "c"), sync()].concat())
        .upstream(8, &[close_complete(), ready(b'T')].concat());
    assert_eq!(s.briefs().len(), 2);
    s.client(9, &query("COMMIT"))
        .upstream(9, &[complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(s.briefs().len(), 4);
}

#[test]
fn an_error_at_the_implicit_commit_belongs_to_the_last_query() {
    let mut s = Script::new();
    s.client(1, &[extended("INSERT INTO t VALUES ($1)"), sync()].concat());
    s.upstream(2, &extended_answer(0, "INSERT 0 1"))
        .upstream(3, &[error("ERROR", "23503"), ready(b'I')].concat());
    s.expect(&[("INSERT INTO t VALUES ($1)", 1, Some("23503"))]);
}

#[test]
fn sync_is_ignored_during_copy() {
    let copy = message(b'G', b"\0\0\x01\0\0");
    // As libpq sends it: one Sync before the server can answer, one behind CopyDone, one ReadyForQuery.
    let mut s = Script::new();
    s.client(1, &[extended("COPY t FROM STDIN"), sync()].concat());
    s.upstream(
        2,
        &[parse_complete(), bind_complete(), no_data(), copy.clone()].concat(),
    );
    s.client(
        3,
        &[
            copy_data(b"1\n"),
            flush(),
            sync(),
            copy_data(b"2\n"),
            copy_done(),
            sync(),
        ]
        .concat(),
    );
    s.upstream(4, &[complete("COPY 2"), ready(b'I')].concat());
    s.expect_state(ConnectionState::Idle);
    // All of it before the server's first answer.
    let all = [
        extended("COPY t FROM STDIN"),
        sync(),
        copy_data(b"1\n"),
        copy_done(),
        sync(),
        extended("SELECT 1"),
        sync(),
    ];
    s.client(10, &all.concat());
    s.upstream(
        12,
        &[
            parse_complete(),
            bind_complete(),
            no_data(),
            copy,
            complete("COPY 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.upstream(13, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.expect(&[
        ("COPY t FROM STDIN", 2, None),
        ("COPY t FROM STDIN", 1, None),
        ("SELECT 1", 1, None),
    ]);
    s.expect_state(ConnectionState::Idle);
}

#[test]
fn copy_messages_outside_copy_are_dropped_silently() {
    let mut s = Script::new();
    s.client(1, &[copy_data(b"x"), copy_done(), copy_fail()].concat())
        .expect_state(ConnectionState::Idle);
    s.client(
        2,
        &[
            extended("SELECT 1"),
            copy_done(),
            extended("SELECT b"),
            sync(),
        ]
        .concat(),
    );
    s.upstream(
        3,
        &[
            extended_answer(1, "SELECT 1"),
            extended_answer(1, "SELECT 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.expect(&[("SELECT 1", 1, None), ("SELECT b", 1, None)]);
}

#[test]
fn a_cursor_declared_in_the_extended_protocol_is_the_same_cursor() {
    let mut s = Script::new();
    s.client(
        1,
        &[extended("DECLARE \"c\" CURSOR FOR SELECT 1"), sync()].concat(),
    );
    let answer = [
        parse_complete(),
        bind_complete(),
        no_data(),
        complete("DECLARE CURSOR"),
        ready(b'T'),
    ]
    .concat();
    s.upstream(2, &answer);
    s.client(3, &query("FETCH FORWARD 10 FROM \"c\""));
    s.upstream(
        4,
        &[
            row_description(),
            row().repeat(4),
            complete("FETCH 4"),
            ready(b'T'),
        ]
        .concat(),
    );
    s.client(5, &query("CLOSE \"c\""))
        .upstream(6, &[complete("CLOSE CURSOR"), ready(b'T')].concat());
    s.expect(&[("SELECT 1", 4, None)]);
    assert_eq!(s.sink.exchanges[0].protocol, Protocol::Cursor);
}

#[test]
fn a_failed_parse_leaves_alone_what_a_later_run_has_prepared() {
    let mut s = Script::new();
    s.client(1, &[extended("SELEC 1"), sync()].concat())
        .client(2, &parse("", "SELECT b"));
    s.upstream(3, &[error("ERROR", "42601"), ready(b'I')].concat());
    s.client(4, &[bind("", ""), execute("", 0), sync()].concat());
    let answer = [parse_complete(), bind_complete(), row()].concat();
    s.upstream(5, &[answer, complete("SELECT 1"), ready(b'I')].concat());
    s.expect(&[("SELEC 1", 0, Some("42601")), ("SELECT b", 1, None)]);
}

#[test]
fn an_error_belongs_to_the_parse_that_failed_although_its_name_has_another_by_now() {
    let mut s = Script::new();
    s.client(1, &[parse("", "SELEC 1"), sync()].concat())
        .client(2, &[extended("SELECT b"), sync()].concat());
    s.upstream(3, &[error("ERROR", "42601"), ready(b'I')].concat())
        .upstream(4, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.expect(&[("SELEC 1", 0, Some("42601")), ("SELECT b", 1, None)]);
}

#[test]
fn the_end_of_a_run_closes_no_portal_of_the_next_one() {
    let mut s = Script::new();
    s.client(1, &[extended("SELECT 1"), sync()].concat())
        .client(2, &[parse("", "SELECT b"), bind("", "")].concat());
    s.upstream(3, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.client(4, &[execute("", 2), execute("", 0), sync()].concat());
    let answer = [parse_complete(), bind_complete(), row().repeat(2)].concat();
    s.upstream(
        5,
        &[
            answer,
            suspended(),
            row(),
            complete("SELECT 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.expect(&[("SELECT 1", 1, None), ("SELECT b", 3, None)]);
}

#[test]
fn a_portal_is_one_query_although_requests_behind_it_have_closed_it_already() {
    for behind in [
        [close('P', ""), sync()].concat(),
        [extended("SELECT b"), sync()].concat(),
    ] {
        let mut s = Script::new();
        s.client(0, &query("BEGIN"))
            .upstream(0, &[complete("BEGIN"), ready(b'T')].concat());
        let asked = [parse("", "SELECT 1"), bind("", ""), execute("", 2)].concat();
        s.client(
            1,
            &[asked, execute("", 2), execute("", 0), behind.clone()].concat(),
        );
        let parts = [row().repeat(2), suspended(), row().repeat(2), suspended()].concat();
        let answer = [
            parse_complete(),
            bind_complete(),
            parts,
            complete("SELECT 0"),
        ]
        .concat();
        s.upstream(2, &answer);
        if behind.starts_with(b"C") {
            s.upstream(3, &[close_complete(), ready(b'T')].concat());
        } else {
            s.upstream(3, &[extended_answer(1, "SELECT 1"), ready(b'T')].concat());
        }
        assert_eq!(
            s.briefs()[1],
            ("SELECT 1".to_owned(), 4, None),
            "{behind:?}"
        );
        let others = usize::from(!behind.starts_with(b"C"));
        assert_eq!(s.briefs().len(), 2 + others, "{behind:?}");
    }
}

#[test]
fn a_portal_that_is_never_run_to_its_end_is_told_when_another_has_its_name() {
    let mut s = Script::new();
    s.client(0, &query("BEGIN"))
        .upstream(0, &[complete("BEGIN"), ready(b'T')].concat());
    let first = [parse("", "SELECT 1"), bind("", ""), execute("", 2)].concat();
    s.client(1, &[first, extended("SELECT b"), sync()].concat());
    let parts = [
        parse_complete(),
        bind_complete(),
        row().repeat(2),
        suspended(),
    ]
    .concat();
    s.upstream(
        2,
        &[parts, extended_answer(1, "SELECT 1"), ready(b'T')].concat(),
    );
    s.expect(&[
        ("BEGIN", 0, None),
        ("SELECT 1", 2, None),
        ("SELECT b", 1, None),
    ]);
}

#[test]
fn a_portal_that_fails_after_its_first_rows_is_one_query() {
    let mut s = Script::new();
    let asked = [parse("", "SELECT 1"), bind("", ""), execute("", 2)].concat();
    s.client(1, &[asked, execute("", 2), close('P', ""), sync()].concat());
    let parts = [
        parse_complete(),
        bind_complete(),
        row().repeat(2),
        suspended(),
    ]
    .concat();
    s.upstream(
        2,
        &[parts, row(), error("ERROR", "22012"), ready(b'I')].concat(),
    );
    s.expect(&[("SELECT 1", 3, Some("22012"))]);
}
