//! The words of a report, the same in all its forms: what a finding is about, what it costs, what proves it.

use super::figures;
use super::seen::Report;
use crate::cli::client::{Confidence, Finding, Pattern, Phases, Unit};

/// Values of a tag that are told; `and 3 more` stands for the rest.
const VALUES_MAX: usize = 3;

/// Words a query's summary begins with: what stands for the route of a unit that has none.
const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

/// `shop_order.customer_id -> shop_customer.id`, the loops around it before it; `None` where no relation is known.
pub(in crate::cli) fn relation(finding: &Finding) -> Option<String> {
    let levels = levels(finding);
    (!levels.is_empty()).then(|| levels.join(", "))
}

/// The loops of a finding, outermost first, its own last.
pub(super) fn levels(finding: &Finding) -> Vec<String> {
    let link = |parent: Option<String>, child: Option<String>| match (parent, child) {
        (Some(parent), Some(child)) => Some(format!("{parent} -> {child}")),
        (parent, child) => child.or(parent),
    };
    let mut levels: Vec<String> = finding
        .chain
        .iter()
        .filter_map(|level| {
            link(
                side(
                    level.parent_table.as_deref(),
                    level.parent_column.as_deref(),
                ),
                side(level.child_table.as_deref(), level.child_column.as_deref()),
            )
        })
        .collect();
    levels.extend(link(parent_side(finding), child_side(finding)));
    levels
}

/// `shop_order.customer_id`: what a finding's values come from.
pub(super) fn parent_side(finding: &Finding) -> Option<String> {
    side(
        finding.parent_table.as_deref(),
        finding.parent_column.as_deref(),
    )
}

/// `shop_customer.id`: what they are compared with.
pub(super) fn child_side(finding: &Finding) -> Option<String> {
    side(
        finding.child_table.as_deref(),
        finding.child_column.as_deref(),
    )
}

fn side(table: Option<&str>, column: Option<&str>) -> Option<String> {
    match (table, column) {
        (Some(table), Some(column)) => Some(format!("{table}.{column}")),
        (table, column) => table.or(column).map(str::to_owned),
    }
}

/// Where it was seen: routes, or controllers where there are none.
pub(in crate::cli) fn places(finding: &Finding) -> Option<String> {
    let values = ["route", "controller"]
        .iter()
        .filter_map(|key| finding.tags.get(*key))
        .find(|values| !values.is_empty())?;
    let mut places = values
        .iter()
        .take(VALUES_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = values
        .len()
        .checked_sub(VALUES_MAX)
        .filter(|more| *more > 0)
    {
        places = format!("{places} and {more} more");
    }
    Some(places)
}

/// What a unit of the finding is called: a request has a route.
pub(in crate::cli) fn unit_noun(finding: &Finding) -> &'static str {
    match finding
        .tags
        .get("route")
        .is_some_and(|routes| !routes.is_empty())
    {
        true => "request",
        false => "unit",
    }
}

/// `40 extra queries, 75 ms a request, 61 requests`.
pub(in crate::cli) fn price(finding: &Finding) -> String {
    let units = finding.units.max(1);
    let each = finding.queries.div_ceil(units);
    let noun = unit_noun(finding);
    let extra = match finding.kind.as_str() {
        "write_loop" => figures::counted(each, "write, one row each", "writes, one row each"),
        "duplicate" => figures::counted(each, "equal query", "equal queries"),
        "chatty_unit" => figures::counted(each, "query", "queries"),
        _ => figures::counted(each, "extra query", "extra queries"),
    };
    format!(
        "{extra}, {} a {noun}, {}",
        cost_each(finding.cost_ms, units),
        figures::counted(finding.units, noun, &format!("{noun}s"))
    )
}

/// `44 -> 4 queries, 74 ms a request`; `None` where nothing is known to be gained.
pub(in crate::cli) fn gain(finding: &Finding) -> Option<String> {
    if finding.advice.saves_ms <= 0.0 {
        return None;
    }
    let saved = saves(finding);
    Some(match finding.queries_before > finding.queries_after {
        true => format!(
            "{} -> {}, {saved}",
            figures::count(finding.queries_before),
            figures::counted(finding.queries_after, "query", "queries")
        ),
        false => saved,
    })
}

