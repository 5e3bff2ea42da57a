//! Tests of the configuration: what is accepted; what is refused and in which words.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::keys::{Field, KEYS, Key};
use super::value::{Raw, Setting};
use super::*;

mod tls;
mod token;
mod upstream;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("a.toml"), text)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

/// A configuration from a file's text, flags and variables.
fn load(
    text: &str,
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let flags: Vec<(String, String)> = flags
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    let environment: HashMap<&str, &str> = environment.iter().copied().collect();
    Config::load(Sources::new(Some(file.path().to_owned()), &flags, |name| {
        environment.get(name).map(|value| (*value).to_owned())
    }))
}

/// Less what was prepared from the settings.
fn without_tls(mut config: Config) -> Config {
    for listener in &mut config.listeners {
        (listener.acceptor, listener.connector) = (None, None);
    }
    config
}

#[test]
fn nothing_given_is_the_default() {
    let loaded = Config::load(Sources::default()).unwrap();
    assert_eq!(without_tls(parse("").unwrap()), Config::default());
    assert_eq!(without_tls(loaded), Config::default());
    assert!(Config::default().warnings().is_empty());
}

#[test]
fn every_key_is_read_back_as_it_is_shown_and_its_default_is_in_range() {
    let default = Config::default();
    for key in KEYS {
        let shown = key.show(&default, 0).unwrap();
        let text = match key.name.split_once('.') {
            None => format!("{} = {shown}", key.name),
            Some(("listeners", name)) => format!("[[listeners]]\n{name} = {shown}"),
            Some((section, name)) => format!("[{section}]\n{name} = {shown}"),
        };
        assert_eq!(without_tls(parse(&text).unwrap()), default, "{text}");
    }
}

#[test]
fn every_key_can_be_set_in_the_file_and_by_its_variable() {
    for key in KEYS {
        let default = key.show(&Config::default(), 0).unwrap();
        let other = match key.name {
            "log_level" => "\"debug\"".to_owned(),
            "ports_file" => "\"ports\"".to_owned(),
            // Needs a file that exists; the token's own test has one.
            "admin.token_file" => continue,
            // The same, in tests of the reload.
            "advise.models" => continue,
            "advise.catalog" => "\"postgres://reader:secret@db:7/shop\"".to_owned(),
            "admin.hosts" => "[\"pgprism:9433\"]".to_owned(),
            "admin.listen" => "\"127.0.0.1:1\"".to_owned(),
            "listeners.name" => "\"replica\"".to_owned(),
            "listeners.listen" => "\"127.0.0.1:2\"".to_owned(),
            "listeners.upstream" => "\"postgres://db:7?sslmode=disable\"".to_owned(),
            "listeners.tls" => "\"pass-through\"".to_owned(),
            "listeners.tls_certificate" | "listeners.tls_key" | "listeners.tls_client_ca" => {
                "\"a.pem\"".to_owned()
            }
            "listeners.tls_client_verify" => "\"required\"".to_owned(),
            "listeners.tls_min_version" => "\"1.3\"".to_owned(),
            "slow_log.path" => "\"slow.log\"".to_owned(),
            "slow_log.format" => "\"json\"".to_owned(),
            "check.baseline" => "\"known.json\"".to_owned(),
            "check.confidence" => "\"proved\"".to_owned(),
            _ => match (default.as_str(), key.range) {
                ("true", None) => "false".to_owned(),
                ("false", None) => "true".to_owned(),
                (number, Some((_, most))) if number.parse::<u64>().is_ok() => most.to_owned(),
                (_, Some((_, most))) => format!("\"{most}\""),
                other => panic!("{}: no other value for {other:?}", key.name),
            },
        };
        let (section, name) = match key.name.split_once('.') {
            None => (String::new(), key.name),
            Some(("listeners", name)) => ("[[listeners]]".to_owned(), name),
            Some((section, name)) => (format!("[{section}]"), name),
        };
        let from_file = parse(&format!("{section}\n{name} = {other}")).unwrap();
        let shown = key.show(&from_file, 0).unwrap();
        assert_ne!(shown, default, "{}", key.name);
        for other_key in KEYS.iter().filter(|other| other.name != key.name) {
            let shown = other_key.show(&from_file, 0);
            assert_eq!(
                shown,
                other_key.show(&Config::default(), 0),
                "{} by {}",
                other_key.name,
                key.name
            );
        }

        let Some(variable) = key.environment else {
            continue;
        };
        let words = other.trim_matches(['"', '[', ']']).trim_matches('"');
        let from_environment = load("", &[], &[(variable, words)]).unwrap();
        assert_eq!(key.show(&from_environment, 0).unwrap(), shown, "{variable}");
    }
}

