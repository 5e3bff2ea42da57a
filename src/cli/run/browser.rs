//! Opens a page in the user's browser.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Starts what opens `url`: the program that BROWSER names, else the desktop's own.
pub(super) fn open(url: &str) -> io::Result<()> {
    let named = std::env::var("BROWSER").unwrap_or_default();
    let desktop = match cfg!(target_os = "macos") {
        true => "open",
        false => "xdg-open",
    };
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    let programs = named
        .split(':')
        .filter(|program| !program.is_empty())
        .chain([desktop]);
    for program in programs {
        match start(program, url) {
            Ok(()) => return Ok(()),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// `%s` in the program's words stands for the URL, which else comes last.
fn start(program: &str, url: &str) -> io::Result<()> {
    let mut words: Vec<String> = program
        .split_whitespace()
        .map(|word| word.replace("%s", url))
        .collect();
    if !program.contains("%s") {
        words.push(url.to_owned());
    }
    let (name, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in the terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map(drop)
}
