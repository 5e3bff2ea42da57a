//! Ledgers, and what is said of them.

use super::*;
use crate::cli::check::baseline::{FindingEntry, ShapeEntry as KnownShape};
use crate::config::Config;

fn limits() -> Limits {
    Config::default().check
}

fn entry(test: Option<&str>, route: Option<&str>, of: Work, queries: u64) -> Entry {
    Entry {
        test: test.map(Arc::from),
        test_id: test.map(|test| format!("id of {test}").into()),
        route: route.map(Arc::from),
        first: None,
        of,
        queries,
        rows: queries,
        queries_ns: queries * 1_000_000,
        completeness: Completeness::Complete,
        findings: Vec::new(),
    }
}

fn verdict(id: u64, kind: Kind, confidence: Confidence) -> Verdict {
    Verdict {
        finding: FindingId(id),
        kind,
        confidence,
        child: Fingerprint(id + 100),
        parent: Some(Fingerprint(id + 200)),
    }
}

fn pages(units: Vec<Entry>) -> Pages {
    Pages {
        units,
        ..Pages::default()
    }
}

fn with(mut unit: Entry, findings: &[Verdict]) -> Entry {
    unit.findings = findings.to_vec();
    unit
}

fn page(test: &str, findings: &[Verdict]) -> Entry {
    with(
        entry(Some(test), Some("orders/"), Work::Request, 5),
        findings,
    )
}

fn new_ids(judgement: &Judgement) -> Vec<u64> {
    judgement.new_findings().map(|(id, _)| id.0).collect()
}

#[test]
fn where_tests_have_ids_nothing_else_is_judged() {
    let loops = [verdict(1, Kind::NPlusOneForward, Confidence::Proved)];
    let setup = with(
        entry(None, None, Work::Unknown, 900),
        &[verdict(2, Kind::NPlusOneForward, Confidence::Proved)],
    );
    let judgement = judge(
        &pages(vec![setup.clone(), page("a", &loops), page("b", &loops)]),
        None,
        &limits(),
    );
    assert_eq!(
        (judgement.scope, new_ids(&judgement)),
        (Scope::Tests, vec![1])
    );
    let sighting = &judgement.findings[&FindingId(1)];
    assert_eq!(sighting.tests.iter().len(), 2);
    assert_eq!(sighting.seen().map(|name| &**name), Some("orders/"));
    assert_eq!(
        (
            judgement.counts.tests,
            judgement.counts.requests,
            judgement.counts.queries
        ),
        (2, 2, 10)
    );
    let judgement = judge(&pages(vec![setup]), None, &limits());
    assert_eq!(
        (judgement.scope, new_ids(&judgement)),
        (Scope::All, vec![2])
    );
}

#[test]
fn what_a_test_writes_and_repeats_is_nobodys_page() {
    let kinds = [
        (Kind::NPlusOneReverse, true, true),
        (Kind::WriteLoop, true, false),
        (Kind::Duplicate, true, false),
        (Kind::ChattyUnit, false, false),
    ];
    for (kind, in_request, in_test) in kinds {
        let found = [verdict(1, kind, Confidence::Likely)];
        let request = judge(&pages(vec![page("a", &found)]), None, &limits());
        assert_eq!(!request.findings.is_empty(), in_request, "{kind:?}");
        let own = with(entry(Some("a"), None, Work::Test, 5), &found);
        let test = judge(&pages(vec![own]), None, &limits());
        assert_eq!(!test.findings.is_empty(), in_test, "{kind:?}");
    }
}

#[test]
fn how_sure_it_has_to_be_is_a_limit() {
    let found = |confidence| {
        pages(vec![page(
            "a",
            &[verdict(1, Kind::NPlusOneForward, confidence)],
        )])
    };
    for (least, confidence, counts) in [
        (Confidence::Likely, Confidence::Suspected, false),
        (Confidence::Likely, Confidence::Likely, true),
        (Confidence::Proved, Confidence::Likely, false),
        (Confidence::Suspected, Confidence::Suspected, true),
    ] {
        let limits = Limits {
            confidence: least,
            ..limits()
        };
        assert_eq!(!judge(&found(confidence), None, &limits).is_clean(), counts);
    }
}

fn known(id: u64, child: u64, parent: u64) -> (String, FindingEntry) {
    let entry = FindingEntry {
        finding: FindingId(id).to_string(),
        kind: "n_plus_one_forward".to_owned(),
        child: Fingerprint(child).to_string(),
        parent: Fingerprint(parent).to_string(),
        ..FindingEntry::default()
    };
    (entry.finding.clone(), entry)
}

