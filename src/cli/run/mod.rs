//! `run`: a command with the proxy before its database, for as long as it runs, and what was seen at its end.
//!
//! ```text
//!  environment ─► what leads to PostgreSQL ─► a listener for each server, in this process ([`crate::app::Service`])
//!       └─► changed ─► the command: its stdin, stdout, stderr, signals and exit status are what they would be
//!                         its end ─► all of it is analysed ─► the report on stderr
//! ```

mod browser;
mod child;
mod environment;
mod settings;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::client::Proxy;
use super::report::seen::Ran;
use super::report::{self, Format};
use super::serve::write_logs;
use crate::app::{Service, Settled};
use crate::clock::Clock;
use crate::config::{Config, Sources, Upstream};
use crate::event::Moment;
use crate::fault::Faults;
use child::{Child, OpenFiles, Signals};
use environment::{Changes, Plan, Variables};
use settings::RunSettings;

/// Longest wait for the analysis to see what came last.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);

/// Longest wait for the sessions of processes that the command left behind.
const LEFT_BEHIND_WITHIN: Duration = Duration::from_millis(500);

/// Where the command finds the admin address, and the file of its token.
const ADMIN_URL_VARIABLE: &str = "PGPRISM_ADMIN_URL";
const TOKEN_FILE_VARIABLE: &str = "PGPRISM_TOKEN_FILE";

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
fn report_file(path: &str) -> Result<PathBuf, String> {
    match Format::of(path.as_ref()) {
        Ok(_) => Ok(path.into()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Runs the command; answers what to exit with.
pub(super) fn run(arguments: &RunArgs) -> Result<u8, Failure> {
    let files = OpenFiles::now();
    let mut signals = Signals::listen()
        .map_err(|error| Failure::Internal(format!("cannot listen for signals: {error}")))?;
    let variables = Variables::of_this_process();
    let sources = arguments.settings.0.sources();
    let plan = Plan::make(
        &variables,
        &arguments.named,
        given_upstream(&sources).as_ref(),
    )
    .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut config = Config::load_over(settings::defaults(), sources, |config| {
        settings::listen_for(&plan.servers, config);
    })?;
    settings::leave_stdout_alone(&mut config);
    write_logs(config.log_level);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let token = config.admin.token.as_ref().map(|token| token.0.clone());
    let token_file = config.admin.token_file.clone();
    let service = Service::start(config, &Faults::default())?;
    if let Some(signal) = signals.ending() {
        service.stop(Duration::ZERO);
        return Ok(child::Ended::Killed(signal).exit_status());
    }
    let running = Running {
        arguments,
        service,
        token,
        token_file,
    };
    running.run_command(&plan, &variables, signals, files)
}

/// What `--upstream` or its variable say: it is needed before the configuration is read.
fn given_upstream(sources: &Sources) -> Option<Upstream> {
    // The configuration's own reading says what is wrong with it, and where it was given.
    sources.words("listeners.upstream")?.trim().parse().ok()
}

/// A proxy that serves the command.
struct Running<'a> {
    arguments: &'a RunArgs,
    service: Service,
    token: Option<String>,
    token_file: Option<PathBuf>,
}

impl Running<'_> {
    fn run_command(
        self,
        plan: &Plan,
        variables: &Variables,
        mut signals: Signals,
        files: OpenFiles,
    ) -> Result<u8, Failure> {
        let listeners: Vec<SocketAddr> = self
            .service
            .listeners()
            .iter()
            .map(|(_, address)| *address)
            .collect();
        let mut changes = plan.change(variables, &listeners).map_err(|error| {
            Failure::Internal(format!("cannot write the command's private files: {error}"))
        })?;
        changes.variables.extend(self.whom_to_ask());
        self.announce(plan, &changes);
        let clock = Clock::start();
        let command = &self.arguments.command;
        let child = match Child::spawn(command, &changes.variables, files) {
            Ok(child) => child,
            Err(error) => {
                super::complain(&error.to_string());
                self.service.stop(Duration::ZERO);
                return Ok(error.exit_status());
            }
        };
        let ended = child.wait(&mut signals);
        let wall = Duration::from_nanos(clock.now().since(Moment(0)));
        // The private files go first: from here on a signal ends the process at once.
        drop(changes);
        let exit = ended.exit_status();
        if let Err(error) = signals.end_process(exit) {
            tracing::warn!(%error, "signals are not heard any more");
        }
        let settled = self.service.settle(SETTLE_WITHIN);
        self.report(&Ran {
            command: in_words(command),
            wall,
            exit,
        });
        let left_behind = match settled {
            Settled::All => Duration::ZERO,
            Settled::NotAll => LEFT_BEHIND_WITHIN,
        };
        self.service.stop(left_behind);
        Ok(exit)
    }

    /// The variables by which the command, its tests for instance, can ask what was seen of it.
    fn whom_to_ask(&self) -> [(String, Option<String>); 2] {
        let address = self.service.admin().map(reachable);
        let url = address.map(|address| format!("http://{address}"));
        let token_file = self.token_file.as_ref().map(|path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            path.to_string_lossy().into_owned()
        });
        let token_file = token_file.or_else(|| std::env::var(TOKEN_FILE_VARIABLE).ok());
        [
            (ADMIN_URL_VARIABLE.to_owned(), url),
            (TOKEN_FILE_VARIABLE.to_owned(), token_file),
        ]
    }

    /// Where everything is, one line each.
    fn announce(&self, plan: &Plan, changes: &Changes) {
        for line in plan.hints.iter().chain(&changes.lines) {
            super::complain(line);
        }
        if plan.is_empty() {
            self.say_what_to_change();
        }
        let Some(admin) = self.service.admin() else {
            if self.arguments.open {
                super::complain("--open: there is no page, the admin address is off");
            }
            return;
        };
        let page = format!("http://{}/", reachable(admin));
        super::complain(&format!("see {page} while it runs"));
        if self.arguments.open
            && let Err(error) = browser::open(&page)
        {
            super::complain(&format!("--open: no browser opens {page}: {error}"));
        }
    }

    /// For settings that do not read the environment.
    fn say_what_to_change(&self) {
        super::complain(
            "nothing in the environment leads to PostgreSQL: DATABASE_URL, PGHOST and PGSERVICE are not set",
        );
        super::complain("settings that name the server themselves need these two lines:");
        for (name, address) in self.service.listeners() {
            let address = reachable(*address);
            super::complain(&format!(
                "  DATABASES[\"{name}\"][\"HOST\"] = \"{}\"",
                address.ip()
            ));
            super::complain(&format!(
                "  DATABASES[\"{name}\"][\"PORT\"] = \"{}\"",
                address.port()
            ));
        }
    }

    /// Prints the report and writes its files. What goes wrong is said; the exit status stays the command's.
    fn report(&self, ran: &Ran) {
        let Some(admin) = self.service.admin() else {
            super::complain("no report: the admin address is off");
            return;
        };
        let proxy = match Proxy::new(&reachable(admin).to_string(), self.token.clone()) {
            Ok(proxy) => proxy,
            Err(error) => return super::complain(&format!("no report: {error}")),
        };
        let format = self.arguments.format;
        if let Err(failure) = report::after_run(&proxy, ran, format, REST, &mut io::stderr()) {
            super::complain(&format!("no report: {failure}"));
        }
        for path in &self.arguments.reports {
            if let Err(failure) = report::write_file(&proxy, Some(ran), path) {
                super::complain(&failure.to_string());
            }
        }
    }
}

/// Where a listener is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let (ip, port) = environment::reachable(address);
    SocketAddr::new(ip, port)
}

/// The command as it would be typed.
fn in_words(command: &[OsString]) -> String {
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