#[test]
fn names_are_told_apart() {
    let mut seen = std::collections::HashSet::new();
    for key in KEYS {
        let names = [
            Some(("key", key.name)),
            key.environment.map(|name| ("variable", name)),
            key.flag.map(|flag| ("flag", flag.name)),
        ];
        for name in names.into_iter().flatten() {
            assert!(seen.insert(name), "{name:?} twice");
        }
        assert!(
            key.flag.is_none() || key.environment.is_some(),
            "{}: a flag has a variable",
            key.name
        );
        let is_listener = key.name.starts_with("listeners.");
        assert_eq!(
            is_listener,
            matches!(key.field, Field::EachListener(_)),
            "{}",
            key.name
        );
    }
}

#[test]
fn flag_comes_before_environment_before_file_before_default() {
    let key = Key::find("slow_log.threshold").unwrap();
    let file = "[slow_log]\nthreshold = \"3s\"";
    let variable = [("PGPRISM_SLOW_QUERY_THRESHOLD", "2s")];
    let flag = [("slow-query-threshold", "1s")];
    let threshold = |config: Result<Config, ConfigError>| key.show(&config.unwrap(), 0).unwrap();
    assert_eq!(threshold(load(file, &flag, &variable)), "\"1s\"");
    assert_eq!(threshold(load(file, &[], &variable)), "\"2s\"");
    assert_eq!(threshold(load(file, &[], &[])), "\"3s\"");
    assert_eq!(threshold(load("", &[], &[])), "\"100ms\"");
    let empty = [("PGPRISM_SLOW_QUERY_THRESHOLD", "")];
    assert_eq!(
        threshold(load(file, &[], &empty)),
        "\"3s\"",
        "an empty variable is none"
    );
}

