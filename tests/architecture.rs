//! The structure that the documentation promises: which room may import which, and which crate stays in which room.
//!
//! Rooms are the modules of `src/lib.rs`, in the order in which data passes them; a room imports only rooms above it.
//! What is read is the code itself, without comments, strings and test modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All rooms in their order, and what a room may import where that is less (or other) than all rooms above it.
const ROOMS: &[(&str, Imports)] = &[
    ("wire", Imports::Only(&[])),
    ("sql", Imports::Only(&[])),
    ("event", Imports::Above),
    ("fault", Imports::Only(&[])),
    ("bell", Imports::Only(&[])),
    ("cache", Imports::Only(&[])),
    ("hashes", Imports::Only(&["cache"])),
    ("session", Imports::Above),
    ("aggregate", Imports::Above),
    ("unit", Imports::Above),
    ("detect", Imports::Above),
    ("advise", Imports::Above),
    ("catalog", Imports::Only(&["advise", "aggregate"])),
    ("analysis", Imports::Above),
    ("clock", Imports::Above),
    ("observer", Imports::Above),
    ("registry", Imports::Above),
    ("export", Imports::Above),
    // Bytes go on whatever becomes of observation: the proxy cannot even name it.
    (
        "proxy",
        Imports::Only(&[
            "wire::startup",
            "wire::sasl",
            "wire::SqlState",
            "event",
            "cache",
            "clock",
            "registry",
        ]),
    ),
    ("config", Imports::Above),
    // `serve` ends in a call of `app::serve`; `app` knows no command line.
    ("cli", Imports::AboveAnd(&["app"])),
    ("app", Imports::Above),
];

/// Files and folders with a rule stricter than their room's.
const FILES: &[(&str, &[&str])] = &[("src/proxy/relay", &["event"]), ("src/app", &APP)];

/// `app` joins all rooms but the command line.
const APP: [&str; 18] = [
    "wire",
    "sql",
    "event",
    "fault",
    "bell",
    "session",
    "aggregate",
    "unit",
    "detect",
    "advise",
    "catalog",
    "analysis",
    "clock",
    "observer",
    "registry",
    "export",
    "proxy",
    "config",
];

/// Crates that stay in some places, so that replacing one is the work of one room.
const CRATES: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "src/proxy",
            "src/export",
            "src/app",
            "src/catalog",
            "src/main.rs",
        ],
    ),
    ("tokio_postgres", &["src/catalog"]),
    ("tokio_stream", &["src/proxy", "src/export", "src/app"]),
    ("axum", &["src/export"]),
    ("hyper", &["src/export"]),
    ("hyper_util", &["src/export"]),
    ("sha2", &["src/export/http/guard.rs", "src/cli/report/html"]),
    ("base64", &["src/cli/report/html"]),
    ("maud", &["src/cli/report/html"]),
    ("quick_xml", &["src/cli/check/junit.rs"]),
    ("unicode_width", &["src/cli/report/text"]),
    ("subtle", &["src/export/http/guard.rs"]),
    ("getrandom", &["src/export/http/guard.rs"]),
    ("rust_embed", &["src/export/http/page.rs"]),
    ("prometheus", &["src/export"]),
    ("clap", &["src/cli"]),
    ("clap_complete", &["src/cli/completions.rs"]),
    ("clap_mangen", &["src/cli/man.rs"]),
    ("anyhow", &["src/cli", "src/main.rs"]),
    ("toml", &["src/config"]),
    ("ureq", &["src/cli"]),
    ("signal_hook", &["src/cli/run", "src/cli/top/terminal.rs"]),
    ("ratatui", &["src/cli/top"]),
    ("crossterm", &["src/cli/top/terminal.rs"]),
    ("sqlparser", &["src/sql/facts"]),
    ("hdrhistogram", &["src/aggregate"]),
    ("prefetch_index", &["src/cache.rs"]),
    ("pgwire", &["src/wire"]),
    (
        "mio",
        &[
            "src/proxy/reactor.rs",
            "src/proxy/orders.rs",
            "src/proxy/listener.rs",
            "src/proxy/direct.rs",
            "src/proxy/pulse.rs",
            "src/proxy/token.rs",
            "src/proxy/delay",
        ],
    ),
    ("rustls", &["src/proxy"]),
    ("tokio_rustls", &["src/proxy"]),
    (
        "socket2",
        &["src/proxy", "src/export/http", "src/app/sockets.rs"],
    ),
    ("listenfd", &["src/app/sockets.rs"]),
    ("sd_notify", &["src/app"]),
    (
        "rustix",
        &["src/app", "src/proxy/direct.rs", "src/proxy/urgency.rs"],
    ),
    ("thread_priority", &["src/proxy/urgency.rs"]),
];

