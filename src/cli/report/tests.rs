//! Tests of the report: what is printed, to the column.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::api::{Advice, Finding, IgnoreRule, Link, Listener, Phases, Query, Summary};
use super::text::{Layout, Report};
use super::{SORTS, figures, markdown, text};

fn summary() -> Summary {
    Summary {
        version: "0.1.0".to_owned(),
        started_at: "2026-11-22T09:15:00.000Z".to_owned(),
        listeners: vec![Listener {
            name: "default".to_owned(),
            listen: "127.0.0.1:6433".to_owned(),
            upstream: "127.0.0.1:5432".to_owned(),
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
    }
}

fn query(fingerprint: &str, summary: &str, calls: u64, total_ms: f64) -> Query {
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
        max_ms: mean_ms * 9.0,
        p50_ms: mean_ms * 0.8,
        p95_ms: mean_ms * 2.2,
        p99_ms: mean_ms * 4.0,
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

fn now() -> SystemTime {
    // 2026-11-22 09:18:12 UTC
    UNIX_EPOCH + Duration::from_secs(1_795_339_092)
}

fn report<'a>(summary: &'a Summary, queries: &'a [Query]) -> Report<'a> {
    Report {
        admin: "http://127.0.0.1:9433",
        summary,
        findings: &[],
        limit: 10,
        sort: SORTS[0],
        queries,
        more: false,
        slowest: &queries[..queries.len().min(2)],
        now: now(),
    }
}

fn plain(columns: usize) -> Layout {
    Layout {
        columns,
        colours: false,
    }
}

#[track_caller]
fn check(rendered: &str, expected: &str) {
    assert_eq!(rendered, expected, "rendered:\n{rendered}");
}

#[test]
fn eighty_columns() {
    let rendered = text::render(&report(&summary(), &queries()), plain(80));
    check(
        &rendered,
        "\
pgprism 0.1.0 at http://127.0.0.1:9433                             up 3 min 12 s
9,812 queries, 2 errors, 8 connections; everything was observed

FINDINGS, most costly first                                            none open
  Nothing found so far. Use the slow pages of the application, or run its tests,
  with its database at pgprism's address, then run this again.

WHERE THE TIME WENT                                                57.0 s in all
  application   33.6 s   59 %  ########################
  database      21.4 s   38 %  ###############
  transfer       1.9 s    3 %  #
  client        100 ms   <1 %

TOP SHAPES by total time               calls    total     mean      p95   errors
  9f02c1d4a87b3e51 SELECT shop_book       61    6.8 s   111 ms   245 ms        0
  51c0be77d2093fa8 SELECT shop_aut…    2,440    2.9 s   1.2 ms   2.6 ms        2
  0000000000000001 UPDATE shop_bas…    1.2 M   25.0 h    73 ms   160 ms        0

SLOWEST SHAPES by p95                             p95      p99      max    calls
  9f02c1d4a87b3e51 SELECT shop_book            245 ms   446 ms    1.0 s       61
    SELECT shop_book WHERE id = $1
  51c0be77d2093fa8 SELECT shop_author shop_…   2.6 ms   4.8 ms    11 ms    2,440
    SELECT shop_author shop_publisher WHERE id = $1
",
    );
}

fn side(text: &str) -> (Option<String>, Option<String>) {
    let (table, column) = text.split_once('.').unwrap();
    (Some(table.to_owned()), Some(column.to_owned()))
}

fn finding(id: &str, kind: &str, cost_ms: f64) -> Finding {
    Finding {
        id: id.to_owned(),
        kind: kind.to_owned(),
        status: "open".to_owned(),
        confidence: "suspected".to_owned(),
        query: "INSERT INTO shop_audit (note)\nVALUES ($1)".to_owned(),
        parent_table: None,
        parent_column: None,
        child_table: None,
        child_column: None,
        chain: vec![],
        units: 1,
        queries: 12,
        cost_ms,
        tags: std::collections::BTreeMap::new(),
        advice: Advice {
            title: "Write all rows at once".to_owned(),
            django: "objects = [...]  # all of them\nAudit.objects.bulk_create(objects)".to_owned(),
            saves_ms: cost_ms / 2.0,
        },
        queries_before: 0,
        queries_after: 0,
        example_unit: None,
    }
}

fn findings() -> Vec<Finding> {
    let (parent_table, parent_column) = side("shop_order.customer_id");
    let (child_table, child_column) = side("shop_customer.id");
    let (outer_table, outer_column) = side("shop_shop.id");
    let (inner_table, inner_column) = side("shop_order.shop_id");
    let routes = ["orders/", "orders/<int:pk>/", "shops/", "api/orders/"];
    let forward = Finding {
        confidence: "proved".to_owned(),
        parent_table,
        parent_column,
        child_table,
        child_column,
        chain: vec![Link {
            parent_table: outer_table,
            parent_column: outer_column,
            child_table: inner_table,
            child_column: inner_column,
        }],
        units: 2,
        queries: 80,
        tags: [("route".to_owned(), routes.map(str::to_owned).to_vec())].into(),
        advice: Advice {
            title: "Fetch customers together with their orders".to_owned(),
            django: "Shop.objects.prefetch_related(Prefetch(\"order_set\", queryset=Order.objects.select_related(\"customer\")))".to_owned(),
            saves_ms: 790.4,
        },
        queries_before: 41,
        queries_after: 1,
        example_unit: Some("7".to_owned()),
        ..finding("51d0e6a7c94f2b83", "n_plus_one_forward", 842.1)
    };
    let fixed = Finding {
        status: "fixed".to_owned(),
        ..forward.clone()
    };
    vec![
        forward,
        finding("00000000000000f1", "write_loop", 30.0),
        Finding {
            kind: "n_plus_one_reverse".to_owned(),
            chain: vec![],
            ..fixed
        },
    ]
}

#[test]
fn findings_come_first_with_the_line_to_write() {
    let (mut summary, queries, findings) = (summary(), queries(), findings());
    summary.ignore_rules = vec![
        IgnoreRule {
            rule: "route = \"reports/\"".to_owned(),
            matched: 0,
        },
        IgnoreRule {
            rule: "kind = \"duplicate\"".to_owned(),
            matched: 3,
        },
    ];
    let mut report = report(&summary, &queries);
    report.findings = &findings;
    let rendered = text::render(&report, plain(80));
    let lines: Vec<&str> = rendered.lines().skip(3).take(18).collect();
    check(
        &lines.join("\n"),
        "\
FINDINGS, most costly first                                2 open, 872 ms in all
    842 ms  n_plus_one_forward, proved                     80 queries in 2 units
    shop_shop.id -> shop_order.shop_id
      shop_order.customer_id -> shop_customer.id
    Fetch customers together with their orders:
      Shop.objects.prefetch_related(Prefetch(\"order_set\", queryset=Order.objects.select_related(\"customer\")))
    saves 790 ms; the largest unit has 1 query then, not 41
    seen in orders/, orders/<int:pk>/, shops/ and 1 more
    id 51d0e6a7c94f2b83, example /api/v1/units/7
     30 ms  write_loop, suspected                           12 queries in 1 unit
    INSERT INTO shop_audit (note) VALUES ($1)
    Write all rows at once:
      objects = [...]  # all of them
      Audit.objects.bulk_create(objects)
    saves 15 ms
    id 00000000000000f1
  fixed: n_plus_one_reverse shop_order.customer_id -> shop_customer.id
  [[ignore]] matched nothing: route = \"reports/\"",
    );
    assert_eq!(
        rendered.lines().nth(22),
        Some("WHERE THE TIME WENT                                                57.0 s in all")
    );

    report.limit = 1;
    let rendered = text::render(&report, plain(80));
    assert!(
        rendered.contains("\n  and 1 more: pgprism report --limit 2\n"),
        "{rendered}"
    );
    assert!(!rendered.contains("write_loop"), "{rendered}");
    report.findings = &findings[2..];
    let rendered = text::render(&report, plain(80));
    assert!(
        rendered.contains("none open\n  fixed: n_plus_one_reverse "),
        "{rendered}"
    );
}

#[test]
fn findings_in_markdown_are_a_table() {
    let (summary, queries, findings) = (summary(), queries(), findings());
    let mut report = report(&summary, &queries);
    report.findings = &findings;
    report.limit = 1;
    let rendered = markdown::render(&report);
    let lines: Vec<&str> = rendered.lines().skip(4).take(10).collect();
    check(
        &lines.join("\n"),
        "\
Findings, most costly first:

| cost | saves | kind | confidence | queries | units | relation | write | seen in | finding |
|--:|--:|---|---|--:|--:|---|---|---|---|
| 842 ms | 790 ms | n\\_plus\\_one\\_forward | proved | 80 | 2 | shop\\_shop.id -> shop\\_order.shop\\_id, shop\\_order.customer\\_id -> shop\\_customer.id | `Shop.objects.prefetch_related(Prefetch(\"order_set\", queryset=Order.objects.select_related(\"customer\")))` | orders/, orders/\\<int:pk>/, shops/ and 1 more | `51d0e6a7c94f2b83` |

1 more are open.

- fixed: n\\_plus\\_one\\_reverse shop\\_order.customer\\_id -> shop\\_customer.id
",
    );
}

#[test]
fn a_hundred_columns_have_longer_names_and_p99() {
    let rendered = text::render(&report(&summary(), &queries()), plain(100));
    let top: Vec<&str> = rendered
        .lines()
        .skip_while(|line| !line.starts_with("TOP"))
        .take(3)
        .collect();
    check(
        &top.join("\n"),
        "\
TOP SHAPES by total time                          calls    total     mean      p95   errors      p99
  9f02c1d4a87b3e51 SELECT shop_book                  61    6.8 s   111 ms   245 ms        0   446 ms
  51c0be77d2093fa8 SELECT shop_author shop_pu…    2,440    2.9 s   1.2 ms   2.6 ms        2   4.8 ms",
    );
}

#[test]
fn a_narrow_terminal_loses_the_last_columns_and_wraps_nothing() {
    for columns in 20..80 {
        let rendered = text::render(&report(&summary(), &queries()), plain(columns));
        let widest = rendered
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap();
        assert!(widest <= columns, "{columns}:\n{rendered}");
    }
    let rendered = text::render(&report(&summary(), &queries()), plain(60));
    let top: Vec<&str> = rendered
        .lines()
        .skip_while(|line| !line.starts_with("TOP"))
        .take(2)
        .collect();
    check(
        &top.join("\n"),
        "\
TOP SHAPES by total time                      calls    total
  9f02c1d4a87b3e51 SELECT shop_book              61    6.8 s",
    );
}

#[test]
fn losses_replace_everything_was_observed() {
    let mut summary = summary();
    summary.dropped = 12;
    summary.degraded = vec![
        "event_dropped: ring_full".to_owned(),
        "upstream_down: default".to_owned(),
    ];
    let rendered = text::render(&report(&summary, &queries()), plain(80));
    let lines: Vec<&str> = rendered.lines().skip(1).take(4).collect();
    check(
        &lines.join("\n"),
        "\
9,812 queries, 2 errors, 8 connections; 12 events were dropped
  event_dropped: ring_full
  upstream_down: default
",
    );
    summary.dropped = 0;
    let rendered = text::render(&report(&summary, &queries()), plain(80));
    assert!(
        rendered.contains("8 connections; not everything was observed\n  event"),
        "{rendered}"
    );
}

#[test]
fn what_is_no_loss_of_observation_is_told_beside_it() {
    let mut summary = summary();
    summary.degraded = vec!["slow_log_dropped: rate_limit".to_owned()];
    let rendered = text::render(&report(&summary, &queries()), plain(80));
    assert!(
        rendered.contains("; everything was observed\n  slow_log_dropped: rate_limit\n"),
        "{rendered}"
    );
    let rendered = markdown::render(&report(&summary, &queries()));
    assert!(
        rendered.contains("; everything was observed (slow\\_log\\_dropped: rate\\_limit).\n"),
        "{rendered}"
    );
}

#[test]
fn nothing_seen_says_what_to_set() {
    let mut summary = summary();
    summary.queries = 0;
    summary.listeners[0].listen = "0.0.0.0:6433".to_owned();
    let rendered = text::render(&report(&summary, &[]), plain(80));
    check(
        &rendered,
        "\
pgprism 0.1.0 at http://127.0.0.1:9433                             up 3 min 12 s
0 queries, 2 errors, 8 connections; everything was observed

No query came through pgprism. Django reaches it with these settings:
  DATABASES[\"default\"][\"HOST\"] = \"127.0.0.1\"
  DATABASES[\"default\"][\"PORT\"] = \"6433\"
",
    );
}

#[test]
fn further_shapes_are_announced() {
    let (summary, queries) = (summary(), queries());
    let mut report = report(&summary, &queries);
    report.more = true;
    assert!(text::render(&report, plain(80)).contains("\n  and more: pgprism report --limit 15\n"));
}

#[test]
fn colours_add_nothing_but_colour() {
    let (summary, queries, findings) = (summary(), queries(), findings());
    let mut report = report(&summary, &queries);
    report.findings = &findings;
    let coloured = text::render(
        &report,
        Layout {
            columns: 80,
            colours: true,
        },
    );
    let mut stripped = String::new();
    let mut parts = coloured.split('\x1b');
    stripped.push_str(parts.next().unwrap());
    for part in parts {
        stripped.push_str(part.split_once('m').unwrap().1);
    }
    assert_ne!(coloured, stripped);
    assert_eq!(stripped, text::render(&report, plain(80)));
}

#[test]
fn names_cannot_command_the_terminal_or_leave_their_cell() {
    let mut queries = queries();
    queries[0].summary = "SELECT \x1b[2J\u{202e}x\ny|`*".to_owned();
    queries[0].query = "SELECT \x1b]0;title\x07 'a'".to_owned();
    let summary = summary();
    let rendered = text::render(&report(&summary, &queries), plain(100));
    assert_eq!(rendered.find(|c: char| c.is_control() && c != '\n'), None);
    assert!(rendered.contains("SELECT ?[2J?x y|`*"), "{rendered}");
    let rendered = markdown::render(&report(&summary, &queries));
    assert!(
        rendered.contains("| SELECT ?\\[2J?x y\\|\\`\\* |"),
        "{rendered}"
    );
}

#[test]
fn markdown_table() {
    let mut queries = queries();
    queries[0].query = "SELECT a || '`' FROM b".to_owned();
    let rendered = markdown::render(&report(&summary(), &queries[..2]));
    check(
        &rendered,
        "\
## pgprism report

9,812 queries, 2 errors; everything was observed.

No open findings.

| where the time went | time | share |
|---|--:|--:|
| application | 33.6 s | 59 % |
| database | 21.4 s | 38 % |
| transfer | 1.9 s | 3 % |
| client | 100 ms | <1 % |

Top shapes by total time:

| fingerprint | summary | calls | total | mean | p50 | p95 | p99 | max | errors | rows | query |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
| `9f02c1d4a87b3e51` | SELECT shop\\_book | 61 | 6.8 s | 111 ms | 89 ms | 245 ms | 446 ms | 1.0 s | 0 | 61 | `` SELECT a \\|\\| '`' FROM b `` |
| `51c0be77d2093fa8` | SELECT shop\\_author shop\\_publisher | 2,440 | 2.9 s | 1.2 ms | 0.95 ms | 2.6 ms | 4.8 ms | 11 ms | 2 | 2,440 | `SELECT shop_author shop_publisher WHERE id = $1` |
",
    );
    let mut summary = summary();
    summary.degraded = vec!["session_unobserved: lost_sync".to_owned()];
    let rendered = markdown::render(&report(&summary, &queries));
    assert!(
        rendered.contains("; not everything was observed: 0 events were dropped (session\\_unobserved: lost\\_sync).\n"),
        "{rendered}"
    );
}

#[test]
fn figures_fit_their_columns() {
    for (ms, expected) in [
        (0.0, "0.00 ms"),
        (0.012, "0.01 ms"),
        (0.994, "0.99 ms"),
        (0.996, "1.0 ms"),
        (9.96, "10 ms"),
        (111.4, "111 ms"),
        (999.6, "1.0 s"),
        (99_940.0, "99.9 s"),
        (99_960.0, "100 s"),
        (599_600.0, "10 min"),
        (3_570_001.0, "1.0 h"),
        (3.6e8, "100 h"),
        (3.6e9, "1,000 h"),
    ] {
        assert_eq!(figures::duration(ms), expected);
        assert!(expected.len() <= 8, "{expected}");
    }
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (999_999, "999,999"),
        (1_250_000, "1.2 M"),
        (7_100_000_000, "7.1 G"),
    ] {
        assert_eq!(figures::short_count(number), expected);
    }
    assert_eq!(figures::count(1_234_567), "1,234,567");
    for (seconds, expected) in [
        (0, "0 s"),
        (192, "3 min 12 s"),
        (18_120, "5 h 2 min"),
        (1_047_600, "12 days 3 h"),
    ] {
        assert_eq!(figures::age(seconds), expected);
    }
    for (part, expected) in [(0.0, "0 %"), (0.4, "<1 %"), (0.6, "1 %"), (99.6, "100 %")] {
        assert_eq!(figures::percent(part, 100.0), expected);
    }
    assert_eq!(figures::percent(1.0, 0.0), "0 %");
}
