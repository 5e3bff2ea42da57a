//! `pgprism run` from outside: the command is what it would be without it, but for where its database is.

#![allow(
    clippy::disallowed_methods,
    reason = "waits for running programs with a deadline"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

/// `pgprism run ARGUMENTS` in an environment that leads nowhere.
fn pgprism(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("pgprism"));
    command.env_clear();
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.arg("run").args(arguments);
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = status.code().expect("no signal ended pgprism");
    (status, text(stdout), text(stderr))
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    output(&mut pgprism(arguments))
}

#[test]
fn the_exit_status_is_the_commands() {
    for (script, expected) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let (status, stdout, stderr) = run(&["--", "sh", "-c", script]);
        assert_eq!(
            (status, stdout.as_str()),
            (expected, ""),
            "{script}: {stderr}"
        );
    }
}

#[test]
fn a_command_that_cannot_run_is_what_a_shell_says() {
    let (status, stdout, stderr) = run(&["--", "no-such-command", "x"]);
    assert_eq!((status, stdout.as_str()), (127, ""));
    assert!(
        stderr.contains("pgprism: no-such-command: command not found"),
        "{stderr}"
    );
    let (status, _, stderr) = run(&["--", "/etc/passwd"]);
    assert_eq!(status, 126);
    assert!(stderr.contains("/etc/passwd: cannot be run"), "{stderr}");
}

#[test]
fn stdin_and_stdout_are_the_commands_alone() {
    let mut child = pgprism(&["--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a\0b\nc").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"a\0b\nc");
    assert_eq!(output.status.code(), Some(0));
    let (status, stdout, stderr) = run(&["--", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((status, stdout.as_str()), (0, "out\n"));
    assert!(stderr.contains("\nerr\n"), "{stderr}");
}

#[test]
fn arguments_are_passed_on_as_they_are() {
    let words = ["--", "printf", "%s|", "a b", "--help", "", "*", "-x"];
    assert_eq!(run(&words).1, "a b|--help||*|-x|");
    // The dashes may be left out where the command's name is none of ours.
    assert_eq!(run(&["printf", "%s|", "--help"]).1, "--help|");
}

/// The variables of `env`, as the command sees them.
fn variables(arguments: &[&str], given: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut words = arguments.to_vec();
    words.extend(["--", "env"]);
    let mut command = pgprism(&words);
    command.envs(given.iter().copied());
    let (status, stdout, stderr) = output(&mut command);
    assert_eq!(status, 0, "{stderr}");
    (stdout.lines().map(str::to_owned).collect(), stderr)
}

#[test]
fn the_environment_leads_to_the_proxy() {
    let url = "postgres://u:s3%40cret@db.example/shop?sslmode=require";
    let given = [
        ("DATABASE_URL", url),
        ("DATABASE_REPLICA_URL", "postgis://replica/shop"),
        ("OTHER", "x"),
    ];
    let (seen, stderr) = variables(&["--env", "DATABASE_REPLICA_URL"], &given);
    let value = |name: &str| {
        let line = seen
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name}: {seen:?}"))
            .to_owned()
    };
    let new = value("DATABASE_URL");
    assert!(
        new.starts_with("postgres://u:s3%40cret@127.0.0.1:"),
        "{new}"
    );
    assert!(new.ends_with("/shop?sslmode=disable"), "{new}");
    let replica = value("DATABASE_REPLICA_URL");
    assert!(replica.starts_with("postgis://127.0.0.1:"), "{replica}");
    assert_ne!(
        new.split(':').nth(3).map(|rest| rest.split('/').next()),
        replica.split(':').nth(2).map(|rest| rest.split('/').next()),
        "a listener each"
    );
    assert_eq!(value("OTHER"), "x");
    assert!(
        stderr.contains("pgprism: DATABASE_URL: db.example:5432 -> 127.0.0.1:")
            && stderr.contains("sslmode=require from there on")
            && stderr.contains("(password not shown)")
            && !stderr.contains("cret"),
        "{stderr}"
    );
    assert!(
        stderr.contains("pgprism: see http://127.0.0.1:"),
        "{stderr}"
    );
}

#[test]
fn a_port_that_was_chosen_is_taken() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let (seen, _) = variables(
        &["--listen", &address],
        &[("PGHOST", "db"), ("PGPORT", "6000")],
    );
    let (host, port) = address.split_once(':').unwrap();
    assert!(
        seen.contains(&format!("PGHOST={host}")) && seen.contains(&format!("PGPORT={port}")),
        "{seen:?}"
    );
}

