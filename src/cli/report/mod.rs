//! `report`: what a running proxy has seen, for a terminal, a wiki page or a program.
//!
//! [`api`] asks the proxy, [`text`] and [`markdown`] turn its answer into what is printed, [`figures`] and [`relation`]
//! write numbers and relations for people. Only this file knows of terminals and the environment.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Failure;
use crate::clock::Clock;
use crate::config::TOKEN_VARIABLE;
use crate::event::Moment;

pub mod api;
pub mod figures;
pub mod markdown;
mod relation;
#[cfg(test)]
mod tests;
pub mod text;

use api::Proxy;
use text::{Layout, Report};

/// `pgprism report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pgprism report\n  \
    pgprism report --admin http://10.0.0.7:9433 --token-file token --sort p95_ms --limit 20\n  \
    pgprism report --markdown > report.md")]
pub(super) struct ReportArgs {
    /// Admin address of the running proxy
    #[arg(
        long,
        value_name = "URL",
        env = "PGPRISM_ADMIN",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9433"
    )]
    admin: String,
    /// File with the admin token, where the proxy wants one
    #[arg(
        long,
        value_name = "FILE",
        env = "PGPRISM_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
    /// Print the API's objects: {"summary": …, "findings": […], "queries": […]}
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown tables
    #[arg(long)]
    markdown: bool,
    /// Findings and query shapes to print
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// What the shapes are sorted by
    #[arg(long, value_name = "KEY", default_value = "total_ms", value_parser = Sort::parser())]
    sort: Sort,
}

/// What the shapes are sorted by: a field of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The API's word.
    pub key: &'static str,
    /// Behind "TOP SHAPES by".
    pub words: &'static str,
}

/// The API's sort keys.
pub const SORTS: [Sort; 9] = [
    Sort {
        key: "total_ms",
        words: "total time",
    },
    Sort {
        key: "mean_ms",
        words: "mean time",
    },
    Sort {
        key: "max_ms",
        words: "longest call",
    },
    Sort {
        key: "p95_ms",
        words: "p95",
    },
    Sort {
        key: "calls",
        words: "calls",
    },
    Sort {
        key: "errors",
        words: "errors",
    },
    Sort {
        key: "rows",
        words: "rows",
    },
    Sort {
        key: "bytes",
        words: "bytes",
    },
    Sort {
        key: "last_seen",
        words: "last use",
    },
];

impl Sort {
    fn parser() -> impl clap::builder::TypedValueParser<Value = Sort> {
        use clap::builder::TypedValueParser;
        clap::builder::PossibleValuesParser::new(SORTS.map(|sort| sort.key)).map(|key| {
            SORTS
                .into_iter()
                .find(|sort| sort.key == key)
                .unwrap_or(SORTS[0])
        })
    }
}

/// Shapes in the table of the slowest.
const SLOWEST: u16 = 3;

/// Lines of text are cut here, however wide the terminal is: longer ones are hard to read.
const WIDTH_MAX: usize = 100;

/// A command that `pgprism run` has run, for the head of its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// As it was typed.
    pub(crate) command: String,
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// The status it ended with, as `run` passes it on.
    pub(crate) exit: u8,
}

/// Asks the proxy of a `pgprism run` and prints the report of what came through it: on stderr, so that the child's
/// output stays whole.
pub(crate) fn after_run(proxy: &Proxy, ran: &Ran, out: &mut dyn Write) -> Result<(), Failure> {
    let head = format!(
        "pgprism: {}  {}, exit {}",
        ran.command,
        figures::age(ran.wall.as_secs()),
        ran.exit
    );
    writeln!(out, "{}", text::visible(&head))?;
    write_form(proxy, Form::Text, SORTS[0], AFTER_RUN, out)
}

/// Asks the proxy of a `pgprism run` and writes the whole report into a file, in the form that the ending of its name
/// says: `.html`, `.md`, `.json` or `.txt`.
pub(crate) fn write_file(proxy: &Proxy, ran: Option<&Ran>, path: &Path) -> Result<(), Failure> {
    let _ = ran;
    let form = Form::of(path)?;
    let mut file = std::fs::File::create(path)
        .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))?;
    write_form(proxy, form, SORTS[0], 1000, &mut file)
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Markdown,
    Json,
}

impl Form {
    fn of(path: &Path) -> Result<Form, Failure> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("md") => Ok(Form::Markdown),
            Some("json") => Ok(Form::Json),
            Some("txt") => Ok(Form::Text),
            _ => Err(Failure::Usage(format!(
                "{}: the ending of a report's name says what it is; write .html, .md, .json or .txt",
                path.display()
            ))),
        }
    }
}

/// Findings and shapes at the end of a run.
const AFTER_RUN: u16 = 5;

pub(super) fn report(arguments: &ReportArgs, out: &mut impl Write) -> Result<(), Failure> {
    let token = arguments
        .token_file
        .as_deref()
        .filter(|path| !path.as_os_str().is_empty())
        .map(read_token)
        .transpose()?
        .or_else(|| {
            std::env::var(TOKEN_VARIABLE)
                .ok()
                .filter(|token| !token.is_empty())
        });
    let proxy = Proxy::new(&arguments.admin, token)?;
    let form = match (arguments.json, arguments.markdown) {
        (true, _) => Form::Json,
        (_, true) => Form::Markdown,
        _ => Form::Text,
    };
    write_form(&proxy, form, arguments.sort, arguments.limit, out)
}

fn write_form(
    proxy: &Proxy,
    form: Form,
    sort: Sort,
    limit: u16,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let summary = proxy.summary()?;
    let findings = proxy.findings()?;
    let queries = proxy.queries(sort.key, limit)?;
    if form == Form::Json {
        let whole = serde_json::json!({
            "summary": summary.raw, "findings": findings.raw, "queries": queries.raw,
        });
        serde_json::to_writer_pretty(&mut *out, &whole).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let slowest = match form {
        Form::Text => proxy.queries("p95_ms", SLOWEST)?.items,
        _ => Vec::new(),
    };
    let report = Report {
        admin: proxy.url(),
        summary: &summary.item,
        findings: &findings.items,
        limit: usize::from(limit),
        sort,
        queries: &queries.items,
        more: queries.more,
        slowest: &slowest,
        now: Clock::start().wall(Moment(0)),
    };
    let text = match form {
        Form::Markdown => markdown::render(&report),
        _ => text::render(&report, layout()),
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "--token-file: cannot read {}: {error}",
            path.display()
        ))
    })?;
    let token = text.trim();
    match !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token.to_owned()),
        false => Err(Failure::Usage(format!(
            "--token-file: {} does not hold one line of visible ASCII characters",
            path.display()
        ))),
    }
}

/// 80 columns in plain text, unless stdout is a terminal that is wider and takes colours.
fn layout() -> Layout {
    let terminal = io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let columns = match terminal {
        true => terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)),
        false => None,
    };
    Layout {
        columns: columns.unwrap_or(80).min(WIDTH_MAX),
        colours: terminal && !no_color && !dumb,
    }
}
