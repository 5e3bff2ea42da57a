//! Tests of the HTML report: what stands in it, what cannot, and how large it gets.

use super::proof::{Row, rows};
use super::{render, sql, waterfall};
use crate::cli::client::{Pattern, Proof};
use crate::cli::report::seen::Report;
use crate::cli::report::tests::{column, example, finding, nested, query, ran, report};

/// The largest file that is easily attached to a ticket.
const BYTES_MAX: usize = 400 * 1024;

fn page(report: &Report) -> String {
    render(report, 50)
}

#[test]
fn it_holds_everything_in_its_order() {
    let mut report = report();
    report.ran = Some(ran());
    let page = page(&report);
    let mut behind = 0;
    for part in [
        "<!DOCTYPE html>",
        "http-equiv=\"Content-Security-Policy\"",
        "<title>2 findings · pgprism</title>",
        "python manage.py runserver",
        "3 min 12 s, exit 0",
        "Everything was observed.",
        "Where the time went: 57.0 s inside requests",
        "Each book fetches its author separately",
        "1 query, 43 rows",
        "Book.objects.select_related(&quot;author&quot;)",
        "44 → 4 queries",
        "Example request, 412 ms, 42 queries in 5 shapes",
        "× 40, 1.2 ms each",
        "✕ 57014",
        "Rows of audit_entry are inserted one at a time",
        "Top shapes by total time",
        "Slowest requests",
        "(no route) first: SELECT shop_basket",
        "Latency over time",
        "How to read this",
    ] {
        let found = page[behind..].find(part);
        assert!(found.is_some(), "{part} is not behind what comes before it");
        behind += found.unwrap();
    }
}

#[test]
fn the_policy_allows_the_one_style_and_the_one_script_by_their_hashes() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let page = page(&report());
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let open = format!("<{element}>");
        assert_eq!(page.matches(&open).count(), 1, "{element}");
        let start = page.find(&open).unwrap() + open.len();
        let end = page.find(&format!("</{element}>")).unwrap();
        let hash = sha2::Sha256::digest(&page[start..end]);
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        assert!(
            page.contains(&format!("{directive} 'sha256-{hash}'")),
            "{element}"
        );
    }
    assert!(super::SCRIPT.len() <= 4096, "{}", super::SCRIPT.len());
    assert!(
        !page.contains(" style="),
        "the policy refuses style attributes"
    );
    assert!(!page.contains(" onclick="));
    assert!(!page.contains("href="), "no link leaves the file");
    assert!(!page.contains("src="), "nothing is loaded");
    assert!(!page.contains("http://") && !page.contains("https://"));
}

#[test]
fn what_came_from_clients_is_text_and_nothing_else() {
    let hostile = "\"<script>alert(1)</script>'><img src=x onerror=alert(1)>";
    let mut report = report();
    report.ran = Some(ran());
    report.ran.as_mut().unwrap().command = hostile.to_owned();
    report.summary.degraded = vec![hostile.to_owned()];
    report.queries[0].summary = hostile.to_owned();
    report.queries[0].query = format!("SELECT \"<script>\" FROM {hostile}");
    report.queries[0].routes = vec![hostile.to_owned()];
    report.units[0].route = Some(hostile.to_owned());
    report.units[0].evidence = hostile.to_owned();
    report.examples[0].timeline[0].query = hostile.to_owned();
    report.examples[0].timeline[0].fingerprint = hostile.to_owned();
    report.examples[0].timeline[0].sqlstate = Some(hostile.to_owned());
    report.examples[0].unit.route = Some(hostile.to_owned());
    report.history[1].at = hostile.to_owned();
    for finding in &mut report.findings {
        finding.advice.title = hostile.to_owned();
        finding.advice.django = hostile.to_owned();
        finding.advice.why = hostile.to_owned();
        finding.query = hostile.to_owned();
        finding.parent_query = Some(hostile.to_owned());
        finding.parent_fingerprint = Some(hostile.to_owned());
        finding.parent_table = Some(hostile.to_owned());
        finding.child_table = Some(hostile.to_owned());
        finding.kind = hostile.to_owned();
        finding.id = hostile.to_owned();
        finding.first_seen = hostile.to_owned();
        let tags = ["route", "callsite"].map(|key| (key.to_owned(), vec![hostile.to_owned()]));
        finding.tags = tags.into();
    }
    let page = page(&report);
    assert_eq!(page.matches("<script").count(), 1, "its own");
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;"));
    // Quotes end no attribute.
    assert!(!page.contains("=\"\"<"), "an attribute was left");
}