/// Lines of a file in `src`, tests in files of their own included.
const LINES_MAX: usize = 600;

/// Longer files, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

#[derive(Debug, Clone, Copy)]
enum Imports {
    /// Every room above it.
    Above,
    /// Every room above it, and these.
    AboveAnd(&'static [&'static str]),
    /// These paths and what is below them.
    Only(&'static [&'static str]),
}

impl Imports {
    fn allow(self, room_index: usize, path: &str) -> bool {
        let above = || {
            ROOMS[..room_index]
                .iter()
                .any(|(room, _)| is_below(path, room))
        };
        match self {
            Imports::Above => above(),
            Imports::AboveAnd(others) => {
                above() || others.iter().any(|other| is_below(path, other))
            }
            Imports::Only(paths) => paths.iter().any(|allowed| is_below(path, allowed)),
        }
    }
}

/// Whether `path` is `parent` or inside it.
fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether the file is `home` itself (`src/app` is `src/app.rs` too) or in that folder.
fn lies_in(path: &str, home: &str) -> bool {
    path.strip_prefix(home)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']))
}

/// A source file: its path from the package's root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        let mut entries: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push(Source {
                    text: fs::read_to_string(&path).unwrap(),
                    path: path
                        .strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                });
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(found.len() > ROOMS.len(), "the sources were found");
    found
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Whether all of it is compiled for tests only.
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Names of the modules it lies in, the room first; empty for `lib.rs` and `main.rs`.
    fn modules(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let mut modules: Vec<&str> = inner.split('/').collect();
        if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
            modules.pop();
        }
        modules
    }

    /// What it breaks, one line each.
    fn violations(&self) -> Vec<String> {
        let mut broken = BTreeSet::new();
        if !self.is_tests() && !self.text.starts_with("//!") {
            broken.insert(format!(
                "{}: does not begin with a module doc (//!)",
                self.path
            ));
        }
        let lines = self.text.lines().count();
        if lines > LINES_MAX && !LONG_FILES.iter().any(|(path, _)| *path == self.path) {
            broken.insert(format!(
                "{}: {lines} lines, more than {LINES_MAX}",
                self.path
            ));
        }
        if self.is_tests() {
            return broken.into_iter().collect();
        }
        let code = without_tests(&without_comments(&self.text));
        let modules = self.modules();
        for path in own_imports(&code, modules.len()) {
            if modules
                .first()
                .is_some_and(|room| !is_below(&path, room) && !self.may_import(room, &path))
            {
                broken.insert(format!(
                    "{}: imports {path}, which it must not know",
                    self.path
                ));
            }
        }
        for (name, homes) in CRATES {
            let at_home = homes.iter().any(|home| lies_in(&self.path, home));
            if !at_home && names_crate(&code, name) {
                broken.insert(format!(
                    "{}: uses {name}, which stays in {}",
                    self.path,
                    homes.join(", ")
                ));
            }
        }
        broken.into_iter().collect()
    }

    fn may_import(&self, room: &str, path: &str) -> bool {
        if let Some((_, allowed)) = FILES.iter().find(|(home, _)| lies_in(&self.path, home)) {
            return allowed.iter().any(|allowed| is_below(path, allowed));
        }
        match ROOMS.iter().position(|(name, _)| *name == room) {
            Some(index) => ROOMS[index].1.allow(index, path),
            None => false,
        }
    }
}

/// The text with comments, strings and character literals blanked, so that what is left is code.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = rest.as_bytes();
        let is_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            quoted(rest)
        } else if !is_word
            && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br"))
        {
            raw_string(rest)
        } else if c == '\'' && (before.get(1) == Some(&b'\\') || rest.chars().nth(2) == Some('\''))
        {
            // A character; a lifetime has no quote behind its first letter.
            rest[1..]
                .char_indices()
                .skip(1)
                .find(|(_, c)| *c == '\'')
                .map_or(1, |(index, _)| index + 2)
        } else {
            0
        };
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(
                rest[..length]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[length..];
        }
    }
    code
}

