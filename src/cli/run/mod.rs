//! `run`: a command with the proxy before its database, for as long as it runs, and what was seen at its end.
//!
//! ```text
//!  environment ─► what leads to PostgreSQL ─► a listener for each server, in this process ([`crate::app::Service`])
//!       └─► changed ─► the command: its stdin, stdout, stderr, signals and exit status are what they would be
//!                         its end ─► all of it is analysed ─► the report on stderr
//! ```
//!
//! All but the report is [`around`], which `check` does too.

pub(super) mod around;
mod browser;
mod child;
mod environment;
pub(super) mod settings;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::report::{self, Format};
use around::{Finished, Outcome, Page, Wish};
use settings::RunSettings;

/// Longest wait for the analysis to see what came last.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);

/// How the report on stderr says that there is more.
const REST: &str = "pgprism run --report report.html";

/// `pgprism run`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "DATABASE_URL, the variables named with --env, and PGHOST, PGPORT or PGSERVICE lead the command to pgprism \
    instead of PostgreSQL; what leads where is printed. The exit status is the command's.\n\n\
    Examples:\n  pgprism run -- python manage.py runserver\n  \
    pgprism run --report report.html -- pytest\n  \
    pgprism run --env DATABASE_REPLICA_URL --add-latency 2ms -- gunicorn shop.wsgi\n  \
    pgprism run --upstream postgres://127.0.0.1:5432 --listen 127.0.0.1:6433 -- ./manage.py test"
)]
pub(super) struct RunArgs {
    /// Variable with a further database's URL, such as DATABASE_REPLICA_URL; 'DATABASE_*_URL' names all of them
    #[arg(long = "env", value_name = "NAME")]
    named: Vec<String>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Write the report into a file at the end: .html, .md, .json, .txt or .log
    #[arg(long = "report", value_name = "FILE", value_parser = report_file)]
    reports: Vec<PathBuf>,
    /// What the report on stderr is written as; lines suit a log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: RunSettings,
    /// What to run, with its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        value_hint = clap::ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
}

/// A file whose ending says what kind of report it is.
pub(super) fn report_file(path: &str) -> Result<PathBuf, String> {
    match Format::of(path.as_ref()) {
        Ok(_) => Ok(path.into()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Runs the command; answers what to exit with.
pub(super) fn run(arguments: &RunArgs) -> Result<u8, Failure> {
    let wish = Wish {
        command: &arguments.command,
        named: &arguments.named,
        defaults: settings::defaults(),
        sources: arguments.settings.0.sources(),
        page: match arguments.open {
            true => Page::Open,
            false => Page::Named,
        },
        ledger: None,
        settle_within: SETTLE_WITHIN,
        interrupted: |exit| exit,
    };
    match around::run(wish, |_| Ok(()))? {
        Outcome::NotRun(status) => Ok(status),
        Outcome::Ended(finished) => {
            report(arguments, &finished);
            let exit = finished.ran.exit;
            finished.stop();
            Ok(exit)
        }
    }
}

/// Prints the report and writes its files. What goes wrong is said; the exit status stays the command's.
fn report(arguments: &RunArgs, finished: &Finished) {
    let proxy = match finished.proxy() {
        Ok(Some(proxy)) => proxy,
        Ok(None) => return super::complain("no report: the admin address is off"),
        Err(error) => return super::complain(&format!("no report: {error}")),
    };
    let ran = &finished.ran;
    let format = arguments.format;
    if let Err(failure) = report::after_run(&proxy, ran, format, REST, &mut io::stderr()) {
        super::complain(&format!("no report: {failure}"));
    }
    for path in &arguments.reports {
        if let Err(failure) = report::write_file(&proxy, Some(ran), path) {
            super::complain(&failure.to_string());
        }
    }
}
