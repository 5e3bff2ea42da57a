//! A snapshot of the analysis in which every kind of thing happened, filled by hand.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::sync::Arc;

use pgprism::advise::Advice;
use pgprism::analysis::{
    FindingTotals, FoundAndAdvised, IgnoreRuleUse, RouteFigures, Snapshot, UNIT_QUERIES_BOUNDS,
};
use pgprism::detect::{
    Confidence, Detail, Finding, FindingId, Kind, Link, Proof, Severity, Side, Status,
};
use pgprism::event::{Moment, Phases, SessionFacts, SessionId, Shape};
use pgprism::sql::{Fingerprint, Verb};
use pgprism::unit::{Completeness, Evidence, TimelineEntry, UnitId, UnitRecord, UnitState};
use pgprism::wire::SqlState;

pub(crate) const MS: u64 = 1_000_000;

/// The child of the forward N+1; shape 2 of the tests of the API.
pub(crate) const CHILD: Fingerprint = Fingerprint(2);
/// Its parent.
pub(crate) const PARENT: Fingerprint = Fingerprint(1);
pub(crate) const FORWARD: FindingId = FindingId(0xf0);
pub(crate) const WRITES: FindingId = FindingId(0xf1);
pub(crate) const REPEATED: FindingId = FindingId(0xf2);

pub(crate) fn shape(fingerprint: Fingerprint, text: &str) -> &'static Shape {
    Shape::kept(Shape {
        fingerprint,
        number: pgprism::event::ShapeNumber(fingerprint.0 as u32),
        verb: Verb::Select,
        text: text.into(),
        facts: std::sync::OnceLock::new(),
        parsed: pgprism::event::Parsed::yes(),
    })
    .shape()
}

pub(crate) fn finding(id: FindingId, kind: Kind, cost_ms: u64) -> FoundAndAdvised {
    FoundAndAdvised {
        finding: Finding {
            id,
            kind,
            status: Status::Open,
            confidence: Confidence::Suspected,
            evidence: Evidence::Pause,
            severity: Severity::Low,
            child: Side {
                fingerprint: Fingerprint(3),
                query: "INSERT INTO shop_audit (note)\nVALUES ($1)".into(),
                table: None,
                column: None,
            },
            parent: None,
            chain: Vec::new(),
            occurrences: 1,
            units: 1,
            queries: 12,
            cost_ns: cost_ms * MS,
            saves_ns: cost_ms * MS / 2,
            children_per_row: f64::NAN,
            first_seen: Moment(5 * MS),
            last_seen: Moment(6 * MS),
            tags: Vec::new(),
            proof: None,
            queries_before: 14,
            queries_after: 3,
            example_unit: None,
            detail: Detail::default(),
        },
        advice: Advice {
            title: "Write all rows at once".to_owned(),
            django: "Audit.objects.bulk_create(notes)".to_owned(),
            why: "12 rows were inserted one by one.".to_owned(),
            complete: true,
        },
    }
}

/// `order.customer` in a loop over orders, inside a loop over shops.
pub(crate) fn forward() -> FoundAndAdvised {
    let FoundAndAdvised { finding, .. } = finding(FORWARD, Kind::NPlusOneForward, 842);
    let name = |name: &str| Some(Arc::<str>::from(name));
    FoundAndAdvised {
        finding: Finding {
            confidence: Confidence::Proved,
            evidence: Evidence::Connection,
            severity: Severity::High,
            child: Side {
                fingerprint: CHILD,
                query: "SELECT name FROM shop_customer\nWHERE id = $1".into(),
                table: name("shop_customer"),
                column: name("id"),
            },
            parent: Some(Side {
                fingerprint: PARENT,
                query: "SELECT id, customer_id FROM shop_order WHERE shop_id = $1".into(),
                table: name("shop_order"),
                column: name("customer_id"),
            }),
            chain: vec![Link {
                parent_table: name("shop_shop"),
                parent_column: name("id"),
                child_table: name("shop_order"),
                child_column: name("shop_id"),
                kind: Kind::NPlusOneReverse,
            }],
            occurrences: 2,
            units: 2,
            queries: 80,
            children_per_row: 1.0,
            last_seen: Moment(9 * MS),
            tags: vec![
                ("route".into(), "orders/".into()),
                ("route".into(), "orders/<int:pk>/".into()),
                ("controller".into(), "order_list".into()),
            ],
            proof: Some(Proof {
                rows: 40,
                nulls: 1,
                distinct: 30,
                matched: 39,
                in_order: 39,
                pattern: "shop_order.customer_id -> shop_customer.id, 39 of 39 rows in order"
                    .to_owned(),
            }),
            queries_before: 41,
            queries_after: 2,
            example_unit: Some(UnitId(7)),
            ..finding
        },
        advice: Advice {
            title: "Fetch customers together with their orders".to_owned(),
            django: "Order.objects.select_related(\"customer\")".to_owned(),
            why: "39 of 41 queries look up a customer by the value that the row before returned."
                .to_owned(),
            complete: true,
        },
    }
}

