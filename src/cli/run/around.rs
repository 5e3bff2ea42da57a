//! A command with the proxy before its database: its start, its life and its end, for whoever tells of what was seen.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::browser;
use super::child::{self, Child, OpenFiles, Signals};
use super::environment::{self, Changes, Plan, Variables};
use super::settings;
use crate::analysis::Ledger;
use crate::app::{Service, Settled};
use crate::cli::client::{ClientError, Proxy};
use crate::cli::report::seen::Ran;
use crate::cli::serve::write_logs;
use crate::cli::{Failure, complain};
use crate::clock::Clock;
use crate::config::{Config, Sources, Upstream};
use crate::event::Moment;
use crate::fault::Faults;

/// Longest wait for the sessions of processes that the command left behind.
const LEFT_BEHIND_WITHIN: Duration = Duration::from_millis(500);

/// Where the command finds the admin address, and the file of its token.
const ADMIN_URL_VARIABLE: &str = "PGPRISM_ADMIN_URL";
const TOKEN_FILE_VARIABLE: &str = "PGPRISM_TOKEN_FILE";

/// What is to run, and how.
pub(in crate::cli) struct Wish<'a> {
    pub(in crate::cli) command: &'a [OsString],
    /// Variables with further databases' URLs.
    pub(in crate::cli) named: &'a [String],
    pub(in crate::cli) defaults: Config,
    pub(in crate::cli) sources: Sources,
    pub(in crate::cli) page: Page,
    /// Where all units are written down.
    pub(in crate::cli) ledger: Option<Arc<Ledger>>,
    /// Longest wait for the analysis to see what came last.
    pub(in crate::cli) settle_within: Duration,
    /// What a signal makes of the command's exit status, once that is known.
    pub(in crate::cli) interrupted: fn(u8) -> u8,
}

/// Whether the page is opened in the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Page {
    Open,
    Named,
}

/// What became of it.
pub(in crate::cli) enum Outcome {
    /// The command ran and ended.
    Ended(Box<Finished>),
    /// It could not be run, or pgprism was told to end before: what to exit with.
    NotRun(u8),
}

/// A command that has ended, and the proxy that saw it.
pub(in crate::cli) struct Finished {
    pub(in crate::cli) ran: Ran,
    pub(in crate::cli) settled: Settled,
    service: Service,
    token: Option<String>,
}

impl Finished {
    /// Where it can be asked what was seen; `None` where the admin address is off.
    pub(in crate::cli) fn proxy(&self) -> Result<Option<Proxy>, ClientError> {
        self.service
            .admin()
            .map(|admin| Proxy::new(&reachable(admin).to_string(), self.token.clone()))
            .transpose()
    }

    /// Ends the proxy. Sessions of processes that were left behind get a moment.
    pub(in crate::cli) fn stop(self) {
        self.service.stop(match self.settled {
            Settled::All => Duration::ZERO,
            Settled::NotAll => LEFT_BEHIND_WITHIN,
        });
    }
}

