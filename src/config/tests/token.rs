//! The admin token: where it comes from, who may not see it.

use super::*;

#[test]
fn an_open_admin_address_needs_a_token() {
    refused(
        "[admin]\nlisten = \"0.0.0.0:9433\"",
        "a.toml:2: admin.listen: 0.0.0.0:9433 is not a loopback address, so `admin.token_file` must name a file that holds a token, or PGPRISM_TOKEN be one",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let text = format!(
        "[admin]\nlisten = \"0.0.0.0:9433\"\ntoken_file = \"{}\"",
        path.display()
    );
    let error = parse(&text).unwrap_err().to_string();
    assert!(
        error.starts_with("a.toml:3: admin.token_file: cannot read the token from "),
        "{error}"
    );
    for unusable in ["", " \n", "two words", "two\nlines", "tökén"] {
        std::fs::write(&path, unusable).unwrap();
        let error = parse(&text).unwrap_err().to_string();
        assert!(
            error.contains("is empty or not one line of visible ASCII"),
            "{unusable}: {error}"
        );
    }
    std::fs::write(&path, "s3cret\n").unwrap();
    let config = parse(&text).unwrap();
    assert_eq!(config.admin.token, Some(Token("s3cret".to_owned())));
    assert!(!format!("{config:?}").contains("s3cret"));
    assert_eq!(
        parse("[admin]\nlisten = \"off\"").unwrap().admin.listen,
        None
    );
}

#[test]
fn the_environment_may_hold_the_token_itself() {
    let open = [("admin", "0.0.0.0:9433")];
    let config = load("", &open, &[("PGPRISM_TOKEN", "0123456789abcdef")]).unwrap();
    assert_eq!(
        config.admin.token,
        Some(Token("0123456789abcdef".to_owned()))
    );
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert_eq!(config.warnings(), []);
    for (text, token, expected) in [
        (
            "",
            "two words",
            "the token in PGPRISM_TOKEN is empty or not one line of visible ASCII characters",
        ),
        (
            "[admin]\ntoken_file = \"token\"",
            "0123456789abcdef",
            "the environment gives a token too, in PGPRISM_TOKEN; keep one of the two",
        ),
        (
            "",
            "",
            "so `admin.token_file` must name a file that holds a token, or PGPRISM_TOKEN be one",
        ),
    ] {
        let error = load(text, &open, &[("PGPRISM_TOKEN", token)])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(token.is_empty() || !error.contains(token), "{error}");
    }
}

#[test]
fn a_token_that_others_can_read_or_guess_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let text = format!("[admin]\ntoken_file = \"{}\"", path.display());
    for (mode, token, expected) in [
        (0o600, "0123456789abcdef", vec![]),
        (0o640, "0123456789abcdef", vec![]),
        (
            0o644,
            "0123456789abcdef",
            vec![Warning::TokenReadable { path: path.clone() }],
        ),
        (0o600, "0123456789abcde", vec![Warning::TokenShort]),
    ] {
        std::fs::write(&path, token).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = parse(&text).unwrap().warnings();
        assert_eq!(warnings, expected);
        assert!(
            warnings
                .iter()
                .all(|warning| !warning.to_string().contains(token))
        );
    }
}
