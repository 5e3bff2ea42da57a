//! What drivers really send: the same values flow, whichever driver and whichever format carried them.
//!
//! The recordings and how they were made: `tests/fixtures/values/record.py`.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use pgprism::event::{
    ClosedEvent, ConnectionStatus, ConstantCount, Direction, Exchange, Held, Moment, RowKeys,
    RowsEvent, SessionEvent, SessionFacts, SessionId, SessionStart, Shape, ShapeRef,
};
use pgprism::session::{Finished, Scratch, Session, Settings, Sink};
use pgprism::sql::value::{ValueHash, ValueKey};
use pgprism::sql::{Fingerprint, Verb, Written, normalize};

const DRIVERS: [(&str, &str); 5] = [
    ("psycopg2", include_str!("fixtures/values/psycopg2.jsonl")),
    ("psycopg", include_str!("fixtures/values/psycopg.jsonl")),
    (
        "psycopg_server_side_binding",
        include_str!("fixtures/values/psycopg_server_side_binding.jsonl"),
    ),
    (
        "psycopg_prepared",
        include_str!("fixtures/values/psycopg_prepared.jsonl"),
    ),
    ("asyncpg", include_str!("fixtures/values/asyncpg.jsonl")),
];

#[derive(Default)]
struct Heard {
    exchanges: Vec<Exchange>,
    rows: Vec<RowsEvent>,
    closed: u64,
}

impl Sink for Heard {
    fn shape(
        &mut self,
        fingerprint: Fingerprint,
        verb: Verb,
        written: Written<'_>,
    ) -> Option<ShapeRef> {
        let text = normalize(&String::from_utf8_lossy(written.text)).into();
        let facts = OnceLock::new();
        Some(Shape::kept(Shape {
            fingerprint,
            number: pgprism::event::ShapeNumber(0),
            verb,
            text,
            facts,
            parsed: pgprism::event::Parsed::yes(),
        }))
    }
    fn query(&mut self, query: Finished<'_>) {
        self.exchanges.push(query.exchange());
    }
    fn rows(&mut self, rows: RowsEvent) {
        self.rows.push(rows);
    }
    fn closed(&mut self, closed: ClosedEvent) {
        self.closed = closed.queries;
    }
    fn hold(&mut self, _: usize) -> Option<Held> {
        Some(Held::default())
    }
    fn event(&mut self, _: &Arc<SessionFacts>, _: SessionEvent, _: Moment) {}
    fn unknown_message(&mut self, _: Direction, _: u8) {}
}

fn replay(recording: &str, settings: &Settings) -> Heard {
    let start = SessionStart {
        id: SessionId(1),
        listener: "default".into(),
        client: "127.0.0.1".into(),
        user: "raw".into(),
        database: "values".into(),
        application: "".into(),
        accepted_at: Moment(0),
        opened_at: Moment(0),
        status: Arc::new(ConnectionStatus::default()),
        observe: Arc::new(AtomicBool::new(true)),
    };
    let mut scratch = Scratch::new(settings.fingerprint_bytes_max);
    let mut session = Session::open(&start, Arc::new(settings.clone()));
    let mut heard = Heard::default();
    for (line, at) in recording.lines().zip(1..) {
        let (side, hex): (String, String) = serde_json::from_str(line).unwrap();
        let direction = match side.as_str() {
            "c" => Direction::ClientToUpstream,
            _ => Direction::UpstreamToClient,
        };
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|index| u8::from_str_radix(&hex[index..index + 2], 16).unwrap())
            .collect();
        session
            .relayed(direction, &bytes, Moment(at), &mut scratch, &mut heard)
            .unwrap();
    }
    session.closed(Moment(1000), &mut heard);
    heard
}

