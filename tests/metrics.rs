//! The page `/metrics`: its form, and that `docs/metrics.md` says what it holds.

mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pgprism::aggregate::{Settings, Store, Whose};
use pgprism::analysis::Feed;
use pgprism::clock::Clock;
use pgprism::event::{
    Direction, Exchange, Moment, Phases, Protocol, SessionEvent, SessionFacts, SessionId,
    Statement, TransactionOutcome,
};
use pgprism::export::metrics::{FAMILIES, Kind, Metrics};
use pgprism::registry::Registry;
use pgprism::sql::{Fingerprint, Verb};
use pgprism::wire::{SqlState, TransactionStatus};

/// One line that is no comment.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A page, as a strict reader understands it.
struct Page {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Page {
    /// Reads a page and checks what holds for any: help and type stand before the samples of a family, names and
    /// labels are well formed, and no two samples have the same labels.
    #[track_caller]
    fn read(text: &str) -> Page {
        let mut page = Page {
            types: BTreeMap::new(),
            samples: Vec::new(),
        };
        let mut helps = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(!words.is_empty() && helps.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helps.contains(name), "help comes first: {line}");
                assert_eq!(
                    page.types.insert(name.to_owned(), kind.to_owned()),
                    None,
                    "{line}"
                );
                family = name.to_owned();
            } else {
                let sample = sample(line);
                let part = sample
                    .name
                    .strip_prefix(&family)
                    .unwrap_or_else(|| panic!("{line} in {family}"));
                let parts: &[&str] = if page.types[&family] == "histogram" {
                    &["_bucket", "_sum", "_count"]
                } else {
                    &[""]
                };
                assert!(parts.contains(&part), "{line}");
                assert!(
                    seen.insert(format!("{} {:?}", sample.name, sample.labels)),
                    "twice: {line}"
                );
                page.samples.push(sample);
            }
        }
        page
    }

    fn sum(&self, name: &str) -> f64 {
        self.samples
            .iter()
            .filter(|sample| sample.name == name)
            .map(|sample| sample.value)
            .sum()
    }

    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(name, value)| sample.labels.get(*name).is_some_and(|own| own == value))
        };
        let found: Vec<_> = self.samples.iter().filter(has).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].value
    }
}

/// Reads `name{label="value",…} value`, the escapes of values included.
#[track_caller]
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(
        name.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
        "{line}"
    );
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while let Some((label, after)) = rest.split_once("=\"") {
            let mut value = String::new();
            let mut characters = after.char_indices();
            rest = loop {
                match characters.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break &after[at + 1..],
                    (_, '\\') => value.push(match characters.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, escaped @ ('\\' | '"'))) => escaped,
                        other => panic!("{other:?} in {line}"),
                    }),
                    (_, character) => value.push(character),
                }
            };
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            rest = rest.strip_prefix(',').unwrap_or(rest);
            if rest.starts_with('}') {
                break;
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    Sample {
        name: name.to_owned(),
        labels,
        value: rest.trim().parse().unwrap_or_else(|_| panic!("{line}")),
    }
}

/// A store and a registry in which everything happened at least once.
struct Fixture {
    store: Arc<Store>,
    feed: Arc<Feed>,
    metrics: Metrics,
}

const HOSTILE: &str = "quote\" back\\slash new\nline <b>{}é";

