//! The values that flow: constants of statements, keys of results.

mod faults;
mod parameters;

use super::wire::*;
use super::{Script, Settings};
use crate::event::{ConstantCount, Flow, FlowBudget, RowKeys};
use crate::sql::value::{ValueHash, ValueKey};

const INT4: u32 = 23;
const INT8: u32 = 20;
const TEXT: u32 = 25;
const UUID: u32 = 2950;
const NUMERIC: u32 = 1700;
const UUID_TEXT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn settings() -> (ValueKey, Settings) {
    let settings = Settings::default();
    (settings.values.expect("on by default"), settings)
}

/// A session that has logged in, and the key of its values.
fn script() -> (ValueKey, Script) {
    let (key, settings) = settings();
    (key, logged_in(settings))
}

fn logged_in(settings: Settings) -> Script {
    let mut script = Script::at_login(settings);
    script.upstream(0, &[authentication_ok(), ready(b'I')].concat());
    script
}

#[track_caller]
fn flow(script: &Script, index: usize) -> &Flow {
    script.sink.exchanges[index]
        .flow
        .as_ref()
        .expect("the query's values")
}

#[track_caller]
fn result(script: &Script, index: usize) -> &RowKeys {
    flow(script, index).result.as_ref().expect("a result")
}

/// The constants' values; a list of several is `None` and told by `lists`.
fn values(flow: &Flow) -> Vec<Option<ValueHash>> {
    flow.constants
        .iter()
        .map(|constant| constant.value)
        .collect()
}

fn lists(flow: &Flow) -> Vec<bool> {
    flow.constants
        .iter()
        .map(|constant| constant.count == ConstantCount::Several)
        .collect()
}

#[test]
fn a_simple_query_has_its_literals_and_its_rows() {
    let (key, mut s) = script();
    s.client(
        1,
        &query("SELECT a FROM t WHERE b = 7 AND c IN (1, 2) AND d = 'x'"),
    );
    let rows = [
        columns(&[
            ("id", INT4),
            ("price", NUMERIC),
            ("key", UUID),
            ("slug", TEXT),
            ("note", NUMERIC),
        ]),
        texts(&[
            Some("70000"),
            Some("1.50"),
            Some(UUID_TEXT),
            Some("a-slug"),
            None,
        ]),
        texts(&[Some("8"), None, None, Some(&"x".repeat(65)), Some("9")]),
    ];
    s.upstream(
        2,
        &[rows.concat(), complete("SELECT 2"), ready(b'I')].concat(),
    );
    let flow = flow(&s, 0);
    assert_eq!(values(flow), [Some(key.int(7)), None, key.text(b"x")]);
    assert_eq!(lists(flow), [false, true, false]);
    let result = result(&s, 0);
    assert_eq!((result.rows, result.rows_total), (2, 2));
    assert_eq!(*result.columns.keys, [0, 2, 3]);
    assert_eq!(&*result.columns.all[3].name, "slug");
    assert_eq!(
        (
            result.columns.all[0].table_oid,
            result.columns.all[3].attribute
        ),
        (0x4000, 4)
    );
    let uuid = key.text(UUID_TEXT.as_bytes());
    assert_eq!(
        result.column(0).collect::<Vec<_>>(),
        [Some(key.int(70000)), Some(key.int(8))]
    );
    assert_eq!(result.column(1).collect::<Vec<_>>(), [uuid, None]);
    assert_eq!(
        result.column(2).collect::<Vec<_>>(),
        [key.text(b"a-slug"), None]
    );
    assert!(s.sink.exchanges[0].cursor.is_none());
}

#[test]
fn each_statement_of_a_query_has_its_own() {
    let (key, mut s) = script();
    s.client(1, &query("SELECT 1; UPDATE t SET a = 2; SELECT 3"));
    let answer = |value: &str| {
        [
            columns(&[("a", INT4)]),
            texts(&[Some(value)]),
            complete("SELECT 1"),
        ]
        .concat()
    };
    s.upstream(
        2,
        &[answer("1"), complete("UPDATE 1"), answer("3"), ready(b'I')].concat(),
    );
    for (index, value) in [1, 2, 3].into_iter().enumerate() {
        assert_eq!(values(flow(&s, index)), [Some(key.int(value))]);
    }
    assert!(flow(&s, 1).result.is_none());
    assert_eq!(*result(&s, 2).keys, [Some(key.int(3))]);
}

