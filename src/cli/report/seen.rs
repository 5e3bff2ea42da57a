//! Everything that a report says, asked of a running proxy once and then only read.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Sort;
use crate::cli::client::{Answer, ClientError, Column, Finding, List, Proxy, Query, Summary};
use crate::cli::client::{Unit, UnitDetail};
use crate::clock::Clock;
use crate::event::Moment;

/// Version of the JSON report's own fields; the objects in it are the API's.
const JSON_VERSION: u32 = 1;

/// Example units that are asked for, one a finding.
const EXAMPLES_MAX: usize = 20;

/// Shapes among which the shortest call is looked for.
const FREQUENT: u16 = 20;

/// A command that `pgprism run` has run, for the head of its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// As it was typed.
    pub command: String,
    /// From its start to its end.
    pub wall: Duration,
    /// The status it ended with, as `run` passes it on.
    pub exit: u8,
}

/// What a report covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Totals and lists.
    Lists,
    /// Also the units that findings name as examples, and the last hour's columns.
    Whole,
}

/// What a proxy has seen.
#[derive(Debug)]
pub struct Report {
    /// Where it was asked.
    pub admin: String,
    /// The command it was run for.
    pub ran: Option<Ran>,
    /// Its totals.
    pub summary: Summary,
    /// All findings that nobody muted, most costly first.
    pub findings: Vec<Finding>,
    /// What `queries` are sorted by.
    pub sort: Sort,
    /// Query shapes, in that order.
    pub queries: Vec<Query>,
    /// Whether the proxy has further shapes.
    pub more_queries: bool,
    /// Units of work that are kept, those that took longest first.
    pub units: Vec<Unit>,
    /// Whether the proxy keeps more of them.
    pub more_units: bool,
    /// The shortest of all calls of the shapes that run most often: no round trip to PostgreSQL takes longer.
    pub shortest_ms: Option<f64>,
    /// Units that findings name as their examples.
    pub examples: Vec<UnitDetail>,
    /// The last hour in columns of five seconds, oldest first.
    pub history: Vec<Column>,
    /// When the report is made.
    pub now: SystemTime,
    /// The same objects as the proxy sent them.
    pub raw: Raw,
}

/// The objects of the API, whole.
#[derive(Debug, Default)]
pub struct Raw {
    summary: Value,
    findings: Vec<Value>,
    queries: Vec<Value>,
    units: Vec<Value>,
    examples: Vec<Value>,
    history: Vec<Value>,
}

impl Report {
    /// Asks `proxy` for all of it; `shapes` is how many query shapes are wanted.
    pub fn ask(
        proxy: &Proxy,
        ran: Option<Ran>,
        sort: Sort,
        shapes: u16,
        depth: Depth,
    ) -> Result<Report, ClientError> {
        let summary = proxy.summary()?;
        let mut findings = proxy.findings()?;
        let queries = proxy.queries(sort.key, shapes)?;
        let units = proxy.units()?;
        let shortest_ms = proxy
            .queries("calls", FREQUENT)?
            .items
            .iter()
            .map(|query| query.min_ms)
            .min_by(f64::total_cmp);
        let (examples, history) = match depth {
            Depth::Lists => (Vec::new(), no_columns()),
            Depth::Whole => (examples(proxy, &mut findings.items)?, proxy.history()?),
        };
        let (examples, raw_examples) = examples
            .into_iter()
            .map(|answer| (answer.item, answer.raw))
            .unzip();
        Ok(Report {
            admin: proxy.url().to_owned(),
            ran,
            summary: summary.item,
            findings: findings.items,
            sort,
            queries: queries.items,
            more_queries: queries.more,
            units: units.items,
            more_units: units.more,
            shortest_ms,
            examples,
            history: history.items,
            now: Clock::start().wall(Moment(0)),
            raw: Raw {
                summary: summary.raw,
                findings: findings.raw,
                queries: queries.raw,
                units: units.raw,
                examples: raw_examples,
                history: history.raw,
            },
        })
    }

    /// Open findings, most costly first.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.status == "open")
    }

    /// Findings that occur no more.
    pub fn fixed(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.status == "fixed")
    }

    /// The example of a finding.
    pub fn example(&self, finding: &Finding) -> Option<&UnitDetail> {
        let id = finding.example_unit.as_deref()?;
        self.examples.iter().find(|example| example.unit.id == id)
    }

    /// The report as one JSON object: what the API answers, under names of its own.
    pub fn to_json(&self) -> Value {
        let ran = self.ran.as_ref().map(|ran| {
            json!({"command": ran.command, "wall_s": ran.wall.as_secs_f64(), "exit": ran.exit})
        });
        json!({
            "report_version": JSON_VERSION,
            "made_at": humantime::format_rfc3339_millis(self.now).to_string(),
            "run": ran,
            "summary": self.raw.summary,
            "findings": self.raw.findings,
            "queries": self.raw.queries,
            "units": self.raw.units,
            "examples": self.raw.examples,
            "history": self.raw.history,
        })
    }
}

fn no_columns() -> List<Column> {
    List {
        raw: Vec::new(),
        items: Vec::new(),
        more: false,
    }
}

/// The units that the most costly findings name; a unit stands once, whatever it is an example of.
fn examples(
    proxy: &Proxy,
    findings: &mut [Finding],
) -> Result<Vec<Answer<UnitDetail>>, ClientError> {
    let mut examples: Vec<Answer<UnitDetail>> = Vec::new();
    for finding in findings
        .iter_mut()
        .filter(|finding| finding.status == "open")
        .take(EXAMPLES_MAX)
    {
        let known = |example: &Answer<UnitDetail>| {
            Some(&example.item.unit.id) == finding.example_unit.as_ref()
        };
        if examples.iter().any(known) {
            continue;
        }
        let example = example(proxy, finding)?;
        finding.example_unit = example.as_ref().map(|example| example.item.unit.id.clone());
        examples.extend(example);
    }
    Ok(examples)
}

/// The unit that a finding names, or a later one where that is no longer kept.
fn example(proxy: &Proxy, finding: &Finding) -> Result<Option<Answer<UnitDetail>>, ClientError> {
    if let Some(id) = &finding.example_unit
        && let Some(named) = proxy.unit(id)?
    {
        return Ok(Some(named));
    }
    match proxy.unit_of(&finding.id)? {
        Some(later) => proxy.unit(&later.id),
        None => Ok(None),
    }
}
