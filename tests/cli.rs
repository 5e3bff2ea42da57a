//! The program from outside: exit statuses, one clear line for each mistake, and documents that name every setting.

#![allow(
    clippy::disallowed_methods,
    reason = "waits for a running program with a deadline"
)]

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use pgprism::config::Config;
use pgprism::config::keys::{KEYS, Key, Reload};

/// The program without the environment's own settings.
fn pgprism(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("pgprism").unwrap();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PGPRISM_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Ran {
    ran(&mut pgprism(arguments))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().expect("no signal ended it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// One line on stderr, nothing on stdout, and the status.
#[track_caller]
fn refused(ran: &Ran, status: i32, words: &str) {
    assert_eq!(
        (ran.status, ran.stdout.as_str()),
        (status, ""),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.starts_with("pgprism: ") && ran.stderr.contains(words),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches('\n').count(), 1, "{}", ran.stderr);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let text = shipped("config/pgprism.toml");
    assert_eq!(
        Config::parse(Path::new("config/pgprism.toml"), &text).unwrap(),
        Config::parse(Path::new("empty"), "").unwrap()
    );
    let mut section = String::new();
    let mut written = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((name, _)) = line.split_once(" = ") {
            written.push(format!("{section}{name}"));
        }
    }
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    assert_eq!(written, keys, "the file's order is the table's");
}

#[test]
fn the_shipped_file_marks_what_a_reload_changes() {
    let text = shipped("config/pgprism.toml");
    let mut comment = String::new();
    let mut section = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = format!("{}.", line.trim_matches(['[', ']']));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let key = Key::find(&format!("{section}{name}")).unwrap();
            assert_eq!(
                comment.contains("[now]"),
                key.reload == Reload::AtOnce,
                "{}",
                key.name
            );
            comment.clear();
        } else if line.is_empty() {
            comment.clear();
        } else {
            comment.push_str(line);
        }
    }
}