#[test]
fn a_result_that_fails_is_forgotten() {
    let (_, mut s) = script();
    s.client(1, &query("SELECT 1/(a - 3) FROM t"));
    s.upstream(
        2,
        &[
            columns(&[("a", INT4)]),
            texts(&[Some("1")]),
            error("ERROR", "22012"),
            ready(b'I'),
        ]
        .concat(),
    );
    assert!(flow(&s, 0).result.is_none());
    s.client(3, &query("SELECT 4"));
    s.upstream(
        4,
        &[columns(&[("a", INT8)]), complete("SELECT 0"), ready(b'I')].concat(),
    );
    let result = result(&s, 1);
    assert_eq!(
        (result.rows, result.rows_total, result.keys.len()),
        (0, 0, 0)
    );
    assert_eq!(result.columns.all[0].type_oid, INT8);
}

#[test]
fn what_is_no_query_has_no_values() {
    let (_, mut s) = script();
    for (text, tag) in [("BEGIN", "BEGIN"), ("SHOW x", "SHOW")] {
        s.client(1, &query(text));
        s.upstream(
            2,
            &[
                columns(&[("a", INT4)]),
                texts(&[Some("1")]),
                complete(tag),
                ready(b'T'),
            ]
            .concat(),
        );
    }
    assert!(
        s.sink
            .exchanges
            .iter()
            .all(|exchange| exchange.flow.is_none())
    );
}

