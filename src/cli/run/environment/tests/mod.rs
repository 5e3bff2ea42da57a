use std::fs;

use super::*;

mod files;

/// What the command gets with one listener a server, on ports from 40001 on: changed variables, in the order of their
/// names, and the lines that are printed.
fn changed(
    variables: &Variables,
    named: &[&str],
    upstream: Option<&str>,
) -> Result<Made, PlanError> {
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    let upstream: Option<Upstream> = upstream.map(|url| url.parse().unwrap());
    let plan = Plan::make(variables, &named, upstream.as_ref())?;
    let listeners: Vec<SocketAddr> = (0..plan.servers.len())
        .map(|index| SocketAddr::from(([127, 0, 0, 1], 40001 + index as u16)))
        .collect();
    let changes = plan.change(variables, &listeners).unwrap();
    Ok(Made { plan, changes })
}

struct Made {
    plan: Plan,
    changes: Changes,
}

impl Made {
    fn value(&self, name: &str) -> Option<&str> {
        self.changes.variables.get(name)?.as_deref()
    }

    fn is_taken(&self, name: &str) -> bool {
        self.changes.variables.get(name) == Some(&None)
    }

    fn upstreams(&self) -> Vec<String> {
        let servers = self.plan.servers.iter();
        servers
            .map(|server| format!("{} {}", server.name, server.upstream))
            .collect()
    }

    fn said(&self, words: &str) -> bool {
        self.changes.lines.iter().any(|line| line.contains(words))
    }
}

/// A home without any file of libpq's.
fn empty_home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn with_home(home: &tempfile::TempDir, variables: &[(&str, &str)]) -> Variables {
    let mut all = Variables::new(variables);
    let home = home.path().to_str().unwrap().to_owned();
    all.0.entry("HOME".to_owned()).or_insert(home);
    all
}

/// DATABASE_URL as it was, where it leads, and what the command gets.
#[track_caller]
fn check(url: &str, upstream: &str, becomes: &str) {
    let home = empty_home();
    let made = changed(&with_home(&home, &[("DATABASE_URL", url)]), &[], None).unwrap();
    assert_eq!(made.upstreams(), [format!("default {upstream}")], "{url}");
    assert_eq!(made.value("DATABASE_URL"), Some(becomes), "{url}");
}