#[test]
fn the_shipped_file_is_accepted_as_it_is() {
    let file = root().join("config/pgprism.toml");
    let ran = run(&["check-config", file.to_str().unwrap()]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout.contains("listener default on 127.0.0.1:6433"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_documentation_has_a_row_for_every_key() {
    let text = shipped("docs/configuration.md");
    for key in KEYS {
        let default = key.show(&Config::default(), 0).unwrap();
        let range = key
            .range
            .map_or("-".to_owned(), |(least, most)| format!("{least} to {most}"));
        let flag = key.flag.map(|flag| format!("`--{}`", flag.name));
        let variable = key.environment.map(|name| format!("`{name}`"));
        let given: Vec<String> = flag.into_iter().chain(variable).collect();
        let given = if given.is_empty() {
            "-".to_owned()
        } else {
            given.join(", ")
        };
        let now = if key.reload == Reload::AtOnce {
            "yes"
        } else {
            "no"
        };
        let row = format!(
            "| `{}` | `{default}` | {range} | {given} | {now} | {} |",
            key.name, key.summary
        );
        assert!(
            text.lines().any(|line| line == row),
            "docs/configuration.md lacks this row:\n{row}"
        );
    }
}

#[test]
fn the_documentation_names_every_flag_and_variable() {
    let text = shipped("docs/configuration.md");
    for command in pgprism::cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            if argument.is_hide_set() {
                continue;
            }
            let flag = argument.get_long().map(|flag| format!("--{flag}"));
            let variable = argument
                .get_env()
                .map(|name| name.to_str().unwrap().to_owned());
            for name in flag.into_iter().chain(variable) {
                let named = [format!("`{name}`"), format!("`{name} ")];
                assert!(
                    named.iter().any(|named| text.contains(named)),
                    "{} {name}",
                    command.get_name()
                );
            }
        }
    }
    for sort in pgprism::cli::report::SORTS {
        assert!(text.contains(&format!("`{}`", sort.key)), "{}", sort.key);
    }
}

#[test]
fn every_flag_of_serve_is_a_setting_and_says_its_variable() {
    let command = pgprism::cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let mut flags: Vec<&str> = Vec::new();
    for argument in serve
        .get_arguments()
        .filter(|argument| argument.get_id() != "config" && !argument.is_hide_set())
    {
        let flag = argument.get_long().expect("settings have long flags");
        let key = KEYS
            .iter()
            .find(|key| key.flag.is_some_and(|known| known.name == flag))
            .unwrap();
        let variable = argument.get_env().expect("settings have variables");
        assert_eq!(variable.to_str(), key.environment);
        assert!(
            argument
                .get_help()
                .unwrap()
                .to_string()
                .starts_with(key.summary)
        );
        flags.push(flag);
    }
    for flag in [
        "listen",
        "upstream",
        "admin",
        "slow-log",
        "slow-query-threshold",
        "ports-file",
        "log-literals",
        "log-level",
    ] {
        assert!(flags.contains(&flag), "--{flag}");
    }
    assert_eq!(
        flags.len(),
        KEYS.iter()
            .filter(|key| key.flag.is_some() && !key.is_of_check())
            .count()
    );
}

#[test]
fn help_of_every_command_has_an_example_and_goes_to_stdout() {
    let command = pgprism::cli::command();
    let names: Vec<&str> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    assert!(
        names.contains(&"serve") && names.contains(&"check-config"),
        "{names:?}"
    );
    for name in names {
        let ran = run(&[name, "--help"]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{name}");
        let example = format!("  pgprism {name}");
        assert!(
            ran.stdout.contains("Example") && ran.stdout.contains(&example),
            "{}",
            ran.stdout
        );
    }
    for flag in ["--help", "--version"] {
        assert_eq!(run(&[flag]).status, 0);
    }
    assert!(run(&["--help"]).stdout.contains("Example"));
}

#[test]
fn mistakes_are_one_line_and_64() {
    refused(&run(&["serve", "--lisen", "x"]), 64, "'--listen'");
    refused(&run(&["start"]), 64, "see pgprism --help");
    refused(&run(&["serve", "--listen"]), 64, "--listen <ADDRESS>");
    refused(
        &run(&["serve", "--listen", "here"]),
        64,
        "--listen: listeners.listen: `here` is not an address",
    );
    refused(
        &run(&[
            "serve",
            "--listen",
            "127.0.0.1:1",
            "--listen",
            "127.0.0.1:2",
        ]),
        64,
        "--listen",
    );
    refused(
        &run(&["serve", "--slow-query-threshold", "fast"]),
        64,
        "`fast` is not a duration",
    );
    refused(
        &run(&["serve", "--config", "no/such.toml"]),
        64,
        "no/such.toml: cannot read",
    );
    refused(
        &run(&["check-config", "a.toml", "--config", "b.toml"]),
        64,
        "--config",
    );
    refused(
        &run(&[
            "check-config",
            "--upstream",
            "postgres://a?sslmode=verify-ca",
        ]),
        64,
        "--upstream: listeners.upstream: sslmode=verify-ca needs sslrootcert",
    );
    refused(
        &run(&["check-config", "--tls", "require"]),
        64,
        "listeners.tls_certificate: is needed by tls = \"require\"",
    );
    let secret = run(&["serve", "--upstream", "postgres://bob:s3cret@db/shop"]);
    refused(&secret, 64, "which the client brings itself");
    assert!(!secret.stderr.contains("s3cret"));
    let ran = run(&[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (64, ""));
    assert!(ran.stderr.contains("Usage"), "{}", ran.stderr);
}

#[test]
fn a_bad_file_is_refused_by_key_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "# mine\n[slow_log]\nthreshold = 100\n").unwrap();
    for command in ["serve", "check-config"] {
        let ran = run(&[command, "--config", file.to_str().unwrap()]);
        refused(
            &ran,
            64,
            "bad.toml:3: slow_log.threshold: expected a duration such as \"100ms\", found an integer",
        );
    }
}

#[test]
fn variables_are_read_and_flags_come_first() {
    let ran_with =
        |arguments: &[&str]| ran(pgprism(arguments).env("PGPRISM_LISTEN", "127.0.0.1:7001"));
    assert!(
        ran_with(&["check-config"])
            .stdout
            .contains("on 127.0.0.1:7001")
    );
    assert!(
        ran_with(&["check-config", "--listen", "127.0.0.1:7002"])
            .stdout
            .contains("on 127.0.0.1:7002")
    );
    refused(
        &ran(pgprism(&["check-config"]).env("PGPRISM_WORKERS", "many")),
        64,
        "PGPRISM_WORKERS: workers: `many`",
    );
    let file = root().join("config/pgprism.toml");
    let ran = ran(pgprism(&["check-config"]).env("PGPRISM_CONFIG", &file));
    assert!(
        ran.stdout.contains("pgprism.toml is valid"),
        "{}",
        ran.stdout
    );
}

#[test]
fn check_config_warns_of_an_open_listener() {
    let ran = run(&["check-config", "--listen", "0.0.0.0:6433"]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr.contains("warning: ") && ran.stderr.contains("pg_hba.conf"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_switch_stands_alone_or_with_a_value() {
    let literals = |arguments: &[&str]| run(arguments).stderr.contains("log_literals is on");
    assert!(literals(&["check-config", "--log-literals"]));
    assert!(literals(&["check-config", "--log-literals=true"]));
    assert!(!literals(&["check-config", "--log-literals=false"]));
    assert!(!literals(&["check-config"]));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("pgprism"))
        .arg("check-config")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed long before a program that has just been started writes; written before, it is no failure either.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap().as_str()
        ),
        (Some(0), "")
    );
}

/// An admin address that answers as it is told; gives its address and the requests it got.
struct Answers {
    address: String,
    requests: std::sync::mpsc::Receiver<String>,
}

/// Answers as many requests as `answers` has, one connection each, then is gone.
fn answering(answers: Vec<(u16, String)>) -> Answers {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            let head: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            tell.send(head.join("\n")).ok();
            let length = body.len();
            write!(
                &stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .ok();
        }
    });
    Answers { address, requests }
}