#[test]
fn with_value_flow_off_nothing_is_kept() {
    let (_, settings) = settings();
    let mut s = logged_in(Settings {
        values: None,
        ..settings
    });
    s.client(1, &query("SELECT 7"));
    s.upstream(
        2,
        &[
            columns(&[("a", INT4)]),
            texts(&[Some("1")]),
            complete("SELECT 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.client(3, &[extended("SELECT $1"), sync()].concat());
    s.upstream(4, &[extended_answer(1, "SELECT 1"), ready(b'I')].concat());
    s.expect(&[("SELECT 7", 1, None), ("SELECT $1", 1, None)]);
    assert!(
        s.sink
            .exchanges
            .iter()
            .all(|exchange| exchange.flow.is_none())
    );
}

#[test]
fn a_cursor_tells_its_rows_as_they_come() {
    let (key, mut s) = script();
    s.client(1, &query("BEGIN"))
        .upstream(1, &[complete("BEGIN"), ready(b'T')].concat());
    s.client(
        2,
        &query("DECLARE \"c\" NO SCROLL CURSOR FOR SELECT a FROM t WHERE b = 7"),
    );
    s.upstream(3, &[complete("DECLARE CURSOR"), ready(b'T')].concat());
    for (ms, value) in [(4, "10"), (6, "11")] {
        s.client(ms, &query("FETCH FORWARD 1 FROM \"c\""));
        s.upstream(
            ms + 1,
            &[
                columns(&[("id", INT4)]),
                texts(&[Some(value)]),
                complete("FETCH 1"),
                ready(b'T'),
            ]
            .concat(),
        );
        s.client(ms + 1, &query("SELECT 1"))
            .upstream(ms + 1, &select_answer(1, b'T'));
    }
    s.client(8, &query("FETCH FORWARD 1 FROM \"c\""));
    s.upstream(
        9,
        &[columns(&[("id", INT4)]), complete("FETCH 0"), ready(b'T')].concat(),
    );
    s.client(10, &query("CLOSE \"c\""))
        .upstream(11, &[complete("CLOSE CURSOR"), ready(b'T')].concat());
    assert_eq!(s.sink.order, "qrqrqrq");
    let cursor = s.sink.exchanges.last().expect("the cursor");
    for (rows, value) in s.sink.rows.iter().zip([Some(10), Some(11), None]) {
        assert_eq!(rows.fingerprint, cursor.statement.fingerprint);
        assert_eq!(Some(rows.cursor), cursor.cursor);
        assert_eq!(rows.requested_at, cursor.requested_at);
        assert_eq!(
            rows.result.keys.first().copied().flatten(),
            value.map(|value| key.int(value))
        );
    }
    let flow = cursor.flow.as_ref().expect("values");
    assert_eq!(values(flow), [Some(key.int(7))]);
    assert!(flow.result.is_none(), "told before");
    assert_eq!(cursor.rows, 2);
}

#[test]
fn a_suspended_portal_tells_its_rows_as_they_come() {
    let (key, mut s) = script();
    s.client(
        1,
        &[
            parse("", "SELECT a FROM t WHERE b = $1"),
            bind_values("c", "", &[], &[Some(b"7")], &[]),
            describe('P', "c"),
            execute("c", 1),
            sync(),
        ]
        .concat(),
    );
    s.upstream(
        3,
        &[
            parse_complete(),
            bind_complete(),
            columns(&[("id", INT4)]),
            texts(&[Some("10")]),
            suspended(),
            ready(b'T'),
        ]
        .concat(),
    );
    s.client(5, &[execute("c", 1), sync()].concat());
    s.upstream(
        6,
        &[texts(&[Some("11")]), complete("SELECT 1"), ready(b'T')].concat(),
    );
    assert_eq!(s.sink.order, "rrq");
    let keys: Vec<_> = s
        .sink
        .rows
        .iter()
        .flat_map(|rows| rows.result.keys.to_vec())
        .collect();
    assert_eq!(keys, [Some(key.int(10)), Some(key.int(11))]);
    assert_eq!(values(flow(&s, 0)), [Some(key.int(7))]);
    assert!(flow(&s, 0).result.is_none());
    assert_eq!(s.sink.exchanges[0].cursor, Some(s.sink.rows[0].cursor));
}

#[test]
fn a_large_result_is_kept_up_to_its_limits() {
    let (_, settings) = settings();
    for (columns_of, rows_max) in [(1, 1024), (16, 512)] {
        let mut s = logged_in(settings.clone());
        let described: Vec<_> = (0..columns_of).map(|_| ("id", INT4)).collect();
        let row = texts(&vec![Some("123456789"); columns_of]);
        s.client(1, &query("SELECT a FROM t"));
        s.upstream(2, &columns(&described));
        let mut most = 0;
        for _ in 0..20 {
            s.upstream(3, &row.repeat(100));
            most = most.max(s.session.held_bytes());
        }
        assert!(most < 160 << 10, "{most}");
        s.upstream(4, &[complete("SELECT 2000"), ready(b'I')].concat());
        let result = result(&s, 0);
        assert_eq!((result.rows, result.rows_total), (rows_max, 2000));
        assert_eq!(result.keys.len(), rows_max as usize * columns_of);
        assert!(
            s.session.held_bytes() < 8 << 10,
            "{}",
            s.session.held_bytes()
        );
    }
}

#[test]
fn a_result_that_finds_no_room_is_left_out() {
    let (_, mut s) = script();
    let budget = FlowBudget::new(400);
    s.sink.budget = Some(std::sync::Arc::clone(&budget));
    for _ in 0..4 {
        s.client(1, &query("SELECT a FROM t"));
        s.upstream(
            2,
            &[
                columns(&[("id", INT4)]),
                texts(&[Some("1")]).repeat(20),
                complete("SELECT 20"),
                ready(b'I'),
            ]
            .concat(),
        );
    }
    let kept = |s: &Script| {
        s.sink
            .exchanges
            .iter()
            .filter(|e| e.flow.as_ref().is_some_and(|flow| flow.result.is_some()))
            .count()
    };
    assert_eq!(kept(&s), 2);
    let taken = || budget.bytes.load(std::sync::atomic::Ordering::Relaxed);
    assert!(taken() > 0 && taken() <= 400);
    s.sink.exchanges.clear();
    assert_eq!(taken(), 0);
}

#[test]
fn the_end_of_a_session_is_told_with_the_number_of_its_queries() {
    let (_, mut s) = script();
    s.client(1, &query("SELECT 1; SELECT 2"));
    s.upstream(
        2,
        &[complete("SELECT 1"), complete("SELECT 1"), ready(b'I')].concat(),
    );
    s.close();
    let closed: Vec<u64> = s.sink.closed.iter().map(|closed| closed.queries).collect();
    assert_eq!(closed, [2]);
    assert_eq!(
        s.sink
            .exchanges
            .iter()
            .map(|e| e.sequence)
            .collect::<Vec<_>>(),
        [0, 1]
    );
}
