//! The report for a terminal.

use unicode_width::UnicodeWidthStr;

use super::{check, finding, nested, ran, report};
use crate::cli::client::{Confidence, IgnoreRule};
use crate::cli::report::seen::Report;
use crate::cli::report::text::{Extent, Layout, render};

fn extent() -> Extent<'static> {
    Extent {
        limit: 5,
        units: 3,
        rest: "pgprism report --limit 1000",
    }
}

fn plain(report: &Report, columns: usize) -> String {
    let layout = Layout {
        columns,
        colours: false,
    };
    render(report, layout, extent())
}

#[test]
fn eighty_columns() {
    let mut report = report();
    report.ran = Some(ran());
    check(
        &plain(&report, 80),
        "\
pgprism: python manage.py runserver                           3 min 12 s, exit 0
214 requests, 9,812 queries, 2 errors; everything was observed

WHERE THE TIME WENT                                       57.0 s inside requests
  application    33.6 s   59 %  ########################
  database       21.4 s   38 %  ###############
  transfer        1.9 s    3 %  #
  client         100 ms   <1 %

2 FINDINGS                       cost 5.5 s (10 % of the time), fixes save 5.3 s
1 proved     Each book fetches its author separately                       4.6 s
  books/     40 extra queries, 75 ms a request, 61 requests
  proof      shop_book.author_id -> shop_author.id, 40 of 40 rows in order
  fix        Book.objects.select_related(\"author\")
  gain       44 -> 4 queries, 74 ms a request                id 3c91a07000000001
2 suspected  Rows of audit_entry are inserted one at a time               900 ms
  (no route) 120 writes, one row each, 100 ms a unit, 9 units
  missing    no query before them returned these values
  try        AuditEntry.objects.bulk_create(entries)
             build them first
  gain       123 -> 4 queries, about 90 ms a unit            id e07b5c9000000002

TOP SHAPES by total time                calls    total     mean      p95  errors
  9f02c1d4a87b3e51 SELECT shop_book        61    6.8 s   111 ms   245 ms       0
  51c0be77d2093fa8 SELECT shop_auth…    2,440    2.9 s   1.2 ms   2.6 ms       2
  0000000000000001 UPDATE shop_bask…    1.2 M   25.0 h    73 ms   160 ms       0

SLOWEST REQUESTS                            time  queries  database  application
  books/                                  412 ms       44     66 ms       346 ms
  (no route) first: SELECT shop_basket    301 ms       12     48 ms       253 ms
  (no route)                               30 ms        1    4.8 ms        25 ms

Round trip to PostgreSQL at most 0.21 ms, nothing added.
",
    );
}

#[test]
fn a_running_proxy_says_where_it_is_and_for_how_long() {
    let rendered = plain(&report(), 80);
    check(
        rendered.lines().next().unwrap(),
        "pgprism 0.1.0 at http://127.0.0.1:9433                             up 3 min 12 s",
    );
}

#[test]
fn code_is_broken_inside_its_brackets_and_relations_come_in_a_line() {
    let mut report = report();
    report.findings = vec![nested()];
    let rendered = plain(&report, 80);
    let lines: Vec<&str> = rendered.lines().skip(9).take(8).collect();
    check(
        &lines.join("\n"),
        "\
1 FINDING                         cost 4.6 s (8 % of the time), fixes save 4.5 s
1 proved     Each book fetches its author separately                       4.6 s
  orders/, orders/<int:pk>/, shops/ and 1 more
             40 extra queries, 75 ms a request, 61 requests
  proof      shop_book.author_id -> shop_author.id, 40 of 40 rows in order
  fix        Shop.objects.prefetch_related(Prefetch(\"order_set\",
                 queryset=Order.objects.select_related(\"customer\")))
  gain       44 -> 4 queries, 74 ms a request                id 3c91a07000000001",
    );
}

#[test]
fn further_findings_and_shapes_are_announced() {
    let mut report = report();
    report.findings = (0..9)
        .map(|number| finding(&format!("{number:016x}"), "write_loop", 90.0))
        .collect();
    let rendered = plain(&report, 80);
    assert!(
        rendered.contains("\nand 4 more: pgprism report --limit 1000\n"),
        "{rendered}"
    );
    assert_eq!(rendered.matches("  gain ").count(), 5);
    assert!(
        plain(&report, 100)
            .ends_with("\nRound trip to PostgreSQL at most 0.21 ms, nothing added. Other fixes: pgprism report --limit 1000\n"),
        "{rendered}"
    );
    assert!(rendered.ends_with(
        "\n\nRound trip to PostgreSQL at most 0.21 ms, nothing added.\nOther fixes: pgprism report --limit 1000\n"
    ));
    report.findings.clear();
    report.more_queries = true;
    assert!(plain(&report, 100).contains("Other shapes: pgprism report --limit 1000\n"));
}

#[test]
fn no_findings_and_fixed_ones() {
    let mut report = report();
    for finding in &mut report.findings {
        finding.status = "fixed".to_owned();
    }
    report.summary.ignore_rules = vec![
        IgnoreRule {
            rule: "route = \"reports/\"".to_owned(),
            matched: 0,
        },
        IgnoreRule {
            rule: "kind = \"duplicate\"".to_owned(),
            matched: 3,
        },
    ];
    let rendered = plain(&report, 80);
    assert!(
        rendered.contains(
            "\n\nNo findings in 214 requests.\n\
             fixed: n_plus_one_forward shop_book.author_id -> shop_author.id\n\
             fixed: write_loop INSERT INTO shop_audit (note) VALUES ($1)\n\
             [[ignore]] matched nothing: route = \"reports/\"\n\n"
        ),
        "{rendered}"
    );
}

#[test]
fn what_is_not_proved_says_what_is_missing() {
    let mut report = report();
    report.findings.truncate(1);
    report.findings[0].confidence = Confidence::Likely;
    let mut missing = |evidence: &str, matched: u64, in_order: u64| {
        let finding = &mut report.findings[0];
        finding.evidence = evidence.to_owned();
        let proof = finding.proof.as_mut().unwrap();
        (proof.matched, proof.in_order) = (matched, in_order);
        let rendered = plain(&report, 80);
        let line = rendered.lines().find(|line| line.starts_with("  missing"));
        line.unwrap().to_owned()
    };
    assert_eq!(
        missing("pause", 40, 40),
        "  missing    only an idle gap bounds these requests: set request tags"
    );
    assert_eq!(
        missing("trace", 34, 34),
        "  missing    6 of 40 values did not come from this column"
    );
    assert_eq!(
        missing("trace", 40, 30),
        "  missing    10 of 40 values came in another order"
    );
}

#[test]
fn losses_replace_everything_was_observed() {
    let mut report = report();
    report.summary.dropped = 12;
    report.summary.degraded = vec![
        "event_dropped: ring_full".to_owned(),
        "upstream_down: default".to_owned(),
    ];
    let rendered = plain(&report, 80);
    let lines: Vec<&str> = rendered.lines().skip(1).take(4).collect();
    check(
        &lines.join("\n"),
        "\
214 requests, 9,812 queries, 2 errors; 12 events were dropped
  event_dropped: ring_full
  upstream_down: default
",
    );
    report.summary.dropped = 0;
    assert!(plain(&report, 80).contains("2 errors; not everything was observed\n  event"));
    report.summary.degraded = vec!["slow_log_dropped: rate_limit".to_owned()];
    assert!(
        plain(&report, 80).contains("; everything was observed\n  slow_log_dropped: rate_limit\n")
    );
}

#[test]
fn nothing_seen_says_what_to_set() {
    let mut report = report();
    report.summary.queries = 0;
    report.summary.units = Some(0);
    report.summary.listeners[0].listen = "0.0.0.0:6433".to_owned();
    check(
        &plain(&report, 80),
        "\
pgprism 0.1.0 at http://127.0.0.1:9433                             up 3 min 12 s
0 requests, 0 queries, 2 errors; everything was observed

No query came through pgprism.
Django reaches it with these settings:
  DATABASES[\"default\"][\"HOST\"] = \"127.0.0.1\"
  DATABASES[\"default\"][\"PORT\"] = \"6433\"
",
    );
}

#[test]
fn nothing_seen_because_the_server_is_down_says_so() {
    let mut report = report();
    report.summary.queries = 0;
    report.summary.units = Some(0);
    report.summary.listeners[0].upstream = "127.0.0.1:5432".to_owned();
    report.summary.listeners[0].upstream_up = Some(false);
    assert!(plain(&report, 80).ends_with(
        "\
No query came through pgprism.
PostgreSQL does not answer at 127.0.0.1:5432: nothing can pass.
"
    ));
}

#[test]
fn added_latency_is_told_with_the_prices() {
    let mut report = report();
    report.summary.added_latency_ms = 5.0;
    assert!(plain(&report, 80).ends_with(
        "\n\n5 ms were added to each round trip (--add-latency); prices include them.\n"
    ));
    report.summary.added_latency_ms = 0.0;
    report.shortest_ms = None;
    assert!(!plain(&report, 80).contains("ound trip"));
}

#[test]
fn units_that_are_kept_are_counted_where_the_proxy_does_not() {
    let mut report = report();
    report.summary.units = None;
    assert!(plain(&report, 80).contains("\n4 requests, 9,812"));
    report.more_units = true;
    assert!(plain(&report, 80).contains("\n4 requests or more, 9,812"));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut report = report();
    report.findings.push(nested());
    report.queries[0].summary = "SELECT 表格_表格_表格_表格_表格_表格".to_owned();
    report.units[0].route = Some("bücher/ärzte/日本語/日本語/日本語/日本語/".to_owned());
    report.summary.degraded = vec!["session_unobserved: ".repeat(20)];
    for columns in [20, 30, 40, 59, 60, 79, 80, 100] {
        let rendered = plain(&report, columns);
        for line in rendered.lines() {
            assert!(line.width() <= columns, "{columns}: {line}\n{rendered}");
        }
    }
}

#[test]
fn a_narrow_terminal_does_without_the_proof_and_the_last_columns() {
    let wide = plain(&report(), 80);
    let narrow = plain(&report(), 60);
    assert!(wide.contains("  proof ") && !narrow.contains("  proof "));
    let head = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("TOP SHAPES"));
        line.unwrap().to_owned()
    };
    check(
        &head(&wide),
        "TOP SHAPES by total time                calls    total     mean      p95  errors",
    );
    check(
        &head(&narrow),
        "TOP SHAPES by total time                      calls    total",
    );
    assert!(narrow.contains("select_related(\"author\")"), "{narrow}");
}

#[test]
fn a_hundred_columns_have_longer_names() {
    let rendered = plain(&report(), 100);
    assert!(
        rendered.contains("51c0be77d2093fa8 SELECT shop_author shop_publisher  "),
        "{rendered}"
    );
}

#[test]
fn colours_add_nothing_but_colour() {
    let report = report();
    let coloured = render(
        &report,
        Layout {
            columns: 80,
            colours: true,
        },
        extent(),
    );
    let mut stripped = String::new();
    let mut parts = coloured.split('\x1b');
    stripped.push_str(parts.next().unwrap());
    for part in parts {
        stripped.push_str(part.split_once('m').unwrap().1);
    }
    assert_ne!(coloured, stripped);
    assert_eq!(stripped, plain(&report, 80));
}

#[test]
fn names_cannot_command_the_terminal() {
    let mut report = report();
    let hostile = "SELECT \x1b[2J\u{202e}x\ny|`*\x07";
    report.queries[0].summary = hostile.to_owned();
    report.units[0].route = Some(hostile.to_owned());
    report.findings[0].advice.title = hostile.to_owned();
    report.findings[0].advice.django = hostile.to_owned();
    report.findings[0]
        .tags
        .insert("route".to_owned(), vec![hostile.to_owned()]);
    report.summary.degraded = vec![hostile.to_owned()];
    report.ran = Some(crate::cli::report::seen::Ran {
        command: hostile.to_owned(),
        ..ran()
    });
    let rendered = plain(&report, 100);
    assert_eq!(rendered.find(|c: char| c.is_control() && c != '\n'), None);
    assert!(rendered.contains("SELECT ?[2J?x y|`*?"), "{rendered}");
}