fn entry(at: u64, fingerprint: Fingerprint, parent: Option<u32>) -> TimelineEntry {
    let phases = Phases {
        database_ns: MS,
        transfer_ns: MS / 2,
        client_ns: 0,
        application_ns: MS / 4,
    };
    TimelineEntry {
        requested_at: Moment(at * MS),
        completed_at: Moment(at * MS + phases.duration_ns()),
        fingerprint,
        verb: Verb::Select,
        shape: Some(shape(
            fingerprint,
            "SELECT name FROM shop_customer WHERE id = $1",
        )),
        phases,
        rows: 1,
        sqlstate: None,
        parent,
        transaction: None,
    }
}

pub(crate) fn unit(id: u64, started_at: u64, duration: u64, route: Option<&str>) -> UnitRecord {
    UnitRecord {
        id: UnitId(id),
        facts: Arc::new(SessionFacts {
            id: SessionId(1),
            listener: "default".into(),
            client: "10.0.0.9".into(),
            user: "shop".into(),
            database: "shopdb".into(),
            application: "gunicorn".into(),
            backend_pid: 4242,
        }),
        started_at: Moment(started_at * MS),
        ended_at: Moment((started_at + duration) * MS),
        evidence: Evidence::Transaction,
        completeness: Completeness::Complete,
        state: UnitState::Ended,
        findings: route.map(|_| FORWARD).into_iter().collect(),
        route: route.map(Arc::from),
        controller: route.map(|_| Arc::from("order_list")),
        test: route.map(|_| Arc::from("shop/tests.py::test_orders")),
        test_id: route.map(|_| Arc::from("5bd2a4e1c07f3390")),
        queries: 4,
        rows: 12,
        shapes: 2,
        duplicates: 1,
        phases: Phases {
            database_ns: duration * MS / 2,
            transfer_ns: 2 * MS,
            client_ns: 0,
            application_ns: MS,
        },
        timeline: [
            entry(started_at, PARENT, None),
            entry(started_at + 2, CHILD, Some(0)),
            TimelineEntry {
                sqlstate: Some(SqlState(*b"57014")),
                shape: None,
                ..entry(started_at + 4, CHILD, Some(0))
            },
            entry(started_at + 6, Fingerprint(3), Some(2)),
        ]
        .into_iter()
        .collect(),
    }
}

/// Three findings (open, fixed, muted), two units that ended and an open one.
pub(crate) fn snapshot() -> Snapshot {
    let mut writes = finding(WRITES, Kind::WriteLoop, 30);
    writes.finding.status = Status::Fixed;
    writes.finding.occurrences = 9;
    let mut repeated = finding(REPEATED, Kind::Duplicate, 2);
    repeated.finding.status = Status::Muted;
    repeated.finding.confidence = Confidence::Likely;
    repeated.finding.queries = 500;
    let found = |found| Arc::new(found);
    let incomplete = UnitRecord {
        completeness: Completeness::Incomplete,
        ..unit(8, 200, 4, None)
    };
    Snapshot {
        findings: vec![found(forward()), found(writes), found(repeated)],
        units: [
            Arc::new(unit(7, 100, 60, Some("orders/"))),
            Arc::new(incomplete),
        ]
        .into_iter()
        .collect(),
        units_open: 1,
        open: vec![Arc::new(UnitRecord {
            state: UnitState::Open,
            ..unit(9, 300, 30, Some("orders/<int:pk>/"))
        })],
        statements: 12,
        units_cut: 0,
        routes: vec![RouteFigures {
            route: "orders/".into(),
            queries_buckets: {
                let mut buckets = [0; UNIT_QUERIES_BOUNDS.len() + 1];
                buckets[2] = 3;
                buckets[UNIT_QUERIES_BOUNDS.len()] = 1;
                buckets
            },
            queries_sum: 2_012,
            duration_buckets: {
                let mut buckets = pgprism::aggregate::Buckets::default();
                buckets[5] = 4;
                buckets
            },
            duration_sum_ns: 80 * MS,
        }],
        totals: vec![
            FindingTotals {
                kind: Kind::NPlusOneForward,
                id: Some(FORWARD),
                queries: 80,
                cost_ns: 842 * MS,
            },
            FindingTotals {
                kind: Kind::WriteLoop,
                id: Some(WRITES),
                queries: 12,
                cost_ns: 30 * MS,
            },
            FindingTotals {
                kind: Kind::WriteLoop,
                id: None,
                queries: 5,
                cost_ns: 7 * MS,
            },
        ],
        ignore_rules: vec![
            IgnoreRuleUse {
                rule: "kind = \"write_loop\", table = \"audit_log\"".into(),
                matched: 3,
            },
            IgnoreRuleUse {
                rule: "route = \"reports/\"".into(),
                matched: 0,
            },
        ],
    }
}
