//! The report as Markdown.

use super::{check, ran, report};
use crate::cli::report::markdown::render;

#[test]
fn the_same_content_for_a_ticket() {
    let mut report = report();
    report.ran = Some(ran());
    report.findings.truncate(1);
    report.queries.truncate(1);
    report.units.truncate(2);
    report.queries[0].query = "SELECT a || '`' FROM b".to_owned();
    check(
        &render(&report, 10),
        "\
## pgprism report

`python manage.py runserver`, 3 min 12 s, exit 0

214 requests, 9,812 queries, 2 errors; everything was observed.

| where the time went | 57.0 s inside requests | share |
|---|--:|--:|
| application | 33.6 s | 59 % |
| database | 21.4 s | 38 % |
| transfer | 1.9 s | 3 % |
| client | 100 ms | <1 % |

### 1 finding

They cost 4.6 s (8 % of the time); their fixes save 4.5 s.

#### 1. Each book fetches its author separately (4.6 s, proved)

- where: books/: 40 extra queries, 75 ms a request, 61 requests
- proof: `shop_book.author_id -> shop_author.id, 40 of 40 rows in order`
- gain: 44 -> 4 queries, 74 ms a request
- kind `n_plus_one_forward`, id `3c91a07000000001`
- fix:

  ```python
  Book.objects.select_related(\"author\")
  ```

### Top shapes by total time

| fingerprint | summary | calls | total | mean | p50 | p95 | p99 | max | errors | rows | query |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
| `9f02c1d4a87b3e51` | SELECT shop\\_book | 61 | 6.8 s | 111 ms | 89 ms | 245 ms | 446 ms | 1.0 s | 0 | 61 | `` SELECT a \\|\\| '`' FROM b `` |

### Slowest requests

| where | time | queries | database | application | findings |
|---|--:|--:|--:|--:|--:|
| books/ | 412 ms | 44 | 66 ms | 346 ms | 0 |
| (no route) first: SELECT shop\\_basket | 301 ms | 12 | 48 ms | 253 ms | 0 |

Round trip to PostgreSQL at most 0.21 ms, nothing added.
",
    );
}

#[test]
fn losses_no_findings_and_nothing_at_all() {
    let mut report = report();
    report.summary.degraded = vec!["session_unobserved: lost_sync".to_owned()];
    report.findings.clear();
    let rendered = render(&report, 10);
    assert!(
        rendered.contains("; not everything was observed.\n- session\\_unobserved: lost\\_sync\n"),
        "{rendered}"
    );
    assert!(rendered.contains("\n### No findings in 214 requests\n"));
    report.summary.queries = 0;
    assert!(render(&report, 10).ends_with("\nNo query came through pgprism.\n"));
}

#[test]
fn a_command_is_shown_without_its_urls() {
    let mut report = report();
    let mut ran = ran();
    ran.command = "env DATABASE_URL=postgres://shop:secret@db/shop pytest".to_owned();
    report.ran = Some(ran);
    let rendered = render(&report, 10);
    assert!(
        rendered.contains("`env DATABASE_URL=postgres://… pytest`, 3 min 12 s, exit 0"),
        "{rendered}"
    );
}

#[test]
fn names_cannot_leave_their_place() {
    let mut report = report();
    let hostile = "x\n# |`*_<b>@you[l](http://h)\x1b[2J";
    report.queries[0].summary = hostile.to_owned();
    report.queries[0].query = hostile.to_owned();
    report.units[0].route = Some(hostile.to_owned());
    let finding = &mut report.findings[0];
    finding.advice.title = hostile.to_owned();
    finding.advice.django = "```\n<script>".to_owned();
    finding.kind = hostile.to_owned();
    let rendered = render(&report, 10);
    assert_eq!(rendered.find(|c: char| c.is_control() && c != '\n'), None);
    assert!(!rendered.contains("\n# |"), "{rendered}");
    assert!(
        rendered.contains("x \\# \\|\\`\\*\\_\\<b>\\@you\\[l\\](http://h)?\\[2J"),
        "{rendered}"
    );
    assert!(
        rendered.contains("  ````python\n  ```\n  <script>\n  ````\n"),
        "{rendered}"
    );
}