#[test]
fn errors_name_the_key_and_the_place() {
    refused(
        "observe = true\n[slow_log]\n\nthreshold = \"fast\"\n",
        "a.toml:4: slow_log.threshold: `fast` is not a duration; write a number and a unit, for example \"100ms\" or \"25s\"",
    );
    refused(
        "[slow_log]\ntreshold = \"1s\"",
        "a.toml:2: unknown key `slow_log.treshold`; path, format, threshold, queries_per_second_max, queue_max are known here",
    );
    refused(
        "[limit]\nconnections_max = 1",
        "a.toml:1: unknown key `limit`; observe, log_literals, log_level, workers, tick, reuse_port, ports_file, add_latency, \
         [admin], [[listeners]], [slow_log], [limits], [timeouts], [units], [advise], [check], [debug], [[ignore]] are known here",
    );
    refused(
        "\"slow_log.path\" = \"-\"",
        "a.toml:1: unknown key `slow_log.path`; observe, log_literals, log_level, workers, tick, reuse_port, \
         ports_file, add_latency, [admin], [[listeners]], [slow_log], [limits], [timeouts], [units], [advise], [check], [debug], [[ignore]] are known here",
    );
    refused(
        "[advise]\ncatalog = \"postgres://reader:secret@db\"",
        "a.toml:2: advise.catalog: it names no database; constraints are the database's own",
    );
    refused(
        "[advise]\n\nmodels = \"no/such.json\"",
        "a.toml:3: advise.models: cannot be used: no/such.json: No such file or directory (os error 2)",
    );
    refused("[slow_log\n", "a.toml:1: unclosed table, expected `]`");
    refused(
        "workers = \"2\"",
        "a.toml:1: workers: expected an integer, found a string",
    );
    refused(
        "workers = -1",
        "a.toml:1: workers: `-1` is not a whole number of zero or more",
    );
    refused(
        "workers = 257",
        "a.toml:1: workers: 257 is out of range; 0 to 256 is accepted",
    );
    refused(
        "tick = 50",
        "a.toml:1: tick: expected a duration such as \"100ms\", found an integer",
    );
    refused(
        "tick = \"2s\"",
        "a.toml:1: tick: 2s is out of range; 1ms to 1s is accepted",
    );
    refused(
        "[limits]\ntext_bytes_max = \"64\"",
        "a.toml:2: limits.text_bytes_max: `64` is not a size; write a number and a unit, for example \"64KiB\" or \"1MiB\"",
    );
    refused(
        "observe = \"yes\"",
        "a.toml:1: observe: expected true or false, found a string",
    );
    refused(
        "slow_log = \"-\"",
        "a.toml:1: slow_log: expected a [section], found a string",
    );
    refused(
        "[listeners]\nname = \"a\"",
        "a.toml:1: listeners: expected a list of [[listeners]] sections, found a section",
    );
    refused(
        "listeners = [1]",
        "a.toml:1: listeners: expected a list of [[listeners]] sections, found an integer",
    );
    refused(
        "listeners = []",
        "listeners.listen: there is no listener; add a [[listeners]] section",
    );
    refused(
        "[slow_log]\nformat = \"csv\"",
        "a.toml:2: slow_log.format: `csv` is not one of stderr, json",
    );
    refused(
        "[[listeners]]\nlisten = \"6433\"",
        "a.toml:2: listeners.listen: `6433` is not an address; write an IP address and a port, for example \"127.0.0.1:6433\"",
    );
    refused(
        "[admin]\nhosts = [\"a\", \"b c\"]",
        "a.toml:2: admin.hosts: `b c` is not a host name with an optional port, for example \"pgprism:9433\"",
    );

    let error = load("", &[("slow-query-threshold", "fast")], &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("--slow-query-threshold: slow_log.threshold: `fast` is not"),
        "{error}"
    );
    let error = load("", &[], &[("PGPRISM_ADMIN", "x")])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("PGPRISM_ADMIN: admin.listen: `x` is not an address"),
        "{error}"
    );
    let error = Config::load(Sources::new(Some("no/such.toml".into()), &[], |_| None))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no/such.toml: cannot read the configuration file: "),
        "{error}"
    );
}

#[test]
fn sizes_and_durations_are_read_with_their_units() {
    for (words, bytes) in [
        ("1B", 1),
        ("64KiB", 65_536),
        ("1 MiB", 1 << 20),
        ("2gib", 2 << 30),
        ("100KiB", 102_400),
    ] {
        let mut size = Size(0);
        size.set(Raw::Text(words)).unwrap();
        assert_eq!(size, Size(bytes), "{words}");
    }
    for words in [
        "",
        "KiB",
        "1KB",
        "1.5MiB",
        "-1KiB",
        "99999999999999999GiB",
        "1",
    ] {
        assert!(Size(0).set(Raw::Text(words)).is_err(), "{words}");
    }
    assert_eq!(Size(102_400).to_string(), "100KiB");
    assert_eq!(Size(0).to_string(), "0B");
    for (words, duration) in [
        ("1m 30s", 90_000),
        ("1m30s", 90_000),
        ("250ms", 250),
        ("0", 0),
        ("0s", 0),
    ] {
        let mut read = Duration::MAX;
        read.set(Raw::Text(words)).unwrap();
        assert_eq!(read, Duration::from_millis(duration), "{words}");
    }
    let off = parse("[timeouts]\ntcp_user_timeout = \"0s\"\nprobe_interval = \"off\"").unwrap();
    assert_eq!(
        (off.timeouts.tcp_user_timeout, off.timeouts.probe_interval),
        (None, None)
    );
}