#[test]
fn where_nothing_leads_to_postgres_it_says_what_to_change() {
    let (status, stdout, stderr) = run(&["--", "echo", "done"]);
    assert_eq!((status, stdout.as_str()), (0, "done\n"));
    for words in [
        "nothing in the environment leads to PostgreSQL",
        "DATABASES[\"default\"][\"HOST\"] = \"127.0.0.1\"",
        "DATABASES[\"default\"][\"PORT\"] = \"",
        "No query came through pgprism",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn mistakes_are_told_before_the_command_runs() {
    let (good, bad) = (
        "postgres://u:s3cret@db/shop",
        "postgres://u:s3cret@db:nowhere/shop",
    );
    for (arguments, url, words) in [
        (
            vec!["--env", "NO_SUCH_URL"],
            good,
            "--env NO_SUCH_URL: no such variable",
        ),
        (
            vec!["--report", "report.pdf"],
            good,
            ".html, .md, .json, .txt or .log",
        ),
        (
            vec!["--add-latency", "fast"],
            good,
            "`fast` is not a duration",
        ),
        (
            vec!["--upstream", "postgres://u:p@db"],
            good,
            "listeners.upstream",
        ),
        (vec![], bad, "DATABASE_URL: the port is not a number"),
    ] {
        let mut typed = arguments.clone();
        typed.extend(["--", "echo", "ran"]);
        let (status, stdout, stderr) = output(pgprism(&typed).env("DATABASE_URL", url));
        assert_eq!(
            (status, stdout.as_str()),
            (64, ""),
            "{arguments:?}: {stderr}"
        );
        assert!(
            stderr.contains(words) && !stderr.contains("s3cret"),
            "{arguments:?}: {stderr}"
        );
    }
    assert_eq!(run(&[]).0, 64);
}

/// A shell that says `ready`, then the name of each signal that it gets, and ends at SIGUSR1, or with whoever started it.
const LISTENER: &str = "
    for name in INT TERM HUP QUIT USR2 WINCH; do trap \"echo $name\" $name; done
    trap 'echo USR1; exit 7' USR1
    echo ready
    while kill -0 $PPID; do sleep 0.02; done";

struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    fn of(source: impl Read + Send + 'static) -> Lines {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Lines(told)
    }

    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a line in time")
    }
}

/// A program that does not outlive the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(mut command: Command) -> (Started, Lines) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    (Started(child), lines)
}

fn send(child: &Started, signal: Signal) {
    kill(Pid::from_raw(child.0.id() as i32), signal).unwrap();
}

/// Its exit status, within the test's patience.
fn status_of(child: &mut Started) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "pgprism ends");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_reach_the_command_once_each_and_end_nothing_else() {
    let (mut child, lines) = start(pgprism(&["--", "sh", "-c", LISTENER]));
    assert_eq!(lines.next(), "ready");
    for (signal, name) in [
        (Signal::SIGINT, "INT"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGUSR1, "USR1"),
    ] {
        send(&child, signal);
        assert_eq!(lines.next(), name);
    }
    assert_eq!(status_of(&mut child), Some(7));
    assert!(lines.0.recv().is_err(), "no signal came twice");
}

/// The state of a process as the system has it: `S` sleeping, `T` stopped.
fn state_of(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let behind = stat.rsplit_once(") ").unwrap().1;
    behind.chars().next().unwrap()
}

fn wait_for_state(pid: u32, wanted: impl Fn(char) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(state_of(pid)) {
        assert!(Instant::now() < deadline, "{pid} is {}", state_of(pid));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_stops_and_goes_on_with_the_command() {
    let script = "echo $$; exec sleep 60";
    let (mut child, lines) = start(pgprism(&["--", "sh", "-c", script]));
    let command: u32 = lines.next().parse().unwrap();
    send(&child, Signal::SIGTSTP);
    wait_for_state(command, |state| state == 'T');
    wait_for_state(child.0.id(), |state| state == 'T');
    send(&child, Signal::SIGCONT);
    wait_for_state(command, |state| state != 'T');
    send(&child, Signal::SIGTERM);
    assert_eq!(status_of(&mut child), Some(143));
}

#[test]
fn what_the_command_leaves_behind_is_not_waited_for() {
    let began_at = Instant::now();
    let script = "sleep 60 >/dev/null 2>&1 & echo $!";
    let (status, stdout, _) = run(&["--", "sh", "-c", script]);
    assert_eq!(status, 0);
    assert!(began_at.elapsed() < PATIENCE);
    let left: i32 = stdout.trim().parse().unwrap();
    kill(Pid::from_raw(left), Signal::SIGKILL).expect("it lives on");
}

#[test]
fn limits_and_ignored_signals_are_inherited_as_they_were() {
    let program = assert_cmd::cargo::cargo_bin("pgprism");
    let shown = |before: &str| {
        let look = "ulimit -S -n; grep SigIgn /proc/self/status";
        let script = format!("trap '' HUP; ulimit -S -n 256; exec {before} sh -c '{look}'");
        output(Command::new("sh").args(["-c", &script])).1
    };
    let bare = shown("");
    assert!(bare.starts_with("256\n"), "{bare}");
    let ignored = u64::from_str_radix(bare.trim_end().rsplit('\t').next().unwrap(), 16).unwrap();
    assert_ne!(ignored & (1 << (Signal::SIGHUP as i32 - 1)), 0, "{bare}");
    assert_eq!(shown(&format!("{} run --", program.display())), bare);
}

#[test]
fn reports_are_written_and_a_file_that_cannot_be_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let nowhere = folder.path().join("none/report.md");
    let (status, stdout, stderr) = run(&[
        "--report",
        path.to_str().unwrap(),
        "--report",
        nowhere.to_str().unwrap(),
        "--",
        "sh",
        "-c",
        "exit 5",
    ]);
    assert_eq!((status, stdout.as_str()), (5, ""));
    let text = std::fs::read_to_string(&path).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["summary"]["queries"], 0);
    assert_eq!(report["summary"]["added_latency_ms"], 0.0);
    assert!(stderr.contains("cannot write"), "{stderr}");
    assert!(!Path::new(&nowhere).exists());
}