/// Length of the nested block comment at the start.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut index) = (0, 0);
    loop {
        let rest = &text[index..];
        if rest.starts_with("/*") {
            (depth, index) = (depth + 1, index + 2);
        } else if rest.starts_with("*/") {
            (depth, index) = (depth - 1, index + 2);
        } else {
            index += rest.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || index >= text.len() {
            return index;
        }
    }
}

/// Length of the string at the start.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string at the start, 0 where it is none (`r#type` is a name).
fn raw_string(text: &str) -> usize {
    let body = text.trim_start_matches(['b', 'r']);
    let hashes = body.len() - body.trim_start_matches('#').len();
    if !body[hashes..].starts_with('"') {
        return 0;
    }
    let opening = text.len() - body.len() + hashes + 1;
    let closing = format!("\"{}", "#".repeat(hashes));
    text[opening..]
        .find(&closing)
        .map_or(text.len(), |index| opening + index + closing.len())
}

/// The code without what stands behind `#[cfg(test)]`, a block or an item.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..start]);
        rest = &rest[start + "#[cfg(test)]".len()..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(brace), Some(semicolon)) if semicolon < brace => semicolon + 1,
            (Some(brace), _) => brace + block(&rest[brace..]),
            (None, Some(semicolon)) => semicolon + 1,
            (None, None) => rest.len(),
        };
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// Length of the block in braces at the start.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (index, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    code.len()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path from this package's root that `code` names, by `crate::` or by enough `super::`.
fn own_imports(code: &str, module_depth: usize) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for root in ["crate", "super"] {
        for (start, _) in code.match_indices(root) {
            let rest = &code[start..];
            if code[..start].ends_with(|c: char| is_name(c) || c == ':' || c == '$') {
                continue;
            }
            let mut names = rest;
            let mut climbed = 0;
            while let Some(behind) = names
                .strip_prefix("super")
                .and_then(|n| n.trim_start().strip_prefix("::"))
            {
                climbed += 1;
                names = behind.trim_start();
            }
            if let Some(behind) = names
                .strip_prefix("crate")
                .and_then(|n| n.trim_start().strip_prefix("::"))
            {
                (names, climbed) = (behind.trim_start(), module_depth);
            }
            if climbed > 0 && climbed == module_depth {
                expand(names, "", &mut paths);
            }
        }
    }
    paths
}

/// Reads `a::{b, c::d}` at the start of `code` into `a::b` and `a::c::d`; answers what is left.
fn expand<'c>(code: &'c str, prefix: &str, paths: &mut BTreeSet<String>) -> &'c str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        while !rest.trim_start().starts_with('}') && !rest.trim_start().is_empty() {
            rest = expand(rest, prefix, paths).trim_start();
            rest = match rest.find([',', '}']) {
                Some(index) if rest[index..].starts_with(',') => &rest[index + 1..],
                Some(index) => &rest[index..],
                None => "",
            };
        }
        return rest.trim_start().strip_prefix('}').unwrap_or("");
    }
    let end = code.find(|c| !is_name(c)).unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = match (prefix, name) {
        (prefix, "" | "self") => prefix.to_owned(),
        ("", name) => name.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    match rest.trim_start().strip_prefix("::") {
        Some(deeper) if !deeper.trim_start().starts_with('<') => expand(deeper, &path, paths),
        _ => {
            paths.insert(path);
            rest
        }
    }
}

/// Whether `code` names the crate: `name::…`, `use name;`, `use name as …`, `use {name::…}`.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].trim_end_matches("r#");
        let behind = code[start + name.len()..].trim_start();
        let is_path_start = !before.ends_with(|c: char| is_name(c) || c == '.')
            && !before.trim_end().ends_with("::");
        let is_used = before.trim_end().ends_with("use") && behind.starts_with([';', 'a']);
        let ends_here = !code[start + name.len()..].starts_with(is_name);
        // `::tokio::…` names the crate too; `crate::tokio::…` does not.
        let is_absolute = before.ends_with("::")
            && !before[..before.len() - 2].ends_with(|c: char| is_name(c) || c == '>');
        ends_here && (is_path_start || is_absolute) && (behind.starts_with("::") || is_used)
    })
}

#[test]
fn rooms_import_only_what_they_may() {
    let broken: Vec<String> = sources().iter().flat_map(Source::violations).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn the_rooms_are_those_of_lib_rs_in_its_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let listed: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    assert_eq!(declared, listed);
}

