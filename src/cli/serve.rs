//! `serve` and `check-config`: settings to a checked configuration, and on to [`crate::app`].

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::Failure;
use super::settings::Settings;
use crate::config::{Config, LogLevel};
use crate::fault::{Fault, Faults};

/// `pgprism serve`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every key of the file has an environment variable too; docs/configuration.md lists them.\n\n\
    Examples:\n  pgprism serve --upstream postgres://127.0.0.1:5432\n  \
    pgprism serve --listen 127.0.0.1:7000 --upstream 'postgres:///?host=/run/postgresql'\n  \
    pgprism serve --config config/pgprism.toml --slow-log slow.log --slow-query-threshold 250ms"
)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    settings: Settings,
    /// Something that goes wrong on purpose; CONTRIBUTING.md lists what there is
    #[arg(
        long = "fault",
        value_name = "FAULT",
        env = "PGPRISM_FAULT",
        value_delimiter = ',',
        hide = true
    )]
    faults: Vec<Fault>,
}

/// `pgprism check-config`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pgprism check-config config/pgprism.toml\n  \
    PGPRISM_SLOW_QUERY_THRESHOLD=1s pgprism check-config --upstream postgres://db:5432"
)]
pub(super) struct CheckConfigArgs {
    /// Configuration file, as with --config
    #[arg(value_name = "FILE", conflicts_with = "config")]
    path: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn serve(arguments: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(arguments.settings.sources())?;
    write_logs(config.log_level);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let faults: Faults = arguments.faults.iter().copied().collect();
    for fault in faults.iter() {
        tracing::warn!("fault injected: {fault}");
    }
    Ok(crate::app::serve(config, &faults)?)
}

/// Sends pgprism's own log to stderr, coloured for a person only.
pub(super) fn write_logs(level: LogLevel) {
    let colours = io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let others = match level {
        LogLevel::Off => LogLevel::Off,
        _ => LogLevel::Warn,
    };
    let filter = EnvFilter::new(format!("{},pgprism={}", others.as_str(), level.as_str()));
    // A second call in one process (tests do it) keeps the first one's settings.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
}

pub(super) fn check_config(
    arguments: &CheckConfigArgs,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut settings = arguments.settings.clone();
    settings.file = arguments.path.clone().or(settings.file);
    let config = Config::load(settings.sources())?;
    for warning in config.warnings() {
        super::complain(&format!("warning: {warning}"));
    }
    match &config.sources.file {
        Some(file) => writeln!(out, "{} is valid:", file.display())?,
        None => writeln!(
            out,
            "The settings are valid (no configuration file was named):"
        )?,
    }
    for listener in &config.listeners {
        let observed = match config.observe && listener.observe {
            true => "observed",
            false => "not observed",
        };
        let (name, listen, upstream) = (&listener.name, listener.listen, &listener.upstream);
        writeln!(
            out,
            "  listener {name} on {listen} leads to {upstream}, {observed}"
        )?;
    }
    match config.admin.listen {
        Some(address) => writeln!(out, "  admin on http://{address}")?,
        None => writeln!(out, "  admin is off")?,
    }
    Ok(())
}
