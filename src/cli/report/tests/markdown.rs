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
    check(&render(&report, 10), "");
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
