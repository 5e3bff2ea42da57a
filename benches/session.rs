//! What a session costs for each query, with the value flow and without: `cargo bench --bench session`.
//!
//! The proxy's kernel work is not in it (some 20 us a query); what is here is added to that.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod support;

use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use pgprism::event::{
    ClosedEvent, Direction, FlowBudget, Held, Moment, Parsed, RowsEvent, SessionEvent,
    SessionFacts, Shape, ShapeRef,
};
use pgprism::session::{Finished, Scratch, Session, Settings, Sink};
use pgprism::sql::{Fingerprint, Verb, Written};
use support::message;

/// Drops what it is told.
struct Nowhere {
    flow: Arc<FlowBudget>,
    shape: ShapeRef,
}

impl Sink for Nowhere {
    fn shape(&mut self, _: Fingerprint, _: Verb, _: Written<'_>) -> Option<ShapeRef> {
        Some(self.shape)
    }
    fn query(&mut self, mut query: Finished<'_>) {
        let event = query.event(Arc::clone(query.facts()));
        black_box((event, query.take_flow(), query.beside()));
    }
    fn rows(&mut self, rows: RowsEvent) {
        black_box(rows);
    }
    fn closed(&mut self, _: ClosedEvent) {}
    fn hold(&mut self, bytes: usize) -> Option<Held> {
        self.flow.take(bytes)
    }
    fn event(&mut self, _: &Arc<SessionFacts>, _: SessionEvent, _: Moment) {}
    fn unknown_message(&mut self, _: Direction, _: u8) {}
}

/// A conversation: what is asked, what is answered.
struct Exchanged {
    name: &'static str,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Columns as a model has them: a key, foreign keys, texts, a time, an amount.
const COLUMNS: [(&str, u32, &str); 10] = [
    ("id", 23, "1234567"),
    ("number", 1043, "2024-000123"),
    ("customer_id", 23, "70001"),
    ("status", 1043, "paid"),
    ("created_at", 1184, "2024-05-01 12:00:00.123456+00"),
    ("total", 1700, "129.90"),
    ("currency", 1043, "EUR"),
    ("shipping_address_id", 23, "456789"),
    (
        "note",
        25,
        "please ring twice, and leave it with the neighbour if nobody is in",
    ),
    ("reference", 2950, "0f8fad5b-d9cb-469f-a165-70867728950e"),
];

fn result(rows: usize, ready: &[u8]) -> Vec<u8> {
    let mut description = (COLUMNS.len() as u16).to_be_bytes().to_vec();
    let mut row = description.clone();
    for (name, type_oid, value) in COLUMNS {
        description.extend_from_slice(name.as_bytes());
        description.extend_from_slice(&[0, 0, 0, 0x40, 0, 0, 1]);
        description.extend_from_slice(&type_oid.to_be_bytes());
        description.extend_from_slice(&[0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
        row.extend_from_slice(&(value.len() as u32).to_be_bytes());
        row.extend_from_slice(value.as_bytes());
    }
    [
        message(b'T', &description),
        message(b'D', &row).repeat(rows),
        message(b'C', format!("SELECT {rows}\0").as_bytes()),
        message(b'Z', ready),
    ]
    .concat()
}

fn conversations() -> Vec<Exchanged> {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, ..)| format!("\"shop_order\".\"{name}\""))
        .collect();
    let select = format!("SELECT {} FROM \"shop_order\"", columns.join(", "));
    let simple = |text: String| message(b'Q', format!("{text}\0").as_bytes());
    let extended = [
        message(
            b'P',
            &[
                format!("\0{select} WHERE \"shop_order\".\"id\" = $1\0").as_bytes(),
                &[0, 1, 0, 0, 0, 23],
            ]
            .concat(),
        ),
        message(
            b'B',
            b"\0\0\0\x01\0\x01\0\x01\0\0\0\x04\0\x12\xd6\x87\0\x01\0\0",
        ),
        message(b'D', b"P\0"),
        message(b'E', b"\0\0\0\0\0"),
        message(b'S', b""),
    ];
    let head = [message(b'1', b""), message(b'2', b"")].concat();
    vec![
        Exchanged {
            name: "pgbench -S: one row of one number",
            request: simple("SELECT abalance FROM pgbench_accounts WHERE aid = 123456;".to_owned()),
            reply: [
                message(
                    b'T',
                    b"\0\x01abalance\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0",
                ),
                message(b'D', b"\0\x01\0\0\0\x010"),
                message(b'C', b"SELECT 1\0"),
                message(b'Z', b"I"),
            ]
            .concat(),
        },
        Exchanged {
            name: "Model.objects.get(pk=...): one row",
            request: simple(format!(
                "{select} WHERE \"shop_order\".\"id\" = 1234567 LIMIT 21"
            )),
            reply: result(1, b"I"),
        },
        Exchanged {
            name: "the same with server-side binding",
            request: extended.concat(),
            reply: [head, result(1, b"I")].concat(),
        },
        Exchanged {
            name: "a page of 20 rows",
            request: simple(format!("{select} ORDER BY \"shop_order\".\"id\" LIMIT 20")),
            reply: result(20, b"I"),
        },
        Exchanged {
            name: "1,000 rows",
            request: simple(format!("{select} ORDER BY \"shop_order\".\"id\"")),
            reply: result(1000, b"I"),
        },
        Exchanged {
            name: "100,000 rows",
            request: simple(format!("{select} ORDER BY \"shop_order\".\"id\"")),
            reply: result(100_000, b"I"),
        },
    ]
}

/// Nanoseconds for each conversation; the best of several runs.
fn measure(exchanged: &Exchanged, value_flow: bool) -> f64 {
    let defaults = Settings::default();
    let settings = Settings {
        values: defaults.values.filter(|_| value_flow),
        ..defaults
    };
    let start = support::start(1, 0);
    let mut scratch = Scratch::new(settings.fingerprint_bytes_max);
    let mut session = Session::open(&start, Arc::new(settings));
    let mut sink = Nowhere {
        flow: FlowBudget::new(64 << 20),
        shape: Shape::kept(Shape {
            fingerprint: Fingerprint(0),
            number: pgprism::event::ShapeNumber(0),
            verb: Verb::Select,
            text: "".into(),
            facts: OnceLock::new(),
            parsed: Parsed::yes(),
        }),
    };
    let login = support::login();
    let mut at = 0;
    let mut relay = |direction, bytes: &[u8]| {
        // As the proxy reads: at most 64 KiB at a time.
        for read in bytes.chunks(64 << 10) {
            at += 1;
            session
                .relayed(direction, read, Moment(at), &mut scratch, &mut sink)
                .expect("followed");
        }
    };
    relay(Direction::UpstreamToClient, &login);
    let rounds = (20_000_000 / (exchanged.reply.len() + 1000)).max(1);
    let best = (0..7)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                relay(Direction::ClientToUpstream, &exchanged.request);
                relay(Direction::UpstreamToClient, &exchanged.reply);
            }
            start.elapsed().as_nanos() as f64 / rounds as f64
        })
        .fold(f64::INFINITY, f64::min);
    black_box(best)
}

fn main() {
    println!("nanoseconds for each query      without     with  value flow");
    for exchanged in conversations() {
        let (off, on) = (measure(&exchanged, false), measure(&exchanged, true));
        println!(
            "{:36}{off:10.0}{on:10.0}   {:+.0}",
            exchanged.name,
            on - off
        );
    }
}