fn summary_answer() -> (u16, String) {
    let summary = serde_json::json!({
        "version": "0.1.0", "started_at": "2026-11-22T09:15:00.000Z",
        "listeners": [{"name": "default", "listen": "127.0.0.1:6433", "upstream": "127.0.0.1:5432"}],
        "queries": 61, "errors": 0,
        "phases": {"database_ms": 750.0, "transfer_ms": 0.0, "client_ms": 0.0, "application_ms": 250.0},
        "connections": 1, "findings_open": 1, "units_open": 0,
        "ignore_rules": [{"rule": "route = \"reports/\"", "matched": 0}], "dropped": 0, "degraded": [],
    });
    (200, summary.to_string())
}

fn findings_answer() -> (u16, String) {
    let list = serde_json::json!({"items": [{
        "id": "00000000000000f0", "kind": "n_plus_one_forward", "status": "open", "confidence": "proved",
        "evidence": "connection", "severity": "high", "fingerprint": "9f02c1d4a87b3e51", "query": "SELECT $1",
        "parent_fingerprint": "51c0be77d2093fa8", "parent_query": "SELECT $1, $2",
        "parent_table": "shop_order", "parent_column": "customer_id",
        "child_table": "shop_customer", "child_column": "id", "chain": [], "occurrences": 2, "units": 2, "queries": 80,
        "cost_ms": 842.0, "children_per_row": 1.0,
        "first_seen": "2026-11-22T09:15:01.000Z", "last_seen": "2026-11-22T09:15:02.000Z",
        "tags": {"route": ["orders/"]}, "queries_before": 41, "queries_after": 2,
        "advice": {"title": "t", "django": "Order.objects.select_related(\"customer\")", "why": "w", "saves_ms": 421.0},
        "example_unit": "7",
        "proof": {"rows": 40, "nulls": 0, "distinct": 40, "matched": 40, "in_order": 40,
                  "pattern": "shop_order.customer_id -> shop_customer.id, 40 of 40 rows in order"},
    }], "next": null});
    (200, list.to_string())
}

