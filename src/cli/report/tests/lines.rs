//! The report as lines for a log.

use super::{check, ran, report};
use crate::cli::report::lines::render;

#[test]
fn one_line_for_all_and_one_for_each_finding() {
    let mut report = report();
    report.ran = Some(ran());
    check(
        &render(&report, 5),
        "\
pgprism run exit=0 wall_s=192.4 requests=214 queries=9812 errors=2 application_pct=59 database_pct=38 transfer_pct=3 client_pct=0 findings=2 proved=1 cost_ms=5500 dropped=0
pgprism finding id=3c91a07000000001 confidence=proved kind=n_plus_one_forward route=books/ cost_ms=4600 saves_ms=4514 requests=61 before=44 after=4 fix=\"Book.objects.select_related(\\\"author\\\")\"
pgprism finding id=e07b5c9000000002 confidence=suspected kind=write_loop route=\"\" cost_ms=900 saves_ms=810 requests=9 before=123 after=4 fix=\"AuditEntry.objects.bulk_create(entries)\"
",
    );
    assert_eq!(render(&report, 1).lines().count(), 2);
    report.ran = None;
    assert!(render(&report, 5).starts_with("pgprism report requests=214 "));
}

#[test]
fn a_value_stays_on_its_line_and_in_its_quotes() {
    let mut report = report();
    report.findings.truncate(1);
    report.findings[0].advice.django = "a = [\"\\\"]\nb(a)\x1b".to_owned();
    report.findings[0]
        .tags
        .insert("route".to_owned(), vec!["x y\nLOG: z=\"1".to_owned()]);
    let rendered = render(&report, 5);
    assert_eq!(rendered.lines().count(), 2);
    assert!(
        rendered.contains(" route=\"x y\\nLOG: z=\\\"1\" cost_ms="),
        "{rendered}"
    );
    assert!(
        rendered.ends_with(" fix=\"a = [\\\"\\\\\\\"]\\nb(a)?\"\n"),
        "{rendered}"
    );
}