impl Fixture {
    fn new() -> Fixture {
        let store = Store::new(&Settings {
            admitted_max: 3,
            ..Settings::default()
        });
        let registry = Arc::new(Registry::new());
        let listener = registry.add_listener("default".into(), "127.0.0.1:6433".into(), 1);
        listener.set_upstream_result(Ok(()), Moment(0));
        listener.connect_duration.record(3_000_000);
        listener
            .shard(0)
            .add_relayed_bytes(Direction::UpstreamToClient, 77);
        let health = store.health();
        health.decode_error(Direction::ClientToUpstream, "bad_length");
        health.event_dropped("ring_full");
        health.session_unobserved("panic");
        health.slow_log_dropped("rate_limit");
        health.catalog_failed("connect");
        health.admin_refused("foreign_host");
        let worker = store.worker(());
        for (id, database) in [(1, "shop"), (2, HOSTILE)] {
            let facts = Arc::new(SessionFacts {
                id: SessionId(id),
                listener: "default".into(),
                client: "127.0.0.1".into(),
                user: "shop".into(),
                database: database.into(),
                application: "web".into(),
                backend_pid: 4711,
            });
            for n in 0..6 {
                let fingerprint = Fingerprint(n);
                let shape = worker
                    .begin()
                    .counter()
                    .shape(fingerprint, Verb::Select, || {
                        format!("{HOSTILE} {n} {}", "x".repeat(400))
                    });
                let exchange = Exchange {
                    session: facts.id,
                    sequence: n,
                    statement: Statement {
                        fingerprint,
                        verb: Verb::Select,
                        shape,
                        truncated: false,
                    },
                    protocol: if n % 2 == 0 {
                        Protocol::Simple
                    } else {
                        Protocol::Cursor
                    },
                    requested_at: Moment(0),
                    completed_at: Moment(0),
                    phases: Phases {
                        database_ns: (n + 1) * 60_000_000,
                        transfer_ns: 1_000_000,
                        client_ns: 2_000_000,
                        application_ns: 4_000_000,
                    },
                    round_trips: 1,
                    rows: 10,
                    request_bytes: 1,
                    response_bytes: 2,
                    sqlstate: (n == 5).then_some(SqlState(*b"57014")),
                    transaction_before: TransactionStatus::Idle,
                    transaction_after: TransactionStatus::Idle,
                    pipeline_index: 0,
                    tags: None,
                    literal_text: None,
                    statement_name: None,
                    cursor: None,
                    flow: None,
                };
                worker.begin().counter().record(
                    &mut Whose::default(),
                    &exchange.event(&facts),
                    exchange.beside(),
                );
            }
            worker.begin().counter().session_event(
                &mut Whose::default(),
                &facts,
                SessionEvent::TransactionEnded(TransactionOutcome::RolledBack),
            );
            worker.begin().counter().session_event(
                &mut Whose::default(),
                &facts,
                SessionEvent::IdledInTransaction(1_500_000_000),
            );
        }
        store.collect(Moment(0));
        let feed = Arc::new(Feed::default());
        feed.publish_snapshot(snapshots::snapshot());
        let metrics = Metrics::new(
            Arc::clone(&store),
            registry,
            Arc::clone(&feed),
            Clock::start(),
        )
        .unwrap();
        Fixture {
            store,
            feed,
            metrics,
        }
    }

    fn page(&self) -> Page {
        Page::read(&self.metrics.page().unwrap())
    }
}

#[test]
fn every_family_is_there_with_its_type_and_its_labels() {
    let page = Fixture::new().page();
    let expected: BTreeMap<String, String> = FAMILIES
        .iter()
        .map(|family| (family.name.to_owned(), family.kind.as_str().to_owned()))
        .collect();
    assert_eq!(page.types, expected);
    for sample in &page.samples {
        let plain = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| sample.name.strip_suffix(part));
        let family = FAMILIES
            .iter()
            .find(|family| [Some(sample.name.as_str()), plain].contains(&Some(family.name)))
            .unwrap();
        let labels: BTreeSet<&str> = sample
            .labels
            .keys()
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect();
        assert_eq!(
            labels,
            family.labels.iter().copied().collect(),
            "{}",
            sample.name
        );
    }
}

