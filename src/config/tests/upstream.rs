use super::*;

#[test]
fn upstreams_are_read_as_libpq_reads_them() {
    for (url, address, sslmode) in [
        (
            "postgres://127.0.0.1:5432?sslmode=prefer",
            "127.0.0.1:5432",
            SslMode::Prefer,
        ),
        (
            "postgresql://db.example",
            "db.example:5432",
            SslMode::Prefer,
        ),
        ("postgres://db:7/?sslmode=disable", "db:7", SslMode::Disable),
        (
            "postgres://[::1]:7?sslmode=require",
            "[::1]:7",
            SslMode::Require,
        ),
        (
            "postgres://db?sslmode=verify-ca&sslrootcert=/etc/a%20b.crt&sslcert=c&sslkey=k&sslsni=0",
            "db:5432",
            SslMode::VerifyCa,
        ),
        (
            "postgres://db?sslrootcert=system",
            "db:5432",
            SslMode::VerifyFull,
        ),
        (
            "postgres:///?host=/run/postgresql",
            "/run/postgresql/.s.PGSQL.5432",
            SslMode::Prefer,
        ),
        (
            "postgres:///?host=%2Frun%2Fpg&port=6000",
            "/run/pg/.s.PGSQL.6000",
            SslMode::Prefer,
        ),
        (
            "postgres://%2Frun%2Fpg:6000",
            "/run/pg/.s.PGSQL.6000",
            SslMode::Prefer,
        ),
        ("postgres://?host=db&port=7", "db:7", SslMode::Prefer),
        ("  postgres://db  ", "db:5432", SslMode::Prefer),
    ] {
        let mut upstream = Upstream::default();
        upstream
            .set(Raw::Text(url))
            .unwrap_or_else(|reason| panic!("{url}: {reason}"));
        assert_eq!(
            (upstream.address.to_string().as_str(), upstream.sslmode),
            (address, sslmode),
            "{url}"
        );
        let mut again = Upstream::default();
        again
            .set(Raw::Text(&upstream.to_string()))
            .unwrap_or_else(|reason| panic!("{upstream}: {reason}"));
        assert_eq!(again, upstream);
    }
}

#[test]
fn refused_upstreams_say_why_and_never_show_a_password() {
    for (url, expected) in [
        (
            "postgres://bob:s3cret@db/shop",
            UpstreamError::Credentials("a user or a password"),
        ),
        (
            "postgres://bob:s3cret@@db:x y/shop",
            UpstreamError::Credentials("a user or a password"),
        ),
        (
            "postgres://db?user=bob",
            UpstreamError::Credentials("a user"),
        ),
        (
            "postgres://db?password=s3cret",
            UpstreamError::Credentials("a password"),
        ),
        (
            "postgres://db?passfile=s3cret",
            UpstreamError::Credentials("a password"),
        ),
        (
            "postgres://db/s3cret",
            UpstreamError::Credentials("a database"),
        ),
        (
            "postgres:///s3cret?host=/run",
            UpstreamError::Credentials("a database"),
        ),
        (
            "postgres://db?dbname=s3cret",
            UpstreamError::Credentials("a database"),
        ),
        ("mysql://s3cret", UpstreamError::NotAUrl),
        ("s3cret", UpstreamError::NotAUrl),
        ("postgres://db#s3cret", UpstreamError::NotAUrl),
        ("postgres://", UpstreamError::NoHost),
        ("postgres:///", UpstreamError::NoHost),
        ("postgres://a,b", UpstreamError::SeveralHosts),
        ("postgres://?host=a,b", UpstreamError::SeveralHosts),
        ("postgres://a?host=b", UpstreamError::HostTwice),
        ("postgres://a:0", UpstreamError::Port),
        ("postgres://a:99999", UpstreamError::Port),
        ("postgres://a?port=x", UpstreamError::Port),
        ("postgres://a?sslmode=allow", UpstreamError::Allow),
        (
            "postgres://a?sslmode=verify-ca",
            UpstreamError::RootMissing(SslMode::VerifyCa),
        ),
        (
            "postgres://a?sslmode=verify-full",
            UpstreamError::RootMissing(SslMode::VerifyFull),
        ),
        (
            "postgres://a?sslmode=require&sslrootcert=system",
            UpstreamError::SystemRoots,
        ),
        ("postgres://a?sslcert=s3cret", UpstreamError::HalfIdentity),
        ("postgres://a?sslsni=s3cret", UpstreamError::Sni),
        (
            "postgres://a?sslpassword=s3cret",
            UpstreamError::UnknownParameter("sslpassword".to_owned()),
        ),
        (
            "postgres://a?sslmode=maybe",
            UpstreamError::UnknownSslMode("maybe".to_owned()),
        ),
        (
            "postgres://a?options=s3cret",
            UpstreamError::UnknownParameter("options".to_owned()),
        ),
    ] {
        let mut upstream = Upstream::default();
        let reason = upstream.set(Raw::Text(url)).expect_err(url);
        assert_eq!(reason, Reason::Upstream(expected), "{url}");
        assert_eq!(upstream, Upstream::default(), "{url}");
        let error = load("", &[("upstream", url)], &[]).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }
    let sources = Sources::new(
        None,
        &[("upstream".into(), "postgres://b:s3cret@db".into())],
        |_| None,
    );
    assert!(!format!("{sources:?}").contains("s3cret"));
}
