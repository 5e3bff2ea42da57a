//! `check`: a command, its tests mostly, with the proxy before its database; fails where something is new or too much.
//!
//! ```text
//!  [`super::run::around`] ─► ledger of all units ─┐
//!          the admin address ─► findings' words ──┼─► judge.rs ─► text.rs, markdown.rs, junit.rs, github.rs
//!                     baseline.rs ─► what is known ┘       └─► baseline.rs, with --update
//! ```

mod baseline;
mod github;
mod judge;
mod junit;
mod markdown;
mod settings;
mod text;
mod verdict;
mod words;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::run::around::{self, Finished, Outcome, Page, Wish};
use super::{Failure, report};
use crate::analysis::Ledger;
use crate::config::{Check as Limits, Config};
use baseline::Baseline;
use settings::CheckSettings;
use verdict::Checked;

/// Longest wait for the analysis to see what came last: a judgement is worth more of it than a report.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);

/// Units that are judged; a suite of 5,000 tests has some ten thousand.
const UNITS_MAX: usize = 500_000;

/// What a signal makes of a command that was well but is not judged: as if the signal had ended it.
const INTERRUPTED: u8 = 143;

/// `pgprism check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when nothing is new and no limit is broken, 1 otherwise; the command's own where that \
    is not 0.\n\n\
    Examples:\n  pgprism check -- pytest\n  \
    pgprism check --update -- pytest\n  \
    pgprism check --max-queries 50 --junit pgprism.xml -- python manage.py test\n  \
    pgprism check --markdown \"$GITHUB_STEP_SUMMARY\" -- pytest -n 2"
)]
pub(super) struct CheckArgs {
    /// Take what is new into the baseline, and what was not seen out of it
    #[arg(long)]
    update: bool,
    /// Variable with a further database's URL, such as DATABASE_REPLICA_URL; 'DATABASE_*_URL' names all of them
    #[arg(long = "env", value_name = "NAME")]
    named: Vec<String>,
    /// Write the judgement as Markdown; appended where it is the file of $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the judgement as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write GitHub's annotations on stdout [default: true in GitHub Actions]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    github: Option<bool>,
    /// Write the report of all that was seen: .html, .md, .json, .txt or .log
    #[arg(long = "report", value_name = "FILE", value_parser = super::run::report_file)]
    reports: Vec<PathBuf>,
    #[command(flatten)]
    settings: CheckSettings,
    /// What to run, with its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        num_args = 1..,
        trailing_var_arg = true
    )]
    command: Vec<OsString>,
}

/// What is judged by, known before the command is started.
struct Measure {
    limits: Limits,
    baseline: Option<Baseline>,
}

impl Measure {
    fn of(config: &Config, arguments: &CheckArgs) -> Result<Measure, Failure> {
        let limits = config.check.clone();
        if config.admin.listen.is_none() {
            return Err(Failure::Usage(
                "check needs the admin address, which is off: leave out --admin off".to_owned(),
            ));
        }
        let baseline = match &limits.baseline {
            Some(path) if arguments.update && !baseline::folder_of(path).is_dir() => {
                return Err(Failure::Usage(format!(
                    "baseline {}: there is no such folder",
                    path.display()
                )));
            }
            Some(path) => Baseline::read(path)
                .map_err(|error| Failure::Usage(format!("baseline {}: {error}", path.display())))?,
            None if arguments.update => {
                return Err(Failure::Usage(
                    "--update needs a file: name it with --baseline".to_owned(),
                ));
            }
            None => None,
        };
        Ok(Measure { limits, baseline })
    }
}

/// Runs the command and judges it; answers what to exit with.
pub(super) fn check(arguments: &CheckArgs) -> Result<u8, Failure> {
    let ledger = Arc::new(Ledger::new(UNITS_MAX));
    let wish = Wish {
        command: &arguments.command,
        named: &arguments.named,
        defaults: settings::defaults(),
        sources: arguments.settings.0.sources(),
        page: Page::Named,
        ledger: Some(Arc::clone(&ledger)),
        settle_within: SETTLE_WITHIN,
        interrupted: |exit| match exit {
            0 => INTERRUPTED,
            failed => failed,
        },
    };
    let mut measure = None;
    let outcome = around::run(wish, |config| {
        measure = Some(Measure::of(config, arguments)?);
        Ok(())
    })?;
    let (finished, measure) = match (outcome, measure) {
        (Outcome::NotRun(status), _) => return Ok(status),
        (Outcome::Ended(finished), Some(measure)) => (finished, measure),
        (Outcome::Ended(_), None) => {
            return Err(Failure::Internal("the limits were not read".to_owned()));
        }
    };
    let exit = finished.ran.exit;
    let judged = judged(arguments, &finished, measure, &ledger);
    finished.stop();
    match (exit, judged) {
        // Whatever is said of its queries, a suite that failed has failed.
        (1.., judged) => {
            if let Err(failure) = judged {
                super::complain(&failure.to_string());
            }
            Ok(exit)
        }
        (0, judged) => judged,
    }
}

/// Judges what was seen and tells it everywhere; the status of that.
fn judged(
    arguments: &CheckArgs,
    finished: &Finished,
    measure: Measure,
    ledger: &Ledger,
) -> Result<u8, Failure> {
    let proxy = finished
        .proxy()?
        .ok_or_else(|| Failure::Internal("the admin address is gone".to_owned()))?;
    let Measure { limits, baseline } = measure;
    let checked = Checked::make(&proxy, finished, ledger.read(), &limits, baseline)?;
    for path in &arguments.reports {
        if let Err(failure) = report::write_file(&proxy, Some(&finished.ran), path) {
            super::complain(&failure.to_string());
        }
    }
    let updated = match arguments.update {
        true => Some(update(&checked, &limits)?),
        false => None,
    };
    let status = checked.status(updated.as_ref());
    let page = text::render(&checked, updated.as_ref(), report::layout(&io::stderr()));
    io::stderr().write_all(page.as_bytes())?;
    if let Some(path) = &arguments.markdown {
        write_markdown(path, &markdown::render(&checked, updated.as_ref()))?;
    }
    if let Some(path) = &arguments.junit {
        let xml = junit::render(&checked)
            .map_err(|error| Failure::Internal(format!("cannot make the XML: {error}")))?;
        write(path, |path| std::fs::write(path, &xml))?;
    }
    let on_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    if arguments.github.unwrap_or(on_github) && updated.is_none() {
        io::stdout().write_all(github::render(&checked).as_bytes())?;
    }
    Ok(status)
}

/// Writes the baseline anew, unless what was seen is not all.
fn update(checked: &Checked, limits: &Limits) -> Result<Updated, Failure> {
    let path = limits.baseline.clone().unwrap_or_default();
    if !checked.is_whole() {
        return Ok(Updated { path, change: None });
    }
    let (baseline, change) = checked.updated();
    write(&path, |path| baseline.write(path))?;
    Ok(Updated {
        path,
        change: Some(change),
    })
}

/// What `--update` did.
struct Updated {
    path: PathBuf,
    /// `None` where not all was seen, or the command failed: the file is as it was.
    change: Option<verdict::Change>,
}

/// A job's summary has other parts too; a comment is this one alone.
fn write_markdown(path: &Path, text: &str) -> Result<(), Failure> {
    let is_summary = std::env::var_os("GITHUB_STEP_SUMMARY").is_some_and(|summary| summary == path);
    write(path, |path| {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .append(is_summary)
            .truncate(!is_summary)
            .open(path)?;
        file.write_all(text.as_bytes())
    })
}

fn write(path: &Path, act: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Failure> {
    act(path).map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
}
