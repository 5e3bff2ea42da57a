//! The command line: `run`, `check`, `serve`, `check-config`, `fingerprint`, `report`, `top`, `completions`, `man`.
//!
//! What was typed becomes what it means: a [`crate::config::Config`] or a question to a running proxy. Exit status: 0
//! done, 1 `check` found something, 64 bad usage or configuration, 69 something needed is not available, 70 our own fault. A reader that went
//! away (a broken pipe) is no failure.
//!
//! *Architecture invariant:* nothing below this module prints to stdout, except a slow log that was told to.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use client::ClientError;

mod check;
pub mod client;
mod completions;
mod fingerprint;
mod man;
pub mod report;
mod run;
mod serve;
pub mod settings;
mod top;

/// What `pgprism` is asked to do.
#[derive(Debug, Parser)]
#[command(
    name = "pgprism",
    version,
    about = "See what Django's ORM really sends to PostgreSQL, without touching either",
    after_help = "Examples:\n  pgprism run -- python manage.py runserver\n  pgprism check -- pytest\n  pgprism serve --upstream postgres://127.0.0.1:5432\n  \
                  then point DATABASE_URL at 127.0.0.1:6433, and read: pgprism report",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command with the proxy before its database, and print what was seen at its end
    Run(run::RunArgs),
    /// Run a command, its tests mostly, and fail where its queries bring something new or too much
    Check(check::CheckArgs),
    /// Run the proxy until SIGTERM or Ctrl-C
    Serve(serve::ServeArgs),
    /// Say whether a configuration is valid, without starting anything
    CheckConfig(serve::CheckConfigArgs),
    /// Print the fingerprint and normalised text of statements
    Fingerprint(fingerprint::FingerprintArgs),
    /// Print what a running proxy has seen: where the time went, the query shapes that took it
    Report(report::ReportArgs),
    /// Watch a running proxy in the terminal: findings, query shapes, requests, connections
    Top(top::TopArgs),
    /// Print what a shell needs to complete these commands and their flags
    #[command(alias = "generate-shell-completion")]
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    Man(man::ManArgs),
}

/// Why a command failed, and so its exit status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What was typed or configured is wrong: 64.
    #[error("{0}")]
    Usage(String),
    /// The proxy could not start, or ended by its own fault: 69 or 70.
    #[error(transparent)]
    App(#[from] crate::app::AppError),
    /// The running proxy could not be asked: 69, or 64 where the question was wrong.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Our own fault: 70.
    #[error("{0}")]
    Internal(String),
    /// Output could not be written: 70, or success when the reader went away.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl Failure {
    fn exit_status(&self) -> u8 {
        match self {
            Failure::Usage(_) => 64,
            Failure::App(error) => error.exit_status(),
            Failure::Client(ClientError::Unreachable { .. } | ClientError::Foreign { .. }) => 69,
            Failure::Client(
                ClientError::NotAnAddress(_)
                | ClientError::Token { .. }
                | ClientError::Refused { .. },
            ) => 64,
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Internal(_) | Failure::Output(_) => 70,
        }
    }
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let command = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command,
        Err(error) => return refuse(&error),
    };
    let done = match command {
        Command::Run(arguments) => match run::run(&arguments) {
            Ok(status) => return status,
            Err(failure) => Err(failure),
        },
        Command::Check(arguments) => match check::check(&arguments) {
            Ok(status) => return status,
            Err(failure) => Err(failure),
        },
        Command::Top(arguments) => match top::top(&arguments) {
            Ok(status) => return status,
            Err(failure) => Err(failure),
        },
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Fingerprint(arguments) => {
            fingerprint::fingerprint(&arguments, &mut io::BufWriter::new(io::stdout().lock()))
        }
        Command::Report(arguments) => report::report(&arguments, &mut io::stdout().lock()),
        Command::CheckConfig(arguments) => {
            serve::check_config(&arguments, &mut io::stdout().lock())
        }
        Command::Completions(arguments) => {
            completions::completions(&arguments, &mut io::stdout().lock())
        }
        Command::Man(arguments) => man::man(&arguments, &mut io::stdout().lock()),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            let status = failure.exit_status();
            if status != 0 {
                complain(&failure.to_string());
            }
            status
        }
    }
}

/// One line on stderr; when even that cannot be written, there is nobody left to tell.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "pgprism: {line}");
}

/// Answers what clap did not turn into a command: help, a version, or a mistake.
fn refuse(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            64
        }
        _ => {
            complain(&one_line(&error.render().to_string()));
            64
        }
    }
}

/// clap's message of several paragraphs as one line: what is wrong, its tips, and where to read on.
fn one_line(rendered: &str) -> String {
    let mut parts = Vec::new();
    let mut help = "pgprism --help".to_owned();
    for line in rendered
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            let command: Vec<&str> = usage
                .split(' ')
                .take_while(|word| !word.starts_with(['[', '<', '-']))
                .collect();
            help = format!("{} --help", command.join(" "));
        } else if !line.starts_with("For more information") {
            parts.push(line.strip_prefix("error: ").unwrap_or(line).to_owned());
        }
    }
    format!("{}; see {help}", parts.join(" "))
}

/// The command line as clap knows it: for the tests that compare it with the documentation.
pub fn command() -> clap::Command {
    Cli::command()
}