/// `74 ms a request`, `about 89 ms a unit`.
pub(super) fn saves(finding: &Finding) -> String {
    let about = match finding.confidence {
        Confidence::Proved => "",
        Confidence::Likely | Confidence::Suspected => "about ",
    };
    let each = cost_each(finding.advice.saves_ms, finding.units.max(1));
    format!("{about}{each} a {}", unit_noun(finding))
}

/// A price for one unit: never rounded up to a millisecond.
fn cost_each(ms: f64, units: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
    let each = ms / units as f64;
    match each < 1.0 {
        true => "<1 ms".to_owned(),
        false => figures::duration(each),
    }
}

/// What proves a finding: `shop_order.customer_id -> shop_customer.id, 10 of 10 rows in order`.
pub(in crate::cli) fn proof(finding: &Finding) -> Option<String> {
    let proof = finding.proof.as_ref()?;
    match &proof.pattern {
        Pattern::Words(words) if !words.is_empty() => Some(words.clone()),
        Pattern::Words(_) | Pattern::Classes(_) => Some(format!(
            "{}, {} of {} {}",
            relation(finding)?,
            proof.matched,
            proof.rows.saturating_sub(proof.nulls).max(proof.matched),
            match proof.in_order == proof.matched {
                true => "in order",
                false => "not all in order",
            }
        )),
    }
}

/// What a finding lacks to be proved.
pub(in crate::cli) fn missing(finding: &Finding) -> Option<String> {
    if finding.confidence == Confidence::Proved {
        return None;
    }
    let repeats = match finding.kind.as_str() {
        "duplicate" => Some("whether the answer may change between them, the wire does not say"),
        "chatty_unit" => Some("no single loop explains these queries"),
        _ => None,
    };
    if let Some(repeats) = repeats {
        return Some(repeats.to_owned());
    }
    let Some(proof) = &finding.proof else {
        return Some("no query before them returned these values".to_owned());
    };
    let most = finding.queries.div_ceil(finding.occurrences.max(1));
    Some(match finding.evidence.as_str() {
        "pause" => format!(
            "only an idle gap bounds these {}s: set request tags",
            unit_noun(finding)
        ),
        _ if proof.matched < most => format!(
            "{} of {most} values did not come from this column",
            most - proof.matched,
        ),
        _ if proof.in_order < proof.matched => format!(
            "{} of {} values came in another order",
            proof.matched - proof.in_order,
            proof.matched
        ),
        _ => "the two columns agree in their values, but not by name".to_owned(),
    })
}

/// The code of an advice without its remark, and the remark: a line ends in `  # …` where something is to be said.
pub(in crate::cli) fn fix(django: &str) -> (String, Option<String>) {
    let mut code = Vec::new();
    let mut remarks = Vec::new();
    for line in django.lines() {
        match line.split_once("  # ") {
            Some((before, remark)) => {
                code.push(before.trim_end());
                remarks.push(remark);
            }
            None => match line.strip_prefix("# ") {
                Some(remark) => remarks.push(remark),
                None => code.push(line),
            },
        }
    }
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    (code.join("\n"), remark)
}

/// A unit's route; a unit without one is named after its first query.
pub(in crate::cli) fn unit_name(unit: &Unit) -> String {
    match unit.route.as_deref() {
        None => "(no route)".to_owned(),
        Some(first) if is_first_query(first) => format!("(no route) first: {first}"),
        Some(route) => route.to_owned(),
    }
}

/// Whether the unit has a route.
pub(in crate::cli) fn is_request(unit: &Unit) -> bool {
    unit.route
        .as_deref()
        .is_some_and(|route| !is_first_query(route))
}

fn is_first_query(route: &str) -> bool {
    VERBS.iter().any(|verb| route.starts_with(verb))
}

/// `214 requests`; `1,000 requests or more` where not all of them are kept.
pub(super) fn units(report: &Report) -> String {
    let noun = match report.units.iter().any(is_request) {
        true => "request",
        false => "unit",
    };
    let counted = |count: u64| figures::counted(count, noun, &format!("{noun}s"));
    match report.summary.units {
        Some(units) => counted(units),
        None if report.more_units => format!("{} or more", counted(report.units.len() as u64)),
        None => counted(report.units.len() as u64),
    }
}

