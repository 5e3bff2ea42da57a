//! Configuration files of any content: accepted or refused with one line that a person can read.

use std::path::Path;

use pgprism::config::Config;

use super::text;

/// The target's body.
pub fn run(input: &[u8]) {
    let text = text(input);
    match Config::parse(Path::new("fuzz.toml"), text) {
        // What was accepted can say what it warns of.
        Ok(config) => drop(
            config
                .warnings()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        ),
        Err(error) => {
            let line = error.to_string();
            assert!(
                !line.is_empty() && !line.contains('\n'),
                "not one line: {line:?}"
            );
        }
    }
}