/// Runs the command to its end. `prepare` sees the configuration before anything is started.
pub(in crate::cli) fn run(
    wish: Wish<'_>,
    prepare: impl FnOnce(&Config) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let files = OpenFiles::now();
    let mut signals = Signals::listen()
        .map_err(|error| Failure::Internal(format!("cannot listen for signals: {error}")))?;
    let variables = Variables::of_this_process();
    let Wish {
        command,
        named,
        defaults,
        sources,
        page,
        ledger,
        settle_within,
        interrupted,
    } = wish;
    let plan = Plan::make(&variables, named, given_upstream(&sources).as_ref())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut config = Config::load_over(defaults, sources, |config| {
        settings::listen_for(&plan.servers, config);
    })?;
    settings::leave_stdout_alone(&mut config);
    write_logs(config.log_level);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    prepare(&config)?;
    let token = config.admin.token.as_ref().map(|token| token.0.clone());
    let token_file = config.admin.token_file.clone();
    let service = Service::start(config, &Faults::default(), ledger)?;
    if let Some(signal) = signals.ending() {
        service.stop(Duration::ZERO);
        return Ok(Outcome::NotRun(child::Ended::Killed(signal).exit_status()));
    }
    let listeners: Vec<SocketAddr> = service
        .listeners()
        .iter()
        .map(|(_, address)| *address)
        .collect();
    let mut changes = plan.change(&variables, &listeners).map_err(|error| {
        Failure::Internal(format!("cannot write the command's private files: {error}"))
    })?;
    changes.variables.extend(whom_to_ask(&service, token_file));
    announce(&service, &plan, &changes, page);
    let clock = Clock::start();
    let child = match Child::spawn(command, &changes.variables, files) {
        Ok(child) => child,
        Err(error) => {
            complain(&error.to_string());
            service.stop(Duration::ZERO);
            return Ok(Outcome::NotRun(error.exit_status()));
        }
    };
    let ended = child.wait(&mut signals);
    let wall = Duration::from_nanos(clock.now().since(Moment(0)));
    // The private files go first: from here on a signal ends the process at once.
    drop(changes);
    let exit = ended.exit_status();
    if let Err(error) = signals.end_process(interrupted(exit)) {
        tracing::warn!(%error, "signals are not heard any more");
    }
    Ok(Outcome::Ended(Box::new(Finished {
        settled: service.settle(settle_within),
        ran: Ran {
            command: in_words(command),
            wall,
            exit,
        },
        service,
        token,
    })))
}

/// What `--upstream` or its variable say: it is needed before the configuration is read.
fn given_upstream(sources: &Sources) -> Option<Upstream> {
    // The configuration's own reading says what is wrong with it, and where it was given.
    sources.words("listeners.upstream")?.trim().parse().ok()
}

/// The variables by which the command, its tests for instance, can ask what was seen of it.
fn whom_to_ask(service: &Service, token_file: Option<PathBuf>) -> [(String, Option<String>); 2] {
    let address = service.admin().map(reachable);
    let url = address.map(|address| format!("http://{address}"));
    let token_file = token_file.map(|path| {
        let path = std::path::absolute(&path).unwrap_or(path);
        path.to_string_lossy().into_owned()
    });
    let token_file = token_file.or_else(|| std::env::var(TOKEN_FILE_VARIABLE).ok());
    [
        (ADMIN_URL_VARIABLE.to_owned(), url),
        (TOKEN_FILE_VARIABLE.to_owned(), token_file),
    ]
}

/// Where everything is, one line each.
fn announce(service: &Service, plan: &Plan, changes: &Changes, page: Page) {
    for line in plan.hints.iter().chain(&changes.lines) {
        complain(line);
    }
    if plan.is_empty() {
        say_what_to_change(service);
    }
    let Some(admin) = service.admin() else {
        if page == Page::Open {
            complain("--open: there is no page, the admin address is off");
        }
        return;
    };
    let url = format!("http://{}/", reachable(admin));
    complain(&format!("see {url} while it runs"));
    if page == Page::Open
        && let Err(error) = browser::open(&url)
    {
        complain(&format!("--open: no browser opens {url}: {error}"));
    }
}

/// For settings that do not read the environment.
fn say_what_to_change(service: &Service) {
    complain(
        "nothing in the environment leads to PostgreSQL: DATABASE_URL, PGHOST and PGSERVICE are not set",
    );
    complain("settings that name the server themselves need these two lines:");
    for (name, address) in service.listeners() {
        let address = reachable(*address);
        complain(&format!(
            "  DATABASES[\"{name}\"][\"HOST\"] = \"{}\"",
            address.ip()
        ));
        complain(&format!(
            "  DATABASES[\"{name}\"][\"PORT\"] = \"{}\"",
            address.port()
        ));
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
