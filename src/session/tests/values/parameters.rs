//! Parameters of prepared statements.

use super::*;

#[test]
fn a_parameter_is_its_value_in_every_format() {
    let (key, mut s) = script();
    let text = "SELECT $1 AS \"a\" FROM t WHERE b = $2 AND c = $3 AND d = 5 LIMIT $4";
    let uuid = 0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e_u128.to_be_bytes();
    let binary: [Option<&[u8]>; 4] = [Some(&[0, 8]), Some(&uuid), Some(b"x"), None];
    let texts: [Option<&[u8]>; 4] = [Some(b"8"), Some(UUID_TEXT.as_bytes()), Some(b"x"), None];
    let requests = [
        // psycopg: types in Parse, numbers in binary, texts of unknown type.
        [
            parse_typed("", text, &[21, UUID, 0, 0]),
            bind_values("", "", &[1, 1, 0, 0], &binary, &[0]),
        ]
        .concat(),
        [parse("", text), bind_values("", "", &[], &texts, &[])].concat(),
        // Without types the length tells.
        [
            parse("", text),
            bind_values("", "", &[1, 1, 0, 0], &binary, &[0]),
        ]
        .concat(),
    ];
    for request in &requests {
        s.client(1, &[request.clone(), execute("", 0), sync()].concat());
        s.upstream(
            2,
            &[
                parse_complete(),
                bind_complete(),
                complete("SELECT 0"),
                ready(b'I'),
            ]
            .concat(),
        );
    }
    let expected = [
        Some(key.int(8)),
        key.text(UUID_TEXT.as_bytes()),
        key.text(b"x"),
        Some(key.int(5)),
        None,
    ];
    for index in 0..requests.len() {
        assert_eq!(values(flow(&s, index)), expected, "{index}");
        assert_eq!(flow(&s, index).values, flow(&s, 0).values);
    }
}