#[test]
fn addresses_users_and_urls_stay_out() {
    let mut report = report();
    report.ran = Some(ran());
    report.ran.as_mut().unwrap().command =
        "env DATABASE_URL=postgres://shop:secret@db.internal/shop pytest".to_owned();
    let page = page(&report);
    for word in ["127.0.0.1", "6433", "9433", "secret", "db.internal"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("DATABASE_URL=postgres://… pytest"));
}

#[test]
fn the_file_stays_small_however_much_there_is() {
    let mut report = report();
    let long = format!(
        "SELECT {} FROM shop_book WHERE id IN ($1 /*, ... */)",
        (0..3_000)
            .map(|number| format!("\"shop_book\".\"column_{number}\""))
            .collect::<Vec<_>>()
            .join(", ")
    );
    report.queries = (0..1_000)
        .map(|number| {
            let mut query = query(&format!("{number:016x}"), "SELECT shop_book", 10, 100.0);
            query.query.clone_from(&long);
            query
        })
        .collect();
    let mut timeline = example();
    timeline.timeline = (0..2_000)
        .map(|index| timeline.timeline[index % timeline.timeline.len()].clone())
        .collect();
    for (index, statement) in timeline.timeline.iter_mut().enumerate() {
        statement.at_ms = index as f64 * 0.2;
        statement.fingerprint = format!("{:016x}", index % 900);
    }
    report.examples = vec![timeline];
    report.findings = (0..1_000)
        .map(|number| {
            let mut finding = nested();
            finding.id = format!("{number:016x}");
            finding.query.clone_from(&long);
            finding.parent_query = Some(long.clone());
            finding
        })
        .collect();
    report.history = (0..720_usize)
        .map(|index| {
            let rows: Vec<(usize, u64)> = (0..18)
                .map(|row| (row, ((index * 31 + row * 17) % 97) as u64))
                .collect();
            column("2026-11-22T09:15:00.000Z", &rows)
        })
        .collect();
    let page = page(&report);
    assert!(page.len() <= BYTES_MAX, "{} bytes", page.len());
    assert!(page.contains("more: the cards would make this file too large"));
    assert!(page.matches("<article").count() >= 10);
}

#[test]
fn nothing_seen_and_nothing_found() {
    let mut report = report();
    report.findings.clear();
    report.examples.clear();
    report.history.clear();
    assert!(page(&report).contains("No findings in 214 requests"));
    assert!(!page(&report).contains("Latency over time"));
    report.summary.queries = 0;
    report.queries.clear();
    report.units.clear();
    assert!(page(&report).contains("No query came through pgprism."));
}

#[test]
fn losses_have_a_strip() {
    let mut report = report();
    report.summary.dropped = 1_204;
    report.summary.degraded = vec!["event_dropped: ring_full".to_owned()];
    let page = page(&report);
    assert!(page.contains("1,204 events dropped"));
    assert!(page.contains("event_dropped: ring_full"));
    assert!(!page.contains("everything was observed"));
}