fn queries_answer() -> (u16, String) {
    let list = serde_json::json!({"items": [{
        "fingerprint": "9f02c1d4a87b3e51", "query": "SELECT $1", "summary": "SELECT", "operation": "SELECT",
        "calls": 61, "errors": 0, "rows": 61, "bytes": 100, "total_ms": 750.0, "mean_ms": 12.3, "min_ms": 1.0,
        "max_ms": 40.0, "p50_ms": 10.0, "p95_ms": 30.0, "p99_ms": 40.0, "routes": ["orders/"], "spark": [1, 2],
    }], "next": null});
    (200, list.to_string())
}

fn unit() -> serde_json::Value {
    serde_json::json!({
        "id": "7", "state": "ended", "started_at": "2026-11-22T09:15:01.000Z", "duration_ms": 412.0,
        "evidence": "connection", "incomplete": false, "route": "orders/", "controller": null, "application": "web",
        "database": "shop", "queries": 41, "shapes": 2, "duplicates": 0,
        "phases": {"database_ms": 40.0, "transfer_ms": 2.0, "client_ms": 0.0, "application_ms": 370.0},
        "findings": ["00000000000000f0"],
    })
}

fn units_answer() -> (u16, String) {
    let list = serde_json::json!({"items": [unit()], "next": null});
    (200, list.to_string())
}

fn unit_answer() -> (u16, String) {
    let mut unit = unit();
    unit["timeline"] = serde_json::json!([{
        "at_ms": 0.0, "fingerprint": "9f02c1d4a87b3e51", "query": "SELECT $1", "rows": 1, "sqlstate": null,
        "parent_index": null,
        "phases": {"database_ms": 1.0, "transfer_ms": 0.0, "client_ms": 0.0, "application_ms": 0.0},
    }]);
    unit["tree"] = serde_json::json!([]);
    (200, unit.to_string())
}

