use super::*;

#[test]
fn tls_needs_its_files_and_says_which() {
    for (settings, key, reason) in [
        (
            "tls = \"allow\"",
            "tls_certificate",
            "is needed by tls = \"allow\"; name a file in PEM form",
        ),
        (
            "tls = \"require\"\ntls_certificate = \"c\"",
            "tls_key",
            "is needed by tls = \"require\"; name a file in PEM form",
        ),
        (
            "tls = \"allow\"\ntls_certificate = \"c\"\ntls_key = \"k\"\ntls_client_verify = \"optional\"",
            "tls_client_ca",
            "is needed by tls_client_verify; name a file with the certificates that sign the clients'",
        ),
        (
            "tls_key = \"k\"\ntls = \"allow\"\ntls_certificate = \"/nowhere/at.crt\"",
            "tls_certificate",
            "/nowhere/at.crt: No such file or directory (os error 2)",
        ),
        (
            "upstream = \"postgres://db?sslmode=require&sslrootcert=/nowhere/at.crt\"",
            "upstream",
            "sslrootcert: /nowhere/at.crt: No such file or directory (os error 2)",
        ),
        (
            "tls = \"pass-through\"\nupstream = \"postgres://db?sslmode=require\"",
            "upstream",
            "sslmode=require, but tls = \"pass-through\" carries the client's own TLS, or none; let the clients ask for \
             it, or end TLS here with tls = \"allow\" or \"require\"",
        ),
    ] {
        let error = parse(&format!("[[listeners]]\n{settings}"))
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(&format!("listeners.{key}: {reason}")),
            "{error}"
        );
    }
    let pass_through = parse("[[listeners]]\ntls = \"pass-through\"").unwrap();
    assert_eq!(pass_through.listeners[0].tls, Tls::PassThrough);
    // Without TLS nobody reads them.
    parse("[[listeners]]\ntls_certificate = \"/nowhere\"\ntls_client_verify = \"required\"")
        .unwrap();
    parse("[[listeners]]\nupstream = \"postgres:///?host=/run&sslmode=require\"").unwrap();
}

#[test]
fn upstream_tls_is_prepared_where_it_is_asked_for() {
    let connector = |upstream: &str| {
        parse(&format!("[[listeners]]\nupstream = \"{upstream}\""))
            .unwrap()
            .listeners
            .remove(0)
            .connector
    };
    assert!(connector("postgres://db").is_some());
    assert!(connector("postgres://db?sslmode=require").is_some());
    assert!(connector("postgres://db?sslmode=disable").is_none());
    assert!(connector("postgres:///?host=/run").is_none());
}
