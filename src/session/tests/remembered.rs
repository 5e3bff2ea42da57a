//! Texts and Parses that came before: what they ask for is not looked up again.

use super::Script;
use super::wire::*;

#[test]
fn what_a_plain_statement_is_is_looked_up_once() {
    let mut s = Script::new();
    for at in 0..3 {
        s.client(10 * at + 1, &query("BEGIN"))
            .upstream(10 * at + 2, &[complete("BEGIN"), ready(b'T')].concat());
        s.client(10 * at + 3, &query("SELECT a FROM t WHERE b = 7"))
            .upstream(10 * at + 4, &select_answer(1, b'T'));
        s.client(10 * at + 5, &query("ROLLBACK"))
            .upstream(10 * at + 6, &[complete("ROLLBACK"), ready(b'I')].concat());
    }
    assert_eq!(s.sink.exchanges.len(), 9);
    assert_eq!(s.sink.shapes, 3);
    let values = |at: usize| s.sink.exchanges[at].flow.as_ref().map(|flow| flow.values);
    assert_eq!(values(1), values(4));
    assert!(values(1).is_some());
    // A comment may say something else each time.
    s.client(100, &query("SELECT a FROM t WHERE b = 7 /*route='x'*/"))
        .upstream(101, &select_answer(1, b'I'));
    assert_eq!(s.sink.shapes, 4);
}

#[test]
fn what_was_prepared_again_and_again_keeps_its_name() {
    let mut s = Script::new();
    let text = "SELECT a, b, c FROM t WHERE id = $1 AND active";
    let prepared = |name: &str| {
        [
            parse(name, text),
            bind("", name),
            execute("", 0),
            close('S', name),
            sync(),
        ]
        .concat()
    };
    let answer = [
        parse_complete(),
        bind_complete(),
        row(),
        complete("SELECT 1"),
        close_complete(),
        ready(b'I'),
    ]
    .concat();
    let names = ["p", "p", "p", "p", "p", "q", "p", "q", "p"];
    for (at, name) in (1..).zip(names) {
        s.client(10 * at, &prepared(name))
            .upstream(10 * at + 1, &answer);
    }
    let told: Vec<_> = s
        .sink
        .exchanges
        .iter()
        .map(|exchange| exchange.statement_name.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(told, names);
    let shapes = s.sink.shapes;
    s.client(200, &prepared("q")).upstream(201, &answer);
    assert_eq!(s.sink.shapes, shapes, "it is known by its bytes");
}