/// `everything was observed`, or what was not.
pub(super) fn observed(report: &Report) -> String {
    let summary = &report.summary;
    let lost = summary.degraded.iter().any(|reason| is_loss(reason));
    match (summary.dropped, lost) {
        (0, false) => "everything was observed".to_owned(),
        (0, true) => "not everything was observed".to_owned(),
        (dropped, _) => figures::counted(dropped, "event was dropped", "events were dropped"),
    }
}

/// Whether a reason of `degraded` says that traffic was not observed; a slow log that leaves lines out, an upstream
/// that is down, or a unit with more statements than are kept, do not.
fn is_loss(reason: &str) -> bool {
    !["slow_log_dropped", "upstream_down", "unit_incomplete"]
        .iter()
        .any(|other| reason.starts_with(other))
}

/// The command as it may stand in a file that is passed on: of a URL only its scheme is left.
pub(in crate::cli) fn command_without_urls(command: &str) -> String {
    command
        .split(' ')
        .map(|word| match word.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://…"),
            None => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// What the open findings cost and their fixes save, of all the time that was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bill {
    pub(super) cost_ms: f64,
    pub(super) saves_ms: f64,
    pub(super) whole_ms: f64,
}

pub(super) fn bill(report: &Report) -> Bill {
    Bill {
        cost_ms: report.open().map(|finding| finding.cost_ms).sum(),
        saves_ms: report.open().map(|finding| finding.advice.saves_ms).sum(),
        whole_ms: report.summary.phases.whole_ms(),
    }
}

/// `[[ignore]]` sections that keep nothing away.
pub(super) fn idle_rules(report: &Report) -> impl Iterator<Item = &str> {
    let rules = report.summary.ignore_rules.iter();
    rules
        .filter(|rule| rule.matched == 0)
        .map(|rule| &*rule.rule)
}

/// Whether the values prove it.
pub(super) fn is_proved(finding: &Finding) -> bool {
    finding.confidence == Confidence::Proved
}

/// The phases with their names, in the order in which they are always drawn.
pub(in crate::cli) fn phases_in_order(phases: &Phases) -> [(&'static str, f64); 4] {
    [
        ("application", phases.application_ms),
        ("database", phases.database_ms),
        ("transfer", phases.transfer_ms),
        ("client", phases.client_ms),
    ]
}

/// The phases with their names, the longest first.
pub(super) fn phases(phases: &Phases) -> [(&'static str, f64); 4] {
    let mut rows = phases_in_order(phases);
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows
}

/// `up 3 min 12 s`.
pub(super) fn up(report: &Report) -> Option<String> {
    let started = humantime::parse_rfc3339(&report.summary.started_at).ok()?;
    let up = report.now.duration_since(started).ok()?;
    Some(format!("up {}", figures::age(up.as_secs())))
}

/// Host and port at which a listener is reached from its own machine.
pub(in crate::cli) fn reachable(listen: &str) -> (&str, &str) {
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let host = match host.trim_matches(['[', ']']) {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    (host, port)
}

/// What a round trip to PostgreSQL takes at most, or what was added to it; `None` where neither is known.
pub(super) fn round_trip(report: &Report) -> Option<String> {
    let summary = &report.summary;
    let added = summary.added_latency_ms;
    match (added > 0.0, report.shortest_ms) {
        (true, _) => Some(format!(
            "{added} ms were added to each round trip (--add-latency); prices include them."
        )),
        (false, Some(ms)) => Some(format!(
            "Round trip to PostgreSQL at most {}, nothing added.",
            figures::duration(ms)
        )),
        (false, None) => None,
    }
}

/// One line without control characters: names come from clients, and a terminal obeys escape sequences.
pub(in crate::cli) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | ' ' if visible.ends_with(' ') => {}
            '\n' | '\t' => visible.push(' '),
            c => visible.push(harmless(c)),
        }
    }
    visible
}

/// A line of code: as [`visible`], with its spaces.
pub(in crate::cli) fn visible_code(line: &str) -> String {
    line.chars().map(harmless).collect()
}

/// Lines of a text: as [`visible_code`] each, their ends kept.
pub(super) fn visible_lines(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { harmless(c) })
        .collect()
}

fn harmless(c: char) -> char {
    let commands = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if commands { '?' } else { c }
}