fn history_answer() -> (u16, String) {
    let list = serde_json::json!({"items": [{
        "at": "2026-11-22T09:15:00.000Z", "calls": 61, "errors": 0,
        "phases": {"database_ms": 750.0, "transfer_ms": 0.0, "client_ms": 0.0, "application_ms": 250.0},
        "buckets": [0, 0, 0, 0, 0, 0, 0, 61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }], "next": null});
    (200, list.to_string())
}

/// All that a whole report asks, in its order.
fn whole_answers() -> Vec<(u16, String)> {
    vec![
        summary_answer(),
        findings_answer(),
        queries_answer(),
        units_answer(),
        queries_answer(),
        unit_answer(),
        history_answer(),
    ]
}

#[test]
fn report_prints_what_the_proxy_answers() {
    let proxy = answering(vec![
        summary_answer(),
        findings_answer(),
        queries_answer(),
        units_answer(),
        queries_answer(),
    ]);
    let ran = run(&[
        "report",
        "--admin",
        &proxy.address,
        "--sort",
        "calls",
        "--limit",
        "7",
    ]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.stdout
            .contains("  database       750 ms   75 %  ##############################\n"),
        "{}",
        ran.stdout
    );
    let finding = ran
        .stdout
        .find("Order.objects.select_related(\"customer\")\n");
    let shapes = ran.stdout.find("TOP SHAPES by calls");
    assert!(
        finding.is_some() && finding < shapes,
        "findings first: {}",
        ran.stdout
    );
    assert!(!ran.stdout.contains('\x1b'), "colours are for terminals");
    let requests: Vec<String> = proxy.requests.iter().collect();
    assert!(
        requests[0].starts_with("GET /api/v1/summary "),
        "{requests:?}"
    );
    assert!(
        requests[1].starts_with("GET /api/v1/findings?status=open,fixed&sort=cost&limit=1000 "),
        "{requests:?}"
    );
    assert!(
        requests[2].starts_with("GET /api/v1/queries?sort=calls&limit=7 "),
        "{requests:?}"
    );
    assert!(
        requests[3].starts_with("GET /api/v1/units?sort=duration&limit=1000 "),
        "{requests:?}"
    );
}

#[test]
fn report_gives_the_objects_of_the_api_as_json_and_a_table_as_markdown() {
    let proxy = answering(whole_answers());
    let ran_json = run(&[
        "report",
        "--admin",
        &format!("http://{}/", proxy.address),
        "--json",
    ]);
    let whole: serde_json::Value = serde_json::from_str(&ran_json.stdout).unwrap();
    assert_eq!(
        whole["queries"][0]["spark"],
        serde_json::json!([1, 2]),
        "fields the report does not show stay"
    );
    assert_eq!(whole["summary"]["queries"], 61);
    assert_eq!(whole["findings"][0]["proof"]["rows"], 40);
    assert_eq!(whole["units"][0]["application"], "web");
    assert_eq!(whole["examples"][0]["timeline"][0]["rows"], 1);
    assert_eq!(whole["history"][0]["calls"], 61);
    assert_eq!(whole["report_version"], 1);

    let proxy = answering(whole_answers());
    let ran_markdown = ran(pgprism(&["report", "--markdown"]).env("PGPRISM_ADMIN", &proxy.address));
    assert!(
        ran_markdown
            .stdout
            .contains("| `9f02c1d4a87b3e51` | SELECT | 61 | 750 ms |"),
        "{}",
        ran_markdown.stdout
    );
}

#[test]
fn report_is_written_as_its_name_or_its_format_says() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, further: &[&str]| {
        let proxy = answering(whole_answers());
        let path = folder.path().join(name);
        let mut arguments = vec!["report", "--admin", &proxy.address, "-o"];
        arguments.push(path.to_str().unwrap());
        arguments.extend(further);
        let ran = run(&arguments);
        assert_eq!(
            (ran.status, &*ran.stdout, &*ran.stderr),
            (0, "", ""),
            "{name}"
        );
        std::fs::read_to_string(path).unwrap()
    };
    assert!(write("a.html", &[]).starts_with("<!DOCTYPE html>"));
    assert!(write("a.md", &[]).starts_with("## pgprism report\n"));
    assert!(write("a.json", &[]).starts_with("{\n"));
    assert!(write("a.txt", &[]).starts_with("pgprism 0.1.0 at "));
    assert!(write("a.log", &[]).starts_with("pgprism report requests=1 queries=61 "));
    assert!(write("a", &["--format", "html"]).starts_with("<!DOCTYPE html>"));
    let unknown = run(&["report", "-o", "report.pdf"]);
    refused(&unknown, 64, ".html, .md, .json, .txt or .log");
    let proxy = answering(whole_answers());
    let nowhere = run(&["report", "--admin", &proxy.address, "-o", "no/such/a.md"]);
    refused(&nowhere, 64, "no/such/a.md");
    refused(
        &run(&["report", "--json", "--format", "text"]),
        64,
        "--json",
    );
}

#[test]
fn report_sends_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let proxy = answering(whole_answers());
    let path = file.to_str().unwrap();
    assert_eq!(
        run(&[
            "report",
            "--json",
            "--admin",
            &proxy.address,
            "--token-file",
            path
        ])
        .status,
        0
    );
    let request = proxy.requests.recv().unwrap().to_lowercase();
    assert!(
        request.contains("authorization: bearer s3cret"),
        "{request}"
    );

    let wants = || {
        (
            401,
            "{\"error\":{\"code\":\"unauthorized\",\"message\":\"a token is needed\"}}".to_owned(),
        )
    };
    let proxy = answering(vec![wants()]);
    refused(
        &run(&["report", "--admin", &proxy.address]),
        64,
        "wants a token; name its file with --token-file",
    );
    let proxy = answering(vec![wants()]);
    let with = run(&["report", "--admin", &proxy.address, "--token-file", path]);
    refused(&with, 64, "wants another token");
    assert!(!with.stderr.contains("s3cret"));
    std::fs::write(&file, "two words").unwrap();
    refused(
        &run(&["report", "--token-file", path]),
        64,
        "--token-file: ",
    );
    refused(
        &run(&["report", "--token-file", "no/such"]),
        64,
        "cannot read no/such",
    );
}

