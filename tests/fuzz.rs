//! The bodies of the fuzz targets with their seeds, as an ordinary test: what was found once is not lost again, and
//! nobody needs libFuzzer for it.

#[allow(
    unreachable_pub,
    reason = "the targets are programs of their own, this is another"
)]
#[path = "../fuzz/src/bodies/mod.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// Runs `body` with every seed of `target`, and with every beginning of the short ones.
fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut seeds: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    for path in seeds {
        println!("{}", path.display());
        let seed = fs::read(&path).unwrap();
        body(&seed);
        for length in 0..seed.len().min(BEGINNINGS_MAX) {
            body(&seed[..length]);
        }
    }
}

/// Beginnings of a seed that are tried.
const BEGINNINGS_MAX: usize = 300;

#[test]
fn frame() {
    run("frame", bodies::frame::run);
}

#[test]
fn message() {
    run("message", bodies::message::run);
}

#[test]
fn session() {
    run("session", bodies::session::run);
}

#[test]
fn lexer() {
    run("lexer", bodies::lexer::run);
}

#[test]
fn config() {
    run("config", bodies::config::run);
}

#[test]
fn admin() {
    run("admin", bodies::admin::run);
}

#[test]
fn startup() {
    run("startup", bodies::startup::run);
}

#[test]
fn shapes() {
    run("shapes", bodies::shapes::run);
}

#[test]
fn every_target_is_here() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml"));
    let text = text.unwrap();
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("path = \"targets/")?
                .strip_suffix(".rs\"")
        })
        .collect();
    assert_eq!(
        names,
        [
            "frame", "message", "session", "lexer", "config", "admin", "startup", "shapes"
        ]
    );
}
