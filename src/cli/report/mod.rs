//! `report`: what a proxy has seen, for a terminal, a log, a ticket or a program.
//!
//! [`seen`] asks the proxy through [`super::client`] and holds the answers; [`text`], [`lines`], [`markdown`] and [`html`] write
//! them down, in the words of [`words`] and the numbers of [`figures`]. Only this file knows of terminals, files and
//! the environment.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::Failure;
use super::client::{Place, Proxy};

pub mod figures;
pub(in crate::cli) mod fold;
pub mod html;
pub mod lines;
pub mod markdown;
pub mod seen;
#[cfg(test)]
mod tests;
pub mod text;
pub(in crate::cli) mod words;

use seen::{Depth, Ran, Report};
use text::{Extent, Layout};

/// `pgprism report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pgprism report\n  \
    pgprism report --output report.html\n  \
    pgprism report --admin http://10.0.0.7:9433 --token-file token --sort p95_ms --limit 20\n  \
    pgprism report --format markdown > report.md")]
pub(super) struct ReportArgs {
    #[command(flatten)]
    place: Place,
    /// What it is written as; by default what the ending of --output says, else text
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write it into this file: .html, .md, .json, .txt or .log
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The same as --format json
    #[arg(long, conflicts_with_all = ["markdown", "format"])]
    json: bool,
    /// The same as --format markdown
    #[arg(long, conflicts_with = "format")]
    markdown: bool,
    /// Findings and query shapes to print [default: 5; Markdown 10, HTML 50, JSON 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// What the shapes are sorted by
    #[arg(long, value_name = "KEY", default_value = "total_ms", value_parser = Sort::parser())]
    sort: Sort,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// One line for everything and one for each finding, for a log.
    Lines,
    /// For a pull request or a ticket.
    Markdown,
    /// The API's objects.
    Json,
    /// One page that needs nothing else.
    Html,
}

impl Format {
    /// What the ending of a file's name says.
    pub(super) fn of(path: &Path) -> Result<Format, Failure> {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("html" | "htm") => Ok(Format::Html),
            Some("md" | "markdown") => Ok(Format::Markdown),
            Some("json") => Ok(Format::Json),
            Some("txt") => Ok(Format::Text),
            Some("log") => Ok(Format::Lines),
            _ => Err(Failure::Usage(format!(
                "{}: the ending of a report's name says what it is: .html, .md, .json, .txt or .log",
                path.display()
            ))),
        }
    }

    /// Findings and query shapes, unless `--limit` says otherwise.
    fn limit(self) -> u16 {
        match self {
            Format::Text | Format::Lines => 5,
            Format::Markdown => 10,
            Format::Html => 50,
            Format::Json => 1000,
        }
    }

    fn depth(self) -> Depth {
        match self {
            Format::Text | Format::Lines | Format::Markdown => Depth::Lists,
            Format::Json | Format::Html => Depth::Whole,
        }
    }
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

/// Slowest units in the text.
const SLOWEST: usize = 3;

/// Lines of text are cut here, however wide the terminal is: longer ones are hard to read.
const WIDTH_MAX: usize = 100;

/// Columns where there is no terminal.
const WIDTH: usize = 80;

/// How a report of a running proxy says that it has more.
const MORE: &str = "pgprism report --limit 1000";

pub(super) fn report(arguments: &ReportArgs, out: &mut impl Write) -> Result<(), Failure> {
    let wish = match (arguments.json, arguments.markdown) {
        (true, _) => Some(Format::Json),
        (_, true) => Some(Format::Markdown),
        _ => arguments.format,
    };
    let format = match (wish, &arguments.output) {
        (Some(format), _) => format,
        (None, Some(path)) => Format::of(path)?,
        (None, None) => Format::Text,
    };
    let proxy = arguments.place.proxy()?;
    let limit = arguments.limit.unwrap_or(format.limit());
    let report = Report::ask(&proxy, None, arguments.sort, limit, format.depth())?;
    match &arguments.output {
        None => {
            let layout = layout(&io::stdout());
            write(&report, format, limit, layout, MORE, out)
        }
        Some(path) => into_file(&report, format, limit, path),
    }
}

/// Prints what came through the proxy of a `pgprism run`, on `out`, which is stderr, so that the child's output stays
/// whole. `rest` says how to see what is left out: an option of `run`.
pub(crate) fn after_run(
    proxy: &Proxy,
    ran: &Ran,
    format: Format,
    rest: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let limit = format.limit();
    let report = Report::ask(proxy, Some(ran.clone()), SORTS[0], limit, format.depth())?;
    write(&report, format, limit, layout(&io::stderr()), rest, out)
}

/// Writes the whole report of a proxy into a file, in the form that the ending of its name says: `.html`, `.md`,
/// `.json`, `.txt` or `.log`.
pub(crate) fn write_file(proxy: &Proxy, ran: Option<&Ran>, path: &Path) -> Result<(), Failure> {
    let format = Format::of(path)?;
    let limit = match format {
        Format::Html => format.limit(),
        Format::Text | Format::Lines | Format::Markdown | Format::Json => LIMIT_MAX,
    };
    let report = Report::ask(proxy, ran.cloned(), SORTS[0], limit, format.depth())?;
    into_file(&report, format, limit, path)
}

/// The API's longest list.
const LIMIT_MAX: u16 = 1000;

fn into_file(report: &Report, format: Format, limit: u16, path: &Path) -> Result<(), Failure> {
    let refused =
        |error: io::Error| Failure::Usage(format!("cannot write {}: {error}", path.display()));
    let mut file = BufWriter::new(File::create(path).map_err(refused)?);
    let layout = Layout {
        columns: WIDTH_MAX,
        colours: false,
    };
    write(report, format, limit, layout, MORE, &mut file)?;
    file.into_inner()
        .map_err(|error| refused(error.into_error()))?
        .sync_all()
        .map_err(refused)
}

fn write(
    report: &Report,
    format: Format,
    limit: u16,
    layout: Layout,
    rest: &str,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let limit = usize::from(limit);
    let text = match format {
        Format::Text => {
            let extent = Extent {
                limit,
                units: SLOWEST,
                rest,
            };
            text::render(report, layout, extent)
        }
        Format::Lines => lines::render(report, limit),
        Format::Markdown => markdown::render(report, limit),
        Format::Html => html::render(report, limit),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&report.to_json())
                .map_err(|error| Failure::Internal(error.to_string()))?;
            text.push('\n');
            text
        }
    };
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// 80 columns in plain text, unless `out` is a terminal that is wider and takes colours.
pub(in crate::cli) fn layout(out: &(impl IsTerminal + std::os::fd::AsFd)) -> Layout {
    let terminal = out.is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let columns = match terminal {
        true => terminal_size::terminal_size_of(out).map(|(width, _)| usize::from(width.0)),
        false => None,
    };
    Layout {
        columns: columns.unwrap_or(WIDTH).min(WIDTH_MAX),
        colours: terminal && !no_color && !dumb,
    }
}