#[test]
fn the_values_are_those_of_the_store() {
    let fixture = Fixture::new();
    let page = fixture.page();
    assert_eq!(page.sum("pgprism_query_duration_seconds_count"), 12.0);
    assert_eq!(page.sum("pgprism_queries_total"), 12.0);
    assert_eq!(page.sum("pgprism_query_rows_total"), 120.0);
    assert_eq!(page.sum("pgprism_query_bytes_total"), 36.0);
    assert_eq!(
        page.sum("pgprism_slow_queries_total"),
        10.0,
        "all but the first shape take 100 ms or more"
    );
    let seconds = page.sum("pgprism_query_duration_seconds_sum");
    assert!(
        (seconds - 2.0 * (21.0 * 0.06 + 6.0 * 0.003)).abs() < 1e-9,
        "{seconds}"
    );
    let phases = page.sum("pgprism_query_phase_seconds_total");
    assert!(
        (phases - seconds - 12.0 * 0.004).abs() < 1e-9,
        "three phases are the duration: {phases}"
    );
    assert_eq!(
        page.value(
            "pgprism_queries_total",
            &[("db_namespace", "shop"), ("protocol", "cursor")]
        ),
        3.0
    );
    let failed = [
        ("db_namespace", "shop"),
        ("db_response_status_code", "57014"),
    ];
    assert_eq!(page.value("pgprism_query_errors_total", &failed), 1.0);
    assert_eq!(
        page.value("pgprism_transactions_total", &[("outcome", "rolled_back")]),
        2.0
    );
    assert_eq!(
        page.value(
            "pgprism_idle_in_transaction_seconds_total",
            &[("listener", "default")]
        ),
        3.0
    );
    assert_eq!(
        page.value("pgprism_connect_duration_seconds_sum", &[]),
        0.003
    );
    assert_eq!(
        page.value(
            "pgprism_relayed_bytes_total",
            &[("direction", "upstream_to_client")]
        ),
        77.0
    );
    assert_eq!(
        page.value(
            "pgprism_decode_errors_total",
            &[("direction", "client_to_upstream")]
        ),
        1.0
    );
    assert_eq!(
        page.value("pgprism_unobserved_sessions_total", &[("reason", "panic")]),
        1.0
    );
    assert_eq!(page.value("pgprism_fingerprints", &[]), 6.0);
    assert_eq!(page.value("pgprism_series_admitted_total", &[]), 3.0);
    assert_eq!(
        page.value(
            "pgprism_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))]
        ),
        1.0
    );

    fixture.store.reset();
    assert_eq!(fixture.page().sum("pgprism_queries_total"), 12.0);
}

#[test]
fn findings_and_units_are_those_of_the_analysis() {
    let fixture = Fixture::new();
    let page = fixture.page();
    let forward = snapshots::FORWARD.to_string();
    let labels = [
        ("kind", "n_plus_one_forward"),
        ("finding", forward.as_str()),
    ];
    assert_eq!(
        page.value(
            "pgprism_findings",
            &[
                labels[0],
                labels[1],
                ("fingerprint", "0000000000000002"),
                ("parent_fingerprint", "0000000000000001")
            ]
        ),
        1.0
    );
    assert_eq!(page.sum("pgprism_findings"), 1.0, "fixed and muted are not");
    assert_eq!(page.value("pgprism_finding_queries_total", &labels), 80.0);
    assert_eq!(
        page.value("pgprism_finding_cost_seconds_total", &labels),
        0.842
    );
    let other = [("kind", "write_loop"), ("finding", "other")];
    assert_eq!(page.value("pgprism_finding_queries_total", &other), 5.0);
    assert_eq!(page.sum("pgprism_finding_queries_total"), 97.0);
    for (rule, matched) in [
        ("kind = \"write_loop\", table = \"audit_log\"", 3.0),
        ("route = \"reports/\"", 0.0),
    ] {
        assert_eq!(
            page.value("pgprism_ignored_findings_total", &[("rule", rule)]),
            matched
        );
    }
    let route = ("route", "orders/");
    assert_eq!(page.value("pgprism_unit_queries_count", &[route]), 4.0);
    assert_eq!(page.value("pgprism_unit_queries_sum", &[route]), 2012.0);
    assert_eq!(
        page.value("pgprism_unit_queries_bucket", &[route, ("le", "5")]),
        3.0
    );
    assert_eq!(
        page.value("pgprism_unit_queries_bucket", &[route, ("le", "1000")]),
        3.0
    );
    assert_eq!(
        page.value("pgprism_unit_duration_seconds_sum", &[route]),
        0.08
    );

    let mut later = snapshots::snapshot();
    later.findings.clear();
    // Forgotten: what it counted goes to the nameless ones of its kind.
    later.totals[0].id = None;
    fixture.feed.publish_snapshot(later);
    let page = fixture.page();
    assert_eq!(page.sum("pgprism_findings"), 0.0);
    assert_eq!(page.sum("pgprism_finding_queries_total"), 97.0);
    let left = [labels[0], ("finding", "other"), ("left", "1")];
    assert_eq!(page.value("pgprism_finding_queries_total", &left), 80.0);
}

