//! Statements with a name: which are known, and which are forgotten.

use super::Script;
use super::wire::*;
use crate::session::Settings;

#[test]
fn close_forgets_the_statement() {
    let mut s = Script::new();
    s.client(
        1,
        &[
            parse("p", "SELECT 1"),
            close('S', "p"),
            bind("", "p"),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    s.upstream(
        2,
        &[
            parse_complete(),
            close_complete(),
            error("ERROR", "26000"),
            ready(b'I'),
        ]
        .concat(),
    );
    assert_eq!(s.briefs().len(), 1);
    assert!(s.briefs()[0].0.starts_with("EXECUTE"), "{:?}", s.briefs());
}

#[test]
fn the_statement_that_was_used_least_is_forgotten() {
    let mut s = Script::at_login(Settings {
        statements_max: 2,
        ..Settings::default()
    });
    s.upstream(0, &[authentication_ok(), ready(b'I')].concat());
    let mut ask = |request: Vec<u8>, reply: Vec<u8>| {
        s.client(1, &[request, sync()].concat());
        s.upstream(2, &[reply, ready(b'I')].concat());
    };
    let run = |name| {
        let request = [bind("", name), execute("", 0)].concat();
        let reply = [bind_complete(), row(), complete("SELECT 1")].concat();
        (request, reply)
    };
    for (name, text) in [("a", "SELECT a"), ("b", "SELECT b")] {
        ask(parse(name, text), parse_complete());
    }
    for name in ["b", "a", "a"] {
        let (request, reply) = run(name);
        ask(request, reply);
    }
    // Makes room for itself: b goes. Then a is used once more, and d has c go.
    ask(parse("c", "SELECT c"), parse_complete());
    let (request, reply) = run("a");
    ask(request, reply);
    ask(parse("d", "SELECT d"), parse_complete());
    for name in ["a", "d", "b", "c"] {
        let (request, reply) = run(name);
        ask(request, reply);
    }
    let texts: Vec<_> = s.briefs().into_iter().map(|brief| brief.0).collect();
    assert_eq!(
        texts[..5],
        ["SELECT b", "SELECT a", "SELECT a", "SELECT a", "SELECT a"]
    );
    assert_eq!(texts[5], "SELECT d");
    assert!(
        texts[6..].iter().all(|text| text.starts_with("EXECUTE")),
        "{texts:?}"
    );
}

#[test]
fn a_statement_that_was_never_seen_is_executed_under_a_name_of_its_own() {
    let mut s = Script::new();
    s.client(1, &[bind("", "_pg3_0"), execute("", 0), sync()].concat());
    s.upstream(
        2,
        &[
            bind_complete(),
            row(),
            row(),
            complete("SELECT 2"),
            ready(b'I'),
        ]
        .concat(),
    );
    let (text, rows, _) = &s.briefs()[0];
    assert!(
        text.starts_with("EXECUTE") && *rows == 2,
        "{:?}",
        s.briefs()
    );
    assert_eq!(
        s.sink.exchanges[0].statement_name.as_deref(),
        Some("_pg3_0")
    );
}

#[test]
fn ten_thousand_named_statements_hold_what_256_do() {
    let mut s = Script::new();
    for i in 0..10_000 {
        s.client(1, &[parse(&format!("p{i}"), "SELECT 1"), sync()].concat());
        s.upstream(1, &[parse_complete(), ready(b'I')].concat());
        // The table of 256 doubles at most once for what was removed from it.
        assert!(
            s.session.held_bytes() < 200 << 10,
            "{}",
            s.session.held_bytes()
        );
    }
    s.client(2, &[bind("", "p9999"), execute("", 0), sync()].concat());
    s.upstream(
        3,
        &[bind_complete(), complete("SELECT 0"), ready(b'I')].concat(),
    );
    s.expect(&[("SELECT 1", 0, None)]);
}

// ---- runs of requests that are sent before the one before them is answered ----