#[test]
fn report_without_a_proxy_is_69() {
    // A port that was free a moment ago and that nobody is told of.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    refused(
        &run(&["report", "--admin", &free]),
        69,
        "start one with `pgprism serve`",
    );
    for other in [
        (200, "<html>".to_owned()),
        (404, String::new()),
        (200, "{}".to_owned()),
        (500, "{}".to_owned()),
    ] {
        let proxy = answering(vec![other]);
        refused(
            &run(&["report", "--admin", &proxy.address]),
            69,
            "is not a pgprism",
        );
    }
    let foreign = (
        403,
        "{\"error\":{\"code\":\"host\",\"message\":\"the host `x` is not served here\"}}"
            .to_owned(),
    );
    let proxy = answering(vec![foreign]);
    refused(
        &run(&["report", "--admin", &proxy.address]),
        64,
        "the host `x` is not served here",
    );
    refused(
        &run(&["report", "--admin", "https://127.0.0.1:9433"]),
        64,
        "is not an address",
    );
    refused(&run(&["report", "--sort", "beauty"]), 64, "total_ms");
    refused(&run(&["report", "--limit", "0"]), 64, "--limit");
    refused(&run(&["report", "--json", "--markdown"]), 64, "--markdown");
}

#[test]
fn top_needs_a_terminal_a_proxy_and_its_token() {
    refused(&run(&["top"]), 64, "pgprism report");
    refused(&run(&["top", "--once", "--interval", "1ms"]), 64, "100ms");
    refused(&run(&["top", "--view", "beauty"]), 64, "connections");
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    refused(
        &run(&["top", "--once", "--admin", &free]),
        69,
        "no proxy answers",
    );
    let wants = "{\"error\":{\"code\":\"unauthorized\",\"message\":\"a token is needed\"}}";
    let proxy = answering(vec![(401, wants.to_owned())]);
    refused(
        &run(&["top", "--once", "--admin", &proxy.address]),
        64,
        "wants a token",
    );
}

#[test]
fn reports_sort_keys_are_those_of_the_api() {
    let openapi = shipped("docs/openapi.json");
    for sort in pgprism::cli::report::SORTS {
        assert!(
            openapi.contains(&format!("\"{}\"", sort.key)),
            "{}",
            sort.key
        );
    }
}

#[test]
fn fingerprint_reads_a_file_or_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.sql");
    std::fs::write(
        &file,
        "SELECT * FROM book WHERE id = 7; SELECT * FROM book WHERE id = 8",
    )
    .unwrap();
    let from_file = run(&["fingerprint", file.to_str().unwrap()]);
    assert_eq!((from_file.status, from_file.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = from_file.stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], lines[1]);
    let (fingerprint, text) = lines[0].split_once(' ').unwrap();
    assert!(
        fingerprint.len() == 16 && text.ends_with("id = $1"),
        "{}",
        lines[0]
    );

    for arguments in [
        &["fingerprint", "--json"][..],
        &["fingerprint", "-", "--json"],
    ] {
        let ran =
            ran(pgprism(arguments).write_stdin("{\"sql\": \"SELECT * FROM book WHERE id = 9\"}\n"));
        let object: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(object["fingerprint"], fingerprint);
        assert_eq!(object["tables"], serde_json::json!(["book"]));
    }
    refused(
        &run(&["fingerprint", "no/such.sql"]),
        64,
        "cannot open no/such.sql",
    );
    let bad = ran(pgprism(&["fingerprint"]).write_stdin("\"SELECT 1\"\n{\"text\": 1}\n"));
    assert_eq!(bad.status, 64);
    assert!(
        bad.stderr.starts_with("pgprism: stdin: line 2 is neither"),
        "{}",
        bad.stderr
    );
    assert_eq!(bad.stderr.matches('\n').count(), 1);
}

