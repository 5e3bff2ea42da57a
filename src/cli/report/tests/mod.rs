//! Tests of the report: what is printed, to the column.

mod figures;
mod lines;
mod markdown;
mod text;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SORTS;
use super::seen::{Ran, Raw, Report};
use crate::cli::client::{
    Advice, Column, Confidence, Finding, Link, Listener, Pattern, Phases, Proof, Query, Severity,
    Statement, Summary, Unit, UnitDetail,
};

pub(super) fn summary() -> Summary {
    Summary {
        version: "0.1.0".to_owned(),
        started_at: "2026-11-22T09:15:00.000Z".to_owned(),
        listeners: vec![Listener {
            upstream: "127.0.0.1:5432".to_owned(),
            upstream_up: Some(true),
            name: "default".to_owned(),
            listen: "127.0.0.1:6433".to_owned(),
        }],
        queries: 9812,
        errors: 2,
        phases: Phases {
            database_ms: 21_400.0,
            transfer_ms: 1_900.0,
            client_ms: 100.0,
            application_ms: 33_600.0,
        },
        connections: 8,
        ignore_rules: vec![],
        dropped: 0,
        degraded: vec![],
        units: Some(214),
        added_latency_ms: 0.0,
    }
}

pub(super) fn query(fingerprint: &str, summary: &str, calls: u64, total_ms: f64) -> Query {
    let mean_ms = total_ms / calls as f64;
    Query {
        fingerprint: fingerprint.to_owned(),
        query: format!("{summary}\n WHERE id = $1"),
        summary: summary.to_owned(),
        calls,
        errors: 0,
        rows: calls,
        total_ms,
        mean_ms,
        min_ms: mean_ms * 0.3,
        max_ms: mean_ms * 9.0,
        p50_ms: mean_ms * 0.8,
        p95_ms: mean_ms * 2.2,
        p99_ms: mean_ms * 4.0,
        routes: vec!["books/".to_owned()],
    }
}

fn queries() -> Vec<Query> {
    vec![
        query("9f02c1d4a87b3e51", "SELECT shop_book", 61, 6_800.0),
        Query {
            errors: 2,
            ..query(
                "51c0be77d2093fa8",
                "SELECT shop_author shop_publisher",
                2_440,
                2_900.0,
            )
        },
        query(
            "0000000000000001",
            "UPDATE shop_basket",
            1_234_567,
            90_000_000.0,
        ),
    ]
}

pub(super) fn finding(id: &str, kind: &str, cost_ms: f64) -> Finding {
    Finding {
        id: id.to_owned(),
        kind: kind.to_owned(),
        status: "open".to_owned(),
        confidence: Confidence::Suspected,
        evidence: "pause".to_owned(),
        severity: Severity::Low,
        fingerprint: "00000000000000aa".to_owned(),
        query: "INSERT INTO shop_audit (note)\nVALUES ($1)".to_owned(),
        parent_fingerprint: None,
        parent_query: None,
        parent_table: None,
        parent_column: None,
        child_table: None,
        child_column: None,
        chain: vec![],
        occurrences: 9,
        units: 9,
        queries: 1080,
        cost_ms,
        first_seen: "2026-11-22T09:15:01.000Z".to_owned(),
        last_seen: "2026-11-22T09:18:01.000Z".to_owned(),
        tags: std::collections::BTreeMap::new(),
        advice: Advice {
            title: "Rows of audit_entry are inserted one at a time".to_owned(),
            django: "AuditEntry.objects.bulk_create(entries)  # build them first".to_owned(),
            why: "Each of 9 units wrote 120 rows.".to_owned(),
            saves_ms: cost_ms * 0.9,
        },
        proof: None,
        queries_before: 123,
        queries_after: 4,
        example_unit: None,
    }
}

/// `book.author` in a loop over books, and a write loop.
pub(super) fn findings() -> Vec<Finding> {
    let name = |name: &str| Some(name.to_owned());
    let forward = Finding {
        confidence: Confidence::Proved,
        evidence: "trace".to_owned(),
        severity: Severity::High,
        fingerprint: "51c0be77d2093fa8".to_owned(),
        query: "SELECT name FROM shop_author WHERE id = $1".to_owned(),
        parent_fingerprint: name("9f02c1d4a87b3e51"),
        parent_query: name("SELECT id, author_id FROM shop_book WHERE title LIKE $1"),
        parent_table: name("shop_book"),
        parent_column: name("author_id"),
        child_table: name("shop_author"),
        child_column: name("id"),
        occurrences: 61,
        units: 61,
        queries: 2_440,
        tags: [("route".to_owned(), vec!["books/".to_owned()])].into(),
        advice: Advice {
            title: "Each book fetches its author separately".to_owned(),
            django: "Book.objects.select_related(\"author\")".to_owned(),
            why: "The foreign key is read in a loop.".to_owned(),
            saves_ms: 4_514.0,
        },
        proof: Some(Proof {
            rows: 43,
            nulls: 3,
            distinct: 40,
            matched: 40,
            in_order: 40,
            pattern: Pattern::Words(
                "shop_book.author_id -> shop_author.id, 40 of 40 rows in order".to_owned(),
            ),
        }),
        queries_before: 44,
        queries_after: 4,
        example_unit: name("7"),
        ..finding("3c91a07000000001", "n_plus_one_forward", 4_600.0)
    };
    vec![forward, finding("e07b5c9000000002", "write_loop", 900.0)]
}

