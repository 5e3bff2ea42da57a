//! Any split, and lies.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::event::Direction;

#[test]
fn rows_that_do_not_fit_their_description_end_the_values_of_their_result() {
    let (_, mut s) = script();
    for row in [
        texts(&[Some("1")]),
        message(b'D', &[0, 2, 0, 0, 0, 9, b'1']),
        message(b'D', &[0]),
        message(b'D', b""),
        message(b'D', &[0, 2, 0xff, 0xff, 0xff, 0xfe]),
    ] {
        s.client(1, &query("SELECT a, b FROM t"));
        let description = columns(&[("a", NUMERIC), ("b", INT4)]);
        s.upstream(
            2,
            &[description, row, complete("SELECT 1"), ready(b'I')].concat(),
        );
    }
    s.client(3, &query("SELECT a, b FROM t"));
    s.upstream(
        4,
        &[
            message(b'T', &[0, 7, 1]),
            texts(&[Some("1")]),
            complete("SELECT 1"),
            ready(b'I'),
        ]
        .concat(),
    );
    assert_eq!(s.briefs().len(), 6);
    assert!(
        s.sink
            .exchanges
            .iter()
            .all(|e| e.flow.as_ref().is_some_and(|f| f.result.is_none()))
    );
}

/// A bit of everything, both sides.
fn conversation() -> Vec<(Direction, Vec<u8>)> {
    use Direction::{ClientToUpstream as C, UpstreamToClient as U};
    let described = columns(&[
        ("id", INT4),
        ("note", TEXT),
        ("price", NUMERIC),
        ("key", UUID),
    ]);
    let row = texts(&[
        Some("70000"),
        Some(&"n".repeat(100)),
        Some("1.5"),
        Some(UUID_TEXT),
    ]);
    vec![
        (
            C,
            query(
                "SELECT 'it''s', E'a\\\\b', -7, '0123456789012345678901234567890123456789012345678901234567890123456789'",
            ),
        ),
        (
            U,
            [
                described.clone(),
                row.repeat(3),
                complete("SELECT 3"),
                ready(b'I'),
            ]
            .concat(),
        ),
        (
            C,
            [
                parse_typed("p", "SELECT $1, $2, 5, $3", &[21, 0, UUID]),
                describe('S', "p"),
                bind_values(
                    "c",
                    "p",
                    &[1, 0, 1],
                    &[Some(&[0, 8]), Some(&[b'y'; 90]), None],
                    &[1, 0, 0, 1],
                ),
                execute("c", 2),
                sync(),
            ]
            .concat(),
        ),
        (
            U,
            [
                parse_complete(),
                parameter_description(&[21, TEXT, UUID]),
                described,
                bind_complete(),
                data_row(&[Some(&7i32.to_be_bytes()), Some(b"x"), None, Some(&[7; 16])]),
                data_row(&[None, None, None, None]),
                suspended(),
                ready(b'T'),
            ]
            .concat(),
        ),
        (C, [execute("c", 0), sync()].concat()),
        (
            U,
            [
                data_row(&[Some(&8i32.to_be_bytes()), Some(b""), None, None]),
                complete("SELECT 1"),
                ready(b'T'),
            ]
            .concat(),
        ),
        (
            C,
            query("DECLARE c CURSOR FOR SELECT a FROM t WHERE b IN (1, 2) AND c = 'x'"),
        ),
        (U, [complete("DECLARE CURSOR"), ready(b'T')].concat()),
        (C, query("FETCH 3 FROM c")),
        (
            U,
            [
                columns(&[("id", INT8)]),
                texts(&[Some("12")]).repeat(3),
                complete("FETCH 3"),
                ready(b'T'),
            ]
            .concat(),
        ),
    ]
}

fn told(settings: &Settings, reads: &[(Direction, Vec<u8>)]) -> String {
    let mut s = logged_in(settings.clone());
    for (direction, bytes) in reads {
        s.try_relay(*direction, 1, bytes).expect("followed");
    }
    s.close();
    let flows: Vec<_> = s
        .sink
        .exchanges
        .iter()
        .map(|e| (&e.flow, e.cursor))
        .collect();
    let rows: Vec<_> = s
        .sink
        .rows
        .iter()
        .map(|rows| (rows.cursor, &rows.result))
        .collect();
    format!("{} {flows:?} {rows:?}", s.sink.order)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_values(cuts in prop::collection::vec(any::<Index>(), 0..20), byte_by_byte in any::<bool>()) {
        let (_, settings) = settings();
        let reads = conversation();
        let mut pieces = Vec::new();
        for (direction, bytes) in &reads {
            let mut at: Vec<usize> = match byte_by_byte {
                true => (0..bytes.len()).collect(),
                false => cuts.iter().map(|index| index.index(bytes.len() + 1)).collect(),
            };
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            pieces.extend(at.windows(2).map(|ends| (*direction, bytes[ends[0]..ends[1]].to_vec())));
        }
        prop_assert_eq!(told(&settings, &pieces), told(&settings, &reads));
    }

    #[test]
    fn lies_in_messages_never_panic(at in any::<Index>(), byte in any::<u8>(), reads in 0usize..10) {
        let mut conversation = conversation();
        let (_, bytes) = &mut conversation[reads];
        let at = at.index(bytes.len());
        // Headers are another matter: only bodies lie here.
        bytes[at] = byte;
        let (_, settings) = settings();
        let mut s = logged_in(settings);
        for (direction, bytes) in &conversation {
            if s.try_relay(*direction, 1, bytes).is_err() {
                break;
            }
            prop_assert!(s.session.held_bytes() < 1 << 20);
        }
    }
}
