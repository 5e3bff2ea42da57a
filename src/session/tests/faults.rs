//! What a session must survive: any split, any cut, garbage, lies.

use proptest::prelude::*;

use super::wire::*;
use super::{Script, Settings};
use crate::event::{ConnectionState, Direction};
use crate::session::Lost;

/// A conversation with a bit of everything, as (side, bytes).
fn conversation() -> Vec<(Direction, Vec<u8>)> {
    use Direction::{ClientToUpstream as C, UpstreamToClient as U};
    vec![
        (C, query("BEGIN")),
        (U, [complete("BEGIN"), ready(b'T')].concat()),
        (C, query("SELECT 'a;b'; SELECT 2 /*route='x'*/")),
        (
            U,
            [
                row_description(),
                row(),
                complete("SELECT 1"),
                select_answer(2, b'T'),
            ]
            .concat(),
        ),
        (
            C,
            [
                parse("p", "SELECT $1"),
                bind("", "p"),
                describe('P', ""),
                execute("", 0),
                sync(),
            ]
            .concat(),
        ),
        (U, [extended_answer(5, "SELECT 5"), ready(b'T')].concat()),
        (C, query("DECLARE c CURSOR FOR SELECT 9")),
        (U, [complete("DECLARE CURSOR"), ready(b'T')].concat()),
        (C, query("FETCH 3 FROM c")),
        (
            U,
            [
                row_description(),
                row().repeat(3),
                complete("FETCH 3"),
                ready(b'T'),
            ]
            .concat(),
        ),
        (
            C,
            [bind("", "p"), execute("", 0), extended("SELECT 8"), sync()].concat(),
        ),
        (
            U,
            [bind_complete(), error("ERROR", "22012"), ready(b'E')].concat(),
        ),
        (C, query("ROLLBACK")),
        (U, [complete("ROLLBACK"), ready(b'I')].concat()),
        (C, query("COPY t FROM STDIN")),
        (U, message(b'G', b"\0\0\0")),
        (C, [copy_data(b"1\n"), copy_done()].concat()),
        (U, [complete("COPY 1"), notice(), ready(b'I')].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_bytes_gives_the_same_queries(sizes in prop::collection::vec(1usize..40, 1..40)) {
        let mut whole = Script::new();
        for (side, bytes) in conversation() {
            whole.try_relay(side, 1, &bytes).unwrap();
        }
        let mut cut = Script::new();
        let mut sizes = sizes.iter().cycle();
        for (side, bytes) in conversation() {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                cut.try_relay(side, 1, head).unwrap();
                rest = tail;
            }
        }
        prop_assert_eq!(whole.briefs(), cut.briefs());
        prop_assert_eq!(whole.briefs().len(), 8);
        let prints = |s: &Script| s.sink.exchanges.iter().map(|e| (e.statement.fingerprint, e.tags.clone())).collect::<Vec<_>>();
        prop_assert_eq!(prints(&whole), prints(&cut));
    }

    #[test]
    fn a_disconnect_at_any_point_ends_every_query_once(cut in any::<prop::sample::Index>()) {
        let all: Vec<(Direction, u8)> =
            conversation().into_iter().flat_map(|(side, bytes)| bytes.into_iter().map(move |b| (side, b))).collect();
        let mut s = Script::new();
        for (side, byte) in &all[..cut.index(all.len() + 1)] {
            s.try_relay(*side, 1, &[*byte]).unwrap();
        }
        let before = s.briefs().len();
        s.close();
        let after = s.briefs();
        // At most the running query, a waiting one and the open cursor.
        prop_assert!(after.len() <= before + 3, "{:?}", after);
        let mut sequences: Vec<u64> = s.sink.exchanges.iter().map(|e| e.sequence).collect();
        sequences.dedup();
        prop_assert_eq!(sequences.len(), after.len());
    }

    #[test]
    fn garbage_never_panics(
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let mut s = Script::new();
        for (client, bytes) in parts {
            let side = if client { Direction::ClientToUpstream } else { Direction::UpstreamToClient };
            if s.try_relay(side, 1, &bytes).is_err() {
                break;
            }
        }
        s.close();
    }

    #[test]
    fn messages_in_any_order_never_panic(
        order in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
    ) {
        let frontend = [
            query("SELECT 1; SELECT 2"), parse("p", "SELECT 1"), parse("", "COPY t FROM STDIN"), bind("", "p"), bind("c", ""),
            execute("", 0), execute("c", 5), close('S', "p"), close('P', "c"), sync(), flush(), copy_data(b"x"),
            copy_done(), copy_fail(), describe('S', "p"), message(b'F', &[0; 8]), query("CLOSE ALL"), query(""),
        ];
        let backend = [
            parse_complete(), bind_complete(), close_complete(), row_description(), row(), no_data(), suspended(),
            complete("SELECT 1"), complete("COMMIT"), complete("DISCARD ALL"), ready(b'I'), ready(b'T'), ready(b'E'),
            error("ERROR", "42601"), error("FATAL", "57P01"), notice(), message(b'G', b"\0\0\0"), message(b'W', b"\0\0\0"),
            message(b'I', b""), message(b'V', b"\0\0\0\0"),
        ];
        let mut s = Script::new();
        let mut last = None;
        for (client, index) in order {
            let (side, bytes) = if client {
                (Direction::ClientToUpstream, index.get(&frontend))
            } else {
                (Direction::UpstreamToClient, index.get(&backend))
            };
            last = s.try_relay(side, 1, bytes).err();
            if last.is_some() {
                break;
            }
        }
        s.close();
        prop_assert!(last.is_none_or(|lost| matches!(lost, Lost::OutOfStep { .. })), "{:?}", last);
    }
}

#[test]
fn a_disconnect_in_a_query_ends_it() {
    let mut s = Script::new();
    s.client(1, &query("SELECT pg_sleep(9)"))
        .upstream(5, &row_description());
    s.now = 10;
    s.close()
        .expect(&[("SELECT pg_sleep(9)", 0, Some("08006"))]);
    assert_eq!(s.phases(0)[..2], [4, 6]);
}

#[test]
fn a_fatal_that_nobody_asked_for_is_no_query() {
    let mut s = Script::new();
    s.upstream(5, &error("FATAL", "57P01")).close();
    s.expect(&[]);
    let mut s = Script::new();
    s.client(1, &query("SELECT 1"))
        .upstream(5, &error("FATAL", "57P01"))
        .close();
    s.expect(&[("SELECT 1", 0, Some("57P01"))]);
}

#[test]
fn an_odd_error_still_ends_its_query() {
    let mut s = Script::new();
    s.client(1, &query("SELECT 1"));
    s.upstream(2, &[message(b'E', b"Mno state\0\0"), ready(b'I')].concat());
    s.expect(&[("SELECT 1", 0, Some("?????"))]);
    s.client(3, &query("SELECT 2"));
    let long = format!("VERROR\0C22000\0M{}\0\0", "x".repeat(1 << 20));
    s.upstream(4, &[message(b'E', long.as_bytes()), ready(b'I')].concat());
    assert_eq!(s.briefs()[1].2.as_deref(), Some("22000"));
}

#[test]
fn a_megabyte_of_tag_is_cut() {
    let mut s = Script::new();
    s.client(1, &query("SELECT 1"))
        .upstream(2, &[complete(&"X".repeat(1 << 20)), ready(b'I')].concat());
    s.expect(&[("SELECT 1", 0, None)]);
}

#[test]
fn lies_and_garbage_are_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"Z\0\0\0\x03", "length_too_small"),
        (b"\x16\x03\x01\x02\x00", "impossible_tag"),
        (b"D\xff\xff\xff\xf0", "length_too_large"),
        (b"Z\0\0\0\x06II", "malformed"),
        (b"Z\0\0\0\x05?", "malformed"),
        (b"C\0\0\0\x0dSELECT 1\0", "out_of_step"),
    ];
    for (bytes, reason) in cases {
        let lost = Script::new()
            .try_relay(Direction::UpstreamToClient, 1, bytes)
            .unwrap_err();
        assert_eq!(
            (lost.reason(), lost.direction()),
            (reason, Direction::UpstreamToClient),
            "{lost}"
        );
        assert!(lost.is_decode_error());
    }
    let lost = Script::new()
        .try_relay(Direction::ClientToUpstream, 1, &message(b'B', b"no end"))
        .unwrap_err();
    assert_eq!(lost.reason(), "malformed");
}

