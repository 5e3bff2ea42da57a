//! `man`: the manual pages, one for each command, made from what clap knows of them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Failure};

/// How the help of a command introduces its examples.
const EXAMPLES: &str = "Examples:\n";

/// Of which command (of all, where none is named) an exit status says what.
const EXIT_STATUS: &[(&str, &str, &str)] = &[
    ("", "0", "Done."),
    ("check", "1", "There are findings."),
    ("", "64", "Bad usage or configuration."),
    (
        "",
        "69",
        "Something needed is not available: a running proxy, an upstream, a port.",
    ),
    ("", "70", "An error of pgprism's own."),
];

/// `pgprism man`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pgprism man | man -l -\n  pgprism man ~/.local/share/man/man1"
)]
pub(super) struct ManArgs {
    /// Folder for the pages of all commands; without one, the first page goes to stdout
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn man(arguments: &ManArgs, out: &mut impl Write) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    match &arguments.folder {
        None => Ok(out.write_all(&page(&program, &program)?)?),
        Some(folder) => write_pages(&program, folder).map_err(|error| {
            Failure::Usage(format!(
                "cannot write the pages into {}: {error}",
                folder.display()
            ))
        }),
    }
}

/// `pgprism.1`, and `pgprism-serve.1` and so on beside it.
fn write_pages(program: &Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for command in std::iter::once(program).chain(shown(program)) {
        let file = folder.join(format!("{}.1", title(command)));
        fs::write(file, page(program, command)?)?;
    }
    Ok(())
}

fn shown(program: &Command) -> impl Iterator<Item = &Command> {
    program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
}

/// `pgprism-serve`.
fn title(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// The page of one command: clap's sections, then ours.
fn page(program: &Command, command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut sections = Vec::new();
    man.render_name_section(&mut sections)?;
    man.render_synopsis_section(&mut sections)?;
    man.render_description_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut sections)?;
    }
    let mut ours = Roff::new();
    add_exit_status(&mut ours, command);
    add_help_text(&mut ours, command);
    add_see_also(&mut ours, program, command);
    ours.to_writer(&mut sections)?;

    // Each section begins with the definitions that all of them need once.
    let definitions = Roff::new().render();
    let sections = String::from_utf8_lossy(&sections).replace(&definitions, "");
    // The crate's own title line loses an empty date, and what follows moves into its place.
    let heading = format!(
        ".TH {} 1 \"\" \"pgprism {}\" \"User Commands\"\n",
        title(command).to_uppercase(),
        env!("CARGO_PKG_VERSION")
    );
    Ok([definitions, heading, sections].concat().into_bytes())
}

fn add_exit_status(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["EXIT STATUS"]);
    if command.get_name() == "run" {
        roff.text([roman(
            "The command's; 128 and its number where a signal ended it; 127 where there is no such command, 126 where \
             it cannot be run. Before the command is started:",
        )]);
    }
    let ours = EXIT_STATUS.iter().filter(|(only, status, _)| {
        (only.is_empty() || *only == command.get_name())
            && !(command.get_name() == "run" && *status == "0")
    });
    for (_, status, meaning) in ours {
        roff.control("TP", []);
        roff.text([bold(*status)]);
        roff.text([roman(*meaning)]);
    }
}

/// What stands below the options in `--help`: words, then examples as they are typed.
fn add_help_text(roff: &mut Roff, command: &Command) {
    let text = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let (notes, examples) = text.split_once(EXAMPLES).unwrap_or((&text, ""));
    if !notes.trim().is_empty() {
        roff.control("SH", ["NOTES"]);
        roff.text([roman(notes.trim())]);
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("nf", []);
        for line in examples.lines() {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
}

fn add_see_also(roff: &mut Roff, program: &Command, command: &Command) {
    let others = std::iter::once(program)
        .chain(shown(program))
        .filter(|other| title(other) != title(command));
    roff.control("SH", ["SEE ALSO"]);
    let mut words = Vec::new();
    for other in others {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.push(bold(title(other)));
        words.push(roman("(1)"));
    }
    roff.text(words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<(String, String)> {
        let mut program = Cli::command();
        program.build();
        std::iter::once(&program)
            .chain(shown(&program))
            .map(|command| {
                let page = page(&program, command).unwrap();
                (title(command).to_owned(), String::from_utf8(page).unwrap())
            })
            .collect()
    }

    #[test]
    fn every_command_has_a_page_with_its_examples_as_they_are_typed() {
        let pages = pages();
        assert!(
            pages.iter().any(|(title, _)| title == "pgprism-serve"),
            "{pages:?}"
        );
        for (title, page) in pages {
            let heading = format!(".TH {} 1 \"\" \"pgprism ", title.to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{title}: {page}");
            assert_eq!(page.matches(".ds Aq").count(), 2, "{title}: {page}");
            let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").expect(&title);
            let first = examples.lines().next().unwrap();
            assert!(first.contains("pgprism"), "{title}: {first}");
            assert!(page.contains(".SH \"EXIT STATUS\""), "{title}: {page}");
        }
    }

    #[test]
    fn only_check_can_end_with_1() {
        for (title, page) in pages() {
            assert_eq!(
                page.contains("There are findings"),
                title == "pgprism-check",
                "{title}"
            );
        }
    }
}