#[test]
fn a_busy_port_is_69_and_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listener = run(&[
        "serve",
        "--listen",
        &address,
        "--admin",
        "off",
        "--slow-log",
        "off",
    ]);
    refused(&listener, 69, &address);
    let admin = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        &address,
        "--slow-log",
        "off",
    ]);
    refused(&admin, 69, &address);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone/slow.log");
    let slow_log = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
        "--slow-log",
        path.to_str().unwrap(),
    ]);
    refused(&slow_log, 69, "gone/slow.log");
}

/// A running `serve`, ended with the test.
struct Serving {
    child: std::process::Child,
    folder: tempfile::TempDir,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Starts with `file` as its configuration and waits until it listens.
    fn start(file: impl Fn(&Path) -> String) -> Serving {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pgprism.toml"), file(folder.path())).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("pgprism"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PGPRISM_"))
        {
            command.env_remove(name);
        }
        let child = command
            .args([
                "serve",
                "--config",
                "pgprism.toml",
                "--ports-file",
                "ports",
                "--slow-log",
                "off",
            ])
            .current_dir(&folder)
            .stderr(log)
            .spawn()
            .unwrap();
        let serving = Serving { child, folder };
        serving.wait_until("it listens", || serving.read("ports").contains("admin="));
        serving
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Status of a report with the token in `token`.
    fn report(&self, token: &str) -> i32 {
        let ports = self.read("ports");
        let admin = ports
            .lines()
            .find_map(|line| line.strip_prefix("admin="))
            .unwrap();
        let token = self.folder.path().join(token);
        run(&[
            "report",
            "--admin",
            admin,
            "--token-file",
            token.to_str().unwrap(),
        ])
        .status
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !is() {
            assert!(
                std::time::Instant::now() < deadline,
                "waited for: {what}\n{}",
                self.read("log")
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn sighup_takes_a_good_file_and_refuses_a_bad_one_whole() {
    use nix::sys::signal::Signal::{SIGHUP, SIGTERM};
    let file = |folder: &Path| {
        std::fs::write(folder.join("token"), "first").unwrap();
        std::fs::write(folder.join("second"), "second").unwrap();
        let rest =
            "[[listeners]]\nlisten = \"127.0.0.1:0\"\nupstream = \"postgres://127.0.0.1:1\"\n";
        format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"\n{rest}")
    };
    let mut serving = Serving::start(file);
    assert_eq!(serving.report("token"), 0);
    assert_eq!(serving.report("second"), 64);

    let good = serving.read("pgprism.toml");
    serving.write("token", "second");
    serving.write("pgprism.toml", &format!("workers = 3\n{good}"));
    serving.signal(SIGHUP);
    serving.wait_until("the refusal", || {
        serving
            .read("log")
            .contains("workers cannot change while pgprism runs")
    });
    serving.write(
        "pgprism.toml",
        &format!("{good}\n[slow_log]\nthreshold = \"fast\""),
    );
    serving.signal(SIGHUP);
    serving.wait_until("the refusal", || {
        serving
            .read("log")
            .contains("slow_log.threshold: `fast` is not a duration")
    });
    serving.write("second", "first");
    assert_eq!(serving.report("second"), 0, "the first token still stands");

    serving.write(
        "pgprism.toml",
        &format!("{good}\n[slow_log]\nthreshold = \"2s\""),
    );
    serving.signal(SIGHUP);
    serving.wait_until("the change", || serving.report("token") == 0);
    assert_eq!(
        serving.report("second"),
        64,
        "the first token is no longer good"
    );
    let log = serving.read("log");
    assert!(
        log.contains("changed: slow_log.threshold, admin.token_file"),
        "{log}"
    );

    serving.signal(SIGTERM);
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}
