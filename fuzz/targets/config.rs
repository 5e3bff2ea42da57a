//! Configuration files of any content: accepted or refused with one line that a person can read.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pgprism::config::Config;

fuzz_target!(|text: &str| {
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
});
