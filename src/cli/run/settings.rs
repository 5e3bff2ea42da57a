//! The flags of `serve`, with what `run` assumes instead.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::environment::Server;
use crate::cli::settings::Settings;
use crate::config::{Config, Listener, LogLevel, Tls};
use crate::export::slow_log::Destination;

/// A free port of this machine alone.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long idle sessions of processes that the command left behind may stay.
const IDLE_GRACE: Duration = Duration::from_millis(100);

/// More than one command has, and few enough for the files that a process may open.
const CONNECTIONS_MAX: usize = 1000;

/// The settings of [`Settings`], whose help names `run`'s own defaults.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct RunSettings(pub(super) Settings);

/// Flags whose default is another one here, and what their help says.
const HELP: [(&str, &str); 6] = [
    (
        "listen",
        "Address that the command connects to [default: a free port]",
    ),
    (
        "upstream",
        "Where PostgreSQL is; wins over what the environment says. Host, port and libpq's ssl parameters, no user, \
         password or database",
    ),
    (
        "admin",
        "Address of the page, metrics and API, or off [default: a free port]",
    ),
    (
        "log-level",
        "pgprism's own log on stderr: off, error, warn, info, debug, trace [default: warn]",
    ),
    (
        "slow-log",
        "File of the slow-query log, or off; stdout is the command's [default: off]",
    ),
    (
        "tls",
        "TLS towards the command: it connects over loopback and is told sslmode=disable [default: off]",
    ),
];

impl Args for RunSettings {
    fn augment_args(command: Command) -> Command {
        let mut command = Settings::augment_args(command);
        for (flag, help) in HELP {
            command = command.mut_arg(flag, |arg| arg.help(help));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        RunSettings::augment_args(command)
    }
}

impl FromArgMatches for RunSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RunSettings, clap::Error> {
        Settings::from_arg_matches(matches).map(RunSettings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = RunSettings::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What stands where nobody says otherwise: quiet, on free ports, nothing on stdout.
pub(in crate::cli) fn defaults() -> Config {
    let mut config = Config {
        log_level: LogLevel::Warn,
        listeners: vec![listener(Listener::default())],
        ..Config::default()
    };
    config.admin.listen = Some(ANY_PORT);
    config.slow_log.path = Destination::Off;
    config.limits.connections_max = CONNECTIONS_MAX;
    config.timeouts.drain_idle_grace = IDLE_GRACE;
    config
}

/// Puts the listeners that the environment asks for in the place of the file's.
pub(super) fn listen_for(servers: &[Server], config: &mut Config) {
    if servers.is_empty() {
        return;
    }
    let of = |server: &Server| {
        listener(Listener {
            name: server.name.clone(),
            upstream: server.upstream.clone(),
            ..Listener::default()
        })
    };
    config.listeners = servers.iter().map(of).collect();
}

fn listener(listener: Listener) -> Listener {
    Listener {
        listen: ANY_PORT,
        tls: Tls::Off,
        ..listener
    }
}

/// stdout is the command's.
pub(super) fn leave_stdout_alone(config: &mut Config) {
    if config.slow_log.path == Destination::Stdout {
        config.slow_log.path = Destination::Off;
    }
}
