//! Findings in the log.

use super::super::findings;
use super::*;
use crate::advise::Advice;
use crate::analysis::Snapshot;
use crate::detect::{Confidence, Finding, FindingId, Kind, Severity, Side};
use crate::unit::Evidence;

fn found(id: u64, queries: u64) -> Arc<FoundAndAdvised> {
    let side = |fingerprint, query: &str| Side {
        fingerprint: Fingerprint(fingerprint),
        query: query.into(),
        table: None,
        column: None,
    };
    Arc::new(FoundAndAdvised {
        finding: Finding {
            id: FindingId(id),
            kind: Kind::NPlusOneForward,
            status: Status::Open,
            confidence: Confidence::Proved,
            evidence: Evidence::Connection,
            severity: Severity::High,
            child: side(2, "SELECT name\nFROM shop_customer WHERE id = $1"),
            parent: Some(side(1, "SELECT customer_id FROM shop_order")),
            chain: Vec::new(),
            occurrences: 1,
            units: 1,
            queries,
            cost_ns: 842_104_999,
            saves_ns: 0,
            children_per_row: 1.0,
            first_seen: Moment(0),
            last_seen: Moment(0),
            tags: Vec::new(),
            proof: None,
            queries_before: 0,
            queries_after: 0,
            example_unit: None,
            detail: crate::detect::Detail::default(),
        },
        advice: Advice {
            title: "Fetch customers with their orders".to_owned(),
            django: "Order.objects.select_related(\"customer\")".to_owned(),
            why: "39 of 41 queries.\r\n2026-11-22 LOG:  fake".to_owned(),
            complete: true,
        },
    })
}

#[test]
fn a_finding_is_one_entry_with_parent_child_and_advice() {
    let facts = slow_query("").facts;
    let mut out = String::new();
    findings::stderr(&mut out, &found(0xf0, 39), &facts, wall());
    assert_eq!(
        out,
        "2026-11-22 09:15:00.123 UTC [4242]: [0-1] user=shop,db=shopdb,app=gunicorn,client=10.0.0.9 \
         LOG:  pgprism finding id=00000000000000f0 kind=n_plus_one_forward confidence=proved count=39 \
         cost=842.104 ms fix=\"Order.objects.select_related(\\\"customer\\\")\"\n\
         \tparent 0000000000000001: SELECT customer_id FROM shop_order\n\
         \tchild 0000000000000002: SELECT name\n\
         \tFROM shop_customer WHERE id = $1\n\
         \tadvice: Fetch customers with their orders\n\
         \tfix: Order.objects.select_related(\"customer\")\n\
         \twhy: 39 of 41 queries.\n\
         \t2026-11-22 LOG:  fake\n"
    );
    out.clear();
    findings::json(&mut out, &found(0xf0, 39), &facts, wall());
    assert_eq!(out.matches('\n').count(), 1);
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (line["line_num"].as_u64(), line["pid"].as_u64()),
        (Some(0), Some(4242))
    );
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("pgprism finding id=00000000000000f0 kind=n_plus_one_forward ")
    );
    assert_eq!(
        line["pgprism"],
        serde_json::json!({
            "finding": "00000000000000f0", "kind": "n_plus_one_forward", "confidence": "proved", "count": 39,
            "cost_ms": 842.104, "fix": "Order.objects.select_related(\"customer\")",
            "advice": "Fetch customers with their orders",
            "parent_fingerprint": "0000000000000001", "parent": "SELECT customer_id FROM shop_order",
            "fingerprint": "0000000000000002", "child": "SELECT name\nFROM shop_customer WHERE id = $1",
            "listener": "default",
        })
    );
}

/// The ids of the findings in a log, in order.
#[track_caller]
fn finding_ids(path: &Path) -> Vec<u64> {
    let log = fs::read_to_string(path).unwrap_or_default();
    log.lines()
        .filter_map(|line| line.split_once("LOG:  pgprism finding id=")?.1.get(..16))
        .map(|id| u64::from_str_radix(id, 16).unwrap())
        .collect()
}

#[test]
fn a_finding_is_written_once_when_it_is_first_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let mut bench = Bench::new(&path, 0);
    let feed = Arc::new(Feed::default());
    let publish = |findings: Vec<Arc<FoundAndAdvised>>| {
        feed.publish_snapshot(Snapshot {
            findings,
            ..Snapshot::default()
        });
    };
    publish(vec![found(1, 3)]);
    bench.log.watch(Arc::clone(&feed));
    bench.log.tick(Moment(0));
    assert!(finding_ids(&path).is_empty(), "it was known before");
    publish(vec![found(1, 3), found(2, 3)]);
    bench.write("SELECT 1", Moment(MS));
    publish(vec![found(1, 9), found(2, 9)]);
    bench.log.tick(Moment(2 * MS));
    let status = |id, status| {
        let mut found = found(id, 9);
        Arc::make_mut(&mut found).finding.status = status;
        found
    };
    publish(vec![
        status(1, Status::Fixed),
        found(2, 9),
        status(3, Status::Muted),
    ]);
    bench.log.tick(Moment(3 * MS));
    publish(vec![found(1, 10), found(2, 9), found(3, 9)]);
    bench.log.tick(Moment(4 * MS));
    assert_eq!(
        finding_ids(&path),
        [2],
        "what changed or was muted is not new"
    );
    assert_eq!(texts(&path), ["SELECT 1"]);
}

#[test]
fn many_findings_are_written_a_few_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.log");
    let mut bench = Bench::new(&path, 1);
    let feed = Arc::new(Feed::default());
    bench.log.watch(Arc::clone(&feed));
    feed.publish_snapshot(Snapshot {
        findings: (0..25).map(|id| found(id, 3)).collect(),
        ..Snapshot::default()
    });
    for tick in 0..10 {
        bench.log.tick(Moment(tick * 50 * MS));
    }
    assert_eq!(finding_ids(&path), (0..10).collect::<Vec<_>>());
    bench.write("SELECT 1", Moment(1000 * MS));
    bench.log.tick(Moment(2000 * MS));
    bench.log.tick(Moment(3000 * MS));
    assert_eq!(finding_ids(&path), (0..25).collect::<Vec<_>>());
    assert_eq!(
        texts(&path),
        ["SELECT 1"],
        "queries have a limit of their own"
    );
    assert!(bench.drops().is_empty());
}

#[test]
fn a_finding_that_cannot_be_written_is_counted() {
    let mut bench = Bench::new(Path::new("/dev/full"), 0);
    let feed = Arc::new(Feed::default());
    bench.log.watch(Arc::clone(&feed));
    feed.publish_snapshot(Snapshot {
        findings: vec![found(1, 3), found(2, 3)],
        ..Snapshot::default()
    });
    bench.log.tick(Moment(0));
    bench.log.tick(Moment(50 * MS));
    assert_eq!(bench.drops(), [WRITE_FAILED; 2]);
}
