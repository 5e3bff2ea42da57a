//! A whole conversation in which both sides may lie: never a panic, memory within its limits, times in order, and the
//! same queries however each read is cut.
//!
//! Input: the cuts ([`Cuts`]), then reads, each a two-byte head (bit 15: from the upstream; the rest: length) and its
//! bytes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pgprism::event::{
    ClosedEvent, ConnectionStatus, Direction, FlowBudget, Held, Moment, RowsEvent, SessionEvent,
    SessionFacts, SessionId, SessionStart, ShapeRef,
};
use pgprism::session::{Finished, Lost, Scratch, Session, Settings, Sink};
use pgprism::sql::{Fingerprint, Verb, Written};

use super::Cuts;

/// So that a short input reaches the queries.
const LOGIN: &[u8] = b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01abcdZ\0\0\0\x05I";
const HELD_BYTES_MAX: usize = 4 << 20;

/// What results on their way may take, so that some find no room.
const FLOW_BYTES_MAX: usize = 4 << 10;

struct Heard {
    exchanges: Vec<String>,
    events: Vec<String>,
    rows: Vec<String>,
    unknown: usize,
    flow: Arc<FlowBudget>,
    kept: Vec<Held>,
}

impl Sink for Heard {
    fn shape(&mut self, _: Fingerprint, _: Verb, _: Written<'_>) -> Option<ShapeRef> {
        None
    }

    fn query(&mut self, query: Finished<'_>) {
        let exchange = query.exchange();
        assert!(exchange.requested_at <= exchange.completed_at);
        assert!(exchange.phases.duration_ns() <= exchange.completed_at.0);
        self.exchanges.push(format!("{exchange:?}"));
    }

    fn rows(&mut self, rows: RowsEvent) {
        let result = &rows.result;
        assert_eq!(
            result.keys.len(),
            result.rows as usize * result.columns.keys.len()
        );
        assert!(u64::from(result.rows) <= result.rows_total);
        self.rows.push(format!("{rows:?}"));
    }

    fn closed(&mut self, closed: ClosedEvent) {
        assert_eq!(closed.queries, self.exchanges.len() as u64);
    }

    fn hold(&mut self, bytes: usize) -> Option<Held> {
        let held = self.flow.take(bytes)?;
        self.kept.push(held.clone());
        Some(held)
    }

    fn event(&mut self, _: &Arc<SessionFacts>, event: SessionEvent, at: Moment) {
        self.events.push(format!("{event:?} {at:?}"));
    }

    fn unknown_message(&mut self, _: Direction, _: u8) {
        self.unknown += 1;
    }
}

fn start() -> SessionStart {
    SessionStart {
        id: SessionId(1),
        listener: "default".into(),
        client: "127.0.0.1".into(),
        user: "shop".into(),
        database: "shop".into(),
        application: "".into(),
        accepted_at: Moment(0),
        opened_at: Moment(0),
        status: Arc::new(ConnectionStatus::default()),
        observe: Arc::new(AtomicBool::new(true)),
    }
}

fn reads(mut input: &[u8]) -> Vec<(Direction, &[u8])> {
    let mut reads = vec![(Direction::UpstreamToClient, LOGIN)];
    while let Some((&[high, low], rest)) = input.split_first_chunk::<2>() {
        let head = u16::from_be_bytes([high, low]);
        let (read, rest) = rest.split_at(usize::from(head & 0x7fff).min(rest.len()));
        let direction = match head >> 15 {
            0 => Direction::ClientToUpstream,
            _ => Direction::UpstreamToClient,
        };
        reads.push((direction, read));
        input = rest;
    }
    reads
}

fn converse(
    settings: &Settings,
    reads: &[(Direction, &[u8])],
    cuts: &mut Cuts<'_>,
) -> (Heard, Option<Lost>) {
    let settings = settings.clone();
    let mut scratch = Scratch::new(settings.fingerprint_bytes_max);
    let mut session = Session::open(&start(), Arc::new(settings));
    let mut heard = Heard {
        exchanges: Vec::new(),
        events: Vec::new(),
        rows: Vec::new(),
        unknown: 0,
        flow: FlowBudget::new(FLOW_BYTES_MAX),
        kept: Vec::new(),
    };
    let mut at = Moment(0);
    for (direction, read) in reads {
        at = Moment(at.0 + 1000);
        for piece in cuts.pieces(read) {
            if let Err(lost) = session.relayed(*direction, piece, at, &mut scratch, &mut heard) {
                return (heard, Some(lost));
            }
            assert!(session.held_bytes() <= HELD_BYTES_MAX);
            let _ = (session.state(), session.rest());
        }
    }
    session.closed(Moment(at.0 + 1000), &mut heard);
    (heard, None)
}

/// The target's body.
pub fn run(input: &[u8]) {
    let (mut cuts, rest) = Cuts::read(input);
    let reads = reads(rest);
    let settings = Settings::default();
    let (whole, lost) = converse(&settings, &reads, &mut Cuts::whole());
    let (cut, cut_lost) = converse(&settings, &reads, &mut cuts);
    assert_eq!(lost.is_some(), cut_lost.is_some());
    if lost.is_none() {
        assert_eq!(whole.exchanges, cut.exchanges);
        assert_eq!(whole.events, cut.events);
        assert_eq!(whole.rows, cut.rows);
        assert_eq!(whole.unknown, cut.unknown);
    } else {
        // Where a session is lost, a read is looked at to its end; a smaller one ends earlier.
        assert!(whole.exchanges.starts_with(&cut.exchanges));
    }
}