#[test]
fn listeners_have_names_and_addresses_of_their_own() {
    let two = |second: &str| {
        format!(
            "[[listeners]]\nlisten = \"127.0.0.1:1\"\n[[listeners]]\nname = \"replica\"\n{second}"
        )
    };
    assert_eq!(
        parse(&two("listen = \"127.0.0.1:2\""))
            .unwrap()
            .listeners
            .len(),
        2
    );
    refused(
        &two("listen = \"127.0.0.1:1\""),
        "a.toml:5: listeners.listen: `127.0.0.1:1` is given to two listeners",
    );
    refused(
        "[[listeners]]\nlisten = \"127.0.0.1:9433\"",
        "a.toml:2: listeners.listen: `127.0.0.1:9433` is given to two listeners",
    );
    refused(
        "[[listeners]]\n[[listeners]]\nlisten = \"127.0.0.1:1\"",
        "listeners.name: `default` is given to two listeners",
    );
    refused(
        "[[listeners]]\nname = \"a b\"",
        "a.toml:2: listeners.name: `a b` is not a name; letters, digits, `_`, `-` and `.` are accepted, at most 63",
    );
    let free = "[[listeners]]\nlisten = \"127.0.0.1:0\"\n[[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:0\"";
    assert!(parse(free).is_ok(), "port 0 is a port of its own each time");
    for (listen, upstream) in [
        ("127.0.0.1:7", "127.0.0.1:7"),
        ("0.0.0.0:7", "127.0.0.1:7"),
        ("127.0.0.1:7", "localhost:7"),
    ] {
        refused(
            &format!("[[listeners]]\nlisten = \"{listen}\"\nupstream = \"postgres://{upstream}\""),
            &format!(
                "a.toml:3: listeners.upstream: {upstream} is the proxy's own address: it would connect to itself"
            ),
        );
    }
}

#[test]
fn listener_flags_are_for_one_listener() {
    let two = "[[listeners]]\nlisten = \"127.0.0.1:1\"\n[[listeners]]\nname = \"b\"\nlisten = \"127.0.0.1:2\"";
    let error = load(two, &[("listen", "127.0.0.1:3")], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--listen: listeners.listen: applies to a file with one listener, this one has 2; write it into their sections"
    );
    let one = load(
        "[[listeners]]\nname = \"b\"",
        &[("listen", "localhost:3")],
        &[],
    )
    .unwrap();
    assert_eq!(
        (
            one.listeners[0].name.as_str(),
            one.listeners[0].listen.to_string().as_str()
        ),
        ("b", "127.0.0.1:3")
    );
}

#[test]
fn warnings_tell_what_pg_hba_will_not_see() {
    let open = |listen: &str, upstream: &str| {
        let text = format!("[[listeners]]\nlisten = \"{listen}\"\nupstream = \"{upstream}\"");
        parse(&text).unwrap().warnings().len()
    };
    assert_eq!(open("0.0.0.0:6433", "postgres://127.0.0.1"), 1);
    assert_eq!(open("0.0.0.0:6433", "postgres://localhost"), 1);
    assert_eq!(open("[::]:6433", "postgres:///?host=/run/postgresql"), 1);
    assert_eq!(open("0.0.0.0:6433", "postgres://db"), 0);
    assert_eq!(open("127.0.0.1:6433", "postgres://127.0.0.1"), 0);
    let config = parse("log_literals = true\n[[listeners]]\nlisten = \"0.0.0.0:6433\"").unwrap();
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    assert!(
        warnings[0].contains("pg_hba.conf") && warnings[1].contains("log_literals"),
        "{warnings:?}"
    );
}