#[test]
fn a_described_statement_needs_no_further_description() {
    let (key, mut s) = script();
    // asyncpg: Parse and Describe once, types from the server, results in binary.
    s.client(
        1,
        &[
            parse("p", "SELECT a FROM t WHERE b = $1"),
            describe('S', "p"),
            flush(),
        ]
        .concat(),
    );
    s.upstream(
        2,
        &[
            parse_complete(),
            parameter_description(&[INT8]),
            columns(&[("id", INT4), ("note", TEXT)]),
        ]
        .concat(),
    );
    for value in [7i64, 8] {
        s.client(
            3,
            &[
                bind_values("", "p", &[1], &[Some(&value.to_be_bytes())], &[1]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        );
        s.upstream(
            4,
            &[
                bind_complete(),
                data_row(&[Some(&9i32.to_be_bytes()), Some(b"x")]),
                complete("SELECT 1"),
                ready(b'I'),
            ]
            .concat(),
        );
    }
    for (index, value) in [7, 8].into_iter().enumerate() {
        assert_eq!(values(flow(&s, index)), [Some(key.int(value))]);
        assert_eq!(*result(&s, index).keys, [Some(key.int(9)), key.text(b"x")]);
    }
    assert_ne!(flow(&s, 0).values, flow(&s, 1).values);
}

#[test]
fn replies_of_a_pipeline_find_their_own_statement() {
    let (key, mut s) = script();
    let one = |text: &str, value: &[u8]| {
        [
            parse("", text),
            bind_values("", "", &[], &[Some(value)], &[]),
            describe('P', ""),
            execute("", 0),
        ]
        .concat()
    };
    s.client(
        1,
        &[
            one("SELECT a FROM t WHERE b = $1", b"1"),
            one("SELECT c, d FROM u WHERE e = $1", b"2"),
            sync(),
        ]
        .concat(),
    );
    let answer = |columns: Vec<u8>, row: Vec<u8>| {
        [
            parse_complete(),
            bind_complete(),
            columns,
            row,
            complete("SELECT 1"),
        ]
        .concat()
    };
    s.upstream(2, &answer(columns(&[("a", INT4)]), texts(&[Some("10")])));
    s.upstream(
        3,
        &[
            answer(
                columns(&[("c", NUMERIC), ("d", INT4)]),
                texts(&[Some("1"), Some("20")]),
            ),
            ready(b'I'),
        ]
        .concat(),
    );
    assert_eq!(values(flow(&s, 0)), [Some(key.int(1))]);
    assert_eq!(*result(&s, 0).keys, [Some(key.int(10))]);
    assert_eq!(values(flow(&s, 1)), [Some(key.int(2))]);
    assert_eq!(*result(&s, 1).keys, [Some(key.int(20))]);
}

#[test]
fn arrays_and_long_parameters() {
    let (key, mut s) = script();
    let long = vec![b'x'; 1_000_000];
    let run = |s: &mut Script, value: &[u8], oid: u32| {
        s.client(
            1,
            &[
                parse_typed("", "SELECT a FROM t WHERE b = ANY($1)", &[oid]),
                bind_values("", "", &[0], &[Some(value)], &[]),
                execute("", 0),
                sync(),
            ]
            .concat(),
        );
        s.upstream(
            2,
            &[
                parse_complete(),
                bind_complete(),
                complete("SELECT 0"),
                ready(b'I'),
            ]
            .concat(),
        );
        s.sink
            .exchanges
            .pop()
            .and_then(|exchange| exchange.flow)
            .expect("values")
    };
    assert_eq!(values(&run(&mut s, b"{7}", 1007)), [Some(key.int(7))]);
    assert_eq!(lists(&run(&mut s, b"{7,8}", 1007)), [true]);
    let first = run(&mut s, &long, TEXT);
    assert_eq!((values(&first), lists(&first)), (vec![None], vec![false]));
    assert_eq!(first.values, run(&mut s, &long, TEXT).values);
    let mut other = long;
    other[500_000] = b'y';
    assert_ne!(first.values, run(&mut s, &other, TEXT).values);
}

#[test]
fn a_bind_that_is_none_costs_its_values_only() {
    let (_, mut s) = script();
    let broken = message(b'B', b"\0\0\0\0\0\x01\0\0\0\x09x");
    s.client(
        1,
        &[parse("", "SELECT $1"), broken, execute("", 0), sync()].concat(),
    );
    s.upstream(
        2,
        &[
            parse_complete(),
            bind_complete(),
            complete("SELECT 0"),
            ready(b'I'),
        ]
        .concat(),
    );
    s.expect(&[("SELECT $1", 0, None)]);
    assert!(s.sink.exchanges[0].flow.is_none());
}

#[test]
fn execute_has_the_values_of_its_arguments() {
    let (key, mut s) = script();
    let mut run = |text: &str, tag: &str| {
        s.client(1, &query(text));
        s.upstream(
            2,
            &[
                columns(&[("a", INT4)]),
                texts(&[Some("9")]),
                complete(tag),
                ready(b'I'),
            ]
            .concat(),
        );
        s.sink.exchanges.pop().expect("an exchange").flow
    };
    run(
        "PREPARE p (text, int) AS SELECT a FROM t WHERE b = $2 AND c = 5 AND d = $1",
        "PREPARE",
    );
    let executed = run("EXECUTE p('x', 7)", "SELECT 1").expect("values");
    assert_eq!(
        values(&executed),
        [Some(key.int(7)), Some(key.int(5)), key.text(b"x")]
    );
    assert_eq!(executed.result.expect("rows").keys[0], Some(key.int(9)));
    assert_ne!(
        run("execute p ('x', 8)", "SELECT 1")
            .expect("values")
            .values,
        executed.values
    );
    assert!(
        run("EXECUTE p('x', 7 + 1)", "SELECT 1").is_none(),
        "7 is not the argument"
    );
}

#[test]
fn a_bind_of_any_size_holds_little() {
    let (_, mut s) = script();
    s.client(1, &parse("", "INSERT INTO t VALUES ($1, $2)"));
    let bind = bind_values("", "", &[], &[Some(&vec![b'x'; 4 << 20]), Some(b"7")], &[]);
    for piece in bind.chunks(64 << 10) {
        s.client(2, piece);
        assert!(
            s.session.held_bytes() < 16 << 10,
            "{}",
            s.session.held_bytes()
        );
    }
    s.client(3, &[execute("", 0), sync()].concat());
    s.upstream(
        4,
        &[
            parse_complete(),
            bind_complete(),
            complete("INSERT 0 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    assert!(flow(&s, 0).constants[1].value.is_some());
}