#[test]
fn letters_are_drawn_only_where_the_figures_say_which_values_are_equal() {
    let proof = |matched, distinct, pattern| Proof {
        rows: 43,
        nulls: 3,
        distinct,
        matched,
        in_order: matched,
        pattern,
    };
    let words = || Pattern::Words("a.b -> c.d, 3 of 3 rows in order".to_owned());
    let letters = |letters: &str| {
        letters
            .chars()
            .map(|letter| Row::Letter(letter.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(&proof(3, 3, words())), letters("ABC"));
    assert_eq!(rows(&proof(40, 40, words())), letters("ABCDEFGH"));
    assert_eq!(
        rows(&proof(3, 2, words())),
        [Row::Number(1), Row::Number(2), Row::Number(3)]
    );
    let classes = Pattern::Classes(vec![Some(0), Some(1), Some(0), None]);
    let mut expected = letters("ABA");
    expected.push(Row::Null);
    assert_eq!(rows(&proof(3, 2, classes)), expected);
}

#[test]
fn equal_statements_are_a_group_with_true_ends_and_gaps_are_rows() {
    let example = example();
    let rows = waterfall::rows(&example);
    let [
        waterfall::Row::One(first),
        waterfall::Row::Gap { from_ms, to_ms },
        waterfall::Row::Group(children),
        waterfall::Row::Gap {
            from_ms: late,
            to_ms: later,
        },
        waterfall::Row::One(last),
    ] = rows.as_slice()
    else {
        panic!("{rows:?}");
    };
    assert_eq!((first.at_ms, last.at_ms), (0.0, 400.0));
    assert!((from_ms - 1.2).abs() < 1e-9 && *to_ms == 10.0);
    assert_eq!(children.len(), 40);
    assert!((late - 89.2).abs() < 1e-9 && *later == 400.0);
}

#[test]
fn a_loop_inside_a_loop_is_one_group() {
    let mut example = example();
    let inner: Vec<_> = (1..=20)
        .map(|parent| {
            let mut statement = example.timeline[1].clone();
            statement.fingerprint = "00000000000000cc".to_owned();
            statement.at_ms = 100.0 + parent as f64;
            statement.parent_index = Some(parent);
            statement
        })
        .collect();
    example.timeline.extend(inner);
    let groups: Vec<usize> = waterfall::rows(&example)
        .iter()
        .filter_map(|row| match row {
            waterfall::Row::Group(statements) => Some(statements.len()),
            waterfall::Row::One(_) | waterfall::Row::Gap { .. } => None,
        })
        .collect();
    assert_eq!(groups, [40, 20]);
}

#[test]
fn sql_has_a_clause_a_line_and_loses_nothing() {
    let text = |query: &str| {
        let mut shown = String::new();
        let mut rest = &*sql::formatted(query).into_string();
        while let Some(start) = rest.find('<') {
            shown.push_str(&rest[..start]);
            rest = rest[start..].split_once('>').unwrap().1;
        }
        shown.push_str(rest);
        shown
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
    };
    assert_eq!(
        text(
            "SELECT \"a\".\"id\" FROM \"a\" INNER JOIN b ON (a.id = b.a_id AND b.x) WHERE a.id IN ($1 /*, ... */) \
             AND b.y BETWEEN $2 AND $3 ORDER BY a.id DESC LIMIT 5"
        ),
        "SELECT \"a\".\"id\"\nFROM \"a\"\nINNER JOIN b ON (a.id = b.a_id AND b.x)\nWHERE a.id IN ($1 /*, ... */)\n  \
         AND b.y BETWEEN $2 AND $3\nORDER BY a.id DESC\nLIMIT 5"
    );
    assert_eq!(
        text("SELECT EXISTS(SELECT $1 FROM a WHERE b) AS x FROM c"),
        "SELECT EXISTS(\n  SELECT $1\n  FROM a\n  WHERE b\n) AS x\nFROM c"
    );
    assert_eq!(
        text("SELECT a, b, c, d, e, f, g, h, max(i) FROM t"),
        "SELECT … 9 columns a, b, c, d, e, f, g, h, max(i)\nFROM t"
    );
    let bare = |text: &str| text.replace(char::is_whitespace, "");
    for query in [
        "INSERT INTO a (b, c) VALUES ($1, $2) ON CONFLICT (b) DO UPDATE SET c = EXCLUDED.c RETURNING id",
        "UPDATE a SET b = CASE WHEN (id = $1) THEN $2 ELSE NULL END WHERE id IN ($3)",
        "WITH x AS (SELECT 1) SELECT * FROM x UNION ALL (SELECT 2) -- end",
        "a ) ) (( 'open \" string /* ",
        "$ $1 $$ é ☃",
        "",
    ] {
        assert_eq!(bare(&text(query)), bare(query));
    }
}

#[test]
fn nothing_in_a_text_commands_whoever_prints_the_file() {
    let formatted =
        sql::formatted("SELECT \u{1b}[2J \u{202e}x \u{0} FROM \"a\u{7f}b\"").into_string();
    assert_eq!(formatted.find(|c: char| c.is_control() && c != '\n'), None);
    assert!(!formatted.contains('\u{202e}'));
}

#[test]
fn a_long_text_is_cut_and_deep_brackets_are_no_trouble() {
    let deep = "(SELECT ".repeat(5_000);
    let formatted = sql::formatted(&deep).into_string();
    assert!(formatted.len() < 100_000 && formatted.contains("cut here"));
}

#[test]
fn a_statement_without_a_known_shape_is_named_by_verb_and_table() {
    for (query, expected) in [
        ("SELECT a FROM \"shop_book\" WHERE b", "SELECT shop_book"),
        ("insert into x (a) values ($1)", "INSERT x"),
        ("UPDATE y SET z = $1", "UPDATE y"),
        ("SELECT $1", "SELECT"),
        ("", "(text not kept)"),
    ] {
        assert_eq!(sql::summary(query), expected);
    }
}

#[test]
fn what_is_suspected_is_something_to_try() {
    let mut report = report();
    report.findings = vec![finding("00000000000000f1", "write_loop", 30.0)];
    let page = page(&report);
    assert!(page.contains("<h4>Try</h4>"));
    assert!(page.contains("What is missing: "));
}