#[test]
fn buckets_are_cumulative_and_end_in_the_count() {
    let page = Fixture::new().page();
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in page
        .samples
        .iter()
        .filter(|sample| sample.name.ends_with("_bucket"))
    {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le").unwrap().parse::<f64>().unwrap();
        let name = sample.name.replace("_bucket", "_count");
        buckets
            .entry(format!("{name} {labels:?}"))
            .or_default()
            .push((bound, sample.value));
    }
    assert!(!buckets.is_empty());
    for (series, steps) in buckets {
        let bounds = match series.starts_with("pgprism_unit_queries_") {
            true => 10,
            false => 17,
        };
        assert_eq!(steps.len(), bounds + 1, "{series}");
        assert!(
            steps
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1),
            "{series}: {steps:?}"
        );
        let count = page
            .samples
            .iter()
            .find(|sample| format!("{} {:?}", sample.name, sample.labels) == series);
        assert_eq!(
            steps[bounds],
            (f64::INFINITY, count.unwrap().value),
            "{series}"
        );
    }
}

#[test]
fn hostile_text_is_escaped_and_cut() {
    let page = Fixture::new().page();
    let names: BTreeSet<&str> = page
        .samples
        .iter()
        .filter(|sample| sample.name == "pgprism_queries_total")
        .map(|sample| sample.labels["db_namespace"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from([HOSTILE, "shop"]));
    let texts: Vec<&String> = page
        .samples
        .iter()
        .filter(|sample| sample.name == "pgprism_query_info")
        .map(|s| &s.labels["query"])
        .collect();
    assert_eq!(texts.len(), 3);
    assert!(
        texts
            .iter()
            .all(|text| text.starts_with(HOSTILE) && text.chars().count() == 256)
    );
}

/// What `promtool check metrics` looks for, as far as names can break it.
#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("pgprism_"), "{name}");
        let is_total = name.ends_with("_total");
        assert_eq!(is_total, family.kind == Kind::Counter, "{name}");
        assert!(
            !["_count", "_sum", "_bucket"]
                .iter()
                .any(|part| name.ends_with(part)),
            "{name}"
        );
        assert!(
            !["_milliseconds", "_ms_", "_kilobytes", "_minutes"]
                .iter()
                .any(|unit| name.contains(unit)),
            "{name}"
        );
        assert!(
            family.help.ends_with('.') && !family.help.contains('\n'),
            "{name}"
        );
        assert!(!family.labels.contains(&"le"), "{name}");
    }
}

#[test]
fn the_documentation_lists_every_metric() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let documented: Vec<[String; 3]> = text
        .lines()
        .filter(|line| line.starts_with("| `pgprism_"))
        .map(|line| {
            let cells: Vec<String> = line
                .split('|')
                .map(|cell| cell.replace('`', "").trim().to_owned())
                .collect();
            [cells[1].clone(), cells[2].clone(), cells[3].clone()]
        })
        .collect();
    let known: Vec<[String; 3]> = FAMILIES
        .iter()
        .map(|family| {
            [
                family.name.to_owned(),
                family.kind.as_str().to_owned(),
                family.labels.join(", "),
            ]
        })
        .collect();
    for row in &known {
        assert!(
            documented.contains(row),
            "not documented, or otherwise: {row:?}"
        );
    }
    for row in &documented {
        assert!(known.contains(row), "documented, but not there: {row:?}");
    }
    let bounds =
        "0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30";
    assert!(text.contains(bounds), "the bounds of the buckets");
}
