//! The command as a process: its start, the signals that are passed on to it, its end.
//!
//! It stays in pgprism's process group, as behind `env` or `nice`: a shell's pipe and job control see one job. So what a
//! terminal sends, Ctrl-C for one, has reached the command already and is not passed on; what a process sent to pgprism
//! alone is. The system tells which of the two a signal was.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::raw::c_int;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use signal_hook::consts::signal::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// What is heard of and passed on. The end of a child is heard of too.
const PASSED_ON: [c_int; 9] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT,
];

/// What ends pgprism while there is no command to end, or no longer one.
const ENDING: [c_int; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// Why there is no command.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    #[error("{0}: command not found")]
    NotFound(String),
    #[error("{command}: cannot be run: {source}")]
    NotExecutable { command: String, source: io::Error },
}

impl SpawnError {
    /// What a shell would exit with.
    pub(super) fn exit_status(&self) -> u8 {
        match self {
            SpawnError::NotFound(_) => 127,
            SpawnError::NotExecutable { .. } => 126,
        }
    }
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(i32),
    Killed(Signal),
}

impl Ended {
    /// What a shell would exit with.
    pub(super) fn exit_status(self) -> u8 {
        match self {
            // The system keeps these eight bits of it.
            Ended::Exited(status) => (status & 0xff) as u8,
            Ended::Killed(signal) => (128 + signal as i32) as u8,
        }
    }
}

/// The signals of this process from now on: none of them ends it.
pub(super) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// Those that somebody has this process ignore stay ignored, here and in the command.
    pub(super) fn listen() -> io::Result<Signals> {
        let ignored = ignored();
        let heard = PASSED_ON
            .into_iter()
            .filter(|signal| ignored & (1 << (signal - 1)) == 0)
            .chain([SIGCHLD]);
        Ok(Signals(SignalsInfo::new(heard)?))
    }

    /// The signal that ends pgprism, if one has come already.
    pub(super) fn ending(&mut self) -> Option<Signal> {
        let mut pending = self.0.pending().map(|origin| origin.signal);
        pending
            .find(|signal| ENDING.contains(signal))
            .and_then(|signal| Signal::try_from(signal).ok())
    }

    /// Ends this process with `status` as soon as one of the ending signals comes.
    pub(super) fn end_process(mut self, status: u8) -> io::Result<()> {
        std::thread::Builder::new()
            .name("pgprism-signals".to_owned())
            .spawn(move || {
                if self
                    .0
                    .forever()
                    .any(|origin| ENDING.contains(&origin.signal))
                {
                    std::process::exit(i32::from(status));
                }
            })
            .map(drop)
    }
}

/// The signals that this process ignores, one bit each, as `nohup` and the like have it.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// How many files this process may open; the proxy raises that, and the command shall not notice.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenFiles(Option<(u64, u64)>);

impl OpenFiles {
    pub(super) fn now() -> OpenFiles {
        OpenFiles(getrlimit(Resource::RLIMIT_NOFILE).ok())
    }

    /// Does something under this limit. Nothing that needs many files may go on meanwhile.
    fn within<T>(self, act: impl FnOnce() -> T) -> T {
        let raised = getrlimit(Resource::RLIMIT_NOFILE);
        let set = |limits: Option<(u64, u64)>| {
            if let Some((soft, hard)) = limits {
                // What was allowed before is allowed now.
                let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
            }
        };
        set(self.0);
        let done = act();
        set(raised.ok());
        done
    }
}

/// The command while it runs.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
}

impl Child {
    /// Starts the command with stdin, stdout and stderr as they are, and its variables changed.
    pub(super) fn spawn(
        command: &[OsString],
        variables: &BTreeMap<String, Option<String>>,
        files: OpenFiles,
    ) -> Result<Child, SpawnError> {
        let (program, arguments) = command.split_first().unwrap_or((&NOTHING, &[]));
        let mut to_run = Command::new(program);
        to_run.args(arguments);
        for (name, value) in variables {
            match value {
                Some(value) => to_run.env(name, value),
                None => to_run.env_remove(name),
            };
        }
        let shown = || program.to_string_lossy().into_owned();
        match files.within(|| to_run.spawn()) {
            // It is waited for by its number, together with whatever else ends.
            Ok(child) => Ok(Child {
                pid: Pid::from_raw(child.id().cast_signed()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SpawnError::NotFound(shown()))
            }
            Err(source) => Err(SpawnError::NotExecutable {
                command: shown(),
                source,
            }),
        }
    }

    /// Waits for its end and passes signals on. What it leaves behind, daemons for instance, is not waited for.
    pub(super) fn wait(&self, signals: &mut Signals) -> Ended {
        loop {
            for origin in signals.0.wait() {
                self.hear(&origin);
            }
            if let Some(ended) = self.ended() {
                // What came with its end is not meant for what comes after it.
                signals.0.pending().for_each(drop);
                return ended;
            }
        }
    }

    fn hear(&self, origin: &Origin) {
        let Ok(signal) = Signal::try_from(origin.signal) else {
            return;
        };
        if signal == Signal::SIGCHLD {
            return;
        }
        if is_of_a_process(origin) {
            // It may have ended just now.
            let _ = kill(self.pid, signal);
        }
        if signal == Signal::SIGTSTP {
            // The job stops as a whole, and the shell takes the terminal back. Without this the proxy would go on alone.
            let _ = kill(Pid::this(), Signal::SIGSTOP);
        }
    }

    /// Its end, if it has come. Whatever else has ended is forgotten: as the first process of a container this one is
    /// the parent of all orphans.
    fn ended(&self) -> Option<Ended> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) if pid == self.pid => {
                    return Some(Ended::Exited(status));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.pid => {
                    return Some(Ended::Killed(signal));
                }
                Ok(WaitStatus::StillAlive) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                // Somebody else has waited for it; nobody knows how it ended.
                Err(_) => return Some(Ended::Exited(0)),
            }
        }
    }
}

/// What stands for a command without words; clap does not let it come to that.
static NOTHING: std::sync::LazyLock<OsString> = std::sync::LazyLock::new(OsString::new);

/// Whether a process sent it, and not the terminal. What is sent from outside of a container has no sender's number.
fn is_of_a_process(origin: &Origin) -> bool {
    match origin.cause {
        Cause::Kernel => false,
        Cause::Sent(_) => true,
        _ => origin.process.is_some_and(|process| process.pid != 0),
    }
}