#[test]
fn an_unknown_message_is_skipped_and_told() {
    let mut s = Script::new();
    s.client(1, &query("SELECT 1")).upstream(
        2,
        &[message(b'y', b"news"), select_answer(1, b'I')].concat(),
    );
    s.expect(&[("SELECT 1", 1, None)]);
    assert_eq!(s.sink.unknown, b"y");
}

#[test]
fn a_pipeline_beyond_the_limit_is_not_followed() {
    let mut s = Script::at_login(Settings {
        awaited_max: 100,
        ..Settings::default()
    });
    s.upstream(0, &[authentication_ok(), ready(b'I')].concat());
    let lost = s
        .try_relay(
            Direction::ClientToUpstream,
            1,
            &extended("SELECT 1").repeat(30),
        )
        .unwrap_err();
    assert_eq!(lost, Lost::PipelineTooLong { awaited_max: 100 });
    assert!(!lost.is_decode_error());
}

#[test]
fn a_hundred_megabytes_of_statement_hold_little() {
    let mut s = Script::new();
    let length = 100u32 << 20;
    s.client(
        1,
        &[&b"Q"[..], &(length + 4).to_be_bytes(), b"SELECT '"].concat(),
    );
    let chunk = vec![b'x'; 64 << 10];
    let mut left = length as usize - "SELECT '".len() - "', 2\0".len();
    let mut most = 0;
    while left > 0 {
        let now = left.min(chunk.len());
        s.client(2, &chunk[..now]);
        left -= now;
        most = most.max(s.session.held_bytes());
    }
    s.client(3, b"', 2\0").expect_state(ConnectionState::Active);
    s.upstream(4, &select_answer(1, b'I'));
    assert!(most < 512 << 10, "{most}");
    assert!(s.sink.exchanges[0].statement.truncated);
    assert_eq!(
        s.sink.exchanges[0]
            .statement
            .shape
            .as_ref()
            .unwrap()
            .text
            .len(),
        64 << 10
    );
    assert_eq!(s.sink.exchanges[0].request_bytes, u64::from(length) + 5);
    assert!(s.session.held_bytes() < 16 << 10);
}
