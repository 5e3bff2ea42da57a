//! `pg_service.conf` and `.pgpass`.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_service_leads_to_the_listener_and_keeps_the_rest() {
    let home = empty_home();
    let file = home.path().join(".pg_service.conf");
    let text = "# mine\n[shop]\nhost=db\nhostaddr=10.0.0.7\nport = 6000\nuser=u\npassword=s3cret\ndbname=shop\n\
        sslmode=verify-ca\nsslrootcert=/ca.pem\n[other]\nhost=elsewhere\n";
    write(&file, text, 0o600);
    for variables in [
        vec![("PGSERVICE", "shop")],
        vec![("DATABASE_URL", "postgres:///?service=shop")],
        vec![("PGSERVICE", "shop"), ("PGHOST", "ignored")],
    ] {
        let made = changed(&with_home(&home, &variables), &[], None).unwrap();
        assert_eq!(
            made.upstreams(),
            ["default postgres://10.0.0.7:6000?sslmode=verify-ca&sslrootcert=/ca.pem"],
            "{variables:?}"
        );
        let path = made.value("PGSERVICEFILE").unwrap();
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let written = fs::read_to_string(path).unwrap();
        assert_eq!(
            written,
            "[shop]\ndbname=shop\nhost=127.0.0.1\npassword=s3cret\nport=40001\nsslmode=disable\nuser=u\n\
             [other]\nhost=elsewhere\n"
        );
        assert!(made.said(
            "service shop: 10.0.0.7:6000 -> 127.0.0.1:40001, sslmode=verify-ca from there on"
        ));
        assert!(!made.said("s3cret"));
        let path = path.to_owned();
        drop(made);
        assert!(!Path::new(&path).exists(), "it is gone with the run");
    }
    let error = changed(&with_home(&home, &[("PGSERVICE", "none")]), &[], None)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("the service \"none\" is in no pg_service.conf"),
        "{error}"
    );
}

#[test]
fn a_pgpass_has_its_entries_for_the_listener_too() {
    let home = empty_home();
    let file = home.path().join(".pgpass");
    let text = "# mine\nother:5432:*:u:no\ndb:*:shop:u:s3\\:cret\ndb:6000:*:u:no\n*:*:*:u:any\n";
    write(&file, text, 0o600);
    let with = |url: &str| changed(&with_home(&home, &[("DATABASE_URL", url)]), &[], None).unwrap();
    let made = with("postgres://u@db/shop");
    let path = made.value("PGPASSFILE").unwrap();
    assert_eq!(
        fs::metadata(path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let written = fs::read_to_string(path).unwrap();
    assert_eq!(written, format!("127.0.0.1:40001:shop:u:s3\\:cret\n{text}"));
    assert!(made.said("1 of its entries") && !made.said("s3"));
    // With a password nobody asks the file, and what fits all servers fits the listener.
    assert_eq!(with("postgres://u:p@db/shop").value("PGPASSFILE"), None);
    assert_eq!(
        with("postgres://u@elsewhere/shop").value("PGPASSFILE"),
        None
    );
    // libpq does not read one that others may see.
    write(&file, text, 0o644);
    assert_eq!(with("postgres://u@db/shop").value("PGPASSFILE"), None);
}

#[test]
fn sockets_are_localhost_in_a_pgpass_and_names_may_have_colons() {
    let home = empty_home();
    let file = home.path().join("passes");
    write(
        &file,
        "localhost:5432:*:u:one\n\\:\\:1:5432:*:u:two\n/run/pg:*:*:u:three\n",
        0o600,
    );
    for (url, expected) in [
        ("postgres://u@%2Frun%2Fpostgresql/shop", "one"),
        ("postgres://u@[::1]/shop", "two"),
        ("postgres://u@%2Frun%2Fpg/shop", "three"),
    ] {
        let variables = [
            ("DATABASE_URL", url),
            ("PGPASSFILE", file.to_str().unwrap()),
        ];
        let made = changed(&with_home(&home, &variables), &[], None).unwrap();
        let written = fs::read_to_string(made.value("PGPASSFILE").unwrap()).unwrap();
        let first = written.lines().next().unwrap();
        assert_eq!(first, format!("127.0.0.1:40001:*:u:{expected}"), "{url}");
    }
    // A URL may name its own.
    let url = format!("postgres://u@localhost/shop?passfile={}", file.display());
    let made = changed(&with_home(&home, &[("DATABASE_URL", &url)]), &[], None).unwrap();
    let url = made.value("DATABASE_URL").unwrap();
    assert!(
        url.contains("passfile=") && !url.contains(file.to_str().unwrap()),
        "{url}"
    );
}