#[test]
fn long_files_are_still_long_and_have_a_reason() {
    let sources = sources();
    for (path, reason) in LONG_FILES {
        let source = sources.iter().find(|source| source.path == *path);
        assert!(
            source.is_some_and(|source| source.text.lines().count() > LINES_MAX)
                && !reason.is_empty(),
            "{path} is listed as a long file"
        );
    }
}

/// The checker's own test: what it would say about `text` at `path`.
#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let source = Source::new(path, &format!("//! Doc.\n{text}"));
    let found: Vec<String> = source
        .violations()
        .into_iter()
        .map(|line| {
            line.strip_prefix(path)
                .unwrap()
                .trim_start_matches(": ")
                .to_owned()
        })
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn the_checker_sees_a_forbidden_import() {
    check(
        "src/wire/frame.rs",
        "use crate::event::Moment;",
        &["imports event::Moment"],
    );
    check(
        "src/session/mod.rs",
        "use crate::{event::Moment, export};",
        &["imports export"],
    );
    check(
        "src/session/mod.rs",
        "fn f() { crate::app::serve() }",
        &["imports app::serve"],
    );
    check(
        "src/session/state.rs",
        "use super::super::config::Config;",
        &["imports config::Config"],
    );
    check("src/registry.rs", "use super::proxy;", &["imports proxy"]);
    check(
        "src/proxy/mod.rs",
        "use crate::wire::{startup::Startup, frame};",
        &["imports wire::frame"],
    );
    check(
        "src/proxy/relay.rs",
        "use crate::{clock::Clock, event::Tap};",
        &["imports clock::Clock"],
    );
    check("src/app.rs", "use crate::cli;", &["imports cli"]);
    check("src/app/admin.rs", "use crate::cli;", &["imports cli"]);
    check(
        "src/wire/a.rs",
        "type A<'a> = &'a str; use crate::sql::Verb; // 'a",
        &["imports sql::Verb"],
    );
}

#[test]
fn the_checker_sees_a_crate_outside_its_room() {
    check("src/wire/frame.rs", "use tokio::io;", &["uses tokio"]);
    check(
        "src/config/mod.rs",
        "#[derive(clap::Parser)] struct A;",
        &["uses clap"],
    );
    check(
        "src/sql/mod.rs",
        "use sqlparser as parser;",
        &["uses sqlparser"],
    );
    check(
        "src/sql/facts_of.rs",
        "use ::sqlparser::ast;",
        &["uses sqlparser"],
    );
    check(
        "src/session/mod.rs",
        "use {pgwire::messages, std::io};",
        &["uses pgwire"],
    );
}

#[test]
fn the_checker_sees_a_missing_doc_and_a_long_file() {
    let bare = Source::new("src/wire/frame.rs", "use std::io;\n");
    assert_eq!(bare.violations().len(), 1);
    check("src/wire/frame.rs", &"\n".repeat(LINES_MAX), &["601 lines"]);
    check("src/wire/tests.rs", &"\n".repeat(LINES_MAX), &["601 lines"]);
}

#[test]
fn the_checker_lets_pass_what_is_allowed() {
    for (path, text) in [
        (
            "src/session/mod.rs",
            "use crate::{event::{self, Moment}, sql::Verb, wire};",
        ),
        (
            "src/session/mod.rs",
            "use crate::session::state; use self::state::A; use super::wire;",
        ),
        (
            "src/session/state.rs",
            "use super::Session; use super::super::event;",
        ),
        (
            "src/proxy/mod.rs",
            "use crate::wire::startup; use tokio::net; mod relay; use crate::proxy::relay;",
        ),
        ("src/cli/mod.rs", "use crate::app::serve; use clap::Parser;"),
        ("src/sql/facts/joins.rs", "use sqlparser::ast;"),
        ("src/main.rs", "fn main() { pgprism::cli::main() }"),
        (
            "src/wire/a.rs",
            "//! See [`crate::event`].\nconst A: &str = \"crate::event\"; /* tokio:: /* x */ */",
        ),
        (
            "src/wire/a.rs",
            "const A: &str = r#\"use crate::event; \"tokio::x\"\"#; const C: char = '\"';",
        ),
        (
            "src/wire/a.rs",
            "#[cfg(test)]\nmod tests {\n use crate::event; use tokio::x;\n}\nfn f() {}",
        ),
        (
            "src/wire/a.rs",
            "#[cfg(test)]\nuse crate::event;\nuse self::tokio::x; use my_tokio::y;",
        ),
        ("src/wire/tests.rs", "use crate::event;"),
    ] {
        check(path, text, &[]);
    }
}