#[test]
fn urls_lead_to_the_listener_and_keep_their_spelling() {
    let db = "postgres://db:5432?sslmode=prefer";
    let to = "127.0.0.1:40001";
    for (url, upstream, becomes) in [
        (
            "postgres://db/shop",
            db,
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgresql://u@db/shop",
            db,
            format!("postgresql://u@{to}/shop?sslmode=disable"),
        ),
        (
            "postgis://u:p@db:5432/shop",
            db,
            format!("postgis://u:p@{to}/shop?sslmode=disable"),
        ),
        (
            "psql://u:p@db:5432/shop",
            db,
            format!("psql://u:p@{to}/shop?sslmode=disable"),
        ),
        (
            "pgsql://u:p@db:5432/shop",
            db,
            format!("pgsql://u:p@{to}/shop?sslmode=disable"),
        ),
        (
            "timescalegis://db/shop",
            db,
            format!("timescalegis://{to}/shop?sslmode=disable"),
        ),
        (
            "postgresql+psycopg://db/shop",
            db,
            format!("postgresql+psycopg://{to}/shop?sslmode=disable"),
        ),
        (
            "postgresql+asyncpg://db/shop",
            db,
            format!("postgresql+asyncpg://{to}/shop?ssl=disable"),
        ),
        (
            "postgres://db",
            db,
            format!("postgres://{to}?sslmode=disable"),
        ),
        // A password's escapes, and an @ that should have been one.
        (
            "postgres://u:p%40%2Fs%3A@db/shop",
            db,
            format!("postgres://u:p%40%2Fs%3A@{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u:p@ss@db/shop",
            db,
            format!("postgres://u:p@ss@{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u:%E4%BD%A0@db/%E5%BA%97",
            db,
            format!("postgres://u:%E4%BD%A0@{to}/%E5%BA%97?sslmode=disable"),
        ),
        // Parameters that are not about where and how.
        (
            "postgres://db/shop?application_name=web&conn_max_age=60&options=-c%20x%3D1",
            db,
            format!(
                "postgres://{to}/shop?application_name=web&conn_max_age=60&options=-c%20x%3D1&sslmode=disable"
            ),
        ),
        (
            "postgres://db/shop?port=6000",
            "postgres://db:6000?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres:///shop?host=db&port=6000",
            "postgres://db:6000?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        // Addresses.
        (
            "postgres://[::1]:5433/shop",
            "postgres://[::1]:5433?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://[fe80::1]/shop",
            "postgres://[fe80::1]:5432?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db.example.com:6432/shop",
            "postgres://db.example.com:6432?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        // Sockets.
        (
            "postgres:///shop?host=/run/pg",
            "postgres:///?host=/run/pg&port=5432&sslmode=disable",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u@%2Frun%2Fpg/shop",
            "postgres:///?host=/run/pg&port=5432&sslmode=disable",
            format!("postgres://u@{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u@%2Frun%2Fpg:5433/shop",
            "postgres:///?host=/run/pg&port=5433&sslmode=disable",
            format!("postgres://u@{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u:p@//cloudsql/one:two:three/shop",
            "postgres:///?host=/cloudsql/one%3Atwo%3Athree&port=5432&sslmode=disable",
            format!("postgres://u:p@{to}/shop?sslmode=disable"),
        ),
        // TLS is pgprism's business now.
        (
            "postgres://db/shop?sslmode=require",
            "postgres://db:5432?sslmode=require",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db/shop?sslmode=disable",
            "postgres://db:5432?sslmode=disable",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db/shop?sslmode=allow",
            db,
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db/shop?requiressl=1",
            "postgres://db:5432?sslmode=require",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://u:p@db/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem&channel_binding=require&connect_timeout=3",
            "postgres://db:5432?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            format!("postgres://u:p@{to}/shop?connect_timeout=3&sslmode=disable"),
        ),
        (
            "postgres://db/shop?sslrootcert=system",
            "postgres://db:5432?sslmode=verify-full&sslrootcert=system",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db/shop?sslmode=require&sslcert=/c.crt&sslkey=/c.key&sslsni=0",
            "postgres://db:5432?sslmode=require&sslcert=/c.crt&sslkey=/c.key&sslsni=0",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        // An address beside the name: only the check of the name needs it.
        (
            "postgres://db/shop?hostaddr=10.0.0.7",
            "postgres://10.0.0.7:5432?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://db/shop?hostaddr=10.0.0.7&sslmode=verify-full&sslrootcert=/ca",
            "postgres://db:5432?sslmode=verify-full&sslrootcert=/ca",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
        (
            "postgres://a:5432,b:5433/shop",
            "postgres://a:5432?sslmode=prefer",
            format!("postgres://{to}/shop?sslmode=disable"),
        ),
    ] {
        check(url, upstream, &becomes);
    }
}

#[test]
fn no_password_is_shown() {
    let home = empty_home();
    let url = "postgres://u:s3cret@db/shop?password=s3cret";
    let made = changed(&with_home(&home, &[("DATABASE_URL", url)]), &[], None).unwrap();
    assert_eq!(
        made.changes.lines,
        ["DATABASE_URL: db:5432 -> 127.0.0.1:40001 (password not shown)"]
    );
    for url in [
        "postgres://u:s3cret@db:port/shop",
        "postgres://u:s3cret@db/shop?sslmode=s3cret",
        "postgres://u:s3cret@a,b/shop?target_session_attrs=primary",
        "postgres://u:s3cret@db/shop?sslmode=verify-full",
        "postgres://u:s3cret@db/shop?service=none",
    ] {
        let error = changed(&with_home(&home, &[("DATABASE_URL", url)]), &[], None)
            .err()
            .unwrap();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(error.to_string().contains("--upstream"), "{error}");
        // Where it is said where to go, nothing of it matters.
        let given = Some("postgres://other:5432");
        let made = changed(&with_home(&home, &[("DATABASE_URL", url)]), &[], given).unwrap();
        assert_eq!(
            made.upstreams(),
            ["default postgres://other:5432?sslmode=prefer"],
            "{url}"
        );
    }
}

#[test]
fn what_is_not_postgres_is_left_alone() {
    let home = empty_home();
    for url in [
        "sqlite:///db.sqlite3",
        "mysql://u@db/shop",
        "host=db dbname=shop",
        "nonsense",
    ] {
        let variables = with_home(&home, &[("DATABASE_URL", url)]);
        let made = changed(&variables, &[], None).unwrap();
        assert!(
            made.plan.is_empty() && made.changes.variables.is_empty(),
            "{url}"
        );
        assert!(
            made.plan.hints[0].contains("left as it is"),
            "{:?}",
            made.plan.hints
        );
        let error = changed(&variables, &["DATABASE_URL"], None).err().unwrap();
        assert_eq!(error, PlanError::NotAUrl("DATABASE_URL".to_owned()));
    }
    let made = changed(&with_home(&home, &[]), &[], None).unwrap();
    assert!(made.plan.is_empty() && made.plan.servers.is_empty());
}

#[test]
fn several_databases_have_a_listener_each_and_one_server_has_one() {
    let home = empty_home();
    let variables = with_home(
        &home,
        &[
            ("DATABASE_URL", "postgres://u@db/shop"),
            ("DATABASE_REPLICA_URL", "postgres://u@replica:5433/shop"),
            ("REPORTS_DATABASE_URL", "postgres://u@db:5432/reports"),
            ("OTHER", "postgresql://elsewhere/x"),
        ],
    );
    let named = ["DATABASE_REPLICA_URL", "REPORTS_DATABASE_URL"];
    let made = changed(&variables, &named, None).unwrap();
    assert_eq!(
        made.upstreams(),
        [
            "default postgres://db:5432?sslmode=prefer",
            "replica postgres://replica:5433?sslmode=prefer"
        ]
    );
    let (first, second) = (
        "postgres://u@127.0.0.1:40001",
        "postgres://u@127.0.0.1:40002",
    );
    assert_eq!(
        made.value("DATABASE_URL"),
        Some(&*format!("{first}/shop?sslmode=disable"))
    );
    assert_eq!(
        made.value("DATABASE_REPLICA_URL"),
        Some(&*format!("{second}/shop?sslmode=disable"))
    );
    assert_eq!(
        made.value("REPORTS_DATABASE_URL"),
        Some(&*format!("{first}/reports?sslmode=disable"))
    );
    assert_eq!(made.value("OTHER"), None);
    assert!(
        made.plan.hints[0].contains("--env OTHER"),
        "{:?}",
        made.plan.hints
    );

    let made = changed(&variables, &["DATABASE_*_URL"], None).unwrap();
    assert_eq!(made.plan.servers.len(), 2);
    assert_eq!(made.value("REPORTS_DATABASE_URL"), None);
    let error = changed(&variables, &["NO_SUCH"], None).err().unwrap();
    assert_eq!(error, PlanError::NotSet("NO_SUCH".to_owned()));

    // --upstream wins for all of them.
    let made = changed(&variables, &named, Some("postgres://one:1")).unwrap();
    assert_eq!(
        made.upstreams(),
        ["default postgres://one:1?sslmode=prefer"]
    );
}

#[test]
fn aliases_are_what_django_may_call_them() {
    for (variable, expected) in [
        ("DATABASE_URL", "default"),
        ("DATABASE_REPLICA_URL", "replica"),
        ("REPLICA_DATABASE_URL", "replica"),
        ("DATABASE_URL_READ_ONLY", "read_only"),
        ("DB_URL", "default"),
        ("ANALYTICS", "analytics"),
    ] {
        assert_eq!(alias(variable), expected, "{variable}");
    }
}

/// libpq's own variables, where they lead, and what the command gets of them.
#[track_caller]
fn check_libpq(variables: &[(&str, &str)], upstream: &str, taken: &[&str]) -> Made {
    let home = empty_home();
    let made = changed(&with_home(&home, variables), &[], None).unwrap();
    assert_eq!(
        made.upstreams(),
        [format!("default {upstream}")],
        "{variables:?}"
    );
    assert_eq!(
        (made.value("PGHOST"), made.value("PGPORT")),
        (Some("127.0.0.1"), Some("40001"))
    );
    for name in taken {
        assert!(made.is_taken(name), "{name}: {:?}", made.changes.variables);
    }
    made
}

#[test]
fn the_variables_of_libpq_are_followed() {
    check_libpq(
        &[("PGHOST", "db")],
        "postgres://db:5432?sslmode=prefer",
        &[],
    );
    check_libpq(
        &[("PGHOST", "db"), ("PGPORT", "6000")],
        "postgres://db:6000?sslmode=prefer",
        &[],
    );
    check_libpq(
        &[("PGHOST", "/run/pg"), ("PGPORT", "6000")],
        "postgres:///?host=/run/pg&port=6000&sslmode=disable",
        &[],
    );
    check_libpq(
        &[("PGHOST", "db"), ("PGHOSTADDR", "10.0.0.7")],
        "postgres://10.0.0.7:5432?sslmode=prefer",
        &["PGHOSTADDR"],
    );
    let made = check_libpq(
        &[
            ("PGHOST", "db"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
            ("PGCHANNELBINDING", "require"),
        ],
        "postgres://db:5432?sslmode=verify-full&sslrootcert=/ca.pem",
        &["PGSSLROOTCERT", "PGCHANNELBINDING"],
    );
    assert_eq!(made.value("PGSSLMODE"), Some("disable"));
    assert!(
        made.said("PGHOST, PGPORT: db:5432 -> 127.0.0.1:40001, sslmode=verify-full from there on")
    );
    assert!(made.said("PGSSLROOTCERT, PGCHANNELBINDING: used towards the server"));
    // Nothing says where: with --upstream these two do.
    let home = empty_home();
    let made = changed(&with_home(&home, &[]), &[], Some("postgres://db:5432")).unwrap();
    assert_eq!(made.value("PGHOST"), Some("127.0.0.1"));
}

#[test]
fn a_url_takes_from_the_variables_what_it_does_not_say() {
    let home = empty_home();
    let variables = with_home(
        &home,
        &[
            ("DATABASE_URL", "postgres:///shop"),
            ("PGHOST", "db"),
            ("PGPORT", "6000"),
            ("PGSSLMODE", "require"),
        ],
    );
    let made = changed(&variables, &[], None).unwrap();
    assert_eq!(
        made.upstreams(),
        ["default postgres://db:6000?sslmode=require"]
    );
    assert_eq!(
        made.value("DATABASE_URL"),
        Some("postgres://127.0.0.1:40001/shop?sslmode=disable")
    );
    // An address of libpq's would come before the host of every URL.
    let variables = with_home(
        &home,
        &[
            ("DATABASE_URL", "postgres://db/shop"),
            ("PGHOSTADDR", "10.0.0.7"),
        ],
    );
    let made = changed(&variables, &[], None).unwrap();
    assert!(made.is_taken("PGHOSTADDR"));
    assert_eq!(
        made.upstreams(),
        ["default postgres://10.0.0.7:5432?sslmode=prefer"]
    );
}

#[test]
fn the_root_certificate_of_the_home_counts_as_for_libpq() {
    let home = empty_home();
    let folder = home.path().join(".postgresql");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("root.crt"), "x").unwrap();
    let root = folder.join("root.crt").display().to_string();
    for (sslmode, expected) in [
        ("require", format!("verify-ca&sslrootcert={root}")),
        ("verify-full", format!("verify-full&sslrootcert={root}")),
        ("prefer", "prefer".to_owned()),
    ] {
        let url = format!("postgres://db/shop?sslmode={sslmode}");
        let made = changed(&with_home(&home, &[("DATABASE_URL", &url)]), &[], None).unwrap();
        assert_eq!(
            made.upstreams(),
            [format!("default postgres://db:5432?sslmode={expected}")]
        );
    }
}

#[test]
fn an_ipv6_listener_is_written_as_one() {
    let home = empty_home();
    let variables = with_home(
        &home,
        &[("DATABASE_URL", "postgres://u@db/shop"), ("PGHOST", "db")],
    );
    let plan = Plan::make(&variables, &[], None).unwrap();
    for listener in ["[::1]:40001", "[::]:40001"] {
        let changes = plan
            .change(&variables, &[listener.parse().unwrap()])
            .unwrap();
        let value = |name: &str| changes.variables[name].clone().unwrap();
        assert_eq!(
            value("DATABASE_URL"),
            "postgres://u@[::1]:40001/shop?sslmode=disable"
        );
        assert_eq!(value("PGHOST"), "::1");
    }
}
