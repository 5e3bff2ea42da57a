//! `SECURITY.md` names the tests that hold its promises: each of them exists.

use std::path::Path;

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let named: Vec<(&str, &str)> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .collect();
    assert!(named.len() >= 25, "{named:?}");
    for (file, name) in named {
        let text = std::fs::read_to_string(root.join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let defined = [format!("fn {name}("), format!("def {name}(")];
        assert!(
            defined.iter().any(|line| text.contains(line)),
            "{file} has no {name}"
        );
    }
}