/// The table's rows, as hashes of its key-like columns: id, ref, slug, big.
fn table(key: ValueKey) -> [[Option<ValueHash>; 4]; 3] {
    let reference = key.text(b"0f8fad5b-d9cb-469f-a165-70867728950e");
    [
        [Some(key.int(1)), None, key.text(b"ann"), Some(key.int(1))],
        [
            Some(key.int(2)),
            reference,
            key.text(b"it's \\ here"),
            Some(key.int(5_000_000_000)),
        ],
        [Some(key.int(70000)), None, None, Some(key.int(3))],
    ]
}

#[track_caller]
fn check_result(result: &RowKeys, expected: &[[Option<ValueHash>; 4]], driver: &str) {
    assert_eq!(*result.columns.keys, [0, 1, 2, 3], "{driver}");
    assert!(
        result.columns.all.iter().all(|column| column.table_oid > 0),
        "{driver}"
    );
    assert_eq!(result.rows as usize, expected.len(), "{driver}");
    assert_eq!(*result.keys, *expected.as_flattened(), "{driver}");
}

#[test]
fn the_same_values_flow_through_every_driver() {
    let settings = Settings::default();
    let key = settings.values.unwrap();
    let rows = table(key);
    for (driver, recording) in DRIVERS {
        let heard = replay(recording, &settings);
        assert_eq!(heard.closed, heard.exchanges.len() as u64);
        let selects: Vec<&Exchange> = heard
            .exchanges
            .iter()
            .filter(|exchange| {
                let shape = exchange.statement.shape;
                shape.is_some_and(|shape| shape.text.contains("FROM author"))
            })
            .collect();
        assert_eq!(selects.len(), 8, "{driver}");
        let flows: Vec<_> = selects
            .iter()
            .map(|exchange| exchange.flow.as_ref().unwrap())
            .collect();

        // The parent, then its children: each asks for a value of the parent's second row.
        check_result(flows[0].result.as_ref().unwrap(), &rows, driver);
        let asked = [rows[1][0], rows[1][1], rows[1][2], rows[1][3], rows[1][0]];
        for (flow, asked) in flows[1..6].iter().zip(asked) {
            assert_eq!(flow.constants.len(), 1, "{driver}");
            assert_eq!(flow.constants[0].value, asked, "{driver}");
            assert_eq!(flow.constants[0].count, ConstantCount::One, "{driver}");
            check_result(flow.result.as_ref().unwrap(), &rows[1..2], driver);
        }
        assert_eq!(flows[6].constants[0].count, ConstantCount::Several);
        check_result(flows[6].result.as_ref().unwrap(), &rows[1..], driver);

        // The cursor's rows came two at a time, before the cursor itself was over.
        let cursor = selects[7];
        assert_eq!(flows[7].constants[0].value, Some(key.int(0)), "{driver}");
        assert!(flows[7].result.is_none() && cursor.cursor.is_some());
        assert!(heard.rows.len() >= 2, "{driver}: {}", heard.rows.len());
        let parts: Vec<_> = heard
            .rows
            .iter()
            .inspect(|part| {
                assert_eq!(Some(part.cursor), cursor.cursor);
                assert_eq!(part.fingerprint, cursor.statement.fingerprint);
            })
            .flat_map(|part| part.result.keys.to_vec())
            .collect();
        assert_eq!(parts, *rows.as_flattened(), "{driver}");
        assert_eq!(cursor.rows, 3, "{driver}");
    }
}

#[test]
fn equal_values_are_equal_in_one_driver_only_when_they_are() {
    let settings = Settings::default();
    for (driver, recording) in DRIVERS {
        let values = |recording: &str| -> Vec<_> {
            replay(recording, &settings)
                .exchanges
                .iter()
                .filter_map(|exchange| {
                    let flow = exchange.flow.as_ref()?;
                    Some((exchange.statement.fingerprint.0, flow.values))
                })
                .collect()
        };
        let once = values(recording);
        assert_eq!(once, values(recording), "{driver}");
        let mut different = once.clone();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() >= 8, "{driver}");
    }
}
