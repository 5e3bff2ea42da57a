//! The findings of a report: what costs most on top, with the line of Django to write.

use super::super::api::Finding;
use super::super::figures;
use super::super::relation::{levels, places, relation};
use super::{Page, Report, visible, visible_code};

/// Fixed findings shown.
const FIXED_MAX: usize = 5;

const GREEN: &str = "\x1b[32m";

impl Page {
    pub(super) fn findings(&mut self, report: &Report<'_>) {
        let (open, fixed): (Vec<&Finding>, Vec<&Finding>) = report
            .findings
            .iter()
            .partition(|finding| finding.status == "open");
        let cost: f64 = open.iter().map(|finding| finding.cost_ms).sum();
        self.line("");
        let right = match open.len() as u64 {
            0 => "none open".to_owned(),
            count => format!(
                "{} open, {} in all",
                figures::count(count),
                figures::duration(cost)
            ),
        };
        self.heading("FINDINGS, most costly first", &right);
        if report.findings.is_empty() {
            self.line(
                "  Nothing found so far. Use the slow pages of the application, or run its tests,",
            );
            self.line("  with its database at pgprism's address, then run this again.");
        }
        for finding in open.iter().take(report.limit) {
            self.finding(finding);
        }
        if open.len() > report.limit {
            let more = (open.len() - report.limit) as u64;
            self.line(&format!(
                "  and {} more: pgprism report --limit {}",
                figures::count(more),
                open.len().min(1000)
            ));
        }
        for finding in fixed.iter().take(FIXED_MAX) {
            let what = relation(finding).unwrap_or_else(|| finding.query.clone());
            self.green(&format!(
                "  fixed: {} {}",
                visible(&finding.kind),
                visible(&what)
            ));
        }
        if fixed.len() > FIXED_MAX {
            self.line(&format!("  fixed: {} more", fixed.len() - FIXED_MAX));
        }
        for rule in report
            .summary
            .ignore_rules
            .iter()
            .filter(|rule| rule.matched == 0)
        {
            self.line(&format!(
                "  [[ignore]] matched nothing: {}",
                visible(&rule.rule)
            ));
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let counts = format!(
            "{} in {}",
            figures::counted(finding.queries, "query", "queries"),
            figures::counted(finding.units, "unit", "units")
        );
        let left = format!(
            "  {:>8}  {}, {}",
            figures::duration(finding.cost_ms),
            visible(&finding.kind),
            visible(&finding.confidence)
        );
        self.heading(&left, &counts);
        let levels = levels(finding);
        if levels.is_empty() {
            self.dim(&format!("    {}", visible(&finding.query)));
        }
        for (depth, level) in levels.iter().enumerate() {
            self.line(&format!("    {}{}", "  ".repeat(depth), visible(level)));
        }
        let advice = &finding.advice;
        if !advice.title.is_empty() {
            self.line(&format!("    {}:", visible(&advice.title)));
        }
        for line in advice.django.lines() {
            self.whole(GREEN, &format!("      {}", visible_code(line)));
        }
        let mut saves = format!("    saves {}", figures::duration(advice.saves_ms));
        if finding.queries_before > finding.queries_after {
            saves.push_str(&format!(
                "; the largest unit has {} then, not {}",
                figures::counted(finding.queries_after, "query", "queries"),
                figures::count(finding.queries_before)
            ));
        }
        self.line(&saves);
        if let Some(places) = places(finding) {
            self.line(&format!("    seen in {}", visible(&places)));
        }
        let example = finding
            .example_unit
            .as_ref()
            .map(|unit| format!(", example /api/v1/units/{}", visible(unit)));
        self.dim(&format!(
            "    id {}{}",
            visible(&finding.id),
            example.unwrap_or_default()
        ));
    }
}