#[test]
fn a_loop_is_known_by_its_id_and_by_its_shapes() {
    let baseline = Baseline {
        findings: [known(1, 101, 201), known(7, 102, 202), known(9, 109, 209)].into(),
        ..Baseline::default()
    };
    let seen = [1, 2, 3].map(|id| verdict(id, Kind::NPlusOneForward, Confidence::Likely));
    let judgement = judge(&pages(vec![page("a", &seen)]), Some(&baseline), &limits());
    let news = |id| judgement.findings[&FindingId(id)].news;
    assert_eq!(news(1), News::Known);
    assert_eq!(news(2), News::SameLoop(FindingId(7)));
    assert_eq!(news(3), News::New);
    assert_eq!(
        judgement.gone,
        [FindingId(9)],
        "7 was seen under another name"
    );

    let mut twice = [5, 6].map(|id| verdict(id, Kind::NPlusOneForward, Confidence::Likely));
    twice[1] = Verdict {
        finding: FindingId(6),
        kind: Kind::NPlusOneReverse,
        confidence: Confidence::Proved,
        ..twice[0]
    };
    let judgement = judge(&pages(vec![page("a", &twice)]), Some(&baseline), &limits());
    assert_eq!(new_ids(&judgement), [6], "the surest of two names");
}

#[test]
fn the_order_of_units_changes_nothing() {
    let found = [verdict(1, Kind::NPlusOneForward, Confidence::Proved)];
    let mut units = vec![
        page("b", &found),
        page("a", &found),
        entry(Some("c"), None, Work::Test, 40),
        entry(Some("c"), None, Work::Test, 30),
        entry(Some("a"), Some("books/"), Work::Request, 80),
        entry(Some("b"), Some("books/"), Work::Request, 80),
    ];
    let limits = Limits {
        max_queries: 50,
        ..limits()
    };
    let first = judge(&pages(units.clone()), None, &limits);
    units.reverse();
    let second = judge(&pages(units), None, &limits);
    assert_eq!(
        format!("{:?}", first.budgets),
        format!("{:?}", second.budgets)
    );
    assert_eq!(
        first.findings[&FindingId(1)].tests,
        second.findings[&FindingId(1)].tests
    );
}

#[test]
fn budgets_are_told_once_for_each_route_and_test() {
    let limits = Limits {
        max_queries: 50,
        max_time: Some(Duration::from_millis(75)),
        ..limits()
    };
    let judgement = judge(
        &pages(vec![
            entry(Some("a"), None, Work::Test, 40),
            entry(Some("a"), None, Work::Test, 30),
            entry(Some("a"), Some("books/"), Work::Request, 60),
            entry(Some("b"), Some("books/"), Work::Request, 80),
            entry(Some("b"), None, Work::Test, 50),
        ]),
        None,
        &limits,
    );
    let told: Vec<_> = judgement
        .budgets
        .iter()
        .map(|breach| {
            let name = breach.what.route.as_deref().or(breach.what.test.as_deref());
            (name, breach.limit, breach.at.test.as_deref(), breach.units)
        })
        .collect();
    let queries = |found| Limit::Queries { found, most: 50 };
    let time = Limit::Time {
        found: Duration::from_millis(80),
        most: Duration::from_millis(75),
    };
    assert_eq!(
        told,
        [
            (Some("a"), queries(70), Some("a"), 1),
            (Some("books/"), queries(80), Some("b"), 2),
            (Some("books/"), time, Some("b"), 1),
        ]
    );
}

#[test]
fn shapes_are_held_to_what_is_allowed_and_known() {
    let figures = |calls_max, rows_max, mean_ms: u64| ShapeEntry {
        shape: None,
        calls: 2,
        calls_max,
        rows_max,
        total_ns: 2 * mean_ms * 1_000_000,
        unit_index: 0,
    };
    let shapes = [
        (1, figures(1, 500, 1)),
        (2, figures(90, 1, 1)),
        (3, figures(1, 1, 200)),
        (4, figures(1, 300, 1)),
        (5, figures(9, 1, 1)),
    ];
    let pages = Pages {
        units: vec![entry(Some("a"), None, Work::Test, 1)],
        of_tests: shapes
            .into_iter()
            .map(|(id, entry)| (Fingerprint(id), entry))
            .collect(),
        ..Pages::default()
    };
    let known = [(4, 1, 50), (5, 1, 1)].map(|(id, calls, rows)| {
        let shape = Fingerprint(id).to_string();
        let entry = KnownShape {
            shape: shape.clone(),
            calls,
            rows,
            ..KnownShape::default()
        };
        (shape, entry)
    });
    let baseline = Baseline {
        shapes: known.into(),
        ..Baseline::default()
    };
    let clean = judge(&pages, Some(&baseline), &limits());
    assert!(clean.is_clean());
    assert_eq!(clean.new_shapes, 3);
    let limits = Limits {
        new_shape_max_rows: 100,
        new_shape_max_calls: 50,
        new_shape_max_mean: Some(Duration::from_millis(50)),
        growth_factor: 5,
        ..limits()
    };
    let broken = judge(&pages, Some(&baseline), &limits).shapes;
    let broken: Vec<_> = broken
        .iter()
        .map(|breach| (breach.what.0, breach.limit))
        .collect();
    assert_eq!(
        broken,
        [
            (
                1,
                Limit::NewRows {
                    found: 500,
                    most: 100
                }
            ),
            (
                2,
                Limit::NewCalls {
                    found: 90,
                    most: 50
                }
            ),
            (
                3,
                Limit::NewMean {
                    found: Duration::from_millis(200),
                    most: Duration::from_millis(50)
                }
            ),
            (
                4,
                Limit::GrownRows {
                    found: 300,
                    known: 50
                }
            ),
        ],
        "nine calls are few, whatever it was before"
    );
}
