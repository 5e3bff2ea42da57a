//! Which settings of the session decide how its texts are read, and when they are known.

use super::Script;
use super::wire::*;

/// With backslashes that escape it is one string, else it is no SQL.
const TEXT: &str = r"SELECT 'a\' secret \' b'";
const HIDDEN: (&str, u64, Option<&str>) = ("(unreadable)", 1, None);

fn answer(s: &mut Script, ms: u64) {
    s.upstream(ms, &select_answer(1, b'I'));
}

#[test]
fn the_server_tells_how_strings_are_read() {
    let mut s = Script::new();
    s.client(1, &query(TEXT));
    answer(&mut s, 2);
    s.upstream(3, &parameter_status("standard_conforming_strings", "off"));
    s.client(4, &query(TEXT));
    answer(&mut s, 5);
    s.upstream(6, &parameter_status("standard_conforming_strings", "on"));
    s.client(7, &query(TEXT));
    answer(&mut s, 8);
    s.expect(&[HIDDEN, (TEXT, 1, None), HIDDEN]);
}

#[test]
fn in_pieces_too() {
    let mut s = Script::new();
    s.upstream(1, &parameter_status("standard_conforming_strings", "off"));
    for byte in query(TEXT) {
        s.client(2, &[byte]);
    }
    answer(&mut s, 3);
    s.expect(&[(TEXT, 1, None)]);
}

#[test]
fn behind_a_statement_that_may_set_it_nothing_is_known_until_the_server_is_ready() {
    let plain = r"SELECT 'a\', 'secret'";
    let mut s = Script::new();
    s.client(1, &[query("SELECT f()"), query(plain)].concat());
    answer(&mut s, 2);
    answer(&mut s, 3);
    s.client(4, &query(plain));
    answer(&mut s, 5);
    s.expect(&[("SELECT f()", 1, None), HIDDEN, (plain, 1, None)]);
}

#[test]
fn an_encoding_may_hide_where_a_string_ends() {
    let text = r"SELECT E'a\'b'";
    let mut s = Script::new();
    for (at, (encoding, shown)) in (1..).zip([
        ("UTF8", text),
        ("SJIS", "(unreadable)"),
        ("SOMETHING_NEW", "(unreadable)"),
        ("LATIN1", text),
    ]) {
        s.upstream(10 * at, &parameter_status("client_encoding", encoding));
        s.client(10 * at + 1, &query(text));
        answer(&mut s, 10 * at + 2);
        assert_eq!(s.briefs().last().unwrap().0, shown, "{encoding}");
    }
}

#[test]
fn a_text_is_read_whole_or_not_at_all() {
    let mut s = Script::new();
    s.client(
        1,
        &query("SELECT 'it' s secret; SELECT 'x /*route='secret'*/"),
    );
    s.upstream(2, &[error("ERROR", "42601"), ready(b'I')].concat());
    s.expect(&[("(unreadable)", 0, Some("42601"))]);
    assert!(s.sink.exchanges[0].tags.is_none());
}
