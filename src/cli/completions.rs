//! `completions`: what a shell needs to complete the commands and flags of `pgprism`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure};

/// `pgprism completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "docs/install.md says where each shell looks for its file.\n\n\
    Examples:\n  eval \"$(pgprism completions bash)\"\n  \
    pgprism completions zsh > ~/.zfunc/_pgprism\n  \
    pgprism completions fish > ~/.config/fish/completions/pgprism.fish"
)]
pub(super) struct CompletionsArgs {
    /// Shell to write them for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn completions(
    arguments: &CompletionsArgs,
    out: &mut impl Write,
) -> Result<(), Failure> {
    // Into memory first: the generator panics where its output cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "pgprism", &mut script);
    Ok(out.write_all(&script)?)
}