/// A loop inside a loop, with a long line to write.
pub(super) fn nested() -> Finding {
    let name = |name: &str| Some(name.to_owned());
    let routes = ["orders/", "orders/<int:pk>/", "shops/", "api/orders/"];
    let [forward, _] = <[Finding; 2]>::try_from(findings()).unwrap();
    Finding {
        chain: vec![Link {
            parent_table: name("shop_shop"),
            parent_column: name("id"),
            child_table: name("shop_order"),
            child_column: name("shop_id"),
        }],
        tags: [("route".to_owned(), routes.map(str::to_owned).to_vec())].into(),
        advice: Advice {
            django: "Shop.objects.prefetch_related(Prefetch(\"order_set\", queryset=Order.objects.select_related(\"customer\")))".to_owned(),
            ..forward.advice.clone()
        },
        ..forward
    }
}

fn unit(id: &str, route: Option<&str>, duration_ms: f64, queries: u64) -> Unit {
    Unit {
        id: id.to_owned(),
        started_at: "2026-11-22T09:17:00.000Z".to_owned(),
        duration_ms,
        evidence: "trace".to_owned(),
        incomplete: false,
        route: route.map(str::to_owned),
        queries,
        shapes: 5,
        duplicates: 2,
        phases: Phases {
            database_ms: duration_ms * 0.15,
            transfer_ms: duration_ms * 0.01,
            client_ms: 0.0,
            application_ms: duration_ms * 0.84,
        },
        findings: vec![],
    }
}

fn statement(at_ms: f64, fingerprint: &str, query: &str, parent: Option<usize>) -> Statement {
    Statement {
        at_ms,
        fingerprint: fingerprint.to_owned(),
        query: query.to_owned(),
        phases: Phases {
            database_ms: 1.0,
            transfer_ms: 0.2,
            client_ms: 0.0,
            application_ms: 0.3,
        },
        rows: 1,
        sqlstate: None,
        parent_index: parent,
    }
}

/// A list of books, one query for each author, then a template and a write that fails.
pub(super) fn example() -> UnitDetail {
    let mut timeline = vec![statement(
        0.0,
        "9f02c1d4a87b3e51",
        "SELECT id, author_id FROM shop_book",
        None,
    )];
    for child in 0..40_u32 {
        // The first two are not yet known to be a loop.
        let parent = (child >= 2).then_some(0);
        timeline.push(statement(
            10.0 + f64::from(child) * 2.0,
            "51c0be77d2093fa8",
            "SELECT name FROM shop_author WHERE id = $1",
            parent,
        ));
    }
    timeline.push(Statement {
        sqlstate: Some("57014".to_owned()),
        ..statement(
            400.0,
            "00000000000000bb",
            "UPDATE auth_user SET x = $1",
            None,
        )
    });
    UnitDetail {
        unit: unit("7", Some("books/"), 412.0, 42),
        timeline,
    }
}

pub(super) fn column(at: &str, buckets: &[(usize, u64)]) -> Column {
    let mut counts = vec![0; 18];
    for (row, count) in buckets {
        counts[*row] = *count;
    }
    Column {
        at: at.to_owned(),
        calls: counts.iter().sum(),
        errors: 0,
        buckets: counts,
    }
}

pub(super) fn report() -> Report {
    Report {
        admin: "http://127.0.0.1:9433".to_owned(),
        ran: None,
        summary: summary(),
        findings: findings(),
        sort: SORTS[0],
        queries: queries(),
        more_queries: false,
        units: vec![
            unit("7", Some("books/"), 412.0, 44),
            unit("8", Some("SELECT shop_basket"), 301.0, 12),
            unit("9", None, 30.0, 1),
            unit("10", Some("authors/"), 20.0, 2),
        ],
        more_units: false,
        shortest_ms: Some(0.21),
        examples: vec![example()],
        history: vec![
            column("2026-11-22T09:15:00.000Z", &[]),
            column("2026-11-22T09:15:05.000Z", &[(2, 40), (4, 1)]),
            column("2026-11-22T09:15:10.000Z", &[(2, 400), (9, 20), (17, 1)]),
        ],
        now: now(),
        raw: Raw::default(),
    }
}

/// 2026-11-22 09:18:12 UTC.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_339_092)
}

pub(super) fn ran() -> Ran {
    Ran {
        command: "python manage.py runserver".to_owned(),
        wall: Duration::from_millis(192_400),
        exit: 0,
    }
}

#[track_caller]
fn check(rendered: &str, expected: &str) {
    assert_eq!(rendered, expected, "rendered:\n{rendered}");
}
